//! Key of the last record as the token of the next page.

use super::addressing::{Address, AddressContext, Addressing, PageAnswer};
use super::config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::style_rules::{ReadStyle, StyleRules};
use crate::pagination::error::PageError;
use crate::pagination::path::Path;
use crate::pagination::record_values::{raw_values_of, text_of};
use crate::pagination::request::{Encode, Param};

/// Pages that begin behind the record with a key, or with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyset {
    /// Paths of the record's values; several are sent as an array.
    pub key: Vec<Path>,
    pub param: Param,
    pub encode: Encode,
    pub overlap: Overlap,
    pub usage: KeyUse,
}

/// Use that the upstream makes of a key to find the place behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    Unknown,
    /// The list is sorted by the key, and records behind its value follow, though its own record is gone.
    Compared,
    /// The record with the key is looked up, in any order of the list.
    LookedUp,
}

/// First record of a page, relative to the record whose key its request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// The record behind it.
    None,
    /// The record itself, which is read twice and emitted once.
    First,
}

impl ReadStyle for Keyset {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "keyset",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("key", KeyKind::Paths).with_need(KeyNeed::Inherited(
                "say which of a record's fields goes into the next request: key = \"id\"",
            )),
            StyleKey::new("param", KeyKind::Param).with_need(KeyNeed::PARAM),
            StyleKey::new("encode", KeyKind::Word(&["plain", "json"])),
            StyleKey::new("overlap", KeyKind::Number { least: 0 }),
            StyleKey::new("anchor", KeyKind::Word(&["compared", "looked_up"])),
            StyleKey::MORE,
            StyleKey::END,
        ],
    };

    fn read(values: &mut StyleValues, mistakes: &mut Vec<KeyMistake>) -> Option<Self> {
        let encode = if values.text("encode").as_deref() == Some("json") { Encode::Json } else { Encode::Plain };
        let overlap = match values.number("overlap") {
            None | Some(0) => Overlap::None,
            Some(1) => Overlap::First,
            Some(more) => {
                mistakes.push(KeyMistake {
                    key: "overlap",
                    what: format!("{more} records of overlap"),
                    hint: "0 where a page starts after the record that the token names, 1 where it starts with it",
                });
                Overlap::None
            }
        };
        let usage = match values.text("anchor").as_deref() {
            Some("compared") => KeyUse::Compared,
            Some(_) => KeyUse::LookedUp,
            None => KeyUse::Unknown,
        };
        Some(Self { key: values.paths("key")?, param: values.param("param")?, encode, overlap, usage })
    }
}

impl StyleRules for Keyset {
    fn values(&self) -> StyleValues {
        let (key, param) = (StyleValue::Paths(self.key.clone()), StyleValue::Param(self.param.clone()));
        let mut values = StyleValues::from([("key", key), ("param", param)]);
        values.put_some("encode", (self.encode == Encode::Json).then(|| StyleValue::Text("json".to_owned())));
        values.put_some("overlap", (self.overlap == Overlap::First).then_some(StyleValue::Number(1)));
        let anchor = match self.usage {
            KeyUse::Unknown => None,
            KeyUse::Compared => Some("compared"),
            KeyUse::LookedUp => Some("looked_up"),
        };
        values.put_some("anchor", anchor.map(|word| StyleValue::Text(word.to_owned())));
        values
    }

    fn addressing(&self) -> Addressing {
        Addressing::Key
    }

    fn params(&self) -> Vec<&Param> {
        vec![&self.param]
    }

    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        let mut values = Vec::new();
        for (path, value) in self.key.iter().zip(raw_values_of(answer.last_record, &self.key)?) {
            values.push(value.ok_or_else(|| PageError::NoKey(path.clone()))?.get());
        }
        let spelling = if let [value] = values[..] { value.to_owned() } else { format!("[{}]", values.join(",")) };
        self.at(context, &spelling).map(Some)
    }

    fn behind(&self, context: AddressContext<'_>, key: &[u8]) -> Result<Option<Address>, PageError> {
        self.at(context, text_of(key)?).map(Some)
    }

    /// A small page with an overlap may hold nothing but the record that its key names.
    fn is_resizable(&self) -> bool {
        self.overlap == Overlap::None
    }

    fn overlap_key(&self) -> Option<&[Path]> {
        Some(&self.key)
    }

    fn repetition(&self) -> PageError {
        PageError::KeyRepeats(self.param.clone())
    }

    fn sends_array(&self) -> bool {
        self.key.len() > 1 && self.encode == Encode::Plain
    }
}

impl Keyset {
    /// Address of the page behind a key that is spelled so in JSON; several values are an array.
    fn at(&self, context: AddressContext<'_>, key: &str) -> Result<Address, PageError> {
        // The path of the key's only value is told; of several, the text is an array that was made of them.
        let path = self.key.first().filter(|_| self.key.len() == 1).cloned().unwrap_or_default();
        let value = serde_json::from_str(key);
        let value = value.map_err(|error| PageError::Unreadable { path, what: error.to_string() })?;
        let mut request = context.first.clone();
        request.set_spelled(&self.param, &value, key, self.encode)?;
        Ok(Address::unnumbered(request))
    }
}
