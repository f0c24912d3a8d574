//! Records that come twice: each leaves once, and a clean end doesn't hide what a double shows.

use std::collections::BTreeSet;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use unpage::pagination::page::Head;
use unpage::pagination::request::{PageRequest, query_value};
use unpage::pagination::verdict::Consistency;
use unpage::pagination::{OnDouble, PageError, Pagination, Source, Style};
use url::Url;

use crate::crawl::{Crawled, Manner, crawl};
use crate::fan_out::{cursor, of, offset_from, path};
use crate::server::{Answer, ORIGIN};

/// Version of a record, which is part of its bytes.
type Page = Vec<(u64, u64)>;

fn page(ids: &[u64]) -> Page {
    ids.iter().map(|id| (*id, 0)).collect()
}

/// Crawls these pages, and behind the last of numbered ones an empty one.
fn read(style: Style, on_double: OnDouble, pages: &[Page], total: Option<[usize; 2]>, manner: Manner) -> Crawled {
    let mut pagination = Pagination { on_double, ..of(style) };
    pagination.total = total.map(|_| Source::Body(path("total")));
    let first = PageRequest::get(Url::parse(&format!("{ORIGIN}/list")).unwrap());
    crawl(&pagination, first, manner, |request| {
        let number = |name: &str| query_value(&request.url, name).and_then(|text| text.parse::<usize>().ok());
        // A guess may lie between two pages.
        let at = match number("offset") {
            Some(offset) => (0..=pages.len()).find(|at| pages[..*at].iter().map(Vec::len).sum::<usize>() == offset),
            None => Some(number("cursor").unwrap_or(0)),
        };
        let records: Vec<Value> = at
            .and_then(|at| pages.get(at))
            .into_iter()
            .flatten()
            .map(|(id, version)| json!({"id": id, "version": version}))
            .collect();
        let next = at.map(|at| at + 1).filter(|next| *next < pages.len()).map(|next| next.to_string());
        let body = json!({"data": records, "next": next, "total": total.map(|[first, later]| if at == Some(0) { first } else { later })}).to_string();
        Answer {
            head: Head {
                status: if at.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND },
                headers: HeaderMap::new(),
                url: request.url.clone(),
            },
            body,
        }
    })
}

/// The same where doubles break the stream, at a width of 1.
fn strictly(style: Style, pages: &[Page]) -> Result<Vec<u64>, PageError> {
    let crawled = read(style, OnDouble::Fail, pages, None, Manner::of(1));
    crawled.end.map(|_| crawled.ids)
}

#[test]
fn pages_that_overlap_are_one_list() {
    let pages = [page(&[1, 2, 3, 4]), page(&[4, 5, 6]), page(&[5, 6, 7]), page(&[7])];
    for (style, interrupts) in [(cursor(), 0), (cursor(), 1), (offset_from(0), 0), (offset_from(0), 1)] {
        // A total counts the three records that pushed others into the numbered pages.
        let total = if style.is_numbered() { [7, 11] } else { [7, 7] };
        let manner = Manner { interrupts, ..Manner::of(1) };
        let crawled = read(style, OnDouble::Fail, &pages, Some(total), manner);
        assert_eq!(crawled.ids, [1, 2, 3, 4, 5, 6, 7]);
        crawled.end.unwrap();
        assert!(matches!(crawled.consistency, Some(Consistency::Unverified { .. })), "{:?}", crawled.consistency);
    }
}

#[test]
fn a_total_that_counts_other_records_than_those_that_were_inserted_is_an_error() {
    let pages = [page(&[1, 2, 3, 4]), page(&[4, 5, 6]), page(&[7])];
    for total in [[7, 7], [7, 8]] {
        let crawled = read(offset_from(0), OnDouble::Fail, &pages, Some(total), Manner::of(1));
        assert!(crawled.end.is_ok(), "{total:?}: {:?}", crawled.end);
    }
    // A total that did not grow counts a record that no page had.
    for total in [[7, 9], [8, 8]] {
        let wrong = read(offset_from(0), OnDouble::Fail, &pages, Some(total), Manner::of(1)).end.unwrap_err();
        let is_told = matches!(wrong, PageError::TotalDisagrees { records: 7, total: last } if last == total[1] as u64);
        assert!(is_told, "{total:?}: {wrong}");
    }
}

