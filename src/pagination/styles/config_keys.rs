//! Configuration keys of the pagination styles as data: `config` reads, writes and suggests them by these tables alone.

use serde_json::Value;
use url::Url;

use crate::pagination::path::Path;
use crate::pagination::request::Param;
use crate::pagination::value_source::Source;

/// Name of a style and the keys of its table.
#[derive(Debug)]
pub struct StyleSchema {
    pub name: &'static str,
    pub keys: &'static [StyleKey],
}

/// One key of a style's table.
#[derive(Clone, Copy, Debug)]
pub struct StyleKey {
    pub name: &'static str,
    pub kind: KeyKind,
    pub need: KeyNeed,
}

/// Form of a key's value.
#[derive(Clone, Copy, Debug)]
pub enum KeyKind {
    /// A key that several styles share and that `config` reads: `type`, `more`, `end`, `same_token`.
    Shared,
    /// Text that is not empty.
    Text,
    /// Whole number from `least` on.
    Number {
        least: u64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    Param,
    Path,
    /// One path or a list of them.
    Paths,
    /// One place in an answer or a list of them.
    Sources,
    /// List of JSON values.
    Values,
    Json,
    /// One of these words, else a path.
    WordOrPath(&'static [&'static str]),
    /// This word, else an absolute URL.
    WordOrUrl(&'static str),
    /// Table with one entry of text.
    Pair,
    /// Table with these keys.
    Table(&'static [StyleKey]),
    /// List of tables with these keys.
    Tables(&'static [StyleKey]),
}

/// Reason for which a key may be absent; the texts are the hints of the message about a missing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNeed {
    Optional,
    Required(&'static str),
    /// The collection's own `key` stands for it; required if that is absent, too.
    Inherited(&'static str),
}

/// Value of a style's key.
#[derive(Clone, Debug, PartialEq)]
pub enum StyleValue {
    Text(String),
    Number(u64),
    Param(Param),
    Path(Path),
    Paths(Vec<Path>),
    Sources(Vec<Source>),
    Values(Vec<Value>),
    Json(Value),
    Url(Url),
    Pair(String, String),
    Table(StyleValues),
    Tables(Vec<StyleValues>),
}

/// Values of a style's table, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StyleValues(Vec<(&'static str, Option<StyleValue>)>);

/// Keys that contradict each other, or of which one is missing.
#[derive(Clone, Debug)]
pub struct KeyMistake {
    pub key: &'static str,
    pub what: String,
    pub hint: &'static str,
}

impl KeyNeed {
    pub(super) const PARAM: Self = Self::Required(
        "say where it goes: param = \"NAME\" (query), \"body:PATH\", \"form:NAME\", \"header:NAME\" or \"path:NAME\"",
    );

    /// Hint for a key that must be there.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Optional => None,
            Self::Required(hint) | Self::Inherited(hint) => Some(hint),
        }
    }
}

impl StyleKey {
    pub(super) const TYPE: Self = Self::new("type", KeyKind::Shared);
    pub(super) const MORE: Self = Self::new("more", KeyKind::Shared);
    pub(super) const END: Self = Self::new("end", KeyKind::Shared);
    pub(super) const SAME_TOKEN: Self = Self::new("same_token", KeyKind::Shared);

    pub(super) const fn new(name: &'static str, kind: KeyKind) -> Self {
        Self { name, kind, need: KeyNeed::Optional }
    }

    pub(super) const fn with_need(self, need: KeyNeed) -> Self {
        Self { need, ..self }
    }
}

/// Declares methods that take a key's value out if it has their form.
macro_rules! readers {
    ($($name:ident: $form:ident($value:ty),)*) => {
        $(pub(super) fn $name(&mut self, key: &str) -> Option<$value> {
            self.take(key, |value| if let StyleValue::$form(value) = value { Some(value) } else { None })
        })*
    };
}

impl StyleValues {
    /// Adds the value of a key that is present; `None` for one that could not be read.
    pub fn put(&mut self, key: &'static str, value: Option<StyleValue>) {
        self.0.push((key, value));
    }

    /// Adds the value of a key, if there is one.
    pub(super) fn put_some(&mut self, key: &'static str, value: Option<StyleValue>) {
        if value.is_some() {
            self.put(key, value);
        }
    }

    pub fn is_present(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == key)
    }

    /// Keys and values in the order in which they were added, without those that could not be read.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &StyleValue)> {
        self.0.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)))
    }

    /// Takes a key's value out if it has this form.
    pub(super) fn take<T>(&mut self, key: &str, form: impl FnOnce(StyleValue) -> Option<T>) -> Option<T> {
        let (_, value) = self.0.iter_mut().find(|(name, _)| *name == key)?;
        value.take().and_then(form)
    }

    readers! {
        text: Text(String),
        number: Number(u64),
        param: Param(Param),
        path: Path(Path),
        paths: Paths(Vec<Path>),
        sources: Sources(Vec<Source>),
        list: Values(Vec<Value>),
        json: Json(Value),
        url: Url(Url),
        table: Table(Self),
        tables: Tables(Vec<Self>),
    }

    pub(super) fn pair(&mut self, key: &str) -> Option<(String, String)> {
        self.take(key, |value| if let StyleValue::Pair(name, value) = value { Some((name, value)) } else { None })
    }
}

impl<const N: usize> From<[(&'static str, StyleValue); N]> for StyleValues {
    fn from(values: [(&'static str, StyleValue); N]) -> Self {
        Self(values.into_iter().map(|(name, value)| (name, Some(value))).collect())
    }
}

impl KeyMistake {
    /// Mistake of a key that must be there and isn't.
    pub(super) fn missing(key: &StyleKey) -> Self {
        Self { key: key.name, what: "missing".to_owned(), hint: key.need.hint().unwrap_or_default() }
    }
}
