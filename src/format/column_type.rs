//! Types of the columns of a columnar format: named by the user, or decided by the values of a sample.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;

/// Names of types in pandas, polars, Arrow and SQL.
const ELSEWHERE: [&str; 28] = [
    "int", "int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64", "integer", "bigint", "long", "i32", "i64",
    "float", "float32", "f64", "double", "number", "decimal", "boolean", "string", "str", "text", "varchar", "date",
    "date32", "datetime", "time",
];

/// Largest magnitude up to which every integer is a float64, too.
const EXACT: u64 = 1 << 53;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Bool,
    Int64,
    Float64,
    /// Microseconds since 1970, of strings in the format of RFC 3339.
    Timestamp,
    /// Content of strings, and the JSON text of any other value.
    Utf8,
}

/// Kind of the values that a column has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CellKind {
    /// None, or `null`.
    #[default]
    Nothing,
    Bool,
    /// Integers that are the same number as float64.
    SmallInteger,
    /// Some integer that is none, and fits into 64 bits.
    LargeInteger,
    /// Some number with a fraction or an exponent.
    Fraction,
    Other,
}

impl ColumnType {
    const ALL: [Self; 5] = [Self::Bool, Self::Int64, Self::Float64, Self::Timestamp, Self::Utf8];

    /// Returns the path and the type of a column that a user names, as in `total:float64`. Without the name of a type, all is the path.
    pub(super) fn split(column: &str) -> (&str, Option<Self>) {
        let named = column.rsplit_once(':').and_then(|(path, name)| {
            let of = Self::ALL.into_iter().find(|of| of.name() == name)?;
            (!path.is_empty()).then_some((path, Some(of)))
        });
        named.unwrap_or((column, None))
    }

    /// Returns true for a column with the name of a type that other programs have: it would be taken for a part of the path.
    pub(super) fn is_elsewhere(column: &str) -> bool {
        let (path, of) = Self::split(column);
        let word = path.rsplit_once(':').map_or("", |(_, word)| word);
        let word = word.split(['[', '(']).next().unwrap_or_default().to_ascii_lowercase();
        of.is_none() && (ELSEWHERE.contains(&word.as_str()) || Self::ALL.iter().any(|of| of.name() == word))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Timestamp => "timestamp",
            Self::Utf8 => "utf8",
        }
    }
}

impl CellKind {
    /// Adds a JSON value. A value of a column that has texts decides nothing, and is not looked at.
    pub(super) fn note(&mut self, value: &[u8]) {
        if *self != Self::Other {
            *self = self.and(Self::of(value));
        }
    }

    /// Returns the kind of a JSON value.
    fn of(value: &[u8]) -> Self {
        match value {
            b"null" => Self::Nothing,
            b"true" | b"false" => Self::Bool,
            [b'-' | b'0'..=b'9', ..] => match (int64(value), float64(value)) {
                (Some(_), Some(_)) => Self::SmallInteger,
                (Some(_), None) => Self::LargeInteger,
                (None, Some(_)) => Self::Fraction,
                (None, None) => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// Returns the kind of values of both kinds.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, same) if one == same => one,
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::SmallInteger, Self::LargeInteger) | (Self::LargeInteger, Self::SmallInteger) => Self::LargeInteger,
            (Self::SmallInteger, Self::Fraction) | (Self::Fraction, Self::SmallInteger) => Self::Fraction,
            _ => Self::Other,
        }
    }

    /// Returns the type that has all these values without loss, except for digits beyond those of a float64.
    pub(super) fn column_type(self) -> ColumnType {
        match self {
            Self::Bool => ColumnType::Bool,
            Self::SmallInteger | Self::LargeInteger => ColumnType::Int64,
            Self::Fraction => ColumnType::Float64,
            Self::Nothing | Self::Other => ColumnType::Utf8,
        }
    }
}

