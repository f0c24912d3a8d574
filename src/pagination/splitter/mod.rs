//! Splits a page into its records, byte for byte, and captures the values at the configured paths, while the page arrives.
//!
//! Bytes are fed in pieces of any size. Each record is available as a line when it ends, and each value when it has been read. A
//! record keeps its own bytes (numbers, key order, escapes, duplicate keys) except line breaks and the space around it: a raw line
//! break is only allowed between tokens of JSON, so that it becomes a space and the record one line.
//!
//! | file, in the order of a page's bytes | task |
//! |---|---|
//! | `shape.rs` | the paths and limits of a collection's pages |
//! | `walker.rs` | reads the text around the records byte by byte; `json_position.rs` and `target_tree.rs` tell where it is |
//! | `surroundings.rs`, `page_sketch.rs` | keep the parts of that text that are used |
//! | `open_value.rs` | reads a whole value: records, and unused arrays and objects, by their brackets alone |
//! | `masks.rs`, `simd.rs` | make masks of 64 bytes, and pass each block's to its reader |
//! | `brackets.rs`, `grammar.rs` | the readers: brackets and separators; with full validation, the whole grammar |
//! | `line_buffer.rs` | turns the records into lines, and finds their keys in these (`keys/column.rs`) |
//! | `scalars.rs`, `white_space.rs`, `utf8.rs` | strings, numbers, white space and characters byte by byte |
//! | `flaw.rs` | the message about a page with a flaw |
//! | `base64_text.rs` | decodes the string that a page of records stands in |

mod base64_text;
mod brackets;
mod flaw;
mod grammar;
mod json_position;
mod line_buffer;
mod masks;
mod open_value;
mod page_sketch;
mod scalars;
mod shape;
mod simd;
mod surroundings;
mod target_tree;
#[cfg(test)]
mod tests;
mod utf8;
mod walker;
mod white_space;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::detect::Sketch;
use super::error_settings::{OwnWords, PageCompleteness};
use super::error_words::{check_empty, outlook_of};
use super::json_extract::{extract, value_of};
use super::keys::KeyColumn;
use super::page::{Page, PageFields, RecordHolder};
use super::page_envelope::PageEnvelope;
use super::{PageError, PageRequest, Path, Presence, Records, Validation};
use crate::batch::{Batch, LinesHash};
use flaw::{BEFORE_FLAW, arrays_of, shown_flaw};
use line_buffer::LineBuffer;
use masks::ScanDetail;
use open_value::{Scanner, WalkOutput};
use surroundings::{RecordsState, Surroundings};
use target_tree::from_start;
use utf8::Utf8Checker;
use walker::PageWalker;

use shape::NoContentPage;
pub use shape::PageShape;
pub use simd::Isa;

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;

/// Bytes of a page's start that are kept for messages.
const START: usize = 240;

/// Mark that a JSON text may begin with (RFC 8259 §8.1 lets a reader ignore it).
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The splitter of one page.
#[derive(Debug)]
pub struct Splitter {
    shape: Arc<PageShape>,
    /// Request of the page, whose values the page may repeat.
    asked: Option<Arc<PageRequest>>,
    walker: PageWalker,
    output: WalkOutput,
    utf8: Utf8Checker,
    /// Bytes that were fed.
    read: u64,
    /// Number of them when a record was last taken.
    last_record: u64,
    start: Vec<u8>,
    /// The whole page, if some of it can be extracted only at its end.
    raw: BytesMut,
    taken: u64,
    /// Hash of the lines that were taken.
    hash: LinesHash,
}

impl Splitter {
    /// The splitter of the answer to this request.
    pub fn of_answer(shape: Arc<PageShape>, asked: Arc<PageRequest>) -> Self {
        Self { asked: Some(asked), ..Self::new(shape) }
    }

