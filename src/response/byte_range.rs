//! Byte ranges of a snapshot's log (RFC 9110 §14), for a whole or a part of it.

use std::sync::Arc;

use memchr::memchr_iter;

use crate::error::{Failure, Fault};
use crate::request::{Range, RangeSpec};
use crate::snapshot::{Evicted, Log, LogExtent, Reader, ReaderEvent, RecordOffset, Seal};

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
    pub reader: Option<Reader>,
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
    pub fn whole(log: &Log) -> Result<Self, RangeError> {
        let reader = Some(log.reader(0, None)?);
        Ok(Self { reader, length: length(&log.extent()), content_range: None })
    }

    /// Returns what is known of everything from the first byte on.
    pub fn head(log: &Log) -> Result<Self, RangeError> {
        match log.extent() {
            LogExtent { from: 0, .. } => Ok(Self { reader: None, length: length(&log.extent()), content_range: None }),
            LogExtent { from, .. } => Err(RangeError::Gone(Evicted { at: 0, from })),
        }
    }

    /// Returns a part, as soon as it is known that it will be there. A range that counts from an end that is not known yet is ignored, and
    /// the whole is returned (RFC 9110 §14.2).
    pub async fn part(log: &Log, range: Range) -> Result<Self, RangeError> {
        let range = match range {
            Range::Bytes(span) => Self::bytes(log, span).await?,
            Range::Records(span) => Self::records(log, span).await?,
        };
        range.map_or_else(|| Self::whole(log), Ok)
    }

    async fn bytes(log: &Log, span: RangeSpec) -> Result<Option<Self>, RangeError> {
        let (first, last) = match (span, length(&log.extent())) {
            (RangeSpec::From(first), _) => (first, None),
            (RangeSpec::Within(first, last), _) => (first, Some(last)),
            (RangeSpec::Last(0), Some(length)) => return Err(RangeError::Behind(format!("bytes */{length}"))),
            (RangeSpec::Last(count), Some(length)) => (length.saturating_sub(count), None),
            (RangeSpec::Last(_), None) => return Ok(None),
        };
        let mut reader = log.reader(first, None)?;
        let extent = reader.reached().await;
        if first >= extent.visible {
            return Err(never(extent.seal, || format!("bytes */{}", extent.visible)));
        }
        let length = length(&extent);
        let total = length.map_or("*".to_owned(), |length| length.to_string());
        // A range with an end is answered with the bytes that are visible now; the client may ask for more.
        let last = last.or(length.map(|_| u64::MAX)).map(|last| last.min(extent.visible - 1));
        let content_range = format!("bytes {first}-{}/{total}", last.unwrap_or(UNKNOWN_LAST));
        Ok(Some(match last {
            Some(last) => Self::between(log, first, last + 1, content_range)?,
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
        Self::between(log, lines.start, lines.end, content_range).map(Some)
    }

    fn between(log: &Log, start: u64, end: u64, content_range: String) -> Result<Self, RangeError> {
        let reader = Some(log.reader(start, Some(end))?);
        Ok(Self { reader, length: Some(end - start), content_range: Some(content_range) })
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
        let RecordOffset { record, byte } = log.near(first);
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

/// Returns the number of bytes of a log that is complete.
fn length(extent: &LogExtent) -> Option<u64> {
    matches!(extent.seal, Some(Seal::Complete(_))).then_some(extent.bytes)
}

/// Returns the reason for which bytes after the last one will not come. Only a complete snapshot has an end (416): clients take it for the
/// end of their download.
fn never(seal: Option<Seal>, content_range: impl FnOnce() -> String) -> RangeError {
    match seal {
        Some(Seal::Complete(_)) => RangeError::Behind(content_range()),
        Some(Seal::Failed(failure)) => RangeError::Broken(failure),
        None => RangeError::Broken(Arc::new(Failure::new(
            Fault::Stopped,
            "the snapshot could not be read up to there",
            "ask again",
        ))),
    }
}
