//! Values of a pagination's keys, in both directions: paths, places of a request and of an answer, JSON, texts and numbers.

use std::time::Duration;

use serde_json::{Number, Value};
use toml::de::DeValue;

use super::keywords::Words;
use super::table_schema::{Form, Schema, rule, table};
use super::times_and_sizes::wait;
use super::toml_node::TomlNode;
use super::toml_text::{self, one_or_list, text};
use super::urls_and_headers::header_name_in;
use crate::pagination::path_parser::BadPath;
use crate::pagination::{Param, Path, RecordsShape, Source};

const PATH_HINT: &str =
    "a path looks like data.items, [\"@odata.nextLink\"], items[0] or items[-1]; $ is the page itself";

const POINTER_HINT: &str = "a JSON Pointer looks like /variables/after, a path like variables.after";

/// Page number in the `Link` to the last page.
pub(super) const LAST_LINK: &str = "link:last";

pub(super) const TEXT: Form<String> = Form { read: owned_text, write: |value| text(value) };

/// Whole number from 1 on.
pub(super) const COUNT: Form<u64> = Form { read: |node| node.number(1), write: u64::to_string };

/// Statuses that bring no page: of a failure, or 204.
pub(super) const STATUSES: Form<Vec<u16>> =
    Form { read: |node| node.each(end_status), write: |all| one_or_list(all, u16::to_string) };

/// A time with its unit, of a day at most.
pub(super) const WAIT: Form<Duration> =
    Form { read: wait, write: |time| text(&humantime::format_duration(*time).to_string()) };

/// Path to at most one value.
pub(super) const PATH: Form<Path> = Form { read: path, write: |path| text(&path.to_string()) };

/// Paths that may go through each element of an array.
pub(super) const RECORD_PATHS: Form<Vec<Path>> =
    Form { read: |node| node.each(record_path), write: |paths| one_or_list(paths, |path| PATH.write(path)) };

/// Path of an error, which may go through each element of an array.
pub(super) const ERROR_PATH: Form<Path> = Form { read: record_path, write: |path| text(&path.to_string()) };

/// `path` or `header:NAME`.
pub(super) const SOURCE: Form<Source> = Form { read: source, write: write_source };

/// `NAME`, `body:PATH`, `body:/POINTER`, `form:NAME`, `header:NAME` or `path:NAME`.
pub(super) const PARAM: Form<Param> = Form { read: param, write: write_param };

/// Words of `records.as`.
pub(super) static SHAPES: Words<RecordsShape> = Words(&[
    ("elements", RecordsShape::Elements),
    ("values", RecordsShape::Values),
    ("one_or_more", RecordsShape::OneOrMore),
    ("list", RecordsShape::List),
    ("all", RecordsShape::All),
    ("columns", RecordsShape::Columns),
]);

table! {
    /// Element of an array of link objects.
    pub(super) LINKS "a link lookup": Source = Source::Links {
        "links" => path: PATH, required("name the array of link objects: links = \"links\"");
        "rel" => rel: TEXT, or("next".to_owned());
    }
}

/// List of TOML values as JSON.
pub(super) const VALUES: Form<Vec<Value>> =
    Form { read: |node| node.each(json), write: |values| toml_text::list(values, toml_text::json) };

pub(super) const JSON: Form<Value> = Form { read: json, write: toml_text::json };

fn end_status(node: &TomlNode<'_>) -> Option<u16> {
    match node.number(0)? {
        number @ (204 | 400..=599) => u16::try_from(number).ok(),
        number => {
            node.refuse(format!("not a status without a page: {number}"), "write a number from 400 to 599, or 204")
        }
    }
}

fn owned_text(node: &TomlNode<'_>) -> Option<String> {
    node.text().map(ToOwned::to_owned)
}

pub(super) fn path(node: &TomlNode<'_>) -> Option<Path> {
    Path::singular(node.text()?).map_err(|bad| node.refuse::<()>(bad.to_string(), PATH_HINT)).ok()
}

