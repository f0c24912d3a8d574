//! Cells of one record in a table: the places of the values that have a column, and an object of those that have none.

use std::ops::Range;
use std::sync::Arc;

use super::column_use::ColumnUse;
use super::columns::{Columns, ColumnsOrigin, LastColumn, Node, dotted, flatten};
use super::encoding_error::{EncodingError, no_json};

/// Number of bytes by which the object of the values without a column may be longer than its record.
const LONGEST_MORE: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct RecordCells {
    columns: Arc<Columns>,
    /// Place in the record of each column's value.
    places: Vec<Range<usize>>,
    /// JSON object of the values without a column, without its closing brace; empty where there are none.
    more: String,
    /// Buffer for the path of a value.
    path: Vec<u8>,
    /// True for each column that a record has had.
    found: Vec<bool>,
    records: u64,
    /// Number of records with a value that is left out.
    beyond_columns: u64,
}

impl RecordCells {
    pub(super) fn new(columns: impl Into<Arc<Columns>>) -> Self {
        let columns = columns.into();
        let (places, found) = (vec![0..0; columns.names.len()], vec![false; columns.names.len()]);
        Self { places, columns, more: String::new(), path: Vec::new(), found, records: 0, beyond_columns: 0 }
    }

    pub(super) fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// Finds the cells of a record of this number, counted from 0.
    ///
    /// # Errors
    /// Fails where it is no JSON, or where the object of the values without a column is far longer than the record: each of its members has the
    /// whole path of its value.
    pub(super) fn read(&mut self, record: &[u8], number: u64) -> Result<(), EncodingError> {
        let Self { columns, places, more, path, found, .. } = self;
        places.fill(0..0);
        more.clear();
        // End of the last object that has a column: its members have a place.
        let (mut next, mut kept_until, mut is_beyond) = (0, 0, false);
        flatten(record, path, columns.origin, &mut |path, value, node| match columns.find(path, next) {
            Some(column) if places[column].is_empty() => {
                if node == Node::Object {
                    kept_until = value.end;
                }
                places[column] = value;
                found[column] = true;
                next = column + 1;
            }
            _ if more.len() > record.len() + LONGEST_MORE => {}
            _ if node == Node::Leaf && value.start >= kept_until => match columns.last {
                LastColumn::More => add_more(path, &record[value], more),
                LastColumn::Guard | LastColumn::Absent => is_beyond = true,
            },
            _ => {}
        })
        .ok_or_else(|| no_json(number))?;
        self.records += 1;
        self.beyond_columns += u64::from(is_beyond);
        if more.len() > record.len() + LONGEST_MORE {
            return Err(EncodingError {
                message: format!(
                    "the values of record {number}, counted from 0, without a column are too long for a cell"
                ),
                hint: "name the columns, without `_more` (`_columns=id,name`), or ask for `ndjson`",
            });
        }
        if !more.is_empty() {
            more.push('}');
        }
        Ok(())
    }

    /// Returns the JSON text of each column's value, `null` where the record that was read last has none.
    pub(super) fn values<'a>(&'a self, record: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.places.iter().map(|place| if place.is_empty() { &b"null"[..] } else { &record[place.clone()] })
    }

    /// Returns the use of named columns by the records so far; none of discovered ones, which are those of the records and keep every value.
    pub(super) fn column_use(&self) -> Option<ColumnUse> {
        let Self { columns, found, records, beyond_columns, .. } = self;
        let absent = columns.names.iter().zip(found).filter(|(_, found)| !**found).map(|(name, _)| name.clone());
        let column_use = || ColumnUse { records: *records, beyond_columns: *beyond_columns, absent: absent.collect() };
        (columns.origin == ColumnsOrigin::User).then(column_use)
    }

    /// Forgets the use of columns by a sample or a first pass: all records come again.
    #[cfg(feature = "columnar")]
    pub(super) fn restart(&mut self) {
        self.found.fill(false);
        (self.records, self.beyond_columns) = (0, 0);
    }

    /// Length of the object of the values without a column, in bytes.
    #[cfg(feature = "columnar")]
    pub(super) fn more_length(&self) -> usize {
        self.more.len()
    }

    /// Returns the cell of the last column, where there is one: the object of the values without a column, or none within.
    pub(super) fn last(&self) -> Option<Option<&[u8]>> {
        let object = Some(self.more.as_bytes()).filter(|object| !object.is_empty());
        (self.columns.last != LastColumn::Absent).then_some(object)
    }
}

/// Adds a member to the beginning of a JSON object.
fn add_more(path: &[u8], value: &[u8], more: &mut String) {
    more.push(if more.is_empty() { '{' } else { ',' });
    let name = serde_json::Value::String(dotted(path)).to_string();
    more.extend([&name, ":", &String::from_utf8_lossy(value)]);
}
