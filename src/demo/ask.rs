//! A request to the legacy API: its parameters, in the query or the body, and the window of orders that they select.

use http::uri::Authority;
use http::{HeaderMap, Method, Uri, header};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::Legacy;
use super::answer::Refusal;
use super::orders::Order;
use super::select::Selection;
use super::token;
use super::window::Window;

/// A request with its parameters.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) legacy: &'a Legacy,
    pub(super) headers: &'a HeaderMap,
    uri: &'a Uri,
    params: Params,
}

/// Parameters of a request.
#[derive(Debug)]
enum Params {
    /// Parameters of the query, all of them strings.
    Query(Vec<(String, String)>),
    /// Members of a JSON body, in which a number is no string.
    Json(Map<String, Value>),
}

/// The window of a page number.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) window: Window,
    pub(super) page: u64,
    pub(super) size: u64,
    /// Number of pages; an empty collection has one.
    pub(super) pages: u64,
}

impl<'a> Ask<'a> {
    /// Reads the parameters: a POST's are the members of its JSON body.
    pub(super) fn read(
        legacy: &'a Legacy,
        method: &Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let params = if method != Method::POST {
            let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            Params::Query(pairs.into_owned().collect())
        } else if body.is_empty() {
            Params::Json(Map::new())
        } else {
            let members = serde_json::from_slice(body);
            Params::Json(members.map_err(|error| Refusal::bad(format!("the body must be a JSON object: {error}")))?)
        };
        Ok(Self { legacy, headers, uri, params })
    }

    /// The same request, its parameters being the members of one of them.
    pub(super) fn inside(&self, name: &str) -> Result<Self, Refusal> {
        let members = self.param(name, "an object", |_| None, Value::as_object)?.cloned();
        Ok(Self { params: Params::Json(members.unwrap_or_default()), ..*self })
    }

    /// A parameter that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.param(name, "a text", Some, Value::as_str)
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.param(name, "a whole number", |text| text.parse().ok(), Value::as_u64)
    }

    fn param<'s, T>(
        &'s self,
        name: &str,
        kind: &str,
        of_text: impl Fn(&'s str) -> Option<T>,
        of_json: impl Fn(&'s Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let (value, sent) = match &self.params {
            Params::Query(pairs) => match pairs.iter().find(|(found, _)| found == name) {
                Some((_, text)) => (of_text(text), text.clone()),
                None => return Ok(None),
            },
            Params::Json(members) => match members.get(name).filter(|value| !value.is_null()) {
                Some(json) => (of_json(json), json.to_string()),
                None => return Ok(None),
            },
        };
        value.map(Some).ok_or_else(|| Refusal::bad(format!("`{name}` must be {kind}: {sent}")))
    }

    /// A parameter as it is spelled, be it a text or a number.
    pub(super) fn spelled(&self, name: &str) -> Option<String> {
        match &self.params {
            Params::Query(pairs) => pairs.iter().find(|(found, _)| found == name).map(|(_, text)| text.clone()),
            Params::Json(members) => match members.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                value => Some(value.to_string()),
            },
        }
    }

    /// A page size: what [`Legacy::page_size`] makes of the one that is sent.
    pub(super) fn size(&self, name: &str) -> Result<u64, Refusal> {
        match self.number(name)? {
            Some(0) => Err(Refusal::bad(format!("`{name}` must be at least 1"))),
            size => Ok(self.legacy.page_size(size)),
        }
    }

    /// At most `size` orders behind the first `skip`.
    pub(super) fn window(&self, skip: u64, size: u64) -> Result<Window, Refusal> {
        Ok(Window::new(Selection::of(self)?, self.legacy.quirks, skip, size))
    }

    /// As [`Self::window`], for a number that the client has computed: some APIs refuse it past the end.
    pub(super) fn counted(&self, skip: u64, size: u64) -> Result<Window, Refusal> {
        let window = self.window(skip, size)?;
        match self.legacy.quirks.past_end {
            Some(status) if skip > 0 && skip >= window.total => {
                Err(Refusal::new(status, format!("there are only {} orders: {skip}", window.total)))
            }
            _ => Ok(window),
        }
    }

    /// The window of a page number and a page size; pages count from 1.
    pub(super) fn numbered(&self, page: &str, size: &str) -> Result<Numbered, Refusal> {
        let (number, size) = (self.number(page)?.unwrap_or(1), self.size(size)?);
        let before = number.checked_sub(1).ok_or_else(|| Refusal::bad(format!("`{page}` counts from 1")))?;
        let window = self.counted(before.saturating_mul(size), size)?;
        Ok(Numbered { window, page: number, size, pages: window.total.div_ceil(size).max(1) })
    }

    /// The window behind a token.
    pub(super) fn after(&self, name: &str, size: &str) -> Result<Window, Refusal> {
        let number = match self.text(name)? {
            Some(text) => token::read(text)
                .filter(|number| *number <= self.legacy.records)
                .ok_or_else(|| Refusal::bad(format!("`{name}` is not a token of this collection's: {text}")))?,
            None => return self.window(0, self.size(size)?),
        };
        self.behind(Order(number), self.size(size)?)
    }

    /// At most `size` orders that are listed behind this one.
    pub(super) fn behind(&self, order: Order, size: u64) -> Result<Window, Refusal> {
        let selection = Selection::of(self)?;
        Ok(Window::new(selection, self.legacy.quirks, selection.up_to(order.0), size))
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
        if let Params::Query(pairs) = &self.params {
            query.extend_pairs(pairs.iter().filter(|(name, _)| !changed.iter().any(|(new, _)| new == name)));
        }
        format!("{}?{}", self.uri.path(), query.extend_pairs(changed).finish())
    }
}