fn record_path(node: &TomlNode<'_>) -> Option<Path> {
    node.text()?.parse().map_err(|bad: BadPath| node.refuse::<()>(bad.to_string(), PATH_HINT)).ok()
}

pub(super) fn source(node: &TomlNode<'_>) -> Option<Source> {
    let text = node.text()?;
    if text == LAST_LINK {
        return node.refuse("this link only counts pages", "write total_pages = \"link:last\"");
    }
    match text.strip_prefix("header:") {
        Some(name) => header_name_in(node, name).map(Source::Header),
        None => path(node).map(Source::Body),
    }
}

fn write_source(source: &Source) -> String {
    match source {
        Source::Body(path) => PATH.write(path),
        Source::Header(name) => text(&format!("header:{name}")),
        Source::LastLink { .. } => text(LAST_LINK),
        links @ Source::Links { .. } => LINKS.write(links),
    }
}

fn param(node: &TomlNode<'_>) -> Option<Param> {
    let text = node.text()?;
    let (kind, rest) = text.split_once(':').unwrap_or(("", text));
    let known = matches!(kind, "body" | "form" | "header" | "path");
    if known && rest.is_empty() {
        return node.refuse(format!("{text:?} names nothing"), format!("write {kind}:NAME"));
    }
    match kind {
        "body" => {
            let (path, hint) = if rest.starts_with('/') {
                (Path::pointer(rest), POINTER_HINT)
            } else {
                (Path::singular(rest), PATH_HINT)
            };
            let path = path.map_err(|bad| node.refuse::<()>(bad.to_string(), hint)).ok()?;
            if path.is_root() {
                return node.refuse("body:$ would replace the whole body", "name a place in it: body:PATH");
            }
            Some(Param::Body(path))
        }
        "form" => Some(Param::Form(rest.to_owned())),
        "header" => header_name_in(node, rest).map(Param::Header),
        "path" => Some(Param::Path(rest.to_owned())),
        _ => Some(Param::Query(text.to_owned())),
    }
}

fn write_param(param: &Param) -> String {
    let name = param.own_name();
    match param {
        Param::Query(_) => text(&name),
        Param::Body(_) => text(&format!("body:{name}")),
        Param::Form(_) => text(&format!("form:{name}")),
        Param::Header(_) => text(&format!("header:{name}")),
        Param::Path(_) => text(&format!("path:{name}")),
    }
}

pub(super) fn json(node: &TomlNode<'_>) -> Option<Value> {
    match node.value {
        DeValue::String(text) => Some(Value::from(&**text)),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Some(Value::from(number)),
            Err(_) => node.refuse(format!("out of range: {integer}"), "whole numbers have 64 bits and a sign"),
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Some(Value::Number(number)),
            None => node.refuse(format!("JSON has no {float}"), "write a finite number"),
        },
        DeValue::Datetime(time) => node.refuse("JSON has no times", format!("write it in quotes: \"{time}\"")),
        DeValue::Array(array) if array.is_empty() => Some(Value::Array(Vec::new())),
        DeValue::Array(_) => node.each(json).map(Value::Array),
        DeValue::Table(_) => {
            let members: Vec<_> =
                node.named()?.into_iter().map(|(name, value)| Some((name.to_owned(), json(&value)?))).collect();
            Some(Value::Object(members.into_iter().collect::<Option<_>>()?))
        }
    }
}

/// Reads a request's body: a table, or JSON in a string (which alone can say `null`).
pub(super) fn body(node: &TomlNode<'_>) -> Option<Value> {
    let Some(text) = node.value.as_str() else {
        return if node.value.is_table() {
            json(node)
        } else {
            node.refuse(
                "a body is a table or a string of JSON",
                "write body = { size = 100 } or body = '{\"size\": 100}'",
            )
        };
    };
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => node.refuse(format!("not JSON: {error}"), "write body = '{\"size\": 100}', or a table"),
    }
}
