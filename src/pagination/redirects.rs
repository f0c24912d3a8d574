//! Redirects of a page's request: followed inside the upstream's origin, for exactly what was asked, and never in a circle.

use http::StatusCode;
use std::sync::OnceLock;

use http::header::{HeaderMap, LOCATION};
use url::Url;

use super::error::{PageError, excerpt};
use super::link_guard::LinkGuard;
use super::path_change::PathChange;
use super::request::{RedactedUrl, remove_query};

/// Most redirects of one request; RFC 2068 §10.3 recommended the same.
const MOST: usize = 5;

/// Redirects that one request has followed.
#[derive(Debug)]
pub struct RedirectTrail {
    guard: LinkGuard,
    /// Query parameters with the configured credentials, which belong to no URL of a crawl.
    secret_params: Vec<String>,
    /// URLs that were requested, the page's own first.
    requested: Vec<Url>,
}

/// A redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRedirect {
    #[error("without one Location that says where")]
    NoLocation,
    #[error("leading to `{0}`, which is no URL")]
    NotAUrl(String),
    #[error("leading to `{0}`, another origin")]
    Elsewhere(String),
    #[error("leading to `{0}`, with a user name or password")]
    Userinfo(String),
    #[error("leading in a circle: {0}")]
    Circle(String),
    #[error("leading to `{0}` after {MOST} other redirects")]
    TooMany(String),
    #[error("leading to `{to}`, where the query option `{option}` isn't what it was")]
    OtherQuery { to: String, option: String },
    #[error("leading to `{0}`, which is no redirect like that of the first page")]
    OtherPath(String),
}

/// Redirects of a crawl: the change of the path that the first page's had, from its head on.
#[derive(Debug, Default)]
pub struct CrawlRedirects(OnceLock<(PathChange, String)>);

impl CrawlRedirects {
    /// Learns from a first page, or from a page at the first page's path in a crawl that is resumed and does not ask for the first one again.
    pub fn learn(&self, asked: &Url, answered: &Url) {
        self.0.get_or_init(|| (PathChange::between(asked.path(), answered.path()), answered.path().to_owned()));
    }

    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    /// Returns the error of a crawl that ends with so many records, if there are none and another path than was asked for has answered: it may
    /// be another list, or that of a caller who is not logged in.
    pub fn empty_elsewhere(&self, records: u64) -> Option<PageError> {
        let (_, path) = self.0.get().filter(|(change, _)| records == 0 && !change.is_slash())?;
        Some(PageError::EmptyElsewhere(path.clone()))
    }

    /// Checks a redirect against that of the first page. A page whose address is in its path would else be another page, or a page to log in,
    /// whose empty list ends the collection.
    pub fn check(&self, asked: &Url, answered: &Url) -> Result<(), BadRedirect> {
        let change = PathChange::between(asked.path(), answered.path());
        match self.0.get() {
            Some((first, _)) if first.is_like(&change) => Ok(()),
            Some(_) | None => Err(BadRedirect::OtherPath(RedactedUrl(answered).to_string())),
        }
    }
}

