//! Encoder: bytes of a log in, bytes of a format out.
//!
//! The log's bytes come in pieces that are cut anywhere, from the start of a record on. What an encoder has put out is no whole stream of its
//! format before [`Encoder::finish`]; that is called only where the end of the log is proven.

use bytes::BytesMut;

use super::array::ArrayEncoder;

#[derive(Debug)]
pub enum Encoder {
    Array(ArrayEncoder),
}

/// A record that the format can't express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EncodingError {
    pub message: String,
    pub hint: &'static str,
}

impl Encoder {
    /// Appends the translation of the next bytes of the log.
    ///
    /// # Errors
    /// Fails with the first record that the format can't express. What was appended before is no whole stream.
    pub fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        match self {
            Self::Array(array) => array.push(lines, out),
        }
        Ok(())
    }

    /// Appends the rest after the last byte of a complete log.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        match self {
            Self::Array(array) => array.finish(out),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::format::{Format, RecordOffset, ndjson};

    /// Returns the values of a whole stream of the format; none where a reader would refuse it.
    fn decode(format: Format, text: &[u8]) -> Option<Vec<Value>> {
        match format {
            Format::Ndjson => None,
            Format::Json => serde_json::from_slice(text).ok(),
        }
    }

    fn records() -> impl Strategy<Value = Vec<String>> {
        let record = prop::sample::select(vec![
            r#"{"a":1}"#,
            r#"{"type":"Feature","geometry":null,"properties":{"a":[1,"\n"]}}"#,
            r#" {"b" : {"c.d":1e400,"e":"\ud800"}} "#,
            r#"{"id":9223372036854775808,"id":2,"ü":"\",[]{}"}"#,
            r#"[1,{"b":"}"}]"#,
            "12",
            "\"x\"",
            "null",
        ]);
        prop::collection::vec(record.prop_map(str::to_owned), 0..12)
    }

    /// Encodes a log from this record on, in pieces of these lengths. `visible` bytes of it are there; the rest is proven to be there, too, if
    /// `is_complete`.
    fn encode(format: Format, log: &[u8], start: RecordOffset, pieces: &[usize], is_complete: bool) -> Vec<u8> {
        let mut encoder = format.encoder(start).expect("the format is encoded");
        let (mut rest, mut out) = (&log[usize::try_from(start.byte).unwrap()..], BytesMut::new());
        let mut lengths = pieces.iter().copied().cycle();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(lengths.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            encoder.push(piece, &mut out).unwrap();
            rest = after;
        }
        if is_complete {
            encoder.finish(&mut out).unwrap();
        }
        out.to_vec()
    }

    proptest! {
        #[test]
        fn every_format_has_all_records_and_only_its_proven_end_is_whole(
            format in prop::sample::select(Format::ALL[1..].to_vec()),
            records in records(),
            pieces in prop::collection::vec(1_usize..40, 0..4),
        ) {
            let (mut log, mut starts) = (String::new(), Vec::new());
            for (record, text) in (0..).zip(&records) {
                starts.push(RecordOffset { record, byte: log.len() as u64 });
                log.push_str(text);
                log.push('\n');
            }
            let log = log.as_bytes();
            let whole = encode(format, log, RecordOffset::default(), &pieces, true);
            let values: Vec<Value> = records.iter().map(|record| serde_json::from_str(record).unwrap_or_default()).collect();
            if records.iter().all(|record| serde_json::from_str::<Value>(record).is_ok()) {
                prop_assert_eq!(decode(format, &whole), Some(values));
            }
            prop_assert_eq!(format.layout().length(log.len() as u64, records.len() as u64), whole.len() as u64);
            // A reader may start at any record.
            for start in starts {
                let at = usize::try_from(format.layout().offset(start)).unwrap();
                prop_assert_eq!(&encode(format, log, start, &pieces, true), &whole[at..], "{:?}", start);
            }
            // A stream that breaks is the beginning of the whole one, and no reader takes it for one.
            for visible in (1..=log.len()).filter(|end| log[end - 1] == b'\n').map(|end| ndjson::visible_len(&log[..end])) {
                let broken = encode(format, &log[..visible], RecordOffset::default(), &pieces, false);
                prop_assert!(whole.starts_with(&broken) && broken.len() < whole.len());
                prop_assert_eq!(decode(format, &broken), None);
            }
        }
    }
}
