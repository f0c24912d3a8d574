//! Opaque tokens that the answer hands out and the next request hands back.

use http::HeaderName;
use serde_json::{Value, json};

use super::addressing::{Address, AddressContext, Addressing, PageAnswer, Start};
use super::config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::next_request::NextRequest;
use super::style_rules::{ReadStyle, StyleRules};
use super::template::Template;
use crate::pagination::error::PageError;
use crate::pagination::path::Path;
use crate::pagination::request::{Encode, PageRequest, Param};
use crate::pagination::value_source::{Source, first_live, is_certain, target_of};

/// Tokens from one page to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursor {
    /// Source and destination of each token; the end is reached when none of them is there.
    pub tokens: Vec<Token>,
    /// Object whose members are merged into the first request's query (MediaWiki's `continue`).
    pub merge: Option<Path>,
    /// Values that mean "no token", beside absent, `null`, `false` and the empty string, object or array.
    pub end_values: Vec<Value>,
    /// Template of the token's parameter.
    pub template: Option<Template>,
    pub encode: Encode,
    /// Request that the tokens are put into, where it is not the first one.
    pub next_request: Option<NextRequest>,
}

/// Way of one token from an answer into the next request.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Places of the token; the first that holds one counts.
    pub next: Vec<Source>,
    /// Destination.
    pub param: Param,
    /// Query parameter that holds the token, where `next` is a URL.
    pub from_url_param: Option<String>,
    /// Value in the first request, where the client's has none (Solr's `cursorMark=*`).
    pub first: Option<String>,
}

const NEXT: KeyNeed = KeyNeed::Required("say where the token stands: next = \"meta.next_cursor\" or \"header:NAME\"");

const TOKEN: [StyleKey; 4] = [
    StyleKey::new("next", KeyKind::Sources).with_need(NEXT),
    StyleKey::new("param", KeyKind::Param).with_need(KeyNeed::PARAM),
    StyleKey::new("from_url_param", KeyKind::Text),
    StyleKey::new("first", KeyKind::Text),
];

impl ReadStyle for Cursor {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "cursor",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("next", KeyKind::Sources),
            StyleKey::new("param", KeyKind::Param),
            StyleKey::new("from_url_param", KeyKind::Text),
            StyleKey::new("first", KeyKind::Text),
            StyleKey::new("tokens", KeyKind::Tables(&TOKEN)),
            StyleKey::new("merge", KeyKind::Path),
            StyleKey::new("end_values", KeyKind::Values),
            StyleKey::SAME_TOKEN,
            StyleKey::new("template", KeyKind::Text),
            StyleKey::new("encode", KeyKind::Word(&["plain", "raw"])),
            StyleKey::new("next_request", KeyKind::Table(NextRequest::KEYS)),
            StyleKey::MORE,
            StyleKey::END,
        ],
    };

    fn read(values: &mut StyleValues, mistakes: &mut Vec<KeyMistake>) -> Option<Self> {
        let tokens = match (values.is_present("tokens"), values.is_present("next")) {
            (true, true) => {
                let (what, hint) = ("both next and tokens", "write one token as next and param, several as tokens");
                mistakes.push(KeyMistake { key: "tokens", what: what.to_owned(), hint });
                return None;
            }
            (true, false) => {
                for key in ["param", "from_url_param", "first"].into_iter().filter(|key| values.is_present(key)) {
                    let (what, hint) = ("stands beside tokens", "write it into each of tokens");
                    mistakes.push(KeyMistake { key, what: what.to_owned(), hint });
                }
                values.tables("tokens")?.iter_mut().map(Token::read).collect::<Option<_>>()?
            }
            (false, false) if values.is_present("merge") && !values.is_present("param") => Vec::new(),
            (false, _) => {
                let missing = TOKEN.iter().filter(|key| key.need != KeyNeed::Optional && !values.is_present(key.name));
                mistakes.extend(missing.map(KeyMistake::missing));
                vec![Token::read(values)?]
            }
        };
        if tokens.iter().any(|token| token.first.is_some() && matches!(token.param, Param::Path(_))) {
            let (what, hint) = ("a segment of the path has a value in each request", "leave first out");
            mistakes.push(KeyMistake { key: "first", what: what.to_owned(), hint });
        }
        Some(Self {
            encode: if values.text("encode").as_deref() == Some("raw") { Encode::Raw } else { Encode::Plain },
            next_request: values.table("next_request").map(|mut table| NextRequest::read(&mut table, mistakes)),
            tokens,
            merge: values.path("merge"),
            end_values: values.list("end_values").unwrap_or_default(),
            template: values.text("template").map(Template),
        })
    }
}

