//! A pagination as a configuration would write it.

use std::fmt::Write;

use serde_json::Value;
use toml::de::DeTable;

use super::keys::COLLECTION;
use super::lint;
use super::mistake::{Mistake, Mistakes};
use super::node::{Notes, Table};
use super::value::LAST_LINK;
use crate::pagination::partition::{Bound, Direction, RangeKind, RangePartition};
use crate::pagination::styles::{KeyKind, StyleKey, StyleValue, StyleValues};
use crate::pagination::{
    BodyKind, Encoding, End, More, PageSize, Pagination, Param, PartOrder, Partition, Path, Precondition, Presence,
    Records, RecordsShape, SameToken, Since, Source, TimeFormat, ValidAt, Validation, VersionSource, Whitespace,
};

/// The keys of a `[[collection]]` that make this pagination, one a line; reading them makes it again.
pub fn written(pagination: &Pagination) -> String {
    let Pagination { records, key, page_size, total, total_pages, limits, error, partition, order, .. } = pagination;
    let mut lines = Inline::default();
    if pagination.body_kind() != BodyKind::Labelled {
        lines.put("method", text("POST"));
    }
    if !records.paths.is_empty() {
        lines.put("records", records_value(records));
    }
    if records.presence == Presence::Optional {
        lines.put("records_optional", "true");
    }
    if records.encoding == Encoding::Base64 {
        lines.put("encoding", text("base64"));
    }
    if records.validation == Validation::Full {
        lines.put("validate", text("full"));
    }
    if records.whitespace == Whitespace::Dropped {
        lines.put("compact", "true");
    }
    lines.maybe("key", key.as_ref().map(path));
    lines.maybe("page_size", page_size.as_ref().map(page_size_value));
    lines.put("pagination", style_value(pagination));
    lines.maybe("partition", partition.as_ref().map(partition_value));
    lines.maybe("order", (*order == PartOrder::Any).then(|| text("any")));
    lines.maybe("total", total.as_ref().map(source));
    lines.maybe("total_pages", total_pages.as_ref().map(source));
    lines.maybe("since", pagination.since.as_ref().map(since_value));
    lines.maybe("valid_at", pagination.valid_at.as_ref().map(valid_at_value));
    if pagination.precondition == Precondition::Match {
        lines.put("match", "true");
    }
    let mut table = Inline::default();
    table.maybe("max_offset", limits.max_offset);
    table.maybe("max_pages", limits.max_pages);
    table.maybe("max_results", limits.max_results);
    if !table.0.is_empty() {
        lines.put("limits", table.table());
    }
    match (error, pagination.usual_error()) {
        (Some(at), _) => lines.put("error_path", path(at)),
        (None, Some(_)) => lines.put("error_path", "false"),
        (None, None) => {}
    }
    let allow = lint::to_allow(pagination);
    if !allow.is_empty() {
        lines.put("allow", list(&allow, |name| text(name)));
    }
    lines.0.join("\n") + "\n"
}

/// Reads what [`written`] wrote.
pub fn read_written(text: &str) -> Result<Pagination, Mistakes> {
    let mistakes = |list| Mistakes { name: String::new(), list };
    let notes = Notes::on(text);
    let entries = DeTable::parse(text).map_err(|error| {
        let what = error.message().replace('\n', "; ");
        mistakes(vec![Mistake { at: String::new(), place: None, what, hint: String::new() }])
    })?;
    let pagination = super::pagination::read(&Table::top(&notes, entries.get_ref(), &COLLECTION));
    let list = notes.into_list();
    pagination.filter(|_| list.is_empty()).ok_or_else(|| mistakes(list))
}

fn since_value(Since { param: place, field }: &Since) -> String {
    let mut table = Inline::default();
    table.put("param", param_value(place));
    table.put("field", path(field));
    table.table()
}

fn valid_at_value(ValidAt { param: place, from }: &ValidAt) -> String {
    let mut table = Inline::default();
    table.put("param", param_value(place));
    match from {
        VersionSource::Page(Source::Body(path)) if path.to_string() == "clock" => table.put("from", text("$.clock")),
        VersionSource::Page(place) => table.put("from", source(place)),
        VersionSource::Clock(format) => {
            table.put("from", text("clock"));
            let format = match format {
                TimeFormat::Rfc3339 => "rfc3339",
                TimeFormat::Unix => "unix",
                TimeFormat::UnixMs => "unix_ms",
                TimeFormat::Date => "date",
            };
            table.put("format", text(format));
        }
    }
    table.table()
}

/// `key = value` pairs in the order in which they were put.
#[derive(Default)]
struct Inline(Vec<String>);

impl Inline {
    fn put(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.push(format!("{key} = {value}"));
    }

