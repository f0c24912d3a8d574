//! A page as it was read: the answer's head, its records and the values at the configured paths.

use std::time::UNIX_EPOCH;

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::Path;
use super::detect::Sketch;
use super::error::PageError;
use crate::batch::Batch;

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// URL of the request.
    pub url: Url,
}

impl Head {
    /// Returns the moment of the answer in seconds since 1970, by its `Date` (RFC 9110 §6.6.1).
    pub(crate) fn date(&self) -> Option<u64> {
        let text = self.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = text.and_then(|text| httpdate::parse_http_date(text).ok());
        date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs())
    }

    /// Returns true if nothing but the end of its connection ends the body, as in HTTP/1.0 (RFC 9112 §6.3).
    pub(crate) fn ends_with_connection(&self) -> bool {
        let has = |name| self.headers.contains_key(name);
        has(header::CONNECTION) && !has(header::CONTENT_LENGTH) && !has(header::TRANSFER_ENCODING)
    }

    /// Returns true if the origin did not generate or validate the answer for its request, by its `Age` (RFC 9111 §5.1).
    pub(crate) fn is_from_cache(&self) -> bool {
        self.headers.contains_key(header::AGE)
    }
}

/// The rest of a page at its end.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Records that were not taken while the page arrived.
    pub batch: Batch,
    pub fields: PageFields,
    pub holder: RecordHolder,
    /// Error of a page without the array of its records, which may yet be the last one.
    pub missing: Option<Box<PageError>>,
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
    /// Arrays and nulls at several paths, all of which count, each as the bit of its path.
    Several { arrays: u64, nulls: u64 },
    /// Nothing.
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

    /// Values in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = &(Path, Value)> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
