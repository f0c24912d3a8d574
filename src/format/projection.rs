//! Projection of records: the named members of each, cut from its bytes as they come. No value is changed, and none is kept in memory.
//!
//! Members keep the order and the spelling that they have in the record; white space around them is dropped. An object on the way to a name stays with
//! what it has of the names, an array with its objects; any other value on the way is left out, as is a name that the record does not have. A record that
//! is no object becomes `{}`, so that the number of records never changes.
//!
//! Hold-back: the end of each record, `}` and the newline, leaves with the first byte of its successor or with the proven end.

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use super::columns::add_name;
use super::encoding_error::{EncodingError, no_json};
use super::field_names::{FieldMatch, FieldNames};
use super::value_scan::ValueScan;

#[derive(Debug)]
pub(super) struct Projector {
    names: FieldNames,
    state: State,
    /// Containers on the way, that of the record first.
    open: Vec<Container>,
    /// Path of the innermost one, and then of its member.
    path: Vec<u8>,
    /// Newest name, as it is spelled, with its quotes.
    name: Vec<u8>,
    /// Largest length of a spelling that may be a name: an escape has six bytes.
    longest: usize,
    held_back: HeldBack,
    records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldBack {
    Nothing,
    /// The end of the newest record.
    RecordEnd,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the first byte of a record.
    NewRecord,
    /// Behind the end of an object that is a record.
    Ended,
    /// In a record that is no object.
    NoObject,
    /// Before a name or the end of an object.
    Member,
    Name(ValueScan),
    Colon,
    /// Before the value of a member.
    Value(FieldMatch),
    /// Before an element or the end of an array.
    Element,
    Within(ValueScan, Keep),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    All,
    Nothing,
}

/// An object or an array that is put out in part.
#[derive(Debug)]
struct Container {
    /// Its closing bracket.
    closing: u8,
    /// Length of its path.
    path: usize,
    /// Text before its next member or element.
    separator: &'static [u8],
}

impl Projector {
    pub(super) fn new(names: FieldNames) -> Self {
        let longest = 6 * names.longest() + 2;
        let (open, path, name) = (Vec::new(), Vec::new(), Vec::new());
        Self { names, state: State::NewRecord, open, path, name, longest, held_back: HeldBack::Nothing, records: 0 }
    }

    /// Appends what the next bytes of the log have of the names.
    ///
    /// # Errors
    /// Fails with a record that is no JSON value.
    pub(super) fn push(&mut self, mut lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        while !lines.is_empty() {
            let end = memchr(b'\n', lines).unwrap_or(lines.len());
            let mut rest = &lines[..end];
            while !rest.is_empty() {
                let passed = self.step(rest, out).ok_or_else(|| no_json(self.records))?;
                rest = &rest[passed..];
            }
            if end < lines.len() {
                self.end_record()?;
            }
            lines = lines.get(end + 1..).unwrap_or_default();
        }
        Ok(())
    }

    /// Appends the end of the last record of a complete log.
    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        if self.held_back == HeldBack::RecordEnd {
            out.put_slice(b"}\n");
            self.held_back = HeldBack::Nothing;
        }
    }

    fn end_record(&mut self) -> Result<(), EncodingError> {
        let (State::Ended | State::NoObject) = self.state else { return Err(no_json(self.records)) };
        self.state = State::NewRecord;
        self.held_back = HeldBack::RecordEnd;
        self.records += 1;
        Ok(())
    }

