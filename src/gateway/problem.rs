//! Problem reports (RFC 9457) for failures before the first byte: what happened, whose fault it is, what to do.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::ask::BodyError;
use super::client_body::{BODY_LIMIT, MAX_REQUEST_BODY};
use super::headers::BadField;
use super::hidden_write::HiddenWrite;
use super::route::NoRoute;
use crate::error::{Failure, Fault};
use crate::pagination::BodyKind;
use crate::request::{MediaType, RequestError};
use crate::response::{Body, full};
use crate::snapshot::Evicted;
use crate::upstream::UpstreamError;

pub(super) const HTTP_11: &str = "use HTTP/1.1 or HTTP/2; in nginx: proxy_http_version 1.1";

/// A crawl that failed before its first record, with the upstream's own status. All requests that waited for it get this; the crawl has
/// logged it.
pub(super) fn failed(failure: &Failure) -> Response<Body> {
    let status = status_of(failure.fault);
    // Clients would act on a redirect, or on another status that is no error, as if it were unpage's own; and a 416 would tell them that they
    // have everything.
    let is_error = status.is_client_error() || status.is_server_error();
    let status = if is_error && status != StatusCode::RANGE_NOT_SATISFIABLE { status } else { StatusCode::BAD_GATEWAY };
    let mut response = report(status, failure.fault.name(), &failure.message, &failure.hint);
    for (name, value) in &failure.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// A forwarded request without an answer.
pub(super) fn unreachable(error: &UpstreamError) -> Response<Body> {
    tracing::warn!("{error}");
    let status = match error {
        UpstreamError::Timeout(..) | UpstreamError::NotTaken(..) => StatusCode::GATEWAY_TIMEOUT,
        UpstreamError::Connect(..)
        | UpstreamError::Name(..)
        | UpstreamError::Tls(..)
        | UpstreamError::Broken(..)
        | UpstreamError::Stale(..)
        | UpstreamError::Proxy(..)
        | UpstreamError::Address(..)
        | UpstreamError::Coding(_)
        | UpstreamError::Token(_) => StatusCode::BAD_GATEWAY,
    };
    let is_configured = error.refuses_credentials();
    let fault = if is_configured { Fault::Credentials } else { Fault::Unreachable };
    report(status, fault.name(), &error.to_string(), error.hint())
}

/// Returns the report for a request that can't be answered.
pub(super) fn bad_request(error: &RequestError) -> Response<Body> {
    let known_formats;
    let (status, hint) = match error {
        RequestError::Format { .. } => {
            known_formats = format!("known formats are {}", MediaType::known_names());
            (StatusCode::BAD_REQUEST, known_formats.as_str())
        }
        RequestError::FormatNotBuilt { .. } => {
            (StatusCode::NOT_ACCEPTABLE, "ask for `csv`, or build unpage with the feature `columnar`")
        }
        RequestError::NotAcceptable => (
            StatusCode::NOT_ACCEPTABLE,
            "accept application/x-ndjson, or name a format in the URL as the Content-Location field of a stream does",
        ),
        RequestError::EndOfFormat { .. } => {
            (StatusCode::BAD_REQUEST, "ask for NDJSON, or leave the marker out: other formats have an end of their own")
        }
        RequestError::Http10 => (
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "use HTTP/1.1 or HTTP/2 (in nginx: proxy_http_version 1.1), or wait for the length: Prefer: wait=600",
        ),
        RequestError::Http10Length => (
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "use HTTP/1.1 or HTTP/2 (in nginx: proxy_http_version 1.1), or wait for a table or for whole records, whose length is known: Prefer: wait=600",
        ),
        RequestError::Snapshot { .. } => (
            StatusCode::BAD_REQUEST,
            "take the URL from the Content-Location field of a stream, or name a session: `~` and up to 64 letters, digits, `.`, `-` and `_`",
        ),
        RequestError::Coding => (
            StatusCode::NOT_ACCEPTABLE,
            "accept a stream without a coding, or one that `codings` offers; `coded_streams` limits the streams that have one at a time",
        ),
        RequestError::StatusOfNone { .. } => {
            (StatusCode::BAD_REQUEST, "take the URL with rel=\"status\" from the Link field of a stream")
        }
        RequestError::Since { .. } => (
            StatusCode::BAD_REQUEST,
            "add since = { param = \"…\", field = \"…\" } to the [[collection]], or leave the parameter out for all of it; `since_param` gives it another name",
        ),
        RequestError::SinceOfAll { .. } => (
            StatusCode::BAD_REQUEST,
            "ask for the list of one parent, with its value in place of `*`, or leave the parameter out",
        ),
        RequestError::SinceNothing { .. } => (
            StatusCode::BAD_REQUEST,
            "name the last record that you have, or leave the parameter out for all of the collection",
        ),
        RequestError::End { .. } => (
            StatusCode::BAD_REQUEST,
            "the only value is `marker`; a value that begins with a digit is passed on to the upstream, and `end_param` gives the parameter another name",
        ),
        RequestError::Wait { .. } => (
            StatusCode::BAD_REQUEST,
            "the only value is `complete`; a request for no stream passes one that begins with a digit on, and `wait_param` gives the parameter another name",
        ),
        RequestError::Columns { .. } => (
            StatusCode::BAD_REQUEST,
            "ask for a table, as in `_format=csv`, or leave the columns out; `columns_param` gives the parameter another name",
        ),
        RequestError::ColumnNames { .. } => (
            StatusCode::BAD_REQUEST,
            "name each column once, by its path: `id,customer.email`; `_more` as the last one keeps all other values",
        ),
        RequestError::Several { .. } => (StatusCode::BAD_REQUEST, "name the parameter once"),
        RequestError::FieldNames { .. } => (
            StatusCode::BAD_REQUEST,
            "separate the paths of members by commas, as in `id,customer.email`; `fields_param` gives the parameter another name",
        ),
        RequestError::FieldsOfTable { .. } => {
            (StatusCode::BAD_REQUEST, "name the columns instead (`_columns`), or ask for a format of JSON")
        }
        RequestError::Ranges => (StatusCode::BAD_REQUEST, "ask for one range at a time"),
        RequestError::Datetime => (StatusCode::BAD_REQUEST, "write it like this: Sun, 06 Nov 1994 08:49:37 GMT"),
    };
    report(status, "client", &error.to_string(), hint)
}

/// A snapshot whose first bytes were dropped to make room.
pub(super) fn dropped(gone: Evicted) -> Response<Body> {
    let hint = "ask for the URL without the snapshot, and start again; `memory` and `disk` in [snapshots] limit how much is kept";
    report(StatusCode::GONE, "unpage", &gone.to_string(), hint)
}

/// A range that names no snapshot. Clients would take any other status for the part or for the end of a download: they skip to their position
/// in a 200, and a 416 tells them that they have everything.
pub(super) fn unnamed_range(newest: Option<&str>) -> Response<Body> {
    let detail = "the request asks for a part of a stream, and doesn't say of which snapshot";
    let hint =
        "take the URL from the Content-Location field of the stream that broke off, or send its ETag in If-Range";
    let Some(newest) = newest else { return report(StatusCode::PRECONDITION_FAILED, "client", detail, hint) };
    let hint = format!("{hint}; the newest snapshot is {newest}");
    let mut response =
        with_members(StatusCode::PRECONDITION_FAILED, "client", detail, &hint, json!({ "snapshot": newest }));
    if let Ok(link) = HeaderValue::try_from(format!("<{newest}>; rel=\"latest-version\"")) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// A range past the end of a complete snapshot.
pub(super) fn behind(content_range: &str) -> Response<Body> {
    let detail = format!("the snapshot is complete, and ends before the range of the request: {content_range}");
    let hint = "the snapshot is complete: a copy that ends there has all of it";
    let mut response = report(StatusCode::RANGE_NOT_SATISFIABLE, "client", &detail, hint);
    if let Ok(content_range) = HeaderValue::try_from(content_range) {
        response.headers_mut().insert(header::CONTENT_RANGE, content_range);
    }
    response
}

/// A range past the last byte of a snapshot that broke.
pub(super) fn broken(failure: &Failure) -> Response<Body> {
    let detail = format!("the snapshot broke before the range of the request: {failure}");
    report(server_error(failure), failure.fault.name(), &detail, &failure.hint)
}

/// Returns the status of a stream that broke. The upstream's own is about a page, and some statuses mean that a download is done.
pub(super) fn server_error(failure: &Failure) -> StatusCode {
    let status = status_of(failure.fault);
    if status.is_server_error() { status } else { StatusCode::BAD_GATEWAY }
}

/// Returns the report for a request that would change on its way.
pub(super) fn bad_field(bad: &BadField) -> Response<Body> {
    let (message, hint) = match bad {
        BadField::MethodOverride(name) => (
            format!("the field {name} names another method than that of the request, and is not passed on"),
            "send the request with the method that is meant",
        ),
        BadField::HopByHop(name) => (
            format!("Connection names {name}, which is for the upstream and would be removed"),
            "name only fields of the connection there (RFC 9110 §7.6.1)",
        ),
    };
    report(StatusCode::BAD_REQUEST, "client", &message, hint)
}

/// Returns the report for a request for a stream whose pages would write as the operator.
pub(super) fn hidden_write(write: &HiddenWrite) -> Response<Body> {
    let detail = format!("{write}: no stream is made of it with the configured credentials");
    let hint = "send a query that only reads; the operator may name the method and path in `passthrough`";
    report(StatusCode::FORBIDDEN, "client", &detail, hint)
}

/// Returns the report for a path without a collection.
pub(super) fn no_route(no_route: NoRoute, path: &str) -> Response<Body> {
    let (status, message, hint) = match no_route {
        NoRoute::Unknown => (
            StatusCode::NOT_FOUND,
            format!("no collection is configured at {path}"),
            "add a [[collection]] with this path, or one with path = \"/{*rest}\"",
        ),
        NoRoute::DotSegments => (
            StatusCode::BAD_REQUEST,
            format!("the path has dot segments, backslashes or NUL, which upstreams resolve: {path}"),
            "send the path that is meant, without `.`, `..` and `\\`",
        ),
    };
    report(status, "client", &message, hint)
}

/// Returns the report for a request body that can't be sent again with every page.
pub(super) fn request_body(error: BodyError) -> Response<Body> {
    match error {
        BodyError::TooLarge => report(
            StatusCode::PAYLOAD_TOO_LARGE,
            "client",
            &format!("the request's body broke off or is larger than {MAX_REQUEST_BODY} bytes"),
            "send a complete body; it is sent again with every page, so it must be small",
        ),
        BodyError::TooSlow => report(
            StatusCode::REQUEST_TIMEOUT,
            "client",
            &format!("the request's body did not arrive within {}", humantime::Duration::from(BODY_LIMIT)),
            "send a complete body, and check that Content-Length is its length",
        ),
    }
}

/// A request body that is not JSON, where it is labelled as JSON or the pages' requests must have a JSON body.
pub(super) fn not_json(error: &serde_json::Error, kind: BodyKind) -> Response<Body> {
    let message = format!("the request's body isn't JSON: {error}");
    let hint = match kind {
        BodyKind::Json => "this collection puts its page parameter into a JSON body: send JSON",
        BodyKind::Form | BodyKind::Labelled => "send JSON, or name its media type in Content-Type",
    };
    report(StatusCode::BAD_REQUEST, "client", &message, hint)
}

fn status_of(fault: Fault) -> StatusCode {
    match fault {
        Fault::Refused(status) | Fault::RefusedClient(status) | Fault::RefusedConfiguration(status) => status,
        Fault::Unreachable | Fault::Upstream | Fault::Unproven | Fault::Moved | Fault::Changed | Fault::Credentials => {
            StatusCode::BAD_GATEWAY
        }
        Fault::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Fault::Configuration => StatusCode::INTERNAL_SERVER_ERROR,
        Fault::Lost | Fault::Stopped => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) fn report(status: StatusCode, fault: &str, detail: &str, hint: &str) -> Response<Body> {
    with_members(status, fault, detail, hint, json!({}))
}

/// Returns a report with further members after those that all reports have.
pub(super) fn with_members(
    status: StatusCode,
    fault: &str,
    detail: &str,
    hint: &str,
    members: Value,
) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut details = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "fault": fault,
        "hint": hint,
    });
    if let (Value::Object(details), Value::Object(members)) = (&mut details, members) {
        details.extend(members);
    }
    let mut response = Response::new(full(format!("{details:#}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_beginning_that_there_was_no_room_for_is_unpages_fault_and_says_what_room_is_called() {
        let (head, body) = dropped(Evicted { at: 0, from: 7 }).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((head.status, &problem["fault"]), (StatusCode::GONE, &json!("unpage")));
        let hint = problem["hint"].as_str().unwrap();
        assert!(["`memory`", "`disk`", "[snapshots]"].iter().all(|word| hint.contains(word)), "{hint}");
    }
}
