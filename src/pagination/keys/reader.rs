//! Reader of a record's key.
//!
//! It runs for each record of a collection with a `key`, and stops at the key: 20 ns where a parser of the whole record, as
//! [`PathSet`] is one, took 600. The splitter has checked the record's form, and whatever the reader isn't sure of the parser decides.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr2, memchr3};

use crate::batch::{Batch, KeyRelation, LineKey};
use crate::pagination::error::PageError;
use crate::pagination::json_extract::PathSet;
use crate::pagination::path::{Path, Segment};
use crate::pagination::record_values::text_of;

/// Reader of the value at one path.
#[derive(Debug)]
pub(in crate::pagination) struct KeyReader {
    /// Text before a key that is a compact record's first member, as `{"id":`: most are, and the key is then found by one comparison.
    opening: Option<Box<[u8]>>,
    /// Names of the members that lead to the key; none where an element of an array does.
    names: Option<Vec<Box<[u8]>>>,
    paths: PathSet,
}

/// Reading of a text that is JSON, as far as brackets and quotes go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan<T> {
    Found(T),
    Absent,
    /// A path through an array, or a text of another form.
    Unsure,
}

impl KeyReader {
    pub(in crate::pagination) fn new(path: &Path) -> Self {
        let names = path.segments().iter().map(|segment| match segment {
            Segment::Name(name) => Some(name.as_bytes().into()),
            Segment::Index(_) | Segment::FromEnd(_) | Segment::Each => None,
        });
        let names: Option<Vec<Box<[u8]>>> = names.collect();
        // A name with such a byte is spelled with an escape.
        let is_plain = |name: &[u8]| name.iter().all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\');
        let opening = match names.as_deref() {
            Some([name]) if is_plain(name) => Some([b"{\"", &**name, b"\":"].concat().into()),
            Some(_) | None => None,
        };
        Self { opening, names, paths: PathSet::new(&[path]) }
    }

    /// Returns the text of the key; none where the record has nothing there. Of several members with one name the first counts.
    pub(in crate::pagination) fn read<'a>(&self, line: &'a [u8]) -> Result<Option<&'a [u8]>, PageError> {
        match self.find(line) {
            Scan::Found(place) => Ok(Some(&line[place])),
            Scan::Absent => Ok(None),
            Scan::Unsure => {
                let mut key = [None];
                self.paths.extract(text_of(line)?, &mut key)?;
                Ok(key[0].map(|key| key.get().as_bytes()))
            }
        }
    }

    /// The batch with the places of its keys, which are read where the splitter has not found them.
    pub(in crate::pagination) fn keyed(&self, batch: Batch) -> Result<Batch, PageError> {
        if batch.keys().is_some() {
            return Ok(batch);
        }
        let (mut keys, mut before) = (Vec::new(), 0);
        for line in batch.each() {
            let key = self.read(line)?.unwrap_or_default();
            let at = if key.is_empty() { 0 } else { key.as_ptr() as usize - line.as_ptr() as usize };
            let place = LineKey::new(before + at, key.len(), KeyRelation::Other);
            keys.push(place.ok_or(PageError::RecordTooLarge { index: keys.len(), limit: u32::MAX.into() })?);
            before += line.len();
        }
        Ok(batch.with_keys(Arc::new(keys)))
    }

    /// Text of a line in front of a key that is its first member; empty where none is.
    pub(super) fn opening(&self) -> &[u8] {
        self.opening.as_deref().unwrap_or_default()
    }

    #[inline]
    pub(super) fn find(&self, line: &[u8]) -> Scan<Range<usize>> {
        if let Some(opening) = &self.opening
            && line.starts_with(opening)
            && let Some(end) = value_end(line, opening.len())
            && end > opening.len()
        {
            return Scan::Found(opening.len()..end);
        }
        self.names.as_ref().map_or(Scan::Unsure, |names| scan(line, names))
    }
}

fn scan(text: &[u8], names: &[Box<[u8]>]) -> Scan<Range<usize>> {
    let mut at = space_end(text, 0);
    for name in names {
        if text.get(at) != Some(&b'{') {
            return Scan::Absent;
        }
        match member(text, at + 1, name) {
            Scan::Found(value) => at = value,
            Scan::Absent => return Scan::Absent,
            Scan::Unsure => return Scan::Unsure,
        }
    }
    match value_end(text, at) {
        Some(end) if end > at => Scan::Found(at..end),
        Some(_) | None => Scan::Unsure,
    }
}

