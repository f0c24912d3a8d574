//! Byte ranges of a snapshot's log in a format (RFC 9110 §14), for a whole or a part of it.

use std::sync::Arc;

use memchr::memchr_iter;

use super::encoded_reader::FormatExtent;
use super::formatted_log::{FormattedLog, RecordSource};
use crate::error::{Failure, Fault};
use crate::format::RecordOffset;
use crate::request::{Range, RangeSpec};
use crate::snapshot::{Evicted, Log, LogExtent, ReaderEvent, Seal};

/// Last byte that `Content-Range` names where the last one is not known yet.
///
/// The field must name one (RFC 9110 §14.4), and RFC 8673 takes a very large number for "as long as it comes". Measured with `Content-Range: bytes
/// N-LAST/*` over chunks, where the whole is 29,890 bytes:
///
/// | LAST | `curl -C -` | `wget -c`, and wget's own retries |
/// |---|---|---|
/// | 2⁵³ - 1, 2⁶³ - 2 | the same bytes | the same bytes; asks once more for what follows, and takes the 416 for the end |
/// | 2⁶⁴ - 2, nothing, `*` | the same bytes | gives up: it can't read the field |
/// | the last visible byte | the same bytes | **stops there, and says that all is well** |
///
/// So a head need not wait until the snapshot is complete, and the number is the largest that is exact in JavaScript.
const UNKNOWN_LAST: u64 = (1 << 53) - 1;

/// Bytes of a log for the body of a response.
#[derive(Debug)]
pub struct ByteRange {
    /// None for a HEAD, which keeps no crawl going.
    pub reader: Option<RecordSource>,
    /// Number of bytes; none where the snapshot still grows, or broke: the body ends where the snapshot does.
    pub length: Option<u64>,
    /// Value of `Content-Range`; none for the whole.
    pub content_range: Option<String>,
}

/// Reason for which there are no such bytes.
#[derive(Debug)]
pub enum RangeError {
    /// The snapshot is complete and ends before them; the value of `Content-Range`.
    Behind(String),
    /// The snapshot broke before it had them.
    Broken(Arc<Failure>),
    /// They were dropped.
    Gone(Evicted),
}

impl ByteRange {
    /// Returns everything from the first byte on.
    pub(super) fn whole(log: FormattedLog<'_>) -> Result<Self, RangeError> {
        let reader = Some(log.reader(0, None)?);
        Ok(Self { reader, length: log.length(), content_range: None })
    }

    /// Returns what is known of everything from the first byte on.
    pub(super) fn head(log: FormattedLog<'_>) -> Result<Self, RangeError> {
        match log.log.extent() {
            LogExtent { from: 0, .. } => Ok(Self { reader: None, length: log.length(), content_range: None }),
            LogExtent { from, .. } => Err(RangeError::Gone(Evicted { at: 0, from })),
        }
    }

    /// Returns a part, as soon as it is known that it will be there. A range that counts from an end that is not known yet is ignored, and
    /// the whole is returned (RFC 9110 §14.2), as is one in records of a format that has no lines.
    pub(super) async fn part(log: FormattedLog<'_>, range: Range) -> Result<Self, RangeError> {
        let range = match range {
            Range::Bytes(span) => Self::bytes(log, span).await?,
            Range::Records(span) if log.has_lines_of_the_log() => Self::records(log.log, span).await?,
            Range::Records(_) => None,
        };
        range.map_or_else(|| Self::whole(log), Ok)
    }

