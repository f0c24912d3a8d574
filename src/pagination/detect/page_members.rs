//! The members of a page outside its records, each with its path.

use serde_json::Value;

use super::member_names;
use crate::pagination::Path;
use crate::pagination::path::Segment;

/// Depth that no known API's pointer exceeds.
const DEPTH: usize = 6;
/// An object with more members than this is data keyed by id.
const MEMBERS: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct OuterField<'a> {
    pub(super) path: Path,
    pub(super) name: &'a str,
    /// Name of its object; empty at the top.
    pub(super) parent: &'a str,
    pub(super) value: &'a Value,
    pub(super) nearness: Nearness,
}

/// Relation of a member's object to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nearness {
    /// The top, an object around the records, or one named for paging: `meta`, `links`, `pagination`.
    Near,
    /// Any other object: perhaps data, in which `next` and `total` mean something else.
    Far,
}

impl OuterField<'_> {
    pub(super) fn is_near(&self) -> bool {
        self.nearness == Nearness::Near
    }

    /// The value as a whole number, also if it is a string.
    pub(super) fn number(&self) -> Option<u64> {
        match self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => digits(text),
            _ => None,
        }
    }
}

pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// All members outside arrays, outer ones first; a page that is no record array itself may be an array of its parts.
pub(super) fn fields<'a>(page: &'a Value, records: Option<&Path>) -> Vec<OuterField<'a>> {
    let mut found = Vec::new();
    let around = records.map(Path::segments).unwrap_or_default();
    let mut level = match page {
        Value::Array(elements) if !around.is_empty() => {
            let beside = |(at, element)| (vec![Segment::Index(at)], "", Nearness::Near, element);
            elements.iter().enumerate().map(beside).collect()
        }
        _ => vec![(Vec::new(), "", Nearness::Near, page)],
    };
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for (path, parent, nearness, object) in level {
            let Value::Object(members) = object else { continue };
            for (name, value) in members {
                let mut path: Vec<_> = path.clone();
                path.push(Segment::Name(name.clone()));
                let within = around.starts_with(&path);
                if (within || value.as_object().is_some_and(|object| object.len() <= MEMBERS))
                    && !matches!(member_names::plain(name).as_str(), "error" | "errors" | "included" | "warnings")
                {
                    let inner = if within || (nearness == Nearness::Near && member_names::is_container(name)) {
                        Nearness::Near
                    } else {
                        Nearness::Far
                    };
                    below.push((path.clone(), name.as_str(), inner, value));
                }
                found.push(OuterField { path: Path::new(path), name, parent, value, nearness });
            }
        }
        level = below;
    }
    found
}

/// The query parameters of a text, if it is a URL.
pub(super) fn query_of(text: &str) -> Vec<(String, String)> {
    let query = text.split_once('?').map(|(_, query)| query.split('#').next().unwrap_or_default());
    let is_url = text.starts_with("http") || text.starts_with('/') || text.starts_with('?');
    let query = query.filter(|_| is_url).unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
