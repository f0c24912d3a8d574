//! Cookies of the first page, which each later request of the crawl has (RFC 6265).

use std::sync::Arc;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use url::{Origin, Url};

use crate::pagination::cookie_settings::Cookies;
use crate::pagination::request::PageRequest;

/// Cookies of one walk. They go to the origin that set them alone, whatever their `Domain` says.
#[derive(Debug)]
pub(super) struct CookieJar {
    /// Origin of the first page, where its cookies are kept.
    origin: Option<Origin>,
    /// Names and values.
    cookies: Vec<(Vec<u8>, Vec<u8>)>,
}

impl CookieJar {
    pub(super) fn new(usage: Cookies, first: &Url) -> Self {
        Self { origin: (usage == Cookies::Kept).then(|| first.origin()), cookies: Vec::new() }
    }

    pub(super) fn needs_first_page(&self) -> bool {
        self.origin.is_some()
    }

    /// Reads the cookies that the first page sets; one that is expired at once is none.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        if self.origin.is_none() {
            return;
        }
        for field in headers.get_all(SET_COOKIE) {
            let mut parts = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let Some((name, value)) = parts.next().and_then(pair) else { continue };
            self.cookies.retain(|(known, _)| known != name);
            let is_expired = |part: &[u8]| {
                pair(part).is_some_and(|(key, age)| {
                    key.eq_ignore_ascii_case(b"max-age") && (age.starts_with(b"-") || age == b"0")
                })
            };
            if !parts.any(is_expired) {
                self.cookies.push((name.to_vec(), value.to_vec()));
            }
        }
    }

    /// Adds the cookies to a request, in place of the caller's own ones of their names.
    pub(super) fn apply(&self, request: &mut Arc<PageRequest>) {
        if self.cookies.is_empty() || self.origin.as_ref() != Some(&request.url.origin()) {
            return;
        }
        let fields: Vec<_> = request.headers.get_all(COOKIE).iter().map(|field| field.as_bytes().to_vec()).collect();
        let own = fields.iter().flat_map(|field| field.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
        let is_replaced =
            |own: &[u8]| pair(own).is_none_or(|(name, _)| self.cookies.iter().any(|(set, _)| set == name));
        let set = self.cookies.iter().map(|(name, value)| [name, &b"="[..], value].concat());
        let all: Vec<_> = own.filter(|own| !is_replaced(own)).map(<[u8]>::to_vec).chain(set).collect();
        if let Ok(value) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            Arc::make_mut(request).headers.insert(COOKIE, value);
        }
    }
}

fn pair(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = part.iter().position(|byte| *byte == b'=')?;
    Some((part[..at].trim_ascii(), part[at + 1..].trim_ascii())).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pages_cookies_go_to_their_origin_beside_the_callers_own() {
        let url: Url = "http://a/list".parse().unwrap();
        let mut jar = CookieJar::new(Cookies::Kept, &url);
        let fields = ["session=s1; Path=/; HttpOnly", "gone=1; Max-Age=0", "node = n2", "nothing"];
        jar.learn(&fields.iter().map(|field| (SET_COOKIE, HeaderValue::from_static(field))).collect());
        let mut request = Arc::new(PageRequest::get(url));
        Arc::make_mut(&mut request).headers.insert(COOKIE, HeaderValue::from_static("theme=dark; session=old"));
        jar.apply(&mut request);
        jar.apply(&mut request);
        assert_eq!(request.headers[COOKIE], "theme=dark; session=s1; node=n2");
        let mut other = Arc::new(PageRequest::get("http://b/list".parse().unwrap()));
        jar.apply(&mut other);
        assert!(other.headers.is_empty());
    }

    #[test]
    fn nothing_is_kept_where_cookies_are_not_configured() {
        let url: Url = "http://a/list".parse().unwrap();
        let mut jar = CookieJar::new(Cookies::Dropped, &url);
        jar.learn(&HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static("a=1"))]));
        let mut request = Arc::new(PageRequest::get(url));
        jar.apply(&mut request);
        assert!(request.headers.is_empty() && !jar.needs_first_page());
    }
}
