//! Strings, numbers and literals, a byte at a time: what RFC 8259 §§ 3, 6 and 7 say of them.

/// Inside a string, after its opening quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Text {
    #[default]
    Plain,
    /// After a backslash.
    Escape,
    /// This many hexadecimal digits are still to come.
    Hex(u8),
}

/// What a byte of a string does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InText {
    Goes(Text),
    Ends,
}

impl Text {
    /// The next byte; `Err` is what was expected instead.
    pub(super) fn next(self, byte: u8) -> Result<InText, &'static str> {
        let goes = |text| Ok(InText::Goes(text));
        match (self, byte) {
            (Self::Plain, b'"') => Ok(InText::Ends),
            (Self::Plain, b'\\') => goes(Self::Escape),
            (Self::Plain, 0..0x20) => Err(CONTROL),
            (Self::Escape, b'u') => goes(Self::Hex(4)),
            (Self::Plain, _) | (Self::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                goes(Self::Plain)
            }
            (Self::Escape, _) => Err(ESCAPE),
            (Self::Hex(left), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                goes(if left > 1 { Self::Hex(left - 1) } else { Self::Plain })
            }
            (Self::Hex(_), _) => Err(HEX),
        }
    }
}

/// What is expected where a control character stands, behind a backslash, and behind `\u`.
pub(super) const CONTROL: &str = "expected no raw control character";
pub(super) const ESCAPE: &str = "expected an escape (one of \"\\/bfnrtu)";
pub(super) const HEX: &str = "expected a hexadecimal digit";

/// Inside a number or a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// What is still to come of `true`, `false` or `null`.
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

impl Scalar {
    /// What starts with this byte.
    pub(super) fn of(byte: u8) -> Option<Self> {
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

    /// The next byte, if it belongs to this.
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

    /// Whether this is a whole number or literal.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Literal([]) | Self::Zero | Self::Digits | Self::Fraction | Self::Power)
    }
}

/// Whether this is one whole string, number or literal.
pub(super) fn is_scalar(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else { return false };
    if *first != b'"' {
        let last = rest.iter().try_fold(Scalar::of(*first), |scalar, byte| scalar.map(|scalar| scalar.next(*byte)));
        return last.flatten().is_some_and(Scalar::is_whole);
    }
    let mut text = Text::default();
    for (place, byte) in rest.iter().enumerate() {
        match text.next(*byte) {
            Ok(InText::Goes(next)) => text = next,
            Ok(InText::Ends) => return place + 1 == rest.len(),
            Err(_) => return false,
        }
    }
    false
}
