//! The `Link` header field (RFC 8288): every link of every field, or an error with the expected character.
//!
//! No link is skipped: one that is lost to a lenient reader would end a collection early.

use std::borrow::Cow;

use http::{HeaderMap, header};
use memchr::{memchr, memchr2};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The URL between `<` and `>`, unchanged; perhaps relative.
    pub target: Cow<'a, str>,
    /// Parameters in their order, names in lower case; one without a value has the empty one.
    pub params: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A `Link` header field can't be read. The message shows no part of the value: a URL can contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Link header can't be read: expected {expected} at byte {at}")]
pub struct BadLink {
    expected: &'static str,
    at: usize,
}

impl Link<'_> {
    /// Returns whether `rel` is one of the link's relation types; only the first `rel` parameter counts (RFC 8288 §3.3).
    pub fn has_rel(&self, rel: &str) -> bool {
        self.rels().any(|found| found.eq_ignore_ascii_case(rel))
    }

    /// Relation types of the link.
    pub fn rels(&self) -> impl Iterator<Item = &str> {
        self.param("rel").unwrap_or_default().split_ascii_whitespace()
    }

    /// The first relation type that can't be one: neither a registered name nor a URI (RFC 8288 §3.3), as `'next'` in single quotes.
    pub fn impossible_rel(&self) -> Option<&str> {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        self.rels().find(|rel| !rel.contains(':') && !rel.bytes().all(is_name_byte))
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }
}

/// Reads all links of an answer.
pub fn links(headers: &HeaderMap) -> Result<Vec<Link<'_>>, BadLink> {
    let mut links = Vec::new();
    for value in headers.get_all(header::LINK) {
        LinkParser { bytes: value.as_bytes(), at: 0 }.links(&mut links)?;
    }
    Ok(links)
}

