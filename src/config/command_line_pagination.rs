//! Pagination from the command line: the same words as in a file, read by the same rules.

use http::Method;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::collection::COLLECTION;
use super::lint::{self, LintFacts};
use super::mistake::{Mistake, Mistakes};
use super::toml_node::{MistakeLog, TomlTable};
use super::{Pace, pace, unknown_key_hints};
use crate::pagination::Pagination;

/// Options of `fetch` and `probe`; each is a key of `[[collection]]` with `-` for `_`. A value is text, or TOML's `{ … }`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--pagination`: a type's name, or `{ type = "cursor", … }`; `auto` where it is missing.
    pub pagination: Option<String>,
    /// `--records`: a path, or `{ path = …, as = "values" }`.
    pub records: Option<String>,
    /// `--key`: a path.
    pub key: Option<String>,
    /// `--on-double`: `fail` or `drop`.
    pub on_double: Option<String>,
    /// `--page-size`: `limit=100`, or `{ param = …, value = …, max = … }`.
    pub page_size: Option<String>,
    /// `--total`: a path or `header:NAME`, or `false`.
    pub total: Option<String>,
    /// `--error-path`: a path, `{ path = …, ok = […], retry = […] }`, or `false`.
    pub error_path: Option<String>,
    /// `--keep`: a parameter; several if it is repeated.
    pub keep: Vec<String>,
    /// `--partition`: `{ from = …, to = …, … }`, `{ param = …, values = … }` or `{ segment = …, … }`.
    pub partition: Option<String>,
    /// `--order`: `listed` or `any`.
    pub order: Option<String>,
    /// `--consistency`: `none`, `detect`, `repair`, `verify` or `upstream`.
    pub consistency: Option<String>,
    /// `--on-missed`: `fail` or `report`.
    pub on_missed: Option<String>,
    /// `--stable-order`: `true`.
    pub stable_order: Option<String>,
    /// `--width`: a number of pages, or `adaptive`.
    pub width: Option<String>,
    /// `--rate`: `10/s`.
    pub rate: Option<String>,
    /// The method of the pages' requests.
    pub method: Method,
}

impl Options {
    /// The pagination and the pace that the options make together.
    pub fn read(&self) -> Result<(Pagination, Pace), Mistakes> {
        let texts = [
            ("pagination", &self.pagination),
            ("records", &self.records),
            ("key", &self.key),
            ("on_double", &self.on_double),
            ("page_size", &self.page_size),
            ("total", &self.total),
            ("error_path", &self.error_path),
            ("partition", &self.partition),
            ("order", &self.order),
            ("consistency", &self.consistency),
            ("on_missed", &self.on_missed),
            ("stable_order", &self.stable_order),
            ("width", &self.width),
            ("rate", &self.rate),
        ];
        let mut entries = DeTable::new();
        let mut broken = Vec::new();
        for (key, text) in texts {
            match text.as_deref().map(|text| value(key, text)).transpose() {
                Ok(None) => {}
                Ok(Some(value)) => drop(entries.insert(Spanned::new(0..0, key.into()), Spanned::new(0..0, value))),
                Err(what) => broken.push(Mistake { at: option(key), place: None, what, hint: String::new() }),
            }
        }
        if !self.keep.is_empty() {
            let mut names = DeArray::new();
            self.keep.iter().for_each(|name| names.push(Spanned::new(0..0, DeValue::String(name.as_str().into()))));
            entries.insert(Spanned::new(0..0, "keep".into()), Spanned::new(0..0, DeValue::Array(names)));
        }
        let notes = MistakeLog::new("", unknown_key_hints::unknown_key);
        let table = TomlTable::top(&notes, &entries, &COLLECTION);
        let pace = pace::read(&table);
        let pagination = super::collection_pagination::read(&table);
        if let Some(pagination) = &pagination {
            lint::check(&table, &LintFacts { pagination, method: &self.method, body: None, retried: &[] });
        }
        if broken.is_empty() {
            let noted = notes.into_list().into_iter();
            broken = noted.map(|mistake| Mistake { at: option(&mistake.at), place: None, ..mistake }).collect();
        }
        match pagination {
            Some(pagination) if broken.is_empty() => Ok((pagination, pace)),
            _ => Err(Mistakes { name: String::new(), list: broken }),
        }
    }
}

fn value<'a>(key: &str, text: &'a str) -> Result<DeValue<'a>, String> {
    if text.trim_start().starts_with('{') {
        let parsed = DeValue::parse(text).map_err(|error| error.message().replace('\n', "; "))?;
        return Ok(parsed.into_inner());
    }
    if key == "width"
        && let Ok(number) = DeValue::parse(text)
    {
        return Ok(number.into_inner());
    }
    if matches!(key, "error_path" | "total") && text == "false" {
        return Ok(DeValue::Boolean(false));
    }
    if key == "stable_order" {
        return Ok(DeValue::Boolean(text == "true"));
    }
    if key != "page_size" {
        return Ok(DeValue::String(text.into()));
    }
    let mut table = DeTable::new();
    let mut put =
        |key: &'static str, value| drop(table.insert(Spanned::new(0..0, key.into()), Spanned::new(0..0, value)));
    match text.rsplit_once('=') {
        None => put("param", DeValue::String(text.into())),
        Some((param, number)) => {
            put("param", DeValue::String(param.into()));
            // The number goes through TOML, so that one rule says what a number is.
            let number = DeValue::parse(number).map_err(|_| format!("not a number: {number:?}; write limit=100"))?;
            put("value", number.into_inner());
        }
    }
    Ok(DeValue::Table(table))
}

/// `page_size.param` → `--page-size.param`.
fn option(at: &str) -> String {
    let (key, rest) = at.split_at(at.find('.').unwrap_or(at.len()));
    format!("--{}{rest}", key.replace('_', "-"))
}
