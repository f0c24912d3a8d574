//! Splits a page into its records, byte for byte, and picks the values at the configured paths, while the page arrives.
//!
//! Bytes go in however they were cut; records come out as they end, each a line, and values as they have been read. A record
//! keeps its own bytes (numbers, key order, escapes, duplicate keys) but for line breaks and the space around it: in JSON a raw
//! line break stands only between tokens, so it becomes a space and the record one line.
//!
//! | file | what it does |
//! |---|---|
//! | `walk.rs` | goes byte by byte through what stands around the records, to the wanted places (`tree.rs`) |
//! | `span.rs` | goes through records, and what nobody wants, by their brackets alone |
//! | `scan.rs`, `simd.rs` | make the masks that a span reads |
//! | `grammar.rs` | checks the whole grammar over the same masks, where that is asked for |
//! | `lines.rs` | turns the records into lines |

mod base64_text;
mod captures;
mod container_span;
mod flaw;
mod grammar;
mod lexer;
mod line_buffer;
mod masks;
mod open_value;
mod position;
mod scanner;
mod shape;
mod simd;
mod sketch;
mod surroundings;
mod target_tree;
#[cfg(test)]
mod tests;
mod utf8;
mod walker;

use std::sync::Arc;

use bytes::BytesMut;
use serde_json::value::RawValue;

use super::json_extract::{extract, parse, value_of};
use super::page::{Page, PageFields};
use super::path::Segment;
use super::{PageError, Path, Presence, Records, Validation, detect};
use crate::batch::Batch;
use captures::RecordsState;
use line_buffer::LineBuffer;
use masks::ScanDetail;
use open_value::WalkOutput;
use scanner::Scanner;
use utf8::Utf8Checker;
use walker::PageWalker;

pub use shape::PageShape;
pub use simd::Isa;

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;

/// As much of a page's start is kept for messages.
const START: usize = 240;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One page on its way.
#[derive(Debug)]
pub struct Splitter {
    shape: Arc<PageShape>,
    walker: PageWalker,
    output: WalkOutput,
    utf8: Utf8Checker,
    /// Bytes that came.
    read: u64,
    start: Vec<u8>,
    /// The whole page, where some of it can only be picked then.
    raw: BytesMut,
    taken: u64,
}

impl Splitter {
    /// A splitter for one page.
    pub fn new(shape: Arc<PageShape>) -> Self {
        let detail = match shape.tree.records.validation {
            Validation::Structure => ScanDetail::Structure,
            Validation::Full => ScanDetail::Grammar,
        };
        let walker = PageWalker::new(Arc::clone(&shape.tree), detail, shape.caps.record_bytes);
        let output = shape.pool.get().unwrap_or_else(|| WalkOutput {
            lines: LineBuffer::new(shape.caps.record_bytes, shape.tree.records.whitespace),
            scanner: Scanner::new(shape.isa),
        });
        let (start, raw) = (Vec::new(), BytesMut::new());
        Self { shape, walker, output, utf8: Utf8Checker::default(), read: 0, start, raw, taken: 0 }
    }

