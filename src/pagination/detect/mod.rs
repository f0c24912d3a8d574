//! `auto`: recognises the pagination of an unknown collection from its first page, as candidates in the order of trust.
//!
//! A candidate is a pointer in the answer, a number in the request or the answer, or the last record of a page that says that more follow.
//! Signs that are merely likely (a total without a number) are reported and never tried. A page without any sign is not taken for a collection.

mod columns;
mod first_page;
mod keyed_by_id;
pub(in crate::pagination) mod last_place;
mod last_record;
mod member_names;
mod next_pointer;
mod page_members;
mod page_numbers;
mod page_outline;
mod path_number;
mod record_array;
mod record_range;
mod single_page;
#[cfg(test)]
mod tests;
mod token_param;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde_json::Value;
use url::Url;

use self::first_page::{AmbiguousCounts, FirstPage, RecordsPlace};
use self::last_place::{CrawledExtent, LastPlace};
pub use self::member_names::{PageParam, page_param};
use self::next_pointer::{Pointer, PointerValue, is_same_url};
use self::page_members::query_of;
pub use self::page_outline::{Sketch, outline};
pub(in crate::pagination) use self::path_number::{PathNumber, segments};
pub(crate) use self::record_array::elements;
pub use self::record_array::{arrays, begins_elsewhere, records_path};
use super::end_settings::UnnamedCounts;
use super::envelope_names::paging_objects;
use super::link_header_parser::{Link, links};
use super::request_params::RequestParam;
use super::styles::{Base, Cursor, LinkHeader, NextUrl, Style, Token};
use super::{PageRequest, Pagination, Path, RecordsShape, Source};

/// Number of parameters that are tried for the most trusted token, and for the next one.
const TOKEN_GUESSES: [usize; 2] = [8, 4];

/// Findings in the first page.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Possible paginations, the most trusted first; each must still be verified on the second page.
    pub candidates: Vec<Candidate>,
    /// The page as all of its collection, where it has no sign of a further one.
    pub lone: Option<Candidate>,
    /// Number of records in the page.
    pub records: u64,
    /// Observations for the user who must configure the collection by hand.
    pub seen: Vec<String>,
}

/// A possible pagination.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub pagination: Pagination,
    /// The evidence, in one phrase.
    pub why: String,
}

/// Configuration that holds for whatever is recognised.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredFacts {
    /// Path of the records.
    pub records: Option<Path>,
    pub unnamed_counts: UnnamedCounts,
}

/// Reads the first page, of which nothing is known.
pub fn detect(request: &PageRequest, headers: &HeaderMap, page: &Value) -> Detection {
    detect_beside(request, headers, page, ConfiguredFacts::default())
}

/// Reads the first page beside what is configured.
pub fn detect_beside(request: &PageRequest, headers: &HeaderMap, page: &Value, known: ConfiguredFacts) -> Detection {
    let ConfiguredFacts { records, unnamed_counts } = known;
    let around = |records, doubt| around(request, headers, page, (records, unnamed_counts), doubt);
    if let Some(records) = records {
        return around(records.into(), None);
    }
    if let Some((path, id)) = keyed_by_id::records(page) {
        let mut detection = around(RecordsPlace { path, shape: RecordsShape::Values }, None);
        // A page may go on with the properties of records that came: their keys are compared.
        detection.candidates.iter_mut().for_each(|candidate| candidate.pagination.key = Some(id.clone()));
        return detection;
    }
    let likeliest = records_path(request, page);
    match likeliest.filter(|path| !record_array::is_one_of_several(request, page, path, record_array::Rivals::Filled)) {
        Some(records) => {
            let doubt = record_array::doubt(request, page, &records);
            around(records.into(), doubt)
        }
        None => {
            let arrays = match seen_arrays(page) {
                arrays if arrays.is_empty() => "no array of records".to_owned(),
                arrays => format!("no array that is surely the records: {arrays}"),
            };
            let seen = [read_links(headers).1, arrays].into_iter().chain(columns::phrase(page)).collect();
            Detection { candidates: Vec::new(), lone: None, records: 0, seen }
        }
    }
}

