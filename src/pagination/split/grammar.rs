//! The whole grammar of JSON (RFC 8259 §§ 2–7) over the masks of a block, for every token of it at once.
//!
//! The grammar says of each token what may come next, and little else: after `{` a name or `}`, after a name a colon, after a
//! value a comma or the closing bracket. So for each kind of token a marker is set behind all of its places in the block, all
//! markers are moved over white space by one addition (a carry runs through a run of ones: Cameron's *ScanThru*), and where one
//! comes to stand, one of the tokens that may follow must stand too. Which container a comma belongs to, and that brackets
//! match, is known from the stack of brackets; numbers, literals and escapes are read byte by byte.

use super::flaw::{ESCAPE, HEX, SCALAR, VALUE};
use super::lexer::ScalarState;
use super::masks::{BlockMasks, below};

/// What the block before has left to be seen.
#[derive(Debug, Default)]
pub(super) struct GrammarChecker {
    after: After,
    /// 1 where the string that goes on is a name.
    name: u64,
    /// The number or literal that goes on.
    scalar: Option<ScalarState>,
    /// How many hexadecimal digits of an escape are to come, as ones from bit 0.
    digits: u64,
}

/// For each kind of token by what may follow it: 1 where the next token is still to come.
#[derive(Clone, Copy, Debug, Default)]
struct After {
    brace: u64,
    bracket: u64,
    /// A comma in an object.
    member: u64,
    /// A comma in an array, or a colon.
    place: u64,
    name: u64,
    value: u64,
}

/// What the stack of brackets knows of a block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockBrackets {
    /// Opening brackets.
    pub(super) open: u64,
    /// Those of them that are braces.
    pub(super) braces: u64,
    /// Commas between the members of an object.
    pub(super) members: u64,
}

impl GrammarChecker {
    /// The grammar of what follows an opening bracket.
    pub(super) fn after(opening: u8) -> Self {
        let is_brace = u64::from(opening == b'{');
        Self { after: After { brace: is_brace, bracket: 1 - is_brace, ..After::default() }, ..Self::default() }
    }

    /// Checks the block that `bytes` are, at most 64 of them; `Err` is the place of the first flaw, and what was expected.
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
        // What pads a short block lets markers pass.
        let space = block.space | !text;
        let scalar = text & !(block.string | string_end | open | close | comma | colon | block.space);
        let scalar_before = scalar << 1 | u64::from(self.scalar.is_some());
        let scalar_start = scalar & !scalar_before;

        // A marker stands behind its token, and moves over white space to the next one; behind the last byte, that comes in the
        // next block.
        let next = |waits: &mut u64, tokens: u64, markers: u64| {
            let (moved, is_over) = (tokens << 1 | markers | *waits).overflowing_add(space);
            *waits = tokens >> 63 | u64::from(is_over);
            moved & !space
        };
        let member = comma & brackets.members;
        let after_brace = next(&mut self.after.brace, open & brackets.braces, 0);
        let after_bracket = next(&mut self.after.bracket, open & !brackets.braces, 0);
        let after_member = next(&mut self.after.member, member, 0);
        let after_place = next(&mut self.after.place, comma & !brackets.members | colon, 0);
        let name_start = (after_brace | after_member) & string_start;
        let (name_end, goes_on) = (name_start | self.name).overflowing_add(block.string);
        let name_end = name_end & string_end;
        self.name = u64::from(goes_on);
        let after_name = next(&mut self.after.name, name_end, 0);
        let after_scalar = scalar_before & !scalar & text;
        let after_value = next(&mut self.after.value, string_end & !name_end | close, after_scalar);

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

    /// Reads the numbers and literals that these bytes are.
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

    /// Reads what stands behind backslashes.
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

/// The rest of a number or literal, which may go on behind the last of `bytes`.
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

/// The first of all flaws, and what was expected there.
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
