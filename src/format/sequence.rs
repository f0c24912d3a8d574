//! JSON text sequences (RFC 7464) and GeoJSON text sequences (RFC 8142): the lines of the log, a record separator in front of each.
//!
//! The format has no end of its own, and its rule for a text that is cut is to skip it. A broken stream ends inside a record, as in NDJSON;
//! whether a reader says so depends on the reader.

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use super::encoding_error::EncodingError;
use super::features::FeatureCheck;
use super::layout::{Layout, RecordOffset};

pub(super) const LAYOUT: Layout = Layout { prefix: "", per_record: 1, suffix: "", overlap: 0 };

const RECORD_SEPARATOR: u8 = 0x1e;

#[derive(Debug)]
pub struct SequenceEncoder {
    next: NextByte,
    features: Option<FeatureCheck>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextByte {
    OfANewRecord,
    Within,
}

impl SequenceEncoder {
    pub(super) fn texts() -> Self {
        Self { next: NextByte::OfANewRecord, features: None }
    }

    pub(super) fn features(start: RecordOffset) -> Self {
        Self { next: NextByte::OfANewRecord, features: Some(FeatureCheck::new(start.record)) }
    }

    pub(super) fn push(&mut self, mut lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        if let Some(features) = &mut self.features
            && let Err(error) = features.check(lines)
        {
            // The stream ends in a text that no reader takes for whole.
            out.put_slice(&[RECORD_SEPARATOR, b'{']);
            return Err(error);
        }
        while !lines.is_empty() {
            if self.next == NextByte::OfANewRecord {
                out.put_u8(RECORD_SEPARATOR);
            }
            let end = memchr(b'\n', lines).map(|at| at + 1);
            let (line, rest) = lines.split_at(end.unwrap_or(lines.len()));
            out.put_slice(line);
            self.next = if end.is_some() { NextByte::OfANewRecord } else { NextByte::Within };
            lines = rest;
        }
        Ok(())
    }
}
