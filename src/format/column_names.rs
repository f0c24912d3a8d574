//! Names of the columns that a table shall have, as requests, configurations and command lines give them.

use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

/// Largest number of columns: a row has a byte for each, however short its record is.
pub(super) const MAX_COLUMNS: usize = 512;

/// Last column that keeps all values without a column of their own, as a JSON object.
pub(super) const MORE: &str = "_more";

/// Dotted paths of columns, each named once; `_more` can only be the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnNames(Arc<[String]>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnNamesError {
    #[error("no column is named, or one without a name")]
    Empty,
    #[error("the column `{0}` has an empty name before, between or after its dots")]
    EmptyPart(String),
    #[error("the column `{0}` has a comma in its name")]
    Comma(String),
    #[error("the column `{0}` is named twice")]
    Twice(String),
    #[error("the column `{MORE}` is not the last one")]
    MoreInside,
    #[cfg(feature = "columnar")]
    #[error("the column `{0}` has no type that a column can have: bool, int64, float64, timestamp, utf8")]
    Type(String),
    #[error("more than {MAX_COLUMNS} columns are named")]
    Many,
}

impl ColumnNames {
    /// Checks the names of columns in their order; spaces around a name are no part of it.
    ///
    /// # Errors
    /// Fails with the first name that can't be one of a column.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ColumnNamesError> {
        let mut columns = Vec::<String>::new();
        for name in names.into_iter().map(|name| name.trim().to_owned()) {
            if name.is_empty() {
                return Err(ColumnNamesError::Empty);
            } else if name.split('.').any(str::is_empty) {
                return Err(ColumnNamesError::EmptyPart(name));
            } else if name.contains(',') {
                return Err(ColumnNamesError::Comma(name));
            } else if columns.iter().any(|known| path_of(known) == path_of(&name)) {
                return Err(ColumnNamesError::Twice(name));
            } else if columns.last().is_some_and(|last| last == MORE) {
                return Err(ColumnNamesError::MoreInside);
            }
            #[cfg(feature = "columnar")]
            if super::column_type::ColumnType::is_elsewhere(&name) {
                return Err(ColumnNamesError::Type(name));
            }
            if columns.len() == MAX_COLUMNS {
                return Err(ColumnNamesError::Many);
            }
            columns.push(name);
        }
        if columns.is_empty() { Err(ColumnNamesError::Empty) } else { Ok(Self(columns.into())) }
    }
}

/// Returns the path of a column, without the type that the user names.
pub(super) fn path_of(column: &str) -> &str {
    #[cfg(feature = "columnar")]
    let column = super::column_type::ColumnType::split(column).0;
    column
}

impl FromStr for ColumnNames {
    type Err = ColumnNamesError;

    /// Parses names that are separated by commas.
    fn from_str(text: &str) -> Result<Self, ColumnNamesError> {
        Self::new(text.split(','))
    }
}

impl Deref for ColumnNames {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_or_refused() {
        let many = (0..=MAX_COLUMNS).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        for (text, expected) in [
            ("id", Ok(vec!["id"])),
            (" x, customer.email ,_more", Ok(vec!["x", "customer.email", "_more"])),
            ("", Err(ColumnNamesError::Empty)),
            ("id,", Err(ColumnNamesError::Empty)),
            ("a..b", Err(ColumnNamesError::EmptyPart("a..b".to_owned()))),
            (".", Err(ColumnNamesError::EmptyPart(".".to_owned()))),
            ("id,x,id", Err(ColumnNamesError::Twice("id".to_owned()))),
            ("_more,id", Err(ColumnNamesError::MoreInside)),
            (&many, Err(ColumnNamesError::Many)),
        ] {
            let names = text.parse::<ColumnNames>();
            let names = names.as_ref().map(|names| names.iter().map(String::as_str).collect()).map_err(Clone::clone);
            assert_eq!(names, expected, "{text}");
        }
        #[cfg(feature = "columnar")]
        for (text, error) in [
            ("a:utf8,a", ColumnNamesError::Twice("a".to_owned())),
            ("a:Int32", ColumnNamesError::Type("a:Int32".to_owned())),
            ("a:timestamp[us]", ColumnNamesError::Type("a:timestamp[us]".to_owned())),
        ] {
            assert_eq!(text.parse::<ColumnNames>(), Err(error));
        }
        #[cfg(feature = "columnar")]
        assert!("dc:title,a:int32:utf8".parse::<ColumnNames>().is_ok(), "names may have a colon");
        assert_eq!(ColumnNames::new(["a,b"]), Err(ColumnNamesError::Comma("a,b".to_owned())));
    }
}
