//! `partition`: the parts that a collection is cut into. `windows`: the spans of time that it is read in.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use toml::de::DeValue;

use super::key_names::KeyNames;
use super::keywords::Words;
use super::pagination_values::{JSON, PARAM, PATH};
use super::table_schema::{Form, Schema, rule, table};
use super::times_and_sizes::duration;
use super::toml_node::TomlNode;
use super::toml_text::{self, list, text};
use crate::pagination::Windows;
use crate::pagination::partition_settings::{Bound, Direction, Partition, RangeKind, RangePartition};

const HINT: &str = "write from, to, kind, field and order for a range, param and values for a list, or segment, \
                    total_segments and count for numbered parts";

/// `{ from, to, … }`, `{ param, values }` or `{ segment, total_segments, count }`.
pub(super) const PARTITIONS: Form<Partition> = Form { read: partition, write };

table! {
    pub(super) RANGE "a partition by range": RangePartition = RangePartition {
        "from" => from: PARAM, required("say where the lowest value goes: from = \"created[gte]\"");
        "to" => to: PARAM, required("say where the highest value goes: to = \"created[lt]\"");
        "kind" => kind: KINDS, required("say what the values are: kind = \"unix\", \"rfc3339\", \"date\" or \"integer\"");
        "field" => field: PATH, required("say where a record has its value: field = \"created\"");
        "lower" => lower: BOUND, some;
        "upper" => upper: BOUND, some;
        "order" => direction: DIRECTIONS, required(
            "say how the upstream lists the records: order = \"ascending\" or \"descending\""
        );
    }
}

table! {
    pub(super) WINDOW "windows": Windows = Windows {
        "from" => from: PARAM, required("say where a window's start goes: from = \"since\"");
        "to" => to: PARAM, required("say where a window's end goes: to = \"until\"");
        "kind" => kind: KINDS, required("say what the times are: kind = \"unix\", \"rfc3339\" or \"date\"");
        "field" => field: PATH, required("say where a record has its time: field = \"created_at\"");
        "span" => span: SPAN, required("say how long a range the upstream answers for: span = \"7d\"");
        "lower" => lower: BOUND, required("say where the range begins: lower = \"2024-01-01T00:00:00Z\"");
        "upper" => upper: BOUND, some;
    }
}

table! {
    pub(super) VALUES "a partition by values": Partition = Partition::Values {
        "param" => param: PARAM, required("say where the value goes: param = \"region\"");
        "values" => values: DISTINCT, required("list the values: values = [\"eu\", \"us\"]");
    }
}

table! {
    pub(super) NUMBERED "a partition by number": Partition = Partition::Numbered {
        "segment" => param: PARAM, required("say where a part's number goes: segment = \"body:Segment\"");
        "total_segments" => count_param: PARAM, required(
            "say where the number of parts goes: total_segments = \"body:TotalSegments\""
        );
        "count" => count: PARTS, required("say how many parts there are: count = 8");
    }
}

static KINDS: Words<RangeKind> = Words(&[
    ("unix", RangeKind::Unix),
    ("rfc3339", RangeKind::Rfc3339),
    ("date", RangeKind::Date),
    ("integer", RangeKind::Integer),
]);

static DIRECTIONS: Words<Direction> =
    Words(&[("ascending", Direction::Ascending), ("descending", Direction::Descending)]);

/// A value or `"now"`; [`fits`] holds it against the kind.
const BOUND: Form<Bound> = Form { read: read_bound, write: write_bound };

const DISTINCT: Form<Vec<Value>> = Form { read: read_distinct, write: |values| list(values, toml_text::json) };

/// `{ from, to, kind, field, span, lower, upper }`.
pub(super) const WINDOWS: Form<Windows> = Form { read: windows, write: |windows| WINDOW.write(windows) };

const SPAN: Form<Duration> =
    Form { read: duration, write: |span| text(&humantime::format_duration(*span).to_string()) };

const PARTS: Form<u64> = Form { read: read_parts, write: u64::to_string };

fn partition(node: &TomlNode<'_>) -> Option<Partition> {
    if !node.value.is_table() {
        let what = format!("expected a table, found {}", node.value.type_str());
        return node.refuse(what, "write partition = { from = \"created[gte]\", to = \"created[lt]\", … }");
    }
    let has = |table: &dyn KeyNames| table.keys().iter().any(|key| node.member(key).is_some());
    if has(&VALUES) {
        VALUES.read(node)
    } else if has(&NUMBERED) {
        NUMBERED.read(node)
    } else if has(&RANGE) {
        range(node).map(Partition::Range)
    } else {
        node.refuse("no known kind of partition", HINT)
    }
}

fn write(partition: &Partition) -> String {
    match partition {
        Partition::Range(range) => RANGE.write(range),
        values @ Partition::Values { .. } => VALUES.write(values),
        numbered @ Partition::Numbered { .. } => NUMBERED.write(numbered),
    }
}

