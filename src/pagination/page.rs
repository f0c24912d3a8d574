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

/// A whole page, split.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its records.
    pub batch: Batch,
    /// A hash of its records' keys, or of their bytes where no key is configured: what a repeated page repeats.
    pub digest: u64,
    /// The values at the configured paths that are there, `null` included.
    pub fields: Vec<(Path, Value)>,
    /// The first and last record's values at the paths of a keyset key.
    pub edges: Option<Edges>,
    /// The page as it came.
    pub raw: Bytes,
}

/// The keyset keys of a page's first and last record.
#[derive(Clone, Debug, PartialEq)]
pub struct Edges {
    pub first: Vec<Option<Value>>,
    pub last: Vec<Option<Value>>,
}

impl Page {
    /// How many records it holds.
    pub fn records(&self) -> u64 {
        self.batch.records()
    }

    /// The value at a configured path.
    pub fn field(&self, path: &Path) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == path).map(|(_, value)| value)
    }
}