    /// Passes the first bytes of a piece of a record. Returns their number; none where the record is no JSON.
    fn step(&mut self, bytes: &[u8], out: &mut BytesMut) -> Option<usize> {
        let first = *bytes.first()?;
        match (&mut self.state, first) {
            (State::NoObject, _) => return Some(bytes.len()),
            (State::Name(scan), _) => {
                let end = scan.pass(bytes);
                // One that is longer is none of the names, and need not be kept.
                let part = &bytes[..end.unwrap_or(bytes.len())];
                self.name.extend_from_slice(&part[..part.len().min(self.longest + 1 - self.name.len())]);
                if end.is_some() {
                    self.state = State::Colon;
                }
                return Some(part.len());
            }
            (State::Within(scan, keep), _) => {
                let end = scan.pass(bytes);
                let part = &bytes[..end.unwrap_or(bytes.len())];
                if *keep == Keep::All {
                    out.put_slice(part);
                }
                if end.is_some() {
                    self.state = self.after_value();
                }
                return Some(part.len());
            }
            (_, b' ' | b'\t' | b'\r') | (State::Member | State::Element, b',') => {}
            (State::NewRecord, _) => {
                self.finish(out);
                out.put_u8(b'{');
                self.state = State::NoObject;
                if first == b'{' {
                    self.enter(first);
                }
            }
            (State::Member, b'"') => {
                self.name.clear();
                self.state = State::Name(ValueScan::of(first)?);
                return Some(0);
            }
            (State::Colon, b':') => self.state = State::Value(self.of_name()),
            (State::Value(found), _) => {
                let found = *found;
                return self.value(found, first, out);
            }
            (State::Element, b'{') => {
                self.separate(out);
                out.put_u8(b'{');
                self.enter(first);
            }
            (State::Member | State::Element, _) if self.open.last().is_some_and(|open| open.closing == first) => {
                self.leave(out);
            }
            (State::Element, _) => {
                self.state = State::Within(ValueScan::of(first)?, Keep::Nothing);
                return Some(0);
            }
            (State::Ended | State::Member | State::Colon, _) => return None,
        }
        Some(1)
    }

    /// Looks at the first byte of a member's value. The name leaves only if something of the value does.
    fn value(&mut self, found: FieldMatch, first: u8, out: &mut BytesMut) -> Option<usize> {
        let scan = ValueScan::of(first)?;
        let is_on_the_way = found == FieldMatch::Above && matches!(first, b'{' | b'[');
        let keep = if found == FieldMatch::Named { Keep::All } else { Keep::Nothing };
        if is_on_the_way || keep == Keep::All {
            self.separate(out);
            out.put_slice(&self.name);
            out.put_u8(b':');
        }
        if is_on_the_way {
            out.put_u8(first);
            self.enter(first);
            return Some(1);
        }
        self.state = State::Within(scan, keep);
        Some(0)
    }

    /// Looks the newest name up, and makes its path the newest.
    fn of_name(&mut self) -> FieldMatch {
        if self.name.len() > self.longest {
            return FieldMatch::Absent;
        }
        if self.open.len() > 1 {
            self.path.push(b'.');
        }
        add_name(&self.name[1..self.name.len() - 1], &mut self.path);
        self.names.find(&self.path)
    }

    fn separate(&mut self, out: &mut BytesMut) {
        if let Some(container) = self.open.last_mut() {
            out.put_slice(container.separator);
            container.separator = b",";
        }
    }

    /// Enters the container that opens with this byte, at the newest path.
    fn enter(&mut self, opening: u8) {
        let (closing, state) = if opening == b'{' { (b'}', State::Member) } else { (b']', State::Element) };
        self.open.push(Container { closing, path: self.path.len(), separator: b"" });
        self.state = state;
    }

    fn leave(&mut self, out: &mut BytesMut) {
        if let Some(container) = self.open.pop()
            && !self.open.is_empty()
        {
            out.put_u8(container.closing);
        }
        self.state = self.after_value();
    }

