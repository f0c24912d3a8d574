//! Request of the pages behind the first, where it has another method, path or body (Dropbox's `/continue`, Elasticsearch's scroll).

use http::Method;
use serde_json::Value;

use super::addressing::AddressContext;
use super::config_keys::{KeyKind, KeyMistake, StyleKey, StyleValue, StyleValues};
use crate::pagination::request::{PageRequest, RequestBody};

/// Differences of a further page's request from the first one.
#[derive(Clone, Debug, PartialEq)]
pub struct NextRequest {
    pub method: Option<Method>,
    /// Path at the upstream, without a query: the parameters of the first request are the first request's alone.
    pub path: Option<String>,
    /// Body that replaces the first request's.
    pub body: Option<Value>,
}

impl NextRequest {
    pub(super) const KEYS: &'static [StyleKey] = &[
        StyleKey::new("method", KeyKind::Word(&["GET", "POST"])),
        StyleKey::new("path", KeyKind::Text),
        StyleKey::new("body", KeyKind::Json),
    ];

    pub(super) fn read(values: &mut StyleValues, mistakes: &mut Vec<KeyMistake>) -> Self {
        let method = values.text("method").map(|word| if word == "POST" { Method::POST } else { Method::GET });
        let next = Self { method, path: values.text("path"), body: values.json("body") };
        let mut refuse = |what: &str, hint| {
            mistakes.push(KeyMistake { key: "next_request", what: what.to_owned(), hint });
        };
        if next.path.as_ref().is_some_and(|path| !path.starts_with('/') || path.contains(['?', '#'])) {
            refuse("its path is no absolute path alone", "write path = \"/…/continue\", and parameters into param");
        }
        if next.method == Some(Method::GET) && next.body.is_some() {
            refuse("a GET request has no body", "write method = \"POST\", or leave body out");
        }
        if (&next.method, &next.path, &next.body) == (&None, &None, &None) {
            refuse("it changes nothing", "write the method, path or body of a further page's request");
        }
        next
    }

    pub(super) fn values(&self) -> StyleValues {
        let mut values = StyleValues::default();
        values.put_some("method", self.method.as_ref().map(|method| StyleValue::Text(method.to_string())));
        values.put_some("path", self.path.clone().map(StyleValue::Text));
        values.put_some("body", self.body.clone().map(StyleValue::Json));
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
        request
    }
}
