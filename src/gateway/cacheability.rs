//! Cacheability: the callers that may share a snapshot, from the upstream's first answer (RFC 9111 §3) and the identity of its caller.

use http::{HeaderMap, HeaderName, header};

use super::headers::CallerIdentity;
use crate::snapshot::Retention;

/// Returns the way in which a snapshot that begins with this answer may be kept.
pub(super) fn retention(answer: &HeaderMap, caller: CallerIdentity) -> Retention {
    let has = |directive| directives(answer).any(|name| name == directive);
    let varies_with_anything = names(answer, &header::VARY).any(|name| name == "*");
    if has("no-store") {
        Retention::Transient
    } else if answer.contains_key(header::SET_COOKIE)
        || varies_with_anything
        // The upstream may know a caller without credentials by its address, which no other caller shares.
        || (has("private") && caller == CallerIdentity::Unknown)
    {
        Retention::Private
    } else {
        Retention::Shared
    }
}

/// Returns the names of the directives of `Cache-Control`. A name inside a quoted value counts, too: it can only forbid what was allowed.
fn directives(answer: &HeaderMap) -> impl Iterator<Item = String> {
    names(answer, &header::CACHE_CONTROL).map(|directive| {
        let name = directive.split('=').next().unwrap_or_default();
        name.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace()).to_owned()
    })
}

fn names(answer: &HeaderMap, field: &HeaderName) -> impl Iterator<Item = String> {
    let values = answer.get_all(field).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn the_upstream_decides_which_callers_may_share() {
        use CallerIdentity::{Known, Unknown};
        use Retention::{Private, Shared, Transient};
        for (fields, known, unknown) in [
            (&[][..], Shared, Shared),
            (&[("cache-control", "max-age=60, must-revalidate")], Shared, Shared),
            (&[("cache-control", "max-age=60, No-Store")], Transient, Transient),
            (&[("cache-control", "max-age=60"), ("cache-control", "no-store")], Transient, Transient),
            (&[("cache-control", "private")], Shared, Private),
            (&[("cache-control", "private=\"x, y\"")], Shared, Private),
            (&[("cache-control", "no-cache")], Shared, Shared),
            (&[("set-cookie", "a=1")], Private, Private),
            (&[("vary", "accept, *")], Private, Private),
            (&[("vary", "accept, accept-language")], Shared, Shared),
        ] {
            assert_eq!(retention(&answer(fields), Known), known, "{fields:?}");
            assert_eq!(retention(&answer(fields), Unknown), unknown, "{fields:?}");
        }
    }
}
