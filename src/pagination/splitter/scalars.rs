//! Strings, numbers and literals, a byte at a time (RFC 8259 §§ 3, 6 and 7). Each state goes on in the next piece.

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
