//! From which record on and in which state a collection is asked for, as written: `since`, `valid_at` and `match`.

use super::keys::{SINCE, VALID_AT};
use super::node::{Node, Table};
use super::value::{self, choice};
use crate::pagination::{Param, Path, Precondition, Since, TimeFormat, ValidAt, VersionSource};

/// `{ param, field }`; the field is the collection's key where nothing else is said.
pub(super) fn since(node: &Node<'_>, key: Option<&Path>) -> Option<Since> {
    let table = node.table(&SINCE)?;
    let param = table.must("param", "say where the record's value goes: param = \"starting_after\"", place);
    let field = match (table.get("field"), key) {
        (None, Some(key)) => Some(key.clone()),
        _ => table.must("field", "say which of a record's values that is: field = \"id\"", value::path),
    };
    Some(Since { param: param?, field: field? })
}

/// `{ param, from, format }`.
pub(super) fn valid_at(node: &Node<'_>) -> Option<ValidAt> {
    let table = node.table(&VALID_AT)?;
    let param = table.must("param", "say where the time or version goes: param = \"validAt\"", place);
    let hint = "write from = \"clock\", or where the first page has its version: a path or \"header:NAME\"";
    let from = table.must("from", hint, |node| from(&table, node));
    Some(ValidAt { param: param?, from: from? })
}

/// `match = true`.
pub(super) fn precondition(node: &Node<'_>) -> Option<Precondition> {
    node.flag().map(|flag| if flag { Precondition::Match } else { Precondition::None })
}

fn from(table: &Table<'_>, node: &Node<'_>) -> Option<VersionSource> {
    if node.text()? == "clock" {
        let formats = [
            ("rfc3339", TimeFormat::Rfc3339),
            ("unix", TimeFormat::Unix),
            ("unix_ms", TimeFormat::UnixMs),
            ("date", TimeFormat::Date),
        ];
        return Some(VersionSource::Clock(table.or("format", TimeFormat::Rfc3339, |node| choice(node, &formats))));
    }
    if table.get("format").is_some() {
        return table.refuse_at("format", "only a time has a format", "leave it out, or write from = \"clock\"");
    }
    value::source(node).map(VersionSource::Page)
}

/// A place that can be written to again and again.
fn place(node: &Node<'_>) -> Option<Param> {
    match value::param(node)? {
        Param::Path(_) => node.refuse(
            "a segment of the path names the collection",
            "write a query parameter, \"body:PATH\", \"form:NAME\" or \"header:NAME\"",
        ),
        param => Some(param),
    }
}
