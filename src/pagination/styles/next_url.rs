//! URL of the next page in the page or in a header field.

use http::Method;
use serde_json::{Map, Value};
use url::Url;

use super::addressing::{Address, AddressContext, Addressing, PageAnswer};
use super::config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::request_fields::add_fields;
use super::style_rules::{ReadStyle, StyleRules};
use super::uri_template::{Expressions, expanded};
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::request::{PageRequest, RequestBody};
use crate::pagination::value_source::{Source, first_live, is_certain, target_of};

/// A URL that the answer hands out.
#[derive(Clone, Debug, PartialEq)]
pub struct NextUrl {
    /// Places of the URL; the first that holds one counts.
    pub next: Vec<Source>,
    pub base: Base,
}

/// URL that relative URLs are resolved against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// URL of the request that the page answered (RFC 3986 §5).
    Request,
    /// URL of the upstream, as configured: an API's root.
    Url(Url),
}

impl ReadStyle for NextUrl {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "next_url",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("next", KeyKind::Sources)
                .with_need(KeyNeed::Required("say where the URL stands: next = \"links.next\" or \"header:NAME\"")),
            StyleKey::new("base", KeyKind::WordOrUrl("request")),
            StyleKey::SAME_TOKEN,
            StyleKey::MORE,
            StyleKey::END,
        ],
    };

    fn read(values: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        let base = values.url("base").map_or(Base::Request, Base::Url);
        Some(Self { next: values.sources("next")?, base })
    }
}

impl StyleRules for NextUrl {
    fn values(&self) -> StyleValues {
        let mut values = StyleValues::from([("next", StyleValue::Sources(self.next.clone()))]);
        values.put_some("base", self.base_url().cloned().map(StyleValue::Url));
        values
    }

    fn addressing(&self) -> Addressing {
        Addressing::Pointer
    }

    fn pointers(&self) -> Vec<&Source> {
        self.next.iter().collect()
    }

    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        let base = match &self.base {
            Base::Request => &answer.head.url,
            Base::Url(url) => url,
        };
        let Some((source, value)) = first_live(&self.next, answer.head, answer.fields, &[]) else { return Ok(None) };
        let request = match (source, value) {
            (source, Value::Object(link)) if matches!(source, Source::Links { .. }) || target_of(&link).is_some() => {
                link_object(context, &link, base)?
            }
            (_, Value::String(link)) => {
                context.at(base, &expanded(&link, Expressions::OfQueries, &context.first.url))?
            }
            (source, other) => return Err(source.bad_pointer(&other)),
        };
        Ok(Some(Address::unnumbered(request)))
    }

    fn is_certain(&self, answer: PageAnswer<'_>) -> bool {
        is_certain(&self.next, &[], answer.head, answer.fields)
    }

    fn base_url(&self) -> Option<&Url> {
        match &self.base {
            Base::Request => None,
            Base::Url(url) => Some(url),
        }
    }
}

/// Makes a request from a link that is a whole one, as STAC's: `href` (FHIR says `url`), and perhaps `method`, `headers`, `body` and `merge`.
fn link_object(context: AddressContext<'_>, link: &Map<String, Value>, base: &Url) -> Result<PageRequest, PageError> {
    let is_template = link.get("templated") == Some(&Value::Bool(true));
    let which = if is_template { Expressions::All } else { Expressions::OfQueries };
    let target = expanded(target_of(link).unwrap_or_default(), which, &context.first.url);
    let mut request = context.at(base, &target)?;
    if let Some(method) = link.get("method").and_then(Value::as_str) {
        request.method = match method.to_ascii_uppercase().as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            other => {
                let source_name = "the link's method".to_owned();
                return Err(PageError::BadPointer { source_name, found: excerpt(other) });
            }
        };
    }
    if request.method == Method::GET {
        request.body = None;
    }
    if let Some(fields) = link.get("headers").and_then(Value::as_object) {
        let source_name = "the link's headers".to_owned();
        add_fields(&mut request, fields).map_err(|found| PageError::BadPointer { source_name, found })?;
    }
    if let Some(body) = link.get("body") {
        let merged = match (&context.first.body, link.get("merge"), body) {
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
