//! Problem reports for requests for a stream that no snapshot answers.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::lookup::NoSnapshot;
use super::problem::{failed, report, server_error, unnamed_range, with_members};
use super::session::SessionRefusal;
use crate::error::Failure;
use crate::id::SnapshotId;
use crate::response::Body;
use crate::snapshot::{LogExtent, Snapshot};

/// Value of `Retry-After` for a stream whose end has not come, in seconds: less than crawls go on without readers by default (`linger`).
const RETRY: u64 = 5;

/// Returns the report for a request that no snapshot answers. `pinned_url` returns the URL of a snapshot that a GET can ask for.
pub(super) fn no_snapshot(
    reason: &NoSnapshot,
    pinned_url: impl FnOnce(SnapshotId) -> Option<String>,
) -> Response<Body> {
    match reason {
        NoSnapshot::Failed(failure) => failed(failure),
        NoSnapshot::Gone(reason) => gone(reason.as_deref()),
        NoSnapshot::Session(refusal) => session(*refusal),
        NoSnapshot::UnnamedRange | NoSnapshot::Page => unnamed_range(None),
        NoSnapshot::TooMany(wait) => too_many(*wait),
        NoSnapshot::NotKept => not_kept(),
        NoSnapshot::NotKeptToItsEnd => not_kept_to_its_end(),
        NoSnapshot::NoEnd { snapshot, failure } => no_end(snapshot, failure.as_deref(), pinned_url(snapshot.id())),
    }
}

/// A pinned URL whose snapshot is not kept any more, never was, or is another caller's. The report doesn't say which of these it is; `reason` is
/// one that gives no caller away.
fn gone(reason: Option<&str>) -> Response<Body> {
    let detail = "the snapshot that the URL names is not kept here, or is not this caller's";
    let detail = reason.map_or_else(|| detail.to_owned(), |reason| format!("{detail}: {reason}"));
    let hint = "ask for the URL without the snapshot, with the same credentials, and start again";
    report(StatusCode::GONE, "client", &detail, hint)
}

/// A session without a snapshot for the request.
fn session(refusal: SessionRefusal) -> Response<Body> {
    let another =
        "begin again under another name, such as one with the date in it: a part of the old snapshot fits to no other";
    let (status, detail, hint) = match refusal {
        SessionRefusal::Free => (
            StatusCode::GONE,
            "the session has no snapshot, and a request for bytes behind the first ones gives it none",
            "begin with a request for the whole, or with HEAD: a part of another snapshot does not fit",
        ),
        SessionRefusal::Over => (
            StatusCode::GONE,
            "the snapshot of the session is not kept any more, and its name stands for no other one",
            another,
        ),
        SessionRefusal::NotWhole => (
            StatusCode::GONE,
            "the crawl of the session's snapshot broke and can't be resumed, or its beginning was dropped to make room, and its name stands \
             for no other one",
            another,
        ),
        SessionRefusal::OtherForm => (
            StatusCode::CONFLICT,
            "the session was begun in another format, or with other columns, whose bytes are others",
            "ask for the format and the columns of the first request, in the URL or by Accept, or take a name for each",
        ),
        SessionRefusal::Full(wait) => {
            let detail = "too many names of sessions were used within a day, by this caller or by all";
            let hint = "ask without the session, or use a name again after the time in Retry-After";
            return wait_for(wait, report(StatusCode::TOO_MANY_REQUESTS, "client", detail, hint));
        }
    };
    report(status, "client", detail, hint)
}

/// A caller that has begun as many crawls as it may in a time.
fn too_many(wait: Duration) -> Response<Body> {
    let detail = format!(
        "this caller has begun as many crawls as `opens` in [snapshots] allows; it may begin the next in {} s",
        whole_seconds(wait)
    );
    let hint = "ask again after the time in Retry-After; streams that others have begun, kept snapshots and resumed downloads don't count; the \
         operator may raise `opens`";
    wait_for(wait, report(StatusCode::TOO_MANY_REQUESTS, "client", &detail, hint))
}

fn wait_for(wait: Duration, mut report: Response<Body>) -> Response<Body> {
    report.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    report
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// `only-if-cached` (RFC 9111 §5.2.1.7), and no snapshot is kept.
fn not_kept() -> Response<Body> {
    report(
        StatusCode::GATEWAY_TIMEOUT,
        "client",
        "no fresh snapshot is kept, and the request allows no crawl (only-if-cached)",
        "ask without `only-if-cached`",
    )
}

/// A wait for the end of a stream that may not be kept until then.
fn not_kept_to_its_end() -> Response<Body> {
    report(
        StatusCode::CONFLICT,
        "client",
        "the request waits for the end of the stream, and its records can't be kept until then: no-store forbids it, or there is no room",
        "ask without the wait, and read the stream as it comes; `memory` and `disk` in [snapshots] limit how much is kept",
    )
}

/// A client that waits for the end of a stream can't tell a broken one from a whole one, so it gets no byte before the proof. `pinned` is the URL of the
/// snapshot.
fn no_end(snapshot: &Snapshot, failure: Option<&Failure>, pinned: Option<String>) -> Response<Body> {
    let LogExtent { records, .. } = snapshot.log().extent();
    let status = match failure {
        Some(failure) => server_error(failure),
        None => StatusCode::SERVICE_UNAVAILABLE,
    };
    let (fault, detail, hint) = match failure {
        Some(failure) => {
            (failure.fault.name(), format!("the stream broke after {records} records: {failure}"), failure.hint.clone())
        }
        None => (
            "upstream",
            format!(
                "the end of the stream was not proven for as long as the client waits; it has {records} records so far"
            ),
            "ask again after the time in Retry-After, at the URL in `snapshot`: the crawl goes on, or is resumed"
                .to_owned(),
        ),
    };
    let is_resumable = failure.is_none_or(|failure| failure.fault.is_transient());
    let pinned = pinned.filter(|_| is_resumable);
    let members = pinned.as_ref().map_or_else(|| json!({}), |pinned| json!({ "snapshot": pinned }));
    let mut response = with_members(status, fault, &detail, &hint, members);
    if is_resumable {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY));
    }
    response
}
