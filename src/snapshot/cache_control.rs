//! Directives of `Cache-Control` (RFC 9111 §5.2).

use http::{HeaderMap, HeaderName, header};

/// Returns the names of the directives. A name inside a quoted value counts, too: it can only forbid what was allowed.
pub fn directives(answer: &HeaderMap) -> impl Iterator<Item = String> {
    listed(answer, &header::CACHE_CONTROL).map(|directive| {
        let name = directive.split('=').next().unwrap_or_default();
        name.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace()).to_owned()
    })
}

/// Returns the members of a field that is a list, in lower case.
pub fn listed(answer: &HeaderMap, field: &HeaderName) -> impl Iterator<Item = String> {
    let values = answer.get_all(field).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|member| member.trim().to_ascii_lowercase())
}

/// Returns true if an answer must not be stored for another request.
pub fn forbids_storage(answer: &HeaderMap) -> bool {
    directives(answer).any(|name| name == "no-store")
}
