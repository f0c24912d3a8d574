//! The whole grammar of JSON (RFC 8259 §§ 2–7), checked over the masks of a block for all of its tokens at once.
//!
//! The grammar defines the tokens that may follow a token, and little else: after `{` a name or `}`, after a name a colon, after
//! a value a comma or the closing bracket. For each kind of token, a marker is set behind each of its tokens in the block. One
//! addition moves all markers over white space (a carry runs through a run of ones: Cameron's *ScanThru*). At the byte where a
//! marker stops, one of the tokens that may follow must begin. The stack of brackets knows the container of a comma and that brackets
//! match; numbers, literals and escapes are read byte by byte.

use super::flaw::{ESCAPE, HEX, SCALAR, VALUE};
use super::lexer::ScalarState;
use super::masks::{BlockMasks, below};

/// State from one block to the next.
#[derive(Debug, Default)]
pub(super) struct GrammarChecker {
    markers: TokenMarkers,
    /// 1 if the block ends inside a name.
    name: u64,
    /// Number or literal at the end of the block.
    scalar: Option<ScalarState>,
    /// Hexadecimal digits of an escape that must follow, as ones from bit 0.
    digits: u64,
}

/// For each kind of token by the tokens that may follow it: 1 if the block ended before the next token.
#[derive(Clone, Copy, Debug, Default)]
struct TokenMarkers {
    brace: u64,
    bracket: u64,
    /// A comma in an object.
    member: u64,
    /// A comma in an array, or a colon.
    place: u64,
    name: u64,
    value: u64,
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
}

impl GrammarChecker {
    /// The state behind an opening bracket.
    pub(super) fn after(opening: u8) -> Self {
        let is_brace = u64::from(opening == b'{');
        Self {
            markers: TokenMarkers { brace: is_brace, bracket: 1 - is_brace, ..TokenMarkers::default() },
            ..Self::default()
        }
    }

    /// Checks the block of `bytes`, at most 64; `Err` is the offset of the first flaw, and what was expected there.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        block: &BlockMasks,
        brackets: BlockBrackets,
        bytes: &[u8],
    ) -> Result<(), (usize, &'static str)> {
        let text = below(bytes.len());
        let string_start = block.quote & block.string & text;
        let string_end = block.quote & !block.string & text;
        let (open, close) = (brackets.open & text, block.bracket & !brackets.open & text);
        let (comma, colon) = (block.comma & text, block.colon & text);
        // The padding of a short block lets markers pass.
        let space = block.space | !text;
        let scalar = text & !(block.string | string_end | open | close | comma | colon | block.space);
        let scalar_before = scalar << 1 | u64::from(self.scalar.is_some());
        let scalar_start = scalar & !scalar_before;

        // A marker starts behind its token, and moves over white space to the next one, which may be in the next block.
        let next = |waits: &mut u64, tokens: u64, markers: u64| {
            let (moved, is_over) = (tokens << 1 | markers | *waits).overflowing_add(space);
            *waits = tokens >> 63 | u64::from(is_over);
            moved & !space
        };
        let member = comma & brackets.members;
        let after_brace = next(&mut self.markers.brace, open & brackets.braces, 0);
        let after_bracket = next(&mut self.markers.bracket, open & !brackets.braces, 0);
        let after_member = next(&mut self.markers.member, member, 0);
        let after_place = next(&mut self.markers.place, comma & !brackets.members | colon, 0);
        let name_start = (after_brace | after_member) & string_start;
        let (name_end, goes_on) = (name_start | self.name).overflowing_add(block.string);
        let name_end = name_end & string_end;
        self.name = u64::from(goes_on);
        let after_name = next(&mut self.markers.name, name_end, 0);
        let after_scalar = scalar_before & !scalar & text;
        let after_value = next(&mut self.markers.value, string_end & !name_end | close, after_scalar);

        let value_start = open | string_start | scalar_start;
        let flaws = [
            after_brace & !(string_start | close),
            after_bracket & !(value_start | close),
            after_member & !string_start,
            after_place & !value_start,
            after_name & !colon,
            after_value & !(comma | close),
        ];
        let scalars = if scalar != 0 || self.scalar.is_some() { self.scalars(scalar, bytes) } else { Ok(()) };
        let escaped = block.escaped & block.string & text;
        let escapes = if escaped | self.digits != 0 { self.escapes(escaped, bytes) } else { Ok(()) };
        if flaws.iter().fold(0, |all, flaw| all | flaw) == 0 && scalars.is_ok() && escapes.is_ok() {
            return Ok(());
        }
        Err(first(&flaws, [scalars, escapes]))
    }

    /// Checks the numbers and literals at these places.
    fn scalars(&mut self, mut places: u64, bytes: &[u8]) -> Result<(), (usize, &'static str)> {
        if let Some(begun) = self.scalar.take() {
            let len = places.trailing_ones() as usize;
            self.scalar = rest_of(begun, bytes, 0..len)?;
            places &= !below(len);
        }
        while places != 0 {
            let start = places.trailing_zeros() as usize;
            let end = start + (places >> start).trailing_ones() as usize;
            let begun = ScalarState::new(bytes[start]).ok_or((start, VALUE))?;
            self.scalar = rest_of(begun, bytes, start + 1..end)?;
            places &= !below(end);
        }
        Ok(())
    }

    /// Checks the escapes at these places, behind their backslashes.
    fn escapes(&mut self, mut places: u64, bytes: &[u8]) -> Result<(), (usize, &'static str)> {
        let mut digits = u128::from(self.digits);
        while places != 0 {
            let at = places.trailing_zeros() as usize;
            match bytes[at] {
                b'u' => digits |= 0b1_1110 << at,
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                _ => return Err((at, ESCAPE)),
            }
            places &= places - 1;
        }
        self.digits = u64::try_from(digits >> bytes.len()).unwrap_or(u64::MAX);
        for (at, byte) in bytes.iter().enumerate().skip(digits.trailing_zeros() as usize) {
            if digits >> at & 1 == 1 && !byte.is_ascii_hexdigit() {
                return Err((at, HEX));
            }
        }
        Ok(())
    }
}

/// Reads the rest of a number or literal, which may continue in the next block.
#[inline(always)]
fn rest_of(
    mut scalar: ScalarState,
    bytes: &[u8],
    places: std::ops::Range<usize>,
) -> Result<Option<ScalarState>, (usize, &'static str)> {
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
fn first(flaws: &[u64; 6], others: [Result<(), (usize, &'static str)>; 2]) -> (usize, &'static str) {
    let expected = [
        "expected a name in quotes or `}`",
        "expected a value or `]`",
        "expected a name in quotes",
        VALUE,
        "expected `:`",
        "expected `,` or a closing bracket",
    ];
    let all = flaws.iter().zip(expected).map(|(flaw, expected)| (flaw.trailing_zeros() as usize, expected));
    all.chain(others.into_iter().filter_map(Result::err)).min_by_key(|(at, _)| *at).unwrap_or((0, VALUE))
}
