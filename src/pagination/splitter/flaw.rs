//! Errors of the grammar: what was expected, and where.

use crate::pagination::PageError;

pub(super) const VALUE: &str = "expected a value";
pub(super) const SEPARATOR: &str = "expected `,` or a closing bracket";
pub(super) const NAME: &str = "expected a name in quotes";
pub(super) const SCALAR: &str = "expected a whole number or literal";
pub(super) const CONTROL: &str = "expected no raw control character";
pub(super) const ESCAPE: &str = "expected an escape (one of \"\\/bfnrtu)";
pub(super) const HEX: &str = "expected a hexadecimal digit";
pub(super) const END: &str = "expected nothing more";

/// An error at a byte of the current piece.
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) kind: FlawKind,
}

pub(super) enum FlawKind {
    /// A flaw of the grammar; the byte that was found instead is known to the caller.
    Expected(&'static str),
    Page(PageError),
}

impl FlawKind {
    /// The error at byte `at` of the page, where `found` stands.
    pub(super) fn into_error(self, at: u64, found: Option<&u8>) -> PageError {
        let expected = match self {
            Self::Page(error) => return error,
            Self::Expected(expected) => expected,
        };
        let found = match *found.unwrap_or(&b' ') {
            byte if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            byte => format!("byte 0x{byte:02x}"),
        };
        PageError::NotJson { at, what: format!("{expected}, found {found}"), shown: String::new() }
    }
}
