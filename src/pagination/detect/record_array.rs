//! The array of records among a page's arrays.

use std::cmp::Reverse;

use serde_json::Value;

use super::{member_names, page_outline};
use crate::pagination::path::Segment;
use crate::pagination::{PageRequest, Path};

const DEPTH: usize = 4;

/// All outermost arrays of a page with their lengths, the least deep first.
pub fn arrays(page: &Value) -> Vec<(Path, usize)> {
    found(page).into_iter().map(|array| (Path::new(array.path), array.elements.len())).collect()
}

/// Path of the records: the page itself, the only possible array, or the likeliest by its elements, its name and its depth.
pub fn records_path(request: &PageRequest, page: &Value) -> Option<Path> {
    if let Some(array) = beside_envelope(page) {
        return Some(Path::new(vec![array]));
    }
    if page.is_array() {
        return Some(Path::root());
    }
    let all = found(page);
    let outside: Vec<_> = all.iter().filter(|array| !array.is_aside()).collect();
    let array = match outside[..] {
        // Some APIs keep the records themselves under `meta`; none keeps them under `links` or `errors`.
        [] => match &all.iter().filter(|array| array.is_in_meta()).collect::<Vec<_>>()[..] {
            [only] => only,
            _ => return None,
        },
        [only] => only,
        _ => {
            let resource = request.url.path_segments()?.rev().find(|segment| !segment.is_empty()).unwrap_or_default();
            let resource = member_names::plain(resource.strip_suffix(".json").unwrap_or(resource));
            let mut likeliest: Vec<_> = outside.iter().map(|array| (array.score(&resource), *array)).collect();
            likeliest.sort_by_key(|(score, _)| Reverse(*score));
            match likeliest[..] {
                // Nothing tells two arrays of objects apart: to stream the wrong one would be silent.
                [(first, one), (second, other), ..] if first == second && one.has_objects() && other.has_objects() => {
                    return None;
                }
                [(_, one), ..] => one,
                [] => return None,
            }
        }
    };
    let mut path = array.path.clone();
    if array.is_edges() {
        path.extend([Segment::Each, Segment::Name("node".to_owned())]);
    }
    Some(Path::new(path))
}

/// Place of the records in a page that is an array itself, of an object about them and their own array (the World Bank's).
fn beside_envelope(page: &Value) -> Option<Segment> {
    match page.as_array()?.as_slice() {
        [Value::Object(_), Value::Array(_)] => Some(Segment::Index(1)),
        [Value::Array(_), Value::Object(_)] => Some(Segment::Index(0)),
        _ => None,
    }
}

/// Reason for which the found array may not be the records, where the second page can't tell: a page that ends the collection
/// must leave no doubt.
pub(super) fn doubt(request: &PageRequest, page: &Value, records: &Path) -> Option<String> {
    let path = records.split_at_each().0;
    // An object with an id is a record itself, and the array a part of it.
    let mut around = (0..path.segments().len()).map(|depth| Path::new(path.segments()[..depth].to_vec()));
    let is_record = |object: &Value| object.get("id").is_some_and(|id| id.is_string() || id.is_number());
    if let Some(owner) = around.find(|around| around.of_value(page).is_some_and(is_record)) {
        return Some(format!("`{owner}` has an id, and `{path}` may be a part of it"));
    }
    is_one_of_several(request, page, records, Rivals::Any).then(|| format!("`{path}` may not be the records"))
}

/// Arrays, beside the found one, that count as possible records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rivals {
    /// All of them.
    Any,
    /// Those that have elements.
    Filled,
}

/// Returns whether other arrays may be the records as well, and neither a usual name nor the request's path singles this one out.
pub(super) fn is_one_of_several(request: &PageRequest, page: &Value, records: &Path, rivals: Rivals) -> bool {
    let path = records.split_at_each().0;
    let all = found(page);
    let others = |array: &&ArrayCandidate<'_>| {
        array.path != path.segments() && !array.is_aside() && (rivals == Rivals::Any || !array.elements.is_empty())
    };
    let others: Vec<_> = all.iter().filter(others).collect();
    let Some(own) = all.iter().find(|array| array.path == path.segments()) else { return true };
    let segments: Vec<_> = request.url.path_segments().into_iter().flatten().map(member_names::plain).collect();
    !others.is_empty() && (!own.is_named(&segments) || others.iter().any(|other| other.is_named(&segments)))
}

