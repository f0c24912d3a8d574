//! Upstreams that fail at large pages, and what they may make of small ones: what comes out is the collection or an error.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use unpage::config::Caps;
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::Head;
use unpage::pagination::plan::{CurrentPageEvent, PageId, Plan, Room, Step};
use unpage::pagination::request::{PageRequest, set_query};
use unpage::pagination::retry::{Halvable, Overload};
use unpage::pagination::{Advance, End, Offset, Overlap, PageError, Pagination, Style};

use crate::crawl::{Crawled, Manner, crawl};
use crate::fan_out::{cursor, keyset, manner, of, offset_from, page_from, query, says, sized};
use crate::server::{Answer, Manners, ORIGIN, Past, Server, Total, number, page, refusal};

/// Treatment of the requested page size by an upstream.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    AsAsked,
    Ignored,
    /// The next smaller multiple, which may be none at all.
    Down(u64),
    /// The same, and at least one record.
    DownToOne(u64),
    Up(u64),
}

impl Sizes {
    fn of(self, asked: u64) -> u64 {
        match self {
            Self::AsAsked => asked,
            Self::Ignored => 20,
            Self::Down(step) => asked / step * step,
            Self::DownToOne(step) => (asked / step * step).max(1),
            Self::Up(step) => asked.div_ceil(step) * step,
        }
    }

    fn answer(self, server: &Server, request: &PageRequest) -> Answer {
        match self.of(limit(request)) {
            0 => page(request, &json!({"data": []})),
            size => {
                let mut request = request.clone();
                set_query(&mut request.url, "limit", &size.to_string());
                server.answer(&request)
            }
        }
    }
}

fn limit(request: &PageRequest) -> u64 {
    number(request, "limit").unwrap()
}

fn by_page_size() -> Style {
    Style::Offset(Offset { param: query("offset"), start: 0, step: Advance::PageSize, template: None })
}

fn records_in(answer: &Answer) -> u64 {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["data"].as_array().map_or(0, Vec::len) as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crawl_that_fails_at_large_pages_is_complete_or_broken(
        style in prop_oneof![
            3 => Just(offset_from(0)),
            2 => Just(keyset(Overlap::None)),
            1 => Just(keyset(Overlap::First)),
            1 => Just(page_from(0)),
            1 => Just(by_page_size()),
        ],
        sizes in prop_oneof![
            3 => Just(Sizes::AsAsked),
            1 => Just(Sizes::Ignored),
            1 => (2..9_u64).prop_map(Sizes::Down),
            1 => (2..9_u64).prop_map(Sizes::DownToOne),
            1 => (2..9_u64).prop_map(Sizes::Up),
        ],
        past in prop_oneof![Just(Past::Empty), Just(Past::NotFound), Just(Past::LastAgain)],
        total in prop::sample::select(vec![Total::None, Total::Records, Total::Pages]),
        records in 0..150_u64,
        size in 2..21_u64,
        bears in 1..20_u64,
        good in 0..4_usize,
        outage in 0..12_usize,
        manner in manner(),
    ) {
        let server = Server { manners: Manners { past, ..Manners::default() }, total, ..Server::of(style.clone(), records, 100) };
        let mut pagination = sized(of(style.clone()), size);
        says(&mut pagination, total);
        if past == Past::NotFound {
            pagination.end = End::from(StatusCode::NOT_FOUND);
        }
        let well = crawl(&pagination, server.first(), Manner::of(1), |request| sizes.answer(&server, request));
        let mut asked = 0;
        let crawled = crawl(&pagination, server.first(), manner, |request| {
            asked += 1;
            let answer = sizes.answer(&server, request);
            let is_too_much = asked > good && records_in(&answer) > bears;
            let is_out = (good..good + outage).contains(&asked);
            if is_too_much || is_out { refusal(request, 502) } else { answer }
        });
        let all = server.ids();
        // Of an upstream that lies when it is well, too, more or less has left when that is found out.
        let lies = well.end.is_err() && crawled.end.is_err();
        let is_start = all.starts_with(&crawled.ids) || well.ids.starts_with(&crawled.ids);
        prop_assert!(lies || is_start, "{:?} {:?}", crawled.ids, crawled.end);
        // An upstream may lie without failing, too.
        prop_assert!(crawled.end.is_err() || crawled.ids == all || well.end.is_ok() && crawled.ids == well.ids, "{:?} {:?}", crawled.ids, crawled.end);
        let is_by_what_came = style == offset_from(0) || style == keyset(Overlap::None);
        if is_by_what_came && outage == 0 && matches!(sizes, Sizes::AsAsked) && past != Past::LastAgain {
            prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        }
    }
}

