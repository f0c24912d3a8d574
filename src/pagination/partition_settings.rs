//! Configured partitions: parts of a collection that are crawled side by side.

use serde_json::Value;

use super::request::BadPlace;
use super::{Encode, PageRequest, Param, Path};

#[derive(Clone, Debug, PartialEq)]
pub enum Partition {
    /// A field whose values the upstream can filter by range; the parts are cut during the crawl.
    Range(RangePartition),
    /// A part for each value of a parameter.
    Values {
        param: Param,
        /// One for each part, in their order.
        values: Vec<Value>,
    },
    /// Parts with numbers from 0 (DynamoDB's `Segment` of `TotalSegments`).
    Numbered {
        /// Parameter of the part's number.
        param: Param,
        count_param: Param,
        /// At least 1.
        count: u64,
    },
}

impl Partition {
    /// Parameters that tell one part from another.
    pub fn params(&self) -> Vec<&Param> {
        match self {
            Self::Range(range) => vec![&range.from, &range.to],
            Self::Values { param, .. } => vec![param],
            Self::Numbered { param, count_param, .. } => vec![param, count_param],
        }
    }
}

/// A range filter of the upstream, and the field that it filters by.
#[derive(Clone, Debug, PartialEq)]
pub struct RangePartition {
    /// Parameter of the lowest value.
    pub from: Param,
    /// Parameter of the highest value.
    pub to: Param,
    pub kind: RangeKind,
    /// Path of the value in a record.
    pub field: Path,
    /// Lowest value; discovered if it is not configured.
    pub lower: Option<Bound>,
    /// Highest value; discovered if it is not configured.
    pub upper: Option<Bound>,
    /// Order of the records in a range, as the upstream lists them.
    pub direction: Direction,
}

/// Type of the values of a range partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Seconds since 1970.
    Unix,
    /// A date with a time (RFC 3339).
    Rfc3339,
    Date,
    /// A whole number.
    Integer,
}

/// One end of a range partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// This value, as it was configured.
    At(Value),
    /// The time of the request.
    Now,
}

/// Order of the records in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The lowest value first.
    Ascending,
    /// The highest value first.
    Descending,
}

/// Order in which the records of different parts are emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartOrder {
    /// One part after the other, as a crawl without partition lists them.
    #[default]
    Listed,
    /// As they arrive.
    Any,
}

impl Partition {
    /// First request of each part. A range is one part, which is cut during the crawl.
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
