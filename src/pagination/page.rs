//! One answer of the upstream's, read: its head, its records and the values that the configured paths name.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::Url;

use super::Path;
use crate::batch::Batch;

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// The address that was asked.
    pub url: Url,
}

/// What is left of a page when it is whole.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its last records: those that were not handed out while it arrived.
    pub batch: Batch,
    /// Its values at the configured paths.
    pub fields: PageFields,
    /// What stands around its records, as JSON text; arrays may be shortened.
    pub sketch: Bytes,
}

/// The values at the configured paths that have been read so far, `null` included, in the order of their reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageFields(Vec<(Path, Value)>);

impl PageFields {
    /// Adds a value that has been read.
    pub fn push(&mut self, path: Path, value: Value) {
        self.0.push((path, value));
    }

    /// The value at a configured path.
    pub fn get(&self, path: &Path) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == path).map(|(_, value)| value)
    }

    /// How many have been read.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
