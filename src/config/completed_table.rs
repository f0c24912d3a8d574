//! A table of one layer, completed by the layer below.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Tables whose keys mean the same whatever stands beside them. All others are one value: a flag's `while` belongs to its `path`.
const COMPLETED: [&str; 7] = ["page_size", "headers", "limits", "retry", "timeouts", "caps", "rate_limit"];

/// Adds the keys that a table lacks from the layer below; `span` is the place for mistakes in them. Some tables in both are completed, too.
pub(super) fn complete<'a>(above: &mut DeTable<'a>, below: &DeTable<'a>, span: Option<&Range<usize>>) {
    for (key, value) in below.iter() {
        let name: &str = key.get_ref();
        match above.get_mut(name).map(Spanned::get_mut) {
            None => drop(above.insert(moved_key(key, span), moved(value, span))),
            Some(DeValue::Table(own)) if COMPLETED.contains(&name) => {
                if let DeValue::Table(below) = value.get_ref() {
                    complete(own, below, span);
                }
            }
            Some(_) => {}
        }
    }
}

pub(super) fn text<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t str> {
    table.get(key)?.get_ref().as_str()
}

fn moved_key<'a>(key: &Spanned<Cow<'a, str>>, span: Option<&Range<usize>>) -> Spanned<Cow<'a, str>> {
    Spanned::new(span.cloned().unwrap_or_else(|| key.span()), key.get_ref().clone())
}

/// Copies a value to another place, or to its own.
pub(super) fn moved<'a>(value: &Spanned<DeValue<'a>>, span: Option<&Range<usize>>) -> Spanned<DeValue<'a>> {
    let Some(place) = span else { return value.clone() };
    let inside = match value.get_ref() {
        DeValue::Table(table) => {
            DeValue::Table(table.iter().map(|(key, value)| (moved_key(key, span), moved(value, span))).collect())
        }
        DeValue::Array(array) => {
            let mut copied = DeArray::new();
            array.iter().for_each(|value| copied.push(moved(value, span)));
            DeValue::Array(copied)
        }
        other => other.clone(),
    };
    Spanned::new(place.clone(), inside)
}
