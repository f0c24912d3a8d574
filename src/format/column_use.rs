//! Use of a table's named columns by the records: columns that no record has, and records with values that no column has.

/// Counts of one table, from its first record on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnUse {
    /// Number of records.
    pub records: u64,
    /// Number of records with a value that is left out, since no column has it.
    pub beyond_columns: u64,
    /// Names of the columns that no record has.
    pub absent: Vec<String>,
}

impl ColumnUse {
    /// Returns both sentences: a server remarks on columns that its clients name, and warns of none.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.warning().into_iter().chain(self.remark())
    }

    /// Returns a sentence on columns that no record has: they may be misspelled.
    pub fn warning(&self) -> Option<String> {
        // A client names the columns: they stay on one line.
        let names: Vec<_> = self.absent.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
        match &names[..] {
            [] => None,
            _ if self.records == 0 => None,
            [name] => Some(format!("column {name} is in no record")),
            names => Some(format!("columns {} are in no record", names.join(", "))),
        }
    }

    /// Returns a sentence on records of which the table has not all.
    pub fn remark(&self) -> Option<String> {
        let Self { records, beyond_columns, .. } = self;
        (*beyond_columns > 0)
            .then(|| format!("{beyond_columns} of {records} records have values outside of the columns"))
    }
}