    async fn bytes(log: FormattedLog<'_>, span: RangeSpec) -> Result<Option<Self>, RangeError> {
        let (first, last) = match (span, log.length()) {
            (RangeSpec::From(first), _) => (first, None),
            (RangeSpec::Within(first, last), _) => (first, Some(last)),
            (RangeSpec::Last(0), Some(length)) => return Err(RangeError::Behind(format!("bytes */{length}"))),
            (RangeSpec::Last(count), Some(length)) => (length.saturating_sub(count), None),
            (RangeSpec::Last(_), None) => return Ok(None),
        };
        let reader = log.reader(first, None)?;
        let FormatExtent { visible, length, failure } = log.reached(first, last.unwrap_or(first)).await?;
        if first >= visible {
            return Err(match length {
                Some(length) => RangeError::Behind(format!("bytes */{length}")),
                None => RangeError::Broken(failure.unwrap_or_else(unread)),
            });
        }
        let total = length.map_or("*".to_owned(), |length| length.to_string());
        // A range with an end is answered with the bytes that are visible now; the client may ask for more.
        let last = last.or(length.map(|_| u64::MAX)).map(|last| last.min(visible - 1));
        let content_range = format!("bytes {first}-{}/{total}", last.unwrap_or(UNKNOWN_LAST));
        Ok(Some(match last {
            Some(last) => {
                let reader = log.reader(first, Some(last + 1))?;
                Self { reader: Some(reader), length: Some(last + 1 - first), content_range: Some(content_range) }
            }
            None => Self { reader: Some(reader), length: None, content_range: Some(content_range) },
        }))
    }

    /// Counts lines from a known one on, and waits for the last one of the range.
    async fn records(log: &Log, span: RangeSpec) -> Result<Option<Self>, RangeError> {
        let (first, last) = match span {
            RangeSpec::From(first) => (first, u64::MAX),
            RangeSpec::Within(first, last) => (first, last),
            RangeSpec::Last(count) => match log.extent() {
                LogExtent { records, seal: Some(Seal::Complete(_)), .. } => (records.saturating_sub(count), u64::MAX),
                _ => return Ok(None),
            },
        };
        let lines = LineRange::count(log, first, last).await?;
        let LogExtent { records, seal, .. } = log.extent();
        if lines.count <= first {
            return Err(never(seal, || format!("records */{records}")));
        }
        let total = if matches!(seal, Some(Seal::Complete(_))) { records.to_string() } else { "*".to_owned() };
        let content_range = format!("records {first}-{}/{total}", lines.count - 1);
        let reader = RecordSource::Log(log.reader(lines.start, Some(lines.end))?);
        let length = lines.end - lines.start;
        Ok(Some(Self { reader: Some(reader), length: Some(length), content_range: Some(content_range) }))
    }
}

/// Bytes of a range of lines.
#[derive(Debug)]
struct LineRange {
    /// First byte of the first line.
    start: u64,
    /// Byte after the last line.
    end: u64,
    /// Number of lines of the log up to there.
    count: u64,
}

impl LineRange {
    /// Finds the whole lines from the first to the last one, or to the end of the log.
    async fn count(log: &Log, first: u64, last: u64) -> Result<Self, Evicted> {
        let RecordOffset { record, byte } = log.near(|offset| offset.record <= first);
        let mut reader = log.reader(byte, None)?;
        let mut lines = Self { start: byte, end: byte, count: record };
        loop {
            let at = reader.position();
            // The log's seal tells a broken end from a proven one.
            let Ok(ReaderEvent::Bytes(bytes)) = reader.next().await else { return Ok(lines) };
            for newline in memchr_iter(b'\n', &bytes) {
                lines.end = at + newline as u64 + 1;
                lines.count += 1;
                if lines.count == first {
                    lines.start = lines.end;
                }
                if lines.count > last {
                    return Ok(lines);
                }
            }
        }
    }
}

impl From<Evicted> for RangeError {
    fn from(gone: Evicted) -> Self {
        Self::Gone(gone)
    }
}

/// Returns the reason for which bytes after the last one will not come. Only a complete snapshot has an end (416): clients take it for the
/// end of their download.
fn never(seal: Option<Seal>, content_range: impl FnOnce() -> String) -> RangeError {
    match seal {
        Some(Seal::Complete(_)) => RangeError::Behind(content_range()),
        Some(Seal::Failed(failure)) => RangeError::Broken(failure),
        None => RangeError::Broken(unread()),
    }
}

/// Failure of a read whose log has no end, and no byte at that place.
fn unread() -> Arc<Failure> {
    Arc::new(Failure::new(Fault::Stopped, "the snapshot could not be read up to there", "ask again"))
}
