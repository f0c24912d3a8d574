//! Header fields that cross the proxy, in each direction.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::config::Scope;

/// Fields that belong to one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Fields about the client's own response, which is not the page that a crawl asks for.
const OF_THE_RESPONSE: [HeaderName; 11] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
];

/// Fields with credentials.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// Fields of a page's request that don't identify its caller.
const ABOUT_CONTENT: [HeaderName; 5] =
    [ACCEPT_LANGUAGE, CONTENT_TYPE, CONTENT_LANGUAGE, CONTENT_ENCODING, HeaderName::from_static("content-digest")];

/// Identity of a caller, as the fields of its request tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallerIdentity {
    /// A field may identify the caller, so that no other caller has its cache key.
    Known,
    /// No field does, or the collection is public.
    Unknown,
}

/// Removes the fields of the connection that the message came on.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
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

/// Returns the fields of a client's request that go with every page's request: credentials, cookies and the API's own fields.
///
/// Left out are the fields of the connection, of the client's own response, of its program, and those by which servers rewrite their links to
/// another host. What goes upstream is part of the cache key, so a field of the program that no API answers by would only keep two programs of
/// one caller from sharing. No credentials go upstream for a public collection, whose snapshots are for callers without any. Every other field
/// goes and is in the key: it may change the answer even where `Vary` does not name it.
pub(super) fn for_a_crawl(headers: &HeaderMap, scope: Scope) -> HeaderMap {
    let mut kept = headers.clone();
    strip_hop_by_hop(&mut kept);
    join_cookies(&mut kept);
    let drops = |name: &HeaderName| {
        OF_THE_RESPONSE.contains(name)
            || of_intermediaries(name.as_str())
            || of_the_program(name.as_str())
            || (scope == Scope::Public && CREDENTIALS.contains(name))
    };
    let dropped: Vec<HeaderName> = kept.keys().filter(|name| drops(name)).cloned().collect();
    for name in dropped {
        kept.remove(name);
    }
    kept
}

impl CallerIdentity {
    /// Returns what the fields of a page's request say: any field may identify the caller that is not known to have another purpose.
    pub(super) fn of(headers: &HeaderMap, scope: Scope) -> Self {
        let identifies = |name: &HeaderName| !ABOUT_CONTENT.contains(name);
        if scope == Scope::Caller && headers.keys().any(identifies) { Self::Known } else { Self::Unknown }
    }
}

/// Fields by which intermediaries name the client before them.
fn of_intermediaries(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(name, "forwarded" | "via" | "x-real-ip" | "x-original-host" | "true-client-ip" | "max-forwards")
}

/// Fields of a browser, a library or a tracer.
fn of_the_program(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["sec-ch-", "sec-fetch-", "x-b3-", "x-datadog-", "x-amzn-trace-"];
    const NAMES: [&str; 33] = [
        "accept-datetime",
        "b3",
        "baggage",
        "cache-control",
        "device-memory",
        "dnt",
        "downlink",
        "dpr",
        "early-data",
        "ect",
        "origin",
        "pragma",
        "prefer",
        "priority",
        "referer",
        "rtt",
        "save-data",
        "sec-gpc",
        "sec-purpose",
        "traceparent",
        "tracestate",
        "uber-trace-id",
        "upgrade-insecure-requests",
        "user-agent",
        "viewport-width",
        "want-content-digest",
        "want-digest",
        "want-repr-digest",
        "width",
        "x-cloud-trace-context",
        "x-correlation-id",
        "x-request-id",
        "x-requested-with",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let names = |scope| {
            let kept = for_a_crawl(&headers, scope);
            let mut names: Vec<_> = kept.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(Scope::Caller), ["authorization", "cookie", "notion-version", "x-api-key"]);
        assert_eq!(names(Scope::Public), ["notion-version", "x-api-key"]);
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
            assert!(names.iter().all(|name| CallerIdentity::of(&with(name), scope) == caller), "{names:?}");
        }
    }
}
