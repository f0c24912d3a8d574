//! The stack of open brackets, followed over masks: the structure of a span, and the commas that separate its records.

use super::flaw::{CONTROL, SEPARATOR};
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

/// Brackets and commas of a block, by the stack of brackets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockBrackets {
    /// Opening brackets.
    pub(super) open: u64,
    /// Opening braces.
    pub(super) braces: u64,
    /// Commas between the members of an object.
    pub(super) members: u64,
    /// Number of bytes of the text up to the bracket that closes the first one, if it is in the block.
    pub(super) end: Option<usize>,
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

    /// Returns whether the last byte was a closing bracket.
    pub(super) fn has_closed(&self) -> bool {
        matches!(self.last, b']' | b'}')
    }

    pub(super) fn end_of_text(&mut self, text: &[u8]) {
        self.last = before_space(text).unwrap_or(self.last);
    }

    /// Follows the brackets of the block at byte `at` of the text, and notes the commas at the depth of records.
    #[inline(always)]
    pub(super) fn follow(
        &mut self,
        block: &BlockMasks,
        at: usize,
        text: &[u8],
        cuts: &mut Cuts,
    ) -> Result<BlockBrackets, BlockStop> {
        // Only what stands before the first bad byte is read.
        let sound = block.bad.wrapping_sub(1) & !block.bad;
        let (mut rest, mut commas) = (block.bracket & sound, block.comma & sound);
        let mut seen = BlockBrackets::default();
        loop {
            let bracket = rest & rest.wrapping_neg();
            // Without a bracket, all that is left stands before it.
            let before = commas & bracket.wrapping_sub(1);
            let is_in_object = self.braces as u64 & 1;
            seen.members |= before & 0_u64.wrapping_sub(is_in_object);
            let place = at + bracket.trailing_zeros() as usize;
            if self.depth == self.cut_at {
                cuts.add(at, before);
                if bracket != 0 && text[place] & 0x04 == 0 {
                    check_separated(&text[..place], self.last, is_in_object == 1)?;
                }
            }
            if bracket == 0 {
                break;
            }
            commas ^= before;
            rest ^= bracket;
            // `[` is 0x5b, `]` 0x5d, `{` 0x7b and `}` 0x7d.
            let (is_brace, is_open) = (u64::from(text[place] >> 5 & 1), text[place] & 0x04 == 0);
            if !is_open && is_brace != is_in_object {
                let expected = if is_brace == 1 { "expected `]`" } else { "expected `}`" };
                return Err(BlockStop::Flaw(place, expected));
            }
            seen.open |= if is_open { bracket } else { 0 };
            seen.braces |= if is_open { bracket & 0_u64.wrapping_sub(is_brace) } else { 0 };
            self.braces = if is_open { self.braces << 1 | u128::from(is_brace) } else { self.braces >> 1 };
            self.depth = if is_open { self.depth + 1 } else { self.depth - 1 };
            if self.depth > self.most {
                return Err(BlockStop::TooDeep(place));
            }
            if self.depth == 0 {
                seen.end = Some(place + 1);
                return Ok(seen);
            }
        }
        Ok(seen)
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
        match self.follow(block, at, text, cuts) {
            Ok(BlockBrackets { end: Some(end), .. }) => Some(BlockStop::End(end - 1)),
            Ok(_) if block.bad == 0 => None,
            Ok(_) => Some(bad_byte(block, at, text)),
            Err(stop) => Some(stop),
        }
    }
}

/// The flaw of a block that has a bad byte.
#[cold]
pub(super) fn bad_byte(block: &BlockMasks, at: usize, text: &[u8]) -> BlockStop {
    let place = at + block.bad.trailing_zeros() as usize;
    let is_backslash = text[place] == b'\\';
    BlockStop::Flaw(place, if is_backslash { "expected no backslash outside a string" } else { CONTROL })
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
