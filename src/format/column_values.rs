//! Values of one column of a record batch, of the column's type.

use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::{DataType, TimeUnit};

use super::column_type::{ColumnType, float64, int64, timestamp};
use super::columns::decode;

/// Returns Arrow's name of a type.
pub(super) fn data_type(of: ColumnType) -> DataType {
    match of {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Utf8 => DataType::Utf8,
    }
}

#[derive(Debug)]
pub(super) enum ColumnValues {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Utf8(StringBuilder),
}

impl ColumnValues {
    pub(super) fn new(of: ColumnType) -> Self {
        match of {
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(data_type(of))),
            ColumnType::Utf8 => Self::Utf8(StringBuilder::new()),
        }
    }

    pub(super) fn column_type(&self) -> ColumnType {
        match self {
            Self::Bool(_) => ColumnType::Bool,
            Self::Int64(_) => ColumnType::Int64,
            Self::Float64(_) => ColumnType::Float64,
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Utf8(_) => ColumnType::Utf8,
        }
    }

    /// Appends a JSON value; none where the type can't express it.
    pub(super) fn push(&mut self, value: &[u8]) -> Option<()> {
        match (self, value) {
            (Self::Bool(column), b"null") => column.append_null(),
            (Self::Int64(column), b"null") => column.append_null(),
            (Self::Float64(column), b"null") => column.append_null(),
            (Self::Timestamp(column), b"null") => column.append_null(),
            (Self::Utf8(column), b"null") => column.append_null(),
            (Self::Bool(column), b"true") => column.append_value(true),
            (Self::Bool(column), b"false") => column.append_value(false),
            (Self::Int64(column), value) => column.append_value(int64(value)?),
            (Self::Float64(column), value) => column.append_value(float64(value)?),
            (Self::Timestamp(column), [b'"', content @ .., b'"']) => column.append_value(timestamp(content)?),
            (Self::Utf8(column), value) => push_text(value, column)?,
            (Self::Bool(_) | Self::Timestamp(_), _) => return None,
        }
        Some(())
    }

    /// Returns the values, and begins the next batch.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(column) => ArrayBuilder::finish(column),
            Self::Int64(column) => ArrayBuilder::finish(column),
            Self::Float64(column) => ArrayBuilder::finish(column),
            Self::Timestamp(column) => ArrayBuilder::finish(column),
            Self::Utf8(column) => ArrayBuilder::finish(column),
        }
    }
}

/// Appends the content of a string, or the JSON text of another value. Half of a surrogate pair, which UTF-8 can't express, stays escaped.
fn push_text(value: &[u8], column: &mut StringBuilder) -> Option<()> {
    let content = match value {
        [b'"', content @ .., b'"'] => content,
        _ => return simdutf8::basic::from_utf8(value).ok().map(|text| column.append_value(text)),
    };
    match content.contains(&b'\\').then(|| decode(content)).flatten() {
        Some(text) => column.append_value(text),
        None => column.append_value(simdutf8::basic::from_utf8(content).ok()?),
    }
    Some(())
}
