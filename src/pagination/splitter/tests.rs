//! The splitter compared with serde_json, for all cuts of a page and all instruction sets.

use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::batch::KeyRelation;
use crate::caps::Caps;
use crate::pagination::detect;
use crate::pagination::keys::KeyReader;
use crate::pagination::page::Page;
use crate::pagination::{Encoding, Pagination, Path, Presence, Records, RecordsShape, Source, Style, Whitespace};

fn split(records: &str, text: &str) -> Result<Page, PageError> {
    let mut pagination = Pagination::of(Style::SINGLE, Records::at(records.parse().unwrap()));
    pagination.total = Some(Source::Body("meta.total".parse().unwrap()));
    split_with(&pagination, text)
}

fn split_with(pagination: &Pagination, text: &str) -> Result<Page, PageError> {
    split_by(&Arc::new(PageShape::new(pagination, &Caps::default())), text.as_bytes(), 7)
}

/// The page with all its records, of which those that could were taken before its end.
fn split_by(shape: &Arc<PageShape>, text: &[u8], cut: usize) -> Result<Page, PageError> {
    let mut splitter = Splitter::new(Arc::clone(shape));
    let mut batches = Vec::new();
    for piece in text.chunks(cut) {
        splitter.feed(piece)?;
        batches.push(splitter.take());
    }
    let mut page = splitter.finish()?;
    batches.push(page.batch);
    let records = batches.iter().map(Batch::records).sum();
    let lines: Vec<u8> = batches.iter().flat_map(|batch| batch.lines().to_vec()).collect();
    page.batch = Batch::new(lines.into(), records);
    Ok(page)
}

fn lines(records: &str, text: &str) -> String {
    let page = split(records, text).unwrap();
    String::from_utf8(page.batch.lines().to_vec()).unwrap()
}

#[test]
fn records_keep_their_bytes() {
    let record = r#"{"n":12345678901234567890123,"p":12.50,"a":1,"a":2,"s":"\u00e9\\\"é\u2028 ","e":1E400}"#;
    assert_eq!(lines("data", &format!("{{\"data\":[{record}, 1,\"x\",null]}}")), format!("{record}\n1\n\"x\"\nnull\n"));
    assert_eq!(lines("$", &format!("\u{feff}[{record}]")), format!("{record}\n"));
}

#[test]
fn a_record_is_one_line() {
    assert_eq!(lines("$", "[\r\n {\r\n  \"a\": [1,\n2]\n}\n]\n"), "{    \"a\": [1, 2] }\n");
}

#[test]
fn finds_records_where_they_are_wrapped() {
    let text = r#"{"data":{"edges":[{"node":{"id":1}},{"node":{"id":2}}]},"lists":[{"d":[1,2]},{"d":[]},{"d":[3]}]}"#;
    assert_eq!(lines("data.edges[*].node", text), "{\"id\":1}\n{\"id\":2}\n");
    assert_eq!(lines("lists[*].d", text), "1\n2\n3\n");
    assert_eq!(lines("lists[-1].d", text), "3\n");
    assert_eq!(lines("lists[0].d[*]", text), "1\n2\n");
    assert_eq!(lines("lists[*].d[*]", text), "1\n2\n3\n");
}

#[test]
fn columns_are_zipped_into_records() {
    let mut pagination = Pagination::of(Style::SINGLE, Records::at(Path::root()));
    pagination.records.paths = ["d.id", "d.\u{fc}", "x"].map(|path| path.parse().unwrap()).to_vec();
    pagination.records.shape = RecordsShape::Columns;
    pagination.total = Some(Source::Body("n".parse().unwrap()));
    let page =
        split_with(&pagination, "{\"x\": [1.50,\n{\"a\":[]}],\"n\":2,\"d\":{\"\u{fc}\":[\"1,\", null],\"id\":[7,8]}}")
            .unwrap();
    assert_eq!(
        page.batch.lines(),
        "{\"id\":7,\"\u{fc}\":\"1,\",\"x\":1.50}\n{\"id\":8,\"\u{fc}\":null,\"x\":{\"a\":[]}}\n".as_bytes()
    );
    assert_eq!(page.fields.get(&"n".parse().unwrap()), Some(&Value::from(2)));
    for (text, what) in [
        (
            "{\"x\":[1],\"d\":{\"\u{fc}\":[1,2],\"id\":[1]}}",
            "different lengths: 1 values at `d.id`, 2 values at `d.\u{fc}`, 1 values",
        ),
        ("{\"x\":[],\"d\":{\"id\":[]}}", "no record array at `d.\u{fc}`"),
        ("{\"x\":[1],\"d\":{\"\u{fc}\":null,\"id\":[1]}}", "no record array at `d.\u{fc}`"),
        ("{}", "no record array at"),
        ("{\"x\":[1],\"d\":{\"\u{fc}\":[1],\"id\":[1]}", "isn't JSON"),
    ] {
        let told = split_with(&pagination, text).unwrap_err().to_string();
        assert!(told.contains(what), "{text}: {told}");
    }
    let empty = split_with(&pagination, "{\"x\":[],\"d\":{\"\u{fc}\":[],\"id\":[]}}").unwrap();
    assert!(empty.batch.is_empty());
}

