//! Names of the members of records that a client wants, and no others.

use std::str::FromStr;
use std::sync::Arc;

/// Largest number of names.
const MAX_FIELDS: usize = 512;

/// Sorted paths, with dots between the names of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNames(Arc<[String]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldNamesError {
    #[error("no member is named, or one without a name")]
    Empty,
    #[error("more than {MAX_FIELDS} members are named")]
    Many,
}

/// Relation of a value to the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldMatch {
    /// It is named.
    Named,
    /// Members of it are.
    Above,
    Absent,
}

impl FieldNames {
    /// Returns these names and more.
    pub(super) fn with(&self, more: &[&str]) -> Self {
        let all = self.0.iter().cloned().chain(more.iter().map(|&name| name.to_owned()));
        Self::sorted(all.collect())
    }

    fn sorted(mut names: Vec<String>) -> Self {
        names.sort();
        names.dedup();
        Self(names.into())
    }

    /// Returns the names in one spelling.
    pub fn canonical(&self) -> String {
        self.0.join(",")
    }

    /// Returns the length of the longest path in bytes.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(String::len).max().unwrap_or_default()
    }

    pub(super) fn find(&self, path: &[u8]) -> FieldMatch {
        let from = match self.0.binary_search_by(|name| name.as_bytes().cmp(path)) {
            Ok(_) => return FieldMatch::Named,
            Err(from) => from,
        };
        let mut below = self.0[from..].iter().map_while(|name| name.as_bytes().strip_prefix(path));
        if below.any(|rest| rest.starts_with(b".")) { FieldMatch::Above } else { FieldMatch::Absent }
    }
}

impl FromStr for FieldNames {
    type Err = FieldNamesError;

    /// Parses paths that are separated by commas; spaces around one are no part of it.
    fn from_str(text: &str) -> Result<Self, FieldNamesError> {
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(|name| name.split('.').any(str::is_empty)) {
            return Err(FieldNamesError::Empty);
        }
        if names.len() > MAX_FIELDS { Err(FieldNamesError::Many) } else { Ok(Self::sorted(names)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_or_refused() {
        let many = vec!["a"; MAX_FIELDS + 1].join(",");
        for (text, expected) in [
            (" b , a.c,b", Ok("a.c,b")),
            ("", Err(FieldNamesError::Empty)),
            ("a,", Err(FieldNamesError::Empty)),
            ("a..b", Err(FieldNamesError::Empty)),
            (&many, Err(FieldNamesError::Many)),
        ] {
            let names = text.parse::<FieldNames>();
            assert_eq!(names.map(|names| names.canonical()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_path_is_named_or_above_a_named_one() {
        let names: FieldNames = "a-b,a.b.c,a0,b".parse().unwrap();
        for (path, expected) in [
            ("a", FieldMatch::Above),
            ("a.b", FieldMatch::Above),
            ("a.b.c", FieldMatch::Named),
            ("a-b", FieldMatch::Named),
            ("a-", FieldMatch::Absent),
            ("a.b.cd", FieldMatch::Absent),
            ("", FieldMatch::Absent),
            ("z", FieldMatch::Absent),
        ] {
            assert_eq!(names.find(path.as_bytes()), expected, "{path}");
        }
    }
}