impl StyleRules for Cursor {
    fn values(&self) -> StyleValues {
        let mut values = match self.tokens.as_slice() {
            [] => StyleValues::default(),
            [token] => token.values(),
            tokens => StyleValues::from([("tokens", StyleValue::Tables(tokens.iter().map(Token::values).collect()))]),
        };
        values.put_some("merge", self.merge.clone().map(StyleValue::Path));
        let end_values = Some(self.end_values.clone()).filter(|values| !values.is_empty());
        values.put_some("end_values", end_values.map(StyleValue::Values));
        values.put_some("template", self.template.as_ref().map(|template| StyleValue::Text(template.0.clone())));
        values.put_some("encode", (self.encode == Encode::Raw).then(|| StyleValue::Text("raw".to_owned())));
        values.put_some("next_request", self.next_request.as_ref().map(|next| StyleValue::Table(next.values())));
        values
    }

    fn addressing(&self) -> Addressing {
        Addressing::Pointer
    }

    fn params(&self) -> Vec<&Param> {
        self.tokens.iter().map(|token| &token.param).collect()
    }

    fn headers(&self) -> Vec<HeaderName> {
        self.next_request.iter().flat_map(|next| next.headers.keys().cloned()).collect()
    }

    fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    fn pointers(&self) -> Vec<&Source> {
        self.tokens.iter().flat_map(|token| &token.next).collect()
    }

    fn fields(&self) -> Vec<&Path> {
        self.merge.iter().collect()
    }

    fn first(&self, context: AddressContext<'_>) -> Result<(Address, Start), PageError> {
        let mut first = context.first.clone();
        for Token { param, first: value, .. } in &self.tokens {
            if let Some(value) = value.as_ref().filter(|_| context.first.value_at(param).is_none()) {
                self.put(&mut first, context, param, json!(value))?;
            }
        }
        Ok((Address::unnumbered(first), Start::Beginning))
    }

    fn is_first_value(&self, param: &Param, text: &str) -> bool {
        self.tokens.iter().any(|token| token.param == *param && token.first.as_deref() == Some(text))
    }

    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        let mut next = match &self.next_request {
            Some(next_request) => next_request.on(context),
            None => context.first.clone(),
        };
        let mut found = false;
        for token in &self.tokens {
            if let Some(value) = token.value(&self.end_values, answer)? {
                self.put(&mut next, context, &token.param, value)?;
                found = true;
            }
        }
        if let Some(path) = &self.merge {
            match answer.fields.get(path) {
                Some(Value::Object(members)) => {
                    for (name, value) in members {
                        next.set(&Param::Query(name.clone()), value, Encode::Plain)?;
                        found = true;
                    }
                }
                None | Some(Value::Null) => {}
                Some(other) => return Err(Source::Body(path.clone()).bad_pointer(other)),
            }
        }
        Ok(found.then(|| Address::unnumbered(next)))
    }

    fn is_certain(&self, answer: PageAnswer<'_>) -> bool {
        let is_merged = self.merge.as_ref().is_none_or(|path| answer.fields.get(path).is_some());
        let is_sure = |token: &Token| is_certain(&token.next, &self.end_values, answer.head, answer.fields);
        is_merged && self.tokens.iter().all(is_sure)
    }
}

impl Cursor {
    /// Puts a token into a request.
    fn put(
        &self,
        request: &mut PageRequest,
        context: AddressContext<'_>,
        param: &Param,
        token: Value,
    ) -> Result<(), PageError> {
        let value = match &self.template {
            Some(template) => json!(context.filled(template, param, &[("cursor", text_of(&token))])),
            None => token,
        };
        Ok(request.set(param, &value, self.encode)?)
    }
}

impl Token {
    fn read(values: &mut StyleValues) -> Option<Self> {
        let (next, param) = (values.sources("next"), values.param("param"));
        let (from_url_param, first) = (values.text("from_url_param"), values.text("first"));
        Some(Self { next: next?, param: param?, from_url_param, first })
    }

    fn values(&self) -> StyleValues {
        let next = StyleValue::Sources(self.next.clone());
        let mut values = StyleValues::from([("next", next), ("param", StyleValue::Param(self.param.clone()))]);
        values.put_some("from_url_param", self.from_url_param.clone().map(StyleValue::Text));
        values.put_some("first", self.first.clone().map(StyleValue::Text));
        values
    }

    /// Value of the token in an answer; `None` where there is none.
    fn value(&self, ends: &[Value], answer: PageAnswer<'_>) -> Result<Option<Value>, PageError> {
        let Some((source, value)) = first_live(&self.next, answer.head, answer.fields, ends) else { return Ok(None) };
        let value = match (source, value) {
            (Source::Links { .. }, Value::Object(link)) => json!(target_of(&link)),
            (_, value) => value,
        };
        let Some(name) = &self.from_url_param else { return Ok(Some(value)) };
        let text = value.as_str().ok_or_else(|| source.bad_pointer(&value))?;
        let query = text.split_once('?').map_or(text, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        match url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name) {
            Some((_, value)) => Ok(Some(json!(value))),
            None => Err(PageError::BadPointer {
                source_name: source.to_string(),
                found: format!("a URL without the parameter `{name}`"),
            }),
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
