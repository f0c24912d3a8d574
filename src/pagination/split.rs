//! Splits a page into its records, byte for byte, and picks the values at the configured paths.
//!
//! Bytes go in as they arrive, records come out. A record keeps its own bytes (numbers, key order, escapes, duplicate keys)
//! but for line breaks: in JSON a raw one stands only between tokens, so it becomes a space and the record one line.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;

use super::page::{Fields, Page};
use super::path::Segment;
use super::pick::{Members, parse, pick, start_of, value_of};
use super::{Caps, Pagination, Path, Presence, Records, RecordsShape, Source, Style, Wrong, detect};
use crate::batch::Batch;

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;

/// What to take from each page of a collection.
#[derive(Clone, Debug)]
pub struct Shape {
    records: Records,
    fields: Vec<Path>,
    caps: Caps,
}

/// One page on its way.
#[derive(Debug)]
pub struct Splitter {
    shape: Arc<Shape>,
    page: BytesMut,
    taken: u64,
    ready: Batch,
    fields: Fields,
}

impl Shape {
    /// What this pagination needs of a page.
    pub fn of(pagination: &Pagination, caps: &Caps) -> Self {
        let mut fields: Vec<Path> = Vec::new();
        let mut want = |path: &Path| {
            if !fields.contains(path) {
                fields.push(path.clone());
            }
        };
        for source in pagination.pointers().into_iter().chain(&pagination.total).chain(&pagination.total_pages) {
            match source {
                Source::Body(path) | Source::Links { path, .. } => want(path),
                Source::Header(_) => {}
            }
        }
        pagination.more.iter().for_each(|more| want(&more.path));
        pagination.error.iter().for_each(&mut want);
        match &pagination.style {
            Style::Offset { step: super::Advance::Body(path), .. } => want(path),
            Style::Cursor(cursor) => cursor.merge.iter().for_each(want),
            _ => {}
        }
        Self { records: pagination.records.clone(), fields, caps: caps.clone() }
    }

    /// The depth of the records' own array, where a page that has not ended can be read already.
    fn depth(&self) -> Option<usize> {
        match &self.records.paths[..] {
            [path] => Some(path.split_at_each().0.segments().len() + 1),
            _ => None,
        }
    }
}

impl Splitter {
    /// A splitter for one page.
    pub fn new(shape: Arc<Shape>) -> Self {
        Self { shape, page: BytesMut::new(), taken: 0, ready: Batch::default(), fields: Fields::default() }
    }

    /// Takes the next bytes of the page, however it was cut.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        if (self.page.len() + bytes.len()) as u64 > self.shape.caps.page_bytes {
            return Err(Wrong::PageTooLarge(self.shape.caps.page_bytes));
        }
        self.page.extend_from_slice(bytes);
        self.read_ahead();
        Ok(())
    }

    /// The records that ended since the last take.
    pub fn take(&mut self) -> Batch {
        let batch = std::mem::take(&mut self.ready);
        self.taken += batch.records();
        batch
    }

    /// The values at the configured paths that have been read so far.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The page is whole: the rest of its records, and what stood around them.
    pub fn finish(self) -> Result<Page, Wrong> {
        let mut raw = self.page.freeze();
        if raw.starts_with(b"\xef\xbb\xbf") {
            let _byte_order_mark = raw.split_to(3);
        }
        let text = text_of(&raw)?;
        check_depth(text.as_bytes())?;
        let (batch, fields) = read(&self.shape, text)?;
        Ok(Page { batch: batch.skip(self.taken), fields, sketch: raw.clone() })
    }

    /// Reads what has come as if its open brackets closed behind the last record that has ended.
    fn read_ahead(&mut self) {
        let page = self.page.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.page);
        let Some(closed) = self.shape.depth().and_then(|depth| closed(page, depth)) else { return };
        let Ok(text) = std::str::from_utf8(&closed) else { return };
        if let Ok((batch, fields)) = read(&self.shape, text) {
            self.ready = batch.skip(self.taken);
            self.fields = fields;
        }
    }
}

/// The start of a page that can be read, with its open brackets closed: up to the last comma or bracket that stands at most so deep.
fn closed(page: &[u8], depth: usize) -> Option<Vec<u8>> {
    let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
    let mut cut = None;
    for (at, byte) in page.iter().enumerate() {
        let end = match byte {
            _ if escaped => {
                escaped = false;
                continue;
            }
            b'\\' if in_string => {
                escaped = true;
                continue;
            }
            b'"' => {
                in_string = !in_string;
                continue;
            }
            _ if in_string => continue,
            b'[' | b'{' => {
                open.push(byte + 2);
                at + 1
            }
            b']' | b'}' => {
                open.pop();
                at + 1
            }
            b',' => at,
            _ => continue,
        };
        if open.len() <= depth {
            cut = Some((end, open.clone()));
        }
    }
    let (end, open) = cut?;
    let mut text = page[..end].to_vec();
    text.extend(open.into_iter().rev());
    Some(text)
}

