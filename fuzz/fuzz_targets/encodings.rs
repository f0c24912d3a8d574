//! Pages in XML and CSV: cut anywhere they give the same records, each of them JSON, and texts that are written so come back.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use unpage::caps::Caps;
use unpage::pagination::splitter::{PageShape, Splitter};
use unpage::pagination::{Encoding, Pagination, Presence, Records, Style};

/// Shapes of pages in XML, CSV and tab-separated values.
static SHAPES: LazyLock<[Arc<PageShape>; 3]> = LazyLock::new(|| {
    [(Encoding::Xml, "a.b"), (Encoding::Csv(b','), "rows"), (Encoding::Csv(b'\t'), "rows")].map(|(encoding, path)| {
        let records = Records::at(path.parse().expect("a path"));
        let records = Records { encoding, presence: Presence::Optional, ..records };
        Arc::new(PageShape::new(&Pagination::of(Style::SINGLE, records), &Caps::default()))
    })
});

fuzz_target!(|data: &[u8]| {
    let [kind, seed, text @ ..] = data else { return };
    let [xml, csv, tabs] = &*SHAPES;
    match kind % 6 {
        0 => drop(read(xml, text, *seed)),
        1 => drop(read(xml, &[b"<a>", text, b"</a>"].concat(), *seed)),
        2 => drop(read(csv, text, *seed)),
        3 => drop(read(tabs, text, *seed)),
        4 => check(xml, text, *seed, |texts| {
            format!("<a>{}</a>", texts.iter().map(|text| element(text)).collect::<String>())
        }),
        _ => check(csv, text, *seed, |texts| {
            let rows: String = texts.iter().map(|text| format!("\"{}\"\n", text.replace('"', "\"\""))).collect();
            format!("\"t\"\n{rows}")
        }),
    }
});

/// Reads a page that is written from texts, which have to come back in their order.
fn check(shape: &Arc<PageShape>, bytes: &[u8], seed: u8, written: impl Fn(&[String]) -> String) {
    let texts: Vec<_> = bytes.split(|byte| *byte == 0xff).map(text).collect();
    let records = read(shape, written(&texts).as_bytes(), seed);
    let expected: Vec<_> = texts.iter().map(|text| json!({ "t": text })).collect();
    assert_eq!(records, Some(expected));
}

/// Text without characters that XML can't carry, and not of space alone.
fn text(bytes: &[u8]) -> String {
    let lossy = String::from_utf8_lossy(bytes);
    let plain = |c: char| if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) { '.' } else { c };
    format!("x{}", lossy.chars().map(plain).collect::<String>())
}

fn element(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<b><t>{escaped}</t></b>")
}

/// Records of a page, read whole and in pieces; `None` where it is refused.
fn read(shape: &Arc<PageShape>, page: &[u8], seed: u8) -> Option<Vec<Value>> {
    let whole = split(shape, page, |len| len);
    let mut random = fastrand::Rng::with_seed(seed.into());
    let most = [1, 3, 16, 65, 130, 1024][usize::from(seed) % 6];
    let pieces = split(shape, page, |len| random.usize(1..=most).min(len));
    assert_eq!(whole, pieces);
    whole
}

fn split(shape: &Arc<PageShape>, mut page: &[u8], mut size: impl FnMut(usize) -> usize) -> Option<Vec<Value>> {
    let mut splitter = Splitter::new(Arc::clone(shape));
    let mut records = Vec::new();
    let mut add = |lines: &[u8]| {
        let lines = lines.split_inclusive(|byte| *byte == b'\n');
        records.extend(lines.map(|line| serde_json::from_slice::<Value>(line).expect("a record is JSON")));
    };
    while !page.is_empty() {
        let (piece, rest) = page.split_at(size(page.len()));
        splitter.feed(piece).ok()?;
        add(splitter.take().lines());
        page = rest;
    }
    add(splitter.finish().ok()?.batch.lines());
    Some(records)
}
