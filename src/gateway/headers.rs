//! Which header fields cross the proxy, in each direction.

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

/// Fields that speak of the client's own response, which is not the page that a crawl asks for.
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

/// Fields that prove who asks.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// Fields of a page's request that say nothing about who asks.
const OF_NOBODY: [HeaderName; 5] =
    [ACCEPT_LANGUAGE, CONTENT_TYPE, CONTENT_LANGUAGE, CONTENT_ENCODING, HeaderName::from_static("content-digest")];

/// Takes out what belongs to the connection that the message came on.
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

/// Makes one field of the crumbs that a cookie may come in over HTTP/2 (RFC 9113 §8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

/// How a message says that it came through here in this version (RFC 9110 §7.6.3).
pub(super) fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 unpage",
        Version::HTTP_10 => "1.0 unpage",
        _ => "1.1 unpage",
    })
}

/// What of a client's request goes with every page's request: credentials, cookies and the API's own fields, but nothing of
/// its connection or its response, nothing by which servers rewrite their links to another host, and nothing of the client's
/// own program. What goes is what a snapshot's key is made of: a field that tells two programs of one caller apart, and that
/// no API answers by, would only keep them from sharing. Of a public collection no credentials go, since its snapshots are for
/// callers who have none; any other field still does, and is in the key: it may change the answer, whatever `Vary` says.
pub(super) fn for_a_crawl(headers: &HeaderMap, scope: Scope) -> HeaderMap {
    let mut kept = headers.clone();
    strip_hop_by_hop(&mut kept);
    join_cookies(&mut kept);
    let drops = |name: &HeaderName| {
        OF_THE_RESPONSE.contains(name)
            || of_the_way(name.as_str())
            || of_the_program(name.as_str())
            || (scope == Scope::Public && CREDENTIALS.contains(name))
    };
    let dropped: Vec<HeaderName> = kept.keys().filter(|name| drops(name)).cloned().collect();
    for name in dropped {
        kept.remove(name);
    }
    kept
}

/// Whether these fields say who asks: any does that isn't known to be of no interest to anybody.
pub(super) fn say_who(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| !OF_NOBODY.contains(name))
}

/// Fields by which those in between say who has asked them.
fn of_the_way(name: &str) -> bool {
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
    fn a_crawl_carries_who_asks_and_nothing_of_how() {
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
    fn who_asks_is_said_by_any_field_that_may_say_it() {
        let with = |name| HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]);
        assert!(["authorization", "cookie", "x-api-key", "x-anything"].map(with).iter().all(say_who));
        assert!(!["accept-language", "content-type"].map(with).iter().any(say_who));
    }
}
