//! Splits a page into its records, byte for byte, and captures the values at the configured paths, while the page arrives.
//!
//! Bytes are fed in pieces of any size. Each record is available as a line when it ends, and each value when it has been read. A
//! record keeps its own bytes (numbers, key order, escapes, duplicate keys) except line breaks and the space around it: a raw line
//! break is only allowed between tokens of JSON, so that it becomes a space and the record one line.
//!
//! | file, in the order of a page's bytes | task |
//! |---|---|
//! | `shape.rs` | the paths and limits of a collection's pages |
//! | `walker.rs` | reads the text around the records byte by byte (`walker/holders.rs`: to the values that hold them); `json_position.rs` and `target_tree.rs` tell where it is |
//! | `surroundings.rs`, `captures.rs`, `page_sketch.rs` | keep the parts of that text that are used |
//! | `open_value.rs` | reads a whole value: records, and unused arrays and objects, by their brackets alone |
//! | `masks.rs`, `simd.rs` | make masks of 64 bytes, and pass each block's to its reader |
//! | `brackets.rs`, `grammar.rs` | the readers: brackets and separators; with full validation, the whole grammar |
//! | `line_buffer.rs` | turns the records into lines, and finds their keys in these (`keys/column.rs`) |
//! | `scalars.rs`, `white_space.rs`, `utf8.rs` | strings, numbers, white space and characters byte by byte |
//! | `flaw.rs` | the message about a page with a flaw |
//! | `preamble.rs` | takes the JSON out of a prefix or a call |
//! | `converter.rs`: `line_texts.rs`, `xml_text.rs`, `csv_text.rs` | turns lines, XML and CSV into JSON |
//! | `page_end.rs` | checks the whole page; `columns.rs` makes records of its columns |
//! | `base64_text.rs` | decodes the string that a page of records stands in |

mod base64_text;
mod brackets;
mod captures;
mod columns;
mod converter;
mod csv_text;
mod flaw;
mod grammar;
mod json_position;
mod line_buffer;
mod line_texts;
mod masks;
mod open_value;
mod page_end;
mod page_sketch;
mod preamble;
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
mod xml_element;
mod xml_text;
mod xml_tokens;

use std::sync::Arc;

use bytes::BytesMut;

use super::error_settings::PageCompleteness;
use super::keys::KeyColumn;
use super::page::PageFields;
use super::{PageError, PageRequest, Validation};
use crate::batch::{Batch, LinesHash};
use converter::Converter;
use flaw::{BEFORE_FLAW, flawed, shown_flaw};
use line_buffer::LineBuffer;
use masks::ScanDetail;
use open_value::{Scanner, WalkOutput};
use preamble::Preamble;
use utf8::Utf8Checker;
use walker::{Call, PageWalker};

pub(crate) use converter::as_json;
pub(crate) use preamble::json_of;
pub use shape::PageShape;
pub use simd::Isa;
pub(crate) use xml_text::xml_as_json;

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
    /// Text in front of the JSON, until the JSON begins.
    preamble: Option<Preamble>,
    /// Converter of a page that is no JSON text.
    converter: Option<Converter>,
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
        let converter = Converter::new(&shape.tree.records, &shape.tree.fields);
        Self {
            shape,
            asked: None,
            walker,
            preamble: converter.is_none().then(Preamble::default),
            converter,
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
        let converted = self.converter.as_ref().map_or(0, Converter::held_bytes);
        if (self.output.lines.bytes.len() + self.raw.len() + converted) as u64 > whole {
            return Err(PageError::WholePageTooLarge(whole));
        }
        let gap = self.shape.caps.gap_bytes.max(self.shape.caps.record_bytes);
        if self.read - self.last_record > gap { Err(PageError::GapTooLarge(gap)) } else { Ok(()) }
    }

    fn feed_text(&mut self, bytes: &[u8]) -> Result<(), PageError> {
        self.utf8.feed(bytes).map_err(PageError::NotUtf8)?;
        if let Some(mut converter) = self.converter.take() {
            let fed = converter.feed(bytes, &mut |part| self.feed_json(part));
            self.converter = Some(converter);
            return fed.map_err(|error| self.shown(error));
        }
        let Some(preamble) = &mut self.preamble else { return self.feed_json(bytes) };
        if preamble.is_none_before(bytes) {
            self.preamble = None;
            return self.feed_json(bytes);
        }
        let Some(begun) = preamble.feed(bytes) else { return Ok(()) };
        self.walker.call = if begun.is_call { Call::Open } else { Call::None };
        self.preamble = None;
        self.feed_json(&begun.json)
    }

    fn feed_json(&mut self, bytes: &[u8]) -> Result<(), PageError> {
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
                flawed(&self.start, at, what, &bytes[place.min(bytes.len())..])
            }
            other => other,
        })
    }

    /// The error with the start of the page, where its text is not of the configured encoding.
    fn shown(&self, error: PageError) -> PageError {
        match error {
            PageError::BadText { encoding, at, what, .. } => {
                PageError::BadText { encoding, at, what, shown: shown_flaw(&self.start, 0, &[]) }
            }
            other => other,
        }
    }

    /// Takes the records that have ended since the last call.
    pub fn take(&mut self) -> Batch {
        if self.walker.around.captures.is_sure() { self.lines() } else { Batch::default() }
    }

    /// Number of bytes in memory: records that were not taken, the one that is being read, and the page, where all of it is needed.
    pub fn held_bytes(&self) -> usize {
        let converted = self.converter.as_ref().map_or(0, Converter::held_bytes);
        self.output.lines.held_bytes() + self.raw.len() + converted
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
