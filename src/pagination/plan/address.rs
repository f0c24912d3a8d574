//! Where a page says that the next one is: links, URLs, tokens, and the numbers and keys that are computed from it.

use http::{Method, header};
use serde_json::{Value, json};
use url::Url;

use super::gist::{Gist, values_of};
use super::range;
use super::tally::{excerpt, number};
use crate::pagination::link::links;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::request::RequestBody;
use crate::pagination::{
    Advance, Base, Cursor, Encode, PageError, PageRequest, Pagination, Param, Source, Style, Template, Token,
};

/// Everything that the next address is made from.
pub(super) struct Addresses<'a> {
    pub(super) pagination: &'a Pagination,
    pub(super) guard: &'a LinkGuard,
    /// The first request, which every computed address starts from.
    pub(super) first: &'a PageRequest,
    /// The number that the page was asked with.
    pub(super) position: u64,
    /// How many records it was asked for.
    pub(super) size: Option<u64>,
    /// The page itself.
    pub(super) page: &'a Gist,
}

/// A computed address, and the number in it.
pub(super) struct Computed {
    pub(super) request: PageRequest,
    pub(super) position: u64,
}

impl Addresses<'_> {
    /// The address that the page hands out, for the styles in which pages point to each other.
    pub(super) fn pointed(&self, head: &Head, fields: &PageFields) -> Result<Option<PageRequest>, PageError> {
        match &self.pagination.style {
            Style::LinkHeader { rel, attribute } => self.link_header(rel, attribute.as_ref(), head),
            Style::NextUrl { next, base } => self.next_url(next, base, head, fields),
            Style::Cursor(cursor) => self.cursor(cursor, head, fields),
            _ => Ok(None),
        }
    }

    fn link_header(
        &self,
        rel: &str,
        attribute: Option<&(String, String)>,
        head: &Head,
    ) -> Result<Option<PageRequest>, PageError> {
        let links = links(&head.headers)?;
        let next = links.iter().find(|link| link.has_rel(rel));
        let live = |link: &&crate::pagination::link::Link| {
            attribute.is_none_or(|(name, value)| link.param(name) == Some(value.as_str()))
        };
        next.filter(live).map(|link| self.at(&head.url, &link.target)).transpose()
    }

    fn next_url(
        &self,
        next: &[Source],
        base: &Base,
        head: &Head,
        fields: &PageFields,
    ) -> Result<Option<PageRequest>, PageError> {
        let base = match base {
            Base::Request => &head.url,
            Base::Url(url) => url,
        };
        let Some((source, value)) = first_live(next, head, fields, &[]) else { return Ok(None) };
        match (source, value) {
            (Source::Links { .. }, Value::Object(link)) => self.link_object(&link, base).map(Some),
            (_, Value::String(link)) => self.at(base, &link).map(Some),
            (source, other) => Err(bad_pointer(source, &other)),
        }
    }

    /// A link that is a whole request, as STAC's: `href` (FHIR says `url`), and perhaps `method`, `body` and `merge`.
    fn link_object(&self, link: &serde_json::Map<String, Value>, base: &Url) -> Result<PageRequest, PageError> {
        let text = |name: &str| link.get(name).and_then(Value::as_str);
        let mut request = self.at(base, target_of(link).unwrap_or_default())?;
        if let Some(method) = text("method") {
            request.method = match method.to_ascii_uppercase().as_str() {
                "GET" => Method::GET,
                "POST" => Method::POST,
                other => {
                    return Err(PageError::BadPointer {
                        source_name: "the link's method".to_owned(),
                        found: excerpt(other),
                    });
                }
            };
        }
        if request.method == Method::GET {
            request.body = None;
        }
        if let Some(body) = link.get("body") {
            let merged = match (&self.first.body, link.get("merge"), body) {
                (Some(RequestBody::Json(Value::Object(first))), Some(Value::Bool(true)), Value::Object(more)) => {
                    let mut both = first.clone();
                    both.extend(more.clone());
                    Value::Object(both)
                }
                _ => body.clone(),
            };
            request.body = Some(RequestBody::Json(merged));
        }
        Ok(request)
    }

    fn at(&self, base: &Url, link: &str) -> Result<PageRequest, PageError> {
        Ok(PageRequest { url: self.guard.resolve(base, link)?, ..self.first.clone() })
    }

    fn cursor(&self, cursor: &Cursor, head: &Head, fields: &PageFields) -> Result<Option<PageRequest>, PageError> {
        let mut next = self.first.clone();
        let mut found = false;
        for token in &cursor.tokens {
            if let Some(value) = token_value(token, cursor, head, fields)? {
                let value = match &cursor.template {
                    Some(template) => json!(self.filled(template, &token.param, &[("cursor", text_of(&value))])),
                    None => value,
                };
                next.set(&token.param, &value, Encode::Plain)?;
                found = true;
            }
        }
        if let Some(path) = &cursor.merge {
            match fields.get(path) {
                Some(Value::Object(members)) => {
                    for (name, value) in members {
                        next.set(&Param::Query(name.clone()), value, Encode::Plain)?;
                        found = true;
                    }
                }
                None | Some(Value::Null) => {}
                Some(other) => return Err(bad_pointer(&Source::Body(path.clone()), other)),
            }
        }
        Ok(found.then_some(next))
    }

    /// The address that follows from the page's number or last key; none where one page is all there is.
    pub(super) fn computed(&self, head: &Head, fields: &PageFields) -> Result<Option<Computed>, PageError> {
        match &self.pagination.style {
            Style::Page { param, template, .. } => {
                let position = self.position.saturating_add(1);
                self.numbered(param, template.as_ref(), position, "page").map(Some)
            }
            Style::Offset { param, step, template, .. } => {
                let step = match step {
                    Advance::Returned => self.page.records,
                    Advance::PageSize => self.size.unwrap_or(self.page.records),
                    Advance::Body(path) => {
                        let source = Source::Body(path.clone());
                        number(&source, head, fields)?.filter(|step| *step > 0).ok_or_else(|| {
                            PageError::NotANumber {
                                source_name: source.to_string(),
                                found: "nothing to advance by".to_owned(),
                            }
                        })?
                    }
                };
                self.numbered(param, template.as_ref(), self.position.saturating_add(step), "offset").map(Some)
            }
            Style::Keyset { key, param, encode, .. } => {
                let mut values = Vec::new();
                for (path, value) in key.iter().zip(values_of(&self.page.last, key)?) {
                    values.push(value.ok_or_else(|| PageError::NoKey(path.clone()))?);
                }
                let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
                let mut request = self.first.clone();
                request.set(param, &value, *encode)?;
                Ok(Some(Computed { request, position: 0 }))
            }
            Style::Range { unit, size } => {
                let position = self.position.saturating_add(self.page.records);
                let mut request = self.first.clone();
                request.headers.insert(header::RANGE, range::wanted(unit, position, *size)?);
                Ok(Some(Computed { request, position }))
            }
            _ => Ok(None),
        }
    }

    /// The first request with a number in it.
    pub(super) fn numbered(
        &self,
        param: &Param,
        template: Option<&Template>,
        position: u64,
        name: &str,
    ) -> Result<Computed, PageError> {
        let mut request = self.first.clone();
        let limit = self.size.unwrap_or(0);
        let value = match template {
            Some(template) => {
                let end = position.saturating_add(limit).to_string();
                json!(self.filled(template, param, &[(name, position.to_string()), ("end_offset", end)]))
            }
            None => json!(position),
        };
        request.set(param, &value, Encode::Plain)?;
        Ok(Computed { request, position })
    }

    fn filled(&self, Template(template): &Template, param: &Param, values: &[(&str, String)]) -> String {
        let mut text = template.clone();
        if let Some(limit) = self.size {
            text = text.replace("{limit}", &limit.to_string());
        }
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let own = match param {
            Param::Query(name) | Param::Form(name) | Param::Path(name) => name.clone(),
            Param::Header(name) => name.to_string(),
            Param::Body(path) => path.to_string(),
        };
        text.replace(&format!("{{{own}}}"), &self.first.value_at(param).unwrap_or_default())
    }
}

