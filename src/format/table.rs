//! CSV and tables separated by tabs: a header, and a row for each record.
//!
//! The grammar has no end, and a row that is cut is a shorter row. Therefore the first cell of each row has quotes, and of the newest row only
//! the opening one leaves before its successor or the proven end: a broken stream ends inside of a quoted cell, in a row of one column.
//!
//! The columns are those that the user names, or those of the records of a [`sample`]. They depend on nothing else, so every reader gets the same header.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use super::cells::{Dialect, Quotes, TableReader};
use super::column_names::path_of;
use super::column_use::ColumnUse;
use super::columns::{Columns, sample};
use super::encoding_error::{EncodingError, no_json};
use super::layout::RecordOffset;
use super::record_cells::RecordCells;

#[derive(Debug)]
pub struct TableEncoder {
    dialect: Dialect,
    /// None until the columns are known.
    cells: Option<RecordCells>,
    /// Lines of the sample, or the beginning of the newest line.
    kept: Vec<u8>,
    next: NextBytes,
    /// End of the newest row, after its opening quote.
    row: BytesMut,
    /// Number of records whose rows are encoded.
    records: u64,
    /// Offset in the log after the bytes that were pushed.
    taken: u64,
    /// Offset in the table after the bytes that were put out.
    written: u64,
}

/// Row at which an encoder can begin.
#[derive(Clone, Debug)]
pub struct TableStart {
    pub record: RecordOffset,
    /// Offset of its row in the table.
    pub offset: u64,
    columns: Arc<Columns>,
}

impl TableStart {
    /// Returns the row with the columns of another row of the same table, so that both have one copy of their names.
    pub fn sharing_columns_of(self, other: &Self) -> Self {
        Self { columns: Arc::clone(&other.columns), ..self }
    }

    /// Returns the number of bytes of the names of its columns.
    pub fn column_bytes(&self) -> usize {
        self.columns.names.iter().map(String::len).sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextBytes {
    /// Of a record whose row has not begun.
    NewRecord,
    Within,
}

impl TableEncoder {
    pub(super) fn new(delimiter: u8, reader: TableReader, named: Option<&[String]>) -> Self {
        let dialect = Dialect { delimiter, reader };
        let (kept, next, row) = (Vec::new(), NextBytes::NewRecord, BytesMut::new());
        let mut table = Self { dialect, cells: None, kept, next, row, records: 0, taken: 0, written: 0 };
        if let Some(named) = named {
            let paths: Vec<_> = named.iter().map(|name| path_of(name).to_owned()).collect();
            table.set_columns(Columns::named(&paths));
        }
        table
    }

    /// Makes an encoder that begins with this row.
    pub(super) fn resume(delimiter: u8, reader: TableReader, start: &TableStart) -> Self {
        let cells = Some(RecordCells::new(Arc::clone(&start.columns)));
        let RecordOffset { record: records, byte: taken } = start.record;
        Self { cells, records, taken, written: start.offset, ..Self::new(delimiter, reader, None) }
    }

    /// Returns the first row that is not encoded yet; none until the columns are known.
    pub(super) fn next_row(&self) -> Option<TableStart> {
        let columns = Arc::clone(self.cells.as_ref()?.columns());
        let (byte, offset) = match self.next {
            NextBytes::NewRecord => (self.taken, self.written + self.row.len() as u64),
            // Its opening quote has left.
            NextBytes::Within => (self.taken - self.kept.len() as u64, self.written - 1),
        };
        Some(TableStart { record: RecordOffset { record: self.records, byte }, offset, columns })
    }

    pub(super) fn column_use(&self) -> Option<ColumnUse> {
        self.cells.as_ref().and_then(RecordCells::column_use)
    }

    pub(super) fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        let before = out.len();
        let pushed = self.encode(lines, out);
        self.taken += lines.len() as u64;
        self.written += (out.len() - before) as u64;
        pushed
    }

    fn encode(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        if self.cells.is_some() {
            return self.rows(lines, out);
        }
        self.kept.extend_from_slice(lines);
        match sample(&self.kept) {
            Some(end) => self.begin(end, out),
            None => Ok(()),
        }
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        if self.cells.is_none() {
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
        let mut quotes = Quotes::Opened;
        for name in columns.names.iter().map(String::as_str).chain(columns.last.name()) {
            if quotes == Quotes::WhereNeeded {
                self.row.put_u8(self.dialect.delimiter);
            }
            self.dialect.text(name.as_bytes(), quotes, &mut self.row);
            quotes = Quotes::WhereNeeded;
        }
        self.row.put_slice(b"\r\n");
        self.cells = Some(RecordCells::new(columns));
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
            written?;
            self.records += 1;
            self.next = NextBytes::NewRecord;
            lines = rest;
        }
        Ok(())
    }

    /// Writes a record's row after its opening quote.
    fn row(&mut self, record: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        let cells = self.cells.as_mut().ok_or_else(|| no_json(self.records))?;
        cells.read(record, self.records)?;
        let mut quotes = Quotes::Opened;
        for value in cells.values(record).chain(cells.last().map(|last| last.unwrap_or(b"null"))) {
            if quotes == Quotes::WhereNeeded {
                out.put_u8(self.dialect.delimiter);
            }
            self.dialect.value(value, quotes, out);
            quotes = Quotes::WhereNeeded;
        }
        out.put_slice(b"\r\n");
        Ok(())
    }
}
