//! A page as it was read: the answer's head, its records and the values at the configured paths.

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::Url;

use super::Path;
use super::detect::Sketch;
use crate::batch::Batch;

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// URL of the request.
    pub url: Url,
}

/// The rest of a page at its end.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Records that were not taken while the page arrived.
    pub batch: Batch,
    pub fields: PageFields,
    pub holder: RecordHolder,
    pub sketch: Sketch,
    /// XXH3 of the lines of all its records.
    pub hash: u64,
}

/// Value at the path of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordHolder {
    #[default]
    Records,
    /// `null`, which Go's encoders write for an empty list.
    Null,
    /// Nothing, where the configuration allows it.
    Absent,
}

/// Values at the configured paths that have been read so far, `null` included, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageFields(Vec<(Path, Value)>);

impl PageFields {
    pub fn push(&mut self, path: Path, value: Value) {
        self.0.push((path, value));
    }

    pub fn get(&self, path: &Path) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == path).map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
