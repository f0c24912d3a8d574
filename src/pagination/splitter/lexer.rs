//! Strings, numbers, literals and white space, a byte at a time (RFC 8259 §§ 2, 3, 6 and 7), and the check for UTF-8. Each state goes
//! on in the next piece.

use simdutf8::{basic, compat};

use super::flaw::{CONTROL, ESCAPE, Flaw, FlawKind, HEX};

/// State inside a string, behind its opening quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StringState {
    #[default]
    Plain,
    /// Behind a backslash.
    Escape,
    /// Before this many hexadecimal digits.
    Hex(u8),
}

/// Effect of a byte on a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringStep {
    Continues(StringState),
    Ends,
}

impl StringState {
    /// Reads a piece up to the closing quote. Returns the number of bytes that were read, and the state behind them; none if the
    /// string has ended.
    pub(super) fn read(mut self, piece: &[u8]) -> Result<(usize, Option<Self>), Flaw> {
        for (at, byte) in piece.iter().enumerate() {
            match self.next(*byte) {
                Ok(StringStep::Continues(next)) => self = next,
                Ok(StringStep::Ends) => return Ok((at + 1, None)),
                Err(expected) => return Err(Flaw { at, kind: FlawKind::Expected(expected) }),
            }
        }
        Ok((piece.len(), Some(self)))
    }

    /// The state behind the next byte; `Err` is what was expected instead.
    pub(super) fn next(self, byte: u8) -> Result<StringStep, &'static str> {
        let continues = |text| Ok(StringStep::Continues(text));
        match (self, byte) {
            (Self::Plain, b'"') => Ok(StringStep::Ends),
            (Self::Plain, b'\\') => continues(Self::Escape),
            (Self::Plain, 0..0x20) => Err(CONTROL),
            (Self::Escape, b'u') => continues(Self::Hex(4)),
            (Self::Plain, _) | (Self::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                continues(Self::Plain)
            }
            (Self::Escape, _) => Err(ESCAPE),
            (Self::Hex(left), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                continues(if left > 1 { Self::Hex(left - 1) } else { Self::Plain })
            }
            (Self::Hex(_), _) => Err(HEX),
        }
    }
}

/// State inside a number or a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarState {
    /// Rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    E,
    Sign,
    Power,
}

impl ScalarState {
    /// The state behind the first byte; none if no number or literal begins with it.
    pub(super) fn new(byte: u8) -> Option<Self> {
        Some(match byte {
            b't' => Self::Literal(b"rue"),
            b'f' => Self::Literal(b"alse"),
            b'n' => Self::Literal(b"ull"),
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            b'1'..=b'9' => Self::Digits,
            _ => return None,
        })
    }

    /// The state behind the next byte; none if the byte doesn't belong to it.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Literal([first, rest @ ..]), _) if *first == byte => Self::Literal(rest),
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::E, b'+' | b'-') => Self::Sign,
            (Self::E | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return None,
        })
    }

    /// Returns whether a number or literal can end here.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Literal([]) | Self::Zero | Self::Digits | Self::Fraction | Self::Power)
    }
}

/// Returns whether this is one whole string, number or literal.
pub(super) fn is_scalar(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else { return false };
    if *first != b'"' {
        let last =
            rest.iter().try_fold(ScalarState::new(*first), |scalar, byte| scalar.map(|scalar| scalar.next(*byte)));
        return last.flatten().is_some_and(ScalarState::is_whole);
    }
    matches!(StringState::default().read(rest), Ok((len, None)) if len == rest.len())
}

/// Offset of the first byte from `place` on that is no white space.
#[inline(always)]
pub(super) fn space_at(text: &[u8], mut place: usize) -> usize {
    while text.get(place).is_some_and(|byte| is_space(*byte)) {
        place += 1;
    }
    place
}

#[inline(always)]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Removes white space outside strings in place; returns the new length.
pub(super) fn drop_space(record: &mut [u8]) -> usize {
    let (mut write, mut in_string, mut escaped) = (0, false, false);
    for read in 0..record.len() {
        let byte = record[read];
        if in_string || byte != b' ' {
            record[write] = byte;
            write += 1;
        }
        if escaped {
            escaped = false;
        } else if byte == b'"' {
            in_string = !in_string;
        } else {
            escaped = in_string && byte == b'\\';
        }
    }
    write
}

/// The check for UTF-8 over pieces that may cut characters.
#[derive(Debug, Default)]
pub(super) struct Utf8Checker {
    /// Start of a character that a piece has cut.
    begun: [u8; 4],
    begun_len: usize,
    /// Bytes before `begun`.
    checked: u64,
}

impl Utf8Checker {
    /// Checks the next piece; `Err` is the offset of the first byte that is no UTF-8.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), u64> {
        while self.begun_len > 0 {
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            self.begun[self.begun_len] = *first;
            self.begun_len += 1;
            bytes = rest;
            match std::str::from_utf8(&self.begun[..self.begun_len]) {
                Ok(_) => {
                    self.checked += self.begun_len as u64;
                    self.begun_len = 0;
                }
                Err(error) if error.error_len().is_some() => return Err(self.checked),
                Err(_) => {}
            }
        }
        let whole = bytes.len() - begun_at_end(bytes);
        if basic::from_utf8(&bytes[..whole]).is_err() {
            let valid = compat::from_utf8(&bytes[..whole]).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(self.checked + valid as u64);
        }
        self.checked += whole as u64;
        self.begun_len = bytes.len() - whole;
        self.begun[..self.begun_len].copy_from_slice(&bytes[whole..]);
        match std::str::from_utf8(&self.begun[..self.begun_len]) {
            Err(error) if error.error_len().is_some() => Err(self.checked),
            _ => Ok(()),
        }
    }

    /// Ends the text; fails inside a character.
    pub(super) fn finish(&self) -> Result<(), u64> {
        if self.begun_len == 0 { Ok(()) } else { Err(self.checked) }
    }
}

/// Number of bytes at the end that may be the start of a cut character.
fn begun_at_end(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let length = match bytes[bytes.len() - back] {
            0x80..0xc0 => continue,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], cut: usize) -> Result<(), u64> {
        let mut utf8 = Utf8Checker::default();
        bytes.chunks(cut).try_for_each(|piece| utf8.feed(piece))?;
        utf8.finish()
    }

    proptest! {
        #[test]
        fn judges_as_the_standard_library_does(
            parts in prop::collection::vec(prop::sample::select(vec![
                &b"a"[..], b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98",
                b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xff", b"0123456789012345678901234567890123456789",
            ]), 0..12),
            cut in 1..20_usize,
        ) {
            let bytes = parts.concat();
            let expected = std::str::from_utf8(&bytes).map(drop).map_err(|error| error.valid_up_to() as u64);
            prop_assert_eq!(check(&bytes, cut), expected);
        }
    }
}
