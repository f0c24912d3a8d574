//! `auto`: what the first page of an unknown collection says about its pagination, as candidates in the order of trust.
//!
//! A candidate is a pointer that the answer holds, or a number that the request or the answer names; what is merely likely
//! (a keyset, a total without a number) is told and never tried. A page without any sign is not taken for a collection.

mod fields;
mod names;
mod numbers;
mod outline;
mod params;
mod pointer;
mod reading;
mod records;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use serde_json::Value;

pub use self::outline::outline;
use self::pointer::{Holds, Pointer, is_same_url};
use self::reading::{Counts, Reading, query_of};
pub use self::records::{arrays, records_path};
use super::link::{Link, links};
use super::styles::{Base, Cursor, LinkHeader, NextUrl, Style, Token};
use super::{PageRequest, Pagination, Path, Source};

/// How many parameters are tried for the most trusted token, and for the one after it.
const TOKEN_GUESSES: [usize; 2] = [8, 4];

/// What the first page says.
#[derive(Clone, Debug)]
pub struct Detection {
    /// What it may be, the most trusted first; each must still be verified on the second page.
    pub candidates: Vec<Candidate>,
    /// What was looked at, for the one who must configure it by hand.
    pub seen: Vec<String>,
}

/// One guess.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The pagination that it would be.
    pub pagination: Pagination,
    /// What speaks for it, in one phrase.
    pub why: String,
}

/// Reads the first page.
pub fn detect(request: &PageRequest, headers: &HeaderMap, page: &Value) -> Detection {
    let likeliest = records_path(request, page);
    match likeliest.filter(|path| !records::is_one_of_several(request, page, path, records::Rivals::Filled)) {
        Some(records) => {
            let doubt = records::doubt(request, page, &records);
            around(request, headers, page, records, doubt)
        }
        None => {
            let arrays = match seen_arrays(page) {
                arrays if arrays.is_empty() => "no array of records".to_owned(),
                arrays => format!("no array that is surely the records: {arrays}"),
            };
            Detection { candidates: Vec::new(), seen: vec![read_links(headers).1, arrays] }
        }
    }
}

/// Reads the first page, of which is known where the records stand.
pub fn detect_around(request: &PageRequest, headers: &HeaderMap, page: &Value, records: Path) -> Detection {
    around(request, headers, page, records, None)
}

/// Reads the first page; `doubt` says why its records may be others than these.
fn around(request: &PageRequest, headers: &HeaderMap, page: &Value, records: Path, doubt: Option<String>) -> Detection {
    let (links, seen) = read_links(headers);
    let mut seen = vec![seen];
    let reading = Reading::of(request, headers, &links, page, records);
    seen.push(format!("an array of {} records at `{}`", reading.count, reading.records));
    let pointers = pointer::credible(&reading);
    let doubt = reading.must_go_on().or(doubt);
    seen.extend(seen_fields(&reading, &pointers, doubt.as_deref()));

    let mut candidates = Vec::new();
    candidates.extend(link_next(&reading));
    candidates.extend(pointers.iter().filter_map(|pointer| next_url(&reading, pointer)));
    let tokens = pointers.iter().filter(|pointer| matches!(pointer.holds, Holds::Token(_) | Holds::Parameters));
    candidates.extend(tokens.zip(TOKEN_GUESSES).flat_map(|(pointer, guesses)| cursors(&reading, pointer, guesses)));
    if doubt.is_none() {
        candidates.extend(link_ended(&reading));
        candidates.extend(pointers.iter().find_map(|pointer| ended(&reading, pointer)));
    }
    candidates.extend(numbers::candidates(&reading));
    Detection { candidates, seen }
}

