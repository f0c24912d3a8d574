//! Key of a parent: the value of its record that leads to its list.

use serde_json::value::RawValue;

use crate::pagination::Path;
use crate::pagination::dot_segments::has_dot_segments;
use crate::pagination::error::start_of;
use crate::pagination::json_extract::extract;

/// Longest key, in bytes: it stands in a URL.
const LONGEST: usize = 1024;

/// Value that leads to the list of a parent: a text or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentKey {
    json: Box<str>,
    text: Box<str>,
}

/// Record of a parent that leads to no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParent {
    #[error("the record of a parent is no JSON: {0}")]
    NotJson(String),
    #[error("a parent has no value at `{0}`")]
    Missing(Path),
    #[error("the value of a parent at `{0}` is neither text nor a number: {1}")]
    NotText(Path, String),
    #[error("the value of a parent at `{0}` is no segment of a path: {1}")]
    NoSegment(Path, String),
}

impl ParentKey {
    /// Reads the key of a parent from the line of its record.
    ///
    /// # Errors
    /// Fails where the value is absent, `null`, neither text nor a number, longer than 1 KiB, or a text that is no segment of a path.
    pub fn read(line: &[u8], path: &Path) -> Result<Self, BadParent> {
        let line = std::str::from_utf8(line).map_err(|error| BadParent::NotJson(error.to_string()))?.trim();
        let values = extract(line, &[path]).map_err(|error| BadParent::NotJson(error.to_string()))?;
        let raw = values.into_iter().next().flatten().filter(|raw| raw.get() != "null");
        let raw = raw.ok_or_else(|| BadParent::Missing(path.clone()))?;
        let shown = || start_of(raw.get(), 60).to_string();
        let key = Self::from_json(raw).ok_or_else(|| BadParent::NotText(path.clone(), shown()))?;
        // Such a segment is resolved, or lost, on the way to the upstream: the list would be another one.
        if key.text.is_empty() || key.text.len() > LONGEST || has_dot_segments(&key.text) {
            return Err(BadParent::NoSegment(path.clone(), shown()));
        }
        Ok(key)
    }

    /// Reads the key from its JSON; none where it is neither text nor a number.
    pub fn from_json(raw: &RawValue) -> Option<Self> {
        let json = raw.get();
        let text = match json.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(json).ok()?,
            b'-' | b'0'..=b'9' => json.to_owned(),
            _ => return None,
        };
        Some(Self { json: json.into(), text: text.into() })
    }

    /// JSON of the key, spelled as in the record of the parent.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Text of the key, as it goes into a path before it is encoded.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_spelling_and_others_are_refused() {
        let path: Path = "a.id".parse().unwrap();
        let read = |line: &str| ParentKey::read(line.as_bytes(), &path);
        for (line, json, text) in [
            (r#"{"a":{"id":12345678901234567890123}}"#, "12345678901234567890123", "12345678901234567890123"),
            ("{ \"a\" : { \"id\" : 1.0 } }\n", "1.0", "1.0"),
            (r#"{"id":2,"a":{"id":"x/\u0079"}}"#, r#""x/\u0079""#, "x/y"),
            (r#"{"a":{"id":"..."}}"#, r#""...""#, "..."),
        ] {
            let key = read(line).unwrap();
            assert_eq!((key.json(), key.text()), (json, text));
        }
        for line in [
            "{}",
            r#"{"a":{"id":null}}"#,
            r#"{"a":{"id":true}}"#,
            r#"{"a":{"id":[1]}}"#,
            r#"{"a":{"id":""}}"#,
            r#"{"a":{"id":".."}}"#,
            r#"{"a":{"id":"\u002e"}}"#,
            r#"{"a":{"id":"1/../../secret"}}"#,
            r#"{"a":{"id":"1/..;/2"}}"#,
            r#"{"a":{"id":"..%2f2"}}"#,
            r#"{"a":{"id":"%252e%252e"}}"#,
            r#"{"a":{"id":"a\\b"}}"#,
            r#"{"a":{"id":"a\u0000"}}"#,
            r#"{"a":{"id":"\ud800"}}"#,
            r#"{"a":{"id":1},"a":{"id":2}}"#,
            "7",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        let root = ParentKey::read(b"\"r1\"\n", &Path::root()).unwrap();
        assert_eq!(root.text(), "r1");
    }
}
