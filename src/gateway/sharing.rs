//! With whom a snapshot may be shared: what the upstream says of its first page (RFC 9111), held against who asked.

use http::{HeaderMap, HeaderName, header};

use super::asked::Caller;
use crate::snapshot::Retention;

/// What may become of what this answer begins.
pub(super) fn retention(answer: &HeaderMap, caller: Caller) -> Retention {
    let says = |directive| directives(answer).any(|said| said == directive);
    let varies_with_anything = names(answer, &header::VARY).any(|name| name == "*");
    if says("no-store") {
        Retention::Transient
    } else if answer.contains_key(header::SET_COOKIE)
        || varies_with_anything
        // Who says nothing of who it is may be known by its address: nobody else has asked with that.
        || (says("private") && caller == Caller::Anybody)
    {
        Retention::Private
    } else {
        Retention::Shared
    }
}

/// The names of the directives. One that stands inside a quoted value counts, too: it can only forbid what was allowed.
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
    fn the_upstream_says_who_may_share() {
        use Caller::{Anybody, Known};
        use Retention::{Private, Shared, Transient};
        for (fields, known, anybody) in [
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
            assert_eq!(retention(&answer(fields), Anybody), anybody, "{fields:?}");
        }
    }
}
