//! Links in the head of an answer that is passed through: those that lead to the upstream lead to the client's own origin instead.
//!
//! A client that pages by itself would else leave the proxy, and take its credentials along, with the second page.

use http::header::{CONTENT_LOCATION, HOST, LINK, LOCATION};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::form_urlencoded;

/// Scheme, host and port by which the client reaches the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientOrigin {
    scheme: Scheme,
    authority: Authority,
}

impl ClientOrigin {
    /// Returns the origin of a request: what the server knows of it (extensions of the request), else its target and `Host`.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let host = || head.headers.get(HOST)?.to_str().ok()?.parse().ok();
        let authority = head.extensions.get().or(head.uri.authority()).cloned().or_else(host)?;
        let scheme = head.extensions.get().or(head.uri.scheme()).cloned().unwrap_or(Scheme::HTTP);
        Some(Self { scheme, authority })
    }

    /// Returns the URL of a path and query at this origin.
    pub(super) fn url(&self, target: &str) -> String {
        format!("{}://{}{target}", self.scheme, self.authority)
    }
}

/// Replaces the links for which `map` has another URL. A value that is no text stays.
pub(super) fn rewrite(headers: &mut HeaderMap, map: impl Fn(&str) -> Option<String>) {
    for name in [LOCATION, CONTENT_LOCATION] {
        replace(headers, &name, |value| map(value.trim()));
    }
    replace(headers, &LINK, |value| in_link_values(value, &map));
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, map: impl Fn(&str) -> Option<String>) {
    let http::header::Entry::Occupied(mut field) = headers.entry(name) else { return };
    for value in field.iter_mut() {
        if let Some(mapped) = value.to_str().ok().and_then(&map)
            && let Ok(mapped) = HeaderValue::try_from(mapped)
        {
            *value = mapped;
        }
    }
}

/// Returns a URL or relative reference without the secrets in these parameters of its query, which an upstream may repeat in its links; none where it has none.
pub(super) fn without_secret(link: &str, names: &[&str], is_secret: impl Fn(&str) -> bool) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let (start, rest) = link.split_once('?')?;
    let (query, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let has_secret = |pair: &&str| {
        let (key, value) = form_urlencoded::parse(pair.as_bytes()).next().unwrap_or_default();
        names.contains(&&*key) && is_secret(&value)
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !has_secret(pair)).collect();
    if kept.len() == query.split('&').count() {
        return None;
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    Some([start, mark, &kept.join("&"), fragment].concat())
}

/// Maps the targets of link-values (RFC 8288 §3), which stand between `<` and `>` outside of quotes. Returns none where none is mapped.
fn in_link_values(value: &str, map: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut written = String::with_capacity(value.len());
    let (mut rest, mut is_mapped, mut is_quoted) = (value, false, false);
    while let Some(at) = rest.find(['<', '"', '\\']) {
        let (before, mark) = rest.split_at(at);
        written.push_str(before);
        match mark.as_bytes()[0] {
            b'<' if !is_quoted && let Some((target, behind)) = mark[1..].split_once('>') => {
                let mapped = map(target);
                is_mapped |= mapped.is_some();
                written.push('<');
                written.push_str(mapped.as_deref().unwrap_or(target));
                written.push('>');
                rest = behind;
                continue;
            }
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        // An escaped mark in quotes is none.
        let escaped = if is_quoted && mark.starts_with('\\') { mark[1..].chars().next() } else { None };
        let taken = 1 + escaped.map_or(0, char::len_utf8);
        written.push_str(&mark[..taken]);
        rest = &mark[taken..];
    }
    written.push_str(rest);
    is_mapped.then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_of_links_are_mapped() {
        let map = |url: &str| url.strip_prefix("http://up").map(|path| format!("http://own{path}"));
        for (value, mapped) in [
            ("<http://up/a?page=2>; rel=\"next\"", Some("<http://own/a?page=2>; rel=\"next\"")),
            (
                "<http://up/1>; rel=next; title=\"a \\\" <http://up/x>\", <http://else/2>, <http://up/3>;x",
                Some("<http://own/1>; rel=next; title=\"a \\\" <http://up/x>\", <http://else/2>, <http://own/3>;x"),
            ),
            ("<http://else/2>; title=\"<http://up/x>\"", None),
            ("<http://up/1", None),
            ("http://up/1", None),
            ("", None),
        ] {
            assert_eq!(in_link_values(value, map).as_deref(), mapped, "{value}");
        }
    }

    #[test]
    fn the_operators_secret_is_taken_out_of_any_link() {
        let is_secret = |value: &str| value == "a/b";
        for (link, without) in [
            ("http://x/?api+key=a%2Fb", Some("http://x/")),
            ("/y?p=1&api%20key=a/b&q#f?api key=a/b", Some("/y?p=1&q#f?api key=a/b")),
            ("?api+key=other", None),
            ("/plain", None),
        ] {
            assert_eq!(without_secret(link, &["api key"], is_secret).as_deref(), without, "{link}");
        }
        assert_eq!(without_secret("/?a=b", &[], |_| true), None);
    }

    #[test]
    fn the_origin_is_what_the_server_knows_of_it_else_what_the_request_says() {
        let origin = |target: &str, host: Option<&str>, known: Option<(Scheme, &'static str)>| {
            let mut request = http::Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            if let Some((scheme, authority)) = known {
                head.extensions.insert(scheme);
                head.extensions.insert(Authority::from_static(authority));
            }
            ClientOrigin::of(&head).map(|origin| origin.url("/x"))
        };
        let own = |url: &str| Some(url.to_owned());
        assert_eq!(origin("/a", Some("a:8080"), None), own("http://a:8080/x"));
        assert_eq!(origin("https://b/a", None, None), own("https://b/x"));
        assert_eq!(origin("/a", Some("a"), Some((Scheme::HTTPS, "public.example"))), own("https://public.example/x"));
        assert_eq!(origin("/a", None, None), None);
    }
}