/// Reads the first page; `doubt` is the reason for which its records may be elsewhere.
fn around(
    request: &PageRequest,
    headers: &HeaderMap,
    page: &Value,
    (records, unnamed_counts): (RecordsPlace, UnnamedCounts),
    doubt: Option<String>,
) -> Detection {
    let (links, seen) = read_links(headers);
    let mut seen = vec![seen];
    let answer = FirstPage { unnamed_counts, ..FirstPage::of(request, headers, &links, page, records) };
    let holder = if answer.shape == RecordsShape::Values { "object" } else { "array" };
    seen.push(format!("an {holder} of {} records at `{}`", answer.count, answer.records));
    let pointers = next_pointer::credible(&answer);
    let doubt = answer.must_go_on().or(doubt);
    seen.extend(seen_fields(&answer, &pointers, doubt.as_deref()));

    let mut candidates = Vec::new();
    candidates.extend(link_next(&answer));
    candidates.extend(pointers.iter().filter_map(|pointer| next_url(&answer, pointer)));
    let tokens =
        pointers.iter().filter(|pointer| matches!(pointer.value, PointerValue::Token(_) | PointerValue::Parameters));
    candidates.extend(tokens.zip(TOKEN_GUESSES).flat_map(|(pointer, guesses)| cursors(&answer, pointer, guesses)));
    if doubt.is_none() {
        candidates.extend(link_ended(&answer));
        candidates.extend(pointers.iter().find_map(|pointer| ended(&answer, pointer)));
    }
    candidates.extend(record_range::candidate(&answer));
    candidates.extend(page_numbers::candidates(&answer));
    // A pointer that is empty contradicts the flag, and beside any other sign the ids are those of records alone.
    if candidates.is_empty() && pointers.is_empty() {
        candidates.extend(last_record::candidate(&answer, page));
    }
    let lone = single_page::lone(&answer, &pointers).filter(|_| doubt.is_none());
    candidates.extend(lone.as_ref().and_then(|lone| single_page::shown(&answer, lone)));
    Detection { candidates, lone, records: answer.count, seen }
}

/// The live pointer to a next page in an answer from `url`, independently of the configured pagination, as a phrase. Names that are
/// shared with request parameters don't count: their values may repeat the request.
pub fn live_pointer(url: &Url, headers: &HeaderMap, page: &Value) -> Option<String> {
    live_beside(url, headers, page, &[])
}

/// As [`live_pointer`], beside pointers that are there and say that nothing follows. Only one that is named as they are contradicts them, and
/// no number, which some upstreams count on behind the end.
pub fn live_beside(url: &Url, headers: &HeaderMap, page: &Value, ended: &[&Source]) -> Option<String> {
    // A Link header that can't be read fails the crawls that follow it; for all others it is no sign.
    let links = links(headers).unwrap_or_default();
    let request = PageRequest::get(url.clone());
    let is_own = |next: &Link<'_>| {
        is_same_url(&next.target, &request) || links.iter().any(|own| own.has_rel("self") && own.target == next.target)
    };
    if live_link(&links).is_some_and(|next| !is_own(next)) {
        return Some("a Link header with rel=next".to_owned());
    }
    let records = records_path(&request, page).unwrap_or_default();
    let answer = FirstPage::of(&request, headers, &links, page, records.into());
    let in_field = || paging_objects(headers).find_map(|(name, object)| live_paging(&request, name, &object));
    let pointer = || next_pointer::live(&answer, ended).map(|live| live.phrase()).or_else(in_field);
    match answer.more().zip(answer.says_more()) {
        Some((_, false)) => None,
        Some((more, true)) => pointer().or_else(|| Some(format!("`{}`, which says that there is more", more.path))),
        None => pointer(),
    }
}

/// Sign that pages follow the one from `url`, the last of those that came, by a number of pages or a link to the last one, as a phrase.
pub(super) fn later_page(url: &Url, headers: &HeaderMap, page: &Value, walked: CrawledExtent) -> Option<String> {
    let request = PageRequest::get(url.clone());
    let words = LastPlace::of_head(headers, &request).into_iter().chain(LastPlace::of_page(page, &request));
    words.into_iter().find(|word| word.is_later(&request, walked)).map(|word| word.shown().to_owned())
}

/// As [`live_pointer`], in the JSON of a header field.
fn live_paging(request: &PageRequest, name: &HeaderName, object: &Value) -> Option<String> {
    let headers = HeaderMap::new();
    let answer = FirstPage::of(request, &headers, &[], object, Path::root().into());
    let told = match answer.says_more() {
        Some(true) => "says that there is more".to_owned(),
        Some(false) => return None,
        None => next_pointer::live(&answer, &[])?.phrase(),
    };
    Some(format!("header `{name}`: {told}"))
}

/// The `Link` with rel=next that can be followed: Sentry's has `results="false"` on the last page.
fn live_link<'a>(links: &'a [Link<'a>]) -> Option<&'a Link<'a>> {
    links.iter().find(|link| link.has_rel("next")).filter(|link| link.param("results") != Some("false"))
}

fn link_next(answer: &FirstPage<'_>) -> Option<Candidate> {
    let next = answer.links.iter().find(|link| link.has_rel("next"))?;
    if is_same_url(&next.target, answer.request) || !lost_params(answer, &next.target).is_empty() {
        return None;
    }
    let attribute = next.param("results").map(|_| ("results".to_owned(), "true".to_owned()));
    let style = LinkHeader { rel: "next".to_owned(), attribute };
    Some(answer.candidate(style, AmbiguousCounts::Refused, "a Link header with rel=next".to_owned()))
}

