//! The text inside a base64 string (RFC 4648 §4), decoded as the string arrives.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::flaw::VALUE;
use super::scalars::{StringState, StringStep};
use super::utf8::Utf8Checker;
use crate::pagination::PageError;

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters that are decoded in one go, in whole groups of four.
const GROUP: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct Base64Text {
    string: StringState,
    /// Hexadecimal digits of a `\u` escape that have been read, as a number.
    code: u32,
    /// Characters that are not decoded yet.
    characters: Vec<u8>,
    decoded: Vec<u8>,
    is_padded: bool,
    utf8: Utf8Checker,
}

impl Base64Text {
    pub(super) fn new() -> Self {
        Self {
            string: StringState::default(),
            code: 0,
            characters: Vec::with_capacity(GROUP),
            decoded: vec![0; GROUP / 4 * 3],
            is_padded: false,
            utf8: Utf8Checker::default(),
        }
    }

    /// Reads the next piece, which starts at byte `at` of the page, and passes the decoded text to `take`. Returns the length of the
    /// string's rest, its closing quote included, if it ends in this piece.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        at: u64,
        take: &mut impl FnMut(&[u8]) -> Result<(), PageError>,
    ) -> Result<Option<usize>, PageError> {
        for (len, byte) in piece.iter().enumerate() {
            let place = at + len as u64;
            let before = self.string;
            match before.next(*byte) {
                Ok(StringStep::Ends) => {
                    self.decode(place, take)?;
                    self.utf8.finish().map_err(not_utf8)?;
                    return Ok(Some(len + 1));
                }
                Ok(StringStep::Continues(string)) => self.string = string,
                Err(expected) => return Err(not_base64(place, expected)),
            }
            if let Some(character) = self.character(before, *byte) {
                self.push(character, place)?;
                if self.characters.len() == GROUP {
                    self.decode(place, take)?;
                }
            }
        }
        let whole = self.characters.len() / 4 * 4;
        let rest = self.characters.split_off(whole);
        self.decode(at + piece.len() as u64, take)?;
        self.characters = rest;
        Ok(None)
    }

    /// The character that this byte completes.
    fn character(&mut self, before: StringState, byte: u8) -> Option<u32> {
        match (before, self.string) {
            (StringState::Plain, StringState::Plain) => Some(u32::from(byte)),
            (StringState::Escape, StringState::Plain) => Some(match byte {
                b'n' | b'r' | b't' => u32::from(b'\n'),
                b'b' | b'f' => 0x08,
                other => u32::from(other),
            }),
            (StringState::Hex(left), after) => {
                self.code = self.code << 4 | char::from(byte).to_digit(16).unwrap_or(0);
                (left == 1 && after == StringState::Plain).then(|| std::mem::take(&mut self.code))
            }
            _ => None,
        }
    }

    fn push(&mut self, character: u32, place: u64) -> Result<(), PageError> {
        // Encoders for mail break their lines.
        if matches!(character, 0x09 | 0x0a | 0x0d | 0x20) {
            return Ok(());
        }
        let byte = match u8::try_from(character) {
            Ok(byte @ (b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=')) => byte,
            Ok(b'-' | b'_') => return Err(not_base64(place, "this is base64url (RFC 4648 §5)")),
            _ => return Err(not_base64(place, "expected a base64 character")),
        };
        if self.is_padded && byte != b'=' {
            return Err(not_base64(place, "expected nothing after the padding"));
        }
        self.is_padded |= byte == b'=';
        self.characters.push(byte);
        Ok(())
    }

    fn decode(&mut self, place: u64, take: &mut impl FnMut(&[u8]) -> Result<(), PageError>) -> Result<(), PageError> {
        let len = BASE64
            .decode_slice(&self.characters, &mut self.decoded)
            .map_err(|_| not_base64(place, "the characters before it are no whole groups of four"))?;
        self.characters.clear();
        let decoded = &self.decoded[..len];
        self.utf8.feed(decoded).map_err(not_utf8)?;
        take(decoded).map_err(decoded_error)
    }
}

fn not_base64(at: u64, what: &str) -> PageError {
    PageError::NotBase64 { at, what: what.to_owned() }
}

fn not_utf8(at: u64) -> PageError {
    decoded_error(PageError::NotJson { at, what: "expected UTF-8".to_owned(), shown: String::new() })
}

/// An error of the decoded text: its offsets are those of that text.
pub(super) fn decoded_error(error: PageError) -> PageError {
    match error {
        PageError::NotJson { at, what, shown } => {
            PageError::NotJson { at, what: format!("{what} (in the decoded text)"), shown }
        }
        PageError::EmptyPage(_) => {
            decoded_error(PageError::NotJson { at: 0, what: VALUE.to_owned(), shown: String::new() })
        }
        other => other,
    }
}
