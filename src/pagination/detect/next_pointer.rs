//! Pointers to the next page in an answer: links, URLs and tokens, live or ended.

use http::{HeaderMap, HeaderName};
use serde_json::Value;
use url::Position;

use super::first_page::FirstPage;
use super::member_names::{self, NameTrust, PointerKind};
use super::page_members::{OuterField, digits};
use crate::pagination::envelope_names::has_part;
use crate::pagination::{PageRequest, Source};

/// A value that can point to the next page.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    pub(super) source: Source,
    pub(super) shown: String,
    pub(super) name: String,
    pub(super) parent: String,
    pub(super) kind: PointerKind,
    pub(super) trust: NameTrust,
    pub(super) value: PointerValue,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum PointerValue {
    /// A URL, perhaps relative.
    Url(String),
    Token(Value),
    /// An object of parameters for the next request (MediaWiki).
    Parameters,
    /// `null` or empty: the last page of its kind.
    End,
    /// A string that means `null`.
    EndText(String),
}

impl Pointer {
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.value, PointerValue::End | PointerValue::EndText(_))
    }

    pub(super) fn phrase(&self) -> String {
        let what = match &self.value {
            PointerValue::Url(_) => "holds a URL",
            PointerValue::Token(Value::Number(_)) => "holds a number",
            PointerValue::Token(_) => "holds a token",
            PointerValue::Parameters => "holds parameters",
            PointerValue::End => "is null or empty",
            PointerValue::EndText(_) => "says none",
        };
        format!("{} {what}", self.shown)
    }

    /// Sort key by trust: by name, then URLs before tokens before numbers, then the outermost.
    fn order(&self) -> (NameTrust, u8, usize) {
        let kind = match (&self.value, self.kind) {
            (PointerValue::Url(_), _) | (PointerValue::End, PointerKind::Url | PointerKind::Either) => 0,
            (PointerValue::Token(Value::Number(_)), _) => 2,
            _ => 1,
        };
        let depth = match &self.source {
            Source::Body(path) | Source::Links { path, .. } => path.segments().len(),
            Source::Header(_) | Source::LastLink { .. } => 0,
        };
        (self.trust, kind, depth)
    }
}

/// All pointers of an answer by their names, the most trusted first.
pub(super) fn pointers(headers: &HeaderMap, fields: &[OuterField<'_>]) -> Vec<Pointer> {
    let mut found: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| in_header(name, value.to_str().ok()?))
        .chain(fields.iter().filter_map(in_field))
        .collect();
    found.sort_by_key(Pointer::order);
    found
}

/// Pointers that can lead to a next page, or show that there is none. Those that only repeat the request, or mean something
/// else beside a better one, are left out.
pub(super) fn credible(answer: &FirstPage<'_>) -> Vec<Pointer> {
    let mut found = pointers(answer.headers, &answer.fields);
    found.retain(|pointer| !repeats(pointer, answer));
    let best = found.iter().map(|pointer| pointer.trust).min();
    let short = answer.count == 0 || answer.size().is_some_and(|size| answer.count < size);
    found.retain(|pointer| match pointer.trust {
        NameTrust::NextPage | NameTrust::Next | NameTrust::Cursor => true,
        NameTrust::LastRecord => answer.more().is_some() && best >= Some(NameTrust::LastRecord),
        // `cursor: null` on a page that may be full may be the request's own missing cursor.
        NameTrust::Echo => best == Some(NameTrust::Echo) && (pointer.is_live() || short),
    });
    found
}

/// The most trusted pointer that plainly leads to another page, beside those at `ended`, which say that there is none.
pub(super) fn live(answer: &FirstPage<'_>, ended: &[&Source]) -> Option<Pointer> {
    let own: Vec<_> =
        answer.near().filter(|field| field.name == "self").filter_map(|field| field.value.as_str()).collect();
    credible(answer).into_iter().find(|pointer| match &pointer.value {
        _ if pointer.trust > NameTrust::Cursor => false,
        _ if !ended.is_empty() && !contradicts(pointer, ended, answer.request) => false,
        PointerValue::Url(url) => !own.contains(&url.as_str()),
        PointerValue::Token(Value::Number(_)) => !answer.is_last_by_number(),
        // Some APIs hand out such a token on the last page too.
        PointerValue::Token(_) => pointer.trust <= NameTrust::Next || answer.says_more() == Some(true),
        PointerValue::Parameters => true,
        PointerValue::End | PointerValue::EndText(_) => false,
    })
}