/// Reads an integer of 64 bits.
pub(super) fn int64(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads a finite number. An integer that is another number as float64 is none: identifiers would change.
pub(super) fn float64(value: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(value).ok()?;
    let is_integer = value.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
    if is_integer && text.parse().is_ok_and(|integer: i64| integer.unsigned_abs() > EXACT) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite() && !(is_integer && number.abs() > EXACT as f64))
}

/// Reads a moment as microseconds since 1970, without its quotes; none where it has more digits, or no offset from UTC, and for a leap second,
/// which would be another moment.
pub(super) fn timestamp(content: &[u8]) -> Option<i64> {
    if content.get(16..19) == Some(b":60") {
        return None;
    }
    // `jiff::Timestamp` ends 26 hours before the year 10000, whose last second many databases write for "never".
    let pieces = Pieces::parse(content).ok()?;
    let (time, offset) = (pieces.time()?, pieces.to_numeric_offset()?);
    let since = pieces.date().to_datetime(time).duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let since = since.checked_sub(SignedDuration::from_secs(offset.seconds().into()))?;
    (time.subsec_nanosecond() % 1_000 == 0).then(|| i64::try_from(since.as_micros()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_exactly_or_not_at_all() {
        for (text, microseconds) in [
            ("1970-01-01T00:00:01.000001Z", Some(1_000_001)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("9999-12-31T23:59:59.999999Z", Some(253_402_300_799_999_999)),
            ("0001-01-01T00:00:00+14:00", Some(-62_135_647_200_000_000)),
            ("1970-01-01T00:00:00.0000001Z", None),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01T00:00:00[Europe/Berlin]", None),
            ("2016-12-31T23:59:60Z", None),
        ] {
            assert_eq!(timestamp(text.as_bytes()), microseconds, "{text}");
        }
    }

    #[test]
    fn a_type_is_behind_the_last_colon() {
        for (column, split) in [
            ("total", ("total", None)),
            ("a.b:float64", ("a.b", Some(ColumnType::Float64))),
            ("dc:title", ("dc:title", None)),
            ("dc:title:utf8", ("dc:title", Some(ColumnType::Utf8))),
            (":utf8", (":utf8", None)),
            ("at:timestamp", ("at", Some(ColumnType::Timestamp))),
        ] {
            assert_eq!(ColumnType::split(column), split);
        }
    }

    #[test]
    fn a_timestamp_is_a_moment_with_microseconds() {
        for (text, moment) in [
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T02:00:00.000001+02:00", Some(1)),
            ("1969-12-31 23:59:59.5Z", Some(-500_000)),
            ("1970-01-01T00:00:00.0000001Z", None),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text.as_bytes()), moment, "{text}");
        }
    }

    #[test]
    fn a_type_has_all_values_of_the_sample() {
        for (values, of) in [
            (&["1", "null", "-9007199254740992"][..], ColumnType::Int64),
            (&["9223372036854775807", "0"], ColumnType::Int64),
            (&["1", "1.5", "9007199254740992"], ColumnType::Float64),
            (&["1e5"], ColumnType::Float64),
            (&["1.5", "9007199254740993"], ColumnType::Utf8),
            (&["9007199254740993", "1.5"], ColumnType::Utf8),
            (&["9223372036854775808"], ColumnType::Utf8),
            (&["18446744073709551616"], ColumnType::Utf8),
            (&["1e400"], ColumnType::Utf8),
            (&["true", "null", "false"], ColumnType::Bool),
            (&["true", "0"], ColumnType::Utf8),
            (&["\"a\""], ColumnType::Utf8),
            (&["1", "\"1\""], ColumnType::Utf8),
            (&["null"], ColumnType::Utf8),
            (&[], ColumnType::Utf8),
            (&["[1]"], ColumnType::Utf8),
            (&["{}"], ColumnType::Utf8),
        ] {
            let kind = values.iter().map(|value| CellKind::of(value.as_bytes()));
            assert_eq!(kind.fold(CellKind::Nothing, CellKind::and).column_type(), of, "{values:?}");
        }
    }
}
