//! Credentials and header fields of requests to the upstream: added, compared, and redacted from texts.

use std::borrow::Cow;

use http::header::{COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Url, form_urlencoded};

use super::credential::RequestCredentials;
use super::redaction::{SHORTEST, without_all};
use crate::config::{SecretPlace, Upstream};
use crate::field_class::names_a_secret;

/// Shortest value that is redacted of a parameter whose name is one of a secret, as `password`; of others it is [`SHORTEST`], since shorter ones
/// are hardly secrets, and occur everywhere.
const SHORTEST_NAMED: usize = 4;

/// Names of query parameters that are taken for credentials. Others that sound alike, as `token`, are as often a page's.
const KEYS: [&str; 6] = ["access_token", "api-key", "api_key", "apikey", "auth_token", "key"];

/// Adds the configured credentials and fields; a configured field replaces the client's own.
pub(super) fn authenticate(
    upstream: &Upstream,
    credentials: &RequestCredentials,
    url: &mut Cow<'_, Url>,
    headers: &mut HeaderMap,
) {
    credentials.add_to(url, headers);
    for (name, value) in &upstream.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("unpage/", env!("CARGO_PKG_VERSION"))));
}

/// Returns the credentials of a request, configured ones of this member and the client's own: the values by which an upstream may tell callers apart.
pub(super) fn identity(upstream: &Upstream, member: usize, url: &Url, headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let (mut url, mut headers) = (Cow::Borrowed(url), headers.clone());
    authenticate(upstream, &RequestCredentials::identity(&upstream.credentials, member), &mut url, &mut headers);
    let own_field = |name: &HeaderName| {
        upstream.credentials.all().any(|own| matches!(own.place(), SecretPlace::Header(own, _) if own == name))
    };
    let fields = headers.iter().filter(|(name, _)| names_a_secret(name.as_str()) || own_field(name));
    let fields = fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let is_key = |name: &str| {
        KEYS.contains(&name.to_ascii_lowercase().as_str()) || upstream.credentials.query_params().any(|own| own == name)
    };
    let parameters = url.query_pairs().filter(|(name, _)| is_key(name));
    let parameters = parameters.map(|(name, value)| (name.into_owned(), value.into_owned().into_bytes()));
    let mut identity: Vec<_> = fields.chain(parameters).collect();
    identity.sort_unstable();
    identity
}

/// Redacts a text that may repeat the request, as an error page does: removes the configured secrets, and the longer values
/// of the query and of credential fields.
pub(super) fn redact(
    upstream: &Upstream,
    configured_secrets: Vec<String>,
    url: &Url,
    headers: &HeaderMap,
    text: &str,
) -> String {
    let mut secrets = Vec::new();
    for pair in url.query().unwrap_or_default().split('&') {
        let (name, value) = form_urlencoded::parse(pair.as_bytes()).next().unwrap_or_default();
        let is_named = names_a_secret(&name.to_ascii_lowercase());
        if value.len() >= if is_named { SHORTEST_NAMED } else { SHORTEST } {
            secrets.extend([value.into_owned(), pair.split_once('=').map_or("", |(_, raw)| raw).to_owned()]);
        }
    }
    let mut of_fields = Vec::new();
    let configured = upstream.headers.iter().map(|(name, value)| (name, value));
    for (name, value) in headers.iter().chain(configured).filter(|(name, _)| names_a_secret(name.as_str())) {
        of_fields.extend(secrets_of(name, &String::from_utf8_lossy(value.as_bytes())));
    }
    of_fields.retain(|secret| secret.len() >= SHORTEST);
    secrets.extend(of_fields);
    secrets.extend(configured_secrets);
    without_all(&secrets, text)
}

/// Returns the parts of a field's value that may be repeated alone.
fn secrets_of(name: &HeaderName, value: &str) -> Vec<String> {
    let mut secrets = vec![value.to_owned()];
    if *name == COOKIE {
        let values = value.split(';').filter_map(|crumb| crumb.split_once('='));
        secrets.extend(values.map(|(_, value)| value.trim().trim_matches('"').to_owned()));
    } else if let Some((_, token)) = value.split_once(' ') {
        secrets.push(token.trim().to_owned());
    }
    secrets
}

#[cfg(test)]
mod tests {
    use crate::config::{Credential, FieldForm, Secret};
    use crate::upstream::credential::{CredentialSources, TokenRenewals};

    use super::*;

    #[test]
    fn the_identity_of_a_caller_is_the_credentials_that_are_sent() {
        let mut upstream = Upstream::at(Url::parse("http://a").unwrap());
        let identity = |upstream: &Upstream, url: &str, field: Option<(&'static str, &'static str)>| {
            let mut headers = HeaderMap::new();
            let field = field.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            headers.extend(field);
            identity(upstream, 0, &Url::parse(url).unwrap(), &headers)
        };
        let anonymous = identity(&upstream, "http://a", None);
        assert_eq!(identity(&upstream, "http://a?page_token=x&token=y", Some(("accept-language", "de"))), anonymous);
        for field in [("authorization", "Bearer a"), ("cookie", "sid=1"), ("x-api-key", "k")] {
            assert_ne!(identity(&upstream, "http://a", Some(field)), anonymous, "{field:?}");
        }
        assert_ne!(identity(&upstream, "http://a?API_KEY=k", None), anonymous);
        let place = SecretPlace::Header(http::header::AUTHORIZATION, FieldForm::Prefixed("Bearer "));
        upstream.credentials = Credential::Fixed(place, Secret::new("configured".to_owned())).into();
        let own = identity(&upstream, "http://a", None);
        assert_ne!(own, anonymous);
        assert_eq!(identity(&upstream, "http://a", Some(("authorization", "Bearer a"))), own);
    }

    #[test]
    fn an_error_page_that_repeats_its_url_tells_no_secret() {
        let mut upstream = Upstream::at(Url::parse("http://a").unwrap());
        let place = SecretPlace::Query("key".to_owned());
        upstream.credentials = Credential::Fixed(place, Secret::new("k1".to_owned())).into();
        let url = Url::parse("http://a/x?token=abc%2Fdefgh&limit=100&Password=12ab").unwrap();
        let text = r"Cannot GET /x?token=abc%2Fdefgh&limit=100&key=k1 (abc/defgh, abc\/defgh, 12ab)";
        let secrets = CredentialSources::new(&upstream, &TokenRenewals::default()).unwrap().secrets();
        assert_eq!(
            redact(&upstream, secrets, &url, &HeaderMap::new(), text),
            "Cannot GET /x?token=…&limit=100&key=… (…, …, …)"
        );
    }

    #[test]
    fn an_error_page_that_repeats_its_fields_tells_no_secret() {
        let mut upstream = Upstream::at(Url::parse("http://a").unwrap());
        upstream.headers.push((HeaderName::from_static("x-team-token"), HeaderValue::from_static("configured")));
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer abcdefghij"),
            ("cookie", "sid=0123456789; lang=de"),
            ("x-api-key", "klmnopqrst"),
            ("x-own", "not a secret"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let text = "abcdefghij, 0123456789 in de, klmnopqrst, configured, not a secret";
        let shown = redact(&upstream, Vec::new(), &Url::parse("http://a").unwrap(), &headers, text);
        assert_eq!(shown, "…, … in de, …, …, not a secret");
    }
}
