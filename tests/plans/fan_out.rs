//! One walk: pages requested ahead never change the records that come out.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proptest::prelude::*;
use serde_json::json;
use unpage::config::Caps;
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::{Head, PageFields};
use unpage::pagination::plan::{CurrentPageEvent, PageNews, PageSoFar, Plan, Proof, Room, Step};
use unpage::pagination::splitter::{PageShape, Splitter};
use unpage::pagination::{
    Advance, Base, ConsistencyLevel, Cursor, Encode, End, KeyUse, Keyset, LinkHeader, More, NextUrl, Offset, Overlap,
    PageNumber, PageRequest, PageSize, Pagination, Param, Path, RangeHeader, Records, Source, Style, Template, Token,
};
use url::Url;

use crate::crawl::{Crawled, Manner, crawl};
use crate::server::{Manners, Past, Server, Total};

pub(crate) fn path(text: &str) -> Path {
    text.parse().unwrap()
}

pub(crate) fn query(name: &str) -> Param {
    Param::Query(name.to_owned())
}

pub(crate) fn of(style: Style) -> Pagination {
    let mut pagination = Pagination::of(style, Records::at(path("data")));
    pagination.key = Some(path("id"));
    // What pages that share records make of a list is the matter of tests/drift.rs.
    pagination.consistency = Some(ConsistencyLevel::Detect);
    pagination
}

pub(crate) fn cursor() -> Style {
    let token =
        Token { next: vec![Source::Body(path("next"))], param: query("cursor"), from_url_param: None, first: None };
    Style::Cursor(Cursor { tokens: vec![token], ..Cursor::default() })
}

pub(crate) fn keyset(overlap: Overlap) -> Style {
    Style::Keyset(Keyset {
        key: vec![path("id")],
        param: query("after"),
        encode: Encode::Plain,
        overlap,
        usage: KeyUse::Compared,
    })
}

pub(crate) fn page_from(start: u64) -> Style {
    Style::Page(PageNumber { param: query("page"), start, template: None })
}

pub(crate) fn offset_from(start: u64) -> Style {
    Style::Offset(Offset { param: query("offset"), start, step: Advance::Returned, template: None })
}

pub(crate) fn sized(mut pagination: Pagination, value: u64) -> Pagination {
    pagination.page_size = Some(PageSize { param: Some(query("limit")), value: Some(value), max: None });
    pagination
}

/// The server's statement about all records is read.
pub(crate) fn says(pagination: &mut Pagination, total: Total) {
    let last_link = |start| Source::LastLink { param: "page".to_owned(), start };
    match (total, &pagination.style) {
        (Total::None, _) => {}
        (Total::Records | Total::Unfiltered, _) => pagination.total = Some(Source::Body(path("total"))),
        (Total::Header, _) => pagination.total = Some(Source::Header(HeaderName::from_static("x-total-count"))),
        (Total::Pages, _) => pagination.total_pages = Some(Source::Body(path("pages"))),
        (Total::LastLink, Style::Page(PageNumber { start, .. })) => pagination.total_pages = Some(last_link(*start)),
        (Total::LastLink, _) => pagination.total_pages = Some(last_link(0)),
    }
}

/// A style whose pages are numbered, whether its step is the page size, and whether it has a template.
fn numbered() -> impl Strategy<Value = Style> {
    let template = |text: &str| Some(Template(text.to_owned()));
    prop_oneof![
        (0..2_u64).prop_map(page_from),
        (0..2_u64).prop_map(move |start| Style::Page(PageNumber {
            param: query("page"),
            start,
            template: template("p{page}")
        })),
        (0..2_u64).prop_map(offset_from),
        Just(Style::Offset(Offset { param: query("offset"), start: 0, step: Advance::PageSize, template: None })),
        Just(Style::Offset(Offset {
            param: query("offset"),
            start: 0,
            step: Advance::Returned,
            template: Some(Template("{offset},{limit}".to_owned())),
        })),
        (1..12_u64).prop_map(|size| Style::Range(RangeHeader { unit: "items".to_owned(), size })),
    ]
}

