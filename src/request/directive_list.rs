//! Lists of directives with optional values, as in `Prefer` (RFC 7240) and `Cache-Control` (RFC 9111 §5.2).

use http::{HeaderMap, HeaderName};

const BLANK: [char; 2] = [' ', '\t'];

/// Returns the names and values of the directives in all fields of this name, without their parameters. What is no directive is ignored.
pub(super) fn directives(headers: &HeaderMap, field: &HeaderName) -> Vec<(String, String)> {
    let fields = headers.get_all(field).iter().filter_map(|field| field.to_str().ok());
    let texts = fields.flat_map(|field| split(field, ','));
    let named = texts.filter_map(|text| named(split(text, ';').next()?));
    named.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// `token [ BWS "=" BWS word ]`; without a value it has the empty one.
fn named(text: &str) -> Option<(&str, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
    let value = match value.strip_prefix('"') {
        Some(rest) => unquoted(rest)?,
        None if value.is_empty() || is_token(value) => value.to_owned(),
        None => return None,
    };
    is_token(name).then_some((name, value))
}

/// Splits a text at these separators, but not inside quoted strings.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

/// Returns the text of a quoted string (RFC 9110 §5.6.4) whose opening quote was removed; none without a closing quote at the end.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next()?),
            c => text.push(c),
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