struct LinkParser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> LinkParser<'a> {
    /// `#link-value`: a list in which elements may be empty (RFC 9110 §5.6.1), as the whole value may be.
    fn links(mut self, links: &mut Vec<Link<'a>>) -> Result<(), BadLink> {
        loop {
            self.skip_space();
            match self.peek() {
                None => return Ok(()),
                Some(b',') => self.at += 1,
                Some(b'<') => {
                    links.push(self.link()?);
                    if !matches!(self.peek(), None | Some(b',')) {
                        return Err(self.bad("`,` or `;` after a link"));
                    }
                }
                Some(_) => return Err(self.bad("`<` before a link's URL")),
            }
        }
    }

    fn link(&mut self) -> Result<Link<'a>, BadLink> {
        self.at += 1;
        let target = self.take_to(memchr(b'>', self.rest()));
        if !self.eat(b'>') {
            return Err(self.bad("`>` after a link's URL"));
        }
        let mut params = Vec::new();
        self.skip_space();
        while self.eat(b';') {
            self.skip_space();
            let name = self.take_while(is_token);
            // RFC 8288 appendix B.3 lets parameters be empty, as in a trailing `;`.
            if !name.is_empty() {
                params.push((lower(text_of(name)), self.param_value()?));
            }
            self.skip_space();
        }
        Ok(Link { target: text_of(target.trim_ascii()), params })
    }

    /// Reads the text behind a parameter's name: nothing, `=token` or `="quoted string"`.
    fn param_value(&mut self) -> Result<Cow<'a, str>, BadLink> {
        self.skip_space();
        if !self.eat(b'=') {
            return Ok(Cow::Borrowed(""));
        }
        self.skip_space();
        if self.eat(b'"') {
            return self.quoted();
        }
        // Beyond tokens, as RFC 8288 appendix B.3 reads them: servers write `rel=https://api.w.org/` without quotes.
        Ok(text_of(self.take_while(|byte| !matches!(byte, b';' | b',' | b' ' | b'\t' | b'"'))))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, BadLink> {
        let plain = self.take_to(memchr2(b'"', b'\\', self.rest()));
        if self.eat(b'"') {
            return Ok(text_of(plain));
        }
        let mut value = plain.to_vec();
        loop {
            match self.peek() {
                None => return Err(self.bad("`\"` after a parameter's value")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text_of(&value).into_owned()));
                }
                Some(b'\\') => {
                    let escaped = self.bytes.get(self.at + 1);
                    value.push(*escaped.ok_or_else(|| self.bad("a character after `\\`"))?);
                    self.at += 2;
                }
                Some(byte) => {
                    value.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        self.take_to(self.rest().iter().position(|byte| !wanted(*byte)))
    }

    /// Takes the bytes up to this one of the rest, or all of it.
    fn take_to(&mut self, end: Option<usize>) -> &'a [u8] {
        let rest = self.rest();
        let taken = &rest[..end.unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn bad(&self, expected: &'static str) -> BadLink {
        BadLink { expected, at: self.at }
    }
}

/// Text of a part of a value, which is nearly always ASCII: the check for that alone is four times as fast as the repair.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn lower(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { Cow::Owned(name.to_ascii_lowercase()) } else { name }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Result<Vec<Link<'static>>, BadLink> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::LINK, HeaderValue::from_str(value).unwrap());
        }
        let own = |text: &str| Cow::Owned(text.to_owned());
        let owned = |link: &Link<'_>| Link {
            target: own(&link.target),
            params: link.params.iter().map(|(name, value)| (own(name), own(value))).collect(),
        };
        links(&headers).map(|links| links.iter().map(owned).collect())
    }

    fn link(target: &'static str, params: &[(&'static str, &'static str)]) -> Link<'static> {
        let params = params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Link { target: target.into(), params }
    }

    #[test]
    fn links_of_every_spelling_are_read() {
        let cases: &[(&[&str], &[Link])] = &[
            (&[], &[]),
            (&[""], &[]),
            (&[" , ,\t"], &[]),
            (&["</a?page=2>; rel=\"next\""], &[link("/a?page=2", &[("rel", "next")])]),
            (&["</a>;rel=next,</b>;rel=last"], &[link("/a", &[("rel", "next")]), link("/b", &[("rel", "last")])]),
            (
                &["</a>; rel=prev", "</b> ; REL = next"],
                &[link("/a", &[("rel", "prev")]), link("/b", &[("rel", "next")])],
            ),
            (&["</a,b;c=\"d\">; rel=\"x;y,z\", "], &[link("/a,b;c=\"d\"", &[("rel", "x;y,z")])]),
            (&["<a>; title=\"say \\\"hi\\\"\"; rel=next;"], &[link("a", &[("title", "say \"hi\""), ("rel", "next")])]),
            (&["<a>; crossorigin; rel=next"], &[link("a", &[("crossorigin", ""), ("rel", "next")])]),
            (&["<>; rel=self"], &[link("", &[("rel", "self")])]),
            (&["<https://a/>; rel=https://api.w.org/"], &[link("https://a/", &[("rel", "https://api.w.org/")])]),
            (
                &["<a>; title*=UTF-8''n%c3%a4; rel=\"next\""],
                &[link("a", &[("title*", "UTF-8''n%c3%a4"), ("rel", "next")])],
            ),
        ];
        for (values, expected) in cases {
            assert_eq!(read(values).as_deref(), Ok(*expected), "{values:?}");
        }
    }

    #[test]
    fn relation_types_are_a_set_without_case_and_only_the_first_rel_counts() {
        let [links] = &read(&["<a>; rel=\"Next  last\"; rel=prev"]).unwrap()[..] else { panic!("one link") };
        assert!(links.has_rel("next") && links.has_rel("LAST"));
        assert!(!links.has_rel("prev") && !links.has_rel("nex") && !links.has_rel(""));
        assert!(!link("a", &[]).has_rel("next"));
    }

    #[test]
    fn a_malformed_link_is_an_error_and_never_skipped() {
        let cases = [
            ("/a?page=2; rel=next", "`<` before a link's URL at byte 0"),
            ("</a?page=2", "`>` after a link's URL at byte 10"),
            ("</a> rel=next", "`,` or `;` after a link at byte 5"),
            ("</a>; rel=\"next", "`\"` after a parameter's value at byte 15"),
            ("</a>; rel=\"next\\", "a character after `\\` at byte 15"),
            ("</a>; rel=\"next\"x", "`,` or `;` after a link at byte 16"),
            ("</a>; =x", "`,` or `;` after a link at byte 6"),
            ("</a>; rel=next, b", "`<` before a link's URL at byte 16"),
        ];
        for (value, expected) in cases {
            let error = read(&[value]).unwrap_err().to_string();
            assert_eq!(error, format!("the Link header can't be read: expected {expected}"), "{value}");
        }
    }

    fn written(links: &[Link<'_>]) -> String {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let texts = links.iter().map(|link| {
            let params = link.params.iter().map(|(name, value)| format!("; {name}=\"{}\"", quoted(value)));
            format!("<{}>{}", link.target, params.collect::<String>())
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(value in proptest::collection::vec(0x20_u8..=0xff, 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let _: Result<_, _> = links(&HeaderMap::from_iter([(header::LINK, value)]));
            }
        }

        #[test]
        fn nearly_links_don_t_make_it_panic(value in "[<>;,=\"\\\\ arelnxt/?]{0,40}") {
            let _: Result<_, _> = read(&[&value]);
        }

        #[test]
        fn a_written_link_is_read_again(
            links in proptest::collection::vec(
                ("[a-z/?&=;,%:\"]{0,12}", proptest::collection::vec(("[a-z*]{1,5}", "[ -~]{0,8}"), 0..3)),
                0..4,
            )
        ) {
            let links: Vec<_> =
                links.into_iter().map(|(target, params)| Link {
                    target: target.into(),
                    params: params.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                }).collect();
            prop_assert_eq!(read(&[&written(&links)]), Ok(links));
        }
    }
}
