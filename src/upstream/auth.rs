//! Who unpage is to the upstream: configured credentials and header fields.

use http::HeaderMap;
use http::HeaderValue;
use http::header::USER_AGENT;
use url::Url;

use crate::config::{Credentials, Upstream};
use crate::pagination::request::set_query;

/// Adds what is configured; a configured field replaces the client's own.
pub(super) fn prove(upstream: &Upstream, url: &mut Url, headers: &mut HeaderMap) {
    match &upstream.credentials {
        Credentials::Passed => {}
        Credentials::Header(name, value) => {
            headers.insert(name.clone(), value.clone());
        }
        Credentials::Query(name, secret) => set_query(url, name, secret.expose()),
    }
    for (name, value) in &upstream.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("unpage/", env!("CARGO_PKG_VERSION"))));
}
