//! Single parameters of a URL's query, which leave all its other bytes as they are.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// All characters but the unreserved ones of RFC 3986: names and values are literal and encoded once.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Characters that would end a value that is encoded already, or that no URL has.
pub(super) const DELIMITERS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'&')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'{')
    .add(b'}');

/// Sets one query parameter and keeps every other byte of the query.
pub fn set_query(url: &mut Url, name: &str, value: &str) {
    put_query(url, name, &utf8_percent_encode(value, RESERVED).to_string());
}

/// Sets one query parameter to a value that is encoded.
pub(super) fn put_query(url: &mut Url, name: &str, encoded: &str) {
    let pair = format!("{}={encoded}", utf8_percent_encode(name, RESERVED));
    let mut replaced = false;
    let mut pairs = Vec::new();
    for old in url.query().unwrap_or_default().split('&').filter(|old| !old.is_empty()) {
        if decoded_name(old) != name {
            pairs.push(old.to_owned());
        } else if !replaced {
            pairs.push(pair.clone());
            replaced = true;
        }
    }
    if !replaced {
        pairs.push(pair);
    }
    url.set_query(Some(&pairs.join("&")));
}

/// Removes one query parameter and keeps every other byte of the query.
pub fn remove_query(url: &mut Url, name: &str) {
    let kept: Vec<_> = url.query().unwrap_or_default().split('&').filter(|pair| decoded_name(pair) != name).collect();
    let kept = kept.join("&");
    url.set_query(Some(kept.as_str()).filter(|query| !query.is_empty()));
}

/// Appends the pairs of this name that another URL has, as they stand there. Returns false if it has none.
pub fn copy_query(from: &Url, to: &mut Url, name: &str) -> bool {
    let pairs: Vec<_> = from.query().unwrap_or_default().split('&').filter(|pair| decoded_name(pair) == name).collect();
    if !pairs.is_empty() {
        let own = to.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
        to.set_query(Some(&format!("{own}{}", pairs.join("&"))));
    }
    !pairs.is_empty()
}

/// First value of a query parameter, decoded.
pub fn query_value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Decoded name of a `name=value` pair of a query.
pub fn decoded_name(pair: &str) -> String {
    let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
    percent_decode_str(&name).decode_utf8_lossy().into_owned()
}

/// Returns a URL's text with the braces of open segments, which a URL can't have.
pub(crate) fn with_braces(url: &str) -> String {
    url.replace("%7B", "{").replace("%7D", "}")
}
