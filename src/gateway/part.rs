//! Which bytes of a snapshot answer the wish for a part of it.

use std::sync::Arc;

use memchr::memchr_iter;

use crate::error::{Failure, Fault};
use crate::request::{Range, Span};
use crate::snapshot::{Evicted, Log, LogExtent, Reader, ReaderEvent, RecordOffset, Seal};

/// The last byte that `Content-Range` names where nobody knows the last one yet.
///
/// It must name one (RFC 9110 §14.4), and RFC 8673 takes a very large number for "as long as it comes". Measured with `Content-Range: bytes
/// N-LAST/*` over chunks, where the whole is 29,890 bytes:
///
/// | LAST | `curl -C -` | `wget -c`, and wget's own retries |
/// |---|---|---|
/// | 2⁵³ - 1, 2⁶³ - 2 | the same bytes | the same bytes; asks once more for what follows, and takes the 416 for the end |
/// | 2⁶⁴ - 2, nothing, `*` | the same bytes | gives up: it can't read the field |
/// | the last visible byte | the same bytes | **stops there, and says that all is well** |
///
/// So a head need not wait until the snapshot is complete, and the number is the largest that is exact in JavaScript.
const NOBODY_KNOWS: u64 = (1 << 53) - 1;

/// What goes into a body, and how long that is.
#[derive(Debug)]
pub(super) struct Slice {
    /// None for who wants no more than the head: it keeps no crawl going.
    pub(super) reader: Option<Reader>,
    /// None where the snapshot still grows, or broke: the body's end is the snapshot's.
    pub(super) length: Option<u64>,
    /// What `Content-Range` says; none for the whole.
    pub(super) content_range: Option<String>,
}

/// Why there are no such bytes.
#[derive(Debug)]
pub(super) enum Missing {
    /// The snapshot is complete, and ends before them: what it says in `Content-Range`.
    Behind(String),
    /// The snapshot broke before it had them.
    Broken(Arc<Failure>),
    /// They were there once.
    Gone(Evicted),
}

impl Slice {
    /// Everything from the first byte on.
    pub(super) fn whole(log: &Log) -> Result<Self, Missing> {
        let reader = Some(log.reader(0, None)?);
        Ok(Self { reader, length: length(&log.extent()), content_range: None })
    }

    /// What is known of everything from the first byte on.
    pub(super) fn head(log: &Log) -> Result<Self, Missing> {
        match log.extent() {
            LogExtent { from: 0, .. } => Ok(Self { reader: None, length: length(&log.extent()), content_range: None }),
            LogExtent { from, .. } => Err(Missing::Gone(Evicted { at: 0, from })),
        }
    }

    /// The part that is asked for, as soon as it is known whether it can be had. What counts from an end that nobody knows is no part: the
    /// whole answers it.
    pub(super) async fn part(log: &Log, range: Range) -> Result<Self, Missing> {
        let slice = match range {
            Range::Bytes(span) => Self::bytes(log, span).await?,
            Range::Records(span) => Self::records(log, span).await?,
        };
        slice.map_or_else(|| Self::whole(log), Ok)
    }

    async fn bytes(log: &Log, span: Span) -> Result<Option<Self>, Missing> {
        let (first, last) = match (span, length(&log.extent())) {
            (Span::From(first), _) => (first, None),
            (Span::Within(first, last), _) => (first, Some(last)),
            (Span::Last(0), Some(length)) => return Err(Missing::Behind(format!("bytes */{length}"))),
            (Span::Last(count), Some(length)) => (length.saturating_sub(count), None),
            (Span::Last(_), None) => return Ok(None),
        };
        let mut reader = log.reader(first, None)?;
        let extent = reader.reached().await;
        if first >= extent.visible {
            return Err(never(extent.seal, || format!("bytes */{}", extent.visible)));
        }
        let length = length(&extent);
        let total = length.map_or("*".to_owned(), |length| length.to_string());
        // What is whole by now answers a range with an end; more of it may be asked for.
        let last = last.or(length.map(|_| u64::MAX)).map(|last| last.min(extent.visible - 1));
        let content_range = format!("bytes {first}-{}/{total}", last.unwrap_or(NOBODY_KNOWS));
        Ok(Some(match last {
            Some(last) => Self::between(log, first, last + 1, content_range)?,
            None => Self { reader: Some(reader), length: None, content_range: Some(content_range) },
        }))
    }

    /// Whole lines: counts them from one that is known on, and waits for the last one that is asked for.
    async fn records(log: &Log, span: Span) -> Result<Option<Self>, Missing> {
        let (first, last) = match span {
            Span::From(first) => (first, u64::MAX),
            Span::Within(first, last) => (first, last),
            Span::Last(count) => match log.extent() {
                LogExtent { records, seal: Some(Seal::Complete(_)), .. } => (records.saturating_sub(count), u64::MAX),
                _ => return Ok(None),
            },
        };
        let lines = Lines::count(log, first, last).await?;
        let LogExtent { records, seal, .. } = log.extent();
        if lines.count <= first {
            return Err(never(seal, || format!("records */{records}")));
        }
        let total = if matches!(seal, Some(Seal::Complete(_))) { records.to_string() } else { "*".to_owned() };
        let content_range = format!("records {first}-{}/{total}", lines.count - 1);
        Self::between(log, lines.start, lines.end, content_range).map(Some)
    }

    fn between(log: &Log, start: u64, end: u64, content_range: String) -> Result<Self, Missing> {
        let reader = Some(log.reader(start, Some(end))?);
        Ok(Self { reader, length: Some(end - start), content_range: Some(content_range) })
    }
}

/// Where lines begin and end.
#[derive(Debug)]
struct Lines {
    /// The byte at which the first one begins.
    start: u64,
    /// The byte behind the last one.
    end: u64,
    /// How many lines there are up to there.
    count: u64,
}

impl Lines {
    /// The whole lines from the one on to the other, or to the end of the log.
    async fn count(log: &Log, first: u64, last: u64) -> Result<Self, Evicted> {
        let RecordOffset { record, byte } = log.near(first);
        let mut reader = log.reader(byte, None)?;
        let mut lines = Self { start: byte, end: byte, count: record };
        loop {
            let at = reader.position();
            // Whether the log broke or is complete is in its seal.
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

impl From<Evicted> for Missing {
    fn from(gone: Evicted) -> Self {
        Self::Gone(gone)
    }
}

/// How long it is, where that is known.
fn length(extent: &LogExtent) -> Option<u64> {
    matches!(extent.seal, Some(Seal::Complete(_))).then_some(extent.bytes)
}

/// Why bytes that nobody has will not come. Only a complete snapshot is said to end: clients take that for the end of their download.
fn never(seal: Option<Seal>, content_range: impl FnOnce() -> String) -> Missing {
    match seal {
        Some(Seal::Complete(_)) => Missing::Behind(content_range()),
        Some(Seal::Failed(failure)) => Missing::Broken(failure),
        None => Missing::Broken(Arc::new(Failure::new(
            Fault::Stopped,
            "the snapshot could not be read up to there",
            "ask again",
        ))),
    }
}
