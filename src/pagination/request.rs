//! The request for a page as data, and the parameters of it that a token or a number can be put into.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use twox_hash::XxHash3_64;
use url::Url;

use super::path::Path;
pub(crate) use super::url_query::with_braces;
use super::url_query::{DELIMITERS, RESERVED, put_query};
pub use super::url_query::{copy_query, decoded_name, query_value, remove_query, set_query};

/// Destination of a token or number in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Param {
    /// `NAME`: a query parameter.
    Query(String),
    /// `body:PATH`: a value in the JSON body.
    Body(Path),
    /// `form:NAME`: a field of the form body.
    Form(String),
    /// `header:NAME`: a header field.
    Header(HeaderName),
    /// `path:NAME`: the `{NAME}` segment of the upstream path.
    Path(String),
}

/// Form of a value in a query, header field or form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encode {
    /// Text of the value.
    #[default]
    Plain,
    /// JSON (CouchDB's `startkey`).
    Json,
    /// Text that is percent-encoded already, and stands in a query or path as it came.
    Raw,
}

/// Body of a page's request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    /// `application/json`.
    Json(Value),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// Any other type, forwarded unchanged.
    Other(Bytes),
}

/// Required type of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// JSON, because the pagination puts a value into it.
    Json,
    /// A form, because the pagination puts a value into it.
    Form,
    /// The type that its `Content-Type` names.
    Labelled,
}

/// The request for a page. Its headers are those of the collection and the caller; `upstream` adds those of the connection
/// (`Host`, `Accept`, credentials).
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<RequestBody>,
}

/// A value can't be put into its configured parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    #[error("the value is an object or array, and {0} takes text")]
    NotText(Param),
    #[error("the request's body is not {1}, so {0} has no place in it")]
    OtherBody(Param, &'static str),
    #[error("step `{1}` of {0} meets a value that is neither object nor array")]
    Blocked(Param, String),
    #[error("the value has characters that a header field can't carry, for {0}")]
    NotHeader(Param),
    #[error("the upstream path has no segment for {0}")]
    NoSegment(Param),
}

