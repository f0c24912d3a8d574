//! Paths into a page: the singular subset of JSONPath (RFC 9535), and `[*]` where records stand inside array elements.
//!
//! The leading `$.` may be left out. A name that is not an RFC 9535 shorthand name (a letter, `_` or a non-ASCII
//! character, then also digits) is written in brackets: `["@odata.nextLink"]`.

use std::fmt;

use serde_json::Value;

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// `.name` or `["name"]`: the member of an object.
    Name(String),
    /// `[n]`: the element of an array, counted from its start.
    Index(usize),
    /// `[-n]`: the element of an array, counted from its end; `n` ≥ 1.
    FromEnd(usize),
    /// `[*]`: every element of an array; only in the path of the records.
    Each,
}

/// Location of a value in a JSON text; the empty path is the text itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

impl Path {
    /// The whole text, `$`.
    pub fn root() -> Self {
        Self::default()
    }

    pub fn new(segments: Vec<Segment>) -> Self {
        Self { segments }
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Name of the last step; `None` for an index.
    pub(super) fn last_name(&self) -> Option<&str> {
        match self.segments().last() {
            Some(Segment::Name(name)) => Some(name),
            _ => None,
        }
    }

    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    pub fn has_each(&self) -> bool {
        self.segments.contains(&Segment::Each)
    }

    /// Splits the path at its first `[*]`: into the path of the array, and the one inside each element.
    pub fn split_at_each(&self) -> (Self, Option<Self>) {
        match self.segments.iter().position(|segment| *segment == Segment::Each) {
            Some(at) => {
                let (array, inner) = self.segments.split_at(at);
                (Self::new(array.to_vec()), Some(Self::new(inner[1..].to_vec())))
            }
            None => (self.clone(), None),
        }
    }

    /// The value at this path, if every step of it exists.
    pub fn of_value<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.segments.iter().try_fold(root, |value, segment| match segment {
            Segment::Name(name) => value.get(name),
            Segment::Index(index) => value.get(index),
            Segment::FromEnd(back) => value.as_array().and_then(|array| array.get(array.len().checked_sub(*back)?)),
            Segment::Each => None,
        })
    }

    /// Puts `new` at this path, and creates the objects on the way; `Err` names the step that is neither object nor array.
    pub fn put(&self, root: &mut Value, new: Value) -> Result<(), String> {
        let mut place = root;
        for segment in &self.segments {
            if place.is_null() {
                *place = Value::Object(serde_json::Map::new());
            }
            let next = match (segment, place) {
                (Segment::Name(name), Value::Object(object)) => {
                    Some(object.entry(name.as_str()).or_insert(Value::Null))
                }
                (Segment::Index(index), Value::Array(array)) => array.get_mut(*index),
                (Segment::FromEnd(back), Value::Array(array)) => {
                    array.len().checked_sub(*back).and_then(move |at| array.get_mut(at))
                }
                _ => None,
            };
            place = next.ok_or_else(|| segment.to_string())?;
        }
        *place = new;
        Ok(())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shorthand = |name: &str| {
            name.chars()
                .enumerate()
                .all(|(at, c)| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() || (at > 0 && c.is_ascii_digit()))
                && !name.is_empty()
        };
        match self {
            Self::Name(name) if shorthand(name) => write!(f, ".{name}"),
            Self::Name(name) => write!(f, "[{}]", Value::from(name.as_str())),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::FromEnd(back) => write!(f, "[-{back}]"),
            Self::Each => f.write_str("[*]"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("$");
        }
        let text: String = self.segments.iter().map(ToString::to_string).collect();
        f.write_str(text.strip_prefix('.').unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_and_puts_values() {
        let mut value = json!({"a": {"b": [1, 2, {"c": null}]}});
        let at = |text: &str| Path::singular(text).unwrap();
        assert_eq!(at("a.b[-1].c").of_value(&value), Some(&Value::Null));
        assert_eq!(at("a.b[-4]").of_value(&value), None);
        at("a.b[-1].c").put(&mut value, json!(7)).unwrap();
        at("x.y").put(&mut value, json!([1])).unwrap();
        assert_eq!(value, json!({"a": {"b": [1, 2, {"c": 7}]}, "x": {"y": [1]}}));
        assert_eq!(at("a.b.c").put(&mut value, json!(0)), Err(".c".to_owned()));
    }
}
