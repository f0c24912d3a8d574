//! Values that are URLs, header names and header fields.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::toml_node::TomlNode;
use crate::field_class::FieldClass;

/// Reads the place of an upstream: an http or https URL without the trailing slash of its path, or a unix socket.
pub(super) fn place(node: &TomlNode<'_>) -> Option<(Url, Option<PathBuf>)> {
    place_of(node.text()?).map_err(|(what, hint)| node.refuse::<()>(what, hint)).ok()
}

/// Reads such a place, `unix:SOCKET` or `unix:SOCKET:/path` for a socket, whose requests have the host `localhost`; the error is a
/// description and a hint.
pub(super) fn place_of(text: &str) -> Result<(Url, Option<PathBuf>), (String, &'static str)> {
    let Some(text) = text.strip_prefix("unix:") else {
        let mut url = base_url(text)?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        return Ok((url, None));
    };
    let (socket, path) = text.split_once(":/").unwrap_or((text, ""));
    let socket = PathBuf::from(socket);
    if !socket.is_absolute() || path.contains(['?', '#']) {
        let hint = "write the whole path of the socket, and the API's behind it: \"unix:/run/api.sock\", \"unix:/run/api.sock:/v2\"";
        return Err(("not a unix socket, or more than a path behind it".to_owned(), hint));
    }
    let mut url = Url::parse("http://localhost/").expect("it is one");
    url.set_path(path.trim_end_matches('/'));
    Ok((url, Some(socket)))
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
    let url = base_url(node.text()?).map_err(|(what, hint)| node.refuse::<()>(what, hint)).ok()?;
    match url.path() {
        "/" | "" => Some(url),
        path => node.refuse(format!("an alias is an origin, and this has the path {path}"), "leave out the path"),
    }
}

pub(super) fn header_name(node: &TomlNode<'_>) -> Option<HeaderName> {
    header_name_in(node, node.text()?)
}

/// Reads the name of a field that has a secret.
pub(super) fn secret_field(node: &TomlNode<'_>) -> Option<HeaderName> {
    let name = header_name(node)?;
    let is_framing = FieldClass::of_known(&name) == Some(FieldClass::Connection);
    if is_framing || [header::HOST, header::CONTENT_LENGTH].contains(&name) {
        return node.refuse(
            format!("{name} is a field of the connection, and has no secret"),
            "name the API's own field, as X-Api-Key",
        );
    }
    Some(name)
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