    pub fn new(shape: Arc<PageShape>) -> Self {
        let detail = match shape.tree.records.validation {
            Validation::Structure => ScanDetail::Structure,
            Validation::Full => ScanDetail::Grammar,
        };
        let walker = PageWalker::new(Arc::clone(&shape.tree), detail, shape.caps.record_bytes);
        let keys = || shape.key.clone().map(|key| Box::new(KeyColumn::new(key)));
        let output = shape.pool.get().unwrap_or_else(|| WalkOutput {
            lines: LineBuffer::new(shape.caps.record_bytes, shape.tree.records.whitespace, keys()),
            scanner: Scanner::new(shape.isa),
        });
        Self {
            shape,
            asked: None,
            walker,
            output,
            utf8: Utf8Checker::default(),
            read: 0,
            last_record: 0,
            start: Vec::new(),
            raw: BytesMut::new(),
            taken: 0,
            hash: LinesHash::default(),
        }
    }

    /// Reads the next piece of the page. After an error, only the records that were taken before are valid.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), PageError> {
        if self.read + bytes.len() as u64 > self.shape.caps.page_bytes {
            return Err(PageError::PageTooLarge(self.shape.caps.page_bytes));
        }
        let room = START.saturating_sub(self.start.len());
        self.start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let (begun, bytes) = self.without_mark(bytes);
        self.feed_text(begun)?;
        self.feed_text(bytes)?;
        self.shape.failures.check(self.fields(), PageCompleteness::Beginning)?;
        self.check_progress()
    }

    /// Checks that the page goes on with records, and that no more of it is held than may be.
    fn check_progress(&mut self) -> Result<(), PageError> {
        let whole = self.shape.caps.whole_page_bytes().max(self.shape.caps.record_bytes);
        if (self.output.lines.bytes.len() + self.raw.len()) as u64 > whole {
            return Err(PageError::WholePageTooLarge(whole));
        }
        let gap = self.shape.caps.gap_bytes.max(self.shape.caps.record_bytes);
        if self.read - self.last_record > gap { Err(PageError::GapTooLarge(gap)) } else { Ok(()) }
    }

    fn feed_text(&mut self, bytes: &[u8]) -> Result<(), PageError> {
        self.utf8.feed(bytes).map_err(PageError::NotUtf8)?;
        if !self.shape.late.is_empty() || self.shape.is_late() {
            self.raw.extend_from_slice(bytes);
        }
        if self.shape.is_late() {
            return Ok(());
        }
        let read = self.walker.read();
        self.walker.feed(bytes, &mut self.output).map_err(|error| match error {
            PageError::NotJson { at, what, .. } => {
                let place = usize::try_from(at.saturating_sub(read)).unwrap_or(usize::MAX).saturating_sub(BEFORE_FLAW);
                PageError::NotJson { at, what, shown: shown_flaw(&self.start, at, &bytes[place.min(bytes.len())..]) }
            }
            other => other,
        })
    }

    /// Takes the records that have ended since the last call.
    pub fn take(&mut self) -> Batch {
        if self.walker.around.captures.is_sure() { self.lines() } else { Batch::default() }
    }

    /// Number of bytes in memory: records that were not taken, the one that is being read, and the page, where all of it is needed.
    pub fn held_bytes(&self) -> usize {
        self.output.lines.held_bytes() + self.raw.len()
    }

    /// Returns whether any byte of a record was read.
    pub fn has_begun(&self) -> bool {
        self.output.lines.has_begun()
    }

    /// XXH3 of the lines that were taken.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub fn fields(&self) -> &PageFields {
        self.walker.around.captures.fields()
    }

    /// Ends the page; returns the rest of its records, and the text around them.
    pub fn finish(mut self) -> Result<Page, PageError> {
        self.utf8.finish().map_err(PageError::NotUtf8)?;
        if self.shape.is_late() {
            return self.finish_late();
        }
        self.walker.end_of_text(&mut self.output).map_err(|error| match error {
            PageError::NotJson { at, what, .. } => {
                PageError::NotJson { at, what, shown: shown_flaw(&self.start, 0, &[]) }
            }
            other => other,
        })?;
        let there = self.walker.around.captures.records();
        let batch = match there {
            RecordsState::Present => self.lines(),
            RecordsState::Null | RecordsState::Absent | RecordsState::Other => Batch::default(),
        };
        self.shape.pool.put(self.output);
        let Surroundings { captures, sketch, .. } = self.walker.around;
        let sketch = Sketch::from(sketch.finish());
        let failures = &self.shape.failures;
        if self.taken == 0 && failures.words == OwnWords::Heeded {
            // An error without records is the upstream's failure under status 200: neither an empty page nor a wrong path.
            if let Some((path, value)) = captures.first_error().filter(|(path, _)| !failures.judges(&path.to_string()))
            {
                let outlook = outlook_of(value);
                return Err(PageError::ErrorInPage { path: path.clone(), value: value.clone(), outlook });
            }
            let envelope = PageEnvelope::words_of(sketch.outline(), self.asked.as_deref());
            check_empty(&envelope.without(|path| failures.judges(path)))?;
        }
        let records = &self.shape.tree.records;
        let holder = match there {
            RecordsState::Present => Some(RecordHolder::Records),
            RecordsState::Null => Some(RecordHolder::Null),
            RecordsState::Absent if records.presence == Presence::Optional => Some(RecordHolder::Absent),
            RecordsState::Absent | RecordsState::Other => None,
        };
        let Some(holder) = holder else {
            let paths: Vec<_> = records.paths.iter().map(|path| format!("`{path}`")).collect();
            return Err(PageError::NoRecords { paths: paths.join(", "), arrays: arrays_of(&sketch, &self.start) });
        };
        let mut fields = captures.into_fields();
        let late: Vec<&Path> = self.shape.late.iter().collect();
        if !late.is_empty() {
            let text =
                std::str::from_utf8(&self.raw).map_err(|error| PageError::NotUtf8(error.valid_up_to() as u64))?;
            for (path, raw) in late.iter().zip(extract(text, &late)?) {
                if let Some(raw) = raw {
                    fields.push((*path).clone(), value_of(path, raw)?);
                }
            }
        }
        failures.check(&fields, PageCompleteness::Whole)?;
        Ok(Page { batch, fields, holder, sketch, hash: self.hash.finish() })
    }

    fn lines(&mut self) -> Batch {
        let batch = self.output.lines.take();
        if self.taken == 0 {
            self.walker.around.sketch.show(&batch);
        }
        if !batch.is_empty() {
            self.last_record = self.read;
        }
        self.taken += batch.records();
        self.hash.add(&batch);
        batch
    }

    /// Ends a page that has no content, because its status says so (204).
    pub fn finish_without_content(self) -> Result<Page, PageError> {
        match self.shape.no_content {
            NoContentPage::Empty => {
                Ok(Page { holder: RecordHolder::Absent, sketch: Bytes::from_static(b"{}").into(), ..Page::default() })
            }
            NoContentPage::Error => Err(PageError::NoContent),
        }
    }

    /// Splits a page whose records' path counts from an array's end: the path is resolved in the whole page, which is then split.
    fn finish_late(self) -> Result<Page, PageError> {
        let text = std::str::from_utf8(&self.raw).map_err(|error| PageError::NotUtf8(error.valid_up_to() as u64))?;
        let records = &self.shape.tree.records;
        let paths = records.paths.iter().map(|path| from_start(path, text)).collect::<Result<_, _>>()?;
        let fields = self.shape.tree.fields.iter().chain(&self.shape.late).cloned().collect();
        let shape =
            PageShape::with_fields(fields, &Records { paths, ..records.clone() }, &self.shape.caps, self.shape.isa);
        let shape = Arc::new(PageShape { failures: self.shape.failures.clone(), key: self.shape.key.clone(), ..shape });
        let mut splitter = Self { asked: self.asked, ..Self::new(shape) };
        splitter.feed(text.as_bytes())?;
        splitter.finish()
    }

    /// Removes the byte order mark that a page may start with. Returns first the bytes that were taken for its start wrongly.
    fn without_mark<'a>(&mut self, bytes: &'a [u8]) -> (&'static [u8], &'a [u8]) {
        let before = usize::try_from(self.read).unwrap_or(usize::MAX);
        self.read += bytes.len() as u64;
        let Some((begun, rest)) = BYTE_ORDER_MARK.split_at_checked(before) else { return (&[], bytes) };
        if self.start.starts_with(&BYTE_ORDER_MARK[..BYTE_ORDER_MARK.len().min(self.start.len())]) {
            (&[], &bytes[rest.len().min(bytes.len())..])
        } else if self.start.starts_with(begun) {
            (begun, bytes)
        } else {
            (&[], bytes)
        }
    }
}