/// The records and the values at the configured paths.
fn read(shape: &Shape, text: &str) -> Result<(Batch, Fields), Wrong> {
    let mut wanted: Vec<&Path> = shape.fields.iter().collect();
    let arrays: Vec<Path> = shape.records.paths.iter().map(|path| path.split_at_each().0).collect();
    wanted.extend(&arrays);
    let found = pick(text, &wanted)?;
    let (values, holders) = found.split_at(shape.fields.len());
    let records = records_of(&shape.records, holders, text)?;
    if records.is_empty() {
        check_no_error(text)?;
    }
    let batch = lines_of(&records, shape)?;
    let mut fields = Fields::default();
    for (path, raw) in shape.fields.iter().zip(values).filter_map(|(path, raw)| raw.map(|raw| (path, raw))) {
        fields.push(path.clone(), value_of(path, raw)?);
    }
    Ok((batch, fields))
}

impl Pagination {
    /// Every place in an answer that a next address or token is read from.
    pub(super) fn pointers(&self) -> Vec<&Source> {
        match &self.style {
            Style::NextUrl { next, .. } => next.iter().collect(),
            Style::Cursor(cursor) => cursor.tokens.iter().flat_map(|token| &token.next).collect(),
            _ => Vec::new(),
        }
    }
}

fn text_of(raw: &Bytes) -> Result<&str, Wrong> {
    let text = std::str::from_utf8(raw).map_err(|error| Wrong::NotUtf8(error.valid_up_to()))?;
    if text.trim_ascii().is_empty() { Err(Wrong::EmptyPage) } else { Ok(text) }
}

/// serde_json's raw values have no depth limit of their own.
fn check_depth(text: &[u8]) -> Result<(), Wrong> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Wrong::TooDeep(MAX_DEPTH));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The records themselves: the first configured place that holds some.
fn records_of<'a>(
    wanted: &Records,
    holders: &[Option<&'a RawValue>],
    text: &'a str,
) -> Result<Vec<&'a RawValue>, Wrong> {
    let opening = match wanted.shape {
        RecordsShape::Elements => '[',
        RecordsShape::Values => '{',
    };
    for (path, holder) in wanted.paths.iter().zip(holders) {
        let Some(raw) = holder.filter(|raw| raw.get().starts_with(opening)) else { continue };
        let elements = match wanted.shape {
            RecordsShape::Elements => parse::<Vec<&RawValue>>(raw.get())?,
            RecordsShape::Values => parse::<Members<'_>>(raw.get())?.0,
        };
        return match path.split_at_each().1 {
            Some(inner) if !inner.is_root() => inside(elements, &inner, wanted.presence),
            _ => Ok(elements),
        };
    }
    // Go's encoders write `null` for an empty list.
    let is_null = |holder: &Option<&RawValue>| holder.is_some_and(|raw| raw.get() == "null");
    if holders.iter().any(is_null) {
        return Ok(Vec::new());
    }
    if wanted.presence == Presence::Optional && holders.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let paths: Vec<_> = wanted.paths.iter().map(|path| format!("`{path}`")).collect();
    Err(Wrong::NoRecords { paths: paths.join(", "), arrays: arrays_of(text) })
}

/// No records beside an error are the upstream's failure under status 200, and no empty page.
fn check_no_error(text: &str) -> Result<(), Wrong> {
    const EXCERPT: usize = 80;
    let names = ["errors", "error"].map(|name| Path::of(vec![Segment::Name(name.to_owned())]));
    let found = pick(text, &names.each_ref())?;
    let is_empty = |raw: &&RawValue| {
        let bare: String = raw.get().chars().filter(|c| !c.is_whitespace()).take(6).collect();
        matches!(bare.as_str(), "null" | "false" | "\"\"" | "[]" | "{}" | "0")
    };
    match names.iter().zip(found).find_map(|(path, raw)| Some((path, raw.filter(|raw| !is_empty(raw))?))) {
        Some((path, raw)) => Err(Wrong::ErrorInPage {
            path: path.clone(),
            value: raw.get().chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect(),
        }),
        None => Ok(()),
    }
}