    /// Takes the next bytes of the page, however it was cut. After an error, nothing that came is to be trusted but what was
    /// taken before.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), PageError> {
        if self.read + bytes.len() as u64 > self.shape.caps.page_bytes {
            return Err(PageError::PageTooLarge(self.shape.caps.page_bytes));
        }
        let room = START.saturating_sub(self.start.len());
        self.start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let (begun, bytes) = self.without_mark(bytes);
        self.feed_text(begun)?;
        self.feed_text(bytes)
    }

    fn feed_text(&mut self, bytes: &[u8]) -> Result<(), PageError> {
        self.utf8.feed(bytes).map_err(PageError::NotUtf8)?;
        if !self.shape.late.is_empty() || self.shape.is_late() {
            self.raw.extend_from_slice(bytes);
        }
        if self.shape.is_late() {
            return Ok(());
        }
        self.walker.feed(bytes, &mut self.output).map_err(|wrong| self.starting(wrong))
    }

    /// The records that have ended since the last time.
    pub fn take(&mut self) -> Batch {
        if self.walker.is_sure() { self.lines() } else { Batch::default() }
    }

    /// Whether any byte of a record has come.
    pub fn has_begun(&self) -> bool {
        self.output.lines.has_begun()
    }

    /// The values at the configured paths that have been read.
    pub fn fields(&self) -> &PageFields {
        self.walker.fields()
    }

    /// The page is whole: the rest of its records, and what stood around them.
    pub fn finish(mut self) -> Result<Page, PageError> {
        self.utf8.finish().map_err(PageError::NotUtf8)?;
        if self.shape.is_late() {
            return self.finish_late();
        }
        self.walker.end_of_text(&mut self.output).map_err(|wrong| self.starting(wrong))?;
        let there = self.walker.records();
        let batch = match there {
            RecordsState::Present => self.lines(),
            RecordsState::Null | RecordsState::Absent | RecordsState::Other => Batch::default(),
        };
        self.shape.pool.put(self.output);
        let (found, sketch) = self.walker.finish();
        let sketch = sketch.finish();
        if let Some((path, value)) = found.first_error().filter(|_| self.taken == 0) {
            // No records beside an error are the upstream's failure under status 200: neither an empty page nor a wrong path.
            return Err(PageError::ErrorInPage { path: path.clone(), value: value.clone() });
        }
        let records = &self.shape.tree.records;
        let may_be_absent = there == RecordsState::Absent && records.presence == Presence::Optional;
        if !matches!(there, RecordsState::Present | RecordsState::Null) && !may_be_absent {
            let paths: Vec<_> = records.paths.iter().map(|path| format!("`{path}`")).collect();
            return Err(PageError::NoRecords { paths: paths.join(", "), arrays: arrays_of(&sketch, &self.start) });
        }
        let mut fields = found.into_fields();
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
        Ok(Page { batch, fields, sketch })
    }

    fn lines(&mut self) -> Batch {
        let batch = self.output.lines.take();
        if self.taken == 0 {
            self.walker.sketch().show(&batch);
        }
        self.taken += batch.records();
        batch
    }

    /// Records whose place is counted from an array's end are found in a second walk, when that place is known.
    fn finish_late(self) -> Result<Page, PageError> {
        let text = std::str::from_utf8(&self.raw).map_err(|error| PageError::NotUtf8(error.valid_up_to() as u64))?;
        let records = &self.shape.tree.records;
        let paths = records.paths.iter().map(|path| counted(path, text)).collect::<Result<_, _>>()?;
        let fields = self.shape.tree.fields.iter().chain(&self.shape.late).cloned().collect();
        let shape =
            PageShape::with_fields(fields, &Records { paths, ..records.clone() }, &self.shape.caps, self.shape.isa);
        let mut splitter = Self::new(Arc::new(shape));
        splitter.feed(text.as_bytes())?;
        splitter.finish()
    }

    /// The bytes without the byte order mark that a page may start with, and before them those that were taken for its start and
    /// weren't.
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

    /// The same with the start of the page, by which one sees what came instead of JSON.
    fn starting(&self, wrong: PageError) -> PageError {
        match wrong {
            PageError::NotJson { at, what, .. } => PageError::NotJson { at, what, start: start_of(&self.start) },
            other => other,
        }
    }
}

/// The path with each index from an array's end counted from its start.
fn counted(path: &Path, text: &str) -> Result<Path, PageError> {
    let mut segments: Vec<Segment> = Vec::new();
    for segment in path.segments() {
        segments.push(match segment {
            Segment::FromEnd(back) => {
                let array = Path::of(segments.clone());
                let elements = match extract(text, &[&array])?[0] {
                    Some(raw) if raw.get().starts_with('[') => parse::<Vec<&RawValue>>(raw.get())?.len(),
                    _ => 0,
                };
                Segment::Index(elements.checked_sub(*back).unwrap_or(usize::MAX))
            }
            other => other.clone(),
        });
    }
    Ok(Path::of(segments))
}

/// The start of a page, for a message.
fn start_of(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start);
    text.trim_start().chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn arrays_of(sketch: &[u8], start: &[u8]) -> String {
    match detect::seen_arrays(&detect::outline(sketch)) {
        _ if sketch.is_empty() => "more around its records than is looked at".to_owned(),
        seen if seen.is_empty() => format!("no array at all, it starts with `{}`", start_of(start)),
        seen => format!("arrays with {seen}"),
    }
}
