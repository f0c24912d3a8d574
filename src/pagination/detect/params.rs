//! Which request parameter a token or number goes into: what the answer's own URLs and the request show, then what APIs
//! with such a key mostly call it.

use serde_json::Value;

use super::fields::digits;
use super::names;
use super::pointer::{Holds, Pointer};
use super::reading::Reading;
use crate::pagination::request::RequestBody;
use crate::pagination::{Param, Path};

/// By the token's own name, where that tells; each is followed by the general ones.
const BY_NAME: &[(&str, &[&str])] = &[
    ("endcursor", &["after", "cursor"]),
    ("aftercursor", &["cursor", "page[after]", "after"]),
    ("after", &["after", "cursor", "page[after]"]),
    ("lastid", &["after", "starting_after", "last_id", "since_id"]),
    ("lastevaluatedkey", &["ExclusiveStartKey"]),
    ("nextcontinuationtoken", &["continuation-token", "continuationToken"]),
    ("scrollid", &["scroll_id", "scrollId"]),
    ("nexttoken", &["next_token", "nextToken", "NextToken", "pagination_token", "token"]),
    ("nextlink", &["$skiptoken"]),
    ("next", &["cursor", "next", "from", "start", "after"]),
];
const TOKENS: &[&str] =
    &["cursor", "page_token", "pageToken", "after", "starting_after", "next_token", "continuation", "page[after]"];
const NUMBERS: &[&str] = &["page", "offset", "start", "_page", "page_number", "pageNumber", "skip", "cursor"];

/// The likeliest parameters for a token, the likeliest first, at most `most`.
pub(super) fn for_token(reading: &Reading<'_>, pointer: &Pointer, most: usize) -> Vec<Param> {
    let mut guesses = Guesses::default();
    let is_number = matches!(pointer.holds, Holds::Token(Value::Number(_)));
    if let Some(variable) = graphql_variable(reading) {
        guesses.push(variable);
    }
    if let Holds::Token(Value::String(token)) = &pointer.holds {
        for (name, _) in reading.linked.iter().filter(|(_, value)| value == token) {
            guesses.push(reading.place(name));
        }
    }
    let names = token_names(pointer, is_number, &reading.family());
    let in_request = |name: &&String| reading.asked_as(name).is_some();
    for name in names.iter().filter(in_request).chain(&names) {
        guesses.push(reading.place(name));
    }
    guesses.may_be_set(reading, most)
}

/// The likeliest parameters for a number whose field in the page is called `field`.
pub(super) fn for_number(
    reading: &Reading<'_>,
    field: &str,
    is: fn(&str) -> bool,
    common: &[&str],
    most: usize,
) -> Vec<Param> {
    let mut guesses = Guesses::default();
    let linked = reading.linked.iter().filter(|(name, value)| is(name) && digits(value).is_some());
    let family = reading.family();
    let spelled = ["number", "page", "offset", "skip"].iter().filter_map(|name| family.spelled(name));
    let spelled: Vec<_> = spelled.filter(|name| is(name)).collect();
    let own = Some(field).filter(|name| is(name) && !names::plain(name).contains("current"));
    let shown = linked.map(|(name, _)| name.as_str()).chain(spelled.iter().map(String::as_str));
    for name in shown.chain(own).chain(common.iter().copied()) {
        guesses.push(reading.place(name));
    }
    guesses.may_be_set(reading, most)
}

#[derive(Default)]
struct Guesses(Vec<Param>);

impl Guesses {
    fn push(&mut self, param: Param) {
        if !self.0.contains(&param) {
            self.0.push(param);
        }
    }

    /// The first `most` that don't take the place of something else that the request asks for: `after=2024-01-01` is a
    /// filter, and without it page 2 would be one of another collection.
    fn may_be_set(self, reading: &Reading<'_>, most: usize) -> Vec<Param> {
        let is_free = |param: &Param| {
            reading.asked.iter().find(|asked| asked.param == *param).is_none_or(|asked| {
                let is_token = ["cursor", "token", "marker", "continuation", "startingafter", "pageafter", "bookmark"];
                let is_number = names::is_page(&asked.name) || names::is_offset(&asked.name);
                asked.value.is_empty()
                    || (is_number && digits(&asked.value).is_some())
                    || is_token.iter().any(|word| names::plain(&asked.name).contains(word))
            })
        };
        self.0.into_iter().filter(is_free).take(most).collect()
    }
}

