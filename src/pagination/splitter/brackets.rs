//! The stack of open brackets, followed over masks: the structure of a span, and the commas that separate its records.

use super::flaw::{CONTROL, SEPARATOR, VALUE};
use super::lexer::ScalarState;
use super::masks::{BlockMasks, BlockReader, BlockStop, Cuts, ScanDetail, below};

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
    cut: WordCut,
}

/// End of the text before, which may cut a word.
#[derive(Clone, Copy, Debug)]
struct WordCut {
    last: u8,
    /// Literal or exponent that has begun.
    word: Option<ScalarState>,
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
        Self {
            braces: u128::from(opening == b'{'),
            depth: 1,
            most,
            cut_at,
            last: opening,
            cut: WordCut { last: opening, word: None },
        }
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

    /// Checks the words of a block: outside of strings, JSON has no letters but those of its literals and exponents. Numbers and
    /// literals are not read beyond that, which `NaN`, `Infinity`, `None` and names without quotes can't pass.
    #[inline(always)]
    fn check_words(&mut self, words: u64, at: usize, text: &[u8]) -> Option<BlockStop> {
        if words | u64::from(self.cut.word.is_some()) == 0 {
            return None;
        }
        match check_words(self.cut, words, at, text) {
            Ok(word) => {
                self.cut.word = word;
                None
            }
            Err(place) => Some(BlockStop::Flaw(place, VALUE)),
        }
    }

    pub(super) fn end_of_text(&mut self, text: &[u8]) {
        self.last = before_space(text).unwrap_or(self.last);
        self.cut.last = text.last().copied().unwrap_or(self.cut.last);
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
            return self.check_words(block.word, at, text);
        }
        let end = match self.follow(block, at, text, cuts, |_| {}) {
            Ok(end) => end,
            Err(stop) => return Some(stop),
        };
        let inside = end.map_or(u64::MAX, |end| below(end - at));
        if let Some(stop) = self.check_words(block.word & inside, at, text) {
            return Some(stop);
        }
        match end {
            Some(end) => Some(BlockStop::End(end)),
            None if block.bad == 0 => None,
            None => Some(bad_byte(block, at, text)),
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

/// Checks the letters at these places of the block at byte `at` of a text, before which `cut` stands; returns the word that the text cuts,
/// or the place of a flaw.
fn check_words(cut: WordCut, words: u64, at: usize, text: &[u8]) -> Result<Option<ScalarState>, usize> {
    let before = |place: usize| place.checked_sub(1).map_or(cut.last, |before| text[before]);
    if let Some(begun) = cut.word.filter(|_| at == 0) {
        match rest_of_word(begun, text, 0) {
            (Some(cut), end) if end == text.len() => return Ok(Some(cut)),
            (None, end) if begun == ScalarState::E || ends_word(text.get(end)) => {}
            (_, end) => return Err(end),
        }
    }
    let is_letter = |byte: u8| byte & 0x40 != 0 && !matches!(byte, b'[' | b']' | b'{' | b'}');
    let goes_on = if at == 0 { cut.word.is_some_and(|word| word != ScalarState::E) } else { is_letter(before(at)) };
    let mut starts = words & !(words << 1 | u64::from(goes_on));
    while starts != 0 {
        let start = at + starts.trailing_zeros() as usize;
        starts &= starts - 1;
        let is_exponent = matches!(text[start], b'e' | b'E');
        let is_number = matches!(before(start), b'0'..=b'9' | b'"' | b'.' | b'-' | b'+');
        let begun = match ScalarState::new(text[start]) {
            _ if is_exponent && before(start).is_ascii_digit() => ScalarState::E,
            Some(literal) if !is_exponent && !is_number => literal,
            _ => return Err(start),
        };
        match rest_of_word(begun, text, start + 1) {
            (Some(cut), end) if end == text.len() => return Ok(Some(cut)),
            (None, end) if is_exponent || ends_word(text.get(end)) => {}
            _ => return Err(start),
        }
    }
    // A word that an earlier block of the text has begun may end behind the text.
    Ok(cut.word.filter(|_| at > 0))
}

/// Reads a literal on; returns what is left of it, and the place behind what has been read.
fn rest_of_word(mut word: ScalarState, text: &[u8], mut at: usize) -> (Option<ScalarState>, usize) {
    while !word.is_whole() {
        match text.get(at).and_then(|byte| word.next(*byte)) {
            Some(next) => (word, at) = (next, at + 1),
            None => return (Some(word), at),
        }
    }
    // The byte behind a literal has yet to be seen.
    let is_cut = at == text.len() && matches!(word, ScalarState::Literal(_));
    (is_cut.then_some(word), at)
}

/// Returns true for a byte that may follow a literal, or the end of the text.
fn ends_word(byte: Option<&u8>) -> bool {
    byte.is_none_or(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))
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