impl PageRequest {
    /// A GET without headers or body.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: None }
    }

    /// Sets the value of `param`, and replaces an existing one.
    pub fn set(&mut self, param: &Param, value: &Value, encode: Encode) -> Result<(), BadPlace> {
        let text = || match (value, encode) {
            (Value::String(text), Encode::Plain | Encode::Raw) => Ok(text.clone()),
            (_, Encode::Json) | (Value::Number(_) | Value::Bool(_), _) => Ok(value.to_string()),
            _ => Err(BadPlace::NotText(param.clone())),
        };
        let unsafe_characters = if encode == Encode::Raw { DELIMITERS } else { RESERVED };
        let escaped = || text().map(|text| utf8_percent_encode(&text, unsafe_characters).to_string());
        match param {
            Param::Query(name) => put_query(&mut self.url, name, &escaped()?),
            Param::Header(name) => {
                let value = HeaderValue::from_str(&text()?).map_err(|_| BadPlace::NotHeader(param.clone()))?;
                self.headers.insert(name.clone(), value);
            }
            Param::Path(name) => {
                let segment = format!("%7B{}%7D", utf8_percent_encode(name, RESERVED));
                if !self.url.path().contains(&segment) {
                    return Err(BadPlace::NoSegment(param.clone()));
                }
                let path = self.url.path().replace(&segment, &escaped()?);
                self.url.set_path(&path);
            }
            Param::Body(path) => match self.body.get_or_insert_with(|| RequestBody::Json(Value::Null)) {
                RequestBody::Json(body) => {
                    path.put(body, value.clone()).map_err(|step| BadPlace::Blocked(param.clone(), step))?;
                }
                _ => return Err(BadPlace::OtherBody(param.clone(), "JSON")),
            },
            Param::Form(name) => match self.body.get_or_insert_with(|| RequestBody::Form(Vec::new())) {
                RequestBody::Form(fields) => {
                    let text = text()?;
                    match fields.iter_mut().find(|(field, _)| field == name) {
                        Some((_, old)) => *old = text,
                        None => fields.push((name.clone(), text)),
                    }
                }
                _ => return Err(BadPlace::OtherBody(param.clone(), "a form")),
            },
        }
        Ok(())
    }

    /// Sets a value that is spelled so in JSON. Numbers keep their spelling, but in a JSON body: serde_json writes `2e2` as `2e+2`.
    pub fn set_spelled(
        &mut self,
        param: &Param,
        value: &Value,
        spelling: &str,
        encode: Encode,
    ) -> Result<(), BadPlace> {
        match (param, value, encode) {
            (Param::Body(_), ..) => self.set(param, value, encode),
            (_, Value::Number(_), _) | (_, _, Encode::Json) => self.set(param, &Value::from(spelling), Encode::Plain),
            _ => self.set(param, value, encode),
        }
    }

    /// Value of `param` as text.
    pub fn value_at(&self, param: &Param) -> Option<String> {
        match (param, &self.body) {
            (Param::Query(name), _) => query_value(&self.url, name),
            (Param::Header(name), _) => self.headers.get(name)?.to_str().ok().map(ToOwned::to_owned),
            (Param::Body(path), Some(RequestBody::Json(body))) => match path.of_value(body)? {
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
            (Param::Form(name), Some(RequestBody::Form(fields))) => {
                fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// Value of `param` with its JSON type.
    pub fn json_at(&self, param: &Param) -> Option<Value> {
        match (param, &self.body) {
            (Param::Body(path), Some(RequestBody::Json(body))) => path.of_value(body).cloned(),
            _ => self.value_at(param).map(Value::String),
        }
    }

    /// Hash of the request, by which a cycle is recognised.
    pub fn identity(&self) -> u64 {
        let mut text = Vec::new();
        let mut put = |part: &[u8]| {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part);
        };
        put(self.method.as_str().as_bytes());
        put(self.url.as_str().as_bytes());
        for (name, value) in &self.headers {
            put(name.as_str().as_bytes());
            put(value.as_bytes());
        }
        if let Some(body) = &self.body {
            put(&body.to_bytes());
        }
        XxHash3_64::oneshot(&text)
    }
}

impl RequestBody {
    /// Reads a body with this `Content-Type`; none if it is empty.
    ///
    /// A body without type is JSON, and so is any body if the pagination writes into a JSON body: `curl -d '{…}'` labels it a
    /// form.
    pub fn read(
        content_type: Option<&HeaderValue>,
        body: Bytes,
        kind: BodyKind,
    ) -> Result<Option<Self>, serde_json::Error> {
        if body.is_empty() {
            return Ok(None);
        }
        let essence = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = essence.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let labelled = match essence.as_str() {
            "application/x-www-form-urlencoded" => BodyKind::Form,
            essence if essence.is_empty() || essence.ends_with("json") || essence.contains("-json-") => BodyKind::Json,
            _ => BodyKind::Labelled,
        };
        Ok(Some(match if kind == BodyKind::Labelled { labelled } else { kind } {
            BodyKind::Json => Self::Json(serde_json::from_slice(&body)?),
            BodyKind::Form => read_form(&body),
            BodyKind::Labelled => Self::Other(body),
        }))
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Json(value) => Bytes::from(value.to_string()),
            Self::Form(fields) => {
                Bytes::from(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
            }
            Self::Other(bytes) => bytes.clone(),
        }
    }

    /// Media type of the request; none if the client's own type is kept.
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => Some("application/json"),
            Self::Form(_) => Some("application/x-www-form-urlencoded"),
            Self::Other(_) => None,
        }
    }
}

pub(super) fn read_form(text: &[u8]) -> RequestBody {
    RequestBody::Form(url::form_urlencoded::parse(text).into_owned().collect())
}

