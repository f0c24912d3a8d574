//! The inside of an array or object, read by its brackets alone: the fast path for records, and for values that are skipped.
//!
//! Commas at the depth of an array are the separators of its elements. In a block without brackets, only they need to be read.

use super::brackets::BracketStack;
use super::flaw::{Flaw, FlawKind, VALUE};
use super::grammar::GrammarChecker;
use super::line_buffer::{LineBuffer, SpanPart};
use super::masks::{BlockStop, Carry, Cuts, ScanDetail};
use super::simd::{self, Isa};
use crate::pagination::PageError;

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
