//! Next links that are URI templates (RFC 6570, levels 1 to 3), as HAL has them: variables have the values of the request's parameters with
//! their names, and expand to nothing where it has none.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::pagination::request::query_value;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// `{+x}` and `{#x}` keep what separates the parts of a URL.
const WITH_RESERVED: &AsciiSet = &UNRESERVED
    .remove(b':')
    .remove(b'/')
    .remove(b'?')
    .remove(b'#')
    .remove(b'[')
    .remove(b']')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// Expressions that are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expressions {
    /// All, of a link that says that it is `templated`.
    All,
    /// `{?x,y}` and `{&x}`: a URL can't have these characters there, so that they are a template without a word.
    OfQueries,
}

/// One `{…}`.
struct Expression<'t> {
    operator: Option<char>,
    names: Vec<&'t str>,
}

/// Expands a link. What is no expression stays as it is.
pub(super) fn expanded<'l>(link: &'l str, which: Expressions, request: &Url) -> Cow<'l, str> {
    if !link.contains('{') {
        return Cow::Borrowed(link);
    }
    let mut text = String::new();
    let mut rest = link;
    while let Some((before, braced)) = rest.split_once('{') {
        let expression = braced.split_once('}').and_then(|(inner, after)| Some((Expression::read(inner)?, after)));
        match expression
            .filter(|(expression, _)| which == Expressions::All || matches!(expression.operator, Some('?' | '&')))
        {
            Some((expression, after)) => {
                text.push_str(before);
                text.push_str(&expression.value(request));
                rest = after;
            }
            None => {
                text.push_str(&rest[..=before.len()]);
                rest = braced;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

impl<'t> Expression<'t> {
    fn read(inner: &'t str) -> Option<Self> {
        let operator = inner.chars().next().filter(|first| "+#./;?&".contains(*first));
        let names: Vec<_> =
            inner[operator.map_or(0, char::len_utf8)..].split(',').map(|name| name.trim_end_matches('*')).collect();
        let is_name = |name: &&str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.%-$".contains(&byte))
        };
        names.iter().all(is_name).then_some(Self { operator, names })
    }

    fn value(&self, request: &Url) -> String {
        let characters = if matches!(self.operator, Some('+' | '#')) { WITH_RESERVED } else { UNRESERVED };
        let known = self.names.iter().filter_map(|name| {
            let value = query_value(request, name)?;
            let value = utf8_percent_encode(&value, characters).to_string();
            Some(match self.operator {
                Some(';') if value.is_empty() => (*name).to_owned(),
                Some(';' | '?' | '&') => format!("{name}={value}"),
                _ => value,
            })
        });
        let known: Vec<_> = known.collect();
        let (first, between) = match self.operator {
            None | Some('+') => ("", ","),
            Some('#') => ("#", ","),
            Some('.') => (".", "."),
            Some('/') => ("/", "/"),
            Some(';') => (";", ";"),
            Some('?') => ("?", "&"),
            Some(_) => ("&", "&"),
        };
        if known.is_empty() { String::new() } else { format!("{first}{}", known.join(between)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_the_parameters_of_the_request() {
        let request = Url::parse("http://a/x?size=50&q=a%20b/c&empty=").unwrap();
        for (link, all, of_queries) in [
            ("/x?page=2{&size,sort}", "/x?page=2&size=50", "/x?page=2&size=50"),
            ("/x{?page,sort}", "/x", "/x"),
            ("/x{?q,empty*}&page=2", "/x?q=a%20b%2Fc&empty=&page=2", "/x?q=a%20b%2Fc&empty=&page=2"),
            (
                "/{size}{/q}{.size}{;size,empty}{+q}{#size,q}",
                "/50/a%20b%2Fc.50;size=50;emptya%20b/c#50,a%20b/c",
                "/{size}{/q}{.size}{;size,empty}{+q}{#size,q}",
            ),
            (
                "/x?filter={\"a\":{\"b\":1}}&page=2{&size}",
                "/x?filter={\"a\":{\"b\":1}}&page=2&size=50",
                "/x?filter={\"a\":{\"b\":1}}&page=2&size=50",
            ),
            ("/x?page=2", "/x?page=2", "/x?page=2"),
            ("/x{", "/x{", "/x{"),
            ("/x{}{?}", "/x{}{?}", "/x{}{?}"),
        ] {
            assert_eq!(expanded(link, Expressions::All, &request), all);
            assert_eq!(expanded(link, Expressions::OfQueries, &request), of_queries);
        }
    }
}
