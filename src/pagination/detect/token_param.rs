//! The request parameter for a token or number: as the answer's own URLs and the request show it, then as APIs with such a key
//! mostly call it.

use serde_json::Value;

use super::first_page::FirstPage;
use super::member_names;
use super::next_pointer::{Pointer, PointerValue};
use super::page_members::digits;
use crate::pagination::request::RequestBody;
use crate::pagination::{Param, Path};

/// Parameters by the token's own name; each list is followed by the general ones.
const BY_NAME: &[(&str, &[&str])] = &[
    ("endcursor", &["after", "cursor"]),
    ("aftercursor", &["cursor", "page[after]", "after"]),
    ("after", &["after", "cursor", "page[after]"]),
    ("lastid", &["after", "starting_after", "after_id", "last_id", "since_id"]),
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

/// Parameters for a token, the likeliest first, at most `most`.
pub(super) fn for_token(answer: &FirstPage<'_>, pointer: &Pointer, most: usize) -> Vec<Param> {
    let mut guesses = ParamGuesses::default();
    let is_number = matches!(pointer.value, PointerValue::Token(Value::Number(_)));
    if let Some(variable) = graphql_variable(answer) {
        guesses.push(variable);
    }
    if let PointerValue::Token(Value::String(token)) = &pointer.value {
        for (name, _) in answer.linked.iter().filter(|(_, value)| value == token) {
            guesses.push(answer.param(name));
        }
    }
    let names = token_names(pointer, is_number, &answer.param_spelling());
    let in_request = |name: &&String| answer.asked_as(name).is_some();
    for name in names.iter().filter(in_request).chain(&names) {
        guesses.push(answer.param(name));
    }
    guesses.may_be_set(answer, most)
}

/// Parameters for a number whose field in the page is `field`, the likeliest first.
pub(super) fn for_number(
    answer: &FirstPage<'_>,
    field: &str,
    is: fn(&str) -> bool,
    common: &[&str],
    most: usize,
) -> Vec<Param> {
    let mut guesses = ParamGuesses::default();
    let linked = answer.linked.iter().filter(|(name, value)| is(name) && digits(value).is_some());
    let family = answer.param_spelling();
    let spelled = ["number", "page", "offset", "skip"].iter().filter_map(|name| family.spelled(name));
    let spelled: Vec<_> = spelled.filter(|name| is(name)).collect();
    let own = Some(field).filter(|name| is(name) && !member_names::plain(name).contains("current"));
    let shown = linked.map(|(name, _)| name.as_str()).chain(spelled.iter().map(String::as_str));
    for name in shown.chain(own).chain(common.iter().copied()) {
        guesses.push(answer.param(name));
    }
    guesses.may_be_set(answer, most)
}

#[derive(Default)]
struct ParamGuesses(Vec<Param>);

impl ParamGuesses {
    fn push(&mut self, param: Param) {
        if !self.0.contains(&param) {
            self.0.push(param);
        }
    }

    /// The first `most` that don't replace another parameter of the request: `after=2024-01-01` is a filter, and without it
    /// page 2 would be one of another collection.
    fn may_be_set(self, answer: &FirstPage<'_>, most: usize) -> Vec<Param> {
        let is_free = |param: &Param| {
            answer.asked.iter().find(|asked| asked.param == *param).is_none_or(|asked| {
                let is_number = member_names::is_page(&asked.name) || member_names::is_offset(&asked.name);
                asked.value.is_empty()
                    || (is_number && digits(&asked.value).is_some())
                    || member_names::is_token(&asked.name) && member_names::plain(&asked.name) != "after"
            })
        };
        self.0.into_iter().filter(is_free).take(most).collect()
    }
}

fn token_names(pointer: &Pointer, is_number: bool, family: &ParamSpelling) -> Vec<String> {
    let plain = member_names::plain(&pointer.name);
    let mut names = Vec::new();
    let own = without_next(&pointer.name).unwrap_or_else(|| pointer.name.clone());
    let spelled = match (family, is_number) {
        (ParamSpelling::Plain, _) => vec![],
        (ParamSpelling::Prefix(_), _) => vec![own.as_str()],
        (ParamSpelling::Brackets(_), false) => vec!["after", "cursor"],
        (ParamSpelling::Brackets(_), true) => vec!["number", "offset"],
    };
    names.extend(spelled.into_iter().filter_map(|name| family.spelled(name)));
    let by_name = BY_NAME.iter().find(|(name, _)| *name == plain && !is_number);
    names.extend(by_name.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())));
    // `last_history_item_id` goes into `start_after_history_item_id`.
    if let Some(rest) = pointer.name.strip_prefix("last_").filter(|_| plain != "lastid") {
        names.push(format!("start_after_{rest}"));
    }
    let parent =
        Some(member_names::plain(&pointer.parent)).filter(|parent| matches!(parent.as_str(), "cursor" | "cursors"));
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
fn graphql_variable(answer: &FirstPage<'_>) -> Option<Param> {
    let Some(RequestBody::Json(body)) = &answer.request.body else { return None };
    let query = body.get("query")?.as_str().filter(|query| query.contains('{'))?;
    let after = query.match_indices("after").find_map(|(at, word)| {
        let rest = query[at + word.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('$')?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(&rest[..end])
    });
    let variable = after.unwrap_or("after");
    Path::singular(&format!("variables.{variable}")).ok().map(Param::Body)
}

impl FirstPage<'_> {
    /// Spelling of the request's page size: parameters of one API are spelled alike.
    fn param_spelling(&self) -> ParamSpelling {
        let size = self.asked.iter().find(|asked| member_names::is_size(&asked.name)).map(|asked| asked.name.as_str());
        match size.map(|name| (name, name.find('['))) {
            Some((name, Some(at))) => ParamSpelling::Brackets(name[..=at].to_owned()),
            Some((name, None)) if name.starts_with(['_', '$']) => ParamSpelling::Prefix(name[..1].to_owned()),
            _ => ParamSpelling::Plain,
        }
    }
}

enum ParamSpelling {
    Plain,
    /// `page[` of `page[size]` (JSON:API).
    Brackets(String),
    /// `$` of `$top`, `_` of `_limit`.
    Prefix(String),
}

impl ParamSpelling {
    /// A name in this spelling; none in the plain one.
    fn spelled(&self, name: &str) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Brackets(open) => Some(format!("{open}{name}]")),
            Self::Prefix(prefix) => Some(format!("{prefix}{name}")),
        }
    }
}
