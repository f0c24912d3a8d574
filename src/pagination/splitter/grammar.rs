//! The whole grammar of JSON (RFC 8259 §§ 2–7), checked over the masks of a block for all of its tokens at once.
//!
//! Tokens that want a value (`[`, `{`, `,`, `:`) and values take turns; names stand in objects behind `{` and `,`, and colons behind
//! names. Such rules are about a token and the one before it. So a marker is set behind each token of a kind, and one addition moves
//! all markers over white space to the next tokens (a carry runs through a run of ones: Cameron's *ScanThru*). The stack of brackets
//! knows the container of a comma and that brackets match. Numbers, literals and escapes are read byte by byte.

use super::brackets::{BracketStack, bad_byte};
use super::flaw::{ESCAPE, HEX, NAME, SCALAR, SEPARATOR, VALUE};
use super::masks::{BlockMasks, BlockReader, BlockStop, Cuts, ScanDetail, below};
use super::scalars::ScalarState;

/// State from one block to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct GrammarChecker {
    pub(super) stack: BracketStack,
    waiting: TokenMarkers,
    /// 1 if the block ends inside a name.
    name: u64,
    /// Number or literal at the end of the block.
    scalar: Option<ScalarState>,
    /// Hexadecimal digits of an escape that must follow, as ones from bit 0.
    hex: u64,
}

/// 1 for each kind of token that the next token follows, if it is in the next block.
#[derive(Clone, Copy, Debug, Default)]
struct TokenMarkers {
    opening: u64,
    /// An opening bracket, a comma or a colon.
    wants_value: u64,
    /// An opening brace, or a comma in an object.
    wants_name: u64,
    name: u64,
}

