//! A JSON array, or the `features` of a GeoJSON FeatureCollection (RFC 7946 §3.3): the lines of the log, a comma in place of each line feed.
//!
//! A raw line feed is never inside of a record, so the translation needs no parser. The closing bracket takes the place of the last line
//! feed, and comes only with the proven end: no other JSON text is a whole array.

use bytes::{BufMut, BytesMut};

use super::encoding_error::EncodingError;
use super::features::FeatureCheck;
use super::layout::{Layout, RecordOffset};

pub(super) const RECORDS: Layout = Layout { prefix: "[", per_record: 0, suffix: "]\n", overlap: 1 };

pub(super) const FEATURES: Layout =
    Layout { prefix: "{\"type\":\"FeatureCollection\",\"features\":[", per_record: 0, suffix: "]}\n", overlap: 1 };

#[derive(Debug)]
pub struct ArrayEncoder {
    layout: Layout,
    before: BeforeNext,
    features: Option<FeatureCheck>,
}

/// Text that is due before the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BeforeNext {
    Prefix,
    Nothing,
    Comma,
}

impl ArrayEncoder {
    pub(super) fn records(start: RecordOffset) -> Self {
        // The comma before a later record belongs to the one before it.
        let before = if start.record == 0 { BeforeNext::Prefix } else { BeforeNext::Nothing };
        Self { layout: RECORDS, before, features: None }
    }

    pub(super) fn features(start: RecordOffset) -> Self {
        let features = Some(FeatureCheck::new(start.record));
        Self { layout: FEATURES, features, ..Self::records(start) }
    }

    pub(super) fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        if lines.is_empty() {
            return Ok(());
        }
        if let Some(features) = &mut self.features {
            features.check(lines)?;
        }
        self.open(out);
        let (body, before) = match lines.split_last() {
            // The last record has no comma.
            Some((b'\n', body)) => (body, BeforeNext::Comma),
            Some(_) | None => (lines, BeforeNext::Nothing),
        };
        let start = out.len();
        out.extend_from_slice(body);
        // A loop without a branch, which is one of vectors: a search for each line feed takes twice as long in short records.
        for byte in &mut out[start..] {
            *byte = if *byte == b'\n' { b',' } else { *byte };
        }
        self.before = before;
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        if self.before == BeforeNext::Prefix {
            self.open(out);
        }
        out.put_slice(self.layout.suffix.as_bytes());
    }

    fn open(&mut self, out: &mut BytesMut) {
        match self.before {
            BeforeNext::Prefix => out.put_slice(self.layout.prefix.as_bytes()),
            BeforeNext::Comma => out.put_u8(b','),
            BeforeNext::Nothing => {}
        }
    }
}