fn pointing() -> impl Strategy<Value = Style> {
    prop_oneof![
        Just(Style::LinkHeader(LinkHeader { rel: "next".to_owned(), attribute: None })),
        Just(Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request })),
        Just(cursor()),
        Just(keyset(Overlap::None)),
        Just(keyset(Overlap::First)),
    ]
}

pub(crate) fn manner() -> impl Strategy<Value = Manner> {
    let widens = prop_oneof![3 => Just(0), 1 => Just(9_usize)];
    let interrupts = prop_oneof![3 => Just(0), 1 => Just(1), 2 => 2..8_usize];
    let breaks = prop_oneof![Just(0), Just(12_usize)];
    (1..=32_usize, any::<u64>(), 0..4_usize, breaks, widens, interrupts).prop_map(
        |(width, seed, full, breaks, widens, interrupts)| Manner {
            full,
            breaks,
            widens,
            interrupts,
            seed,
            ..Manner::of(width)
        },
    )
}

prop_compose! {
    /// 0, 1, exactly this many pages, or a few more records.
    fn server(style: impl Strategy<Value = Style> + 'static, totals: Vec<Total>)(
        style in style,
        clamp in 2..8_u64,
        odd in prop_oneof![Just(0), Just(1), 0..60_u64],
        pages in 0..7_u64,
        past in prop_oneof![Just(Past::Empty), Just(Past::NotFound), Just(Past::LastAgain)],
        short_pages in prop_oneof![Just(0), 2..5_u64],
        records_last in any::<bool>(),
        total in prop::sample::select(totals.clone()),
    ) -> Server {
        let records = if pages > 0 { pages * clamp } else { odd };
        let manners = Manners { past, short_pages, records_last };
        Server { manners, total, ..Server::of(style, records, clamp) }
    }
}

fn walk(server: &Server, pagination: &Pagination, manner: Manner) -> Crawled {
    crawl(pagination, server.first(), manner, |request| server.answer(request))
}

const TOTALS: [Total; 5] = [Total::None, Total::Records, Total::Header, Total::Pages, Total::LastLink];

fn is_offset(style: &Style) -> bool {
    matches!(style, Style::Offset(_) | Style::Range(_))
}

