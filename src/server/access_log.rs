//! Access log: one line at the end of each response, with the names of the query's parameters and without their values; the end of its span.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::response_span;
use crate::trace::{Span, TRACEPARENT, TraceContext};

/// Identifier of a request, common among proxies.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Longest identifier that is taken from a request, in bytes.
const LONGEST_ID: usize = 128;

/// Longest list of parameter names in a line, in bytes.
const LONGEST_PARAMS: usize = 512;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    #[default]
    Off,
    On,
}

/// Extension of a request that is logged or has a span: facts of its answer that the service alone knows. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct AccessNotes(Arc<Mutex<ServiceNotes>>);

#[derive(Debug, Default)]
struct ServiceNotes {
    collection: Option<String>,
    snapshot: Option<String>,
    crawl: Option<TraceContext>,
}

impl AccessNotes {
    /// Notes the path of the collection in the configuration.
    pub fn collection(&self, path: &str) {
        self.0.lock().collection = Some(path.to_owned());
    }

    pub fn snapshot(&self, id: impl Display) {
        self.0.lock().snapshot = Some(id.to_string());
    }

    /// Notes the crawl that fills the snapshot, by its context in its trace.
    pub fn crawl(&self, context: Option<TraceContext>) {
        self.0.lock().crawl = context;
    }
}

/// A request from its head to the end of its response. Its line is logged, and its span ended, when it is dropped.
#[derive(Debug)]
pub(super) struct AccessEntry {
    log: AccessLog,
    span: Option<Span>,
    begun: Instant,
    id: String,
    client: Option<IpAddr>,
    method: Method,
    path: String,
    params: String,
    version: Version,
    trace: Option<String>,
    notes: AccessNotes,
    status: Option<StatusCode>,
    cache_status: Option<String>,
    first_byte: Option<Instant>,
    bytes: u64,
    /// Lines so far, where the body is NDJSON without a coding.
    lines: Option<u64>,
    end: ResponseEnd,
}

/// Way in which a response ended, as far as the server sees it.
#[derive(Debug)]
enum ResponseEnd {
    /// All of it was handed to the connection.
    Complete,
    /// The client left, or the connection broke, before the end.
    Gone,
    /// The server broke it off, for this reason.
    Broken(String),
    /// Another protocol has the connection.
    Upgraded,
}

impl AccessEntry {
    /// Begins the entry of a request. `trusted`: the peer is a proxy whose identifier of the request is taken.
    pub(super) fn new(
        log: AccessLog,
        span: Option<Span>,
        head: &mut Parts,
        client: Option<IpAddr>,
        trusted: bool,
    ) -> Self {
        let told_by =
            |name: HeaderName| head.headers.get(name).and_then(visible).filter(|value| value.len() <= LONGEST_ID);
        let told = told_by(X_REQUEST_ID).filter(|_| trusted);
        let notes = AccessNotes::default();
        let context = span.as_ref().map(|span| span.context().field());
        let entry = Self {
            log,
            span,
            begun: Instant::now(),
            id: told.map_or_else(|| format!("{:032x}", fastrand::u128(..)), ToOwned::to_owned),
            client,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            params: names(head.uri.query().unwrap_or_default()),
            version: head.version,
            trace: told_by(TRACEPARENT).map(ToOwned::to_owned),
            notes: notes.clone(),
            status: None,
            cache_status: None,
            first_byte: None,
            bytes: 0,
            lines: None,
            end: ResponseEnd::Gone,
        };
        head.extensions.insert(notes);
        // The span is the parent of what the request leads to.
        context.map(|field| head.headers.insert(TRACEPARENT, field));
        entry
    }

