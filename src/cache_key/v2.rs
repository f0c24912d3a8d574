//! Header fields that were sent with a crawl, and keyed, before fields had classes (`field_class`): frozen, so that what was kept then is
//! found again. Keys of version 1 had them, too.

use http::{HeaderMap, HeaderName};

use crate::config::Scope;

const PREFIXES: [&str; 6] = ["sec-ch-", "sec-fetch-", "x-amzn-trace-", "x-b3-", "x-datadog-", "x-forwarded-"];

const NAMES: &str = "accept accept-datetime accept-encoding b3 baggage cache-control connection content-length device-memory dnt \
    downlink dpr early-data ect expect forwarded host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive \
    max-forwards origin pragma prefer priority proxy-authenticate proxy-authorization proxy-connection range referer rtt save-data \
    sec-gpc sec-purpose te traceparent tracestate trailer transfer-encoding true-client-ip uber-trace-id upgrade \
    upgrade-insecure-requests user-agent via viewport-width want-content-digest want-digest want-repr-digest width \
    x-cloud-trace-context x-correlation-id x-original-host x-real-ip x-request-id x-requested-with";

/// Returns the fields of a client's request that were sent; `named` are those that its `Connection` names.
pub fn sent(headers: &HeaderMap, named: &[HeaderName], scope: Scope) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        if !named.contains(name) && is_sent(name.as_str(), scope) {
            sent.append(name.clone(), value.clone());
        }
    }
    sent
}

fn is_sent(name: &str, scope: Scope) -> bool {
    let is_dropped = NAMES.split_whitespace().any(|dropped| dropped == name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    !(is_dropped || scope == Scope::Public && matches!(name, "authorization" | "cookie"))
}
