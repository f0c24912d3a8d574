//! Request of the pages behind the first, where it has another method, path or body (Dropbox's `/continue`, Elasticsearch's scroll).

use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use super::addressing::AddressContext;
use super::config_keys::{KeyKind, KeyMistake, StyleKey, StyleValue, StyleValues};
use super::request_fields::fields;
use crate::pagination::request::{PageRequest, RequestBody};

/// Differences of a further page's request from the first one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NextRequest {
    pub method: Option<Method>,
    /// Path at the upstream, without a query: the parameters of the first request are the first request's alone.
    pub path: Option<String>,
    /// Body that replaces the first request's.
    pub body: Option<Value>,
    /// Header fields in addition to the first request's, or in place of those of their names.
    pub headers: Box<HeaderMap>,
}

impl NextRequest {
    pub(super) const KEYS: &'static [StyleKey] = &[
        StyleKey::new("method", KeyKind::Word(&["GET", "POST"])),
        StyleKey::new("path", KeyKind::Text),
        StyleKey::new("body", KeyKind::Json),
        StyleKey::new("headers", KeyKind::Json),
    ];

    pub(super) fn read(values: &mut StyleValues, mistakes: &mut Vec<KeyMistake>) -> Self {
        let method = values.text("method").map(|word| if word == "POST" { Method::POST } else { Method::GET });
        let headers = match values.json("headers") {
            None => Ok(HeaderMap::new()),
            Some(Value::Object(headers)) => fields(&headers),
            Some(_) => Err("its headers are no table".to_owned()),
        };
        let (headers, bad_header) = headers.map_or_else(|what| (HeaderMap::new(), Some(what)), |read| (read, None));
        let next = Self { method, path: values.text("path"), body: values.json("body"), headers: Box::new(headers) };
        let mut refuse = |what: &str, hint| {
            mistakes.push(KeyMistake { key: "next_request", what: what.to_owned(), hint });
        };
        if next.path.as_ref().is_some_and(|path| !path.starts_with('/') || path.contains(['?', '#'])) {
            refuse("its path is no absolute path alone", "write path = \"/…/continue\", and parameters into param");
        }
        if next.method == Some(Method::GET) && next.body.is_some() {
            refuse("a GET request has no body", "write method = \"POST\", or leave body out");
        }
        if let Some(what) = &bad_header {
            refuse(
                what,
                "write headers = { NAME = \"text\" }; credentials, accept and the body's type have keys of their own",
            );
        }
        if next == Self::default() && bad_header.is_none() {
            refuse("it changes nothing", "write the method, path, body or headers of a further page's request");
        }
        next
    }

    pub(super) fn values(&self) -> StyleValues {
        let mut values = StyleValues::default();
        values.put_some("method", self.method.as_ref().map(|method| StyleValue::Text(method.to_string())));
        values.put_some("path", self.path.clone().map(StyleValue::Text));
        values.put_some("body", self.body.clone().map(StyleValue::Json));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), Value::from(text(value))));
        let headers = (!self.headers.is_empty()).then(|| StyleValue::Json(Value::Object(headers.collect())));
        values.put_some("headers", headers);
        values
    }

    /// The first request with these differences.
    pub(super) fn on(&self, context: AddressContext<'_>) -> PageRequest {
        let mut request = context.first.clone();
        if let Some(method) = &self.method {
            request.method = method.clone();
        }
        if let Some(path) = &self.path {
            request.url = context.guard.at_upstream(path);
        }
        if let Some(body) = &self.body {
            request.body = Some(RequestBody::Json(body.clone()));
        } else if request.method == Method::GET {
            request.body = None;
        }
        for (name, value) in self.headers.iter() {
            request.headers.insert(name, value.clone());
        }
        request
    }
}