/// A crawl page by page, and the sizes that it asked for.
fn walk(pagination: &Pagination, server: &Server, answer: impl Fn(&PageRequest) -> Answer) -> (Crawled, Vec<u64>) {
    let asked = RefCell::new(Vec::new());
    let crawled = crawl(pagination, server.first(), Manner::of(1), |request| {
        asked.borrow_mut().push(limit(request));
        answer(request)
    });
    (crawled, asked.into_inner())
}

#[test]
fn pages_are_halved_only_where_the_next_address_follows_from_the_records() {
    let mut ends_short = sized(of(offset_from(0)), 10);
    ends_short.end = End::ShortPage;
    let others = [page_from(0), page_from(1), by_page_size(), keyset(Overlap::First), cursor()];
    let others = others.into_iter().map(|style| sized(of(style), 10)).chain([ends_short]);
    for pagination in others {
        let server = Server::of(pagination.style.clone(), 60, 100);
        let count = Cell::new(0);
        let (crawled, sizes) = walk(&pagination, &server, |request| {
            count.set(count.get() + 1);
            if count.get() == 3 { refusal(request, 502) } else { server.answer(request) }
        });
        assert!(matches!(crawled.end, Err(PageError::Status { status, .. }) if status == 502), "{:?}", crawled.end);
        assert_eq!(sizes, [10, 10, 10], "{:?}", pagination.style);
        assert!(!crawled.ids.is_empty() && server.ids().starts_with(&crawled.ids), "{:?}", crawled.ids);
    }
}

#[test]
fn after_a_short_outage_pages_grow_back() {
    for style in [offset_from(0), keyset(Overlap::None)] {
        let server = Server::of(style.clone(), 400, 100);
        let count = Cell::new(0);
        let (crawled, mut sizes) = walk(&sized(of(style.clone()), 40), &server, |request| {
            count.set(count.get() + 1);
            if (3..8).contains(&count.get()) { refusal(request, 502) } else { server.answer(request) }
        });
        assert_eq!((&crawled.ids, crawled.end.is_ok()), (&server.ids(), true));
        // What was guessed before the first larger page is used.
        assert!(crawled.wasted <= 1, "{} are wasted", crawled.wasted);
        let of_size = |size| sizes.iter().filter(|asked| **asked == size).count();
        assert!([1, 4, 8].into_iter().all(|size| (8..16).contains(&of_size(size))), "{style:?}: {sizes:?}");
        sizes.dedup();
        assert!(sizes.starts_with(&[40, 20, 10, 5, 2, 1, 2, 4, 8, 16]), "{style:?}: {sizes:?}");
    }
}

#[test]
fn larger_pages_that_fail_are_tried_less_and_less_often() {
    let server = Server::of(offset_from(0), 500, 100);
    let (crawled, sizes) = walk(&sized(of(offset_from(0)), 10), &server, |request| {
        let answer = server.answer(request);
        if records_in(&answer) > 6 { refusal(request, 500) } else { answer }
    });
    assert_eq!((crawled.ids, crawled.end.is_ok()), (server.ids(), true));
    // How many good pages there were before each attempt at larger ones, the last of which confirms the end.
    let good: Vec<_> = sizes.split(|size| *size == 10).map(<[u64]>::len).collect();
    assert!(good.len() == 6 && good[1] >= 8 && good[2] >= 16 && good[3] >= 32 && good[5] == 0, "{good:?}");
}

