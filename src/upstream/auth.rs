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

/// A text that may repeat what was asked (an error page that shows its URL), without the secrets in it: the configured
/// credentials, and the longer values of the query.
pub(super) fn redact(upstream: &Upstream, url: &Url, text: &str) -> String {
    const SHORTEST: usize = 8;
    let mut secrets: Vec<String> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
    secrets
        .extend(url.query().unwrap_or_default().split('&').filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
    secrets.retain(|secret| secret.len() >= SHORTEST);
    match &upstream.credentials {
        Credentials::Passed => {}
        Credentials::Header(_, value) => {
            let value = String::from_utf8_lossy(value.as_bytes());
            secrets.push(value.split_once(' ').map_or(value.as_ref(), |(_, token)| token).to_owned());
        }
        Credentials::Query(_, secret) => secrets.push(secret.expose().to_owned()),
    }
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().filter(|secret| !secret.is_empty()).fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}

#[cfg(test)]
mod tests {
    use crate::config::Secret;

    use super::*;

    #[test]
    fn an_error_page_that_repeats_its_url_tells_no_secret() {
        let mut upstream = Upstream::at(Url::parse("http://a").unwrap());
        upstream.credentials = Credentials::Query("key".to_owned(), Secret::new("k1".to_owned()));
        let url = Url::parse("http://a/x?token=abc%2Fdefgh&limit=100").unwrap();
        let text = "Cannot GET /x?token=abc%2Fdefgh&limit=100&key=k1 (abc/defgh)";
        assert_eq!(redact(&upstream, &url, text), "Cannot GET /x?token=…&limit=100&key=… (…)");
    }
}