/// Returns true for the statuses by which the answer to a GET is elsewhere.
pub fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl RedirectTrail {
    pub fn new<'a>(guard: LinkGuard, page: Url, secret_params: impl Iterator<Item = &'a str>) -> Self {
        Self { guard, secret_params: secret_params.map(ToOwned::to_owned).collect(), requested: vec![page] }
    }

    /// Returns the URL that the answer to the last request redirects to, which is requested next.
    ///
    /// It must have every option of the page's query, since they say which page of which records it is: an upstream that appends a slash and
    /// forgets the query would answer each page with the first one.
    pub fn next(&mut self, headers: &HeaderMap) -> Result<Url, BadRedirect> {
        let mut locations = headers.get_all(LOCATION).iter();
        let (Some(location), None) = (locations.next(), locations.next()) else { return Err(BadRedirect::NoLocation) };
        let location = location
            .to_str()
            .map_err(|_| BadRedirect::NotAUrl(shown(&String::from_utf8_lossy(location.as_bytes()))))?;
        let (page, from) = self.requested.first().zip(self.requested.last()).expect("the page's own URL is the first");
        let mut url = self.guard.resolve(from, location).map_err(|bad| BadRedirect::of_guard(&bad, location))?;
        for secret in &self.secret_params {
            remove_query(&mut url, secret);
        }
        let to = || RedactedUrl(&url).to_string();
        if let Some(option) = self.lost_option(page, &url) {
            return Err(BadRedirect::OtherQuery { to: to(), option });
        }
        if let Some(start) = self.requested.iter().position(|earlier| *earlier == url) {
            let circle = self.requested[start..].iter().chain([&url]).map(|url| url.path().to_owned());
            return Err(BadRedirect::Circle(circle.collect::<Vec<_>>().join(" → ")));
        }
        if self.requested.len() > MOST {
            return Err(BadRedirect::TooMany(to()));
        }
        self.requested.push(url.clone());
        Ok(url)
    }

    /// Name of a query option of the page that has not exactly its values in the target. More options are fine.
    fn lost_option(&self, page: &Url, target: &Url) -> Option<String> {
        let values = |url: &Url, wanted: &str| {
            let mut values: Vec<_> =
                url.query_pairs().filter(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).collect();
            values.sort_unstable();
            values
        };
        let is_secret = |name: &str| self.secret_params.iter().any(|secret| secret == name);
        let mut asked = page.query_pairs().filter(|(name, _)| !is_secret(name));
        let other = asked.find(|(name, _)| values(page, name) != values(target, name));
        other.map(|(name, _)| excerpt(&name))
    }
}

impl BadRedirect {
    fn of_guard(bad: &super::link_guard::BadAddress, location: &str) -> Self {
        use super::link_guard::BadAddress;
        let shown = shown(location);
        match bad {
            BadAddress::NotAUrl(_) => Self::NotAUrl(shown),
            BadAddress::Elsewhere { .. } => Self::Elsewhere(shown),
            BadAddress::Userinfo(_) => Self::Userinfo(shown),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::NoLocation => {
                "report it to the upstream; S3 answers so where a bucket is in another region: then correct the URL, and `region` of credentials.aws"
            }
            Self::NotAUrl(_) => "report it to the upstream",
            Self::Elsewhere(_) => {
                "credentials go to one origin only: if that address is the same API, write it as URL of the upstream or of the collection (https:// for http://, perhaps); if the URL's own origin answers the same, add the other to upstream_aliases (in [upstream.NAME]: aliases); if it is a page to log in, send the credentials that the upstream asks for"
            }
            Self::Userinfo(_) => "configure `credentials` instead, and the address without them",
            Self::Circle(_) | Self::TooMany(_) => {
                "use the address that the upstream really answers, as URL of the upstream or of the collection; redirects that need a cookie can't be followed"
            }
            Self::OtherPath(_) => {
                "a later page is only followed where its path changes as the first page's did, since it may be another page, or one to log in: check the credentials, and crawl again"
            }
            Self::OtherQuery { .. } => {
                "the redirect leads to other records than those asked for: write the path that it leads to in the URL of the collection (serve: upstream_path)"
            }
        }
    }
}