/// The live pointer to a next page that an answer holds, whatever its pagination is configured to be, as a phrase. Names
/// that are shared with request parameters don't count: what they hold may be the request's own.
pub fn live_pointer(headers: &HeaderMap, page: &Value) -> Option<String> {
    // A Link header that can't be read breaks the crawls that follow it; for all others it is no sign of anything.
    let links = links(headers).unwrap_or_default();
    if live_link(&links).is_some_and(|next| links.iter().all(|own| !own.has_rel("self") || own.target != next.target)) {
        return Some("a Link header with rel=next".to_owned());
    }
    let request = PageRequest::get(url::Url::parse("http://localhost/").ok()?);
    let records = records_path(&request, page).unwrap_or_default();
    let reading = Reading::of(&request, headers, &links, page, records);
    if reading.says_more() == Some(false) {
        return None;
    }
    let own: Vec<_> =
        reading.near().filter(|field| field.name == "self").filter_map(|field| field.value.as_str()).collect();
    let live = pointer::credible(&reading).into_iter().find(|pointer| match &pointer.holds {
        _ if pointer.trust > names::Trust::Cursor => false,
        Holds::Url(url) => !own.contains(&url.as_str()),
        Holds::Token(Value::Number(_)) => !reading.is_last_by_number(),
        // Some APIs hand out such a token on the last page too.
        Holds::Token(_) => pointer.trust <= names::Trust::Next || reading.says_more() == Some(true),
        Holds::Parameters => true,
        Holds::End | Holds::EndText(_) => false,
    })?;
    Some(live.phrase())
}

/// The `Link` with rel=next that can be followed: Sentry's has `results="false"` on the last page.
fn live_link(links: &[Link]) -> Option<&Link> {
    links.iter().find(|link| link.has_rel("next")).filter(|link| link.param("results") != Some("false"))
}

fn link_next(reading: &Reading<'_>) -> Option<Candidate> {
    let next = reading.links.iter().find(|link| link.has_rel("next"))?;
    if is_same_url(&next.target, reading.request) {
        return None;
    }
    let attribute = next.param("results").map(|_| ("results".to_owned(), "true".to_owned()));
    let style = LinkHeader { rel: "next".to_owned(), attribute };
    Some(reading.candidate(style, Counts::Refused, "a Link header with rel=next".to_owned()))
}

/// Links to the first, last or previous page and none to the next: the last page of an API that links its pages.
fn link_ended(reading: &Reading<'_>) -> Option<Candidate> {
    let pages = ["first", "last", "prev", "previous"];
    let found: Vec<_> = pages.into_iter().filter(|rel| reading.links.iter().any(|link| link.has_rel(rel))).collect();
    if found.is_empty() || reading.links.iter().any(|link| link.has_rel("next")) || last_is_elsewhere(reading) {
        return None;
    }
    let why = format!("a Link header with rel={} and no rel=next", found.join(", "));
    let style = LinkHeader { rel: "next".to_owned(), attribute: None };
    Some(reading.candidate(style, Counts::Refused, why))
}

/// Whether the link to the last page has a greater page number or offset than the request.
fn last_is_elsewhere(reading: &Reading<'_>) -> bool {
    let Some(last) = reading.links.iter().find(|link| link.has_rel("last")) else { return false };
    query_of(&last.target).iter().any(|(name, value)| {
        let is_number = names::is_page(name) || names::is_offset(name);
        let own = reading.asked.iter().find(|asked| asked.name == *name).and_then(|asked| fields::digits(&asked.value));
        is_number && fields::digits(value).is_some_and(|last| last > own.unwrap_or(u64::from(names::is_page(name))))
    })
}

fn next_url(reading: &Reading<'_>, pointer: &Pointer) -> Option<Candidate> {
    let Holds::Url(_) = pointer.holds else { return None };
    let style = NextUrl { next: vec![pointer.source.clone()], base: Base::Request };
    Some(reading.candidate(style, Counts::Refused, pointer.phrase()))
}

