//! Formats of record streams: names, and the bytes that may be sent before the end of a stream is proven. Pure.
//!
//! A log stores records as NDJSON lines and publishes record boundaries; its readers send what the format lets them send. Another format is
//! a variant here and a file next to `ndjson.rs`.

mod ndjson;

use crate::batch::Batch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON value a line.
    #[default]
    Ndjson,
}

impl Format {
    pub const ALL: [Self; 1] = [Self::Ndjson];

    /// Returns the media types of the format (RFC 9110 §8.3.1), in lower case, the preferred one first.
    pub const fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Ndjson => &ndjson::MEDIA_TYPES,
        }
    }

    /// Returns the short names of the format and the media type of each, for clients that can't set `Accept`.
    pub const fn names(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ndjson => &ndjson::NAMES,
        }
    }

    /// Returns the suffix of file names, with its dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Ndjson => ndjson::SUFFIX,
        }
    }

    /// Returns the number of bytes of the newest batch that may be sent before its successor or the proven end. The rest is held back, so
    /// that a stream that breaks after any byte ends inside a record and is no valid stream of this format.
    pub fn visible_len(self, newest: &Batch) -> usize {
        match self {
            Self::Ndjson => ndjson::visible_len(newest.lines()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// Returns true if `text` is a record that a reader of the format takes for whole.
    fn is_record(format: Format, text: &[u8]) -> bool {
        match format {
            Format::Ndjson => serde_json::from_slice::<serde_json::Value>(text).is_ok(),
        }
    }

    proptest! {
        /// After every batch, the visible bytes are a strict prefix that ends inside a record.
        #[test]
        fn visible_bytes_always_end_inside_a_record(
            batches in prop::collection::vec(prop::collection::vec(
                prop::sample::select(vec!["{\"a\":1}", "[]", "\"x\"", "12", "true", "null", "{}", "\"\"", "[1,{\"b\":\"}\"}]",
                "{\"a\": 1 }  ", "  7 ", " \"x \" ", "   [ ]", " null  "]), 1..5), 1..6),
            format in prop::sample::select(Format::ALL.to_vec()),
        ) {
            let mut all = Vec::new();
            for records in &batches {
                let text: String = records.iter().map(|record| format!("{record}\n")).collect();
                let before = all.len();
                all.extend_from_slice(text.as_bytes());
                let left = &all[..before + format.visible_len(&Batch::new(Bytes::from(text), records.len() as u64))];
                prop_assert!(left.len() < all.len());
                let last = left.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
                prop_assert!(last.is_empty() || !is_record(format, last), "`{}` is a whole record", String::from_utf8_lossy(last));
            }
        }
    }
}
