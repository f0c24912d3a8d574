//! Cacheability: the callers that may share a snapshot, from the upstream's first answer (RFC 9111 §3) and the identity of its caller.

use http::{HeaderMap, header};

use super::headers::CallerIdentity;
use crate::snapshot::Retention;
use crate::snapshot::cache_control::{directives, forbids_storage, listed};

/// Returns the way in which a snapshot that begins with this answer may be kept.
pub(super) fn retention(answer: &HeaderMap, caller: CallerIdentity) -> Retention {
    let has = |directive| directives(answer).any(|name| name == directive);
    let varies_with_anything = listed(answer, &header::VARY).any(|name| name == "*");
    if forbids_storage(answer) {
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

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

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
