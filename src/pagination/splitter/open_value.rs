//! A value outside of the walker's own states, read piece by piece: a string, a number or literal, or a whole array or object.
//!
//! The inside of an array or object is read by its brackets alone, which is the fast path for records, and for values that are skipped.
//! Commas at the depth of an array are the separators of its elements. In a block without brackets, only they need to be read.

use super::brackets::BracketStack;
use super::flaw::{Flaw, FlawKind, SCALAR, VALUE};
use super::grammar::GrammarChecker;
use super::line_buffer::{LineBuffer, LineUse, SpanPart};
use super::masks::{BlockStop, Carry, Cuts, ScanDetail};
use super::scalars::{ScalarState, StringState};
use super::simd::{self, Isa};
use super::surroundings::Surroundings;
use crate::pagination::PageError;

/// Destination of the records, and the scanner that finds them.
#[derive(Debug)]
pub(super) struct WalkOutput {
    pub(super) lines: LineBuffer,
    pub(super) scanner: Scanner,
}

#[derive(Debug)]
pub(super) struct OpenValue {
    kind: ValueKind,
    usage: ValueUse,
}

#[derive(Debug)]
enum ValueKind {
    String(StringState),
    Scalar(ScalarState),
    Span(Box<ContainerSpan>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueUse {
    /// An array of records.
    Records,
    Record,
    /// `null` in place of a record.
    NoRecord,
    Other,
}

impl OpenValue {
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.kind, ValueKind::Scalar(_))
    }

    /// Begins a string, a number or a literal with its first byte.
    pub(super) fn begin_plain(
        byte: u8,
        usage: ValueUse,
        around: &mut Surroundings,
        output: &mut WalkOutput,
    ) -> Result<Self, FlawKind> {
        let kind = match (byte, ScalarState::new(byte)) {
            (b'"', _) => {
                around.sketch.begin_string();
                ValueKind::String(StringState::default())
            }
            (_, Some(scalar)) => ValueKind::Scalar(scalar),
            (_, None) => return Err(FlawKind::Expected(VALUE)),
        };
        output.lines.set_use(LineUse::Records);
        let value = Self { kind, usage };
        value.put(&[byte], around, output).map_err(FlawKind::Page)?;
        Ok(value)
    }

    /// Begins an array or object, behind its opening bracket.
    pub(super) fn begin_span(span: ContainerSpan, usage: ValueUse, output: &mut WalkOutput) -> Result<Self, FlawKind> {
        output.lines.set_use(if usage == ValueUse::Other { LineUse::Skipped } else { LineUse::Records });
        if usage == ValueUse::Record {
            output.lines.add_plain(&[span.opening()]).map_err(FlawKind::Page)?;
        }
        Ok(Self { kind: ValueKind::Span(Box::new(span)), usage })
    }

    /// Reads the next piece, before which the page has `read` bytes; returns the number of its bytes that belong to the value, if it ends.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        read: u64,
        around: &mut Surroundings,
        output: &mut WalkOutput,
    ) -> Result<Option<usize>, Flaw> {
        let (len, is_whole) = match &mut self.kind {
            ValueKind::Span(_) => return self.feed_span(piece, read, around, output),
            ValueKind::String(state) => {
                let (len, next) = state.read(piece)?;
                *state = next.unwrap_or_default();
                (len, next.is_none())
            }
            ValueKind::Scalar(state) => {
                let mut len = 0;
                while let Some(next) = piece.get(len).and_then(|byte| state.next(*byte)) {
                    *state = next;
                    len += 1;
                }
                let is_whole = len < piece.len();
                if is_whole && !state.is_whole() {
                    return Err(Flaw { at: len, kind: FlawKind::Expected(SCALAR) });
                }
                (len, is_whole)
            }
        };
        let at = len.saturating_sub(1);
        self.put(&piece[..len], around, output).map_err(|error| Flaw { at, kind: FlawKind::Page(error) })?;
        if is_whole && self.usage == ValueUse::Record {
            output.lines.end().map_err(|kind| Flaw { at, kind })?;
            around.sketch.add(b"null");
        }
        Ok(is_whole.then_some(len))
    }

    fn feed_span(
        &mut self,
        piece: &[u8],
        read: u64,
        around: &mut Surroundings,
        output: &mut WalkOutput,
    ) -> Result<Option<usize>, Flaw> {
        let ValueKind::Span(span) = &mut self.kind else { return Ok(None) };
        let fed = span.feed(piece, &mut output.scanner, &mut output.lines);
        if self.usage == ValueUse::Other {
            let end = fed.as_ref().map_or(None, |end| *end);
            around.skip(&piece[..end.unwrap_or(piece.len())]);
        }
        let Some(end) = fed? else { return Ok(None) };
        match self.usage {
            ValueUse::Records => around.sketch.add_records(span.elements()),
            ValueUse::Other => {
                let skipped = around.end_skip(span.elements(), read + end as u64);
                skipped.map_err(|error| Flaw { at: end - 1, kind: FlawKind::Page(error) })?;
            }
            ValueUse::Record | ValueUse::NoRecord => around.sketch.add(b"null"),
        }
        Ok(Some(end))
    }

    fn put(&self, part: &[u8], around: &mut Surroundings, output: &mut WalkOutput) -> Result<(), PageError> {
        match (self.usage, &self.kind) {
            (ValueUse::Record, _) => output.lines.add_plain(part),
            (_, ValueKind::String(_)) => around.add_string(part),
            _ => around.add(part),
        }
    }
}

