//! CSV and tables separated by tabs: a header, and a row for each record.
//!
//! The grammar has no end, and a row that is cut is a shorter row. Therefore the first cell of each row has quotes, and of the newest row only
//! the opening one leaves before its successor or the proven end: a broken stream ends inside of a quoted cell, in a row of one column.
//!
//! The columns are those of the request, or of the records that end within the first [`SAMPLE`] bytes of the log. They depend on nothing else,
//! so every reader gets the same header.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use memchr::{memchr, memrchr};

use super::cells::{Dialect, Quotes, TableReader};
use super::columns::{Columns, ColumnsOrigin, MORE, dotted, flatten};
use super::encoding_error::EncodingError;

/// Number of bytes of the log whose records decide the columns.
const SAMPLE: usize = 256 * 1024;

#[derive(Debug)]
pub struct TableEncoder {
    dialect: Dialect,
    /// None until the sample is there.
    columns: Option<Columns>,
    /// Lines of the sample, or the beginning of the newest line.
    kept: Vec<u8>,
    next: NextBytes,
    /// End of the newest row, after its opening quote.
    row: BytesMut,
    /// Place in the record of each column's value.
    cells: Vec<Range<usize>>,
    /// Buffer for the path of a value.
    path: Vec<u8>,
    records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextBytes {
    /// Of a record whose row has not begun.
    NewRecord,
    Within,
}

impl TableEncoder {
    pub(super) fn new(delimiter: u8, reader: TableReader, asked: Option<&[String]>) -> Self {
        let dialect = Dialect { delimiter, reader };
        let (kept, row, cells) = (Vec::new(), BytesMut::new(), Vec::new());
        let mut table =
            Self { dialect, columns: None, kept, next: NextBytes::NewRecord, row, cells, path: Vec::new(), records: 0 };
        if let Some(asked) = asked {
            table.set_columns(Columns::asked(asked));
        }
        table
    }

    pub(super) fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        if self.columns.is_some() {
            return self.rows(lines, out);
        }
        self.kept.extend_from_slice(lines);
        match sample(&self.kept) {
            Some(end) => self.begin(end, out),
            None => Ok(()),
        }
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        if self.columns.is_none() {
            self.begin(self.kept.len(), out)?;
        }
        out.put_slice(&self.row);
        Ok(())
    }

    /// Discovers the columns in the first `end` bytes, and writes the rows of all that came.
    fn begin(&mut self, end: usize, out: &mut BytesMut) -> Result<(), EncodingError> {
        let columns = Columns::discover(&self.kept[..end]).map_err(no_json)?;
        self.set_columns(columns);
        let lines = std::mem::take(&mut self.kept);
        self.rows(&lines, out)
    }

    /// Sets the columns, and makes the header the newest row.
    fn set_columns(&mut self, columns: Columns) {
        if self.dialect.reader == TableReader::Spreadsheet {
            // The byte order mark, without which Excel takes the text for one of the system's code page.
            self.row.put_slice("\u{feff}".as_bytes());
        }
        self.row.put_u8(b'"');
        let more = (columns.origin == ColumnsOrigin::Sample).then_some(MORE);
        let mut quotes = Quotes::Opened;
        for name in columns.names.iter().map(String::as_str).chain(more) {
            if quotes == Quotes::WhereNeeded {
                self.row.put_u8(self.dialect.delimiter);
            }
            self.dialect.text(name.as_bytes(), quotes, &mut self.row);
            quotes = Quotes::WhereNeeded;
        }
        self.row.put_slice(b"\r\n");
        self.cells = vec![0..0; columns.names.len()];
        self.columns = Some(columns);
    }

    fn rows(&mut self, mut lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        while !lines.is_empty() {
            if self.next == NextBytes::NewRecord {
                out.put_slice(&self.row);
                self.row.clear();
                out.put_u8(b'"');
                self.next = NextBytes::Within;
            }
            let Some(end) = memchr(b'\n', lines) else {
                self.kept.extend_from_slice(lines);
                return Ok(());
            };
            let (line, rest) = (&lines[..end], &lines[end + 1..]);
            // A row that has no successor yet is held back.
            let mut row = std::mem::take(&mut self.row);
            let to = if rest.is_empty() { &mut row } else { &mut *out };
            let written = if self.kept.is_empty() {
                self.row(line, to)
            } else {
                let mut record = std::mem::take(&mut self.kept);
                record.extend_from_slice(line);
                let written = self.row(&record, to);
                record.clear();
                self.kept = record;
                written
            };
            self.row = row;
            written.ok_or_else(|| no_json(self.records))?;
            self.records += 1;
            self.next = NextBytes::NewRecord;
            lines = rest;
        }
        Ok(())
    }

    /// Writes a record's row after its opening quote; none where the record is no JSON.
    fn row(&mut self, record: &[u8], out: &mut BytesMut) -> Option<()> {
        let columns = self.columns.as_ref()?;
        self.cells.fill(0..0);
        let (mut next, mut more) = (0, String::new());
        flatten(record, &mut self.path, columns.origin, &mut |path, value| match columns.find(path, next) {
            Some(column) if self.cells[column].is_empty() => {
                self.cells[column] = value;
                next = column + 1;
            }
            _ if columns.origin == ColumnsOrigin::Sample => add_more(path, &record[value], &mut more),
            _ => {}
        })?;
        for (column, place) in self.cells.iter().enumerate() {
            let quotes = if column == 0 { Quotes::Opened } else { Quotes::WhereNeeded };
            if column > 0 {
                out.put_u8(self.dialect.delimiter);
            }
            let value = if place.is_empty() { b"null" } else { &record[place.clone()] };
            self.dialect.value(value, quotes, out);
        }
        if columns.origin == ColumnsOrigin::Sample {
            let quotes = if self.cells.is_empty() { Quotes::Opened } else { Quotes::WhereNeeded };
            if quotes == Quotes::WhereNeeded {
                out.put_u8(self.dialect.delimiter);
            }
            match more.as_str() {
                "" => self.dialect.value(b"null", quotes, out),
                more => self.dialect.text(format!("{more}}}").as_bytes(), quotes, out),
            }
        }
        out.put_slice(b"\r\n");
        Some(())
    }
}

/// Returns the end of the sample: of the last line that ends within it, or of a longer first line; none while more bytes decide it.
fn sample(lines: &[u8]) -> Option<usize> {
    let within = lines.get(..SAMPLE)?;
    memrchr(b'\n', within).or_else(|| memchr(b'\n', lines)).map(|end| end + 1)
}

/// Adds a member to the beginning of a JSON object.
fn add_more(path: &[u8], value: &[u8], more: &mut String) {
    more.push(if more.is_empty() { '{' } else { ',' });
    let name = serde_json::Value::String(dotted(path)).to_string();
    more.extend([&name, ":", &String::from_utf8_lossy(value)]);
}

fn no_json(record: u64) -> EncodingError {
    EncodingError {
        message: format!("record {record}, counted from 0, is no JSON value"),
        hint: "ask for `ndjson`, which passes it on as it is; validate = \"full\" in the [[collection]] refuses such pages",
    }
}
