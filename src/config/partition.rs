//! What cuts a collection into parts, as written: `partition` and `order`.

use std::collections::HashSet;

use serde_json::Value;
use toml::de::DeValue;

use super::keys::{self, PARTITION_NUMBERED, PARTITION_RANGE, PARTITION_VALUES};
use super::node::{Node, Table};
use super::value::{self, choice};
use crate::pagination::partition::{Bound, Direction, PartOrder, Partition, RangeKind, RangePartition};

const KINDS: &str = "write from, to, kind, field and order for a range, param and values for a list, or segment, \
                     total_segments and count for numbered parts";

/// `{ from, to, … }`, `{ param, values }` or `{ segment, total_segments, count }`.
pub(super) fn partition(node: &Node<'_>) -> Option<Partition> {
    if !node.value.is_table() {
        let what = format!("expected a table, found {}", node.value.type_str());
        return node.refuse(what, "write partition = { from = \"created[gte]\", to = \"created[lt]\", … }");
    }
    let has = |level: &keys::Level| level.keys.iter().any(|key| node.member(key).is_some());
    if has(&PARTITION_VALUES) {
        values(&node.table(&PARTITION_VALUES)?)
    } else if has(&PARTITION_NUMBERED) {
        numbered(&node.table(&PARTITION_NUMBERED)?)
    } else if has(&PARTITION_RANGE) {
        range(&node.table(&PARTITION_RANGE)?).map(Partition::Range)
    } else {
        node.refuse("cuts by nothing that is known", KINDS)
    }
}

/// `order = "listed"` or `"any"`.
pub(super) fn order(node: &Node<'_>) -> Option<PartOrder> {
    choice(node, &[("listed", PartOrder::Listed), ("any", PartOrder::Any)])
}

fn values(table: &Table<'_>) -> Option<Partition> {
    let param = table.must("param", "say where the value goes: param = \"region\"", value::param);
    let values = table.must("values", "list the values: values = [\"eu\", \"us\"]", |node| {
        if !node.value.is_array() {
            return node.refuse("not a list", "write values = [\"eu\", \"us\"]");
        }
        let mut seen = HashSet::new();
        let elements = node.list()?;
        let read: Vec<_> = elements.iter().map(|element| one_value(element, &mut seen)).collect();
        read.into_iter().collect::<Option<Vec<_>>>()
    });
    Some(Partition::Values { param: param?, values: values? })
}

/// A value that a parameter can carry, and that no earlier part has.
fn one_value(node: &Node<'_>, seen: &mut HashSet<String>) -> Option<Value> {
    let value = value::json(node)?;
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

fn numbered(table: &Table<'_>) -> Option<Partition> {
    let param = table.must("segment", "say where a part's number goes: segment = \"body:Segment\"", value::param);
    let hint = "say where the number of parts goes: total_segments = \"body:TotalSegments\"";
    let count_param = table.must("total_segments", hint, value::param);
    let count = table.must("count", "say how many parts there are: count = 8", |node| match node.number(0)? {
        few @ 0..=1 => node.refuse(format!("{few} is no number of parts"), "write a number from 2 on"),
        count => Some(count),
    });
    Some(Partition::Numbered { param: param?, count_param: count_param?, count: count? })
}

fn range(table: &Table<'_>) -> Option<RangePartition> {
    let from = table.must("from", "say where the lowest value goes: from = \"created[gte]\"", value::param);
    let to = table.must("to", "say where the highest value goes: to = \"created[lt]\"", value::param);
    let kinds = [
        ("unix", RangeKind::Unix),
        ("rfc3339", RangeKind::Rfc3339),
        ("date", RangeKind::Date),
        ("integer", RangeKind::Integer),
    ];
    let hint = "say what the values are: kind = \"unix\", \"rfc3339\", \"date\" or \"integer\"";
    let kind = table.must("kind", hint, |node| choice(node, &kinds));
    let field = table.must("field", "say where a record has its value: field = \"created\"", value::path);
    let hint = "say how the upstream lists the records: order = \"ascending\" or \"descending\"";
    let directions = [("ascending", Direction::Ascending), ("descending", Direction::Descending)];
    let direction = table.must("order", hint, |node| choice(node, &directions));
    let kind = kind?;
    let lower = table.maybe("lower", |node| match node.value.as_str() {
        Some("now") => node.refuse("nothing would lie between now and later", "write now as upper, or leave lower out"),
        _ => bound(node, kind),
    });
    let upper = table.maybe("upper", |node| bound(node, kind));
    let range = RangePartition { from: from?, to: to?, kind, field: field?, lower, upper, direction: direction? };
    if let (Some(Bound::At(lower)), Some(Bound::At(upper))) = (&range.lower, &range.upper)
        && kind.unit_of(lower) >= kind.unit_of(upper)
    {
        return table.refuse_at("lower", "not lower than upper", "swap lower and upper, or leave one of them out");
    }
    Some(range)
}

/// A bound of this kind, or the time of the request.
fn bound(node: &Node<'_>, kind: RangeKind) -> Option<Bound> {
    if node.value.as_str() == Some("now") {
        return match kind {
            RangeKind::Integer => node.refuse("now is no whole number", "write a number, or leave it out"),
            RangeKind::Unix | RangeKind::Rfc3339 | RangeKind::Date => Some(Bound::Now),
        };
    }
    let value = match node.value {
        // TOML's own dates may stand there without quotes.
        DeValue::Datetime(time) => Value::from(time.to_string()),
        _ => value::json(node)?,
    };
    match kind.unit_of(&value) {
        Some(_) => Some(Bound::At(value)),
        None => {
            let hint = match kind {
                RangeKind::Unix => "write seconds since 1970: 1577836800",
                RangeKind::Rfc3339 => "write a date with a time: \"2020-01-01T00:00:00Z\"",
                RangeKind::Date => "write a date: \"2020-01-01\"",
                RangeKind::Integer => "write a whole number",
            };
            node.refuse(format!("not a bound of this kind: {value}"), hint)
        }
    }
}
