//! Extraction of the raw values at several paths of a JSON text, in one pass that checks the rest.
//!
//! It borrows from a text that is in memory. The splitter can't serve for it: that copies values out of pieces of a page, and this
//! reads values around the records again, and of single records: their keys, and their places in a range.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::start_of;
use super::path::Segment;
use super::{PageError, Path};

/// Parses a text into a type that borrows from it.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, PageError> {
    serde_json::from_str(text).map_err(|error| not_json(text, &error))
}

fn not_json(text: &str, error: &serde_json::Error) -> PageError {
    let shown = format!("it starts with `{}`", start_of(text.trim_start(), 60));
    PageError::NotJson { at: error.column() as u64, what: error.to_string(), shown }
}

/// Extracts the raw values at `paths`; fails where the text isn't JSON as a whole.
pub(super) fn extract<'a>(text: &'a str, paths: &[&Path]) -> Result<Vec<Option<&'a RawValue>>, PageError> {
    let mut values = vec![None; paths.len()];
    PathSet::new(paths).extract(text, &mut values)?;
    Ok(values)
}

/// Paths whose values are extracted from one text after the other.
#[derive(Debug)]
pub(super) struct PathSet {
    paths: Vec<Path>,
    tree: PathTree,
}

impl PathSet {
    pub(super) fn new(paths: &[&Path]) -> Self {
        let mut tree = PathTree::default();
        for (slot, path) in paths.iter().enumerate() {
            tree.add(path.segments(), slot);
        }
        Self { paths: paths.iter().map(|path| (*path).clone()).collect(), tree }
    }

    /// Puts the raw value at each path into its slot.
    pub(super) fn extract<'a>(&self, text: &'a str, values: &mut [Option<&'a RawValue>]) -> Result<(), PageError> {
        let mut found = Extracted { values, twice: None };
        let mut json = serde_json::Deserializer::from_str(text);
        let checked =
            Extractor { tree: &self.tree, found: &mut found }.deserialize(&mut json).and_then(|()| json.end());
        checked.map_err(|error| not_json(text, &error))?;
        match found.twice {
            Some(slot) => Err(PageError::Duplicate(self.paths[slot].clone())),
            None => Ok(()),
        }
    }
}

/// Paths, joined where they start alike.
#[derive(Debug, Default)]
struct PathTree {
    slots: Vec<usize>,
    below: Vec<(Segment, PathTree)>,
}

struct Extracted<'v, 'a> {
    values: &'v mut [Option<&'a RawValue>],
    twice: Option<usize>,
}

/// Visitor of one value, which enters the branches of the paths, and checks and skips the rest.
struct Extractor<'t, 'f, 'v, 'de> {
    tree: &'t PathTree,
    found: &'f mut Extracted<'v, 'de>,
}

impl PathTree {
    fn add(&mut self, segments: &[Segment], slot: usize) {
        let Some((first, rest)) = segments.split_first() else {
            self.slots.push(slot);
            return;
        };
        if !self.below.iter().any(|(segment, _)| segment == first) {
            self.below.push((first.clone(), Self::default()));
        }
        for (_, tree) in self.below.iter_mut().filter(|(segment, _)| segment == first) {
            tree.add(rest, slot);
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        self.below.iter().find_map(|(segment, tree)| match segment {
            Segment::Name(wanted) if wanted == name => Some(tree),
            _ => None,
        })
    }

    fn has_indexes(&self) -> bool {
        self.below.iter().any(|(segment, _)| !matches!(segment, Segment::Name(_)))
    }
}

impl<'de> DeserializeSeed<'de> for Extractor<'_, '_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.tree.slots.is_empty() && !self.tree.has_indexes() {
            return json.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(json)?;
        for slot in &self.tree.slots {
            if self.found.values[*slot].replace(raw).is_some() {
                self.found.twice = Some(*slot);
            }
        }
        self.descend(raw).map_err(serde::de::Error::custom)
    }
}

impl<'de> Extractor<'_, '_, '_, 'de> {
    /// Enters a value whose own text is extracted, or whose elements are counted from an end.
    fn descend(self, raw: &'de RawValue) -> Result<(), serde_json::Error> {
        match raw.get().as_bytes().first() {
            Some(b'{') if !self.tree.below.is_empty() => {
                serde_json::Deserializer::from_str(raw.get()).deserialize_map(self)
            }
            Some(b'[') if self.tree.has_indexes() => {
                let elements: Vec<&'de RawValue> = serde_json::from_str(raw.get())?;
                for (segment, tree) in &self.tree.below {
                    let at = match segment {
                        Segment::Index(index) => Some(*index),
                        Segment::FromEnd(back) => elements.len().checked_sub(*back),
                        Segment::Name(_) | Segment::Each => None,
                    };
                    if let Some(element) = at.and_then(|at| elements.get(at)) {
                        let mut json = serde_json::Deserializer::from_str(element.get());
                        Extractor { tree, found: &mut *self.found }.deserialize(&mut json)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl<'de> Visitor<'de> for Extractor<'_, '_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = members.next_key()? {
            match self.tree.member(&name) {
                Some(tree) => members.next_value_seed(Extractor { tree, found: &mut *self.found })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses the raw value at a path. It is valid JSON, but can contain a lone surrogate, which is an error: read as `null`, it
/// would end the collection.
pub(super) fn value_of(path: &Path, raw: &RawValue) -> Result<Value, PageError> {
    serde_json::from_str(raw.get())
        .map_err(|error| PageError::Unreadable { path: path.clone(), what: error.to_string() })
}
