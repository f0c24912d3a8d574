//! Hold-back: whatever readers have been given ends inside a record, until the end is proven.
//!
//! A stream that stops for any reason, a killed proxy and a middle box that turns an abort into a clean end included, then
//! isn't parseable as a whole, and what the client has is a strict prefix of the representation. The newest record's last
//! byte (its closing bracket, brace or quote) and its newline leave only together with its successor or with the proof. A
//! number or literal can be cut and still parse, so such a record is held back whole.

use crate::batch::Batch;

/// How many bytes of the batch may leave before its successor or the proof has come.
pub fn may_leave(batch: &Batch) -> usize {
    if batch.is_empty() {
        return 0;
    }
    let lines = batch.lines();
    // A record may have spaces around it: what counts is the last byte of its own.
    let body = lines[..lines.len() - 1].trim_ascii_end();
    match body.last() {
        Some(b'}' | b']' | b'"') => body.len() - 1,
        _ => body.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// After every batch, what may have left is a strict prefix that ends inside a record.
        #[test]
        fn what_has_left_always_ends_inside_a_record(
            batches in prop::collection::vec(prop::collection::vec(
                prop::sample::select(vec!["{\"a\":1}", "[]", "\"x\"", "12", "true", "null", "{}", "\"\"", "[1,{\"b\":\"}\"}]",
                "{\"a\": 1 }  ", "  7 ", " \"x \" ", "   [ ]", " null  "]), 1..5), 1..6)
        ) {
            let mut all = Vec::new();
            for records in &batches {
                let text: String = records.iter().map(|record| format!("{record}\n")).collect();
                let before = all.len();
                all.extend_from_slice(text.as_bytes());
                let left = &all[..before + may_leave(&Batch::new(Bytes::from(text), records.len() as u64))];
                prop_assert!(left.len() < all.len());
                let last = left.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
                let whole = serde_json::from_slice::<serde_json::Value>(last).is_ok();
                prop_assert!(last.is_empty() || !whole, "`{}` is a whole record", String::from_utf8_lossy(last));
            }
        }
    }
}
