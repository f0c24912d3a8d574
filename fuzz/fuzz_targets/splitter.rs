//! The splitter against serde_json: both take the same pages, and both find the same records in them.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use unpage::pagination::split::{Shape, Splitter};
use unpage::pagination::{Caps, Pagination, Path, Records, Style};

fuzz_target!(|data: &[u8]| {
    let Some((cut, page)) = data.split_first() else { return };
    let shape = Shape::of(&Pagination::of(Style::Single, Records::at(Path::root())), &Caps::default());
    let mut splitter = Splitter::new(Arc::new(shape));
    page.chunks(usize::from(*cut) + 1).for_each(|piece| splitter.feed(piece).expect("smaller than the cap"));
    let json = page.strip_prefix("\u{feff}".as_bytes()).unwrap_or(page);
    match splitter.finish() {
        Ok(split) if split.batch.records() > 0 => same(json, split.batch.lines()),
        Ok(_) => assert!(std::str::from_utf8(page).is_ok() && serde_json::from_slice::<&RawValue>(json).is_ok()),
        Err(wrong) => assert!(serde_json::from_slice::<Vec<Value>>(json).is_err(), "refused: {wrong}"),
    }
});

fn same(json: &[u8], lines: &[u8]) {
    let elements: Vec<&RawValue> = serde_json::from_slice(json).expect("the splitter takes nothing that serde_json refuses");
    let lines = std::str::from_utf8(lines).expect("records are UTF-8").strip_suffix('\n').expect("a line ends");
    let lines: Vec<_> = lines.split('\n').collect();
    assert_eq!(lines.len(), elements.len());
    for (line, element) in lines.into_iter().zip(elements) {
        assert_eq!(line, element.get().replace(['\n', '\r'], " "));
        // `Value` can't hold a lone surrogate; what it refuses, it refuses on both sides.
        assert_eq!(serde_json::from_str::<Value>(line).ok(), serde_json::from_str::<Value>(element.get()).ok());
    }
}