/// A `Location` for messages: without user name and password and without the values of its query, which may be a signature.
fn shown(location: &str) -> String {
    match Url::parse(location) {
        Ok(url) if url.has_host() => excerpt(&RedactedUrl(&url).to_string()),
        _ => {
            let path = location.split(['?', '#']).next().unwrap_or_default();
            excerpt(path.rsplit_once('@').map_or(path, |(_, host)| host))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trail(page: &str) -> RedirectTrail {
        let url = |text: &str| Url::parse(text).unwrap();
        let guard = LinkGuard::new(&url("https://api.example/v2"), &[url("https://public.example")]);
        RedirectTrail::new(guard, url(page), ["api_key"].into_iter())
    }

    fn location(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(text))])
    }

    #[test]
    fn a_redirect_inside_the_origin_is_followed() {
        for (page, to, url) in [
            ("/v2/items?page=2", "/v2/items/?page=2", "/v2/items/?page=2"),
            ("/v2/items?page=2", "https://api.example/moved?page=2&v=3#top", "/moved?page=2&v=3"),
            ("/v2/items?page=2", "HTTPS://API.EXAMPLE:443/moved?page=2", "/moved?page=2"),
            ("/v2/items?page=2", "https://public.example/v3/items?page=2", "/v3/items?page=2"),
            ("/v2/items?q=a+b&q=c", "other?q=c&q=a%20b", "/v2/other?q=c&q=a%20b"),
            ("/v2/items?page=2", "?page=2&signature=x", "/v2/items?page=2&signature=x"),
            ("/v2/items?api_key=mine", "/v2/items/?api_key=configured&x=1", "/v2/items/?x=1"),
        ] {
            let found = trail(&format!("https://api.example{page}")).next(&location(to));
            assert_eq!(found.map(String::from), Ok(format!("https://api.example{url}")), "{to}");
        }
    }

    #[test]
    fn a_redirect_to_anything_else_names_it_and_no_secret() {
        let bad = |to| trail("https://api.example/v2/items?page=2&limit=9").next(&location(to)).unwrap_err();
        for (to, said) in [
            (
                "http://api.example/v2/items?page=2&limit=9",
                "leading to `http://api.example/v2/items?page=…&limit=…`, another origin",
            ),
            ("https://api.example:8443/x?sig=s3cr3t", "leading to `https://api.example:8443/x?sig=…`, another origin"),
            ("//evil.example/x?sig=s3cr3t", "leading to `//evil.example/x`, another origin"),
            ("https://u:s3cr3t@api.example/x", "leading to `https://api.example/x`, with a user name or password"),
            ("//u:s3cr3t@api.example/x", "leading to `api.example/x`, with a user name or password"),
            ("https://", "leading to `https://`, which is no URL"),
            ("javascript:0", "leading to `javascript:0`, another origin"),
            (
                "/v2/items/",
                "leading to `https://api.example/v2/items/`, where the query option `page` isn't what it was",
            ),
            (
                "?page=2&limit=10",
                "leading to `https://api.example/v2/items?page=…&limit=…`, where the query option `limit` isn't what it was",
            ),
            (
                "/x?page=2&limit=9&page=3",
                "leading to `https://api.example/x?page=…&limit=…&page=…`, where the query option `page` isn't what it was",
            ),
            ("?page=2&limit=9", "leading in a circle: /v2/items → /v2/items"),
        ] {
            assert_eq!(bad(to).to_string(), said);
        }
        let none = trail("https://api.example/").next(&HeaderMap::new());
        assert_eq!(none, Err(BadRedirect::NoLocation));
        let two =
            [location("/a"), location("/b")].into_iter().flatten().fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name.unwrap(), value);
                all
            });
        assert_eq!(trail("https://api.example/").next(&two), Err(BadRedirect::NoLocation));
    }

    #[test]
    fn redirects_end_at_a_circle_and_after_five() {
        let mut circle = trail("https://api.example/a");
        for to in ["/b", "/c"] {
            circle.next(&location(to)).unwrap();
        }
        assert_eq!(circle.next(&location("/b")), Err(BadRedirect::Circle("/b → /c → /b".to_owned())));
        let mut long = trail("https://api.example/0");
        for to in ["/1", "/2", "/3", "/4", "/5"] {
            long.next(&location(to)).unwrap();
        }
        assert_eq!(long.next(&location("/6")), Err(BadRedirect::TooMany("https://api.example/6".to_owned())));
    }
}