/// The records in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanCut {
    /// One for each element: they are separated at each comma of the span's own depth.
    Elements,
    /// The whole span is one record.
    Whole,
}

#[derive(Debug)]
pub(super) struct ContainerSpan {
    opening: u8,
    cut: SpanCut,
    carry: Carry,
    reader: SpanReader,
    /// Number of elements that ended, with [`SpanCut::Elements`].
    elements: u64,
}

#[derive(Debug)]
enum SpanReader {
    Structure(BracketStack),
    Grammar(GrammarChecker),
}

/// Buffer of a scan, and the instructions that it uses.
#[derive(Debug)]
pub(super) struct Scanner {
    isa: Isa,
    cuts: Cuts,
}

impl ContainerSpan {
    /// A span behind its opening bracket, in which at most `most` more brackets may be open at once.
    pub(super) fn new(opening: u8, cut: SpanCut, most: usize, detail: ScanDetail) -> Self {
        let stack = BracketStack::new(opening, if cut == SpanCut::Elements { 1 } else { 0 }, most + 1);
        let reader = match detail {
            ScanDetail::Structure => SpanReader::Structure(stack),
            ScanDetail::Grammar => SpanReader::Grammar(GrammarChecker::after(opening, stack)),
        };
        Self { opening, cut, carry: Carry::default(), reader, elements: 0 }
    }

    pub(super) fn opening(&self) -> u8 {
        self.opening
    }

    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Reads the next piece into `lines`; returns the number of its bytes up to the closing bracket of the span, if that is in it.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        scanner: &mut Scanner,
        lines: &mut LineBuffer,
    ) -> Result<Option<usize>, Flaw> {
        for (before, text) in (0..).step_by(Cuts::TEXT).zip(piece.chunks(Cuts::TEXT)) {
            let ended = self.text(text, scanner, lines);
            if let Some(end) = ended.map_err(|flaw| Flaw { at: before + flaw.at, ..flaw })? {
                return Ok(Some(before + end + 1));
            }
        }
        if self.is_outside() && self.stack().has_closed() {
            lines.end_early().map_err(|kind| Flaw { at: piece.len(), kind })?;
        }
        Ok(None)
    }

    /// Reads at most [`Cuts::TEXT`] bytes; returns the offset of the bracket that ends the span.
    fn text(&mut self, text: &[u8], scanner: &mut Scanner, lines: &mut LineBuffer) -> Result<Option<usize>, Flaw> {
        let (carry, cuts) = (&mut self.carry, &mut scanner.cuts);
        cuts.clear();
        let stop = match &mut self.reader {
            SpanReader::Structure(reader) => simd::scan(scanner.isa, text, carry, reader, cuts),
            SpanReader::Grammar(reader) => simd::scan(scanner.isa, text, carry, reader, cuts),
        };
        let ended = match stop {
            None => None,
            Some(BlockStop::End(at)) => Some(at),
            Some(BlockStop::Flaw(at, expected)) => {
                // What stands before the flaw shows that the page had begun: another attempt that brings an empty one is no answer.
                let sound = cuts.as_slice().partition_point(|cut| usize::from(*cut) < at);
                let (text, cuts) = (&text[..at], &cuts.as_slice()[..sound]);
                let part = SpanPart { text, cuts, has_breaks: self.carry.take_breaks(), is_outside: false };
                lines.add(part).map_err(|(at, kind)| Flaw { at, kind })?;
                return Err(Flaw { at, kind: FlawKind::Expected(expected) });
            }
            Some(BlockStop::TooDeep(at)) => {
                return Err(Flaw { at, kind: FlawKind::Page(PageError::TooDeep(super::MAX_DEPTH)) });
            }
        };
        let inside = match ended {
            Some(end) => &text[..end + usize::from(self.cut == SpanCut::Whole)],
            None => text,
        };
        self.stack().end_of_text(inside);
        let (has_breaks, is_outside) = (self.carry.take_breaks(), ended.is_some() || self.is_outside());
        let part = SpanPart { text: inside, cuts: cuts.as_slice(), has_breaks, is_outside };
        self.elements += part.cuts.len() as u64;
        lines.add(part).map_err(|(at, kind)| Flaw { at, kind })?;
        if let Some(at) = ended {
            match lines.end().map_err(|kind| Flaw { at, kind })? {
                true => self.elements += 1,
                false if self.elements > 0 => return Err(Flaw { at, kind: FlawKind::Expected(VALUE) }),
                false => {}
            }
        }
        Ok(ended)
    }

    /// Returns whether the text ends outside of all brackets and strings of the elements.
    fn is_outside(&mut self) -> bool {
        self.stack().is_outside() && !self.carry.is_in_string()
    }

    fn stack(&mut self) -> &mut BracketStack {
        match &mut self.reader {
            SpanReader::Structure(stack) => stack,
            SpanReader::Grammar(grammar) => &mut grammar.stack,
        }
    }
}

impl Scanner {
    pub(super) fn new(isa: Isa) -> Self {
        Self { isa, cuts: Cuts::new() }
    }
}
