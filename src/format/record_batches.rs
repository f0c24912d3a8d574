//! Record batches of Arrow, made of records: the columns and types of a table, and the values of its rows.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Field, Schema};

use super::column_names::MORE;
use super::column_type::{CellKind, ColumnType};
use super::column_use::ColumnUse;
use super::column_values::{ColumnValues, data_type};
use super::columns::{Columns, LastColumn};
use super::encoding_error::{EncodingError, no_json};
use super::record_cells::RecordCells;

/// Number of bytes of the log whose records are a batch.
const BATCH: usize = 256 * 1024;

/// Largest number of cells of a batch, which bounds its memory where most are empty.
const CELLS: usize = 128 * 1024;

/// Largest number of bytes of a record: Arrow counts those of a batch's texts in 31 bits.
const LARGEST: usize = 1 << 30;

/// Columns that the user names, each with its type or without.
#[derive(Debug)]
pub(super) struct AskedColumns {
    pub(super) columns: Columns,
    pub(super) types: Vec<Option<ColumnType>>,
}

/// Types of a table's columns, by the records so far.
#[derive(Debug)]
pub(super) struct TypeSurvey {
    cells: RecordCells,
    has_more: bool,
    names: Vec<String>,
    /// Types that the user names, and kinds of the values of the other columns.
    columns: Vec<(Option<ColumnType>, CellKind)>,
}

/// Batch that is being filled.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    cells: RecordCells,
    columns: Vec<ColumnValues>,
    schema: Arc<Schema>,
    rows: usize,
    bytes: usize,
    /// Number of records of all batches.
    records: u64,
}

impl AskedColumns {
    pub(super) fn new(names: &[String]) -> Self {
        let (paths, types): (Vec<_>, Vec<_>) = names.iter().map(|name| ColumnType::split(name)).unzip();
        let paths: Vec<_> = paths.into_iter().map(str::to_owned).collect();
        Self { columns: Columns::named(&paths), types }
    }

    /// Returns true where the values decide nothing.
    pub(super) fn are_typed(&self) -> bool {
        self.types.iter().all(Option::is_some)
    }

    /// Discovers the columns of these lines.
    ///
    /// # Errors
    /// Fails with a line that is no JSON.
    pub(super) fn discover(sample: &[u8]) -> Result<Self, EncodingError> {
        Ok(Self { columns: Columns::discover(sample).map_err(no_json)?, types: Vec::new() })
    }
}

impl TypeSurvey {
    pub(super) fn new(AskedColumns { columns, types }: AskedColumns) -> Self {
        let names = columns.names.clone();
        let types = types.into_iter().chain(std::iter::repeat(None)).take(names.len());
        let has_more = columns.last == LastColumn::More;
        let columns_of = types.map(|of| (of, CellKind::Nothing)).collect();
        Self { cells: RecordCells::new(columns), has_more, names, columns: columns_of }
    }

    /// Notes the kinds of a record's values. The record has this number, counted from 0.
    ///
    /// # Errors
    /// Fails where it is no JSON.
    pub(super) fn add(&mut self, record: &[u8], number: u64) -> Result<(), EncodingError> {
        self.cells.read(record, number)?;
        for ((given, kind), value) in self.columns.iter_mut().zip(self.cells.values(record)) {
            if given.is_none() {
                kind.note(value);
            }
        }
        Ok(())
    }

    /// Returns the builder of batches that have all these values.
    pub(super) fn finish(self) -> BatchBuilder {
        let Self { mut cells, has_more, mut names, columns } = self;
        cells.restart();
        let mut types: Vec<_> =
            columns.into_iter().map(|(given, kind)| given.unwrap_or_else(|| kind.column_type())).collect();
        if has_more {
            names.push(MORE.to_owned());
            types.push(ColumnType::Utf8);
        }
        let fields = names.into_iter().zip(&types).map(|(name, of)| Field::new(name, data_type(*of), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = types.into_iter().map(ColumnValues::new).collect();
        BatchBuilder { cells, columns, schema, rows: 0, bytes: 0, records: 0 }
    }
}

impl BatchBuilder {
    pub(super) fn column_use(&self) -> Option<ColumnUse> {
        self.cells.column_use()
    }

    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Fails where the record is no JSON, or has a value that its column can't express.
    pub(super) fn add(&mut self, record: &[u8]) -> Result<(), EncodingError> {
        let number = self.records;
        if record.len() > LARGEST {
            return Err(no_json(number));
        }
        self.cells.read(record, number)?;
        let more = self.cells.last().map(|last| last.unwrap_or(b"null"));
        for (place, (column, value)) in self.columns.iter_mut().zip(self.cells.values(record).chain(more)).enumerate() {
            column.push(value).ok_or_else(|| misfit(number, self.schema.field(place).name(), column.column_type()))?;
        }
        self.rows += 1;
        self.records += 1;
        self.bytes += record.len() + self.cells.more_length();
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH || self.rows * self.columns.len() >= CELLS
    }

    /// Returns the batch, and begins the next one; none without a row.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        (self.rows, self.bytes) = (0, 0);
        let arrays = self.columns.iter_mut().map(ColumnValues::finish).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map(Some)
    }
}

/// Error of a value that the type of its column can't express.
fn misfit(record: u64, column: &str, of: ColumnType) -> EncodingError {
    EncodingError {
        message: format!(
            "the value of `{}` in record {record}, counted from 0, is no {}",
            column.escape_debug(),
            of.name()
        ),
        hint: "name the columns with types that all values have, as in `id,total:float64`, or ask for `csv`",
    }
}

/// Error of bytes that the writer of a columnar format refused.
pub(super) fn unwritten(error: impl std::fmt::Display) -> EncodingError {
    EncodingError { message: format!("the records can't be written: {error}"), hint: "ask for `ndjson`" }
}
