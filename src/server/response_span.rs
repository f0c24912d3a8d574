//! The span of a response, with attributes by the semantic conventions of HTTP servers.

use std::net::IpAddr;

use http::request::Parts;
use http::uri::Scheme;
use http::{Method, StatusCode, Version};

use crate::trace::{Span, SpanRole, TraceContext};

/// Decision whether responses have spans, where those are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseSpans {
    #[default]
    On,
    Off,
}

/// Starts the span of a request in the trace of its client, if it is recorded.
pub(super) fn start(head: &Parts, client: Option<IpAddr>, scheme: &Scheme) -> Option<Span> {
    let method = known(&head.method);
    let parent = TraceContext::of(&head.headers);
    let mut span = Span::start(SpanRole::Response, span_name(method).to_owned(), parent, None).0?;
    span.set_text("http.request.method", method);
    span.set_text("url.scheme", scheme);
    span.set_text("url.path", head.uri.path());
    let version = match head.version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    span.set_text("network.protocol.version", version);
    if let Some(client) = client {
        span.set_text("client.address", &client);
    }
    Some(span)
}

/// Names the span by the path of the collection in the configuration.
pub(super) fn set_route(span: &mut Span, method: &Method, route: &str) {
    span.rename(format!("{} {route}", span_name(known(method))));
    span.set_text("http.route", route);
}

pub(super) fn set_status(span: &mut Span, status: StatusCode) {
    span.set_number("http.response.status_code", status.as_u16().into());
    if status.is_server_error() {
        span.fail(status.as_str(), "");
    }
}

/// Returns a method of HTTP; a client can send any word, and spans are counted by their methods.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if KNOWN.contains(method) { method.as_str() } else { "_OTHER" }
}

fn span_name(method: &str) -> &str {
    if method == "_OTHER" { "HTTP" } else { method }
}
