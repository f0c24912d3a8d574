//! Range requests in a unit of the upstream's own (RFC 9110 §14).

use http::{HeaderMap, HeaderValue, header};

use super::tally::excerpt;
use crate::pagination::PageError;

/// The value of a `Range` header field: `size` records from `start`.
pub(super) fn wanted(unit: &str, start: u64, size: u64) -> Result<HeaderValue, PageError> {
    let last = start.saturating_add(size.max(1) - 1);
    HeaderValue::from_str(&format!("{unit}={start}-{last}"))
        .map_err(|_| PageError::BadRange(format!("the unit `{unit}` is not a token")))
}

/// A `Content-Range` (RFC 9110 §14.4) of any unit.
pub(super) struct ContentRange {
    /// The first and the last record of it.
    pub(super) span: Option<(u64, u64)>,
    /// How many records there are in all.
    pub(super) total: Option<u64>,
}

/// The `Content-Range` of an answer, if it has one.
pub(super) fn content_range(headers: &HeaderMap) -> Result<Option<ContentRange>, PageError> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let read = || {
        // PostgREST leaves the unit out.
        let range = text.trim().split_once(' ').map_or(text.trim(), |(_, range)| range);
        let (span, total) = range.split_once('/')?;
        let span = match span {
            "*" => None,
            span => {
                let (first, last) = span.split_once('-')?;
                let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
                if first > last || last == u64::MAX {
                    return None;
                }
                Some((first, last))
            }
        };
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        Some(ContentRange { span, total })
    };
    read().map(Some).ok_or_else(|| PageError::BadRange(format!("Content-Range is `{}`", excerpt(&text))))
}