#[test]
fn a_smaller_page_without_records_ends_nothing() {
    // The upstream cuts a page and then leaves out what the client may not see: 20 of 60 in a row.
    for end in [End::EmptyPage, End::from(StatusCode::NOT_FOUND)] {
        let mut pagination = sized(of(keyset(Overlap::None)), 40);
        pagination.end = end.clone();
        let server = Server::of(pagination.style.clone(), 60, 100);
        let count = Cell::new(0);
        let seen = |id: &Value| !(20..40).contains(&id["id"].as_u64().unwrap());
        let (crawled, sizes) = walk(&pagination, &server, |request| {
            count.set(count.get() + 1);
            let mut answer = server.answer(request);
            let mut body: Value = serde_json::from_str(&answer.body).unwrap();
            body["data"].as_array_mut().unwrap().retain(seen);
            answer.body = body.to_string();
            match &end {
                End::Status(_) if body["data"] == json!([]) => refusal(request, 404),
                _ if count.get() == 1 => refusal(request, 504),
                _ => answer,
            }
        });
        let visible: Vec<_> = (0..20).chain(40..60).collect();
        assert_eq!((crawled.ids, crawled.end.is_ok(), sizes), (visible, true, vec![40, 20, 20, 40, 40]));
    }
}

#[test]
fn a_number_of_pages_means_nothing_where_their_sizes_differ() {
    for told in [Total::Pages, Total::Records] {
        let mut pagination = sized(of(offset_from(0)), 10);
        says(&mut pagination, told);
        let server = Server { total: told, ..Server::of(offset_from(0), 60, 100) };
        let count = Cell::new(0);
        let (crawled, _) = walk(&pagination, &server, |request| {
            count.set(count.get() + 1);
            if count.get() == 3 { refusal(request, 500) } else { server.answer(request) }
        });
        assert_eq!((crawled.ids, crawled.end.is_ok()), (server.ids(), true));
    }
}

#[test]
fn an_upstream_that_ignores_the_offset_is_found_out_in_another_size() {
    let server = Server::of(offset_from(0), 60, 100);
    let count = Cell::new(0);
    let (crawled, _) = walk(&sized(of(offset_from(0)), 10), &server, |request| {
        count.set(count.get() + 1);
        let mut request = request.clone();
        set_query(&mut request.url, "offset", "0");
        if count.get() == 2 { refusal(&request, 502) } else { server.answer(&request) }
    });
    assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })), "{:?}", crawled.end);
    assert_eq!(crawled.ids.len(), 10);
}

/// The page that is asked for next, and its size.
fn next(plan: &mut Plan) -> (PageId, u64) {
    loop {
        match plan.step(Room::Open).unwrap() {
            Step::Emit(_) => {}
            Step::Fetch(page, request) => return (page, limit(&request)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_page_that_has_begun_is_not_asked_for_in_another_size() {
    let mut pagination = sized(of(offset_from(0)), 10);
    pagination.end = End::from(StatusCode::NOT_FOUND);
    let guard = LinkGuard::new(&ORIGIN.parse().unwrap(), &[]);
    let first = Server::of(offset_from(0), 0, 1).first();
    let url = first.url.clone();
    let pagination = Arc::new(pagination);
    let mut plan = Plan::new(pagination, Caps::default(), guard, first, 1, SystemTime::UNIX_EPOCH).unwrap();
    let (page, size) = next(&mut plan);
    assert_eq!((plan.traits_of(page).halvable, size), (Halvable::Yes, 10));
    assert!(!plan.gave_up(page, Overload::No));
    assert!(plan.gave_up(page, Overload::Likely));
    let (page, size) = next(&mut plan);
    assert_eq!(size, 5);
    let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url };
    plan.accept(page, CurrentPageEvent::Begun(&head)).unwrap();
    assert!(!plan.gave_up(page, Overload::Likely));
}