#[test]
fn an_order_that_is_none_is_named() {
    // Equal sort values come in another order on each page.
    let pages = [page(&[1, 2, 3]), page(&[4, 2, 5]), page(&[6, 7])];
    for style in [cursor(), offset_from(0)] {
        let told = strictly(style.clone(), &pages).unwrap_err();
        assert!(matches!(&told, PageError::NoOrder { key } if key == "2"), "{told}");
        let crawled = read(style, OnDouble::Drop, &pages, None, Manner::of(1));
        assert_eq!(crawled.ids, [1, 2, 3, 4, 5, 6, 7]);
        assert!(matches!(crawled.consistency, Some(Consistency::Moved { .. })), "{:?}", crawled.consistency);
    }
}

#[test]
fn a_record_with_other_bytes_is_no_copy() {
    let pages = [vec![(1, 0), (2, 0)], vec![(2, 1), (3, 0)]];
    let told = strictly(cursor(), &pages).unwrap_err();
    assert!(matches!(&told, PageError::DoubleChanged { key } if key == "2"), "{told}");
}

/// Returns true if each double is one that shows nothing: of a record that left with its page, or in a run at the page's start that is the end of
/// what came.
fn shows_nothing(pages: &[Page]) -> bool {
    let mut left = Page::new();
    for page in pages {
        let begun = left.len();
        let overlap = (1..=begun).find(|length| page.starts_with(&left[begun - length..]));
        // A page may end inside of its overlap.
        let inside = (0..begun).find(|start| left[*start..].starts_with(page));
        let skipped = overlap.max(inside.map(|_| page.len())).unwrap_or(0);
        for record in &page[skipped..] {
            match left.iter().position(|first| first.0 == record.0) {
                Some(first) if first < begun || left[first] != *record => return false,
                Some(_) => {}
                None => left.push(*record),
            }
        }
    }
    true
}

fn pages() -> impl Strategy<Value = Vec<Page>> {
    let scattered = prop::collection::vec(prop::collection::vec((0..60_u64, 0..10_u64), 1..8), 1..7);
    let scattered = scattered.prop_map(|pages| {
        // Most records keep their bytes.
        let keep = |page: Page| page.into_iter().map(|(id, version)| (id, version / 9)).collect();
        pages.into_iter().map(keep).collect()
    });
    let overlapping = prop::collection::vec((1..8_u64, 0..3_u64), 1..7).prop_map(|lengths| {
        let mut end = 0_u64;
        let window = |(length, back): (u64, u64)| {
            let start = end.saturating_sub(back);
            end = (start + length).max(end + 1);
            page(&(start..end).collect::<Vec<_>>())
        };
        lengths.into_iter().map(window).collect()
    });
    prop_oneof![scattered, overlapping]
}

proptest! {
    #[test]
    fn each_record_leaves_once_and_a_double_that_shows_something_is_told(
        pages in pages(),
        is_numbered in any::<bool>(),
        interrupts in 0..3_usize,
        width in prop::sample::select(vec![1_usize, 4]),
    ) {
        let style = if is_numbered { offset_from(0) } else { cursor() };
        let manner = Manner { interrupts, ..Manner::of(width) };
        let mut seen = BTreeSet::new();
        let distinct: Vec<u64> = pages.iter().flatten().map(|record| record.0).filter(|id| seen.insert(*id)).collect();
        let shows_nothing = shows_nothing(&pages);
        let dropping = read(style.clone(), OnDouble::Drop, &pages, None, manner);
        match dropping.end {
            Ok(_) => {
                prop_assert_eq!(&dropping.ids, &distinct);
                let is_moved = matches!(dropping.consistency, Some(Consistency::Moved { .. }));
                prop_assert_eq!(is_moved, !shows_nothing, "{:?}", dropping.consistency);
            }
            Err(PageError::Repeat { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
        let failing = read(style, OnDouble::Fail, &pages, None, manner);
        match failing.end {
            Ok(_) => prop_assert!(shows_nothing && failing.ids == distinct),
            Err(PageError::Repeat { .. }) => {}
            Err(PageError::NoOrder { .. } | PageError::DoubleChanged { .. }) => {
                prop_assert!(!shows_nothing && distinct.starts_with(&failing.ids));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
