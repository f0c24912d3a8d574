//! Heads of responses that a snapshot answers.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::body::{Body, BodyLength, StreamBody, empty};
use super::byte_range::ByteRange;
use super::cache_status::CacheStatus;
use super::representation::Representation;
use super::snapshot_url::{relative, status_url};
use super::stream_ending::{REPR_DIGEST, StreamEnding};
use super::table_index::TableIndexes;
use super::verdict_field::{self, UNPAGE_VERDICT};
use crate::config::Scope;
use crate::request::{ParamNames, StreamOptions, WantDigest};
use crate::snapshot::{FileStorage, Retention, Snapshot, SnapshotState};

/// A response to a request for a stream, before it is known how much of the snapshot it sends.
#[derive(Clone, Copy, Debug)]
pub struct StreamResponse<'a> {
    pub snapshot: &'a Snapshot,
    pub options: &'a StreamOptions,
    pub representation: &'a Representation,
    /// Path and query of the collection, without the parameters of unpage.
    pub original: &'a str,
    pub names: &'a ParamNames,
    pub cache_status: CacheStatus,
    /// `true` where the request's URL names this snapshot.
    pub is_named: bool,
    /// Value of `Preference-Applied` (RFC 7240 §3).
    pub applied: Option<&'a HeaderValue>,
    /// Callers that may see the snapshot.
    pub scope: Scope,
    /// Tables that were made of the snapshots.
    pub tables: &'a TableIndexes,
}

impl StreamResponse<'_> {
    /// Returns the head with these bytes as its body: 200, or 206 for a range.
    pub async fn success(&self, range: ByteRange) -> Response<Body> {
        let Self { snapshot, representation, original, names, .. } = *self;
        let ending = representation.ending(self.options, &range);
        let ByteRange { reader, length, content_range } = range;
        let mut fields = self.validators();
        representation.describe(&mut fields);
        fields.insert(header::VIA, HeaderValue::from_static("1.1 unpage"));
        fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
        if let Some(accept_ranges) = representation.accept_ranges(self.is_resumable()) {
            fields.insert(header::ACCEPT_RANGES, accept_ranges);
        }
        set(&mut fields, header::AGE, age(snapshot).as_secs().to_string());
        let cache_status = self.cache_status.value(snapshot.retention());
        set(&mut fields, HeaderName::from_static("cache-status"), cache_status);
        // Only an upstream that was asked for one moment tells the moment of its answer (RFC 7089 §2.1.1).
        let moment = snapshot.facts().valid_at;
        if let Some(moment) = moment {
            set(&mut fields, HeaderName::from_static("memento-datetime"), httpdate::fmt_http_date(moment));
        }
        let status = || format!("<{}>; rel=\"status\"", status_url(snapshot.id(), original, names));
        let status = self.has_address().then(status);
        let original = moment.map(|_| format!("<{}>; rel=\"original\"", relative(original)));
        let links: Vec<_> = status.into_iter().chain(original).collect();
        if !links.is_empty() {
            set(&mut fields, header::LINK, links.join(", "));
        }
        if let Some(modified) = &snapshot.facts().last_modified {
            set(&mut fields, header::LAST_MODIFIED, modified.clone());
        }
        if let Some(applied) = self.applied {
            fields.insert("preference-applied", applied.clone());
        }
        if let Some(length) = length.filter(|_| !self.is_unnamed_head()) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let status = if content_range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        if let Some(content_range) = content_range {
            set(&mut fields, header::CONTENT_RANGE, content_range);
        }
        if self.options.digest == WantDigest::Sha256
            && let Some(digest) = representation.digest(snapshot).await
        {
            set(&mut fields, REPR_DIGEST, digest);
        }
        self.insert_verdict(&ending, &mut fields);
        let body = match reader {
            Some(reader) => {
                let length = length.map_or(BodyLength::Open, BodyLength::Exactly);
                Body::new(StreamBody::new(reader, length, ending))
            }
            None => empty(),
        };
        with_fields(status, fields, body)
    }

    /// Inserts the verdict of a complete snapshot, or the announcement that it comes after the body.
    fn insert_verdict(&self, ending: &StreamEnding, fields: &mut HeaderMap) {
        if let Some(trailer) = ending.announced() {
            fields.insert(header::TRAILER, trailer);
        } else if let SnapshotState::Complete(verdict) = self.snapshot.state() {
            fields.insert(UNPAGE_VERDICT, verdict_field::value(&verdict, self.representation.column_use()));
        }
    }

    /// Returns a 304 for a client that has the whole.
    pub fn not_modified(&self) -> Response<Body> {
        with_fields(StatusCode::NOT_MODIFIED, self.validators(), empty())
    }

    /// Returns the URL that names the snapshot in this representation.
    pub fn pinned_url(&self) -> String {
        self.representation.pinned_url(self.snapshot.id(), self.original, self.names)
    }

    /// Returns the fields that a 304 has, too.
    fn validators(&self) -> HeaderMap {
        let Self { snapshot, representation, .. } = *self;
        let mut fields = HeaderMap::new();
        set(&mut fields, header::ETAG, representation.etag(snapshot.id()));
        if self.has_address() {
            set(&mut fields, header::CONTENT_LOCATION, self.pinned_url());
        }
        let is_kept = snapshot.retention() != Retention::Transient && snapshot.facts().storage == FileStorage::Allowed;
        let is_complete = matches!(snapshot.state(), SnapshotState::Complete(_));
        // What compresses a stream on its way removes or weakens its tag, and delays its records.
        let cache_control = match (is_kept && is_complete, self.scope) {
            (true, Scope::Caller) => "private, no-cache, no-transform",
            (true, Scope::Public) => "no-cache, no-transform",
            (false, _) => "no-store, no-transform",
        };
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
        fields
    }

    /// Returns `true` for a HEAD whose URL names no snapshot. Readers that learn a length there request ranges, for which the next request may
    /// have another snapshot.
    fn is_unnamed_head(&self) -> bool {
        self.options.method == Method::HEAD && !self.is_named
    }

    /// Returns `true` where a client whose download breaks now can have the rest.
    fn is_resumable(&self) -> bool {
        self.has_address() && !self.is_unnamed_head() && self.snapshot.log().extent().from == 0
    }

    /// Returns `true` where a GET can ask for the snapshot again. The key of another method's snapshot contains that method.
    fn has_address(&self) -> bool {
        matches!(self.options.method, Method::GET | Method::HEAD) && self.snapshot.retention() != Retention::Transient
    }
}

/// Returns a 307 to a snapshot, for a range that names none and can only be of this one.
pub fn redirect(pinned_url: String) -> Response<Body> {
    let mut fields = HeaderMap::new();
    set(&mut fields, header::LOCATION, pinned_url);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with_fields(StatusCode::TEMPORARY_REDIRECT, fields, empty())
}

fn age(snapshot: &Snapshot) -> Duration {
    SystemTime::now().duration_since(snapshot.facts().created).unwrap_or_default()
}

fn with_fields(status: StatusCode, fields: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// Leaves a value out that a field can't carry.
fn set(fields: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        fields.insert(name, value);
    }
}