/// What stands at `inner` in each element: a record, or an array of records.
fn inside<'a>(elements: Vec<&'a RawValue>, inner: &Path, presence: Presence) -> Result<Vec<&'a RawValue>, Wrong> {
    let mut records = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        match pick(element.get(), &[inner])?[0] {
            Some(raw) if raw.get().starts_with('[') => records.extend(parse::<Vec<&RawValue>>(raw.get())?),
            Some(raw) if raw.get() == "null" && presence == Presence::Optional => {}
            Some(raw) if raw.get() != "null" => records.push(raw),
            Some(_) | None => return Err(Wrong::NoInner { index, path: inner.clone() }),
        }
    }
    Ok(records)
}

fn lines_of(records: &[&RawValue], shape: &Shape) -> Result<Batch, Wrong> {
    let size = records.iter().map(|record| record.get().len() + 1).sum();
    let mut lines = Vec::with_capacity(size);
    for (index, record) in records.iter().enumerate() {
        let bytes = record.get().as_bytes();
        if bytes.len() as u64 > shape.caps.record_bytes {
            return Err(Wrong::RecordTooLarge { index, limit: shape.caps.record_bytes });
        }
        lines.extend(bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        lines.push(b'\n');
    }
    Ok(Batch::new(Bytes::from(lines), records.len() as u64))
}

fn arrays_of(text: &str) -> String {
    match detect::seen_arrays(&detect::outline(text.as_bytes())) {
        seen if seen.is_empty() => format!("no array at all, it starts with `{}`", start_of(text)),
        seen => format!("arrays with {seen}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn split(records: &str, text: &str) -> Result<Page, Wrong> {
        let mut pagination = Pagination::of(Style::Single, Records::at(records.parse().unwrap()));
        pagination.total = Some(Source::Body("meta.total".parse().unwrap()));
        split_with(&pagination, text)
    }

    fn split_with(pagination: &Pagination, text: &str) -> Result<Page, Wrong> {
        let mut splitter = Splitter::new(Arc::new(Shape::of(pagination, &Caps::default())));
        for chunk in text.as_bytes().chunks(7) {
            splitter.feed(chunk)?;
        }
        splitter.finish()
    }

    fn lines(records: &str, text: &str) -> String {
        let page = split(records, text).unwrap();
        String::from_utf8(page.batch.lines().to_vec()).unwrap()
    }

    #[test]
    fn records_keep_their_bytes() {
        let record = r#"{"n":12345678901234567890123,"p":12.50,"a":1,"a":2,"s":"\u00e9\\\"é\u2028 ","e":1E400}"#;
        assert_eq!(
            lines("data", &format!("{{\"data\":[{record}, 1,\"x\",null]}}")),
            format!("{record}\n1\n\"x\"\nnull\n")
        );
        assert_eq!(lines("$", &format!("\u{feff}[{record}]")), format!("{record}\n"));
    }

    #[test]
    fn a_record_is_one_line() {
        assert_eq!(lines("$", "[\r\n {\r\n  \"a\": [1,\n2]\n}\n]\n"), "{    \"a\": [1, 2] }\n");
    }

    #[test]
    fn finds_records_where_they_are_wrapped() {
        let text =
            r#"{"data":{"edges":[{"node":{"id":1}},{"node":{"id":2}}]},"lists":[{"d":[1,2]},{"d":[]},{"d":[3]}]}"#;
        assert_eq!(lines("data.edges[*].node", text), "{\"id\":1}\n{\"id\":2}\n");
        assert_eq!(lines("lists[*].d", text), "1\n2\n3\n");
        assert_eq!(lines("lists[-1].d", text), "3\n");
        assert_eq!(lines("lists[0].d[*]", text), "1\n2\n");
    }

    #[test]
    fn finds_the_values_of_an_object() {
        let mut pagination = Pagination::of(Style::Single, Records::at("list".parse().unwrap()));
        pagination.records.shape = RecordsShape::Values;
        let page = split_with(&pagination, r#"{"list":{"7":{"a":1},"5":{"a":2}}}"#).unwrap();
        assert_eq!(page.batch.lines(), "{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn the_first_place_that_exists_holds_the_records() {
        let mut pagination = Pagination::of(Style::Single, Records::at(Path::root()));
        pagination.records.paths.push("items".parse().unwrap());
        assert_eq!(split_with(&pagination, r#"{"items":[1]}"#).unwrap().batch.records(), 1);
        assert_eq!(split_with(&pagination, "[1,2]").unwrap().batch.records(), 2);
        assert_eq!(split_with(&pagination, r#"{"items":null}"#).unwrap().batch.records(), 0);
    }

    #[test]
    fn fields_are_found_before_and_after_the_records() {
        for text in [r#"{"meta":{"total":5},"data":[1]}"#, r#"{"data":[1],"x":[{}],"meta":{"y":"","total":5}}"#] {
            let page = split("data", text).unwrap();
            assert_eq!(page.fields.get(&"meta.total".parse().unwrap()), Some(&Value::from(5)));
        }
    }

    #[test]
    fn a_wanted_value_that_can_t_be_read_is_no_null() {
        let text = r#"{"data":[{"id":1,"name":"\ud83d"}],"meta":{"total":"\ud83d"}}"#;
        assert!(matches!(split("data", text), Err(Wrong::Unreadable { .. })));
        assert_eq!(lines("data", &text.replace("total", "note")), "{\"id\":1,\"name\":\"\\ud83d\"}\n");
    }

    #[test]
    fn null_records_beside_an_error_are_no_empty_page() {
        for text in [r#"{"data":null,"errors":[{"message":"no"}]}"#, r#"{"error":"no","data":null}"#] {
            assert!(matches!(split("data", text), Err(Wrong::ErrorInPage { .. })), "{text}");
        }
        for text in [r#"{"data":null}"#, r#"{"data":null,"errors":[ ],"error":null}"#, r#"{"data":null,"error":""}"#] {
            assert_eq!(lines("data", text), "", "{text}");
        }
    }

    #[test]
    fn null_inside_an_element_is_no_record() {
        let mut pagination = Pagination::of(Style::Single, Records::at("edges[*].node".parse().unwrap()));
        let text = r#"{"edges":[{"node":{"id":1}},{"node":null}]}"#;
        assert!(matches!(split_with(&pagination, text), Err(Wrong::NoInner { index: 1, .. })));
        pagination.records.presence = Presence::Optional;
        assert_eq!(split_with(&pagination, text).unwrap().batch.lines(), "{\"id\":1}\n");
    }

    #[test]
    fn a_missing_array_names_those_that_are_there() {
        let error = split("data", r#"{"items":[1,2],"meta":{"x":[]}}"#).unwrap_err();
        let text = error.to_string();
        assert_eq!(
            text,
            "no record array at `data`; the page has arrays with 2 elements at `items`, 0 elements at `meta.x`"
        );
        assert!(split("data", "12").is_err());
    }

    #[test]
    fn an_optional_array_may_be_missing_but_not_be_something_else() {
        let mut pagination = Pagination::of(Style::Single, Records::at("data".parse().unwrap()));
        pagination.records.presence = Presence::Optional;
        assert_eq!(split_with(&pagination, "{}").unwrap().batch.records(), 0);
        assert!(split_with(&pagination, r#"{"data":"no"}"#).is_err());
    }

    #[test]
    fn refuses_what_is_not_one_json_text() {
        let deep = format!("[{}{}]", "[".repeat(128), "]".repeat(128));
        for text in [
            "",
            " \n",
            "<html>",
            "[1,2",
            "[1]]",
            "[1] [2]",
            "[\"a\nb\"]",
            "[01]",
            "{\"meta\":{\"total\":1},\"meta\":{\"total\":2}}",
            &deep,
        ] {
            assert!(split("$", text).is_err(), "{text}");
        }
        let mut splitter = Splitter::new(Arc::new(Shape::of(
            &Pagination::of(Style::Single, Records::at(Path::root())),
            &Caps::default(),
        )));
        splitter.feed(b"[\"\xff\"]").unwrap();
        assert!(matches!(splitter.finish(), Err(Wrong::NotUtf8(2))));
    }

    #[test]
    fn sizes_are_capped() {
        let caps = Caps { page_bytes: 20, record_bytes: 5, ..Caps::default() };
        let pagination = Pagination::of(Style::Single, Records::at(Path::root()));
        let shape = Arc::new(Shape::of(&pagination, &caps));
        let mut splitter = Splitter::new(Arc::clone(&shape));
        splitter.feed(b"[1,123456]").unwrap();
        assert!(matches!(splitter.finish(), Err(Wrong::RecordTooLarge { index: 1, limit: 5 })));
        let mut splitter = Splitter::new(shape);
        splitter.feed(&[b' '; 20]).unwrap();
        assert!(matches!(splitter.feed(b" "), Err(Wrong::PageTooLarge(20))));
    }
}
