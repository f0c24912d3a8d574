//! The inside of an array or object, read by its brackets alone: the fast path for records, and for values that are skipped.
//!
//! Commas at the depth of an array are the separators of its elements. In a block without brackets, only they need to be read.

use super::flaw::{CONTROL, Flaw, FlawKind, SEPARATOR, VALUE};
use super::grammar::{BlockBrackets, GrammarChecker};
use super::line_buffer::{LineBuffer, SpanPart};
use super::masks::{BLOCK, BlockCarry, BlockMasks, ScanDetail, below};
use super::scanner::{CutPositions, STEP, Scanner};
use super::simd::on_masks;
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
    carry: BlockCarry,
    stack: BracketStack,
    /// Depth at which commas separate records: 1, or 0 for none.
    cut_at: usize,
    /// Number of elements that ended, with [`SpanCut::Elements`].
    elements: u64,
    grammar: Option<GrammarChecker>,
    /// Number of bytes that are scanned next: few at first, since many spans are short.
    step: usize,
}

/// The stack of open brackets.
#[derive(Debug)]
struct BracketStack {
    /// Bit n is set where the nth from the top is a brace.
    braces: u128,
    depth: usize,
    most: usize,
    /// Last byte that was no white space.
    last: u8,
}

/// Progress of a span through a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanProgress {
    /// The whole piece is inside the span.
    Continues,
    /// The span ends before this offset, with its closing bracket.
    Ended(usize),
}

impl ContainerSpan {
    /// A span behind its opening bracket, in which at most `most` more brackets may be open at once.
    pub(super) fn new(opening: u8, cut: SpanCut, most: usize, detail: ScanDetail) -> Self {
        Self {
            opening,
            carry: BlockCarry::default(),
            stack: BracketStack { braces: u128::from(opening == b'{'), depth: 1, most: most + 1, last: opening },
            cut_at: if cut == SpanCut::Elements { 1 } else { 0 },
            elements: 0,
            grammar: (detail == ScanDetail::Grammar).then(|| GrammarChecker::after(opening)),
            step: 2 * BLOCK,
        }
    }

    pub(super) fn opening(&self) -> u8 {
        self.opening
    }

    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Reads the next piece into `lines`.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        scanner: &mut Scanner,
        lines: &mut LineBuffer,
    ) -> Result<SpanProgress, Flaw> {
        let mut before = 0;
        while before < piece.len() {
            let step = &piece[before..piece.len().min(before + self.step)];
            self.step = STEP.min(self.step * 2);
            let ended = self.step(step, scanner, lines);
            match ended.map_err(|flaw| Flaw { at: before + flaw.at, ..flaw })? {
                Some(end) => return Ok(SpanProgress::Ended(before + end + 1)),
                None => before += step.len(),
            }
        }
        let is_outside = self.stack.depth == self.cut_at && !self.carry.is_in_string();
        if is_outside && matches!(self.stack.last, b']' | b'}') {
            lines.end_early().map_err(|kind| Flaw { at: before, kind })?;
        }
        Ok(SpanProgress::Continues)
    }

    /// Reads at most [`STEP`] bytes; returns the offset of the bracket that ends the span.
    fn step(&mut self, step: &[u8], scanner: &mut Scanner, lines: &mut LineBuffer) -> Result<Option<usize>, Flaw> {
        let isa = scanner.isa();
        let detail = if self.grammar.is_some() { ScanDetail::Grammar } else { ScanDetail::Structure };
        let (blocks, cuts) = scanner.scan(step, &mut self.carry, detail);
        let ended = match &mut self.grammar {
            None => on_masks(isa, || {
                self.stack.follow::<false>(blocks, step, self.cut_at, cuts, &mut GrammarChecker::default())
            }),
            Some(grammar) => on_masks(isa, || self.stack.follow::<true>(blocks, step, self.cut_at, cuts, grammar)),
        }?;
        let text = match ended {
            Some(end) if self.cut_at == 0 => &step[..=end],
            Some(end) => &step[..end],
            None => step,
        };
        let is_outside = self.stack.depth == self.cut_at && !self.carry.is_in_string();
        let part = SpanPart { text, cuts: scanner.cuts(), has_breaks: self.carry.take_breaks(), is_outside };
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
}