fn cursors(reading: &Reading<'_>, pointer: &Pointer, guesses: usize) -> Vec<Candidate> {
    if let (Holds::Parameters, Source::Body(path)) = (&pointer.holds, &pointer.source) {
        let cursor = Cursor { tokens: Vec::new(), merge: Some(path.clone()), end_values: Vec::new(), template: None };
        return vec![reading.candidate(cursor, Counts::Refused, pointer.phrase())];
    }
    let params = params::for_token(reading, pointer, guesses);
    let cursor = |param| Cursor {
        tokens: vec![Token { next: vec![pointer.source.clone()], param, from_url_param: None }],
        merge: None,
        end_values: Vec::new(),
        template: None,
    };
    let candidate = |param| {
        let why = format!("{}, sent back as {param}", pointer.phrase());
        reading.candidate(cursor(param), Counts::Refused, why)
    };
    params.into_iter().map(candidate).collect()
}

/// A pointer that is there and empty: the last page of its kind.
fn ended(reading: &Reading<'_>, pointer: &Pointer) -> Option<Candidate> {
    let end_values = match &pointer.holds {
        Holds::End => Vec::new(),
        Holds::EndText(text) => vec![Value::from(text.as_str())],
        _ => return None,
    };
    let style: Style = if pointer.says == names::Says::Token || !end_values.is_empty() {
        let param = params::for_token(reading, pointer, 1).pop()?;
        let token = Token { next: vec![pointer.source.clone()], param, from_url_param: None };
        Cursor { tokens: vec![token], merge: None, end_values, template: None }.into()
    } else {
        NextUrl { next: vec![pointer.source.clone()], base: Base::Request }.into()
    };
    Some(reading.candidate(style, Counts::Refused, format!("{}: the last page of its kind", pointer.phrase())))
}

/// The links of the header, and what to say of them.
fn read_links(headers: &HeaderMap) -> (Vec<Link>, String) {
    match links(headers) {
        Ok(links) => {
            let seen = seen_links(&links);
            (links, seen)
        }
        Err(bad) => (Vec::new(), bad.to_string()),
    }
}

fn seen_links(links: &[Link]) -> String {
    let rels: Vec<_> = links.iter().flat_map(Link::rels).collect();
    match rels[..] {
        [] => "no Link header".to_owned(),
        _ => format!("a Link header with rel={}", rels.join(", ")),
    }
}

/// Whether a parameter of this name takes a page's number, whatever puts it there.
pub fn is_page_number(name: &str) -> bool {
    names::is_page(name)
}

/// The first arrays of a page with their lengths, for a message; empty where there is none.
pub fn seen_arrays(page: &Value) -> String {
    const TOLD: usize = 6;
    let arrays = arrays(page);
    let mut told: Vec<_> =
        arrays.iter().take(TOLD).map(|(path, length)| format!("{length} elements at `{path}`")).collect();
    if arrays.len() > TOLD {
        told.push(format!("{} more", arrays.len() - TOLD));
    }
    told.join(", ")
}

fn seen_fields(reading: &Reading<'_>, pointers: &[Pointer], doubt: Option<&str>) -> Vec<String> {
    let mut seen: Vec<_> = pointers.iter().map(Pointer::phrase).collect();
    if pointers.is_empty() {
        seen.push("no next URL or token".to_owned());
    }
    if let (Some(more), Some(says)) = (reading.more(), reading.says_more()) {
        seen.push(format!("`{}` says that there is {}", more.path, if says { "more" } else { "no more" }));
    }
    if let Some(page) = reading.page_number() {
        seen.push(format!("`{}` = {}", page.shown, page.value));
    }
    if let Some((field, value)) = numbers::offset_field(reading) {
        seen.push(format!("`{}` = {value}", field.path));
    }
    let asked = reading.asked_pages().chain(reading.asked_offsets());
    seen.extend(asked.map(|(asked, value)| format!("{} = {value} in the request", asked.param)));
    if let Some(total) = reading.total(Counts::Allowed) {
        let lone = reading.page_number().is_none() && numbers::offset_field(reading).is_none();
        let note = if lone { " but no page or offset field" } else { "" };
        seen.push(format!("`{}` = {}{note}", total.shown, total.value));
    }
    if let (Some(doubt), true) = (doubt, pointers.iter().any(|pointer| !pointer.is_live())) {
        seen.push(format!("{doubt}, so that an empty pointer doesn't end the collection"));
    }
    seen
}
