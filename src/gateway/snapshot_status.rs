//! State of a snapshot as JSON, for callers that may read it.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Response, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::response::{Body, StreamResponse, TableIndex, empty, full};
use crate::snapshot::{LogExtent, Snapshot, SnapshotState};
use crate::upstream_usage::UsageCounts;

pub(super) fn answer(asked: &StreamResponse<'_>) -> Response<Body> {
    let mut status = status(asked.snapshot, &asked.pinned_url(), SystemTime::now());
    let tables: Vec<_> =
        asked.tables.of_snapshot(asked.snapshot.id()).iter().filter_map(|table| table_of(table)).collect();
    if !tables.is_empty() {
        status["tables"] = tables.into();
    }
    let text = format!("{status:#}\n");
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(if asked.options.method == Method::HEAD { empty() } else { full(text) });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status(snapshot: &Snapshot, pinned: &str, now: SystemTime) -> Value {
    let facts = snapshot.facts();
    let LogExtent { visible, records, from, readers, .. } = snapshot.log().extent();
    let UsageCounts { pages, lists, gone, since, requests, retries, waits, waited, .. } = snapshot.usage().counts();
    let mut status = json!({
        "id": snapshot.id(),
        "url": pinned,
        "state": "running",
        "records": records,
        "bytes": visible,
        "pages": pages,
        "first_byte": from,
        "total": facts.total,
        // What a crawl counted before an interruption is lost.
        "counted_since": time(since),
        "requests": requests,
        "retries": retries,
        "waits": waits,
        "waited_seconds": millis(waited),
        "readers": readers,
        "created": time(facts.created),
        "valid_at": facts.valid_at.and_then(time),
        "ended": snapshot.ended().and_then(time),
        "expires": snapshot.expires().and_then(time),
        "digest": snapshot.known_digest().map(|digest| digest.to_string()),
    });
    if lists > 0 {
        status["lists"] = json!({ "parents": lists, "gone": gone });
    }
    match snapshot.state() {
        SnapshotState::Running => {
            let elapsed = now.duration_since(facts.created).unwrap_or_default().as_secs();
            status["eta_seconds"] = facts.total.and_then(|total| eta(total, records, elapsed)).into();
        }
        SnapshotState::Complete(verdict) => {
            status["state"] = "complete".into();
            status["pages"] = verdict.pages.into();
            status["verdict"] = json!(verdict);
        }
        SnapshotState::Broken(failure) => {
            status["state"] = "broken".into();
            let (fault, message, hint) = (failure.fault.name(), &failure.message, &failure.hint);
            status["failure"] = json!({ "fault": fault, "message": message, "hint": hint });
        }
        SnapshotState::Stopped => status["state"] = "stopped".into(),
    }
    status
}

/// Returns the use of a table's columns; none until it was encoded to its end, or where the user names no columns.
fn table_of(table: &TableIndex) -> Option<Value> {
    let of = table.column_use()?;
    Some(json!({
        "format": table.format().name(),
        "columns": table.columns().map(|columns| &columns[..]),
        "records": of.records,
        "beyond_columns": of.beyond_columns,
        "absent": of.absent,
    }))
}

/// Estimates the seconds until the end, at the average rate so far.
fn eta(total: u64, records: u64, elapsed: u64) -> Option<u64> {
    let left = u128::from(total.checked_sub(records)?);
    let seconds = (left * u128::from(elapsed)).checked_div(u128::from(records))?;
    u64::try_from(seconds).ok()
}

/// Returns seconds, rounded to milliseconds.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

fn time(moment: SystemTime) -> Option<String> {
    Timestamp::try_from(moment).ok().map(|moment| format!("{moment:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_came() {
        for (total, records, elapsed, seconds) in [
            (100, 50, 10, Some(10)),
            (100, 100, 10, Some(0)),
            (100, 0, 10, None),
            (100, 101, 10, None),
            (u64::MAX, 1, u64::MAX, None),
        ] {
            assert_eq!(eta(total, records, elapsed), seconds, "{records} of {total} in {elapsed} s");
        }
    }
}
