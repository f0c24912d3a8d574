//! Header fields that cross the proxy, in each direction.

use http::header::{CONNECTION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use crate::config::Scope;
use crate::field_class::{FieldClass, FieldRules};
use crate::snapshot::CallerIdentity;

/// Caller of a crawl, by the fields that go with every page's request.
#[derive(Debug)]
pub(super) struct CrawlCaller {
    /// Fields that prove or name the caller.
    pub(super) fields: HeaderMap,
    /// Names of fields without a known purpose.
    pub(super) others: Vec<HeaderName>,
    pub(super) identity: CallerIdentity,
}

/// Reason for which a request is not passed on in any way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadField {
    /// The field asks the upstream for another method than that of the request.
    MethodOverride(HeaderName),
    /// `Connection` names a field that is for the upstream, which would be removed.
    HopByHop(HeaderName),
}

/// Checks the fields of a request that change it on its way.
///
/// # Errors
/// Fails with the field of a request that would reach the upstream as another one than was checked.
pub(super) fn check(head: &Parts, rules: &FieldRules) -> Result<(), BadField> {
    let overrides = |(name, value): (&HeaderName, &HeaderValue)| {
        let is_same = || value.as_bytes().trim_ascii().eq_ignore_ascii_case(head.method.as_str().as_bytes());
        FieldClass::of_known(name) == Some(FieldClass::MethodOverride) && !is_same()
    };
    if let Some((name, _)) = head.headers.iter().find(|field| overrides(*field)) {
        return Err(BadField::MethodOverride(name.clone()));
    }
    let is_end_to_end = |name: &HeaderName| {
        rules.class_of(name).identifies() || *name == header::HOST || *name == header::CONTENT_LENGTH
    };
    match connection_options(&head.headers).find(is_end_to_end) {
        Some(name) => Err(BadField::HopByHop(name)),
        None => Ok(()),
    }
}

/// Returns the fields that `Connection` names.
pub(super) fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok())
}

/// Removes the fields of the connection that the message came on.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    remove(headers, |class| class == Some(FieldClass::Connection));
}

/// Removes the fields of a client's connection, and those that name another URL or method for its request.
pub(super) fn for_the_upstream(headers: &mut HeaderMap) {
    remove(headers, |class| {
        matches!(class, Some(FieldClass::Connection | FieldClass::MethodOverride | FieldClass::UrlOverride))
    });
    join_cookies(headers);
}

fn remove(headers: &mut HeaderMap, is_dropped: impl Fn(Option<FieldClass>) -> bool) {
    let of_class = headers.keys().filter(|name| is_dropped(FieldClass::of_known(name))).cloned();
    let dropped: Vec<HeaderName> = connection_options(headers).chain(of_class).collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// Joins the fields into which a cookie may be split over HTTP/2 (RFC 9113 §8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

/// Returns the value of `Via` for a message received in this version (RFC 9110 §7.6.3).
pub(super) fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 unpage",
        Version::HTTP_10 => "1.0 unpage",
        _ => "1.1 unpage",
    })
}

