//! A request to the legacy API: its parameters, in the query or the body.

use http::uri::Authority;
use http::{HeaderMap, Method, Uri, header};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::legacy_api::Legacy;
use super::refusal::DemoRefusal;

#[derive(Debug)]
pub(super) struct DemoRequest<'a> {
    pub(super) legacy: &'a Legacy,
    pub(super) headers: &'a HeaderMap,
    uri: &'a Uri,
    params: DemoParams,
}

#[derive(Debug)]
enum DemoParams {
    /// Parameters of the query, all of them strings.
    Query(Vec<(String, String)>),
    /// Members of a JSON body, in which a number is no string.
    Json(Map<String, Value>),
}

impl<'a> DemoRequest<'a> {
    /// Reads the parameters: a POST's are the members of its JSON body.
    pub(super) fn read(
        legacy: &'a Legacy,
        method: &Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        body: &[u8],
    ) -> Result<Self, DemoRefusal> {
        let params = if method != Method::POST {
            let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            DemoParams::Query(pairs.into_owned().collect())
        } else if body.is_empty() {
            DemoParams::Json(Map::new())
        } else {
            let members = serde_json::from_slice(body);
            DemoParams::Json(
                members.map_err(|error| DemoRefusal::bad(format!("the body must be a JSON object: {error}")))?,
            )
        };
        Ok(Self { legacy, headers, uri, params })
    }

    /// The same request with the members of one parameter as its parameters.
    pub(super) fn inside(&self, name: &str) -> Result<Self, DemoRefusal> {
        let members = self.param(name, "an object", |_| None, Value::as_object)?.cloned();
        Ok(Self { params: DemoParams::Json(members.unwrap_or_default()), ..*self })
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, DemoRefusal> {
        self.param(name, "a text", Some, Value::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, DemoRefusal> {
        self.param(name, "a whole number", |text| text.parse().ok(), Value::as_u64)
    }

    fn param<'s, T>(
        &'s self,
        name: &str,
        kind: &str,
        of_text: impl Fn(&'s str) -> Option<T>,
        of_json: impl Fn(&'s Value) -> Option<T>,
    ) -> Result<Option<T>, DemoRefusal> {
        let (value, sent) = match &self.params {
            DemoParams::Query(pairs) => match pairs.iter().find(|(found, _)| found == name) {
                Some((_, text)) => (of_text(text), text.clone()),
                None => return Ok(None),
            },
            DemoParams::Json(members) => match members.get(name).filter(|value| !value.is_null()) {
                Some(json) => (of_json(json), json.to_string()),
                None => return Ok(None),
            },
        };
        value.map(Some).ok_or_else(|| DemoRefusal::bad(format!("`{name}` must be {kind}: {sent}")))
    }

    /// A parameter as text, from a string or a number.
    pub(super) fn spelled(&self, name: &str) -> Option<String> {
        match &self.params {
            DemoParams::Query(pairs) => pairs.iter().find(|(found, _)| found == name).map(|(_, text)| text.clone()),
            DemoParams::Json(members) => match members.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                value => Some(value.to_string()),
            },
        }
    }

    /// Page size by [`Legacy::page_size`].
    pub(super) fn size(&self, name: &str) -> Result<u64, DemoRefusal> {
        match self.number(name)? {
            Some(0) => Err(DemoRefusal::bad(format!("`{name}` must be at least 1"))),
            size => Ok(self.legacy.page_size(size)),
        }
    }

    /// Scheme and authority of absolute links, as the client wrote them.
    pub(super) fn origin(&self) -> String {
        let host = || self.headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
        let authority = self.uri.authority().cloned().or_else(host);
        let authority = authority.unwrap_or_else(|| Authority::from_static("localhost"));
        format!("{}://{authority}", self.uri.scheme_str().unwrap_or("http"))
    }

    /// Path and query of this request with some parameters changed.
    pub(super) fn path_with(&self, changed: &[(&str, String)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let DemoParams::Query(pairs) = &self.params {
            query.extend_pairs(pairs.iter().filter(|(name, _)| !changed.iter().any(|(new, _)| new == name)));
        }
        format!("{}?{}", self.uri.path(), query.extend_pairs(changed).finish())
    }
}
