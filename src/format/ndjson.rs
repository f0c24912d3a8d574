//! NDJSON: one JSON value a line, each line ended by `\n`.
//!
//! Hold-back: a stream that stops for any reason, including a killed proxy and an intermediary that turns an abort into a clean end, must
//! not parse as a whole. The newest record's last byte (its closing bracket, brace or quote) and its newline are therefore sent only
//! together with its successor or with the proof of the end. A number or a literal still parses when it is cut, so such a record is held
//! back whole.

pub(super) const MEDIA_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"];

pub(super) const NAMES: [(&str, &str); 2] = [("ndjson", "application/x-ndjson"), ("jsonl", "application/jsonl")];

/// Suffix of the names of files with a log, with its dot.
pub const SUFFIX: &str = ".ndjson";

/// Returns the number of bytes of the newest lines of a log that may be sent before their successor or the proven end. The lines are empty or
/// end with `\n`.
pub fn visible_len(lines: &[u8]) -> usize {
    let Some((_, lines)) = lines.split_last() else { return 0 };
    // A record may stand between spaces: only its own last byte tells its kind.
    let body = lines.trim_ascii_end();
    match body.last() {
        Some(b'}' | b']' | b'"') => body.len() - 1,
        _ => body.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// After every batch, the visible bytes are a strict prefix that ends inside a record.
        #[test]
        fn visible_bytes_always_end_inside_a_record(
            batches in prop::collection::vec(prop::collection::vec(
                prop::sample::select(vec!["{\"a\":1}", "[]", "\"x\"", "12", "true", "null", "{}", "\"\"", "[1,{\"b\":\"}\"}]",
                "{\"a\": 1 }  ", "  7 ", " \"x \" ", "   [ ]", " null  "]), 1..5), 1..6),
        ) {
            let mut all = Vec::new();
            for records in &batches {
                let text: String = records.iter().map(|record| format!("{record}\n")).collect();
                let before = all.len();
                all.extend_from_slice(text.as_bytes());
                let left = &all[..before + visible_len(text.as_bytes())];
                prop_assert!(left.len() < all.len());
                let last = left.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
                let is_record = serde_json::from_slice::<serde_json::Value>(last).is_ok();
                prop_assert!(last.is_empty() || !is_record, "`{}` is a whole record", String::from_utf8_lossy(last));
            }
        }
    }
}
