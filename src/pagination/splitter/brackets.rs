//! The stack of open brackets, followed over masks: the structure of a span, and the commas that separate its records.

use super::flaw::{CONTROL, SEPARATOR, VALUE};
use super::masks::{BlockMasks, BlockReader, BlockStop, Cuts, ScanDetail};

#[derive(Clone, Copy, Debug)]
pub(super) struct BracketStack {
    /// Bit n is set where the nth from the top is a brace.
    braces: u128,
    depth: usize,
    most: usize,
    /// Depth at which commas separate records: 1, or 0 for none.
    cut_at: usize,
    /// Last byte before the text that was no white space.
    last: u8,
}

/// One bracket of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bracket {
    /// The bit of its place.
    pub(super) bit: u64,
    /// 1 for a brace, else 0.
    pub(super) is_brace: u64,
    pub(super) is_open: bool,
    /// 1 if the innermost container before it is an object, else 0.
    pub(super) is_in_object: u64,
}

impl BracketStack {
    /// The stack behind an opening bracket, in which at most `most` brackets may be open at once.
    pub(super) fn new(opening: u8, cut_at: usize, most: usize) -> Self {
        Self { braces: u128::from(opening == b'{'), depth: 1, most, cut_at, last: opening }
    }

    /// Returns whether only brackets are open that are none of a record.
    pub(super) fn is_outside(&self) -> bool {
        self.depth == self.cut_at
    }

    /// Returns whether the innermost container is an object.
    pub(super) fn is_in_object(&self) -> bool {
        self.braces & 1 == 1
    }

    /// Returns whether the last byte was a closing bracket.
    pub(super) fn has_closed(&self) -> bool {
        matches!(self.last, b']' | b'}')
    }

    pub(super) fn end_of_text(&mut self, text: &[u8]) {
        self.last = before_space(text).unwrap_or(self.last);
    }

    /// Follows the brackets of the block at byte `at` of the text, each of which `seen` is told, and notes the commas at the depth of
    /// records. Returns the offset of the bracket that closes the first one, if it is in the block.
    #[inline(always)]
    pub(super) fn follow(
        &mut self,
        block: &BlockMasks,
        at: usize,
        text: &[u8],
        cuts: &mut Cuts,
        mut seen: impl FnMut(Bracket),
    ) -> Result<Option<usize>, BlockStop> {
        // Only what stands before the first bad byte is read.
        let sound = block.bad.wrapping_sub(1) & !block.bad;
        let (mut rest, mut commas) = (block.bracket & sound, block.comma & sound);
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let place = at + rest.trailing_zeros() as usize;
            // `[` is 0x5b, `]` 0x5d, `{` 0x7b and `}` 0x7d.
            let byte = text[place];
            let (is_brace, is_open) = (u64::from(byte >> 5 & 1), byte & 0x04 == 0);
            let is_in_object = self.braces as u64 & 1;
            seen(Bracket { bit, is_brace, is_open, is_in_object });
            if self.depth == self.cut_at {
                cuts.add(at, commas & (bit - 1));
                if is_open {
                    check_separated(&text[..place], self.last, is_in_object == 1)?;
                }
            }
            if is_open {
                self.braces = self.braces << 1 | u128::from(is_brace);
                self.depth += 1;
                if self.depth > self.most {
                    return Err(BlockStop::TooDeep(place));
                }
            } else {
                if is_brace != is_in_object {
                    let expected = if is_brace == 1 { "expected `]`" } else { "expected `}`" };
                    return Err(BlockStop::Flaw(place, expected));
                }
                self.braces >>= 1;
                self.depth -= 1;
                if self.depth == 0 {
                    return Ok(Some(place));
                }
            }
            commas &= 0_u64.wrapping_sub(bit);
            rest ^= bit;
        }
        if self.depth == self.cut_at {
            cuts.add(at, commas);
        }
        Ok(None)
    }
}

impl BlockReader for BracketStack {
    const DETAIL: ScanDetail = ScanDetail::Structure;

    #[inline(always)]
    fn block(&mut self, block: &BlockMasks, at: usize, text: &[u8], cuts: &mut Cuts) -> Option<BlockStop> {
        if block.bracket | block.bad == 0 {
            if self.depth == self.cut_at {
                cuts.add(at, block.comma);
            }
            return None;
        }
        match self.follow(block, at, text, cuts, |_| {}) {
            Err(stop) => Some(stop),
            Ok(Some(end)) => Some(BlockStop::End(end)),
            Ok(None) if block.bad == 0 => None,
            Ok(None) => Some(bad_byte(block, at, text)),
        }
    }
}

/// The flaw of a block that has a bad byte.
#[cold]
pub(super) fn bad_byte(block: &BlockMasks, at: usize, text: &[u8]) -> BlockStop {
    let place = at + block.bad.trailing_zeros() as usize;
    BlockStop::Flaw(
        place,
        match text[place] {
            b'\\' => "expected no backslash outside a string",
            0..0x20 => CONTROL,
            _ => VALUE,
        },
    )
}

/// Checks that a record may begin behind this text, before which stands `last`.
#[inline(always)]
fn check_separated(text: &[u8], last: u8, is_in_object: bool) -> Result<(), BlockStop> {
    let before = before_space(text).unwrap_or(last);
    let is_value = if is_in_object { before == b':' } else { matches!(before, b',' | b'[') };
    if is_value { Ok(()) } else { Err(BlockStop::Flaw(text.len(), SEPARATOR)) }
}

/// Last byte that is no white space.
#[inline(always)]
fn before_space(text: &[u8]) -> Option<u8> {
    text.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).copied()
}
