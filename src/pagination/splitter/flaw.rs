//! Flaws of a page: the expected token, the byte, and the excerpts that a message shows.

use crate::pagination::PageError;
use crate::pagination::detect::{self, Sketch};
use crate::pagination::error::start_of;

/// Characters of a page's start that are shown.
const START_SHOWN: usize = 60;

/// Bytes before a flaw that are shown.
pub(super) const BEFORE_FLAW: usize = 30;

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

/// The error of a page that starts so and isn't JSON at byte `at`, with which `near` begins.
pub(super) fn flawed(start: &[u8], at: u64, what: String, near: &[u8]) -> PageError {
    let text = start.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(start);
    match text.trim_ascii_start().first() {
        Some(b'<') => PageError::Markup { shown: shown_flaw(start, 0, &[]) },
        _ => PageError::NotJson { at, what, shown: shown_flaw(start, at, near) },
    }
}

/// Description of a page with a flaw at byte `at`: its start, where a body that is no JSON is recognised, and the text around a flaw that is
/// farther on, with which `near` begins.
pub(super) fn shown_flaw(start: &[u8], at: u64, near: &[u8]) -> String {
    let start = format!("it starts with `{}`", shown_start(start));
    if at < START_SHOWN as u64 {
        return start;
    }
    let near = String::from_utf8_lossy(&near[..near.len().min(2 * BEFORE_FLAW)]).into_owned();
    format!("`{}` stands there, and {start}", start_of(near.trim(), 2 * BEFORE_FLAW))
}

/// The page is not of its configured encoding; what it starts with is added by the splitter.
pub(super) fn bad_text(encoding: &'static str, at: u64, what: String) -> PageError {
    PageError::BadText { encoding, at, what, shown: String::new() }
}

/// The arrays of a page without the configured one.
pub(super) fn arrays_of(sketch: &Sketch, start: &[u8]) -> String {
    match detect::seen_arrays(sketch.outline()) {
        _ if sketch.is_empty() => "more text around its records than unpage reads".to_owned(),
        seen if seen.is_empty() => format!("no array at all, it starts with `{}`", shown_start(start)),
        seen => format!("arrays with {seen}"),
    }
}

pub(super) fn shown_start(start: &[u8]) -> String {
    start_of(String::from_utf8_lossy(start).trim_start(), START_SHOWN)
}