fn token_value(token: &Token, cursor: &Cursor, head: &Head, fields: &PageFields) -> Result<Option<Value>, PageError> {
    let Some((source, value)) = first_live(&token.next, head, fields, &cursor.end_values) else { return Ok(None) };
    let value = match (source, value) {
        (Source::Links { .. }, Value::Object(link)) => json!(target_of(&link)),
        (_, value) => value,
    };
    let Some(name) = &token.from_url_param else { return Ok(Some(value)) };
    let text = value.as_str().ok_or_else(|| bad_pointer(source, &value))?;
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    match found {
        Some((_, value)) => Ok(Some(json!(value))),
        None => Err(PageError::BadPointer {
            source_name: source.to_string(),
            found: format!("a URL without the parameter `{name}`"),
        }),
    }
}

/// The first source that holds something that is not a way to say "none".
pub(super) fn first_live<'s>(
    sources: &'s [Source],
    head: &Head,
    fields: &PageFields,
    ends: &[Value],
) -> Option<(&'s Source, Value)> {
    sources.iter().find_map(|source| {
        let value = match source {
            Source::Body(path) => fields.get(path)?.clone(),
            Source::Header(name) => json!(String::from_utf8_lossy(head.headers.get(name)?.as_bytes()).trim()),
            Source::Links { path, rel } => {
                fields.get(path)?.as_array()?.iter().find(|link| has_rel(link, rel))?.clone()
            }
            Source::LastLink { .. } => return None,
        };
        (!says_none(&value) && !ends.contains(&value)).then_some((source, value))
    })
}

fn target_of(link: &serde_json::Map<String, Value>) -> Option<&str> {
    link.get("href").or_else(|| link.get("url"))?.as_str()
}

fn has_rel(link: &Value, rel: &str) -> bool {
    let is = |found: &Value| {
        found.as_str().is_some_and(|found| found.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(rel)))
    };
    // RFC 8288 says `rel`; FHIR and Atom-like feeds say `relation`; Siren's is an array.
    match link.get("rel").or_else(|| link.get("relation")) {
        Some(Value::Array(several)) => several.iter().any(is),
        Some(one) => is(one),
        None => false,
    }
}

/// `null`, `false`, and the empty string, object and array: every upstream has its own way to say "no next".
pub(super) fn says_none(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(array) => array.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The value itself may be a secret, so only its kind is told.
fn bad_pointer(source: &Source, found: &Value) -> PageError {
    let kind = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    PageError::BadPointer { source_name: source.to_string(), found: kind.to_owned() }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body(path) => write!(f, "`{path}`"),
            Self::Header(name) => write!(f, "the header field `{name}`"),
            Self::Links { path, rel } => write!(f, "the link `{rel}` in `{path}`"),
            Self::LastLink { .. } => f.write_str("the Link header with rel=last"),
        }
    }
}
