//! Values that are URLs, header names and header fields.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::toml_node::TomlNode;

/// Reads an http or https URL, without the trailing slash of its path.
pub(super) fn url(node: &TomlNode<'_>) -> Option<Url> {
    let text = node.text()?;
    let mut url = base_url(text).map_err(|(what, hint)| node.refuse::<()>(what, hint)).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// Parses the base URL of an API; the error is a description and a hint.
pub(super) fn base_url(text: &str) -> Result<Url, (String, &'static str)> {
    let hint =
        "write scheme, host and, where the API does not stand at the root, a path: \"https://api.example.com/v2\"";
    let url = Url::parse(text).map_err(|error| (format!("not a URL ({error}): {text:?}"), hint))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((format!("unpage speaks http and https, not {}", url.scheme()), hint));
    }
    // The text may hold a password, so it isn't shown.
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "a user or password in a URL".to_owned(),
            "write credentials = { basic = { user = \"…\", password = { env = \"NAME\" } } }",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err((
            "an upstream has neither a query nor a fragment".to_owned(),
            "the client's query is passed on; fixed values belong in credentials = { query = … } or in the client's URL",
        ));
    }
    Ok(url)
}

/// Reads an origin: a URL with nothing after its port.
pub(super) fn origin(node: &TomlNode<'_>) -> Option<Url> {
    let url = url(node)?;
    match url.path() {
        "/" | "" => Some(url),
        path => node.refuse(format!("an alias is an origin, and this has the path {path}"), "leave out the path"),
    }
}

pub(super) fn header_name(node: &TomlNode<'_>) -> Option<HeaderName> {
    header_name_in(node, node.text()?)
}

pub(super) fn header_name_in(node: &TomlNode<'_>, name: &str) -> Option<HeaderName> {
    match name.parse() {
        Ok(name) => Some(name),
        Err(_) => node.refuse(format!("not a header name: {name:?}"), "letters, digits and -, as in X-Total-Count"),
    }
}

pub(super) fn header_value(node: &TomlNode<'_>) -> Option<HeaderValue> {
    match HeaderValue::from_str(node.any_text()?) {
        Ok(value) => Some(value),
        Err(_) => node.refuse("a header field can't carry this value", "leave out line breaks and control characters"),
    }
}
