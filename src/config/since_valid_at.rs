//! `since` and `valid_at`: the record and the state that a collection is asked for.

use super::keywords::Words;
use super::opened_state::OPENED;
use super::pagination_values::{PARAM, PATH, SOURCE};
use super::table_schema::{Form, Schema, rule, table};
use super::toml_node::TomlNode;
use super::toml_text::text;
use crate::pagination::{OpenedState, Param, Path, Since, Source, TimeFormat, ValidAt, VersionSource};

pub(super) const SINCES: Form<Since> = Form { read: |node| since(node, None), write: write_since };

pub(super) const VALID_ATS: Form<ValidAt> = Form { read: read_valid_at, write: write_valid_at };

/// `since = { param, field }`.
pub(super) struct SinceTable {
    param: Param,
    field: Option<Path>,
}

/// `valid_at = { param, from, format }`.
pub(super) struct ValidAtTable {
    param: Param,
    from: VersionFrom,
    format: Option<TimeFormat>,
}

/// Origin of the version, as written: a word, a place in the first page, or a table.
enum VersionFrom {
    Clock,
    Page(Source),
    Opened(Box<OpenedState>),
}

table! {
    pub(super) SINCE "since": SinceTable = SinceTable {
        "param" => param: PLACE, required("say where the record's value goes: param = \"starting_after\"");
        "field" => field: PATH, some;
    }
}

table! {
    pub(super) VALID_AT "valid_at": ValidAtTable = ValidAtTable {
        "param" => param: PLACE, required("say where the time or version goes: param = \"validAt\"");
        "from" => from: FROM, required(
            "write from = \"clock\", or where the first page has its version: a path or \"header:NAME\"; or the request that opens a state: from = { path, value }"
        );
        "format" => format: FORMATS, some;
    }
}

/// Parameter that can be written to again and again.
const PLACE: Form<Param> = Form { read: place, write: |param| PARAM.write(param) };

const FROM: Form<VersionFrom> = Form { read: read_from, write: write_from };

static FORMATS: Words<TimeFormat> = Words(&[
    ("rfc3339", TimeFormat::Rfc3339),
    ("unix", TimeFormat::Unix),
    ("unix_ms", TimeFormat::UnixMs),
    ("date", TimeFormat::Date),
]);

/// Reads `since`, whose field is the collection's key where the table names none.
pub(super) fn since(node: &TomlNode<'_>, key: Option<&Path>) -> Option<Since> {
    let table = node.table(&SINCE)?;
    let read = (SINCE.read)(&table);
    if table.get("field").is_none() && key.is_none() {
        return table.refuse_at("field", "missing", "say which of a record's values that is: field = \"id\"");
    }
    let SinceTable { param, field } = read?;
    Some(Since { param, field: field.or_else(|| key.cloned())? })
}

fn write_since(Since { param, field }: &Since) -> String {
    SINCE.write(&SinceTable { param: param.clone(), field: Some(field.clone()) })
}

fn read_valid_at(node: &TomlNode<'_>) -> Option<ValidAt> {
    let table = node.table(&VALID_AT)?;
    let ValidAtTable { param, from, format } = (VALID_AT.read)(&table)?;
    let from = match (from, format) {
        (VersionFrom::Clock, format) => VersionSource::Clock(format.unwrap_or(FORMATS.usual())),
        (VersionFrom::Page(source), None) => VersionSource::Page(source),
        (VersionFrom::Opened(opened), None) => VersionSource::Opened(opened),
        (VersionFrom::Page(_) | VersionFrom::Opened(_), Some(_)) => {
            let hint = "leave it out, or write from = \"clock\"";
            return table.refuse_at("format", "only a time has a format", hint);
        }
    };
    Some(ValidAt { param, from })
}

fn write_valid_at(ValidAt { param, from }: &ValidAt) -> String {
    let (from, format) = match from {
        VersionSource::Clock(format) => (VersionFrom::Clock, Some(*format)),
        VersionSource::Page(source) => (VersionFrom::Page(source.clone()), None),
        VersionSource::Opened(opened) => (VersionFrom::Opened(opened.clone()), None),
    };
    VALID_AT.write(&ValidAtTable { param: param.clone(), from, format })
}

fn read_from(node: &TomlNode<'_>) -> Option<VersionFrom> {
    if node.value.is_table() {
        return OPENED.read(node).map(|opened| VersionFrom::Opened(Box::new(opened)));
    }
    if node.text()? == "clock" { Some(VersionFrom::Clock) } else { SOURCE.read(node).map(VersionFrom::Page) }
}

fn write_from(from: &VersionFrom) -> String {
    match from {
        VersionFrom::Clock => text("clock"),
        VersionFrom::Page(Source::Body(path)) if path.to_string() == "clock" => text("$.clock"),
        VersionFrom::Page(source) => SOURCE.write(source),
        VersionFrom::Opened(opened) => OPENED.write(opened),
    }
}

fn place(node: &TomlNode<'_>) -> Option<Param> {
    match PARAM.read(node)? {
        Param::Path(_) => node.refuse(
            "a segment of the path names the collection",
            "write a query parameter, \"body:PATH\", \"form:NAME\" or \"header:NAME\"",
        ),
        param => Some(param),
    }
}
