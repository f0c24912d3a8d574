//! Places in an answer that configured values are read from: paths of the page, header fields, link objects.

use std::fmt;

use http::HeaderName;
use http::header::CONTENT_RANGE;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::content_range::content_range;
use super::error::{PageError, excerpt};
use super::link_header_parser;
use super::page::{Head, PageFields};
use super::path::Path;

/// Place of a value in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Value in the page.
    Body(Path),
    /// Value of a header field.
    Header(HeaderName),
    /// Element with this relation of an array of link objects; its `method`, `body` and `merge` are honoured.
    Links { path: Path, rel: String },
    /// Number `param` in the `Link` to the last page, whose pages count from `start`; only for a number of pages.
    LastLink { param: String, start: u64 },
}

impl Source {
    /// Path that a page must be read for.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Body(path) | Self::Links { path, .. } => Some(path),
            Self::Header(_) | Self::LastLink { .. } => None,
        }
    }

    /// Returns true if the value, or its absence, is known from what has been read of the page.
    pub(super) fn is_read(&self, fields: &PageFields) -> bool {
        self.path().is_none_or(|path| fields.get(path).is_some())
    }

    /// Returns true if anything stands at this place.
    pub(super) fn is_present(&self, head: &Head, fields: &PageFields) -> bool {
        match self {
            Self::Body(path) | Self::Links { path, .. } => fields.get(path).is_some(),
            Self::Header(name) => head.headers.contains_key(name),
            Self::LastLink { .. } => false,
        }
    }

    /// Reads a whole number, also where it is spelled as a string; `None` where it is absent or `null`.
    pub(super) fn number(&self, head: &Head, fields: &PageFields) -> Result<Option<u64>, PageError> {
        let text = match self {
            Self::LastLink { param, start } => return self.last_page(head, param, *start),
            // The number behind its slash; `*` says that it isn't known (RFC 9110 §14.4).
            Self::Header(CONTENT_RANGE) => {
                let value = head.headers.get(CONTENT_RANGE).map_or(&[][..], |value| value.as_bytes());
                let range = content_range(&head.headers);
                let range = range.map_err(|_| self.not_a_number(&String::from_utf8_lossy(value)))?;
                return Ok(range.and_then(|range| range.total));
            }
            Self::Body(path) | Self::Links { path, .. } => match fields.get(path) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            },
            Self::Header(name) => match head.headers.get(name) {
                None => return Ok(None),
                Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            },
        };
        whole_number(text.trim()).map(Some).ok_or_else(|| self.not_a_number(&text))
    }

    /// Number of pages up to the one that the `Link` with the relation `last` leads to.
    fn last_page(&self, head: &Head, param: &str, start: u64) -> Result<Option<u64>, PageError> {
        let links = link_header_parser::links(&head.headers)?;
        let Some(link) = links.iter().find(|link| link.has_rel("last")) else { return Ok(None) };
        // The rest of the address may hold a secret, and isn't shown.
        let address = link.target.split('#').next().unwrap_or_default();
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let number = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == param).map(|(_, value)| value);
        let text = number.ok_or_else(|| self.not_a_number(&format!("a link without the parameter `{param}`")))?;
        let last: Option<u64> = text.parse().ok();
        let pages = last.and_then(|last| last.checked_add(1)?.checked_sub(start));
        pages.map(Some).ok_or_else(|| self.not_a_number(&text))
    }

    fn not_a_number(&self, text: &str) -> PageError {
        PageError::NotANumber { source_name: self.to_string(), found: excerpt(text) }
    }

    /// Error for a value that is no address or token. The value itself may be a secret, so the message names its kind only.
    pub(super) fn bad_pointer(&self, found: &Value) -> PageError {
        let kind = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        PageError::BadPointer { source_name: self.to_string(), found: kind.to_owned() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(path) => write!(f, "`{path}`"),
            Self::Header(name) => write!(f, "the header field `{name}`"),
            Self::Links { path, rel } => write!(f, "the link `{rel}` in `{path}`"),
            Self::LastLink { .. } => f.write_str("the Link header with rel=last"),
        }
    }
}