fn range(node: &TomlNode<'_>) -> Option<RangePartition> {
    let table = node.table(&RANGE)?;
    let range = (RANGE.read)(&table);
    let kind = table.get("kind").and_then(|node| KINDS.meaning(node.value.as_str()?))?;
    let fit = ["lower", "upper"].map(|key| table.get(key).is_none_or(|node| fits(&node, key, kind)));
    let range = range?;
    if let (Some(Bound::At(lower)), Some(Bound::At(upper)), [true, true]) = (&range.lower, &range.upper, fit)
        && kind.unit_of(lower) >= kind.unit_of(upper)
    {
        return table.refuse_at("lower", "not lower than upper", "swap lower and upper, or leave one of them out");
    }
    Some(range)
}

fn windows(node: &TomlNode<'_>) -> Option<Windows> {
    let table = node.table(&WINDOW)?;
    let windows = (WINDOW.read)(&table);
    let kind = table.get("kind").and_then(|node| KINDS.meaning(node.value.as_str()?))?;
    let fit =
        ["lower", "upper"].map(|key| table.get(key).is_none_or(|node| fits(&node, key, kind) && is_zoned(&node, kind)));
    let windows = windows.filter(|_| fit == [true, true])?;
    if kind == RangeKind::Integer {
        return table.refuse_at("kind", "windows are ranges of time", "write \"unix\", \"rfc3339\" or \"date\"");
    }
    if let (Bound::At(lower), Some(Bound::At(upper))) = (&windows.lower, &windows.upper)
        && kind.unit_of(lower) >= kind.unit_of(upper)
    {
        return table.refuse_at("lower", "not lower than upper", "swap lower and upper, or leave upper out");
    }
    let least = Windows::least_span(kind);
    if windows.span < least {
        let what = format!("shorter than {}", humantime::format_duration(least));
        return table.refuse_at(
            "span",
            what,
            "a request begins before its window and ends behind it: write a longer span",
        );
    }
    Some(windows)
}

/// Notes a mistake and returns false if a time has no zone: it would be another moment to the upstream than to unpage.
fn is_zoned(node: &TomlNode<'_>, kind: RangeKind) -> bool {
    let text = node.value.as_datetime().map(ToString::to_string).or_else(|| node.value.as_str().map(ToOwned::to_owned));
    let Some(text) = text.filter(|text| kind == RangeKind::Rfc3339 && text != "now") else { return true };
    let has_zone = text.contains(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']));
    has_zone
        || node
            .refuse::<()>(format!("a time without a zone: {text}"), format!("write {text}Z, or the zone that is meant"))
            .is_some()
}

/// Notes a mistake and returns false if a bound is of another kind.
fn fits(node: &TomlNode<'_>, key: &str, kind: RangeKind) -> bool {
    if node.notes.wrong_at(&node.at) {
        return false;
    }
    let fit = match (BOUND.read(node), kind) {
        (Some(Bound::Now), _) if key == "lower" => {
            node.refuse("nothing would lie between now and later", "write now as upper, or leave lower out")
        }
        (Some(Bound::Now), RangeKind::Integer) => {
            node.refuse("now is not a whole number", "write a number, or leave it out")
        }
        (Some(Bound::At(value)), kind) if kind.unit_of(&value).is_none() => {
            let hint = match kind {
                RangeKind::Unix => "write seconds since 1970: 1577836800",
                RangeKind::Rfc3339 => "write a date with a time: \"2020-01-01T00:00:00Z\"",
                RangeKind::Date => "write a date: \"2020-01-01\"",
                RangeKind::Integer => "write a whole number",
            };
            node.refuse(format!("not a bound of this kind: {value}"), hint)
        }
        _ => Some(()),
    };
    fit.is_some()
}

fn read_bound(node: &TomlNode<'_>) -> Option<Bound> {
    match node.value {
        DeValue::String(word) if word == "now" => Some(Bound::Now),
        // TOML's own dates may stand there without quotes.
        DeValue::Datetime(time) => Some(Bound::At(Value::from(time.to_string()))),
        _ => JSON.read(node).map(Bound::At),
    }
}

fn write_bound(bound: &Bound) -> String {
    match bound {
        Bound::At(value) => toml_text::json(value),
        Bound::Now => text("now"),
    }
}

fn read_distinct(node: &TomlNode<'_>) -> Option<Vec<Value>> {
    if !node.value.is_array() {
        return node.refuse("not a list", "write values = [\"eu\", \"us\"]");
    }
    let mut seen = HashSet::new();
    let values: Vec<_> = node.list()?.iter().map(|element| read_one(element, &mut seen)).collect();
    values.into_iter().collect()
}

/// Reads a value that a parameter can carry, and that no earlier part has.
fn read_one(node: &TomlNode<'_>, seen: &mut HashSet<String>) -> Option<Value> {
    let value = JSON.read(node)?;
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return node.refuse("not one value", "write texts, numbers or booleans"),
    };
    if !seen.insert(text) {
        return node.refuse("stands in the list twice", "leave it out here: its records would be doubled");
    }
    Some(value)
}

fn read_parts(node: &TomlNode<'_>) -> Option<u64> {
    match node.number(0)? {
        few @ 0..=1 => node.refuse(format!("too few parts: {few}"), "write a number from 2 on"),
        count => Some(count),
    }
}
