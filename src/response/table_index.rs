//! Index of a table: rows at which its encoding can begin, its length, and the use of its columns, noted whenever the table is encoded.
//!
//! The offsets of a table follow from those of the log by encoding alone. The index belongs to the bytes of one snapshot in one
//! representation, which never change, and lives in memory: without it, a range is encoded from the first record on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::format::{ColumnNames, ColumnUse, Format, TableStart};
use crate::id::SnapshotId;
use crate::request::EntityTag;

/// Minimum distance of two rows in bytes of the log.
pub(super) const SPACING: u64 = 1 << 20;

/// Largest number of rows: beyond it every second one is dropped.
const MAX_ROWS: usize = 1024;

/// Largest number of bytes of column names that are kept.
const MAX_COLUMN_BYTES: usize = 64 * 1024;

/// Number of tables with an index, the last used ones. Together they hold at most 16 MiB.
const MAX_TABLES: usize = 64;

#[derive(Debug)]
pub struct TableIndex {
    tag: EntityTag,
    format: Format,
    /// Columns that the user names.
    columns: Option<ColumnNames>,
    /// In the order of their offsets.
    rows: Mutex<Vec<TableStart>>,
    length: OnceLock<u64>,
    column_use: OnceLock<ColumnUse>,
    /// Records with values outside of the columns, of all tables.
    beyond_columns: Arc<AtomicU64>,
}

/// Indexes of the last used tables; clones share them.
#[derive(Clone, Debug, Default)]
pub struct TableIndexes {
    tables: Arc<Mutex<VecDeque<Arc<TableIndex>>>>,
    beyond_columns: Arc<AtomicU64>,
}

impl TableIndexes {
    /// Returns the index of the table with this tag.
    pub(super) fn of(&self, tag: EntityTag, format: Format, columns: Option<&ColumnNames>) -> Arc<TableIndex> {
        let mut tables = self.tables.lock();
        let known = tables.iter().position(|table| table.tag == tag).and_then(|place| tables.remove(place));
        let table = known.unwrap_or_else(|| {
            let (columns, beyond_columns) = (columns.cloned(), Arc::clone(&self.beyond_columns));
            let (rows, length, column_use) = Default::default();
            Arc::new(TableIndex { tag, format, columns, rows, length, column_use, beyond_columns })
        });
        tables.push_front(Arc::clone(&table));
        tables.truncate(MAX_TABLES);
        table
    }

    /// Returns the last used tables of a snapshot.
    pub fn of_snapshot(&self, snapshot: SnapshotId) -> Vec<Arc<TableIndex>> {
        self.tables.lock().iter().filter(|table| table.tag.snapshot == snapshot).cloned().collect()
    }

    /// Returns the number of records with values outside of their table's columns.
    pub fn beyond_columns(&self) -> u64 {
        self.beyond_columns.load(Ordering::Relaxed)
    }
}

impl TableIndex {
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the columns that the user names.
    pub fn columns(&self) -> Option<&ColumnNames> {
        self.columns.as_ref()
    }

    /// Returns the last row that begins at or before this offset of the table.
    pub(super) fn near(&self, offset: u64) -> Option<TableStart> {
        let rows = self.rows.lock();
        let after = rows.partition_point(|row| row.offset <= offset);
        after.checked_sub(1).and_then(|last| rows.get(last)).cloned()
    }

    /// Adds a row that is far enough from the others.
    pub(super) fn add(&self, row: TableStart) {
        if row.column_bytes() > MAX_COLUMN_BYTES {
            return;
        }
        let mut rows = self.rows.lock();
        let place = rows.partition_point(|other| other.offset <= row.offset);
        let is_near = |other: Option<&TableStart>| {
            other.is_some_and(|other| other.record.byte.abs_diff(row.record.byte) < SPACING)
        };
        if is_near(place.checked_sub(1).and_then(|before| rows.get(before))) || is_near(rows.get(place)) {
            return;
        }
        // Each encoder has columns of its own: the index keeps them once.
        let row = match rows.first() {
            Some(first) => row.sharing_columns_of(first),
            None => row,
        };
        rows.insert(place, row);
        if rows.len() > MAX_ROWS {
            let mut number = 0_usize;
            rows.retain(|_| {
                number += 1;
                number.is_multiple_of(2)
            });
        }
    }

    /// Returns the length of the whole table; none until it was encoded to its end.
    pub(super) fn length(&self) -> Option<u64> {
        self.length.get().copied()
    }

    /// Notes the length of the whole table.
    pub(super) fn set_length(&self, length: u64) {
        // Another reader has noted the same one.
        let _known = self.length.set(length);
    }

    /// Returns the use of the columns by all records; none until the table was encoded to its end, or where the user names no columns.
    pub fn column_use(&self) -> Option<&ColumnUse> {
        self.column_use.get()
    }

    /// Notes the use of the columns by all records. The first time, it is logged and counted.
    pub(super) fn set_column_use(&self, column_use: &ColumnUse) {
        if self.column_use.set(column_use.clone()).is_ok() {
            self.beyond_columns.fetch_add(column_use.beyond_columns, Ordering::Relaxed);
            for remark in column_use.remarks() {
                tracing::info!("table {}: {remark}", self.tag);
            }
        }
    }
}