    fn maybe(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn table(&self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

fn style_value(pagination: &Pagination) -> String {
    let Pagination { style, more, end, same_token, .. } = pagination;
    let mut table = Inline::default();
    table.put("type", text(style.name()));
    values_into(&mut table, &style.values(), style.schema().keys);
    table.maybe("same_token", (*same_token == SameToken::End).then(|| text("end")));
    if let Some(More { path: at, while_ }) = more {
        table.put("more", format!("{{ path = {}, while = {} }}", path(at), json(while_)));
    }
    match end {
        End::Style => {}
        End::NoNext => table.put("end", text("no_next")),
        End::EmptyPage => table.put("end", text("empty_page")),
        End::ShortPage => table.put("end", text("short_page")),
        End::Status(status) => table.put("end", format!("{{ status = {} }}", status.as_u16())),
    }
    table.table()
}

fn values_into(table: &mut Inline, values: &StyleValues, keys: &[StyleKey]) {
    for (name, value) in values.iter() {
        let kind = keys.iter().find(|key| key.name == name).map(|key| key.kind);
        match value {
            StyleValue::Text(value) => table.put(name, text(value)),
            StyleValue::Number(number) => table.put(name, number),
            StyleValue::Param(param) => table.put(name, param_value(param)),
            StyleValue::Path(at) => table.put(name, path_beside(at, kind)),
            StyleValue::Paths(paths) => table.put(name, one_or_list(paths, path)),
            StyleValue::Sources(sources) => table.put(name, one_or_list(sources, source)),
            StyleValue::Values(values) => table.put(name, list(values, json)),
            StyleValue::Url(url) => table.put(name, text(url.as_str())),
            StyleValue::Pair(key, value) => table.put(name, format!("{{ {} = {} }}", text(key), text(value))),
            StyleValue::Tables(tables) => {
                let keys = if let Some(KeyKind::Tables(keys)) = kind { keys } else { &[] };
                let write = |values: &StyleValues| {
                    let mut table = Inline::default();
                    values_into(&mut table, values, keys);
                    table.table()
                };
                table.put(name, list(tables, write));
            }
        }
    }
}

/// A path, told apart from the words that may stand in its place.
fn path_beside(at: &Path, kind: Option<KeyKind>) -> String {
    match (kind, at.to_string().as_str()) {
        (Some(KeyKind::WordOrPath(words)), word) if words.contains(&word) => text(&format!("$.{word}")),
        (_, at) => text(at),
    }
}

fn records_value(records: &Records) -> String {
    let paths = one_or_list(&records.paths, path);
    match records.shape {
        RecordsShape::Elements => paths,
        RecordsShape::Values => format!("{{ path = {paths}, as = \"values\" }}"),
    }
}

fn page_size_value(PageSize { param, value, max }: &PageSize) -> String {
    let mut table = Inline::default();
    table.maybe("param", param.as_ref().map(param_value));
    table.maybe("value", *value);
    table.maybe("max", *max);
    table.table()
}

fn partition_value(partition: &Partition) -> String {
    let mut table = Inline::default();
    match partition {
        Partition::Range(range) => range_into(&mut table, range),
        Partition::Values { param, values } => {
            table.put("param", param_value(param));
            table.put("values", list(values, json));
        }
        Partition::Numbered { param, count_param, count } => {
            table.put("segment", param_value(param));
            table.put("total_segments", param_value(count_param));
            table.put("count", count);
        }
    }
    table.table()
}

fn range_into(table: &mut Inline, range: &RangePartition) {
    let bound = |bound: &Bound| match bound {
        Bound::At(value) => json(value),
        Bound::Now => text("now"),
    };
    table.put("from", param_value(&range.from));
    table.put("to", param_value(&range.to));
    table.put(
        "kind",
        text(match range.kind {
            RangeKind::Unix => "unix",
            RangeKind::Rfc3339 => "rfc3339",
            RangeKind::Date => "date",
            RangeKind::Integer => "integer",
        }),
    );
    table.put("field", path(&range.field));
    table.maybe("lower", range.lower.as_ref().map(bound));
    table.maybe("upper", range.upper.as_ref().map(bound));
    table.put(
        "order",
        text(match range.direction {
            Direction::Ascending => "ascending",
            Direction::Descending => "descending",
        }),
    );
}

fn source(source: &Source) -> String {
    match source {
        Source::Body(at) => path(at),
        Source::Header(name) => text(&format!("header:{name}")),
        Source::LastLink { .. } => text(LAST_LINK),
        Source::Links { path: at, rel } => format!("{{ links = {}, rel = {} }}", path(at), text(rel)),
    }
}

fn param_value(param: &Param) -> String {
    let name = param.own_name();
    match param {
        Param::Query(_) => text(&name),
        Param::Body(_) => text(&format!("body:{name}")),
        Param::Form(_) => text(&format!("form:{name}")),
        Param::Header(_) => text(&format!("header:{name}")),
        Param::Path(_) => text(&format!("path:{name}")),
    }
}

fn path(path: &Path) -> String {
    text(&path.to_string())
}

fn one_or_list<T>(all: &[T], write: impl Fn(&T) -> String) -> String {
    match all {
        [one] => write(one),
        all => list(all, write),
    }
}

fn list<T>(all: &[T], write: impl Fn(&T) -> String) -> String {
    format!("[{}]", all.iter().map(write).collect::<Vec<_>>().join(", "))
}

fn json(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        Value::Array(values) => list(values, json),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{} = {}", text(name), json(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        // TOML has no null: no value of a pagination is one, because absent and null are always read alike.
        Value::Null => text(""),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A basic string of one line, as JSON has it but for DEL, which TOML wants escaped too.
fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)).expect("writing to a String never fails"),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
