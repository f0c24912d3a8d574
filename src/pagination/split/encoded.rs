//! Records inside a base64 string (RFC 4648 §4), decoded as it streams and walked as a JSON text of its own.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::found::There;
use super::lexeme::{InText, Text};
use super::span::VALUE;
use super::utf8::Utf8;
use super::walk::{Output, Walker};
use crate::pagination::PageError;

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters that are decoded in one go, in whole groups of four.
const GROUP: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct Encoded {
    text: Text,
    /// The characters of a `\u` escape that have come.
    code: u32,
    /// Characters to be decoded.
    characters: Vec<u8>,
    decoded: Vec<u8>,
    is_padded: bool,
    utf8: Utf8,
    walker: Walker,
}

impl Encoded {
    /// What stands in the string is walked by `walker`.
    pub(super) fn new(walker: Walker) -> Self {
        Self {
            text: Text::default(),
            code: 0,
            characters: Vec::with_capacity(GROUP),
            decoded: vec![0; GROUP / 4 * 3],
            is_padded: false,
            utf8: Utf8::default(),
            walker,
        }
    }

    /// Reads the next piece of the string, which starts at byte `at` of the page; gives how much of it belongs to the string
    /// where it ends, its closing quote included.
    pub(super) fn feed(&mut self, piece: &[u8], at: u64, output: &mut Output) -> Result<Option<usize>, PageError> {
        for (len, byte) in piece.iter().enumerate() {
            let place = at + len as u64;
            let before = self.text;
            match before.next(*byte) {
                Ok(InText::Ends) => {
                    self.decode(place, output)?;
                    self.end(output)?;
                    return Ok(Some(len + 1));
                }
                Ok(InText::Goes(text)) => self.text = text,
                Err(expected) => return Err(not_base64(place, expected)),
            }
            if let Some(character) = self.character(before, *byte) {
                self.take(character, place, output)?;
            }
        }
        let whole = self.characters.len() / 4 * 4;
        let rest = self.characters.split_off(whole);
        self.decode(at + piece.len() as u64, output)?;
        self.characters = rest;
        Ok(None)
    }

    /// The character that this byte completes.
    fn character(&mut self, before: Text, byte: u8) -> Option<u32> {
        match (before, self.text) {
            (Text::Plain, Text::Plain) => Some(u32::from(byte)),
            (Text::Escape, Text::Plain) => Some(match byte {
                b'n' | b'r' | b't' => u32::from(b'\n'),
                b'b' | b'f' => 0x08,
                other => u32::from(other),
            }),
            (Text::Hex(left), after) => {
                self.code = self.code << 4 | char::from(byte).to_digit(16).unwrap_or(0);
                (left == 1 && after == Text::Plain).then(|| std::mem::take(&mut self.code))
            }
            _ => None,
        }
    }

    fn take(&mut self, character: u32, place: u64, output: &mut Output) -> Result<(), PageError> {
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
        if self.characters.len() == GROUP { self.decode(place, output) } else { Ok(()) }
    }

    /// Decodes what has come, and walks it.
    fn decode(&mut self, place: u64, output: &mut Output) -> Result<(), PageError> {
        let len = BASE64
            .decode_slice(&self.characters, &mut self.decoded)
            .map_err(|_| not_base64(place, "what stands before isn't whole groups of four characters"))?;
        self.characters.clear();
        let decoded = &self.decoded[..len];
        self.utf8.feed(decoded).map_err(not_utf8)?;
        self.walker.feed(decoded, output).map_err(inside)
    }

    /// The string is whole, and so must be the text in it.
    fn end(&mut self, output: &mut Output) -> Result<(), PageError> {
        self.utf8.finish().map_err(not_utf8)?;
        self.walker.end_of_text(output).map_err(inside)?;
        match self.walker.records() {
            There::Yes | There::Null => Ok(()),
            There::Absent | There::No => {
                let paths = "the root of the decoded text".to_owned();
                Err(PageError::NoRecords { paths, arrays: "no array there".to_owned() })
            }
        }
    }
}

fn not_utf8(at: u64) -> PageError {
    inside(PageError::NotJson { at, what: "expected UTF-8".to_owned(), start: String::new() })
}

fn not_base64(at: u64, what: &str) -> PageError {
    PageError::NotBase64 { at, what: what.to_owned() }
}

/// What is wrong with the text in the string: its places are those of the decoded text.
fn inside(wrong: PageError) -> PageError {
    match wrong {
        PageError::NotJson { at, what, start } => {
            PageError::NotJson { at, what: format!("{what} (in the decoded text)"), start }
        }
        PageError::EmptyPage => inside(PageError::NotJson { at: 0, what: VALUE.to_owned(), start: String::new() }),
        other => other,
    }
}