/// Start of the value of the member with this name, in the object whose content begins at `at`.
fn member(text: &[u8], mut at: usize, name: &[u8]) -> Scan<usize> {
    loop {
        at = space_end(text, at);
        match text.get(at) {
            Some(b'"') => {}
            Some(b'}') => return Scan::Absent,
            Some(_) | None => return Scan::Unsure,
        }
        let end = string_end(text, at);
        let found = end.is_some_and(|end| is_name(&text[at..end], name));
        let Some(colon) = end.map(|end| space_end(text, end)).filter(|at| text.get(*at) == Some(&b':')) else {
            return Scan::Unsure;
        };
        let value = space_end(text, colon + 1);
        if found {
            return Scan::Found(value);
        }
        let Some(end) = value_end(text, value) else { return Scan::Unsure };
        at = space_end(text, end);
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => return Scan::Absent,
            Some(_) | None => return Scan::Unsure,
        }
    }
}

fn space_end(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Returns true for a name in quotes that is `name`, in whatever spelling.
fn is_name(quoted: &[u8], name: &[u8]) -> bool {
    let spelled = &quoted[1..quoted.len() - 1];
    if memchr(b'\\', spelled).is_none() {
        return spelled == name;
    }
    // A name that is no Unicode is none that can be configured.
    serde_json::from_slice::<Cow<'_, str>>(quoted).is_ok_and(|spelled| spelled.as_bytes() == name)
}

/// End of the string whose opening mark is at `at`.
#[inline]
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += mark_at(text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Offset of the first quotation mark or backslash. Keys are short: a vector search costs twice as much before it begins.
#[inline]
fn mark_at(text: &[u8]) -> Option<usize> {
    const WORDS: usize = 4;
    const ONES: u64 = u64::MAX / 255;
    // Sets the high bit of the first zero byte, and of none before it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, _) = text.as_chunks();
    for (number, word) in words.iter().take(WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        let marks = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if marks != 0 {
            return Some(size_of::<u64>() * number + marks.trailing_zeros() as usize / 8);
        }
    }
    let read = size_of::<u64>() * words.len().min(WORDS);
    memchr2(b'"', b'\\', &text[read..]).map(|at| read + at)
}

/// End of the value that begins at `at`.
#[inline]
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'{' => nested_end(text, at, *b"{}"),
        b'[' => nested_end(text, at, *b"[]"),
        _ => {
            // Most are whole numbers.
            let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            Some(text[at + digits..].iter().position(is_end).map_or(text.len(), |length| at + digits + length))
        }
    }
}

/// End of the array or object that begins at `at`. All brackets match, so that those of its own kind tell where it ends.
fn nested_end(text: &[u8], mut at: usize, [open, close]: [u8; 2]) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        at += memchr3(b'"', open, close, text.get(at..)?)?;
        match text[at] {
            b'"' => at = string_end(text, at)?,
            byte if byte == open => (depth, at) = (depth + 1, at + 1),
            _ if depth == 1 => return Some(at + 1),
            _ => (depth, at) = (depth - 1, at + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn read(path: &str, line: &str) -> Option<String> {
        let key = KeyReader::new(&path.parse().unwrap()).read(line.as_bytes()).unwrap();
        key.map(|key| String::from_utf8(key.to_vec()).unwrap())
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\{}:, \u{e9}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ab]|id|\"|\\\\", inner), 0..4)
                    .prop_map(|members| Value::from(members.into_iter().collect::<Map<String, Value>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_scan_reads_as_the_parser_does(record in json(), path in prop::sample::select(vec!["id", "a.id", "a.b", "$", "a[0]"])) {
            for line in [record.to_string(), serde_json::to_string_pretty(&record).unwrap()] {
                let reader = KeyReader::new(&path.parse().unwrap());
                let mut key = [None];
                // The parser takes no key out of a number.
                prop_assume!(reader.paths.extract(&line, &mut key).is_ok());
                let expected = key[0].map(|key| key.get().as_bytes());
                prop_assert_eq!(reader.read(line.as_bytes()).unwrap(), expected, "{} of {}", path, line);
            }
        }
    }

    #[test]
    fn a_key_is_read_wherever_it_stands() {
        assert_eq!(read("id", "{\"id\":17,\"id\":18}").as_deref(), Some("17"));
        assert_eq!(
            read("id", " { \"x\" : [ {\"id\":\"}\"} ] , \"id\" : \"a\\\"b\" }\n").as_deref(),
            Some("\"a\\\"b\"")
        );
        assert_eq!(read("id", "{\"\\u0069d\":17,\"id\":18}").as_deref(), Some("17"));
        assert_eq!(read("id", "{\"a\\\"b\":0,\"\\ud83d\":0,\"id\":17,\"id\":18}").as_deref(), Some("17"));
        assert_eq!(read("id", "{\"idx\":1,\"x\":{\"id\":2}}"), None);
        assert_eq!(read("a.id", "{\"a\":{\"id\":null}}").as_deref(), Some("null"));
        assert_eq!(read("id", "[1]"), None);
        assert_eq!(read("$", "17\n").as_deref(), Some("17"));
    }
}