/// Returns true if a pointer is as plain as those that say that nothing follows: by its name, and by a value that no upstream counts on.
fn contradicts(pointer: &Pointer, ended: &[&Source], request: &PageRequest) -> bool {
    // The public origin may be another than the upstream's.
    let own = &request.url[Position::BeforePath..];
    let is_elsewhere = |url: &str| {
        let after_origin = url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]));
        after_origin.unwrap_or(url) != own
    };
    let is_plain = match &pointer.value {
        PointerValue::Url(url) => is_elsewhere(url),
        PointerValue::Token(token) => token.as_str().is_some_and(|token| digits(token).is_none()),
        PointerValue::Parameters => true,
        PointerValue::End | PointerValue::EndText(_) => false,
    };
    is_plain && pointer.trust <= NameTrust::Next && !ended.contains(&&pointer.source)
}

/// Returns whether the pointer repeats a value of the request. Digits may be equal by chance: an offset of 100 after a limit of 100.
fn repeats(pointer: &Pointer, answer: &FirstPage<'_>) -> bool {
    match &pointer.value {
        PointerValue::Url(url) => is_same_url(url, answer.request) && !has_own_body(pointer, answer),
        PointerValue::Token(Value::String(token)) => {
            digits(token).is_none() && answer.asked.iter().any(|asked| asked.value == *token)
        }
        _ => false,
    }
}

/// Returns whether a URL, perhaps without its origin, is the request's.
pub(super) fn is_same_url(url: &str, request: &PageRequest) -> bool {
    let own = request.url.as_str();
    let after_origin = &request.url[Position::BeforePath..];
    own == url || (!after_origin.is_empty() && url == after_origin)
}

fn in_header(name: &HeaderName, value: &str) -> Option<Pointer> {
    // Most fields are known by their names alone.
    if !["next", "continuation"].iter().any(|part| has_part(name.as_str(), part)) {
        return None;
    }
    let bare = name.as_str().trim_start_matches("x-").trim_start_matches("ms-").trim_start_matches("pagination-");
    let plain = member_names::plain(bare);
    let is_continuation = matches!(plain.as_str(), "continuation" | "continuationtoken");
    // The lists are searched for few fields: those of other names never lead to a page.
    let meaning = if is_continuation || plain.starts_with("next") { member_names::pointer(bare, "") } else { None };
    let meaning = meaning?;
    let value = value.trim();
    let value = match digits(value) {
        Some(number) => PointerValue::Token(Value::from(number)),
        None => pointer_value(&Value::from(value), meaning.kind)?,
    };
    // `X-Next` alone may be about anything but where it holds a URL.
    let is_about_pages = meaning.trust == NameTrust::NextPage || is_continuation;
    if !is_about_pages && !matches!(value, PointerValue::Url(_)) {
        return None;
    }
    Some(Pointer {
        source: Source::Header(name.clone()),
        shown: format!("header `{name}`"),
        name: bare.to_owned(),
        parent: String::new(),
        kind: meaning.kind,
        trust: meaning.trust,
        value,
    })
}

fn in_field(field: &OuterField<'_>) -> Option<Pointer> {
    let found = |source, kind, trust, value| {
        Some(Pointer {
            source,
            shown: format!("`{}`", field.path),
            name: field.name.to_owned(),
            parent: field.parent.to_owned(),
            kind,
            trust,
            value,
        })
    };
    if let Some(url) = url_of_links(field) {
        let source = Source::Links { path: field.path.clone(), rel: "next".to_owned() };
        return found(source, PointerKind::Url, NameTrust::NextPage, PointerValue::Url(url));
    }
    let source = Source::Body(field.path.clone());
    if field.name == "continue" && field.parent.is_empty() && is_flat(field.value) {
        return found(source, PointerKind::Token, NameTrust::Cursor, PointerValue::Parameters);
    }
    // DynamoDB's token is an object.
    if member_names::plain(field.name) == "lastevaluatedkey"
        && field.value.as_object().is_some_and(|key| !key.is_empty())
    {
        return found(source, PointerKind::Token, NameTrust::Cursor, PointerValue::Token(field.value.clone()));
    }
    let meaning = member_names::pointer(field.name, field.parent)?;
    if !field.is_near() && meaning.trust != NameTrust::NextPage {
        return None;
    }
    // A number under such a name is a position, and a position may be the request's.
    let is_number = field.number().is_some();
    if is_number && meaning.trust == NameTrust::Echo && member_names::plain(field.name) != "cursor" {
        return None;
    }
    let value = pointer_value(field.value, meaning.kind)?;
    // Far from the records, `null` may belong to anything.
    if !field.is_near() && matches!(value, PointerValue::End | PointerValue::EndText(_)) {
        return None;
    }
    found(source, meaning.kind, meaning.trust, value)
}

