//! Conditions of a request: `If-None-Match` and `If-Range` (RFC 9110 §13.1).
//!
//! The entity tag of a stream is its snapshot's id, so that no stream has any other tag.

use std::fmt;

use http::{HeaderMap, HeaderValue, header};

use crate::id::SnapshotId;

/// Strong entity tag of a stream: the id of its snapshot, then `-` and the variant, where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    pub snapshot: SnapshotId,
    /// Name of a representation whose bytes are not those of the snapshot's log.
    pub variant: String,
}

/// Condition of a range: where it doesn't hold, the client wants the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// The range is a part of the stream with this tag.
    Tag(EntityTag),
    /// A tag that no stream has, a weak one, or a date: none of them tells that the bytes are the same.
    Never,
}

/// Streams that the client has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`
    Any,
    Tags(Vec<EntityTag>),
}

impl IfRange {
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(header::IF_RANGE).iter();
        let field = fields.next()?;
        let named = strong(field).filter(|_| fields.next().is_none());
        Some(named.map_or(Self::Never, Self::Tag))
    }

    /// Returns `true` where the range is a part of the stream with this tag.
    pub fn matches(&self, tag: &EntityTag) -> bool {
        matches!(self, Self::Tag(known) if known == tag)
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
        // A tag with a comma or a quote in it is none of a stream's, so that it may be cut apart.
        let tags = texts.flat_map(|text| text.split(',')).map(|tag| tag.trim_matches([' ', '\t']));
        Some(Self::Tags(tags.filter_map(|tag| EntityTag::read(tag.strip_prefix("W/").unwrap_or(tag))).collect()))
    }

    /// Returns `true` where the client has the stream with this tag.
    pub fn matches(&self, tag: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(known) => known.contains(tag),
        }
    }
}

impl EntityTag {
    /// Returns the tag of the representation that has no variant.
    pub fn new(snapshot: SnapshotId) -> Self {
        Self { snapshot, variant: String::new() }
    }

    fn read(tag: &str) -> Option<Self> {
        let text = tag.strip_prefix('"')?.strip_suffix('"')?;
        let (snapshot, variant) = text.split_once('-').unwrap_or((text, ""));
        let is_whole = variant.is_empty() == (snapshot.len() == text.len());
        let snapshot = snapshot.parse().ok().filter(|_| is_whole)?;
        Some(Self { snapshot, variant: variant.to_owned() })
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.variant.is_empty() { "" } else { "-" };
        write!(f, "\"{}{separator}{}\"", self.snapshot, self.variant)
    }
}

fn strong(field: &HeaderValue) -> Option<EntityTag> {
    EntityTag::read(field.to_str().ok()?.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "00000000000000000000000000000000";

    fn id(text: &str) -> EntityTag {
        EntityTag::new(text.parse().unwrap())
    }

    fn headers(name: &http::HeaderName, fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (name.clone(), HeaderValue::from_str(field).unwrap())).collect()
    }

    #[test]
    fn only_a_strong_tag_makes_a_range_a_part() {
        let read = |fields: &[&str]| IfRange::read(&headers(&header::IF_RANGE, fields));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[&format!("\"{A}\"")]), Some(IfRange::Tag(id(A))));
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
        assert_eq!(read(&["*, \"x\""]), Some(IfNoneMatch::Tags(vec![])));
        for (fields, known) in [
            (&[&format!("\"{A}\"")[..]][..], vec![id(A)]),
            (&[&format!("W/\"{A}\" ,\t\"{B}\"")], vec![id(A), id(B)]),
            (&[&format!("\"a,b\", \"{B}\""), &format!(", \"{A}\"")], vec![id(B), id(A)]),
            (&[&format!("w/\"{A}\", {B}, \"{B}")], vec![]),
            (&[""], vec![]),
        ] {
            assert_eq!(read(fields), Some(IfNoneMatch::Tags(known)), "{fields:?}");
        }
    }

    #[test]
    fn a_variant_is_another_stream() {
        let tag = EntityTag { variant: "x".to_owned(), ..id(A) };
        assert_eq!(EntityTag::read(&tag.to_string()).as_ref(), Some(&tag));
        assert_ne!(tag, id(A));
        assert_eq!(EntityTag::read(&id(A).to_string()), Some(id(A)));
        assert_eq!(EntityTag::read(&format!("\"{A}-\"")), None);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_snapshots_name(text in "[ -~]{0,40}") {
            prop_assume!(!text.contains(A));
            prop_assert_ne!(IfRange::read(&headers(&header::IF_RANGE, &[&text])), Some(IfRange::Tag(id(A))));
            let known = IfNoneMatch::read(&headers(&header::IF_NONE_MATCH, &[&text])).unwrap();
            prop_assert_eq!(known.matches(&id(A)), text.trim() == "*");
            let both = IfNoneMatch::read(&headers(&header::IF_NONE_MATCH, &[&text, &format!("\"{A}\"")])).unwrap();
            prop_assert!(both.matches(&id(A)));
        }
    }
}
