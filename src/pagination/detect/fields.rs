//! The members of a page outside its records, each with the place that it stands in.

use serde_json::Value;

use super::names;
use crate::pagination::Path;
use crate::pagination::path::Segment;

/// Deeper than any pointer that was ever seen.
const DEPTH: usize = 6;
/// An object with more members than this is data keyed by id.
const MEMBERS: usize = 64;

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) path: Path,
    pub(super) name: &'a str,
    /// The name of the object that it stands in; empty at the top.
    pub(super) parent: &'a str,
    pub(super) value: &'a Value,
    pub(super) place: Place,
}

/// Whether the object that a member stands in speaks of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The top, an object around the records, or one named for paging: `meta`, `links`, `pagination`.
    Near,
    /// Any other object: perhaps data, in which `next` and `total` mean something else.
    Far,
}

impl Field<'_> {
    pub(super) fn is_near(&self) -> bool {
        self.place == Place::Near
    }

    /// The value as a whole number, also where it is written as text.
    pub(super) fn number(&self) -> Option<u64> {
        match self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => digits(text),
            _ => None,
        }
    }
}

/// A number that is written in digits only.
pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// All members outside arrays, outer ones first.
pub(super) fn fields<'a>(page: &'a Value, records: Option<&Path>) -> Vec<Field<'a>> {
    let mut found = Vec::new();
    let around = records.map(Path::segments).unwrap_or_default();
    let mut level = vec![(Vec::new(), "", Place::Near, page)];
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for (path, parent, place, object) in level {
            let Value::Object(members) = object else { continue };
            for (name, value) in members {
                let mut path: Vec<_> = path.clone();
                path.push(Segment::Name(name.clone()));
                let within = around.starts_with(&path);
                if (within || value.as_object().is_some_and(|object| object.len() <= MEMBERS))
                    && !matches!(names::plain(name).as_str(), "error" | "errors" | "included" | "warnings")
                {
                    let inner = if within || (place == Place::Near && names::is_container(name)) {
                        Place::Near
                    } else {
                        Place::Far
                    };
                    below.push((path.clone(), name.as_str(), inner, value));
                }
                found.push(Field { path: Path::of(path), name, parent, value, place });
            }
        }
        level = below;
    }
    found
}
