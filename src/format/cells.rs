//! Cells of a table in the grammar of CSV (RFC 4180).

use bytes::{BufMut, BytesMut};

use super::columns::decode;

/// Way in which cells are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) reader: TableReader,
}

/// Kind of program that reads the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableReader {
    /// Gets texts as they are.
    Program,
    /// Gets an apostrophe before a text that it would take for a formula.
    Spreadsheet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// The opening quote was written before.
    Opened,
    WhereNeeded,
}

impl Dialect {
    /// Writes a JSON value as a cell: nothing for `null`, the content of a string, and the text of any other value.
    pub(super) fn value(self, value: &[u8], quotes: Quotes, out: &mut BytesMut) {
        match value {
            b"null" => self.cell(b"", quotes, out),
            [b'"', content @ .., b'"'] if content.contains(&b'\\') => match decode(content) {
                Some(text) => self.text(text.as_bytes(), quotes, out),
                None => self.text(content, quotes, out),
            },
            [b'"', content @ .., b'"'] => self.text(content, quotes, out),
            other if self.reader == TableReader::Program || is_number(other) => self.cell(other, quotes, out),
            // Text that is no JSON gets here where the grammar of pages is not checked.
            other => self.text(other, quotes, out),
        }
    }

    /// Writes a text as a cell. An empty one has quotes, which tell it from `null`.
    pub(super) fn text(self, text: &[u8], quotes: Quotes, out: &mut BytesMut) {
        let is_formula = matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\n' | b'\r' | 0))
            || ["＝", "＋", "－", "＠"].iter().any(|full_width| text.starts_with(full_width.as_bytes()));
        if is_formula && self.reader == TableReader::Spreadsheet {
            self.cell(&[b"'", text].concat(), quotes, out);
        } else if text.is_empty() && quotes == Quotes::WhereNeeded {
            out.put_slice(b"\"\"");
        } else {
            self.cell(text, quotes, out);
        }
    }

    fn cell(self, text: &[u8], quotes: Quotes, out: &mut BytesMut) {
        let needed = |byte: &u8| matches!(byte, b'"' | b'\n' | b'\r') || *byte == self.delimiter;
        match quotes {
            Quotes::Opened => quoted(text, out),
            Quotes::WhereNeeded if text.iter().any(needed) => {
                out.put_u8(b'"');
                quoted(text, out);
            }
            Quotes::WhereNeeded => out.put_slice(text),
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// Writes the content of a cell whose opening quote was written, and the closing quote.
fn quoted(text: &[u8], out: &mut BytesMut) {
    for (number, part) in text.split(|byte| *byte == b'"').enumerate() {
        if number > 0 {
            out.put_slice(b"\"\"");
        }
        out.put_slice(part);
    }
    out.put_u8(b'"');
}
