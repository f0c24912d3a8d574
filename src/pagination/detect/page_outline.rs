//! The outline of a page: all that detection reads, in little memory at any length of its arrays.
//!
//! It copies a value with all its branches, and keeps texts that are no Unicode, so that it can't be read by `json_extract`, which
//! borrows single values and refuses such texts.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use bytes::Bytes;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Elements of an array that are kept; of further ones only the number is.
pub(super) const ELEMENTS: usize = 64;
/// An object with more members than this is data keyed by id.
const MEMBERS: usize = 64;
const DEPTH: usize = 128;

/// The page with its objects and scalars, and of each array the first elements, and `null` for each further one, so that it keeps
/// its length. A string that is no Unicode is kept as it was written. Text that isn't JSON gives `null`.
pub fn outline(page: &[u8]) -> Value {
    let mut budget = ValueBudget { around: 1_000_000, within: 250_000 };
    let raw = serde_json::from_slice::<&RawValue>(page);
    raw.ok()
        .and_then(|raw| Outline { budget: &mut budget, scope: OutlineScope::Around, depth: 0 }.of(raw).ok())
        .unwrap_or_default()
}

/// The text around a page's records as JSON, in which arrays may be shortened; empty if it was too large. Its outline is made once, since
/// several checks of an end read it, and only when one of them does.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    text: Bytes,
    /// The page is the array of its records, beside which nothing stands.
    is_list: bool,
    outline: OnceLock<Value>,
}

impl Sketch {
    /// Sketch of a page that may be the array of its records: an array with an envelope in it is none.
    pub(in crate::pagination) fn of_page(text: Bytes, may_be_list: bool) -> Self {
        Self { is_list: may_be_list && text.first() == Some(&b'['), ..Self::from(text) }
    }

    /// Returns the outline of the sketch; of an array of records, their number alone.
    pub fn outline(&self) -> &Value {
        self.outline.get_or_init(|| match self.is_list {
            true => serde_json::from_slice::<Vec<IgnoredAny>>(&self.text)
                .map_or(Value::Null, |records| Value::Array(vec![Value::Null; records.len()])),
            false => outline(&self.text),
        })
    }
}

impl From<Bytes> for Sketch {
    fn from(text: Bytes) -> Self {
        Self { text, is_list: false, outline: OnceLock::new() }
    }
}

impl Deref for Sketch {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.text
    }
}

/// Number of values that are still kept: elements of outermost arrays, and values inside of them.
#[derive(Debug)]
struct ValueBudget {
    around: usize,
    within: usize,
}

/// Place of a value: around the records, or possibly within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutlineScope {
    Around,
    Within,
}

/// The outline of one value. Each level is read from its raw text, because a string that is no Unicode ends any other way of
/// reading with an error.
struct Outline<'b> {
    budget: &'b mut ValueBudget,
    scope: OutlineScope,
    depth: usize,
}

impl ValueBudget {
    fn take(&mut self, scope: OutlineScope) -> bool {
        let left = match scope {
            OutlineScope::Around => &mut self.around,
            OutlineScope::Within => &mut self.within,
        };
        let is_left = *left > 0;
        *left = left.saturating_sub(1);
        is_left
    }
}

impl Outline<'_> {
    fn of(self, raw: &RawValue) -> Result<Value, serde_json::Error> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{' | b'[') if self.depth >= DEPTH => Ok(Value::Null),
            Some(b'{' | b'[') => serde_json::Deserializer::from_str(text).deserialize_any(self),
            Some(b'"') => Ok(Value::String(text_of(raw))),
            _ => serde_json::from_str(text),
        }
    }

    fn below(&mut self, scope: OutlineScope) -> Outline<'_> {
        Outline { budget: self.budget, scope, depth: self.depth + 1 }
    }
}

/// The text of a string, or its source text where that is no Unicode (a lone surrogate).
fn text_of(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().trim_matches('"').to_owned())
}

impl<'de> DeserializeSeed<'de> for Outline<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        self.of(<&RawValue>::deserialize(json)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Visitor<'de> for Outline<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = members.next_key::<&RawValue>()? {
            if self.scope == OutlineScope::Within && !self.budget.take(OutlineScope::Within) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let scope = if kept.len() < MEMBERS { self.scope } else { OutlineScope::Within };
            let value = members.next_value_seed(self.below(scope))?;
            kept.insert(text_of(name), value);
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < ELEMENTS && self.budget.take(self.scope) {
            match elements.next_element_seed(self.below(OutlineScope::Within))? {
                Some(element) => kept.push(element),
                None => return Ok(Value::Array(kept)),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {
            if self.budget.take(self.scope) {
                kept.push(Value::Null);
            }
        }
        Ok(Value::Array(kept))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_small_page_is_its_own_outline() {
        let page =
            json!({"items": [{"id": 1, "tags": ["x", [2]]}, null], "next": "é\n", "total": 1.50, "ok": true, "x": {}});
        assert_eq!(outline(page.to_string().as_bytes()), page);
        assert_eq!(outline(b" 12345678901234567890123 ").to_string(), "12345678901234567890123");
        assert_eq!(outline(b"<html>"), Value::Null);
        assert_eq!(outline(b"[1,2"), Value::Null);
    }

    #[test]
    fn long_arrays_keep_their_length() {
        let page = json!({"items": (0..5000).map(|id| json!({"id": id})).collect::<Vec<_>>(), "next": "t"});
        let outline = outline(page.to_string().as_bytes());
        let items = outline["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[63], &items[64]), (5000, &json!({"id": 63}), &Value::Null));
        assert_eq!(outline["next"], "t");
    }

    #[test]
    fn what_stands_in_records_is_kept_within_a_budget() {
        let record = format!("[{}0]", "0,".repeat(9999));
        let page = format!("{{\"items\":[{}0],\"next\":\"t\"}}", format!("{record},").repeat(99));
        let outline = outline(page.as_bytes());
        assert_eq!(outline["items"].as_array().unwrap().len(), 100);
        assert_eq!(outline["items"][0].as_array().unwrap().len(), 10_000);
        assert!(outline["items"][63].as_array().unwrap().is_empty());
        assert_eq!(outline["next"], "t");
    }

    #[test]
    fn a_text_that_is_no_unicode_hides_nothing_else() {
        let outline = outline(br#"{"a\ud83d":1,"items":[{"name":"\ud83d"}],"next":"t"}"#);
        assert_eq!(outline, json!({"a\\ud83d": 1, "items": [{"name": "\\ud83d"}], "next": "t"}));
    }

    #[test]
    fn deep_pages_are_cut() {
        let page = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(outline(page.as_bytes()).is_array());
    }
}