struct ArrayCandidate<'a> {
    path: Vec<Segment>,
    elements: &'a [Value],
}

impl ArrayCandidate<'_> {
    fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.path.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn is_aside(&self) -> bool {
        self.names().any(member_names::is_not_records)
    }

    fn is_in_meta(&self) -> bool {
        let aside = self.names().filter(|name| member_names::is_not_records(name));
        aside.map(member_names::plain).all(|name| matches!(name.as_str(), "meta" | "metadata"))
    }

    fn has_objects(&self) -> bool {
        self.elements.first().is_some_and(Value::is_object)
    }

    /// A GraphQL connection: each element wraps its record.
    fn is_edges(&self) -> bool {
        self.names().next_back() == Some("edges")
            && !self.elements.is_empty()
            && self
                .elements
                .iter()
                .take(page_outline::ELEMENTS)
                .all(|edge| edge.get("node").is_some_and(Value::is_object))
    }

    /// Returns whether it has a usual name of records, or the name of the requested resource.
    fn is_named(&self, segments: &[String]) -> bool {
        let name = member_names::plain(self.names().next_back().unwrap_or_default());
        let asked = |segment: &String| stem(segment).len() > 2 && stem(segment) == stem(&name);
        member_names::is_records(&name) || segments.iter().any(asked)
    }

    fn score(&self, resource: &str) -> i64 {
        let name = member_names::plain(self.names().next_back().unwrap_or_default());
        let elements = match self.elements.first() {
            Some(Value::Object(_)) => 30,
            // Rows without names, as tables have them.
            Some(Value::Array(_)) => 15,
            None => 12,
            Some(_) => 0,
        };
        let named = i64::from(member_names::is_records(&name)) * 20;
        let (resource, stem) = (stem(resource), stem(&name));
        // `/custom-fields` answers with `fields`, `/campaigns` with `emailer_campaigns`.
        let ends_alike = stem.len() > 2 && resource.len() > 2 && (resource.ends_with(stem) || stem.ends_with(resource));
        let same = if ends_alike { 15 + 10 * i64::from(resource == stem) } else { 0 };
        let depth = i64::try_from(self.path.len()).unwrap_or(i64::MAX);
        elements + named + same - 5 * depth
    }
}

/// The name without the endings in which singular and plural differ: `category` and `categories`, `box` and `boxes`.
fn stem(name: &str) -> &str {
    name.trim_end_matches(['s', 'e', 'i', 'y'])
}

fn found(page: &Value) -> Vec<ArrayCandidate<'_>> {
    let mut found = Vec::new();
    let array = beside_envelope(page).map(|array| Path::new(vec![array]));
    let mut level = match array.as_ref().and_then(|array| Some((array.segments().to_vec(), array.of_value(page)?))) {
        Some(records) => vec![records],
        None => vec![(Vec::new(), page)],
    };
    for _ in 0..=DEPTH {
        let mut below = Vec::new();
        for (path, value) in level {
            match value {
                Value::Array(elements) => found.push(ArrayCandidate { path, elements }),
                Value::Object(members) => below.extend(members.iter().map(|(name, value)| {
                    let mut path: Vec<Segment> = path.clone();
                    path.push(Segment::Name(name.clone()));
                    (path, value)
                })),
                _ => {}
            }
        }
        level = below;
    }
    found
}

/// Returns the records in an array of the page; none if an element has none.
pub(crate) fn elements<'p>(records: &Path, page: &'p Value) -> Option<Vec<&'p Value>> {
    let (array, within) = records.split_at_each();
    let elements = array.of_value(page)?.as_array()?.iter();
    match within {
        Some(within) => elements.map(|element| within.of_value(element)).collect(),
        None => Some(elements.collect()),
    }
}

/// Returns true if the second page begins with a record that the first one, which has several, has not.
pub fn begins_elsewhere(records: &Path, first: &[u8], second: &[u8]) -> bool {
    let read = |page: &[u8]| serde_json::from_slice::<Value>(page).ok();
    let (Some(first), Some(second)) = (read(first), read(second)) else { return false };
    let (Some(first), Some(second)) = (elements(records, &first), elements(records, &second)) else { return false };
    first.len() > 1 && second.first().is_some_and(|record| !first.contains(record))
}