/// As [`lost_on_the_way`], for a link in the first page.
fn lost_params(answer: &FirstPage<'_>, link: &str) -> Vec<String> {
    let linked = query_of(link);
    let linked = linked.iter().map(|(name, value)| (Cow::from(name), Cow::from(value)));
    lost_on_the_way(&answer.request.url, linked, || PathNumber::of_link(link).is_some())
}

/// Query parameters of the first request that an address with a page number or an offset lacks: behind it, pages are of another size or of
/// another collection. A token may stand for all of them.
pub(in crate::pagination) fn lost_on_the_way<'a>(
    first: &Url,
    linked: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + Clone,
    is_numbered_by_path: impl FnOnce() -> bool,
) -> Vec<String> {
    let is_number = |name: &str| member_names::is_page(name) || member_names::is_offset(name);
    let asked = first.query_pairs().filter(|(name, value)| !value.is_empty() && !is_number(name));
    let lost = asked.filter(|(name, _)| linked.clone().all(|(other, _)| other != *name));
    let lost: Vec<_> = lost.map(|(name, _)| name.into_owned()).collect();
    let mut linked = linked;
    let is_numbered =
        |(name, value): (Cow<'_, str>, Cow<'_, str>)| is_number(&name) && page_members::digits(&value).is_some();
    if lost.is_empty() || linked.any(is_numbered) || is_numbered_by_path() { lost } else { Vec::new() }
}

/// Links to the first, last or previous page and none to the next: the last page of an API that links its pages.
fn link_ended(answer: &FirstPage<'_>) -> Option<Candidate> {
    let pages = ["first", "last", "prev", "previous"];
    let found: Vec<_> = pages.into_iter().filter(|rel| answer.links.iter().any(|link| link.has_rel(rel))).collect();
    if found.is_empty() || answer.links.iter().any(|link| link.has_rel("next")) || last_is_elsewhere(answer) {
        return None;
    }
    let why = format!("a Link header with rel={} and no rel=next", found.join(", "));
    let style = LinkHeader { rel: "next".to_owned(), attribute: None };
    Some(answer.candidate(style, AmbiguousCounts::Refused, why))
}

/// Returns whether the link to the last page has a greater page number or offset than the request.
fn last_is_elsewhere(answer: &FirstPage<'_>) -> bool {
    let Some(last) = answer.links.iter().find(|link| link.has_rel("last")) else { return false };
    query_of(&last.target).iter().any(|(name, value)| {
        let is_number = member_names::is_page(name) || member_names::is_offset(name);
        let own =
            answer.asked.iter().find(|asked| asked.name == *name).and_then(|asked| page_members::digits(&asked.value));
        is_number
            && page_members::digits(value)
                .is_some_and(|last| last > own.unwrap_or(u64::from(member_names::is_page(name))))
    })
}

fn next_url(answer: &FirstPage<'_>, pointer: &Pointer) -> Option<Candidate> {
    let PointerValue::Url(url) = &pointer.value else { return None };
    if !lost_params(answer, url).is_empty() {
        return None;
    }
    let style = NextUrl { next: vec![pointer.source.clone()], base: Base::Request };
    Some(answer.candidate(style, AmbiguousCounts::Refused, pointer.phrase()))
}

fn cursors(answer: &FirstPage<'_>, pointer: &Pointer, guesses: usize) -> Vec<Candidate> {
    if let (PointerValue::Parameters, Source::Body(path)) = (&pointer.value, &pointer.source) {
        let cursor = Cursor { merge: Some(path.clone()), ..Cursor::default() };
        return vec![answer.candidate(cursor, AmbiguousCounts::Refused, pointer.phrase())];
    }
    let params = token_param::for_token(answer, pointer, guesses);
    let cursor = |param| Cursor {
        tokens: vec![Token { next: vec![pointer.source.clone()], param, from_url_param: None, first: None }],
        ..Cursor::default()
    };
    let candidate = |param| {
        let why = format!("{}, sent back as {param}", pointer.phrase());
        answer.candidate(cursor(param), AmbiguousCounts::Refused, why)
    };
    params.into_iter().map(candidate).collect()
}

