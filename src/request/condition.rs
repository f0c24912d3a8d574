//! On which condition a stream is wanted, or a part of it: `If-None-Match` and `If-Range` (RFC 9110 §13.1).
//!
//! The entity tag of a stream is its snapshot's name, so that any other tag is one that no stream has.

use http::{HeaderMap, HeaderValue, header};

use crate::id::SnapshotId;

/// The snapshot that a range is a part of; if it is another one, the whole is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// The one with this name.
    Snapshot(SnapshotId),
    /// A tag that no snapshot has, a weak one, or a date: none of them says that the bytes are the same.
    Never,
}

/// The snapshots that the client has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`: any.
    Any,
    /// Those with these names.
    Snapshots(Vec<SnapshotId>),
}

impl IfRange {
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(header::IF_RANGE).iter();
        let field = fields.next()?;
        let named = strong(field).filter(|_| fields.next().is_none());
        Some(named.map_or(Self::Never, Self::Snapshot))
    }

    /// Whether a range is a part of this snapshot.
    pub fn matches(&self, id: SnapshotId) -> bool {
        *self == Self::Snapshot(id)
    }
}

impl IfNoneMatch {
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let fields: Vec<&HeaderValue> = headers.get_all(header::IF_NONE_MATCH).iter().collect();
        if fields.is_empty() {
            return None;
        }
        if fields.iter().any(|field| field.as_bytes().trim_ascii() == b"*") {
            return Some(Self::Any);
        }
        let texts = fields.into_iter().filter_map(|field| field.to_str().ok());
        // No snapshot's name has a comma or a quote in it: what a quoted one cuts apart is no name in any case.
        let tags = texts.flat_map(|text| text.split(',')).map(|tag| tag.trim_matches([' ', '\t']));
        Some(Self::Snapshots(tags.filter_map(|tag| name(tag.strip_prefix("W/").unwrap_or(tag))).collect()))
    }

    /// Whether the client has this snapshot.
    pub fn matches(&self, id: SnapshotId) -> bool {
        match self {
            Self::Any => true,
            Self::Snapshots(known) => known.contains(&id),
        }
    }
}

fn strong(field: &HeaderValue) -> Option<SnapshotId> {
    name(field.to_str().ok()?.trim_matches([' ', '\t']))
}

/// The name in a strong entity tag.
fn name(tag: &str) -> Option<SnapshotId> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "00000000000000000000000000000000";

    fn id(text: &str) -> SnapshotId {
        text.parse().unwrap()
    }

    fn headers(name: &http::HeaderName, fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (name.clone(), HeaderValue::from_str(field).unwrap())).collect()
    }

    #[test]
    fn only_a_strong_tag_makes_a_range_a_part() {
        let read = |fields: &[&str]| IfRange::read(&headers(&header::IF_RANGE, fields));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[&format!("\"{A}\"")]), Some(IfRange::Snapshot(id(A))));
        for field in [
            &format!("W/\"{A}\"")[..],
            A,
            &format!("\"{A}\", \"{A}\""),
            &format!("\"{}\"", A.to_uppercase()),
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "",
            "\"",
        ] {
            assert_eq!(read(&[field]), Some(IfRange::Never), "{field}");
        }
        assert_eq!(read(&[&format!("\"{A}\""), &format!("\"{A}\"")]), Some(IfRange::Never));
    }

    #[test]
    fn what_a_client_has_is_a_list_of_tags_weak_or_strong() {
        let read = |fields: &[&str]| IfNoneMatch::read(&headers(&header::IF_NONE_MATCH, fields));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[" * "]), Some(IfNoneMatch::Any));
        assert_eq!(read(&["*, \"x\""]), Some(IfNoneMatch::Snapshots(vec![])));
        for (fields, known) in [
            (&[&format!("\"{A}\"")[..]][..], vec![id(A)]),
            (&[&format!("W/\"{A}\" ,\t\"{B}\"")], vec![id(A), id(B)]),
            (&[&format!("\"a,b\", \"{B}\""), &format!(", \"{A}\"")], vec![id(B), id(A)]),
            (&[&format!("w/\"{A}\", {B}, \"{B}")], vec![]),
            (&[""], vec![]),
        ] {
            assert_eq!(read(fields), Some(IfNoneMatch::Snapshots(known)), "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_snapshots_name(text in "[ -~]{0,40}") {
            prop_assume!(!text.contains(A));
            prop_assert_ne!(IfRange::read(&headers(&header::IF_RANGE, &[&text])), Some(IfRange::Snapshot(id(A))));
            let known = IfNoneMatch::read(&headers(&header::IF_NONE_MATCH, &[&text])).unwrap();
            prop_assert_eq!(known.matches(id(A)), text.trim() == "*");
            let both = IfNoneMatch::read(&headers(&header::IF_NONE_MATCH, &[&text, &format!("\"{A}\"")])).unwrap();
            prop_assert!(both.matches(id(A)));
        }
    }
}