/// Returns the first source whose value does not mean "none"; `ends` are further values that do.
pub(super) fn first_live<'s>(
    sources: &'s [Source],
    head: &Head,
    fields: &PageFields,
    ends: &[Value],
) -> Option<(&'s Source, Value)> {
    sources.iter().find_map(|source| {
        let value = match source {
            Source::Body(path) => fields.get(path)?.clone(),
            Source::Header(name) => json!(String::from_utf8_lossy(head.headers.get(name)?.as_bytes()).trim()),
            Source::Links { path, rel } => {
                // A list of one element is that element, as of XML.
                let links = fields.get(path)?;
                let mut links = links.as_array().map_or(std::slice::from_ref(links), Vec::as_slice).iter();
                links.find(|link| has_rel(link, rel))?.clone()
            }
            Source::LastLink { .. } => return None,
        };
        (!says_none(&value) && !ends.contains(&value)).then_some((source, value))
    })
}

/// Returns true if the first live source can't change any more: an earlier one that is unread may still point somewhere.
pub(super) fn is_certain(sources: &[Source], ends: &[Value], head: &Head, fields: &PageFields) -> bool {
    for source in sources {
        if !source.is_read(fields) {
            return false;
        }
        if first_live(std::slice::from_ref(source), head, fields, ends).is_some() {
            return true;
        }
    }
    false
}

/// Returns true for `null`, `false`, and the empty string, object and array: each upstream has its own way to say "no next".
pub(super) fn says_none(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(array) => array.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Address of a link object: `href`, in XML `@href`; FHIR says `url`.
pub(super) fn target_of(link: &serde_json::Map<String, Value>) -> Option<&str> {
    ["href", "url", "@href"].iter().find_map(|name| link.get(*name))?.as_str()
}

fn has_rel(link: &Value, rel: &str) -> bool {
    let is = |found: &Value| {
        found.as_str().is_some_and(|found| found.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(rel)))
    };
    // RFC 8288 says `rel`; FHIR and Atom-like feeds say `relation`; Siren's is an array.
    match ["rel", "relation", "@rel"].iter().find_map(|name| link.get(name)) {
        Some(Value::Array(several)) => several.iter().any(is),
        Some(one) => is(one),
        None => false,
    }
}

/// Whole number of this text; `1e3` and `1000.0` are such numbers too in JSON.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
        (float.fract() == 0.0 && (0.0..9.0e15).contains(&float)).then_some(float as u64)
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn said(source: &Source, field: &'static str, value: &'static str) -> Result<Option<u64>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(field), HeaderValue::from_static(value));
        let head = Head { status: StatusCode::OK, headers, url: "http://a/x?page=1&key=hunter2".parse().unwrap() };
        source.number(&head, &PageFields::default()).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn a_content_range_says_the_total_behind_its_slash() {
        let total = |value| said(&Source::Header(CONTENT_RANGE), "content-range", value);
        assert_eq!(total("items 0-24/1237"), Ok(Some(1237)));
        assert_eq!(total("0-24/1237"), Ok(Some(1237)));
        assert_eq!(total("*/0"), Ok(Some(0)));
        assert_eq!(total("items 0-24/*"), Ok(None));
        assert_eq!(said(&Source::Header(CONTENT_RANGE), "x-other", "1"), Ok(None));
        for nonsense in ["1237", "items 0-24/many", "items 0-24/-1", ""] {
            let told = total(nonsense).unwrap_err();
            assert!(told.starts_with("the header field `content-range` should be a whole number"), "{told}");
        }
    }

    #[test]
    fn the_last_link_counts_pages_from_the_first() {
        let last = |start, value| said(&Source::LastLink { param: "page".to_owned(), start }, "link", value);
        assert_eq!(last(1, "<?page=2>; rel=next, <http://a/x?page=50&size=9>; rel=\"last\""), Ok(Some(50)));
        assert_eq!(last(0, "</x?page=49>; rel=last"), Ok(Some(50)));
        assert_eq!(last(1, "<?page=0>; rel=last"), Ok(Some(0)));
        assert_eq!(last(1, "<?page=2>; rel=next"), Ok(None));
        for nonsense in ["<?p=50>; rel=last", "<?page=last>; rel=last", "<?page=-1>; rel=last", "<?page=0>; rel=last"] {
            let told = last(2, nonsense).unwrap_err();
            assert!(told.starts_with("the Link header with rel=last should be a whole number: "), "{told}");
        }
        assert!(last(1, "?page=50; rel=last").unwrap_err().starts_with("the Link header can't be read"));
        let told = last(1, "<?p=hunter2>; rel=last").unwrap_err();
        assert!(!told.contains("hunter2"), "{told}");
    }
}
