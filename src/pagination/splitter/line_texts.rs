//! A page of several JSON texts, one a line (NDJSON) or each behind a record separator (RFC 7464), read as the array of all.

use crate::pagination::PageError;

/// Record separator in front of each text of a JSON text sequence (RFC 7464 §2.2).
const SEPARATOR: u8 = 0x1e;

/// Position in such a page.
#[derive(Debug, Default)]
pub(super) struct LineTexts {
    /// Byte between two texts; none before the first one that is no space.
    boundary: Option<u8>,
    texts: u64,
    place: LinePlace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LinePlace {
    #[default]
    Between,
    InText,
}

impl LineTexts {
    /// Gives the parts of the array that the piece continues to `feed`.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        feed: &mut dyn FnMut(&[u8]) -> Result<(), PageError>,
    ) -> Result<(), PageError> {
        while !piece.is_empty() {
            let boundary = match self.boundary {
                Some(boundary) => boundary,
                None => {
                    piece = piece.trim_ascii_start();
                    let Some(first) = piece.first() else { return Ok(()) };
                    *self.boundary.insert(if *first == SEPARATOR { SEPARATOR } else { b'\n' })
                }
            };
            let end = piece.iter().position(|byte| *byte == boundary);
            let text = &piece[..end.unwrap_or(piece.len())];
            if self.place == LinePlace::InText || !text.trim_ascii().is_empty() {
                if self.place == LinePlace::Between {
                    feed(if self.texts == 0 { b"[" } else { b"," })?;
                    (self.texts, self.place) = (self.texts + 1, LinePlace::InText);
                }
                feed(text)?;
            }
            let Some(end) = end else { return Ok(()) };
            self.place = LinePlace::Between;
            piece = &piece[end + 1..];
        }
        Ok(())
    }

    /// Number of texts so far.
    pub(super) fn texts(&self) -> u64 {
        self.texts
    }

    /// End of the array.
    pub(super) fn end(self) -> &'static [u8] {
        if self.texts == 0 { b"[]" } else { b"]" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &[u8], piece: usize) -> String {
        let (mut lines, mut json) = (LineTexts::default(), Vec::new());
        for piece in page.chunks(piece) {
            let mut feed = |part: &[u8]| {
                json.extend_from_slice(part);
                Ok(())
            };
            lines.feed(piece, &mut feed).unwrap();
        }
        json.extend_from_slice(lines.end());
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn lines_and_sequences_are_arrays_in_pieces_of_any_size() {
        for (page, array) in [
            ("{\"a\":1}\n{\"a\":\"  \"}\n", "[{\"a\":1},{\"a\":\"  \"}]"),
            ("{\"a\":1}\r\n\r\n\n{\"a\":2}", "[{\"a\":1}\r,{\"a\":2}]"),
            ("\u{1e}{\"a\":\n1}\n\u{1e}{\"a\":2}\n", "[{\"a\":\n1}\n,{\"a\":2}\n]"),
            ("", "[]"),
            (" \n\n", "[]"),
        ] {
            for piece in 1..=page.len().max(1) {
                assert_eq!(read(page.as_bytes(), piece), array, "{piece}");
            }
        }
    }
}
