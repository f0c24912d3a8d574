//! What in an answer points to the next page: links, URLs and tokens, live or ended.

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::fields::{Field, digits};
use super::names::{self, Says, Trust};
use super::reading::Reading;
use crate::pagination::{PageRequest, Source};

/// One place that can point to the next page.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    pub(super) source: Source,
    /// How a message names it.
    pub(super) shown: String,
    pub(super) name: String,
    pub(super) parent: String,
    pub(super) says: Says,
    pub(super) trust: Trust,
    pub(super) holds: Holds,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Holds {
    /// A URL, perhaps relative.
    Url(String),
    /// A token or number.
    Token(Value),
    /// An object of parameters for the next request (MediaWiki).
    Parameters,
    /// `null` or empty: the last page of its kind.
    End,
    /// A text that means `null`.
    EndText(String),
}

impl Pointer {
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.holds, Holds::End | Holds::EndText(_))
    }

    pub(super) fn phrase(&self) -> String {
        let what = match &self.holds {
            Holds::Url(_) => "holds a URL",
            Holds::Token(Value::Number(_)) => "holds a number",
            Holds::Token(_) => "holds a token",
            Holds::Parameters => "holds parameters",
            Holds::End => "is null or empty",
            Holds::EndText(_) => "says none",
        };
        format!("{} {what}", self.shown)
    }

    /// The most trusted first: by name, then URLs before tokens before numbers, then the outermost.
    fn order(&self) -> (Trust, u8, usize) {
        let kind = match (&self.holds, self.says) {
            (Holds::Url(_), _) | (Holds::End, Says::Url | Says::Either) => 0,
            (Holds::Token(Value::Number(_)), _) => 2,
            _ => 1,
        };
        let depth = match &self.source {
            Source::Body(path) | Source::Links { path, .. } => path.segments().len(),
            Source::Header(_) | Source::LastLink { .. } => 0,
        };
        (self.trust, kind, depth)
    }
}

/// All pointers of an answer by their names alone, the most trusted first.
pub(super) fn pointers(headers: &HeaderMap, fields: &[Field<'_>]) -> Vec<Pointer> {
    let mut found: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| in_header(name, value.to_str().ok()?))
        .chain(fields.iter().filter_map(in_field))
        .collect();
    found.sort_by_key(Pointer::order);
    found
}

/// The pointers that can lead on from the page, or show that it is the last: those that only repeat the request, or that
/// mean something else beside a better one, are left out.
pub(super) fn credible(reading: &Reading<'_>) -> Vec<Pointer> {
    let mut found = pointers(reading.headers, &reading.fields);
    found.retain(|pointer| !repeats(pointer, reading));
    let best = found.iter().map(|pointer| pointer.trust).min();
    let short = reading.count == 0 || reading.size().is_some_and(|size| reading.count < size);
    found.retain(|pointer| match pointer.trust {
        Trust::NextPage | Trust::Next | Trust::Cursor => true,
        Trust::LastRecord => reading.more().is_some() && best >= Some(Trust::LastRecord),
        // `cursor: null` on a page that may be full may be the request's own missing cursor.
        Trust::Echo => best == Some(Trust::Echo) && (pointer.is_live() || short),
    });
    found
}

/// Whether the pointer holds what the request had. Digits may be equal by chance: an offset of 100 after a limit of 100.
fn repeats(pointer: &Pointer, reading: &Reading<'_>) -> bool {
    match &pointer.holds {
        Holds::Url(url) => is_same_url(url, reading.request),
        Holds::Token(Value::String(token)) => {
            digits(token).is_none() && reading.asked.iter().any(|asked| asked.value == *token)
        }
        _ => false,
    }
}

/// Whether a URL, perhaps without its origin, is the request's.
pub(super) fn is_same_url(url: &str, request: &PageRequest) -> bool {
    let own = request.url.as_str();
    let after_origin = &request.url[url::Position::BeforePath..];
    own == url || (!after_origin.is_empty() && url == after_origin)
}

