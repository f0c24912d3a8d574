//! A CSV page (RFC 4180), read as JSON: `{"columns": ["id", …], "rows": [{"id": "1", …}, …]}`. Its first record names the columns.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde_json::Value;

use super::flaw::bad_text;
use crate::pagination::PageError;

const CSV: &str = "CSV";

/// Position in a CSV page.
#[derive(Debug)]
pub(super) struct CsvText {
    reader: Reader,
    quotes: QuoteCheck,
    /// First byte of the page that is no white space and no quote.
    first: Option<u8>,
    /// Fields of the record that is being read, without their quotes.
    fields: Vec<u8>,
    /// Bytes of them that have been read.
    len: usize,
    /// Offset behind each field.
    ends: Vec<usize>,
    /// Number of fields that have ended.
    count: usize,
    /// JSON of the columns' names.
    columns: Vec<String>,
    rows: u64,
    /// Bytes of the page.
    read: u64,
}

/// Check of the quotes (RFC 4180 §2, rules 5 to 7), which the reader takes wherever they stand: a wrong delimiter or a wrong quote would
/// change fields and rows without a word.
#[derive(Debug)]
struct QuoteCheck {
    delimiter: u8,
    place: QuotePlace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuotePlace {
    FieldStart,
    Unquoted,
    Quoted,
    /// Behind a quote in a quoted field: its end, or the first of two that are one.
    Quote,
}

impl QuoteCheck {
    /// Reads a piece; `Err` has the offset of the flaw in it.
    fn feed(&mut self, piece: &[u8]) -> Result<(), (usize, &'static str)> {
        for (at, byte) in piece.iter().enumerate() {
            let is_end = *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            self.place = match (self.place, *byte) {
                (QuotePlace::Quoted, b'"') => QuotePlace::Quote,
                (QuotePlace::Quoted, _) | (QuotePlace::FieldStart | QuotePlace::Quote, b'"') => QuotePlace::Quoted,
                (_, _) if is_end => QuotePlace::FieldStart,
                (QuotePlace::Quote, _) => return Err((at, "text stands behind the quote that ends a field")),
                // A quote has no meaning within a field of tabs (text/tab-separated-values).
                (QuotePlace::Unquoted, b'"') if self.delimiter != b'\t' => {
                    return Err((at, "a quote stands within a field that does not begin with one"));
                }
                (QuotePlace::FieldStart | QuotePlace::Unquoted, _) => QuotePlace::Unquoted,
            };
        }
        Ok(())
    }
}

impl CsvText {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            quotes: QuoteCheck { delimiter, place: QuotePlace::FieldStart },
            first: None,
            fields: vec![0; 1024],
            len: 0,
            ends: vec![0; 64],
            count: 0,
            columns: Vec::new(),
            rows: 0,
            read: 0,
        }
    }

    /// Adds the JSON of the records that the piece ends to `json`.
    pub(super) fn feed(&mut self, mut piece: &[u8], json: &mut Vec<u8>) -> Result<(), PageError> {
        let is_text = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b'"';
        self.first = self.first.or_else(|| piece.iter().copied().find(is_text));
        if matches!(self.first, Some(b'<' | b'{' | b'[')) {
            return Err(self.flaw("markup or JSON stands where the columns' names do".to_owned()));
        }
        if let Err((at, what)) = self.quotes.feed(piece) {
            return Err(bad_text(CSV, self.read + at as u64, what.to_owned()));
        }
        while !piece.is_empty() {
            let (fields, ends) = (&mut self.fields[self.len..], &mut self.ends[self.count..]);
            let (result, read, len, count) = self.reader.read_record(piece, fields, ends);
            piece = &piece[read..];
            self.read += read as u64;
            (self.len, self.count) = (self.len + len, self.count + count);
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => {
                    self.record(json)?;
                    (self.len, self.count) = (0, 0);
                }
            }
        }
        Ok(())
    }

    /// Ends the page, whose last record may lack its line break.
    pub(super) fn end(mut self, json: &mut Vec<u8>) -> Result<(), PageError> {
        self.feed(b"\n", json)?;
        if self.len > 0 || self.count > 0 {
            return Err(self.flaw("the text ends within a quoted field".to_owned()));
        }
        if self.columns.is_empty() {
            return Err(PageError::EmptyPage("CSV"));
        }
        json.extend_from_slice(b"]}");
        Ok(())
    }

    /// Number of bytes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.fields.len() + self.ends.len() * size_of::<usize>()
    }

    fn record(&mut self, json: &mut Vec<u8>) -> Result<(), PageError> {
        let mut begin = 0;
        let mut fields = Vec::with_capacity(self.count);
        for end in &self.ends[..self.count] {
            let field = str::from_utf8(&self.fields[begin..*end]).map_err(|_| PageError::NotUtf8(self.read))?;
            fields.push(Value::from(field).to_string());
            begin = *end;
        }
        if self.columns.is_empty() {
            return self.head(fields, json);
        }
        if fields.len() != self.columns.len() {
            let (row, found, columns) = (self.rows + 1, fields.len(), self.columns.len());
            return Err(self.flaw(format!("row {row} has {found} fields, and the header {columns}")));
        }
        json.extend_from_slice(if self.rows == 0 { b"{" } else { b",{" });
        for (number, (name, field)) in self.columns.iter().zip(&fields).enumerate() {
            let comma = if number == 0 { "" } else { "," };
            [comma, name, ":", field].iter().for_each(|part| json.extend_from_slice(part.as_bytes()));
        }
        json.push(b'}');
        self.rows += 1;
        Ok(())
    }

    fn head(&mut self, names: Vec<String>, json: &mut Vec<u8>) -> Result<(), PageError> {
        let mut sorted: Vec<_> = names.iter().collect();
        sorted.sort_unstable();
        if let Some([name, _]) = sorted.array_windows().find(|[name, next]| name == next) {
            return Err(self.flaw(format!("two columns have the name {name}")));
        }
        json.extend_from_slice(format!("{{\"columns\":[{}],\"rows\":[", names.join(",")).as_bytes());
        self.columns = names;
        Ok(())
    }

    fn flaw(&self, what: String) -> PageError {
        bad_text(CSV, self.read, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &str, piece: usize) -> Result<String, String> {
        let (mut csv, mut json) = (CsvText::new(b','), Vec::new());
        let all = page.as_bytes().chunks(piece).try_for_each(|piece| csv.feed(piece, &mut json));
        all.and_then(|()| csv.end(&mut json)).map_err(|wrong| wrong.to_string())?;
        Ok(String::from_utf8(json).unwrap())
    }

    #[test]
    fn rows_are_objects_in_pieces_of_any_size() {
        let rows = |rows: &str| format!("{{\"columns\":[\"id\",\"a b\"],\"rows\":[{rows}]}}");
        for (page, json) in [
            ("id,a b\n1,x\n2,\n", rows("{\"id\":\"1\",\"a b\":\"x\"},{\"id\":\"2\",\"a b\":\"\"}")),
            ("id,a b\r\n1,\"x, \"\"y\"\"\r\nz\"", rows("{\"id\":\"1\",\"a b\":\"x, \\\"y\\\"\\r\\nz\"}")),
            ("id,a b", rows("")),
            ("\n\nid,a b\n\n1,ü\n\n", rows("{\"id\":\"1\",\"a b\":\"ü\"}")),
        ] {
            for piece in 1..=page.len() {
                assert_eq!(read(page, piece).unwrap(), json, "{piece}");
            }
        }
    }

    #[test]
    fn rows_of_another_length_open_quotes_and_equal_names_are_errors() {
        for (page, what) in [
            ("id,b\n1\n", "row 1 has 1 fields, and the header 2"),
            ("id,b\n1,2\n1,2,3", "row 2 has 3 fields, and the header 2"),
            ("id,b\n1,\"2\n", "ends within a quoted field"),
            ("id,b\n1,\"", "ends within a quoted field"),
            ("id,b\n1,\"x\"y\n", "behind the quote that ends a field"),
            ("id;b\n1;\"x\ny\"\n", "a quote stands within a field"),
            ("<html>Log in</html>", "markup or JSON"),
            ("{\"error\":\"late\"}\n", "markup or JSON"),
            ("\"\"\n<b>late</b>\n", "markup or JSON"),
            ("id,id\n", "two columns have the name \"id\""),
            ("", "the page is empty"),
            ("\n", "the page is empty"),
        ] {
            for piece in [1, 3, page.len().max(1)] {
                let told = read(page, piece).unwrap_err();
                assert!(told.contains(what), "{told}");
            }
        }
    }
}
