//! Check that records are GeoJSON Features (RFC 7946 §3.2), which a FeatureCollection and a GeoJSON text sequence consist of.

use memchr::memchr;

use super::encoding_error::EncodingError;
use super::json_members::{Members, value_end};

/// Check of each record as its line ends.
#[derive(Debug)]
pub(super) struct FeatureCheck {
    /// Number of the next record, counted from 0.
    record: u64,
    /// Beginning of its line.
    line: Vec<u8>,
}

impl FeatureCheck {
    pub(super) fn new(record: u64) -> Self {
        Self { record, line: Vec::new() }
    }

    /// Checks the records whose lines end in the next bytes of the log.
    pub(super) fn check(&mut self, mut lines: &[u8]) -> Result<(), EncodingError> {
        while let Some(end) = memchr(b'\n', lines) {
            let is_known = if self.line.is_empty() {
                is_feature(&lines[..end])
            } else {
                self.line.extend_from_slice(&lines[..end]);
                is_feature(&self.line)
            };
            if !is_known {
                return Err(no_feature(self.record));
            }
            self.line.clear();
            self.record += 1;
            lines = &lines[end + 1..];
        }
        self.line.extend_from_slice(lines);
        Ok(())
    }
}

fn is_feature(record: &[u8]) -> bool {
    let Some(mut members) = Members::new(record, 0) else { return false };
    while let Some((name, start)) = members.next() {
        let end = value_end(record, start);
        if &record[name] == b"type" {
            return &record[start..end] == b"\"Feature\"";
        }
        members.go_to(end);
    }
    false
}

fn no_feature(record: u64) -> EncodingError {
    EncodingError {
        message: format!("record {record}, counted from 0, is no GeoJSON Feature"),
        hint: "ask for `json` or `ndjson`, which take any record",
    }
}