fn token_names(pointer: &Pointer, is_number: bool, family: &Family) -> Vec<String> {
    let plain = names::plain(&pointer.name);
    let mut names = Vec::new();
    let own = without_next(&pointer.name).unwrap_or_else(|| pointer.name.clone());
    let spelled = match (family, is_number) {
        (Family::Plain, _) => vec![],
        (Family::Prefix(_), _) => vec![own.as_str()],
        (Family::Brackets(_), false) => vec!["after", "cursor"],
        (Family::Brackets(_), true) => vec!["number", "offset"],
    };
    names.extend(spelled.into_iter().filter_map(|name| family.spelled(name)));
    let by_name = BY_NAME.iter().find(|(name, _)| *name == plain && !is_number);
    names.extend(by_name.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())));
    // `last_history_item_id` goes into `start_after_history_item_id`.
    if let Some(rest) = pointer.name.strip_prefix("last_").filter(|_| plain != "lastid") {
        names.push(format!("start_after_{rest}"));
    }
    let parent = Some(names::plain(&pointer.parent)).filter(|parent| matches!(parent.as_str(), "cursor" | "cursors"));
    if plain == "next" && parent.is_some() {
        names.insert(0, "cursor".to_owned());
    }
    names.extend(without_next(&pointer.name));
    if plain != "next" || !is_number {
        names.push(pointer.name.clone());
    }
    let general = if is_number { NUMBERS } else { TOKENS };
    names.extend(general.iter().map(|name| (*name).to_owned()));
    names
}

/// `page_token` of `next_page_token`, `pageToken` of `nextPageToken`.
fn without_next(name: &str) -> Option<String> {
    let rest = name.get(4..).filter(|_| name.to_ascii_lowercase().starts_with("next"))?;
    let rest = rest.trim_start_matches(['_', '-', '.']);
    let camel = name.starts_with("next") && rest.starts_with(char::is_uppercase);
    let rest = if camel { rest[..1].to_lowercase() + &rest[1..] } else { rest.to_owned() };
    (!rest.is_empty()).then_some(rest)
}

/// The variable that a GraphQL query takes its `after` argument from.
fn graphql_variable(reading: &Reading<'_>) -> Option<Param> {
    let Some(RequestBody::Json(body)) = &reading.request.body else { return None };
    let query = body.get("query")?.as_str().filter(|query| query.contains('{'))?;
    let after = query.match_indices("after").find_map(|(at, word)| {
        let rest = query[at + word.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('$')?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(&rest[..end])
    });
    let variable = after.unwrap_or("after");
    Path::singular(&format!("variables.{variable}")).ok().map(Param::Body)
}

impl Reading<'_> {
    /// How the request spells its page size: parameters of one family are spelled alike.
    fn family(&self) -> Family {
        let size = self.asked.iter().find(|asked| names::is_size(&asked.name)).map(|asked| asked.name.as_str());
        match size.map(|name| (name, name.find('['))) {
            Some((name, Some(at))) => Family::Brackets(name[..=at].to_owned()),
            Some((name, None)) if name.starts_with(['_', '$']) => Family::Prefix(name[..1].to_owned()),
            _ => Family::Plain,
        }
    }
}

enum Family {
    Plain,
    /// `page[` of `page[size]` (JSON:API).
    Brackets(String),
    /// `$` of `$top`, `_` of `_limit`.
    Prefix(String),
}

impl Family {
    /// A name as this family spells it, where the family is a special one.
    fn spelled(&self, name: &str) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Brackets(open) => Some(format!("{open}{name}]")),
            Self::Prefix(prefix) => Some(format!("{prefix}{name}")),
        }
    }
}