impl BracketStack {
    /// Follows the brackets of a text, notes the commas at depth `cut_at`, and checks the grammar if `FULL`; returns the offset of
    /// the bracket that closes the first one.
    #[inline(always)]
    fn follow<const FULL: bool>(
        &mut self,
        blocks: &[BlockMasks],
        text: &[u8],
        cut_at: usize,
        cuts: &mut CutPositions,
        grammar: &mut GrammarChecker,
    ) -> Result<Option<usize>, Flaw> {
        let Self { mut braces, mut depth, most, last } = *self;
        for (block, (start, bytes)) in blocks.iter().zip((0..).step_by(BLOCK).zip(text.chunks(BLOCK))) {
            if !FULL && block.bracket | block.bad == 0 {
                if depth == cut_at {
                    cuts.add(start, block.comma);
                }
                continue;
            }
            let flaw_at = block.bad.trailing_zeros() as usize;
            let mut rest = block.bracket & below(flaw_at);
            let mut commas = block.comma & below(flaw_at);
            let mut seen = BlockBrackets::default();
            let mut end = None;
            loop {
                let bracket = rest & rest.wrapping_neg();
                // Without a bracket, all that is left stands before it.
                let before = bracket.wrapping_sub(1);
                if braces & 1 == 1 {
                    seen.members |= commas & before;
                }
                if depth == cut_at {
                    cuts.add(start, commas & before);
                }
                if bracket == 0 {
                    break;
                }
                commas &= !before;
                rest ^= bracket;
                let at = bracket.trailing_zeros() as usize;
                // `[` is 0x5b, `]` 0x5d, `{` 0x7b and `}` 0x7d.
                let (is_brace, is_open) = (bytes[at] & 0x20 != 0, bytes[at] & 0x04 == 0);
                if is_open {
                    if depth == cut_at {
                        let before = before_space(text, start + at).unwrap_or(last);
                        let is_value = if braces & 1 == 1 { before == b':' } else { matches!(before, b',' | b'[') };
                        if !is_value {
                            return Err(Flaw { at: start + at, kind: FlawKind::Expected(SEPARATOR) });
                        }
                    }
                    if depth == most {
                        return Err(Flaw {
                            at: start + at,
                            kind: FlawKind::Page(PageError::TooDeep(super::MAX_DEPTH)),
                        });
                    }
                    seen.open |= bracket;
                    seen.braces |= if is_brace { bracket } else { 0 };
                    braces = braces << 1 | u128::from(is_brace);
                    depth += 1;
                    continue;
                }
                if is_brace != (braces & 1 == 1) {
                    let expected = if is_brace { "expected `]`" } else { "expected `}`" };
                    return Err(Flaw { at: start + at, kind: FlawKind::Expected(expected) });
                }
                braces >>= 1;
                depth -= 1;
                if depth == 0 {
                    end = Some(at);
                    break;
                }
            }
            if FULL
                && let Err((at, what)) = grammar.block(block, seen, &bytes[..end.map_or(bytes.len(), |at| at + 1)])
                && at <= flaw_at
            {
                return Err(Flaw { at: start + at, kind: FlawKind::Expected(what) });
            }
            if let Some(at) = end {
                return Ok(Some(start + at));
            }
            if flaw_at < bytes.len() {
                return Err(Flaw { at: start + flaw_at, kind: bad_byte(bytes[flaw_at]) });
            }
        }
        (self.braces, self.depth) = (braces, depth);
        self.last = before_space(text, text.len()).unwrap_or(last);
        Ok(None)
    }
}

/// Last byte before an offset that is no white space.
#[inline(always)]
fn before_space(text: &[u8], place: usize) -> Option<u8> {
    text[..place].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).copied()
}

/// Flaw of a byte that the scan found bad.
fn bad_byte(byte: u8) -> FlawKind {
    FlawKind::Expected(if byte == b'\\' { "expected no backslash outside a string" } else { CONTROL })
}