/// A pointer that is present and empty: the last page of its kind.
fn ended(answer: &FirstPage<'_>, pointer: &Pointer) -> Option<Candidate> {
    let end_values = match &pointer.value {
        PointerValue::End => Vec::new(),
        PointerValue::EndText(text) => vec![Value::from(text.as_str())],
        _ => return None,
    };
    let style: Style = if pointer.kind == member_names::PointerKind::Token || !end_values.is_empty() {
        let param = token_param::for_token(answer, pointer, 1).pop()?;
        let token = Token { next: vec![pointer.source.clone()], param, from_url_param: None, first: None };
        Cursor { tokens: vec![token], end_values, ..Cursor::default() }.into()
    } else {
        NextUrl { next: vec![pointer.source.clone()], base: Base::Request }.into()
    };
    Some(answer.candidate(style, AmbiguousCounts::Refused, format!("{}: the last page of its kind", pointer.phrase())))
}

/// The links of the header, and the observation for the user.
fn read_links(headers: &HeaderMap) -> (Vec<Link<'_>>, String) {
    match links(headers) {
        Ok(links) => {
            let seen = seen_links(&links);
            (links, seen)
        }
        Err(bad) => (Vec::new(), bad.to_string()),
    }
}

fn seen_links(links: &[Link<'_>]) -> String {
    let rels: Vec<_> = links.iter().flat_map(Link::rels).collect();
    match rels[..] {
        [] => "no Link header".to_owned(),
        _ => format!("a Link header with rel={}", rels.join(", ")),
    }
}

/// Returns true for a name that is also usual for a time, an id or a setting.
pub fn has_other_uses(name: &str) -> bool {
    member_names::is_common_word(name)
}

/// Returns true if a request names a place behind a collection's beginning: a later page, an offset or a token.
pub fn names_a_place(request: &PageRequest) -> bool {
    let by_param = request.params().iter().any(|RequestParam { name, value, .. }| match value.as_str() {
        "" | "0" => false,
        "1" => !member_names::is_page(name) && member_names::is_offset(name),
        _ => member_names::is_page(name) || member_names::is_offset(name) || member_names::is_token(name),
    });
    by_param || PathNumber::of(&request.url).is_some_and(|number| number.value > 1)
}

/// Returns true if a request names the number of a later page, or of a later record, by a parameter that is unusual for anything else.
pub fn names_a_number(request: &PageRequest) -> bool {
    let is_later = |RequestParam { name, value, .. }: &RequestParam| match page_members::digits(value) {
        _ if member_names::is_common_word(name) => false,
        Some(number) => number > 1 && member_names::is_page(name) || number > 0 && member_names::is_offset(name),
        None => false,
    };
    request.params().iter().any(is_later) || PathNumber::of(&request.url).is_some_and(|number| number.value > 1)
}

/// Returns true if a request names the record at which its answer begins or ends, or a time: what it has is a part of the collection.
pub fn names_a_bound(request: &PageRequest) -> bool {
    request.params().iter().any(|param| member_names::is_record_bound(&param.name) && !param.value.is_empty())
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

fn seen_fields(answer: &FirstPage<'_>, pointers: &[Pointer], doubt: Option<&str>) -> Vec<String> {
    let mut seen: Vec<_> = pointers.iter().map(Pointer::phrase).collect();
    if pointers.is_empty() {
        seen.push("no next URL or token".to_owned());
    }
    let urls = pointers.iter().filter_map(|pointer| match &pointer.value {
        PointerValue::Url(url) => Some(url.as_str()),
        _ => None,
    });
    let links = answer.links.iter().filter(|link| link.has_rel("next")).map(|link| &*link.target);
    if let Some(lost) = urls.chain(links).map(|link| lost_params(answer, link)).find(|lost| !lost.is_empty()) {
        seen.push(format!("the next link lacks `{}`, which the request has (keep puts it back)", lost.join("`, `")));
    }
    if let (Some(more), Some(says)) = (answer.more(), answer.says_more()) {
        seen.push(format!("`{}` says that there is {}", more.path, if says { "more" } else { "no more" }));
    }
    if let Some(page) = answer.page_number() {
        seen.push(format!("`{}` = {}", page.shown, page.value));
    }
    if let Some((field, value)) = page_numbers::offset_field(answer) {
        seen.push(format!("`{}` = {value}", field.path));
    }
    let asked = answer.asked_pages().chain(answer.asked_offsets());
    seen.extend(asked.map(|(asked, value)| format!("{} = {value} in the request", asked.param)));
    if let Some(total) = answer.named_total(AmbiguousCounts::Allowed) {
        let lone = answer.page_number().is_none() && page_numbers::offset_field(answer).is_none();
        let note = if lone { " but no page or offset field" } else { "" };
        seen.push(format!("`{}` = {}{note}", total.shown, total.value));
    }
    if let (Some(doubt), true) = (doubt, pointers.iter().any(|pointer| !pointer.is_live())) {
        seen.push(format!("{doubt}, so that an empty pointer doesn't end the collection"));
    }
    seen
}
