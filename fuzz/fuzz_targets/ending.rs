//! Hold-back: until the end is proven, what was sent is a strict prefix of the stream that no JSON reader takes for whole.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use unpage::batch::Batch;
use unpage::response::HoldBack;

fuzz_target!(|pages: &[u8]| {
    let (mut hold, mut sent, mut all) = (HoldBack::default(), Vec::new(), Vec::new());
    for page in pages.split(|byte| *byte == 0xff) {
        let Ok(records) = serde_json::from_slice::<Vec<&RawValue>>(page) else { continue };
        let lines: String = records.iter().map(|record| record.get().replace(['\n', '\r'], " ") + "\n").collect();
        all.extend_from_slice(lines.as_bytes());
        hold.push(&Batch::new(Bytes::from(lines), records.len() as u64))
            .iter()
            .for_each(|piece| sent.extend_from_slice(piece));
        let last = sent.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
        assert!(all.starts_with(&sent) && (all.is_empty() || sent.len() < all.len()));
        assert!(last.is_empty() || serde_json::from_slice::<&RawValue>(last).is_err());
    }
    sent.extend_from_slice(&hold.finish());
    assert_eq!(sent, all);
});
