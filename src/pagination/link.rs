//! The `Link` header field (RFC 8288): every link of every field, or an error with the expected character.
//!
//! No link is skipped: one that is lost to a lenient reader would end a collection early.

use http::{HeaderMap, header};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The URL between `<` and `>`, unchanged; perhaps relative.
    pub target: String,
    /// Parameters in their order, names in lower case; one without a value has the empty one.
    pub params: Vec<(String, String)>,
}

/// A `Link` header field can't be read. The message shows no part of the value: a URL can contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Link header can't be read: expected {expected} at byte {at}")]
pub struct BadLink {
    expected: &'static str,
    at: usize,
}

impl Link {
    /// Returns whether `rel` is one of the link's relation types; only the first `rel` parameter counts (RFC 8288 §3.3).
    pub fn has_rel(&self, rel: &str) -> bool {
        self.rels().any(|found| found.eq_ignore_ascii_case(rel))
    }

    /// Relation types of the link.
    pub fn rels(&self) -> impl Iterator<Item = &str> {
        self.param("rel").unwrap_or_default().split_ascii_whitespace()
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads all links of an answer.
pub fn links(headers: &HeaderMap) -> Result<Vec<Link>, BadLink> {
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

impl LinkParser<'_> {
    /// `#link-value`: a list in which elements may be empty (RFC 9110 §5.6.1), as the whole value may be.
    fn links(mut self, links: &mut Vec<Link>) -> Result<(), BadLink> {
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

    fn link(&mut self) -> Result<Link, BadLink> {
        self.at += 1;
        let target = self.take_while(|byte| byte != b'>');
        if !self.eat(b'>') {
            return Err(self.bad("`>` after a link's URL"));
        }
        let mut params = Vec::new();
        self.skip_space();
        while self.eat(b';') {
            self.skip_space();
            let name = self.take_while(is_token).to_ascii_lowercase();
            // RFC 8288 appendix B.3 lets parameters be empty, as in a trailing `;`.
            if !name.is_empty() {
                params.push((name, self.param_value()?));
            }
            self.skip_space();
        }
        Ok(Link { target: target.trim().to_owned(), params })
    }

    /// Reads the text behind a parameter's name: nothing, `=token` or `="quoted string"`.
    fn param_value(&mut self) -> Result<String, BadLink> {
        self.skip_space();
        if !self.eat(b'=') {
            return Ok(String::new());
        }
        self.skip_space();
        if self.eat(b'"') {
            return self.quoted();
        }
        // Beyond tokens, as RFC 8288 appendix B.3 reads them: servers write `rel=https://api.w.org/` without quotes.
        Ok(self.take_while(|byte| !matches!(byte, b';' | b',' | b' ' | b'\t' | b'"')))
    }

    fn quoted(&mut self) -> Result<String, BadLink> {
        let mut value = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.bad("`\"` after a parameter's value")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&value).into_owned());
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

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> String {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.at += end;
        String::from_utf8_lossy(&rest[..end]).into_owned()
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

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Result<Vec<Link>, BadLink> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::LINK, HeaderValue::from_str(value).unwrap());
        }
        links(&headers)
    }

    fn link(target: &str, params: &[(&str, &str)]) -> Link {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Link { target: target.to_owned(), params }
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

    fn written(links: &[Link]) -> String {
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
                links.into_iter().map(|(target, params)| Link { target, params }).collect();
            prop_assert_eq!(read(&[&written(&links)]), Ok(links));
        }
    }
}
