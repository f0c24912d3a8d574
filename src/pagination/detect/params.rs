//! Which request parameter a token or number goes into: what the answer's own URLs and the request show, then what APIs
//! with such a key mostly call it.

use serde_json::Value;

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
    let names = token_names(pointer, is_number, &reading.brackets());
    let in_request = |name: &&String| reading.asked.iter().any(|asked| names::plain(&asked.name) == names::plain(name));
    for name in names.iter().filter(in_request).chain(&names) {
        guesses.push(reading.place(name));
    }
    guesses.0.truncate(most);
    guesses.0
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
    let linked =
        reading.linked.iter().filter(|(name, value)| is(name) && value.bytes().all(|byte| byte.is_ascii_digit()));
    let brackets = reading.brackets();
    let bracketed = common.iter().filter(|name| brackets.iter().any(|open| name.starts_with(open.as_str())));
    let own = Some(field).filter(|name| is(name) && !names::plain(name).contains("current"));
    for name in linked.map(|(name, _)| name.as_str()).chain(bracketed.copied()).chain(own).chain(common.iter().copied())
    {
        guesses.push(reading.place(name));
    }
    guesses.0.truncate(most);
    guesses.0
}

#[derive(Default)]
struct Guesses(Vec<Param>);

impl Guesses {
    fn push(&mut self, param: Param) {
        if !self.0.contains(&param) {
            self.0.push(param);
        }
    }
}

fn token_names(pointer: &Pointer, is_number: bool, brackets: &[String]) -> Vec<String> {
    let plain = names::plain(&pointer.name);
    let mut names = Vec::new();
    names.extend(brackets.iter().filter(|_| !is_number).map(|open| format!("{open}after]")));
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
    /// `page[` where the request has `page[size]`: parameters of one family are spelled alike (JSON:API).
    fn brackets(&self) -> Vec<String> {
        let sizes = self.asked.iter().filter(|asked| names::is_size(&asked.name));
        let mut open: Vec<_> =
            sizes.filter_map(|asked| asked.name.find('[').map(|at| asked.name[..=at].to_owned())).collect();
        open.dedup();
        open
    }
}
