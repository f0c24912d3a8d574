//! Reads parsed TOML with the place of each value; a mistake is noted, and reading continues, where serde would stop.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key_names::KeyNames;
use super::mistake::{Mistake, TextPosition};

/// Mistakes that were noted in a text.
#[derive(Debug)]
pub(super) struct MistakeLog<'t> {
    text: &'t str,
    /// Hint for a key that the table does not have; a parameter, because it knows all tables and they know this file.
    hint: fn(&str, &dyn KeyNames) -> String,
    found: RefCell<Vec<Mistake>>,
    /// Keys that were met, by table: the annotated configuration must show each of them.
    #[cfg(test)]
    pub(super) met: RefCell<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

#[derive(Clone, Debug)]
pub(super) struct TomlNode<'a> {
    pub(super) notes: &'a MistakeLog<'a>,
    pub(super) at: String,
    span: Range<usize>,
    pub(super) value: &'a DeValue<'a>,
}

/// A table whose keys are all known.
#[derive(Clone, Debug)]
pub(super) struct TomlTable<'a> {
    pub(super) notes: &'a MistakeLog<'a>,
    pub(super) at: String,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'t> MistakeLog<'t> {
    pub(super) fn new(text: &'t str, hint: fn(&str, &dyn KeyNames) -> String) -> Self {
        Self {
            text,
            hint,
            found: RefCell::default(),
            #[cfg(test)]
            met: RefCell::default(),
        }
    }

    pub(super) fn note(&self, at: &str, byte: usize, what: String, hint: String) {
        let place = Some(TextPosition::of(self.text, byte));
        self.found.borrow_mut().push(Mistake { at: at.to_owned(), place, what, hint });
    }

    /// Returns true if a mistake is noted at this key or inside of it.
    pub(super) fn wrong_at(&self, at: &str) -> bool {
        let inside = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.found.borrow().iter().any(|mistake| inside(&mistake.at, at))
    }

    /// Returns the mistakes in the order of the text.
    pub(super) fn into_list(self) -> Vec<Mistake> {
        let mut list = self.found.into_inner();
        list.sort_by_key(|mistake| mistake.place);
        list
    }
}

impl<'a> TomlNode<'a> {
    /// Notes a mistake here; returns `None` for the reader to end with.
    pub(super) fn refuse<T>(&self, what: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.notes.note(&self.at, self.span.start, what.into(), hint.into());
        None
    }

    fn mistyped<T>(&self, wanted: &str, example: &str) -> Option<T> {
        let found = self.value.type_str();
        let article = |word: &str| if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let key = self.at.rsplit('.').next().unwrap_or_default();
        let what = format!("expected {} {wanted}, found {} {found}", article(wanted), article(found));
        self.refuse(what, format!("write {key} = {example}"))
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value.as_str() {
            Some("") => self.refuse("empty text", "leave the key out, or say what it is"),
            Some(text) => Some(text),
            None => self.mistyped("string", "\"…\""),
        }
    }