    fn after_value(&mut self) -> State {
        let Some(container) = self.open.last() else { return State::Ended };
        self.path.truncate(container.path);
        if container.closing == b'}' { State::Member } else { State::Element }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    /// Projects a log in pieces of these lengths. Each beginning of what comes out ends inside of a record.
    fn project(names: &str, log: &str, pieces: &[usize]) -> Result<String, EncodingError> {
        let (mut projector, mut out) = (Projector::new(names.parse().unwrap()), BytesMut::new());
        let (mut rest, mut pieces) = (log.as_bytes(), pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
            projector.push(piece, &mut out)?;
            let last = out.rsplit(|byte| *byte == b'\n').next().unwrap();
            assert!(serde_json::from_slice::<Value>(last).is_err(), "{last:?}");
            assert!(projector.name.len() <= projector.longest + 1 && projector.open.len() <= 8);
            rest = after;
        }
        projector.finish(&mut out);
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn members_keep_their_bytes_and_their_order() {
        for (names, record, projected) in [
            ("id", r#"{"id":1}"#, r#"{"id":1}"#),
            ("id", r#" { "a" : 1 , "id" : 1.0e400 } "#, r#"{"id":1.0e400}"#),
            ("b,a", r#"{"a":{"x": [1, 2]},"b":"\ud800","c":3}"#, r#"{"a":{"x": [1, 2]},"b":"\ud800"}"#),
            ("id", r#"{"\u0069d":9223372036854775808,"id":2}"#, r#"{"\u0069d":9223372036854775808,"id":2}"#),
            ("c.e", r#"{"c":{"d":1,"e":{"f":2}}}"#, r#"{"c":{"e":{"f":2}}}"#),
            ("c.e", r#"{"c":[{"e":1,"d":2},3,[{"e":1}],{"d":2}]}"#, r#"{"c":[{"e":1},{}]}"#),
            ("c.e", r#"{"c":7}"#, "{}"),
            ("c.e", r#"{"c":null}"#, "{}"),
            ("c.e,c", r#"{"c":null}"#, r#"{"c":null}"#),
            ("c,c.e", r#"{"c":{"e":1,"f":2}}"#, r#"{"c":{"e":1,"f":2}}"#),
            ("c.e", r#"{"c.e":1,"c":{"e":3,"e.e":4}}"#, r#"{"c.e":1,"c":{"e":3}}"#),
            ("none", r#"{"a":"}","b":"\\\"{"}"#, "{}"),
            ("a", "[1,2]", "{}"),
            ("a", "null", "{}"),
            ("a", r#"{"a":[],"b":{}}"#, r#"{"a":[]}"#),
            ("a", r#"{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":1,"a":2}"#, r#"{"a":2}"#),
        ] {
            for piece in [1, 3, 100] {
                let log = format!("{record}\n{record}\n");
                assert_eq!(
                    project(names, &log, &[piece]),
                    Ok(format!("{projected}\n{projected}\n")),
                    "{names} of {record}"
                );
            }
        }
    }

    #[test]
    fn text_that_is_no_record_is_an_error() {
        for bad in [
            "{",
            "",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":[1}"#,
            r#"{"a":{"b":1}}x"#,
            r#"{a:1}"#,
            r#"{"a":"x"#,
        ] {
            let error = project("a.b", &format!("{{}}\n{bad}\n{{}}\n"), &[2]).unwrap_err();
            assert_eq!(error, no_json(1), "{bad}");
        }
    }

    /// The projection of a decoded record.
    fn model(names: &FieldNames, path: &str, value: &Value) -> Value {
        let Value::Object(members) = value else { return json!({}) };
        let kept = members.iter().filter_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let value = match (names.find(path.as_bytes()), value) {
                (FieldMatch::Named, value) => value.clone(),
                (FieldMatch::Above, Value::Object(_)) => model(names, &path, value),
                (FieldMatch::Above, Value::Array(all)) => {
                    all.iter().filter(|one| one.is_object()).map(|one| model(names, &path, one)).collect()
                }
                (FieldMatch::Above | FieldMatch::Absent, _) => return None,
            };
            Some((name.clone(), value))
        });
        Value::Object(kept.collect::<Map<_, _>>())
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\{}\\[\\],: \n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c.,\"\\\\é]{1,2}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn decoding_and_projecting_commute_however_the_log_is_cut(
            names in prop::collection::vec(prop::collection::vec("[a-cé]{1,2}", 1..4), 1..5),
            records in prop::collection::vec(values(), 0..6),
            pieces in prop::collection::vec(1_usize..30, 1..5),
        ) {
            let names = names.into_iter().map(|path| path.join(".")).collect::<Vec<_>>().join(",");
            let log: String = records.iter().map(|record| format!("{record}\n")).collect();
            let projected = project(&names, &log, &pieces).unwrap();
            let parsed = names.parse().unwrap();
            let expected: Vec<_> = records.iter().map(|record| model(&parsed, "", record)).collect();
            let decoded: Vec<Value> = projected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(decoded, expected);
            prop_assert_eq!(project(&names, &projected, &pieces).unwrap(), projected);
        }

        #[test]
        fn any_bytes_may_come(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ a1u\n".to_vec()), 0..40)) {
            let mut projector = Projector::new("a.a,b".parse().unwrap());
            let mut out = BytesMut::new();
            if projector.push(&bytes, &mut out).is_ok() {
                projector.finish(&mut out);
            }
        }
    }
}