/// Pagination of this server.
fn pagination_of(server: &mut Server, size: Option<u64>) -> Pagination {
    let by_size = matches!(
        &server.style,
        Style::Offset(Offset { step: Advance::PageSize, .. }) | Style::Offset(Offset { template: Some(_), .. })
    );
    let size = if by_size { Some(size.unwrap_or(server.clamp).min(server.clamp)) } else { size };
    if matches!(&server.style, Style::Offset(Offset { step: Advance::PageSize, .. }))
        || server.manners.past == Past::LastAgain
    {
        server.manners.short_pages = 0;
    }
    if is_offset(&server.style) && matches!(server.total, Total::LastLink) {
        server.total = Total::None;
    }
    // Content-Range says the total itself, or doesn't.
    if matches!(&server.style, Style::Range(_)) && server.total != Total::Records {
        server.total = Total::None;
    }
    // A number of pages means nothing where some are short.
    if server.manners.short_pages > 0 && matches!(server.total, Total::Pages | Total::LastLink) {
        server.total = Total::Records;
    }
    let mut pagination = of(server.style.clone());
    if let Some(size) = size {
        pagination = sized(pagination, size);
    }
    if !matches!(server.style, Style::Range(_)) {
        says(&mut pagination, server.total);
    }
    if server.manners.past == Past::NotFound {
        pagination.end = End::from(StatusCode::NOT_FOUND);
    }
    pagination
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_are_asked_ahead_and_leave_in_order(
        mut server in server(numbered(), TOTALS.to_vec()),
        size in prop::option::of(2..12_u64),
        manner in manner(),
    ) {
        let pagination = pagination_of(&mut server, size);
        let crawled = walk(&server, &pagination, manner);
        let all = server.ids();
        prop_assert!(crawled.ids == all || crawled.end.is_err(), "{:?}: {:?}", crawled.end, crawled.ids);
        prop_assert!(all.starts_with(&crawled.ids), "{:?}", crawled.ids);
        // One page after the other has the same end, and is the last word on how many requests are needed.
        let one = walk(&server, &pagination, Manner::of(1));
        prop_assert_eq!(format!("{:?}", crawled.end), format!("{:?}", one.end));
        let provable = server.manners.past != Past::LastAgain;
        prop_assert!(!provable || one.end.is_ok(), "{:?}", one.end);
        if manner.widens == 0 && crawled.end.is_ok() {
            prop_assert!(crawled.requests <= one.requests + crawled.wasted + crawled.lost, "{} of {}", crawled.requests, one.requests);
            // Short offset pages put the guesses off again and again.
            let even = server.manners.short_pages == 0 || !is_offset(&server.style);
            prop_assert!(!even || one.wasted == 0, "{} are wasted page by page", one.wasted);
            // After an interruption the results of the last guesses are not known.
            let even = even && manner.interrupts == 0;
            prop_assert!(!even || crawled.wasted <= manner.width, "{} are wasted", crawled.wasted);
            let is_told = server.total != Total::None && even && server.manners.past != Past::LastAgain;
            prop_assert!(!is_told || crawled.wasted <= 1, "{} are wasted", crawled.wasted);
        }
    }

    #[test]
    fn pages_that_point_to_each_other_come_one_after_the_other(
        mut server in server(pointing(), vec![Total::None, Total::Records, Total::Header]),
        size in prop::option::of(2..12_u64),
        manner in manner(),
        with_more in any::<bool>(),
    ) {
        if matches!(server.style, Style::Keyset(_)) {
            server.manners.short_pages = 0;
        }
        let mut pagination = pagination_of(&mut server, size);
        pagination.end = End::Style;
        if with_more {
            pagination.more = Some(More { path: path("has_more"), while_: json!(true) });
        }
        let crawled = walk(&server, &pagination, manner);
        prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        prop_assert_eq!(crawled.ids, server.ids());
        prop_assert_eq!(crawled.wasted, 0);
    }
}

#[test]
fn a_plain_collection_is_asked_for_as_wide_as_allowed() {
    for style in [page_from(1), offset_from(0), Style::Range(RangeHeader { unit: "items".to_owned(), size: 5 })] {
        for total in [Total::None, Total::Records] {
            let server = Server { total, ..Server::of(style.clone(), 200, 5) };
            let mut pagination = sized(of(style.clone()), 5);
            if !matches!(style, Style::Range(_)) {
                says(&mut pagination, total);
            }
            let crawled = walk(&server, &pagination, Manner::of(6));
            assert!(crawled.end.is_ok(), "{:?}", crawled.end);
            assert_eq!(crawled.ids, server.ids());
            assert_eq!(crawled.most, 6, "{style:?} {total:?}");
            let (needed, spare) = if total == Total::None { (41, 6) } else { (41, 0) };
            assert!(crawled.requests <= needed + spare, "{} requests for {style:?} {total:?}", crawled.requests);
        }
    }
}

/// Pages past the end come in any order: one that says so is enough, wherever it stands.
#[test]
fn no_more_than_the_width_is_asked_for_past_the_end() {
    for style in [page_from(0), offset_from(0), Style::Range(RangeHeader { unit: "items".to_owned(), size: 2 })] {
        for (seed, records) in (0..60).zip([2, 3, 8].into_iter().cycle()) {
            let server = Server::of(style.clone(), records, 3);
            let crawled = walk(&server, &of(style.clone()), Manner { seed, ..Manner::of(8) });
            assert_eq!((crawled.ids, crawled.end.is_ok()), (server.ids(), true));
            assert!(crawled.wasted <= 8, "{} of {} are wasted: {style:?}", crawled.wasted, crawled.requests);
        }
    }
}