/// Meaning of a pointer's value; none where it can't be a pointer, or where its meaning is open, as that of 0.
fn pointer_value(value: &Value, kind: PointerKind) -> Option<PointerValue> {
    match value {
        Value::Null | Value::Bool(false) => Some(PointerValue::End),
        Value::String(text) if text.trim().is_empty() => Some(PointerValue::End),
        Value::Object(members) if members.is_empty() => Some(PointerValue::End),
        Value::Array(elements) if elements.is_empty() && kind != PointerKind::Url => Some(PointerValue::End),
        Value::String(text) if matches!(text.as_str(), "null" | "None" | "nil") => {
            Some(PointerValue::EndText(text.clone()))
        }
        Value::String(text) if text == "0" => None,
        Value::String(text) if is_url(text, kind) => Some(PointerValue::Url(text.clone())),
        Value::String(_) => Some(PointerValue::Token(value.clone())),
        Value::Number(number) => {
            number.as_u64().filter(|number| *number > 0).map(|_| PointerValue::Token(value.clone()))
        }
        Value::Object(_) | Value::Array(_) | Value::Bool(true) => None,
    }
}

/// Tells URLs from tokens, which can begin with `/` as well, being base64.
fn is_url(text: &str, kind: PointerKind) -> bool {
    let absolute = text.starts_with("https://") || text.starts_with("http://");
    let relative = text.starts_with('/') || text.starts_with('?');
    match kind {
        PointerKind::Url => absolute || relative || text.contains('?'),
        PointerKind::Either => absolute || (relative && (text.contains('?') || text.matches('/').count() > 1)),
        PointerKind::Token => absolute,
    }
}

/// Returns whether the pointer is a link object with a body, as STAC's: its token stands there, and its URL is that of each page.
fn has_own_body(pointer: &Pointer, answer: &FirstPage<'_>) -> bool {
    let Source::Links { path, .. } = &pointer.source else { return false };
    let mut links = answer.near().filter(|field| field.path == *path).filter_map(|field| next_of_links(field));
    links.any(|link| link.get("body").is_some_and(Value::is_object))
}

/// URL of the link `next` in an array of link objects.
fn url_of_links(field: &OuterField<'_>) -> Option<String> {
    let link = next_of_links(field)?;
    let url = ["href", "url", "@href"].iter().find_map(|name| link.get(*name).and_then(Value::as_str))?;
    Some(url.to_owned()).filter(|url| !url.is_empty())
}

/// Link `next` in an array of link objects.
fn next_of_links<'a>(field: &OuterField<'a>) -> Option<&'a Value> {
    let named = matches!(member_names::plain(field.name).as_str(), "links" | "link");
    // A list of one element is that element, as of XML, where attributes have an `@`.
    let links = field.value.as_array().map_or(std::slice::from_ref(field.value), Vec::as_slice);
    let mut links = links.iter().filter(|_| named && field.is_near());
    links.find(|link| ["rel", "relation", "@rel"].iter().any(|name| link.get(name).is_some_and(says_next)))
}

/// Returns whether a relation (one word or several, or an array of them as in Siren) is `next`.
fn says_next(rel: &Value) -> bool {
    match rel {
        Value::String(words) => words.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next")),
        Value::Array(rels) => rels.iter().any(says_next),
        _ => false,
    }
}

fn is_flat(value: &Value) -> bool {
    let flat = |value: &Value| value.is_string() || value.is_number();
    value.as_object().is_some_and(|object| !object.is_empty() && object.values().all(flat))
}