fn in_header(name: &HeaderName, value: &str) -> Option<Pointer> {
    let bare = name.as_str().trim_start_matches("x-").trim_start_matches("ms-").trim_start_matches("pagination-");
    let says = names::pointer(bare, "").filter(|says| {
        says.trust == Trust::NextPage || matches!(names::plain(bare).as_str(), "continuation" | "continuationtoken")
    })?;
    let value = value.trim();
    let holds = match digits(value) {
        Some(number) => Holds::Token(Value::from(number)),
        None => holds(&Value::from(value), says.says)?,
    };
    Some(Pointer {
        source: Source::Header(name.clone()),
        shown: format!("header `{name}`"),
        name: bare.to_owned(),
        parent: String::new(),
        says: says.says,
        trust: says.trust,
        holds,
    })
}

fn in_field(field: &Field<'_>) -> Option<Pointer> {
    let found = |source, says, trust, holds| {
        Some(Pointer {
            source,
            shown: format!("`{}`", field.path),
            name: field.name.to_owned(),
            parent: field.parent.to_owned(),
            says,
            trust,
            holds,
        })
    };
    if let Some(url) = next_of_links(field) {
        let source = Source::Links { path: field.path.clone(), rel: "next".to_owned() };
        return found(source, Says::Url, Trust::NextPage, Holds::Url(url));
    }
    let source = Source::Body(field.path.clone());
    if field.name == "continue" && field.parent.is_empty() && is_flat(field.value) {
        return found(source, Says::Token, Trust::Cursor, Holds::Parameters);
    }
    // DynamoDB's token is an object.
    if names::plain(field.name) == "lastevaluatedkey" && field.value.as_object().is_some_and(|key| !key.is_empty()) {
        return found(source, Says::Token, Trust::Cursor, Holds::Token(field.value.clone()));
    }
    let says = names::pointer(field.name, field.parent)?;
    if !field.is_near() && says.trust != Trust::NextPage {
        return None;
    }
    // A number under such a name is a position, and a position may be the request's.
    let is_number = field.number().is_some();
    if is_number && says.trust == Trust::Echo && names::plain(field.name) != "cursor" {
        return None;
    }
    let holds = holds(field.value, says.says)?;
    // Far from the records, `null` may belong to anything.
    if !field.is_near() && matches!(holds, Holds::End | Holds::EndText(_)) {
        return None;
    }
    found(source, says.says, says.trust, holds)
}

/// What a value at a pointer's place means; `None` where it can't be a pointer, or where its meaning is open, as that of 0.
fn holds(value: &Value, says: Says) -> Option<Holds> {
    match value {
        Value::Null | Value::Bool(false) => Some(Holds::End),
        Value::String(text) if text.trim().is_empty() => Some(Holds::End),
        Value::Object(members) if members.is_empty() => Some(Holds::End),
        Value::Array(elements) if elements.is_empty() && says != Says::Url => Some(Holds::End),
        Value::String(text) if matches!(text.as_str(), "null" | "None" | "nil") => Some(Holds::EndText(text.clone())),
        Value::String(text) if text == "0" => None,
        Value::String(text) if is_url(text, says) => Some(Holds::Url(text.clone())),
        Value::String(_) => Some(Holds::Token(value.clone())),
        Value::Number(number) => number.as_u64().filter(|number| *number > 0).map(|_| Holds::Token(value.clone())),
        Value::Object(_) | Value::Array(_) | Value::Bool(true) => None,
    }
}

/// A token can begin with `/` as well, being base64.
fn is_url(text: &str, says: Says) -> bool {
    let absolute = text.starts_with("https://") || text.starts_with("http://");
    let relative = text.starts_with('/') || text.starts_with('?');
    match says {
        Says::Url => absolute || relative || text.contains('?'),
        Says::Either => absolute || (relative && (text.contains('?') || text.matches('/').count() > 1)),
        Says::Token => absolute,
    }
}

/// The URL of the link `next` in an array of link objects.
fn next_of_links(field: &Field<'_>) -> Option<String> {
    let named = matches!(names::plain(field.name).as_str(), "links" | "link");
    let links = field.value.as_array().filter(|_| named && field.is_near())?;
    let of = |link: &Value, names: [&str; 2]| {
        names.iter().find_map(|name| link.get(name).and_then(Value::as_str)).map(ToOwned::to_owned)
    };
    let next = links.iter().find(|link| ["rel", "relation"].iter().any(|name| link.get(name).is_some_and(says_next)));
    next.and_then(|link| of(link, ["href", "url"])).filter(|url| !url.is_empty())
}

/// A relation is one word or several, or an array of them (Siren).
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