/// Offset of a flaw in its block, and what was expected there.
type BlockFlaw = (usize, &'static str);

impl GrammarChecker {
    /// The state behind an opening bracket.
    pub(super) fn after(opening: u8, stack: BracketStack) -> Self {
        let wants_name = u64::from(opening == b'{');
        let waiting = TokenMarkers { opening: 1, wants_value: 1, wants_name, name: 0 };
        Self { stack, waiting, name: 0, scalar: None, hex: 0 }
    }

    /// Checks a block of `bytes`, at most 64, of which `open` are opening brackets, and before `wants_name` stand names.
    #[inline(always)]
    fn check(&mut self, block: &BlockMasks, open: u64, wants_name: u64, bytes: &[u8]) -> Result<(), BlockFlaw> {
        let text = below(bytes.len());
        let string_start = block.quote & block.string & text;
        let string_end = block.quote & !block.string & text;
        let (open, close) = (open & text, block.bracket & !open & text);
        let separator = (block.comma | block.colon) & text;
        // The padding of a short block lets markers pass.
        let space = block.space | !text;
        let scalar = text & !(block.string | string_end | block.bracket | separator | space);
        let scalar_start = scalar & !(scalar << 1 | u64::from(self.scalar.is_some()));

        // A marker starts behind its token, and moves over white space to the next one, which may be in the next block.
        let next = |waiting: &mut u64, tokens: u64| {
            let (moved, is_over) = (tokens << 1 | *waiting).overflowing_add(space);
            *waiting = tokens >> 63 | u64::from(is_over);
            moved & !space
        };
        let after_opening = next(&mut self.waiting.opening, open);
        let at_value = next(&mut self.waiting.wants_value, open | separator);
        let at_name = next(&mut self.waiting.wants_name, wants_name & text);
        let (name_end, goes_on) = ((at_name & string_start) | self.name).overflowing_add(block.string);
        self.name = u64::from(goes_on);
        let after_name = next(&mut self.waiting.name, name_end & string_end);

        let flaws = [
            (open | string_start | scalar_start) & !at_value,
            separator & at_value,
            close & at_value & !after_opening,
            at_name & !(string_start | close),
            (block.colon & text) ^ after_name,
        ];
        let mut others = [Ok(()), Ok(())];
        if scalar != 0 || self.scalar.is_some() {
            others[0] = scalars(self.scalar, scalar, bytes).map(|begun| self.scalar = begun);
        }
        let escaped = block.escaped & block.string & text;
        if escaped | self.hex != 0 {
            others[1] = escapes(self.hex, escaped, bytes).map(|hex| self.hex = hex);
        }
        if flaws.iter().fold(0, |all, flaw| all | flaw) == 0 && others.iter().all(Result::is_ok) {
            return Ok(());
        }
        Err(first(&flaws, others))
    }
}

impl BlockReader for GrammarChecker {
    const DETAIL: ScanDetail = ScanDetail::Grammar;

    #[inline(always)]
    fn block(&mut self, block: &BlockMasks, at: usize, text: &[u8], cuts: &mut Cuts) -> Option<BlockStop> {
        // The inside of a long string.
        if block.string == u64::MAX && block.quote | block.escaped | block.bad | self.hex == 0 {
            return None;
        }
        // Opening brackets, and the tokens before names: opening braces, and the commas between the members of an object.
        let (mut open, mut wants_name, mut commas) = (0, 0, block.comma);
        let ended = self.stack.follow(block, at, text, cuts, |bracket| {
            wants_name |= commas & (bracket.bit - 1) & 0_u64.wrapping_sub(bracket.is_in_object);
            commas &= 0_u64.wrapping_sub(bracket.bit);
            if bracket.is_open {
                open |= bracket.bit;
                wants_name |= bracket.bit & 0_u64.wrapping_sub(bracket.is_brace);
            }
        });
        let ended = match ended {
            Ok(ended) => ended,
            Err(stop) => return Some(stop),
        };
        if self.stack.is_in_object() {
            wants_name |= commas;
        }
        let bytes = match ended {
            Some(end) => &text[at..=end],
            None => text[at..].first_chunk::<64>().map_or(&text[at..], |whole| &whole[..]),
        };
        if let Err((place, expected)) = self.check(block, open, wants_name, bytes)
            && place <= block.bad.trailing_zeros() as usize
        {
            return Some(BlockStop::Flaw(at + place, expected));
        }
        match ended {
            Some(end) => Some(BlockStop::End(end)),
            None if block.bad == 0 => None,
            None => Some(bad_byte(block, at, text)),
        }
    }
}

// The functions below take no `&mut` of the state, which keeps it in registers.

/// Checks the numbers and literals at these places; returns the one that may continue in the next block.
#[inline(always)]
fn scalars(begun: Option<ScalarState>, mut places: u64, bytes: &[u8]) -> Result<Option<ScalarState>, BlockFlaw> {
    let mut last = None;
    if let Some(begun) = begun {
        let len = places.trailing_ones() as usize;
        last = rest_of(begun, bytes, 0..len)?;
        places &= !below(len);
    }
    while places != 0 {
        let start = places.trailing_zeros() as usize;
        let end = start + (places >> start).trailing_ones() as usize;
        places &= !below(end);
        if end == bytes.len() || !matches!(&bytes[start..end], b"true" | b"false" | b"null") {
            let begun = ScalarState::new(bytes[start]).ok_or((start, VALUE))?;
            last = rest_of(begun, bytes, start + 1..end)?;
        }
    }
    Ok(last)
}

/// Checks the escapes at these places, behind their backslashes; returns the hexadecimal digits that must begin the next block.
#[inline(always)]
fn escapes(hex: u64, mut places: u64, bytes: &[u8]) -> Result<u64, BlockFlaw> {
    let mut hex = u128::from(hex);
    while places != 0 {
        let at = places.trailing_zeros() as usize;
        match bytes[at] {
            b'u' => hex |= 0b1_1110 << at,
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            _ => return Err((at, ESCAPE)),
        }
        places &= places - 1;
    }
    let mut here = hex as u64 & below(bytes.len());
    while here != 0 {
        let at = here.trailing_zeros() as usize;
        if !bytes[at].is_ascii_hexdigit() {
            return Err((at, HEX));
        }
        here &= here - 1;
    }
    Ok((hex >> bytes.len()) as u64)
}

/// Reads the rest of a number or literal, which may continue in the next block.
fn rest_of(
    mut scalar: ScalarState,
    bytes: &[u8],
    places: std::ops::Range<usize>,
) -> Result<Option<ScalarState>, BlockFlaw> {
    let end = places.end;
    for at in places {
        scalar = scalar.next(bytes[at]).ok_or((at, SCALAR))?;
    }
    match scalar {
        _ if end == bytes.len() => Ok(Some(scalar)),
        _ if scalar.is_whole() => Ok(None),
        _ => Err((end, SCALAR)),
    }
}

/// Offset of the first flaw, and what was expected there.
#[cold]
fn first(flaws: &[u64; 5], others: [Result<(), BlockFlaw>; 2]) -> BlockFlaw {
    let expected = [SEPARATOR, VALUE, VALUE, NAME, "expected a colon behind each name, and nowhere else"];
    let all = flaws.iter().zip(expected).map(|(flaw, expected)| (flaw.trailing_zeros() as usize, expected));
    all.chain(others.into_iter().filter_map(Result::err)).min_by_key(|(at, _)| *at).unwrap_or((0, VALUE))
}