/// Returns the fields of a client's request that go with every page's request (credentials, cookies, identities and the API's own fields),
/// and what they tell of the caller. The class of each is looked up once.
///
/// Left out are the fields of the connection, of the client's own response, of its program, of the proxies and tracers on its way, and those
/// that the configuration ignores. Proxies' fields differ in each request, and by some of them servers rewrite their links to another host.
/// All that goes upstream is part of the cache key, so a field that no API answers by would only keep one caller's requests from sharing.
/// `Authorization` and `Cookie` don't go upstream for a public collection. Every other field goes and is in the key: it may change the answer
/// even where `Vary` does not name it.
pub(super) fn for_a_crawl(headers: &HeaderMap, scope: Scope, rules: &FieldRules) -> (HeaderMap, CrawlCaller) {
    let connection: Vec<HeaderName> = connection_options(headers).collect();
    let is_kept = |name: &HeaderName, class| match class {
        FieldClass::Credential if [header::AUTHORIZATION, COOKIE].contains(name) => scope == Scope::Caller,
        FieldClass::Credential | FieldClass::Identity | FieldClass::Content | FieldClass::Other => true,
        FieldClass::Connection
        | FieldClass::Response
        | FieldClass::Hop
        | FieldClass::Program
        | FieldClass::MethodOverride
        | FieldClass::UrlOverride => false,
    };
    let mut sent = HeaderMap::new();
    let mut caller = CrawlCaller { fields: HeaderMap::new(), others: Vec::new(), identity: CallerIdentity::Unknown };
    for name in headers.keys() {
        let class = rules.class_of(name);
        if connection.contains(name) || !is_kept(name, class) {
            continue;
        }
        for value in headers.get_all(name) {
            sent.append(name.clone(), value.clone());
            if class.identifies() {
                caller.fields.append(name.clone(), value.clone());
            }
        }
        caller.others.extend((class == FieldClass::Other).then(|| name.clone()));
        if class != FieldClass::Content && scope == Scope::Caller {
            caller.identity = CallerIdentity::Known;
        }
    }
    join_cookies(&mut sent);
    join_cookies(&mut caller.fields);
    (sent, caller)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;
    use crate::field_class::FieldPattern;

    #[test]
    fn a_request_that_would_change_on_its_way_is_refused() {
        let checked = |method: Method, fields: &[(&'static str, &'static str)]| {
            let mut request = http::Request::builder().method(method);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let rules = FieldRules { ignored: Vec::new(), identity: vec![FieldPattern::parse("X-Foo").unwrap()] };
            check(&request.body(()).unwrap().into_parts().0, &rules)
        };
        let overridden = Err(BadField::MethodOverride(HeaderName::from_static("x-http-method-override")));
        assert_eq!(checked(Method::GET, &[("x-http-method-override", "DELETE")]), overridden);
        assert_eq!(checked(Method::POST, &[("x-http-method-override", "post"), ("x-original-url", "/x")]), Ok(()));
        let stripped = |name| Err(BadField::HopByHop(HeaderName::from_static(name)));
        assert_eq!(checked(Method::GET, &[("connection", "close, X-Forwarded-User")]), stripped("x-forwarded-user"));
        assert_eq!(checked(Method::GET, &[("connection", "close"), ("connection", "Cookie")]), stripped("cookie"));
        assert_eq!(checked(Method::GET, &[("connection", "x-foo")]), stripped("x-foo"));
        assert_eq!(checked(Method::GET, &[("connection", "keep-alive, x-hop, te")]), Ok(()));
    }

    #[test]
    fn a_crawl_carries_credentials_and_nothing_of_the_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("proxy-authorization", "Basic x"),
            ("x-api-key", "k"),
            ("notion-version", "2022"),
            ("host", "proxy"),
            ("accept", "application/x-ndjson"),
            ("range", "bytes=5-"),
            ("if-none-match", "\"x\""),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "h"),
            ("forwarded", "for=1"),
            ("via", "1.1 a"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("accept-encoding", "gzip"),
            ("user-agent", "curl/8"),
            ("traceparent", "00-1-2-01"),
            ("sec-ch-ua", "x"),
            ("cache-control", "no-cache"),
            ("prefer", "order=any"),
            ("x-request-id", "1"),
            ("want-repr-digest", "sha-256=5"),
            ("x-varnish", "32770"),
            ("x-unique-id", "1"),
            ("x-noise", "1"),
            ("x-original-url", "/admin"),
            ("x-forwarded-user", "ada"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let names = |scope| {
            let rules = FieldRules { ignored: vec![FieldPattern::parse("X-Noise").unwrap()], identity: Vec::new() };
            let kept = for_a_crawl(&headers, scope, &rules).0;
            let mut names: Vec<_> = kept.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(
            names(Scope::Caller),
            ["authorization", "cookie", "notion-version", "x-api-key", "x-forwarded-user"]
        );
        assert_eq!(names(Scope::Public), ["notion-version", "x-api-key", "x-forwarded-user"]);
    }

    #[test]
    fn any_field_that_may_identify_the_caller_does() {
        let with =
            |name: &'static str| HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]);
        for (names, scope, caller) in [
            (&["authorization", "cookie", "x-api-key", "x-anything"][..], Scope::Caller, CallerIdentity::Known),
            (&["accept-language", "content-type"], Scope::Caller, CallerIdentity::Unknown),
            (&["x-api-key"], Scope::Public, CallerIdentity::Unknown),
        ] {
            let of = |name| for_a_crawl(&with(name), scope, &FieldRules::default()).1.identity;
            assert!(names.iter().all(|name| of(name) == caller), "{names:?}");
        }
    }
}