#[test]
fn finds_records_in_wrappers_of_wrappers() {
    let text = r#"{"a":[{"n":1,"b":[{"c":1},{"c":{"x":[2]},"d":0}]},{"b":[]},{"b":[{"c":3}]}],"meta":{"total":3}}"#;
    assert_eq!(lines("a[*].b[*].c", text), "1\n{\"x\":[2]}\n3\n");
    assert_eq!(lines("[*].b[*].c[*]", r#"[{"b":[{"c":[1,2]},{"c":[]}]}]"#), "1\n2\n");
    assert_eq!(lines("$[*][*].c", r#"[[{"c":1}],[],[{"c":2},{"c":3}]]"#), "1\n2\n3\n");
    assert_eq!(lines("$[*][*]", "[[1],[],[2,3]]"), "1\n2\n3\n");
    for lacking in
        [r#"{"a":[{"b":[{"d":1}]}]}"#, r#"{"a":[{"c":1}]}"#, r#"{"a":[{"b":{"c":1}}]}"#, r#"{"a":[{"b":null}]}"#]
    {
        assert!(matches!(split("a[*].b[*].c", lacking), Err(PageError::NoInner { .. })), "{lacking}");
    }
    let twice = split("a[*].b[*].c", r#"{"a":[{"b":[{"c":1}],"b":[{"c":2}]}]}"#);
    assert!(matches!(twice, Err(PageError::Duplicate(_))), "{twice:?}");
    let mut optional = Pagination::of(Style::SINGLE, Records::at("a[*].b[*].c".parse().unwrap()));
    optional.records.presence = Presence::Optional;
    let page = split_with(&optional, r#"{"a":[{"b":null},{"b":[{"c":null},{"c":1}]}]}"#).unwrap();
    assert_eq!(page.batch.lines(), "1\n");
}

#[test]
fn finds_the_values_of_an_object() {
    let mut pagination = Pagination::of(Style::SINGLE, Records::at("list".parse().unwrap()));
    pagination.records.shape = RecordsShape::Values;
    let page = split_with(&pagination, r#"{"list":{"7":{"a":1},"5":{"a":2}}}"#).unwrap();
    assert_eq!(page.batch.lines(), "{\"a\":1}\n{\"a\":2}\n");
}

#[test]
fn the_first_place_that_exists_holds_the_records() {
    let mut pagination = Pagination::of(Style::SINGLE, Records::at(Path::root()));
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
    assert!(matches!(split("data", text), Err(PageError::Unreadable { .. })));
    assert_eq!(lines("data", &text.replace("total", "note")), "{\"id\":1,\"name\":\"\\ud83d\"}\n");
}

#[test]
fn null_records_beside_an_error_are_no_empty_page() {
    for text in [r#"{"data":null,"errors":[{"message":"no"}]}"#, r#"{"error":"no","data":null}"#] {
        assert!(matches!(split("data", text), Err(PageError::ErrorInPage { .. })), "{text}");
        assert!(matches!(split("data.orders.nodes", text), Err(PageError::ErrorInPage { .. })), "{text}");
    }
    assert!(matches!(split("data.orders", r#"{"data":null,"errors":[]}"#), Err(PageError::NoRecords { .. })));
    for text in [r#"{"data":null}"#, r#"{"data":null,"errors":[ ],"error":null}"#, r#"{"data":null,"error":""}"#] {
        assert_eq!(lines("data", text), "", "{text}");
    }
}

#[test]
fn null_inside_an_element_is_no_record() {
    let mut pagination = Pagination::of(Style::SINGLE, Records::at("edges[*].node".parse().unwrap()));
    let text = r#"{"edges":[{"node":{"id":1}},{"node":null}]}"#;
    assert!(matches!(split_with(&pagination, text), Err(PageError::NoInner { index: 1, .. })));
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
    let mut pagination = Pagination::of(Style::SINGLE, Records::at("data".parse().unwrap()));
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
        "{\"meta\":{\"total\":1},\"meta\":{\"total\":2}}",
        &deep,
    ] {
        assert!(split("$", text).is_err(), "{text}");
    }
    let mut splitter = Splitter::new(Arc::new(PageShape::new(
        &Pagination::of(Style::SINGLE, Records::at(Path::root())),
        &Caps::default(),
    )));
    assert!(matches!(splitter.feed(b"[\"\xff\"]"), Err(PageError::NotUtf8(2))));
}

#[test]
fn sizes_are_capped() {
    let caps = Caps { page_bytes: 20, record_bytes: 5, ..Caps::default() };
    let pagination = Pagination::of(Style::SINGLE, Records::at(Path::root()));
    let shape = Arc::new(PageShape::new(&pagination, &caps));
    let mut splitter = Splitter::new(Arc::clone(&shape));
    splitter.feed(b"[1,12345").unwrap();
    assert!(matches!(splitter.feed(b"6"), Err(PageError::RecordTooLarge { index: 1, limit: 5 })));
    let mut splitter = Splitter::new(shape);
    splitter.feed(&[b' '; 20]).unwrap();
    assert!(matches!(splitter.feed(b" "), Err(PageError::PageTooLarge(20))));
}

#[test]
fn the_memory_of_a_large_record_is_the_capacity_of_its_buffer() {
    let pagination = Pagination::of(Style::SINGLE, Records::at(Path::root()));
    let mut splitter = Splitter::new(Arc::new(PageShape::new(&pagination, &Caps::default())));
    splitter.feed(b"[\"").unwrap();
    for pieces in 1..=32 {
        splitter.feed(&[b'a'; 64 * 1024]).unwrap();
        let (len, capacity) = (splitter.output.lines.bytes.len(), splitter.output.lines.bytes.capacity());
        assert_eq!(len, 1 + pieces * 64 * 1024);
        assert_eq!(splitter.held_bytes(), if pieces == 1 { len } else { capacity });
    }
}

fn base64(records: &str, text: &str, escape: fn(String) -> String) -> String {
    use base64::Engine;
    let inside = base64::engine::general_purpose::STANDARD.encode(text);
    format!("{{\"parameters\":[],\"{records}\":\"{}\",\"next\":\"n\"}}", escape(inside))
}

#[test]
fn finds_records_in_base64_with_every_cut_and_spelling() {
    let inside = r#"[{"ID":1,"s":"é😀>>>???"},{"ID":2},3]"#;
    let expected = "{\"ID\":1,\"s\":\"é😀>>>???\"}\n{\"ID\":2}\n3\n";
    let escapes: [fn(String) -> String; 4] = [
        |text| text,
        |text| text.replace('/', "\\/").replace('+', "\\u002B"),
        |text| text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
        |text| {
            text.trim_end_matches('=')
                .as_bytes()
                .chunks(10)
                .map(|line| format!("{}\\r\\n", String::from_utf8_lossy(line)))
                .collect()
        },
    ];
    let records = Records { encoding: Encoding::Base64, ..Records::at("data".parse().unwrap()) };
    for escape in escapes {
        let text = base64("data", inside, escape);
        for shape in shapes(&records, &["next"]) {
            for cut in 1..text.len() {
                let page = split_by(&shape, text.as_bytes(), cut).unwrap();
                assert_eq!(std::str::from_utf8(page.batch.lines()).unwrap(), expected);
                assert_eq!(page.fields.get(&"next".parse().unwrap()), Some(&Value::from("n")));
            }
        }
    }
}

#[test]
fn base64_that_holds_no_records_is_an_error() {
    let records = Records { encoding: Encoding::Base64, ..Records::at("data".parse().unwrap()) };
    let pagination = of(records);
    let told = |text: &str| split_with(&pagination, text).unwrap_err().to_string();
    let encoded = |text: &str| told(&base64("data", text, |text| text));
    assert!(told(r#"{"data":"W3si*SUQ"}"#).starts_with("the records' text isn't base64 at byte "));
    assert!(told(r#"{"data":"W10=W10="}"#).starts_with("the records' text isn't base64 at byte "));
    assert!(encoded("{}").starts_with("no record array at the root of the decoded text"));
    assert!(encoded("[1,2").contains("(in the decoded text)"));
    assert!(encoded("[1]]").contains("(in the decoded text)"));
    assert!(encoded("").contains("expected a value (in the decoded text)"));
    for character in ["\\b", "\\f", "\\u0000", "-", "é", "\\\"", "\\\\"] {
        let text = format!("{{\"data\":\"W10{character}=\"}}");
        assert!(told(&text).starts_with("the records' text isn't base64 at byte 1"), "{text}: {}", told(&text));
    }
    assert!(told(r#"{"data":[1]}"#).starts_with("no record array at `data`"));
    assert_eq!(split_with(&pagination, r#"{"data":null}"#).unwrap().batch.records(), 0);
}

#[test]
fn records_leave_while_the_page_arrives() {
    let text = br#"{"next":"n","data":[{"id":1},{"id":2},{"id":3}],"more":true}"#;
    for shape in shapes(&Records::at("data".parse().unwrap()), &["next", "more"]) {
        let mut splitter = Splitter::new(Arc::clone(&shape));
        let mut seen = Vec::new();
        for byte in text.chunks(1) {
            splitter.feed(byte).unwrap();
            seen.push((splitter.fields().len(), splitter.take().records()));
        }
        let at = |wanted: &[u8]| text.windows(wanted.len()).position(|window| window == wanted).unwrap();
        assert_eq!(seen.iter().position(|(fields, _)| *fields == 1), Some(at(b",\"data")).map(|comma| comma - 1));
        assert_eq!(seen.iter().position(|(fields, _)| *fields == 2), Some(text.len() - 1));
        let left: Vec<_> = (0..seen.len()).filter(|place| seen[*place].1 > 0).collect();
        // At the closing bracket, without waiting for the separator.
        assert_eq!(left, [b",{\"id\":2", b",{\"id\":3", b"],\"more\""].map(|after| at(after) - 1));
        splitter.finish().unwrap();
    }
}

#[test]
fn a_path_of_higher_rank_that_is_read_later_has_the_records() {
    let mut records = Records::at("items".parse().unwrap());
    records.paths.push("results".parse().unwrap());
    let pagination = of(records);
    let lines = |text: &str| {
        let page = split_with(&pagination, text).unwrap();
        String::from_utf8(page.batch.lines().to_vec()).unwrap()
    };
    assert_eq!(lines(r#"{"results":[1,2],"items":[3]}"#), "3\n");
    assert_eq!(lines(r#"{"items":[3],"results":[1,2]}"#), "3\n");
    assert_eq!(lines(r#"{"results":[1,2],"items":null}"#), "1\n2\n");
    assert_eq!(lines(r#"{"results":[1,2]}"#), "1\n2\n");
}

#[test]
fn values_in_and_around_the_records_are_found_when_the_page_is_whole() {
    let mut pagination = of(Records::at("Contents".parse().unwrap()));
    pagination.total = Some(Source::Body("Contents[-1].Key".parse().unwrap()));
    pagination.more = Some(crate::pagination::More { path: Path::root(), while_: Value::from(1) });
    let page = split_with(&pagination, r#"{"Contents":[{"Key":1},{"Key":2}]}"#).unwrap();
    assert_eq!(page.batch.lines(), "{\"Key\":1}\n{\"Key\":2}\n");
    assert_eq!(page.fields.get(&"Contents[-1].Key".parse().unwrap()), Some(&Value::from(2)));
    assert!(page.fields.get(&Path::root()).unwrap().is_object());
}

#[test]
fn unused_values_are_checked_as_well() {
    for (text, place) in [
        (r#"{"x":[1,,2],"data":[]}"#, 8),
        (r#"{"x":[1,],"data":[]}"#, 8),
        (r#"{"x":[{"a":1]},"data":[]}"#, 12),
        (r#"{"x":1 2,"data":[]}"#, 7),
        (r#"{"data":[{"a":1} {"b":2}]}"#, 17),
        (r#"{"data":[[1]2,3]}"#, 12),
        (r#"{"data":[2[1]]}"#, 10),
        (r#"{"data":["a":[1] "x"]}"#, 12),
        (r#"{"data":[],"x":tru}"#, 18),
        (r#"{"data":[],,}"#, 11),
        ("{\"data\":[\"a\tb\"]}", 11),
        (r#"{"data":[1,\"2"]}"#, 11),
        (r#"{"data":[1"#, 10),
    ] {
        for cut in 1..text.len() {
            for shape in shapes(&Records::at("data".parse().unwrap()), &[]) {
                match split_by(&shape, text.as_bytes(), cut) {
                    Err(PageError::NotJson { at, .. }) => assert!((place..=place + 1).contains(&at), "{text}: {at}"),
                    other => panic!("{text}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn unused_values_are_skipped() {
    let deep = r#"{"a":{"b":{"c":{"d":{"e":[1,{"f":[2]}],"g":"h"}}}}}"#;
    let text = format!("{{\"x\":{deep},\"edges\":[{{\"y\":{deep},\"node\":{{\"id\":1}},\"z\":[{deep}]}}]}}");
    for shape in shapes(&Records::at("edges[*].node".parse().unwrap()), &[]) {
        for cut in 1..text.len() {
            assert_eq!(split_by(&shape, text.as_bytes(), cut).unwrap().batch.lines(), "{\"id\":1}\n");
        }
    }
}

#[test]
fn a_page_is_at_most_as_deep_as_is_said() {
    let deep = |depth: usize| format!("{{\"data\":[{}{}]}}", "[".repeat(depth - 2), "]".repeat(depth - 2));
    for shape in shapes(&Records::at("data".parse().unwrap()), &[]) {
        assert_eq!(split_by(&shape, deep(MAX_DEPTH).as_bytes(), 9).unwrap().batch.records(), 1);
        assert!(matches!(split_by(&shape, deep(MAX_DEPTH + 1).as_bytes(), 9), Err(PageError::TooDeep(MAX_DEPTH))));
    }
}

#[test]
fn half_a_byte_order_mark_is_no_mark() {
    for shape in shapes(&Records::at(Path::root()), &[]) {
        for cut in 1..6 {
            assert_eq!(split_by(&shape, b"\xef\xbb\xbf[1]", cut).unwrap().batch.lines(), "1\n");
            for text in
                [&b"\xef\xbb[1]"[..], b"\xef[1]", b"\xef\xbb\xbe[1]", b"\xef\xbb", b"\xef\xbb\xbf\xef\xbb\xbf[1]"]
            {
                assert!(split_by(&shape, text, cut).is_err(), "{text:?}");
            }
        }
    }
}

fn of(records: Records) -> Pagination {
    Pagination::of(Style::SINGLE, records)
}

/// A JSON text with white space anywhere, of any depth, and with text that is hard to split.
fn json() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(vec!["", "", "", " ", "\n", "\r\n  ", "\t"]);
    let text = || {
        prop::sample::select(vec![
            "",
            "a",
            "\\\"",
            "\\\\",
            "{",
            "}],[",
            ",",
            "\\u00e9",
            "é😀",
            "\\ud83d",
            "\\n",
            "a rather long text, longer than a block: 0123456789012345678901234567890123456789",
        ])
    };
    let string = move || prop::collection::vec(text(), 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let scalar = prop_oneof![
        prop::sample::select(vec![
            "0",
            "-1",
            "12.50",
            "1E400",
            "12345678901234567890123",
            "true",
            "false",
            "null",
            "-0.0e-7"
        ])
        .prop_map(str::to_owned),
        string(),
    ];
    let leaf = (space(), scalar, space()).prop_map(|(before, scalar, after)| format!("{before}{scalar}{after}"));
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let pad = |text: String, (before, inside, after): (&str, &str, &str)| match text.as_str() {
            "[]" | "{}" => format!("{before}{}{inside}{}{after}", &text[..1], &text[1..]),
            _ => format!("{before}{text}{after}"),
        };
        let spaces = || (space(), space(), space());
        let array = prop::collection::vec(inner.clone(), 0..6).prop_map(|elements| format!("[{}]", elements.join(",")));
        let member =
            (string(), space(), inner).prop_map(|(name, space, value)| format!("{space}{name}{space}:{value}"));
        let object = prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")));
        prop_oneof![(array, spaces()), (object, spaces())].prop_map(move |(text, spaces)| pad(text, spaces))
    })
}

/// A record whose members may have one name, and the name of a key in several places and spellings.
fn record() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["id", "id", "id", "a", "idx", "i", "\\u0069d", "i\\\"d", "\\\\"]);
    let space = prop::sample::select(vec!["", "", "", " ", "\n  "]);
    let key = prop_oneof![(0..1_000_u32).prop_map(|id| id.to_string()), Just("\"ord_01\"".to_owned()), json()];
    let inner = (name.clone(), key.clone()).prop_map(|(name, key)| format!("{{\"{name}\":{key}}}"));
    let member = (space.clone(), name, space.clone(), prop_oneof![key, inner], space)
        .prop_map(|(before, name, inside, value, after)| format!("{before}\"{name}\"{inside}:{inside}{value}{after}"));
    let object = prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")));
    prop_oneof![8 => object, 1 => json()]
}

/// Members of an object in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllMembers;
        impl<'de> Visitor<'de> for AllMembers {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(AllMembers)
    }
}

/// Checks the keys of a batch: each is the text of the first member with its name, and counts up from the one before if it says so.
fn check_keys(batch: &Batch, path: &str) {
    let keys = batch.keys().unwrap_or_default();
    assert_eq!(keys.len() as u64, batch.records());
    let mut before = None;
    for (line, key) in batch.each().zip(keys) {
        let text = batch.key(*key).map(|text| std::str::from_utf8(text).unwrap());
        assert_eq!(text, first_member(line, path).filter(|text| *text != "null"), "{:?}", batch.lines());
        if key.relation == KeyRelation::Next && !std::ptr::eq(key, &raw const keys[0]) {
            assert_eq!(text.map(number_at_end), before.map(number_at_end).map(|(text, number)| (text, number + 1)));
            assert_eq!(text.map(str::len), before.map(str::len));
        }
        before = text;
    }
}

/// The text before the number at the end of a key, and the number.
fn number_at_end(key: &str) -> (&str, u64) {
    let text = key.trim_end_matches('"');
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    (&text[..text.len() - digits], text[text.len() - digits..].parse().unwrap_or_default())
}

fn first_member<'a>(line: &'a [u8], path: &str) -> Option<&'a str> {
    let mut value: &RawValue = serde_json::from_slice(line).unwrap();
    for name in path.split('.') {
        let Members(members) = serde_json::from_str(value.get()).ok()?;
        value = members.iter().find(|(member, _)| member == name)?.1;
    }
    Some(value.get())
}

/// A shape for each way to read the same page.
fn shapes(records: &Records, fields: &[&str]) -> Vec<Arc<PageShape>> {
    let fields: Vec<Path> = fields.iter().map(|field| field.parse().unwrap()).collect();
    let mut shapes = Vec::new();
    for isa in Isa::available() {
        for validation in [Validation::Structure, Validation::Full] {
            let records = Records { validation, ..records.clone() };
            shapes.push(Arc::new(PageShape::with_fields(fields.clone(), &records, &Caps::default(), isa)));
        }
    }
    assert!(shapes.len() > 1);
    shapes
}

fn as_line(element: &RawValue) -> String {
    element.get().replace(['\t', '\n', '\r'], " ") + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn splits_as_serde_json_does(
        elements in prop::collection::vec(json(), 0..12), before in json(), next in json(), after in json(), cut in 1..130_usize,
    ) {
        let text = format!("{{\"x\":{before},\"next\" : {next},\n\"d\\u0061ta\":[{}],\"y\":{{\"z\":{after}}}}}", elements.join(","));
        let raw: Vec<&RawValue> = elements.iter().map(|element| serde_json::from_str(element).unwrap()).collect();
        let expected: String = raw.iter().map(|element| as_line(element)).collect();
        let readable = |text: &str| serde_json::from_str::<Value>(text);
        for shape in shapes(&Records::at("data".parse().unwrap()), &["next", "y.z"]) {
            let page = split_by(&shape, text.as_bytes(), cut);
            let (Ok(next), Ok(after)) = (readable(&next), readable(&after)) else {
                prop_assert!(matches!(page, Err(PageError::Unreadable { .. })), "{:?}", page);
                continue;
            };
            let page = page.unwrap();
            prop_assert_eq!(std::str::from_utf8(page.batch.lines()).unwrap(), &expected);
            prop_assert_eq!(page.batch.records(), raw.len() as u64);
            prop_assert_eq!(page.fields.get(&"next".parse().unwrap()), Some(&next));
            prop_assert_eq!(page.fields.get(&"y.z".parse().unwrap()), Some(&after));
        }
    }

    #[test]
    fn drops_space_as_serde_json_does(elements in prop::collection::vec(json(), 0..6), cut in 1..70_usize) {
        let text = format!("[{}]", elements.join(","));
        let records = Records { whitespace: Whitespace::Dropped, ..Records::at(Path::root()) };
        let page = split_by(&shapes(&records, &[])[0], text.as_bytes(), cut).unwrap();
        prop_assert_eq!(page.batch.records(), elements.len() as u64);
        for (line, element) in page.batch.each().zip(&elements) {
            let line = std::str::from_utf8(line).unwrap();
            prop_assert!(!line.trim_end_matches('\n').contains('\n'));
            let outside: String = line.split('"').step_by(2).collect();
            prop_assert!(element.contains('\\') || !outside.trim_end().contains([' ', '\t']), "{}", line);
            prop_assert_eq!(serde_json::from_str::<Value>(line).ok(), serde_json::from_str::<Value>(element).ok());
        }
    }

    #[test]
    fn keys_are_those_that_a_parser_finds_in_the_lines(
        records in prop::collection::vec(record(), 0..12), cut in 1..130_usize, path in prop::sample::select(vec!["id", "a.id"]),
        whitespace in prop::sample::select(vec![Whitespace::Kept, Whitespace::Dropped]),
    ) {
        let text = format!("[{}]", records.join(","));
        let reader = Arc::new(KeyReader::new(&path.parse().unwrap()));
        for shape in shapes(&Records { whitespace, ..Records::at(Path::root()) }, &[]) {
            let shape = Arc::new(PageShape { key: Some(Arc::clone(&reader)), ..(*shape).clone() });
            let mut splitter = Splitter::new(shape);
            for piece in text.as_bytes().chunks(cut) {
                splitter.feed(piece).unwrap();
                check_keys(&splitter.take(), path);
            }
            check_keys(&splitter.finish().unwrap().batch, path);
        }
    }

    #[test]
    fn keys_that_count_up_are_found_as_all_others(
        runs in prop::collection::vec((0..120_u32, 1..40_u32, any::<bool>(), any::<bool>()), 1..6), cut in 1..700_usize,
        gap in prop::sample::select(vec!["", " "]),
    ) {
        let record = |(first, count, is_text, is_padded)| {
            let key = move |id: u32| match (is_text, is_padded) {
                (true, true) => format!("\"ord_{id:04}\""),
                (true, false) => format!("\"{id}\""),
                (false, _) => id.to_string(),
            };
            (first..first + count).map(move |id| format!("{{\"id\":{}{gap},\"text\":\"more than 32 bytes of it\"}}", key(id)))
        };
        let records: Vec<_> = runs.into_iter().flat_map(record).collect();
        let text = format!("[{}]", records.join(","));
        let reader = Arc::new(KeyReader::new(&"id".parse().unwrap()));
        let mut counted = 0;
        for shape in shapes(&Records::at(Path::root()), &[]) {
            let mut splitter = Splitter::new(Arc::new(PageShape { key: Some(Arc::clone(&reader)), ..(*shape).clone() }));
            for piece in text.as_bytes().chunks(cut) {
                splitter.feed(piece).unwrap();
                let batch = splitter.take();
                counted += batch.keys().unwrap_or_default().iter().filter(|key| key.relation == KeyRelation::Next).count();
                check_keys(&batch, "id");
            }
            check_keys(&splitter.finish().unwrap().batch, "id");
        }
        prop_assert!(records.len() < 60 || counted > 0, "none of {} keys counts up", records.len());
    }

    #[test]
    fn the_whole_grammar_is_judged_as_serde_json_judges_it(
        elements in prop::collection::vec(json(), 1..5),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
            b"[]{},:\"\\ \n\ttrue0-.eEu\x80\xc3\x00\x1f".to_vec()), any::<bool>()), 1..4),
        cut in 1..130_usize,
    ) {
        let mut text = format!("[{}]", elements.join(",")).into_bytes();
        for (at, byte, replace) in edits {
            let at = at.index(text.len());
            if replace { text[at] = byte } else { text.insert(at, byte) }
        }
        let is_json = std::str::from_utf8(&text).is_ok_and(|text| serde_json::from_str::<Vec<&RawValue>>(text).is_ok());
        for shape in shapes(&Records::at(Path::root()), &[]) {
            let page = split_by(&shape, &text, cut);
            if shape.tree.records.validation == Validation::Full {
                prop_assert_eq!(page.is_ok(), is_json, "{} {:?}", String::from_utf8_lossy(&text), page);
            } else {
                prop_assert!(page.is_ok() || !is_json, "{} {:?}", String::from_utf8_lossy(&text), page);
            }
        }
    }
}

/// The result for a page never depends on its cuts.
#[test]
fn no_verdict_depends_on_a_cut() {
    let alphabet = b"{}[],:\" 1a";
    let caps = Caps::default();
    for validation in [Validation::Structure, Validation::Full] {
        let records = Records { validation, ..Records::at(Path::root()) };
        let shape = Arc::new(PageShape::with_fields(Vec::new(), &records, &caps, Isa::best()));
        let mut taken = 0;
        for number in 0..alphabet.len().pow(5) {
            let inside: Vec<u8> =
                (0..5).map(|place| alphabet[number / alphabet.len().pow(place) % alphabet.len()]).collect();
            let text = [b"[", inside.trim_ascii_end(), b"]"].concat();
            let whole = split_by(&shape, &text, text.len()).map(|page| page.batch);
            let bytes = split_by(&shape, &text, 1).map(|page| page.batch);
            assert_eq!(whole.as_ref().ok(), bytes.as_ref().ok(), "{}", String::from_utf8_lossy(&text));
            // The same between two blocks of the scan.
            let padded = [b"[", &[b' '; 60][..], &text[1..]].concat();
            let moved = split_by(&shape, &padded, padded.len()).map(|page| page.batch);
            assert_eq!(whole.as_ref().ok(), moved.as_ref().ok(), "{}", String::from_utf8_lossy(&text));
            let is_json = serde_json::from_slice::<Vec<&RawValue>>(&text).is_ok();
            let is_right =
                if validation == Validation::Full { whole.is_ok() == is_json } else { whole.is_ok() || !is_json };
            assert!(is_right, "{} {whole:?}", String::from_utf8_lossy(&text));
            taken += usize::from(whole.is_ok());
        }
        assert!(taken > 0);
    }
}

#[test]
fn a_record_is_as_large_as_its_bytes_at_every_place_and_cut() {
    let caps = Caps { record_bytes: 10, ..Caps::default() };
    let values = Records { shape: RecordsShape::Values, ..Records::at("list".parse().unwrap()) };
    let (list, inner) = (Records::at("list".parse().unwrap()), Records::at("list[*].n".parse().unwrap()));
    for (records, before, after) in [(&list, "[", "]"), (&values, "{\"a\":", "}"), (&inner, "[{\"n\":", "}]")] {
        let shape = Arc::new(PageShape::with_fields(Vec::new(), records, &caps, Isa::best()));
        for (record, is_small) in [
            ("1234567890", true),
            ("12345678901", false),
            ("\"12345678\"", true),
            ("\"123456789\"", false),
            ("{\"a\":1234}", true),
            ("{\"a\":12345}", false),
            ("{\"a\" : 12}", true),
        ] {
            let text = format!("{{\"list\":{before}  {record}{}{after}}}", " ".repeat(30));
            for cut in 1..=text.len() {
                let page = split_by(&shape, text.as_bytes(), cut);
                assert_eq!(page.is_ok(), is_small, "{text} by {cut}: {page:?}");
            }
        }
    }
}

#[test]
fn the_sketch_of_a_page_has_the_pointers_of_the_page() {
    let record = r#"{"id":1,"links":[{"rel":"self","href":"/1"}]}"#;
    let long = "x".repeat(300_000);
    let numbers = "[1,2],".repeat(20_000);
    for around in [
        r#""links":[{"rel":"next","href":"/?after=2"}]"#.to_owned(),
        r#""links":{"next":"/?after=2"}"#.to_owned(),
        r#""a":{"b":{"c":{"d":{"e":1}}}},"next":"/?after=2""#.to_owned(),
        format!(r#""included":{{"a":"{long}","b":["{long}"]}},"links":{{"next":"/?after=2"}}"#),
        format!(r#""included":[{numbers}0],"paging":{{"next":"/?after=2"}}"#),
        r#""total":2"#.to_owned(),
    ] {
        for text in [format!("{{\"data\":[{record},{record}],{around}}}"), format!("{{{around},\"data\":[{record}]}}")]
        {
            let pointer = |json: &[u8]| {
                detect::live_pointer(&"http://a/".parse().unwrap(), &http::HeaderMap::new(), &detect::outline(json))
            };
            for cut in [7, text.len()] {
                let page =
                    split_by(&shapes(&Records::at("data".parse().unwrap()), &[])[0], text.as_bytes(), cut).unwrap();
                assert!(serde_json::from_slice::<Value>(&page.sketch).is_ok());
                assert_eq!(pointer(&page.sketch), pointer(text.as_bytes()), "{}", &text[..text.len().min(200)]);
            }
        }
    }
}

#[test]
fn a_value_that_is_no_token_is_refused_for_its_size() {
    let long = format!("\"{}\"", "x".repeat(300_000));
    let shape = &shapes(&Records::at("data".parse().unwrap()), &["next"])[0];
    let page = split_by(shape, format!("{{\"next\":{long},\"data\":[1]}}").as_bytes(), 999);
    assert!(matches!(page, Err(PageError::FieldTooLarge { .. })));
    let page = split_by(shape, format!("{{\"errors\":[{long}],\"data\":[1]}}").as_bytes(), 999);
    assert_eq!(page.unwrap().batch.records(), 1);
    let page = split_by(shape, format!("{{\"errors\":[{long}],\"data\":[]}}").as_bytes(), 999);
    assert!(matches!(page, Err(PageError::ErrorInPage { .. })));
}

#[test]
fn printable_bytes_that_json_lacks_are_foreign() {
    let known = |byte: u8| br#" "+,-.:0123456789E[]\{}aeflnrstu"#.contains(&byte);
    for byte in 0x20..=0xff {
        assert_eq!(masks::is_foreign(byte), !known(byte), "{byte:#x}");
    }
}

#[test]
fn text_that_is_no_json_never_becomes_a_line() {
    let words = [
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "inf",
        "undefined",
        "None",
        "True",
        "1ex",
        "0x1f",
        "\u{e9}",
        "id",
        "_",
        "@",
        "'a'",
        "1/2",
        "/**/1",
        "(1)",
        "1;",
        "#1",
        "1_000",
        "\u{7f}",
    ];
    for word in words {
        for record in
            [format!("{{\"id\":1,\"ce\":{word}}}"), format!("[{word}]"), format!("{{\"a\":[1,{word},2],\"b\":null}}")]
        {
            // At every place of a block of 64 bytes, and cut at every byte.
            for indent in (0..70).step_by(7) {
                let page = format!("{{\"data\":[{}{record},{{\"id\":2}}]}}", " ".repeat(indent));
                for isa in Isa::available() {
                    for size in [1, 2, 3, 5, 7, 64, 4096] {
                        let shape =
                            PageShape::new(&of(Records::at("data".parse().unwrap())), &Caps::default()).with_isa(isa);
                        let mut splitter = Splitter::new(Arc::new(shape));
                        let fed = page.as_bytes().chunks(size).try_for_each(|piece| splitter.feed(piece));
                        assert!(matches!(fed, Err(PageError::NotJson { .. })), "{page} by {size}, {isa}: {fed:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn literals_and_exponents_are_json_however_they_are_cut() {
    let record = "{\"a\":[true,false,null,1e5,1E+5,-2.5e-3,\"NaN e\"],\"e\":null, \"t\" : true ,\"f\":false}";
    for indent in 0..70 {
        let page = format!("{{\"data\":[{}{record}]}}", " ".repeat(indent));
        for isa in Isa::available() {
            for size in [1, 2, 3, 5, 7, 64, 4096] {
                let shape = PageShape::new(&of(Records::at("data".parse().unwrap())), &Caps::default()).with_isa(isa);
                let mut splitter = Splitter::new(Arc::new(shape));
                page.as_bytes().chunks(size).for_each(|piece| splitter.feed(piece).unwrap());
                let lines = splitter.finish().unwrap().batch.lines().to_vec();
                assert!(lines == format!("{record}\n").as_bytes(), "{indent}, {size}, {isa}");
            }
        }
    }
}

/// Lines of a page of records in this shape, by every cut; an error as its text.
fn shaped(shape: RecordsShape, paths: &[&str], text: &str) -> Result<String, String> {
    let paths = paths.iter().map(|path| path.parse().unwrap()).collect();
    let pagination = of(Records { shape, paths, ..Records::at(Path::root()) });
    let shape = Arc::new(PageShape::new(&pagination, &Caps::default()));
    let read = |cut| match split_by(&shape, text.as_bytes(), cut) {
        Ok(page) => Ok(String::from_utf8(page.batch.lines().to_vec()).unwrap()),
        Err(error) => Err(error.to_string()),
    };
    let whole = read(text.len());
    for cut in 1..text.len() {
        assert_eq!(read(cut).map_err(drop), whole.clone().map_err(drop), "{text} by {cut}");
    }
    whole
}

#[test]
fn one_record_may_stand_in_place_of_an_array() {
    let read = |text: &str| shaped(RecordsShape::OneOrMore, &["d.results"], text);
    assert_eq!(read(r#"{"d":{"results":[{"a":1},{"a":2}],"n":1}}"#).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(read(r#"{"d":{"results":{"a": {"b":[1]}},"n":1}}"#).unwrap(), "{\"a\": {\"b\":[1]}}\n");
    assert_eq!(read(r#"{"d":{"results":[]}}"#).unwrap(), "");
    assert!(read(r#"{"d":{"results":"none"}}"#).unwrap_err().contains("no record array"));
    assert_eq!(shaped(RecordsShape::OneOrMore, &["$"], r#"{"a":1}"#).unwrap(), "{\"a\":1}\n");
    // An element that wraps a record is none itself.
    assert!(shaped(RecordsShape::OneOrMore, &["e[*].n"], r#"{"e":{"n":{"a":1}}}"#).is_err());
}

#[test]
fn a_list_may_be_an_object_with_numbers_for_names() {
    let read = |text: &str| shaped(RecordsShape::List, &["list"], text);
    assert_eq!(read(r#"{"list":[1,2]}"#).unwrap(), "1\n2\n");
    assert_eq!(read(r#"{"list":{"10":{"a":1},"12":{"a":2}}}"#).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
    for text in [r#"{"list":{"10":{"a":1},"error":{"a":2}}}"#, r#"{"list":{"":1}}"#, r#"{"list":{"-1":1}}"#] {
        assert!(read(text).unwrap_err().contains("of which a name is no number"), "{text}");
    }
}

#[test]
fn all_arrays_of_a_page_have_records_and_none_may_be_missing() {
    let read = |text: &str| shaped(RecordsShape::All, &["added", "m.changed"], text);
    assert_eq!(read(r#"{"added":[1,2],"n":[9],"m":{"changed":[3]}}"#).unwrap(), "1\n2\n3\n");
    assert_eq!(read(r#"{"m":{"changed":[3]},"added":[]}"#).unwrap(), "3\n");
    assert_eq!(read(r#"{"m":{"changed":null},"added":[1]}"#).unwrap(), "1\n");
    assert!(read(r#"{"added":[1]}"#).is_err() && read(r#"{"added":[1],"m":{"changed":{}}}"#).is_err());
}

#[test]
fn lines_prefixes_and_calls_are_pages() {
    let lines = |text: &str| {
        let pagination = of(Records { encoding: Encoding::Lines, ..Records::at(Path::root()) });
        let page = split_with(&pagination, text).map_err(|error| error.to_string())?;
        Ok::<_, String>(String::from_utf8(page.batch.lines().to_vec()).unwrap())
    };
    assert_eq!(lines("{\"a\":1}\r\n\n{\"a\":[2]}").unwrap(), "{\"a\":1}\n{\"a\":[2]}\n");
    assert_eq!(lines("\u{1e}{\"a\":\n1}\n\u{1e}{\"a\":2}\n").unwrap(), "{\"a\": 1}\n{\"a\":2}\n");
    assert_eq!(lines("").unwrap(), "");
    for cut in
        ["{\"a\":1}\n{\"a\":", "{\"a\":1\n{\"a\":2}\n", "{\"a\":1} {\"a\":2}\n", "{\"a\":1},{\"a\":2}\n", "0\n1,2"]
    {
        assert!(lines(cut).is_err(), "{cut}");
    }
    for text in [")]}'\n{0}", "while(1);{0}", "cb({0});", "/**/ typeof cb === 'function' && cb({0});\n"] {
        let page = split("data", &text.replace("{0}", "{\"data\":[1,2],\"meta\":{\"total\":5}}")).unwrap();
        assert_eq!((page.batch.records(), page.fields.len()), (2, 1), "{text}");
    }
    for broken in ["cb({0}); more", "cb({0}", "cb({0}));", "cb({0};", "cb({\"data\":[1]"] {
        assert!(split("data", &broken.replace("{0}", "{\"data\":[1]}")).is_err(), "{broken}");
    }
    assert!(matches!(split("data", "<html>(1)</html>"), Err(PageError::Markup { .. })));
    assert!(matches!(split("data", "nul"), Err(PageError::NotJson { .. })));
}
