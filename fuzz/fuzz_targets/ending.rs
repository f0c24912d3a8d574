//! Hold-back: until the end is proven, what was sent is a strict prefix of the stream that no JSON reader takes for whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use unpage::format::ndjson::visible_len;

fuzz_target!(|pages: &[u8]| {
    let mut all = Vec::new();
    for page in pages.split(|byte| *byte == 0xff) {
        let Ok(records) = serde_json::from_slice::<Vec<&RawValue>>(page) else { continue };
        if records.is_empty() {
            continue;
        }
        let lines: String = records.iter().map(|record| record.get().replace(['\n', '\r'], " ") + "\n").collect();
        let before = all.len();
        all.extend_from_slice(lines.as_bytes());
        let sent = &all[..before + visible_len(lines.as_bytes())];
        let last = sent.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
        assert!(sent.len() < all.len());
        assert!(last.is_empty() || serde_json::from_slice::<&RawValue>(last).is_err());
    }
});
