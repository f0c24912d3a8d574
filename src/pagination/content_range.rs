//! `Content-Range` of any unit (RFC 9110 §14.4).

use http::{HeaderMap, header};

use super::error::{PageError, excerpt};

pub(super) struct ContentRange {
    /// First and last record, inclusive; `None` for `*`.
    pub(super) span: Option<(u64, u64)>,
    /// Number of records of the collection; `None` for `*`.
    pub(super) total: Option<u64>,
}

/// Returns the `Content-Range` of an answer, if it has one.
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
