//! Values as TOML: strings, lists and tables on one line.

use std::fmt::{Display, Write};

use serde_json::Value;
use toml::de::DeValue;

/// `key = value` pairs in the order in which they were put.
#[derive(Default)]
pub(super) struct Pairs(Vec<String>);

impl Pairs {
    pub(super) fn put(&mut self, key: &str, value: impl Display) {
        self.0.push(format!("{key} = {value}"));
    }

    pub(super) fn table(&self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }

    /// One pair a line.
    pub(super) fn lines(&self) -> String {
        self.0.join("\n") + "\n"
    }
}

/// The only value by itself, or a list of all.
pub(super) fn one_or_list<T>(all: &[T], write: impl Fn(&T) -> String) -> String {
    match all {
        [one] => write(one),
        all => list(all, write),
    }
}

pub(super) fn list<T>(all: &[T], write: impl Fn(&T) -> String) -> String {
    format!("[{}]", all.iter().map(write).collect::<Vec<_>>().join(", "))
}

/// A JSON value. TOML has no null; a pagination has none either, because absent and null values are read alike.
pub(super) fn json(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        Value::Array(values) => list(values, json),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{} = {}", text(name), json(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Null => text(""),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A value as it was parsed.
pub(super) fn value(parsed: &DeValue<'_>) -> String {
    match parsed {
        DeValue::String(value) => text(value),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(values) => list(&values.iter().collect::<Vec<_>>(), |inner| value(inner.get_ref())),
        DeValue::Table(table) => {
            let is_bare =
                |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            let mut pairs = Pairs::default();
            for (key, inner) in table {
                let key: &str = key.get_ref();
                pairs.put(&if is_bare(key) { key.to_owned() } else { text(key) }, value(inner.get_ref()));
            }
            pairs.table()
        }
    }
}

/// Returns a document as an inline table; the error is a description without the text.
#[cfg(feature = "cli")]
pub(crate) fn inline(document: &str) -> Result<String, String> {
    match toml::de::DeTable::parse(document) {
        Ok(table) => Ok(value(&DeValue::Table(table.into_inner()))),
        Err(error) => Err(error.message().replace('\n', "; ")),
    }
}

/// A basic string of one line, as JSON has it but for DEL, which TOML wants escaped too.
pub(crate) fn text(text: &str) -> String {
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