/// A URL for messages, without credentials and without the values of its query, which can be secrets. Names of open segments stand in `{ }`.
#[derive(Clone, Copy, Debug)]
pub struct RedactedUrl<'a>(pub &'a Url);

impl fmt::Display for RedactedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before_path, path) = (&self.0[..url::Position::BeforePath], with_braces(self.0.path()));
        match before_path.rsplit_once('@') {
            Some((_, host)) => write!(f, "{}://{host}{path}", self.0.scheme())?,
            None => write!(f, "{before_path}{path}")?,
        }
        for (at, (name, _)) in self.0.query_pairs().enumerate() {
            write!(f, "{}{name}=…", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl Param {
    /// Name that tells its use: the last one of a path in a body.
    pub(super) fn last_name(&self) -> &str {
        match self {
            Self::Query(name) | Self::Form(name) | Self::Path(name) => name,
            Self::Body(path) => path.last_name().unwrap_or_default(),
            Self::Header(name) => name.as_str(),
        }
    }

    /// Name without its prefix, as a template uses it.
    pub fn own_name(&self) -> String {
        match self {
            Self::Query(name) | Self::Form(name) | Self::Path(name) => name.clone(),
            Self::Body(path) => path.to_string(),
            Self::Header(name) => name.to_string(),
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(name) => write!(f, "`{name}`"),
            Self::Body(path) => write!(f, "`body:{path}`"),
            Self::Form(name) => write!(f, "`form:{name}`"),
            Self::Header(name) => write!(f, "`header:{name}`"),
            Self::Path(name) => write!(f, "`path:{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(url: &str) -> PageRequest {
        PageRequest::get(Url::parse(url).unwrap())
    }

    #[test]
    fn names_are_literal_and_encoded_once() {
        let mut page = request("http://a/x?q=a%2Cb+c&page%5Bafter%5D=old&z");
        page.set(&Param::Query("page[after]".into()), &json!("a/b c&d"), Encode::Plain).unwrap();
        page.set(&Param::Query("$skip".into()), &json!(100), Encode::Plain).unwrap();
        assert_eq!(page.url.query(), Some("q=a%2Cb+c&page%5Bafter%5D=a%2Fb%20c%26d&z&%24skip=100"));
        remove_query(&mut page.url, "q");
        assert_eq!(page.url.query(), Some("page%5Bafter%5D=a%2Fb%20c%26d&z&%24skip=100"));
    }

    #[test]
    fn tokens_keep_their_json_type_in_a_body() {
        let mut page = request("http://a/x");
        let token: Value = serde_json::from_str("[12345678901234567890123, \"a\", 1.50]").unwrap();
        page.set(&Param::Body("search_after".parse().unwrap()), &token, Encode::Plain).unwrap();
        let body = page.body.unwrap().to_bytes();
        assert_eq!(body, "{\"search_after\":[12345678901234567890123,\"a\",1.50]}");
    }

    #[test]
    fn a_parameter_that_does_not_exist_is_an_error() {
        let mut page = request("http://a/%7Bday%7D/x");
        page.set(&Param::Path("day".into()), &json!("2024/01"), Encode::Plain).unwrap();
        assert_eq!(page.url.path(), "/2024%2F01/x");
        assert!(page.set(&Param::Path("month".into()), &json!(1), Encode::Plain).is_err());
        assert!(page.set(&Param::Query("a".into()), &json!({}), Encode::Plain).is_err());
        page.set(&Param::Query("a".into()), &json!(["k"]), Encode::Json).unwrap();
        assert_eq!(page.url.query(), Some("a=%5B%22k%22%5D"));
    }

    #[test]
    fn shown_urls_keep_no_secret() {
        let page = request("https://user:pass@a.example:8443/x?api_key=hunter2&limit=5");
        assert_eq!(RedactedUrl(&page.url).to_string(), "https://a.example:8443/x?api_key=…&limit=…");
    }
}
