//! Hold-back: whatever has been sent ends inside a record, until the end is proven.
//!
//! A stream that stops for any reason, a killed proxy and a middle box that turns an abort into a clean end included, then
//! isn't parseable as a whole, and what the client has is a strict prefix of the representation. The newest record's last
//! byte (its closing bracket, brace or quote) and its newline leave only together with its successor or with the proof. A
//! number or literal can be cut and still parse, so such a record is held back whole.

use bytes::Bytes;

use crate::batch::Batch;

/// The last bytes of a stream, withheld.
#[derive(Debug, Default)]
pub struct HoldBack {
    held: Bytes,
}

impl HoldBack {
    /// What may leave now that `batch` has come: the bytes held back before, and the batch but for its own end.
    pub fn push(&mut self, batch: &Batch) -> [Bytes; 2] {
        if batch.is_empty() {
            return [Bytes::new(), Bytes::new()];
        }
        let lines = batch.lines();
        // A record may have spaces around it: what counts is the last byte of its own.
        let body = lines[..lines.len() - 1].trim_ascii_end();
        let cut = match body.last() {
            Some(b'}' | b']' | b'"') => body.len() - 1,
            _ => body.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1),
        };
        let before = std::mem::replace(&mut self.held, lines.slice(cut..));
        [before, lines.slice(..cut)]
    }

    /// The end is proven: the rest may leave.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// After every push, what was sent is a strict prefix that ends inside a record; in the end it is everything.
        #[test]
        fn what_was_sent_always_ends_inside_a_record(
            batches in prop::collection::vec(prop::collection::vec(
                prop::sample::select(vec!["{\"a\":1}", "[]", "\"x\"", "12", "true", "null", "{}", "\"\"", "[1,{\"b\":\"}\"}]",
                "{\"a\": 1 }  ", "  7 ", " \"x \" ", "   [ ]", " null  "]), 0..5), 1..6)
        ) {
            let mut hold = HoldBack::default();
            let (mut sent, mut all) = (Vec::new(), Vec::new());
            for records in &batches {
                let text: String = records.iter().map(|record| format!("{record}\n")).collect();
                all.extend_from_slice(text.as_bytes());
                for piece in hold.push(&Batch::new(Bytes::from(text), records.len() as u64)) {
                    sent.extend_from_slice(&piece);
                }
                prop_assert!(all.starts_with(&sent));
                if !all.is_empty() {
                    prop_assert!(sent.len() < all.len());
                    let last = sent.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
                    let whole = serde_json::from_slice::<serde_json::Value>(last).is_ok();
                    prop_assert!(last.is_empty() || !whole, "`{}` is a whole record", String::from_utf8_lossy(last));
                }
            }
            sent.extend_from_slice(&hold.finish());
            prop_assert_eq!(sent, all);
        }
    }
}
