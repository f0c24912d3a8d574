//! Page numbers and offsets: from the request, then from the page.

use super::first_page::{AmbiguousCounts, FirstPage};
use super::member_names;
use super::token_param;
use super::{Candidate, page_members::OuterField};
use crate::pagination::Param;
use crate::pagination::styles::{Advance, Offset, PageNumber};

const PAGE_PARAMS: &[&str] = &["page", "page_number", "pageNumber", "_page", "page[number]"];
const OFFSET_PARAMS: &[&str] = &["offset", "skip", "start", "page[offset]"];
/// First numbers of a collection that was requested without a number; another number means something else.
const FIRST: std::ops::RangeInclusive<u64> = 0..=1;
/// Number of parameters that are tried for a number that the request doesn't have.
const GUESSES: usize = 4;

/// Candidates, those with the request's own parameter first: the upstream is known to accept it.
pub(super) fn candidates(answer: &FirstPage<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    // A request for page 7 starts midway, and the plan must know it: the collection itself begins at its first number.
    let first = |asked: u64, first: u64| if FIRST.contains(&asked) { asked } else { first };
    for (asked, start) in answer.asked_pages().map(|(asked, number)| (asked, first(number, 1))) {
        found.push(page(answer, asked.param.clone(), start, "the request's own"));
    }
    for (asked, start) in answer.asked_offsets().map(|(asked, number)| (asked, first(number, 0))) {
        found.push(offset(answer, asked.param.clone(), start, "the request's own"));
    }
    let has_total = answer.named_total(AmbiguousCounts::Refused).is_some();
    let has_end = has_total || answer.named_pages().is_some() || answer.says_more().is_some();
    let current = answer.page_number().filter(|_| has_end);
    if let Some(current) = current.filter(|page| FIRST.contains(&page.value) && answer.asked_pages().next().is_none()) {
        let why = format!("`{}` is the page's number; asked for as", current.shown);
        for param in token_param::for_number(answer, &current.name, member_names::is_page, PAGE_PARAMS, GUESSES) {
            found.push(page(answer, param, current.value, &why));
        }
    }
    let own = offset_field(answer).filter(|(_, start)| FIRST.contains(start));
    if let Some((field, start)) = own.filter(|_| answer.asked_offsets().next().is_none()) {
        let why = format!("`{}` is the page's offset; asked for as", field.path);
        for param in token_param::for_number(answer, field.name, member_names::is_offset, OFFSET_PARAMS, GUESSES) {
            found.push(offset(answer, param, start, &why));
        }
    }
    found
}

/// The page's offset: a number beside a page size or a total.
pub(super) fn offset_field<'r>(answer: &'r FirstPage<'_>) -> Option<(&'r OuterField<'r>, u64)> {
    let is_beside = |field: &OuterField<'_>, is: fn(&str) -> bool| {
        let around = |other: &&OuterField<'_>| {
            other.parent == field.parent && other.path.segments().len() == field.path.segments().len()
        };
        answer.near().filter(around).any(|other| is(other.name) && other.number().is_some())
    };
    answer.near().filter(|field| member_names::is_offset(field.name)).find_map(|field| {
        let start = field.number()?;
        let sized = is_beside(field, member_names::is_size);
        let counted =
            !member_names::is_common_word(field.name) && answer.named_total(AmbiguousCounts::Refused).is_some();
        (sized || counted).then_some((field, start))
    })
}

fn page(answer: &FirstPage<'_>, param: Param, start: u64, why: &str) -> Candidate {
    let why = format!("{why} {param}");
    answer.candidate(PageNumber { param, start, template: None }, AmbiguousCounts::Allowed, why)
}

fn offset(answer: &FirstPage<'_>, param: Param, start: u64, why: &str) -> Candidate {
    let why = format!("{why} {param}");
    let style = Offset { param, start, step: Advance::Returned, template: None };
    answer.candidate(style, AmbiguousCounts::Allowed, why)
}
