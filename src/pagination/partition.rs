//! How a collection is cut into parts that are walked side by side, as configured.

use serde_json::Value;

use super::{Param, Path};

/// What cuts a collection into parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Partition {
    /// A field whose values can be asked for by range; the parts are cut while they are walked.
    Range(RangePartition),
    /// A part for each value of a parameter.
    Values {
        /// Where the value goes.
        param: Param,
        /// The values, in the order of their parts.
        values: Vec<Value>,
    },
    /// So many parts with numbers from 0 (DynamoDB's `Segment` of `TotalSegments`).
    Numbered {
        /// Where the part's number goes.
        param: Param,
        /// Where the number of parts goes.
        count_param: Param,
        /// How many there are; at least 1.
        count: u64,
    },
}

/// A range filter of the upstream's, and the field that it filters by.
#[derive(Clone, Debug, PartialEq)]
pub struct RangePartition {
    /// Where the lowest value goes.
    pub from: Param,
    /// Where the highest value goes.
    pub to: Param,
    /// What the values are.
    pub kind: RangeKind,
    /// Where a record has its value.
    pub field: Path,
    /// The lowest value; discovered where it is not given.
    pub lower: Option<Bound>,
    /// The highest value; discovered where it is not given.
    pub upper: Option<Bound>,
    /// In which order the upstream lists the records of a range.
    pub direction: Direction,
}

/// What the values of a partition's field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Seconds since 1970.
    Unix,
    /// A date with a time (RFC 3339).
    Rfc3339,
    /// A date.
    Date,
    /// A whole number.
    Integer,
}

/// One end of a partition's range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// This value, as it is written.
    At(Value),
    /// The time of the request.
    Now,
}

/// In which order an upstream lists the records of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The lowest value first.
    Ascending,
    /// The highest value first.
    Descending,
}

/// In which order the parts of a collection leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// One part after the other: as one walk would list them.
    #[default]
    Listed,
    /// As they come.
    Any,
}
