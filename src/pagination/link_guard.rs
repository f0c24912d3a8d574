//! The guard of the upstream's links: they may lead to the configured origin or one of its aliases, and nowhere else.
//!
//! Links are parsed by the WHATWG rules first and compared part by part after that (`127.1`, `\\evil` and `@host` count as what
//! they parse to). A refused link fails the stream: to ignore it would be a silent end.

use url::{Origin, Position, Url};

/// Origins that links may name, and the one that requests are sent to.
#[derive(Clone, Debug)]
pub struct LinkGuard {
    upstream: Url,
    aliases: Vec<Origin>,
}

/// Hint for a link to another origin.
pub const ALIAS_HINT: &str = "if the upstream is also known by that origin, add it to upstream_aliases (in [upstream.NAME]: aliases); otherwise the link must not be followed";

/// A link is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("the next link isn't a URL: {0}")]
    NotAUrl(url::ParseError),
    #[error("the next link leads to {link}, outside {upstream}")]
    Elsewhere { link: String, upstream: String },
    #[error("the next link carries a user name or password, for {0}")]
    Userinfo(String),
}

impl LinkGuard {
    /// Accepts links to `upstream` and, rewritten to it, to one of `aliases`.
    pub fn new(upstream: &Url, aliases: &[Url]) -> Self {
        Self { upstream: upstream.clone(), aliases: aliases.iter().map(Url::origin).collect() }
    }

    /// Resolves `link` of the answer to `base` (RFC 3986 §5).
    #[expect(clippy::disallowed_methods, reason = "this is the one place that joins a link")]
    pub fn resolve(&self, base: &Url, link: &str) -> Result<Url, BadAddress> {
        let mut url = base.join(self.shortened(base, link.trim())).map_err(BadAddress::NotAUrl)?;
        url.set_fragment(None);
        // Scheme, host and port, without user name and password.
        if url[..Position::BeforePath] == self.upstream[..Position::BeforePath] && !has_userinfo(&url) {
            return Ok(url);
        }
        let origin = url.origin();
        let host = || origin.ascii_serialization();
        if has_userinfo(&url) {
            return Err(BadAddress::Userinfo(host()));
        }
        if origin != self.upstream.origin() {
            if !origin.is_tuple() || !self.aliases.contains(&origin) {
                return Err(BadAddress::Elsewhere {
                    link: host(),
                    upstream: self.upstream.origin().ascii_serialization(),
                });
            }
            let (path, query) = (url.path().to_owned(), url.query().map(ToOwned::to_owned));
            url = self.upstream.clone();
            url.set_path(&path);
            url.set_query(query.as_deref());
        }
        Ok(url)
    }

    /// URL of the upstream with this path behind its own.
    pub(super) fn at_upstream(&self, path: &str) -> Url {
        let mut url = self.upstream.clone();
        url.set_path(&format!("{}{path}", self.upstream.path().trim_end_matches('/')));
        url.set_query(None);
        url
    }

    /// Returns the link's path, query and fragment alone, where it begins as the upstream's URL and `base` do: the host, which takes as
    /// long as the rest to parse, is then `base`'s own. A path that could be read as another host is left as it is.
    fn shortened<'a>(&self, base: &Url, link: &'a str) -> &'a str {
        let host = &self.upstream[..Position::BeforePath];
        match link.strip_prefix(host) {
            Some(path)
                if matches!(path.as_bytes(), [b'/', first, ..] if first.is_ascii_alphanumeric())
                    && base[..Position::BeforePath] == *host =>
            {
                path
            }
            _ => link,
        }
    }
}

fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolve(link: &str) -> Result<String, BadAddress> {
        let url = |text: &str| Url::parse(text).unwrap();
        let guard = LinkGuard::new(&url("http://127.0.0.1:8000/base"), &[url("https://public.example")]);
        guard.resolve(&url("http://127.0.0.1:8000/base/items?page=1"), link).map(Into::into)
    }

    #[test]
    fn follows_the_upstream_and_its_aliases() {
        let cases = [
            ("?page=2", "http://127.0.0.1:8000/base/items?page=2"),
            ("/x?page=2#top", "http://127.0.0.1:8000/x?page=2"),
            ("items?page=2", "http://127.0.0.1:8000/base/items?page=2"),
            ("http://127.0.0.1:8000/y", "http://127.0.0.1:8000/y"),
            (" http://127.0.0.1:8000/y/../z?a=\u{e9}#b ", "http://127.0.0.1:8000/z?a=%C3%A9"),
            ("http://127.0.0.1:8000//evil.example/x", "http://127.0.0.1:8000//evil.example/x"),
            ("http://127.0.0.1:8000/\t/evil.example/x", "http://127.0.0.1:8000//evil.example/x"),
            ("http://127.0.0.1:8000/\\evil.example/x", "http://127.0.0.1:8000//evil.example/x"),
            ("http://127.1:8000/y", "http://127.0.0.1:8000/y"),
            ("https://public.example/v2?a=%2F", "http://127.0.0.1:8000/v2?a=%2F"),
        ];
        for (link, address) in cases {
            assert_eq!(resolve(link).as_deref(), Ok(address), "{link}");
        }
    }

    proptest! {
        #[test]
        fn a_link_to_the_upstream_means_what_the_whole_url_does(rest in "[/\\\\ab?#.%@:é\t]{0,9}") {
            let link = format!("http://127.0.0.1:8000{rest}");
            let whole = Url::parse(&link).ok().filter(|url| url.origin().ascii_serialization() == "http://127.0.0.1:8000");
            let whole = whole.filter(|url| !has_userinfo(url)).map(|mut url| {
                url.set_fragment(None);
                url.to_string()
            });
            prop_assert_eq!(resolve(&link).ok(), whole);
        }
    }

    #[test]
    fn refuses_every_other_origin() {
        let cases = [
            "http://127.0.0.1:8001/x",
            "https://127.0.0.1:8000/x",
            "http://127.0.0.1/x",
            "//evil.example/x",
            "\\\\evil.example/x",
            "/\\evil.example/x",
            "http://127.0.0.1:8000@evil.example/x",
            "http://user:pw@127.0.0.1:8000/x",
            "http://public.example/x",
            "https://public.example.evil/x",
            "http://2130706434:8000/x",
            "http://0x7f000002:8000/",
            "file:///etc/passwd",
            "data:,x",
            "javascript:0",
            "http://",
            "ht\ttp://evil.example/",
        ];
        for link in cases {
            assert!(resolve(link).is_err(), "{link} leads to {:?}", resolve(link));
        }
    }
}
