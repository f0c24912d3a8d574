//! NDJSON: one JSON value a line, each line ended by `\n`.
//!
//! Hold-back: a stream that stops for any reason, including a killed proxy and an intermediary that turns an abort into a clean end, must
//! not parse as a whole. The newest record's last byte (its closing bracket, brace or quote) and its newline are therefore sent only
//! together with its successor or with the proof of the end. A number or a literal still parses when it is cut, so such a record is held
//! back whole.

pub(super) const MEDIA_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"];

pub(super) const NAMES: [(&str, &str); 2] = [("ndjson", "application/x-ndjson"), ("jsonl", "application/jsonl")];

pub(super) const SUFFIX: &str = ".ndjson";

/// Returns the length of the visible prefix of these lines; they are empty or end with `\n`.
pub(super) fn visible_len(lines: &[u8]) -> usize {
    let Some((_, lines)) = lines.split_last() else { return 0 };
    // A record may stand between spaces: only its own last byte tells its kind.
    let body = lines.trim_ascii_end();
    match body.last() {
        Some(b'}' | b']' | b'"') => body.len() - 1,
        _ => body.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1),
    }
}