    /// Notes the head of the response, and adds the request's identifier to it.
    pub(super) fn respond<B: http_body::Body>(&mut self, response: &mut Response<B>) {
        self.status = Some(response.status());
        let has_no_body = self.method == Method::HEAD || response.body().is_end_stream();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.end = ResponseEnd::Upgraded;
        } else if has_no_body {
            self.end = ResponseEnd::Complete;
        }
        let headers = response.headers_mut();
        self.lines = is_ndjson(headers).then_some(0);
        self.cache_status = headers.get(CACHE_STATUS).and_then(visible).map(ToOwned::to_owned);
        if self.log == AccessLog::On
            && !headers.contains_key(X_REQUEST_ID)
            && let Ok(id) = HeaderValue::try_from(&self.id)
        {
            headers.insert(X_REQUEST_ID, id);
        }
    }

    /// Notes a piece of the body.
    pub(super) fn pass(&mut self, piece: &Bytes) {
        self.first_byte.get_or_insert_with(Instant::now);
        self.bytes += piece.len() as u64;
        if let Some(lines) = &mut self.lines {
            *lines += memchr::memchr_iter(b'\n', piece).count() as u64;
        }
    }

    pub(super) fn complete(&mut self) {
        self.end = ResponseEnd::Complete;
    }

    pub(super) fn break_off(&mut self, reason: &impl Display) {
        self.end = ResponseEnd::Broken(reason.to_string());
    }
}

impl Drop for AccessEntry {
    fn drop(&mut self) {
        let ServiceNotes { collection, snapshot, crawl } = std::mem::take(&mut *self.notes.0.lock());
        let (end, reason) = match &self.end {
            ResponseEnd::Complete => ("complete", None),
            ResponseEnd::Gone => ("gone", None),
            ResponseEnd::Broken(reason) => ("broken", Some(reason.as_str())),
            ResponseEnd::Upgraded => ("upgraded", None),
        };
        if let Some(mut span) = self.span.take() {
            if let Some(route) = &collection {
                response_span::set_route(&mut span, &self.method, route);
            }
            if let Some(status) = self.status {
                response_span::set_status(&mut span, status);
            }
            if let Some(snapshot) = &snapshot {
                span.set_text("unpage.snapshot", snapshot);
            }
            if let Some(crawl) = crawl {
                span.link(crawl);
            }
            span.set_number("http.response.body.size", self.bytes);
            span.set_text("unpage.end", end);
            if let Some(reason) = reason {
                span.fail("broken", reason);
            }
        }
        if self.log == AccessLog::Off {
            return;
        }
        let milliseconds = |to: Instant| u64::try_from((to - self.begun).as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            request_id = self.id,
            client = self.client.map(tracing::field::display),
            method = self.method.as_str(),
            path = self.path,
            params = (!self.params.is_empty()).then_some(self.params.as_str()),
            version = ?self.version,
            traceparent = self.trace,
            collection,
            snapshot,
            trace_id = crawl.map(|crawl| crawl.trace_id()),
            status = self.status.map(|status| status.as_u16()),
            cache_status = self.cache_status,
            end,
            reason,
            bytes = self.bytes,
            lines = self.lines,
            first_byte_ms = self.first_byte.map(milliseconds),
            duration_ms = milliseconds(Instant::now()),
            "request"
        );
    }
}

/// Returns the text of a field of visible ASCII characters and spaces.
fn visible(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte != b'\t'))
}

/// Returns the names of a query's parameters, as spelled, with commas between them; a value without a name is left out.
fn names(query: &str) -> String {
    let mut names = String::new();
    for (name, _) in query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| !name.is_empty()) {
        if names.len() + name.len() >= LONGEST_PARAMS {
            names.push_str(",…");
            break;
        }
        if !names.is_empty() {
            names.push(',');
        }
        names.push_str(name);
    }
    names
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let of = |name| headers.get(name).map(HeaderValue::as_bytes);
    of(header::CONTENT_TYPE).is_some_and(|value| value.starts_with(b"application/x-ndjson"))
        && of(header::CONTENT_ENCODING).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_leave_their_values_and_what_has_no_name() {
        assert_eq!(names("state=open&token=secret&_format=csv"), "state,token,_format");
        assert_eq!(names("secret&=secret&a="), "a");
        assert_eq!(names(""), "");
        let long = names(&format!("{}=1&b=2", "a".repeat(LONGEST_PARAMS)));
        assert_eq!(long, ",…");
    }
}