#[test]
fn guesses_become_rare_where_one_after_the_other_is_wrong() {
    let manners = Manners { short_pages: 3, ..Manners::default() };
    let server = Server { manners, total: Total::Records, ..Server::of(offset_from(0), 2_000, 5) };
    let mut pagination = sized(of(offset_from(0)), 5);
    says(&mut pagination, Total::Records);
    let crawled = walk(&server, &pagination, Manner::of(6));
    assert_eq!((crawled.ids, crawled.end.is_ok()), (server.ids(), true));
    assert!(10 * crawled.wasted < crawled.requests, "{} of {} are wasted", crawled.wasted, crawled.requests);
}

#[test]
fn one_page_is_one_page() {
    let server = Server { total: Total::None, ..Server::of(Style::SINGLE, 3, 5) };
    let crawled = walk(&server, &of(Style::SINGLE), Manner::of(6));
    assert_eq!((crawled.ids, crawled.end.unwrap(), crawled.requests), (vec![0, 1, 2], Proof::SinglePage, 1));
}

#[test]
fn a_further_attempt_at_a_page_leads_where_its_own_head_says() {
    let style = LinkHeader { rel: "next".to_owned(), attribute: None };
    let pagination = Pagination::of(style.into(), Records::at(Path::root()));
    let url: Url = "http://api.example/list".parse().unwrap();
    let head = |page: u64| {
        let link = HeaderValue::from_str(&format!("<?page={page}>; rel=next")).unwrap();
        let headers = HeaderMap::from_iter([(header::LINK, link)]);
        Arc::new(Head { status: StatusCode::OK, headers, url: url.clone() })
    };
    let (guard, first) = (LinkGuard::new(&url, &[]), PageRequest::get(url.clone()));
    let shape = Arc::new(PageShape::new(&pagination, &Caps::default()));
    let mut plan = Plan::new(Arc::new(pagination), Caps::default(), guard, first, 2, SystemTime::UNIX_EPOCH).unwrap();
    let asked = |plan: &mut Plan| loop {
        match plan.step(Room::Open).unwrap() {
            Step::Emit(_) => {}
            Step::Fetch(page, request) => return (page, request.url.query().unwrap_or_default().to_owned()),
            other => panic!("{other:?}"),
        }
    };
    let (page, _) = asked(&mut plan);
    let (broken, whole, fields) = (head(2), head(3), PageFields::default());
    plan.note(page, PageNews::SoFar(PageSoFar { head: &broken, fields: &fields, records: 0 }));
    plan.accept(page, CurrentPageEvent::Begun(&broken)).unwrap();
    assert_eq!(asked(&mut plan).1, "page=2");
    plan.accept(page, CurrentPageEvent::Begun(&whole)).unwrap();
    let mut splitter = Splitter::new(shape);
    splitter.feed(b"[{\"id\":1}]").unwrap();
    plan.accept(page, CurrentPageEvent::Whole(&whole, splitter.finish().unwrap())).unwrap();
    assert_eq!(asked(&mut plan).1, "page=3");
}

#[test]
fn a_wide_crawl_asks_for_few_pages_past_an_end_that_no_count_names() {
    for style in [page_from(1), offset_from(0)] {
        for pages in [3, 40] {
            let server = Server::of(style.clone(), pages * 5, 5);
            let past = |guesses: usize| {
                let crawled = walk(&server, &sized(of(style.clone()), 5), Manner { guesses, ..Manner::of(64) });
                crawled.end.unwrap();
                assert_eq!(crawled.ids, server.ids());
                crawled.requests - pages as usize
            };
            let (bounded, free) = (past(6), past(usize::MAX));
            assert!(bounded <= 6 && free > 6, "{pages} pages: {bounded} requests past the end, {free} without a bound");
        }
        // A count says how many there are.
        let mut counted = sized(of(style.clone()), 5);
        says(&mut counted, Total::Records);
        let server = Server { total: Total::Records, ..Server::of(style, 100 * 5, 5) };
        let crawled = walk(&server, &counted, Manner { guesses: 6, ..Manner::of(64) });
        assert!(crawled.end.is_ok() && crawled.most > 32, "{}", crawled.most);
    }
}
