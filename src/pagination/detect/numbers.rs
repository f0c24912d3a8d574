//! Page numbers and offsets: what the request carried, then what the page says of itself.

use super::names;
use super::params;
use super::reading::{Counts, Reading};
use super::{Candidate, fields::Field};
use crate::pagination::Param;
use crate::pagination::styles::{Advance, Offset, PageNumber};

const PAGE_PARAMS: &[&str] = &["page", "page_number", "pageNumber", "_page", "page[number]"];
const OFFSET_PARAMS: &[&str] = &["offset", "skip", "start", "page[offset]"];
/// A collection that was asked for without a number begins at 0 or 1; any other number means something else.
const FIRST: std::ops::RangeInclusive<u64> = 0..=1;
/// How many parameters are tried for a number that the request did not carry.
const GUESSES: usize = 4;

/// The candidates, those with the request's own parameter first: the upstream is known to take it.
pub(super) fn candidates(reading: &Reading<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    // Who asks for page 7 starts midway, and the plan must know it: the collection itself begins at its first number.
    let first = |asked: u64, first: u64| if FIRST.contains(&asked) { asked } else { first };
    for (asked, start) in reading.asked_pages().map(|(asked, number)| (asked, first(number, 1))) {
        found.push(page(reading, asked.param.clone(), start, "the request's own"));
    }
    for (asked, start) in reading.asked_offsets().map(|(asked, number)| (asked, first(number, 0))) {
        found.push(offset(reading, asked.param.clone(), start, "the request's own"));
    }
    let has_total = reading.total(Counts::Refused).is_some();
    let current = reading.page_number().filter(|_| has_total || reading.total_pages().is_some());
    if let Some(current) = current.filter(|page| FIRST.contains(&page.value) && reading.asked_pages().next().is_none())
    {
        let why = format!("`{}` is the page's number; asked for as", current.shown);
        for param in params::for_number(reading, &current.name, names::is_page, PAGE_PARAMS, GUESSES) {
            found.push(page(reading, param, current.value, &why));
        }
    }
    let own = offset_field(reading).filter(|(_, start)| FIRST.contains(start));
    if let Some((field, start)) = own.filter(|_| reading.asked_offsets().next().is_none()) {
        let why = format!("`{}` is the page's offset; asked for as", field.path);
        for param in params::for_number(reading, field.name, names::is_offset, OFFSET_PARAMS, GUESSES) {
            found.push(offset(reading, param, start, &why));
        }
    }
    found
}

/// The page's own offset: a number that stands beside a page size or a total.
pub(super) fn offset_field<'r>(reading: &'r Reading<'_>) -> Option<(&'r Field<'r>, u64)> {
    let is_beside = |field: &Field<'_>, is: fn(&str) -> bool| {
        let around = |other: &&Field<'_>| {
            other.parent == field.parent && other.path.segments().len() == field.path.segments().len()
        };
        reading.near().filter(around).any(|other| is(other.name) && other.number().is_some())
    };
    reading.near().filter(|field| names::is_offset(field.name)).find_map(|field| {
        let start = field.number()?;
        let sized = is_beside(field, names::is_size);
        let counted = !names::is_common_word(field.name) && reading.total(Counts::Refused).is_some();
        (sized || counted).then_some((field, start))
    })
}

fn page(reading: &Reading<'_>, param: Param, start: u64, why: &str) -> Candidate {
    let why = format!("{why} {param}");
    reading.candidate(PageNumber { param, start, template: None }, Counts::Allowed, why)
}

fn offset(reading: &Reading<'_>, param: Param, start: u64, why: &str) -> Candidate {
    let why = format!("{why} {param}");
    let style = Offset { param, start, step: Advance::Returned, template: None };
    reading.candidate(style, Counts::Allowed, why)
}
