//! How a collection is cut into parts that are walked side by side, as configured.

use serde_json::Value;

use super::request::BadPlace;
use super::{Encode, PageRequest, Param, Path};

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

impl Partition {
    /// The parameters that tell one part from another.
    pub fn params(&self) -> Vec<&Param> {
        match self {
            Self::Range(range) => vec![&range.from, &range.to],
            Self::Values { param, .. } => vec![param],
            Self::Numbered { param, count_param, .. } => vec![param, count_param],
        }
    }
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
pub enum PartOrder {
    /// One part after the other: as one walk would list them.
    #[default]
    Listed,
    /// As they come.
    Any,
}

impl Partition {
    /// Each part's first request. A range is one part, which is cut while it is walked.
    pub fn requests(&self, first: &PageRequest) -> Result<Vec<PageRequest>, BadPlace> {
        let with = |pairs: &[(&Param, Value)]| {
            let mut request = first.clone();
            for (param, value) in pairs {
                request.set(param, value, Encode::Plain)?;
            }
            Ok(request)
        };
        match self {
            Self::Range(_) => Ok(vec![first.clone()]),
            Self::Values { param, values } => values.iter().map(|value| with(&[(param, value.clone())])).collect(),
            Self::Numbered { param, count_param, count } => {
                (0..*count).map(|part| with(&[(param, part.into()), (count_param, (*count).into())])).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::*;

    #[test]
    fn each_part_of_a_list_has_its_request() {
        let first = PageRequest::get(Url::parse("http://a/x?limit=5").unwrap());
        let urls = |partition: Partition| -> Vec<String> {
            let requests = partition.requests(&first).unwrap();
            requests.iter().map(|request| request.url.query().unwrap().to_owned()).collect()
        };
        let values = vec![json!("a b"), json!(2)];
        let listed = urls(Partition::Values { param: Param::Query("shard".into()), values });
        assert_eq!(listed, ["limit=5&shard=a%20b", "limit=5&shard=2"]);
        let (param, count_param) = (Param::Query("Segment".into()), Param::Query("TotalSegments".into()));
        let numbered = urls(Partition::Numbered { param, count_param, count: 2 });
        assert_eq!(numbered, ["limit=5&Segment=0&TotalSegments=2", "limit=5&Segment=1&TotalSegments=2"]);
        let nowhere = Partition::Values { param: Param::Path("day".into()), values: vec![json!(1)] };
        assert!(nowhere.requests(&first).is_err());
    }
}