    /// Reads text that may be empty.
    pub(super) fn any_text(&self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.mistyped("string", "\"…\""))
    }

    /// Reads a whole number from `least` on.
    pub(super) fn number(&self, least: u64) -> Option<u64> {
        let Some(integer) = self.value.as_integer() else { return self.mistyped("whole number", "100") };
        // TOML's integers are 64 bits and signed; `written` could not say a larger one.
        match i64::from_str_radix(integer.as_str(), integer.radix()).map(u64::try_from) {
            Ok(Ok(number)) if number >= least => Some(number),
            _ => self.refuse(format!("out of range: {integer}"), format!("write a whole number from {least} on")),
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.mistyped("boolean", "true"))
    }

    pub(super) fn table(&self, level: &dyn KeyNames) -> Option<TomlTable<'a>> {
        match self.value.as_table() {
            Some(entries) => {
                let table = TomlTable { notes: self.notes, at: self.at.clone(), span: self.span.clone(), entries };
                table.check_keys(level);
                Some(table)
            }
            None => self.mistyped("table", &format!("{{ {} = … }}", level.keys().join(" = …, "))),
        }
    }

    /// Returns the entries of a table whose keys are the user's own names.
    pub(super) fn named(&self) -> Option<Vec<(&'a str, TomlNode<'a>)>> {
        let Some(entries) = self.value.as_table() else { return self.mistyped("table", "{ NAME = … }") };
        let child = |(key, value): (&'a Spanned<_>, &'a Spanned<_>)| {
            let key: &'a std::borrow::Cow<'a, str> = key.get_ref();
            (&**key, self.child(&under(&self.at, key), value))
        };
        Some(entries.iter().map(child).collect())
    }

    /// Returns another value in this place.
    pub(super) fn holding(self, value: &'a DeValue<'a>) -> Self {
        Self { value, ..self }
    }

    /// Returns an entry of a table whose keys are not checked yet.
    pub(super) fn member(&self, key: &str) -> Option<TomlNode<'a>> {
        let value = self.value.as_table()?.get(key)?;
        Some(self.child(&under(&self.at, key), value))
    }

    /// Returns the elements of an array; an empty one is a mistake.
    pub(super) fn list(&self) -> Option<Vec<TomlNode<'a>>> {
        match self.value.as_array() {
            Some(array) if array.is_empty() => self.refuse("empty list", "leave the key out, or list something"),
            Some(array) => Some(
                array.iter().enumerate().map(|(at, value)| self.child(&format!("{}[{at}]", self.at), value)).collect(),
            ),
            None => self.mistyped("array", "[…]"),
        }
    }

    /// Returns the elements of an array, or the value itself.
    pub(super) fn one_or_more(&self) -> Option<Vec<TomlNode<'a>>> {
        if self.value.is_array() { self.list() } else { Some(vec![self.clone()]) }
    }

    /// Reads every element, so that all mistakes are noted; returns them if none was wrong.
    pub(super) fn each<T>(&self, read: impl Fn(&TomlNode<'a>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<_> = self.one_or_more()?.iter().map(read).collect();
        read.into_iter().collect()
    }

    fn child(&self, at: &str, value: &'a Spanned<DeValue<'a>>) -> Self {
        TomlNode { notes: self.notes, at: at.to_owned(), span: value.span(), value: value.get_ref() }
    }
}

impl<'a> TomlTable<'a> {
    pub(super) fn top(notes: &'a MistakeLog<'a>, entries: &'a DeTable<'a>, level: &dyn KeyNames) -> Self {
        let table = Self { notes, at: String::new(), span: 0..0, entries };
        table.check_keys(level);
        table
    }

    fn check_keys(&self, level: &dyn KeyNames) {
        let keys = level.keys();
        for (key, value) in self.entries.iter() {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                let at = under(&self.at, name);
                let what = format!("unknown key {name:?}");
                // The key's own span is missing where a dotted key made the table.
                let byte = if key.span().is_empty() { value.span().start } else { key.span().start };
                self.notes.note(&at, byte, what, (self.notes.hint)(name, level));
            }
            #[cfg(test)]
            if let Some(known) = keys.iter().find(|known| **known == name) {
                self.notes.met.borrow_mut().insert((level.name(), known));
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<TomlNode<'a>> {
        let value = self.entries.get(key)?;
        Some(TomlNode { notes: self.notes, at: under(&self.at, key), span: value.span(), value: value.get_ref() })
    }

    /// Reads a key; `None` where it is absent or wrong, and the latter is noted.
    pub(super) fn maybe<T>(&self, key: &str, read: impl FnOnce(&TomlNode<'a>) -> Option<T>) -> Option<T> {
        self.get(key).and_then(|node| read(&node))
    }

    /// Reads a key with a default. A wrong value is noted, so that the default is never used for it.
    pub(super) fn or<T>(&self, key: &str, default: T, read: impl FnOnce(&TomlNode<'a>) -> Option<T>) -> T {
        self.maybe(key, read).unwrap_or(default)
    }

    /// Reads a key that must be there; `hint` goes with the mistake otherwise.
    pub(super) fn must<T>(&self, key: &str, hint: &str, read: impl FnOnce(&TomlNode<'a>) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(node) => read(&node),
            None => self.refuse_at(key, "missing", hint),
        }
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        under(&self.at, key)
    }

    /// Notes a mistake at a key of this table, or at the table where the key (`a.b` for one inside) is absent.
    pub(super) fn refuse_at<T>(&self, key: &str, what: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        let mut byte = self.span.start;
        let mut entries = Some(self.entries);
        for part in key.split('.') {
            let Some(value) = entries.and_then(|entries| entries.get(part)) else { break };
            byte = value.span().start;
            entries = value.get_ref().as_table();
        }
        self.notes.note(&under(&self.at, key), byte, what.into(), hint.into());
        None
    }
}

fn under(at: &str, key: &str) -> String {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) && !key.is_empty();
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if at.is_empty() { key } else { format!("{at}.{key}") }
}
