//! Every failure before the first byte as problem details (RFC 9457): what happened, whose fault it is, what to do.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::route::NoRoute;
use crate::pagination::BodyKind;
use crate::request::BadAsk;
use crate::response::{Body, full};
use crate::snapshot::{Failure, Fault};
use crate::upstream::Error;

/// A crawl that could not start; the upstream's own status is passed through.
pub(super) fn failed(failure: &Failure) -> Response<Body> {
    let status = match failure.fault {
        Fault::Refused(status) => status,
        Fault::Unreachable | Fault::Upstream | Fault::Unproven => StatusCode::BAD_GATEWAY,
        Fault::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Fault::Configuration => StatusCode::INTERNAL_SERVER_ERROR,
        Fault::Stopped => StatusCode::SERVICE_UNAVAILABLE,
    };
    // A redirect or another status without an error's meaning would be acted on as if it were unpage's own.
    let status = if status.is_client_error() || status.is_server_error() { status } else { StatusCode::BAD_GATEWAY };
    tracing::warn!("{failure}; {}", failure.hint);
    let mut response = report(status, failure.fault.name(), &failure.message, &failure.hint);
    for (name, value) in &failure.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// A request that is passed on, and no answer.
pub(super) fn unreachable(error: &Error) -> Response<Body> {
    tracing::warn!("{error}");
    let status = match error {
        Error::Timeout(..) => StatusCode::GATEWAY_TIMEOUT,
        Error::Connect(..) | Error::Tls(..) | Error::Broken(..) | Error::Stale(..) | Error::Coding(_) => {
            StatusCode::BAD_GATEWAY
        }
    };
    report(status, "upstream", &error.to_string(), error.hint())
}

/// A wish that can't be granted.
pub(super) fn bad_ask(bad: &BadAsk) -> Response<Body> {
    let (status, hint) = match bad {
        BadAsk::Format { .. } => (StatusCode::NOT_ACCEPTABLE, "known formats are `ndjson` and `jsonl`"),
        BadAsk::Http10 => {
            (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1 or HTTP/2; in nginx: proxy_http_version 1.1")
        }
        BadAsk::Partial(_) => (StatusCode::PRECONDITION_FAILED, "ask for the whole stream, without that field"),
    };
    report(status, "client", &bad.to_string(), hint)
}

/// A path that leads nowhere.
pub(super) fn no_route(no_route: NoRoute, path: &str) -> Response<Body> {
    let (status, message, hint) = match no_route {
        NoRoute::Unknown => (
            StatusCode::NOT_FOUND,
            format!("no collection is configured at {path}"),
            "add a [[collection]] with this path, or one with path = \"/{*rest}\"",
        ),
        NoRoute::Climbing => (
            StatusCode::BAD_REQUEST,
            format!("the path has dot segments or backslashes, which upstreams resolve: {path}"),
            "send the path that is meant, without `.`, `..` and `\\`",
        ),
    };
    report(status, "client", &message, hint)
}

/// A request body that is too large to be repeated, or that broke off.
pub(super) fn request_body(limit: usize) -> Response<Body> {
    let message = format!("the request's body broke off or is larger than {limit} bytes");
    report(
        StatusCode::PAYLOAD_TOO_LARGE,
        "client",
        &message,
        "send it whole; it is sent again with every page, so it must be small",
    )
}

/// A request body that doesn't come to its end.
pub(super) fn slow_request_body(limit: Duration) -> Response<Body> {
    let message = format!("the request's body did not come within {}", humantime::Duration::from(limit));
    report(
        StatusCode::REQUEST_TIMEOUT,
        "client",
        &message,
        "send it whole, and check that Content-Length is its length",
    )
}

/// A request body that should be JSON, because it says so or because of what the pages' requests must have.
pub(super) fn not_json(error: &serde_json::Error, kind: BodyKind) -> Response<Body> {
    let message = format!("the request's body isn't JSON: {error}");
    let hint = match kind {
        BodyKind::Json => "this collection puts its page parameter into a JSON body: send JSON",
        BodyKind::Form | BodyKind::Labelled => "send JSON, or name its media type in Content-Type",
    };
    report(StatusCode::BAD_REQUEST, "client", &message, hint)
}

fn report(status: StatusCode, fault: &str, detail: &str, hint: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let details = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "fault": fault,
        "hint": hint,
    });
    let mut response = Response::new(full(format!("{details:#}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
