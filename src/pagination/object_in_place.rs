//! Object in the place of a page's record array: PHP's array with gaps, one record, or another list than was configured.

use std::fmt;

use serde_json::Value;

use super::record_settings::{Records, RecordsShape};

/// Hint for an object that may be keyed by numbers or ids.
pub(crate) const KEYED_HINT: &str = "if its names are numbers, as PHP writes an array with gaps, write records = { path = …, as = \"list\" }, which takes arrays and such objects; if they are ids, as = \"values\"";
/// Hint for an object that may be one record.
pub(crate) const ONE_RECORD_HINT: &str = "if the object is one record, write records = { path = …, as = \"one_or_more\" }; if it is keyed by ids, as = \"values\"; if this is how the upstream reports an error under status 200, set error_path to its place";

/// Object where `records` has an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectInPlace {
    /// Its names are numbers, and its values objects.
    Numbered,
    /// It is empty, or larger than what is kept of a page around its records.
    Unknown,
    /// Another one, with the beginning of the page.
    Other(String),
}

impl ObjectInPlace {
    /// Returns the object at a path of the records by the outline of a page that has no array there; none where no object is there. `start` shows
    /// the beginning of the page.
    pub(super) fn of(records: &Records, outline: &Value, start: impl FnOnce() -> String) -> Option<Self> {
        let [path] = records.paths.as_slice() else { return None };
        let (last, parents) = path.segments().split_last()?;
        if records.shape != RecordsShape::Elements || path.split_at_each().1.is_some() {
            return None;
        }
        let parent = super::Path::new(parents.to_vec());
        let place = super::Path::new(vec![last.clone()]);
        let members = place.of_value(parent.of_value(outline)?)?.as_object()?;
        let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        Some(match members.iter().all(|(name, value)| is_number(name) && value.is_object()) {
            true if members.is_empty() => Self::Unknown,
            true => Self::Numbered,
            false => Self::Other(start()),
        })
    }

    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Numbered | Self::Unknown => KEYED_HINT,
            Self::Other(_) => ONE_RECORD_HINT,
        }
    }
}

impl fmt::Display for ObjectInPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered => f.write_str("an object there, whose names are numbers"),
            Self::Unknown => f.write_str("an object there"),
            Self::Other(start) => write!(f, "an object there, it starts with `{start}`"),
        }
    }
}
