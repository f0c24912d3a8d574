// Ends that something in the answers contradicts. Included into `tests/model.rs`: it shares that file's server and crawl.

fn link_header() -> Pagination {
    of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }))
}

fn linked(links: &str) -> Answer {
    Answer { status: 200, headers: vec![("link", links.to_owned())], body: json!({"data": data(0..2)}) }
}

/// Answers to range requests: status, `Content-Range` and the records' ids.
fn ranges(answers: &[(u16, &'static str, std::ops::Range<u64>)]) -> Crawled {
    let pagination = of(Style::Range(RangeHeader { unit: "items".into(), size: 2 }));
    let mut answers = answers.iter();
    crawl(&pagination, |_| {
        let (status, range, ids) = answers.next().expect("no more was to be asked for").clone();
        Answer { status, headers: vec![("content-range", range.to_owned())], body: json!({"data": data(ids)}) }
    })
}

#[test]
fn a_range_never_ends_against_the_upstreams_own_total() {
    let first = (206, "items 0-1/10", 0..2);
    let unknown = (206, "items 0-1/*", 0..2);
    let lies = [
        vec![first.clone(), (416, "items */10", 0..0)],
        vec![first.clone(), (206, "items */10", 0..0)],
        vec![first.clone(), (206, "items */*", 0..0)],
        vec![first.clone(), (206, "items 2-3/4", 2..4)],
        vec![first.clone(), (416, "items */2", 0..0)],
        vec![first, (206, "items */2", 0..0)],
        vec![unknown.clone(), (416, "items */10", 0..0)],
        vec![unknown.clone(), (206, "items */10", 0..0)],
    ];
    for lie in lies {
        let end = ranges(&lie).end;
        assert!(matches!(end, Err(PageError::TotalDisagrees { .. } | PageError::TotalShrank { .. })), "{lie:?}: {end:?}");
    }
    for past in [(416, "items */2", 0..0), (206, "items */2", 0..0), (206, "items */*", 0..0)] {
        let crawled = ranges(&[unknown.clone(), past.clone()]);
        assert!(crawled.end.is_ok() && crawled.ids == [0, 1], "{past:?}: {:?}", crawled.end);
    }
}

#[test]
fn a_number_of_pages_that_shrinks_is_an_error() {
    let pagination = Pagination { total_pages: Some(Source::Body(path("pages"))), ..page() };
    let pages = vec![json!({"pages": 5, "data": data(0..5)}), json!({"pages": 2, "data": data(5..10)})];
    let crawled = crawl(&pagination, answers(pages));
    assert!(matches!(crawled.end, Err(PageError::PagesShrank { before: 5, after: 2 })), "{:?}", crawled.end);
}

#[test]
fn a_relation_that_can_be_none_is_no_end() {
    for rel in ["'next'", "\"'next'\"", "next]", "\u{201c}next\u{201d}"] {
        let crawled = crawl(&link_header(), |_| linked(&format!("<{ORIGIN}/list?page=2>; rel={rel}")));
        let shown = rel.trim_matches('"');
        assert!(matches!(&crawled.end, Err(PageError::ImpossibleRelation(found)) if found == shown), "{rel}: {:?}", crawled.end);
    }
    for rel in ["prev", "https://api.w.org/", "\"first last\"", "item_1", "curies:x"] {
        assert!(crawl(&link_header(), |_| linked(&format!("<{ORIGIN}/list?page=2>; rel={rel}"))).end.is_ok(), "{rel}");
    }
    // Where the relation is there, what stands beside it doesn't matter.
    let mut asked = 0;
    let crawled = crawl(&link_header(), |_| {
        asked += 1;
        match asked {
            1 => linked(&format!("<{ORIGIN}/list?page=2>; rel=next, <{ORIGIN}/list?page=9>; rel='last'")),
            _ => Answer { status: 200, headers: vec![], body: json!({"data": data(2..3)}) },
        }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (3, Proof::NoNext));
}

#[test]
fn two_different_links_to_the_next_page_are_an_error() {
    let two = |other: &str| format!("<{ORIGIN}/list?page=2>; rel=next; type=\"a/b\", <{ORIGIN}{other}>; rel=next; type=\"c/d\"");
    let crawled = crawl(&link_header(), |_| linked(&two("/list?page=3")));
    assert!(matches!(crawled.end, Err(PageError::TwoNextLinks(_))), "{:?}", crawled.end);
    let end = |pagination: &Pagination, links: String| {
        let mut links = Some(links);
        let crawled = crawl(pagination, |_| match links.take() {
            Some(links) => linked(&links),
            None => Answer { status: 200, headers: vec![], body: json!({"data": data(2..3)}) },
        });
        (crawled.ids.len(), crawled.end.unwrap())
    };
    assert_eq!(end(&link_header(), two("/list?page=2")), (3, Proof::NoNext), "the same twice is one");
    let attribute = Some(("type".into(), "c/d".into()));
    let chosen = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute }));
    assert_eq!(end(&chosen, two("/list?page=3")), (3, Proof::NoNext));
}

/// A scroll: one token for all pages, whose place the upstream keeps.
fn scroll(pages: u64) -> impl FnMut(&PageRequest) -> Answer {
    let mut asked = 0;
    move |_| {
        let ids = (2 * asked).min(2 * pages)..(2 * asked + 2).min(2 * pages);
        asked += 1;
        Answer { status: 200, headers: vec![], body: json!({"data": data(ids), "next": "handle"}) }
    }
}

#[test]
fn a_token_that_stays_the_same_ends_only_where_nothing_new_is_behind_it() {
    let mut pagination = of(cursor());
    pagination.same_token = unpage::pagination::SameToken::End;
    assert!(matches!(crawl(&pagination, scroll(5)).end, Err(PageError::HandleRepeats(_))));
    // Two pages, and nothing behind them.
    let crawled = crawl(&pagination, scroll(2));
    assert_eq!((crawled.ids.len(), crawled.requests, crawled.end.unwrap()), (4, 3, Proof::SameToken));
    let stays = |ids: std::ops::Range<u64>| json!({"data": data(ids), "next": "b"});
    let crawled = crawl(&pagination, answers(vec![stays(0..2), stays(2..3), stays(2..3)]));
    assert_eq!((crawled.ids, crawled.end.unwrap()), (vec![0, 1, 2], Proof::SameToken));
    // An empty page that leads to itself needs no second look.
    let crawled = crawl(&pagination, answers(vec![stays(0..2), stays(2..2)]));
    assert_eq!((crawled.ids, crawled.end.unwrap()), (vec![0, 1], Proof::SameToken));
}

#[test]
fn a_handle_that_is_gone_when_it_is_looked_at_again_is_no_end() {
    let mut pagination = of(cursor());
    pagination.same_token = unpage::pagination::SameToken::End;
    let (mut scroll, mut asked) = (scroll(5), 0);
    let crawled = crawl(&pagination, |request| {
        asked += 1;
        if asked < 3 { scroll(request) } else { Answer { status: 404, headers: vec![], body: json!({}) } }
    });
    assert!(matches!(crawled.end, Err(PageError::Status { status: StatusCode::NOT_FOUND, .. })));
}

#[test]
fn null_records_on_a_page_that_leads_on_are_asked_for_again_and_then_an_error() {
    let gap = || json!({"data": null, "next": "c"});
    let first = || json!({"data": data(0..2), "next": "b"});
    let last = || json!({"data": data(4..5), "next": null});
    let crawled = crawl(&of(cursor()), answers(vec![first(), gap(), gap()]));
    assert!(matches!(crawled.end, Err(PageError::NullRecords)), "{:?}", crawled.end);
    let mended = crawl(&of(cursor()), answers(vec![first(), gap(), json!({"data": data(2..4), "next": "c"}), last()]));
    assert_eq!((mended.ids.len(), mended.end.unwrap()), (5, Proof::NoNext));
    let mut optional = of(cursor());
    optional.records.presence = unpage::pagination::Presence::Optional;
    assert_eq!(crawl(&optional, answers(vec![first(), gap(), last()])).ids.len(), 3);
    // At the end, and before the first array, null is how many write an empty list.
    let ended = crawl(&of(cursor()), answers(vec![first(), json!({"data": null, "next": null})]));
    assert_eq!((ended.ids.len(), ended.end.unwrap()), (2, Proof::NoNext));
    assert_eq!(crawl(&of(cursor()), answers(vec![gap(), json!({"data": data(0..2)})])).ids.len(), 2);
    let flagged = Pagination { more: Some(More { path: path("has_more"), while_: json!(true) }), ..page() };
    let null = || json!({"data": null, "has_more": true});
    let crawled = crawl(&flagged, answers(vec![json!({"data": data(0..2), "has_more": true}), null(), null()]));
    assert!(matches!(crawled.end, Err(PageError::NullRecords)), "{:?}", crawled.end);
}

#[test]
fn past_the_end_any_page_once_more_confirms_a_total_that_agrees() {
    let pagination = Pagination { total: Some(Source::Body(path("total"))), ..page() };
    let page = |ids: std::ops::Range<u64>| json!({"data": data(ids), "total": 6});
    let crawled = crawl(&pagination, answers(vec![page(0..2), page(2..4), page(4..6), page(0..2)]));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (6, Proof::Total(6)));
    // One page that comes again may be an upstream that ignores the number, and a total that is the page's size.
    let one = |ids: std::ops::Range<u64>| json!({"data": data(ids), "total": 2});
    let crawled = crawl(&pagination, answers(vec![one(0..2), one(0..2)]));
    assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })), "{:?}", crawled.end);
}

/// A page with these members beside its records.
fn beside(mut page: Value, members: &Value) -> Value {
    page.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    page
}

#[test]
fn a_page_that_says_that_it_failed_is_no_end() {
    let first = json!({"data": data(0..2), "next": "b", "status": "OK", "code": 0});
    for failed in [json!({"status": "INVALID_REQUEST"}), json!({"success": false}), json!({"message": "try again later"})] {
        let crawled = crawl(&of(cursor()), answers(vec![first.clone(), beside(json!({"data": []}), &failed)]));
        assert!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), "{failed}: {:?}", crawled.end);
    }
    // Words that only differ from those before: asked for again, and then an error.
    for other in [json!({"status": "PARTIAL"}), json!({"code": 17}), json!({"message": "you can only have 2 hits"})] {
        let page = beside(json!({"data": []}), &other);
        let crawled = crawl(&of(cursor()), answers(vec![first.clone(), page.clone(), page.clone()]));
        assert!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), "{other}: {:?}", crawled.end);
        let mended = crawl(&of(cursor()), answers(vec![first.clone(), page, json!({"data": data(2..3), "status": "OK"})]));
        assert_eq!((mended.ids.len(), mended.end.unwrap()), (3, Proof::NoNext), "{other}");
    }
    // Beside records, a page that would be the end breaks the stream.
    for other in [json!({"status": "PARTIAL"}), json!({"ok": false}), json!({"error": "shard 3 is gone"})] {
        let crawled = crawl(&of(cursor()), answers(vec![first.clone(), beside(json!({"data": data(2..3)}), &other)]));
        assert!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), "{other}: {:?}", crawled.end);
    }
}

#[test]
fn words_that_are_good_or_ignored_are_no_failures() {
    let first = json!({"data": data(0..2), "next": "b", "status": "OK"});
    let ended = json!({"data": [], "status": "ZERO_RESULTS", "message": "No more records"});
    assert_eq!(crawl(&of(cursor()), answers(vec![first.clone(), ended])).end.unwrap(), Proof::NoNext);
    let odd = json!({"data": [], "status": "ERROR", "error": "nothing is left"});
    let mut ignored = of(cursor());
    ignored.failures.words = unpage::pagination::OwnWords::Ignored;
    assert_eq!(crawl(&ignored, answers(vec![first.clone(), odd])).end.unwrap(), Proof::NoNext);
    // A condition judges its own word alone.
    let mut named = of(cursor());
    let ok = vec![json!("OK"), json!("ERROR")];
    named.failures.conditions = vec![unpage::pagination::ErrorCondition { path: path("status"), ok: Some(ok), retry: None }];
    let odd = json!({"data": [], "status": "ERROR"});
    assert_eq!(crawl(&named, answers(vec![first, odd])).end.unwrap(), Proof::NoNext);
}

#[test]
fn a_number_beside_the_records_refutes_an_end_whatever_its_name() {
    let page = |ids: std::ops::Range<u64>, next: Option<&str>| json!({"data": data(ids), "nbHits": 5, "next": next});
    let crawled = crawl(&of(cursor()), answers(vec![page(0..2, Some("b")), page(2..4, None)]));
    assert!(matches!(crawled.end, Err(PageError::CountContradicts { number: 5, records: 4, .. })), "{:?}", crawled.end);
    let crawled = crawl(&of(cursor()), answers(vec![page(0..2, Some("b")), page(2..5, None)]));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (5, Proof::NoNext));
    let mut ignored = of(cursor());
    ignored.unnamed_counts = unpage::pagination::UnnamedCounts::Ignored;
    assert!(crawl(&ignored, answers(vec![page(0..2, Some("b")), page(2..4, None)])).end.is_ok());
    let crawled = crawl(&self::page(), answers(vec![page(0..2, None), page(2..4, None), page(4..4, None)]));
    assert!(matches!(crawled.end, Err(PageError::CountContradicts { .. })), "{:?}", crawled.end);
    let single = crawl(&of(Style::SINGLE), answers(vec![page(0..2, None)]));
    assert!(matches!(single.end, Err(PageError::CountContradicts { .. })), "{:?}", single.end);
}

/// Paginations of every form of end, each with the last page of its list: members beside its records, and its number of records.
fn forms_of_end() -> Vec<(&'static str, Pagination, Value, u64)> {
    let flag = || Some(More { path: path("has_more"), while_: json!(true) });
    let (more, none) = (json!({"has_more": true, "next": "b"}), json!({"has_more": false, "next": "b"}));
    let ended = |style: Pagination, end: End| Pagination { end, ..style };
    let mut one = of(Style::SINGLE);
    one.single_page = unpage::pagination::LonePage::Accept;
    vec![
        ("page, more", Pagination { more: flag(), ..page() }, none.clone(), 2),
        ("page, more, empty", Pagination { more: flag(), ..page() }, none.clone(), 0),
        ("offset, more", Pagination { more: flag(), ..offset() }, none.clone(), 2),
        ("offset, more, empty", Pagination { more: flag(), ..offset() }, none.clone(), 0),
        ("cursor, more", Pagination { more: flag(), ..of(cursor()) }, none, 2),
        ("cursor, null", of(cursor()), json!({"next": null}), 2),
        ("cursor, null, empty", of(cursor()), json!({"next": null}), 0),
        ("cursor, no next", of(cursor()), json!({}), 2),
        ("cursor, empty page", ended(of(cursor()), End::EmptyPage), more, 0),
        ("page, empty page", ended(page(), End::EmptyPage), json!({}), 0),
        ("page, short page", ended(page(), End::ShortPage), json!({}), 1),
        ("one page", of(Style::SINGLE), json!({}), 2),
        ("one page, accepted", one, json!({}), 2),
    ]
}

#[test]
fn a_page_that_names_a_later_page_as_the_last_is_no_end() {
    let has_flag = |pagination: &Pagination| pagination.more.is_some();
    for (form, pagination, last, records) in forms_of_end() {
        // Each page is requested once, or an empty one once more.
        let is_one = matches!(pagination.style, Style::Single(_));
        let led = json!({"has_more": true, "next": "b"});
        let before = if has_flag(&pagination) || pagination.style.is_pointed() { led } else { json!({}) };
        let crawled = |words: &dyn Fn(u64) -> Value| {
            let mut asked = 0;
            crawl(&pagination, |_| {
                asked += 1;
                let (ids, around) = match asked {
                    1 if !is_one => (0..2, &before),
                    _ => (2..2 + records, &last),
                };
                let number = if is_one { 1 } else { u64::min(asked, 2) };
                Answer { status: 200, headers: vec![], body: beside(beside(json!({"data": data(ids)}), around), &words(number)) }
            })
        };
        let pages = if is_one { 1 } else { 2 };
        let lies: [&dyn Fn(u64) -> Value; 5] = [
            &|page| json!({"page": page, "total_pages": 5}),
            &|page| json!({"current_page": page, "last_page": 5}),
            &|page| json!({"meta": {"page": page, "pageCount": 5}}),
            &|page| json!({"number": page - 1, "totalPages": 5}),
            &|_| json!({"_links": {"last": {"href": "/list?page=5"}}}),
        ];
        for lie in lies {
            let end = crawled(lie).end;
            assert!(end.is_err(), "{form}: {}: {end:?}", lie(2));
        }
        let truths: [&dyn Fn(u64) -> Value; 3] = [
            &|page| json!({"page": page, "total_pages": pages}),
            &|_| json!({"_links": {"last": {"href": format!("/list?page={pages}")}}}),
            &|_| json!({"pages": 120}),
        ];
        for truth in truths {
            let end = crawled(truth).end;
            assert!(end.is_ok(), "{form}: {}: {end:?}", truth(2));
        }
    }
}

/// List of eight records in pages of two, whose first three pages name a fifth as the last one; page 4 names no next one. The page behind it is `behind`.
fn shrunk(by_link: bool, total: Option<&str>, last: &Value, behind: impl Fn(u64) -> Answer) -> (Crawled, u64) {
    let style = if by_link { Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }) } else { Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request }) };
    let mut asked = 0;
    let pagination = Pagination { total: total.map(|total| Source::Body(path(total))), ..of(style) };
    let crawled = crawl(&pagination, |request| {
        asked += 1;
        let page: u64 = query_value(&request.url, "page").map_or(1, |page| page.parse().unwrap());
        let url = |page: u64| format!("{ORIGIN}/list?page={page}");
        let data = data(2 * page - 2..2 * page);
        match page {
            1..4 if by_link => {
                let links = format!("<{}>; rel=\"next\", <{}>; rel=\"last\"", url(page + 1), url(5));
                Answer { status: 200, headers: vec![("link", links)], body: json!({"data": data}) }
            }
            1..4 => Answer { status: 200, headers: vec![], body: json!({"data": data, "next": url(page + 1), "page": page, "total_pages": 5}) },
            4 => Answer { status: 200, headers: vec![], body: beside(json!({"data": data}), last) },
            _ => behind(page),
        }
    });
    (crawled, asked)
}

#[test]
fn a_numbered_list_that_is_counted_ends_before_the_page_that_is_named_as_its_last_if_that_has_no_records() {
    let answer = |status: u16, body: Value| move |_: u64| Answer { status, headers: vec![], body: body.clone() };
    // Of an upstream that counts its records well: the list has shrunk, or there is one page too many in the number of pages.
    for (by_link, last) in [
        (true, json!({"total": 8})),
        (false, json!({"total": 8})),
        (false, json!({"page": 4, "total_pages": 5, "total": 8})),
    ] {
        for (status, body) in [(200, json!({"data": []})), (200, json!({"data": [], "page": 5, "total_pages": 4})), (404, json!({}))] {
            let (crawled, asked) = shrunk(by_link, None, &last, answer(status, body.clone()));
            assert_eq!((crawled.ids.len(), asked), (8, 5), "{last}: {body}");
            assert_eq!(crawled.end.unwrap(), Proof::NamedPageEmpty, "{last}: {body}");
        }
        for (status, body) in [
            (200, json!({"data": data(8..10)})),
            (200, json!({"data": data(6..8)})),
            (400, json!({})),
            (404, json!({"message": "the result window is too large"})),
            (404, json!({"message": "8"})),
        ] {
            let (crawled, asked) = shrunk(by_link, None, &last, answer(status, body.clone()));
            assert!(matches!(crawled.end, Err(PageError::NotTheLast(_))), "{last}: {body}: {:?}", crawled.end);
            assert_eq!((crawled.ids.len(), asked), (8, 5), "{last}: {body}");
        }
        let (failed, _) = shrunk(by_link, None, &last, answer(200, json!({"data": [], "error": "the search has failed"})));
        assert!(failed.end.is_err());
    }
    // Without a number of records that agrees, it may stand in front of a window's limit; and it may be one of nine by now.
    for (by_link, last) in [
        (true, json!({})),
        (false, json!({})),
        (false, json!({"page": 4, "total_pages": 5})),
        (false, json!({"page": 4, "total_pages": 5, "total": 9})),
        (false, json!({"page": 4, "total_pages": 9, "total": 8})),
        (false, json!({"total_pages": 5, "totalRecords": 9})),
    ] {
        for total in [None, Some("total").filter(|total| last.get(total).is_some())] {
            let (crawled, asked) = shrunk(by_link, total, &last, answer(200, json!({"data": []})));
            assert!(crawled.end.is_err() && asked == 4, "{last}: {:?}", crawled.end);
        }
    }
    // The page that would be the last says itself that it has failed.
    let (failed, asked) = shrunk(false, None, &json!({"status": "PARTIAL", "success": false, "total": 8}), answer(200, json!({"data": []})));
    assert!(failed.end.is_err() && asked == 4, "{:?}", failed.end);
}

#[test]
fn an_offset_of_the_last_page_is_compared_with_the_records_of_a_list_of_tokens() {
    let pages = |ids: &[std::ops::Range<u64>]| {
        let count = ids.len();
        let page = |at: usize| json!({"data": data(ids[at].clone()), "next": (at + 1 < count).then(|| at.to_string()), "_links": {"last": {"href": "/list?offset=4"}}});
        (0..count).map(page).collect::<Vec<_>>()
    };
    let whole = crawl(&of(cursor()), answers(pages(&[0..2, 2..4, 4..5])));
    assert!(whole.end.is_ok() && whole.ids.len() == 5, "{:?}", whole.end);
    for cut in [pages(&[0..2, 2..3]), pages(std::slice::from_ref(&(0..2)))] {
        let crawled = crawl(&of(cursor()), answers(cut.clone()));
        assert!(matches!(crawled.end, Err(PageError::NotTheLast(_))), "{:?}", crawled.end);
        let heedless = Pagination { unnamed_counts: unpage::pagination::UnnamedCounts::Ignored, ..of(cursor()) };
        assert!(crawl(&heedless, answers(cut)).end.is_ok());
    }
}

#[test]
fn a_configured_total_that_never_comes_leaves_other_numbers_their_say() {
    let more = Some(More { path: path("has_more"), while_: json!(true) });
    let pagination = Pagination { total: Some(Source::Body(path("nope"))), more, ..page() };
    for (around, is_end) in [
        (json!({"totalElements": 47}), false),
        (json!({"page": 1, "total_pages": 5}), false),
        (json!({"nope": 2, "totalElements": 47}), true),
        (json!({}), true),
    ] {
        let last = beside(json!({"data": data(0..2), "has_more": false}), &around);
        let crawled = crawl(&pagination, answers(vec![last, json!({"data": data(2..4), "has_more": false})]));
        assert_eq!(crawled.end.is_ok(), is_end, "{around}: {:?}", crawled.end);
    }
}

#[test]
fn a_status_past_the_last_page_is_no_end_before_the_page_that_the_first_one_names() {
    let pagination = Pagination { end: End::from(StatusCode::NOT_FOUND), ..page() };
    let ended = |pages: u64| {
        let mut asked = 0;
        crawl(&pagination, |_| {
            asked += 1;
            let status = if asked < 3 { 200 } else { 404 };
            Answer { status, headers: vec![("x-total-pages", pages.to_string())], body: json!({"data": data(2 * asked..2 * asked + 2)}) }
        })
        .end
    };
    assert!(matches!(ended(5), Err(PageError::NotTheLast(_))));
    assert_eq!(ended(2).unwrap(), Proof::Status(StatusCode::NOT_FOUND));
}

#[test]
fn a_crawl_from_the_middle_is_held_to_the_number_of_its_own_last_page() {
    let pagination = Pagination { more: Some(More { path: path("has_more"), while_: json!(true) }), ..page() };
    for (own, is_end) in [(3, false), (5, true)] {
        let body = json!({"data": data(0..2), "has_more": false, "page": own, "total_pages": 5});
        let crawled = crawl_at("/list?page=3", &pagination, answers(vec![body]));
        assert_eq!(crawled.end.is_ok(), is_end, "{own}: {:?}", crawled.end);
    }
}

#[test]
fn a_flag_that_says_that_more_follow_refutes_every_form_of_end() {
    let flag = || Some(More { path: path("has_more"), while_: json!(true) });
    let more = json!({"has_more": true});
    for (form, pagination, last, records) in forms_of_end() {
        let flagged = Pagination { more: flag(), ..pagination };
        let is_one = matches!(flagged.style, Style::Single(_));
        let mut asked = 0;
        let crawled = crawl(&flagged, |_| {
            asked += 1;
            let (ids, around) = match asked {
                1 if !is_one => (0..2, &json!({"next": "b"})),
                _ => (2..2 + records, &last),
            };
            Answer { status: 200, headers: vec![], body: beside(beside(json!({"data": data(ids)}), around), &more) }
        });
        assert!(crawled.end.is_err(), "{form}: {:?}", crawled.end);
    }
    let to_itself = |ids| beside(json!({"data": data(ids), "next": "b"}), &more);
    let same = Pagination { same_token: unpage::pagination::SameToken::End, more: flag(), ..of(cursor()) };
    for pages in [vec![to_itself(0..2), to_itself(2..3), to_itself(2..3)], vec![to_itself(0..2), to_itself(2..2)]] {
        let crawled = crawl(&same, answers(pages));
        assert!(matches!(crawled.end, Err(PageError::MoreWithoutNext { .. })), "{:?}", crawled.end);
    }
    let range = Pagination { more: flag(), ..of(Style::Range(RangeHeader { unit: "items".into(), size: 2 })) };
    let crawled = crawl(&range, |_| {
        let body = beside(json!({"data": data(0..2)}), &more);
        Answer { status: 206, headers: vec![("content-range", "items 0-1/2".to_owned())], body }
    });
    assert!(matches!(crawled.end, Err(PageError::MoreWithoutNext { .. })), "{:?}", crawled.end);
    // Behind a total that agrees, too: the flag is there on the page that should show the end.
    let total = Pagination { total: Some(Source::Body(path("total"))), more: flag(), ..page() };
    let crawled = crawl(&total, answers(vec![json!({"data": data(0..2), "total": 2}), beside(json!({"data": []}), &more)]));
    assert!(matches!(crawled.end, Err(PageError::MoreWithoutNext { .. })), "{:?}", crawled.end);
}

#[test]
fn an_empty_page_that_says_that_more_follow_is_followed() {
    for (name, is_flag, end) in
        [("isTruncated", true, End::Style), ("isTruncated", false, End::Style), ("partial", true, End::Style), ("truncated", true, End::EmptyPage)]
    {
        let more = is_flag.then(|| More { path: path(name), while_: json!(true) });
        let pagination = Pagination { more, end, ..of(cursor()) };
        let page = |ids: std::ops::Range<u64>, more: bool, next: Option<&str>| json!({"data": data(ids), name: more, "next": next});
        let led = |next| page(0..0, true, Some(next));
        let pages = vec![led("b"), page(0..2, true, Some("c")), led("d"), led("e"), page(2..3, false, None)];
        let crawled = crawl(&pagination, answers(pages));
        assert!(crawled.end.is_ok() && crawled.ids == [0, 1, 2], "{name} {is_flag}: {:?}", crawled.end);
        // The same that leads nowhere, first and later.
        for pages in [vec![page(0..0, true, None)], vec![page(0..2, true, Some("b")), page(0..0, true, None), page(0..0, true, None)]] {
            let mut pages = pages.into_iter();
            let last = page(0..0, true, None);
            let crawled = crawl(&pagination, |_| {
                Answer { status: 200, headers: vec![], body: pages.next().unwrap_or_else(|| last.clone()) }
            });
            assert!(crawled.end.is_err(), "{name} {is_flag}: {:?}", crawled.end);
        }
        let for_ever = crawl(&pagination, |request| {
            let number: u64 = query_value(&request.url, "cursor").map_or(0, |text| text.parse().unwrap());
            Answer { status: 200, headers: vec![], body: page(0..0, true, Some(&(number + 1).to_string())) }
        });
        assert!(matches!(for_ever.end, Err(PageError::EmptyPages(_))), "{name} {is_flag}: {:?}", for_ever.end);
    }
    // Other names say that records are missing.
    for name in ["partial", "incomplete_results", "timed_out"] {
        let page = json!({"data": [], name: true, "next": "b"});
        assert!(matches!(crawl(&of(cursor()), answers(vec![page])).end, Err(PageError::ErrorInPage { .. })), "{name}");
    }
}

#[test]
fn a_page_that_says_that_it_is_truncated_confirms_no_end() {
    let total = Some(Source::Body(path("total")));
    let offset = Style::Offset(Offset { param: query("offset"), start: 0, step: Advance::Returned, template: None });
    for (name, style) in [("page", page().style), ("offset", offset)] {
        let pagination = Pagination { total: total.clone(), ..of(style) };
        for (words, is_end) in [
            (json!({"truncated": true}), false),
            (json!({"isTruncated": "true"}), false),
            (json!({"success": false}), false),
            (json!({"truncated": false}), true),
            // The total has shown the end, whatever people are told.
            (json!({"message": "keine weiteren Einträge"}), true),
        ] {
            let full = json!({"data": data(0..2), "total": 2});
            let crawled = crawl(&pagination, answers(vec![full, beside(json!({"data": [], "total": 2}), &words)]));
            assert_eq!(crawled.end.is_ok(), is_end, "{name} {words}: {:?}", crawled.end);
        }
    }
}

#[test]
fn an_empty_page_of_a_keyset_is_no_end_while_the_flag_beside_its_record_says_more() {
    let style = Style::Keyset(Keyset { key: vec![path("id")], param: query("after"), encode: Encode::Plain, overlap: Overlap::None, usage: KeyUse::Unknown });
    let pagination = Pagination { more: Some(More { path: path("has_more"), while_: json!(true) }), ..of(style) };
    for failures in 0..2 {
        let mut failed = 0;
        let crawled = crawl(&pagination, |request| {
            let key = query_value(&request.url, "after").map(|text| text.parse::<u64>().unwrap());
            let from = key.map_or(0, |key| key + 1);
            let is_failed = key == Some(3) && failed < failures;
            failed += u64::from(is_failed);
            // The page that looks record 3 up is short, as one that is limited in bytes or time.
            let end = if key == Some(2) { 4 } else { 7.min(from + 2) };
            let (ids, more) = if is_failed { (Vec::new(), false) } else { ((from..end).map(record).collect(), end < 7) };
            Answer { status: 200, headers: vec![], body: json!({"data": ids, "has_more": more}) }
        });
        assert_eq!((crawled.end.is_ok(), crawled.ids.len()), (true, 7), "{failures}");
    }
}

#[test]
fn no_content_past_the_last_page_is_an_end_where_it_is_configured() {
    let pages = |pagination: &Pagination, next: Option<&str>| {
        let mut asked = 0;
        crawl(pagination, |_| {
            asked += 1;
            match asked {
                1 => Answer { status: 200, headers: vec![], body: json!({"data": data(0..2), "next": next}) },
                _ => Answer { status: 204, headers: vec![], body: json!({"data": []}) },
            }
        })
    };
    let ends = |pagination: Pagination| Pagination { end: End::from(StatusCode::NO_CONTENT), ..pagination };
    assert_eq!(pages(&ends(page()), None).end.unwrap(), Proof::Status(StatusCode::NO_CONTENT));
    assert_eq!(pages(&ends(of(cursor())), Some("b")).end.unwrap(), Proof::Status(StatusCode::NO_CONTENT));
    assert_eq!(pages(&page(), None).end.unwrap(), Proof::EmptyPage);
}

#[test]
fn a_flag_that_no_configuration_reads_refutes_an_end() {
    let flagged = |ids: std::ops::Range<u64>, flag: Value| beside(json!({"data": data(ids)}), &flag);
    for (more, none) in [(json!({"has_more": true}), json!({"has_more": false})), (json!({"pageInfo": {"hasNextPage": true}}), json!({}))] {
        for empty in [json!({"next": null}), json!({"next": ""}), json!({})] {
            let last = |flag: &Value| beside(beside(json!({"data": data(2..3)}), &empty), flag);
            let first = || json!({"data": data(0..2), "next": "b"});
            let lost = crawl(&of(cursor()), answers(vec![first(), last(&more)]));
            assert!(matches!(lost.end, Err(PageError::PointerElsewhere { .. })), "{more} {empty}: {:?}", lost.end);
            assert_eq!(crawl(&of(cursor()), answers(vec![first(), last(&none)])).end.unwrap(), Proof::NoNext, "{none} {empty}");
        }
        let pages = vec![
            flagged(0..2, more.clone()),
            flagged(0..0, more.clone()),
            flagged(2..4, more.clone()),
            flagged(4..5, none.clone()),
            flagged(0..0, none.clone()),
        ];
        let crawled = crawl(&page(), answers(pages));
        assert_eq!((crawled.ids, crawled.end.unwrap()), ((0..5).collect(), Proof::EmptyPage), "{more}");
    }
}

#[test]
fn a_numbered_page_without_records_that_leads_on_is_asked_for_again_and_then_skipped() {
    let full = |ids: std::ops::Range<u64>, next: u64| json!({"data": data(ids), "links": {"next": format!("/list?page={next}")}});
    let (last, past) = (|| json!({"data": data(4..5)}), || json!({"data": []}));
    let mended = crawl(&page(), answers(vec![full(0..2, 2), full(0..0, 3), full(2..4, 3), last(), past()]));
    assert_eq!((mended.ids, mended.end.unwrap()), ((0..5).collect(), Proof::EmptyPage));
    // A page that was empty twice is what the upstream has there, and so are those behind it.
    let filtered = vec![full(0..2, 2), full(0..0, 3), full(0..0, 3), full(2..3, 4), full(0..0, 5), last(), past()];
    let skipped = crawl(&page(), answers(filtered));
    assert_eq!((skipped.ids, skipped.requests, skipped.end.unwrap()), (vec![0, 1, 2, 4], 7, Proof::EmptyPage));
    let flagged = Pagination { more: Some(More { path: path("more"), while_: json!(true) }), ..offset() };
    let flag = |ids: std::ops::Range<u64>, more: bool| json!({"data": data(ids), "more": more});
    let mended = crawl(&flagged, answers(vec![flag(0..2, true), flag(0..0, true), flag(2..4, false)]));
    assert_eq!((mended.ids.len(), mended.end.unwrap()), (4, Proof::Flag));
    let lost = crawl(&flagged, answers(vec![flag(0..2, true), flag(0..0, true), flag(0..0, true)]));
    assert!(matches!(lost.end, Err(PageError::MoreWithoutNext { .. })), "{:?}", lost.end);
    // Links whose addresses have a page number are numbered; tokens say nothing of pages.
    let linked = |ids, next: &str| json!({"data": data(ids), "next": next});
    let urls = of(Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request }));
    let by_number = |ids, page: u64| linked(ids, &format!("/list?page={page}"));
    let mended = crawl(&urls, answers(vec![by_number(0..2, 2), by_number(0..0, 3), by_number(2..4, 3), last()]));
    assert_eq!((mended.ids.len(), mended.end.unwrap()), (5, Proof::NoNext));
    let tokens = crawl(&of(cursor()), answers(vec![linked(0..2, "b"), linked(0..0, "c"), last()]));
    assert_eq!((tokens.ids.len(), tokens.requests, tokens.end.unwrap()), (3, 3, Proof::NoNext));
    // An offset does not advance by an empty page: none may stand as many records on.
    let stuck = vec![full(0..2, 2), full(0..0, 3), full(0..0, 3), full(4..5, 4)];
    let refuted = crawl(&offset(), answers(stuck));
    assert!(matches!(refuted.end, Err(PageError::RecordsBehindTheEnd { records: 1 })), "{:?}", refuted.end);
    let over = vec![full(0..2, 2), full(0..0, 3), full(0..0, 3), full(0..0, 4)];
    let ended = crawl(&offset(), answers(over));
    assert_eq!((ended.requests, ended.end.unwrap()), (4, Proof::EmptyPage));
}

#[test]
fn one_of_several_arrays_that_is_null_on_a_page_that_leads_on_is_missing() {
    let mut both = of(cursor());
    both.records.paths = vec![path("data"), path("more")];
    both.records.shape = unpage::pagination::RecordsShape::All;
    let of_both = |first: Value, second: Value, next: Option<&str>| json!({"data": first, "more": second, "next": next});
    let first = || of_both(data(0..2), data(2..4), Some("b"));
    let end = || of_both(data(6..8), Value::Null, None);
    let lost = crawl(&both, answers(vec![first(), of_both(data(4..6), Value::Null, Some("c"))]));
    assert!(matches!(lost.end, Err(PageError::NullRecords)), "{:?}", lost.end);
    let none = || of_both(json!([]), Value::Null, Some("c"));
    let mended = crawl(&both, answers(vec![first(), none(), of_both(data(4..6), json!([]), Some("c")), end()]));
    assert_eq!((mended.ids.len(), mended.end.unwrap()), (8, Proof::NoNext));
    // One that has been null on each page is an empty list.
    let one = |ids, next| of_both(data(ids), Value::Null, next);
    assert_eq!(crawl(&both, answers(vec![one(0..2, Some("b")), one(2..4, Some("c")), end()])).ids.len(), 6);
    both.records.presence = unpage::pagination::Presence::Optional;
    assert_eq!(crawl(&both, answers(vec![first(), one(4..6, Some("c")), end()])).ids.len(), 8);
}

#[test]
fn a_text_in_place_of_records_is_no_end_in_any_language() {
    let first = || json!({"data": data(0..2), "next": "b", "copyright": "Data by Example Inc."});
    for text in [json!({"mensaje": "Servicio no disponible"}), json!({"resultado": {"info": "服务不可用"}})] {
        let page = beside(json!({"data": [], "copyright": "Data by Example Inc."}), &text);
        let crawled = crawl(&of(cursor()), answers(vec![first(), page.clone(), page.clone()]));
        assert!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), "{text}: {:?}", crawled.end);
        let mended = crawl(&of(cursor()), answers(vec![first(), page, json!({"data": data(2..3)})]));
        assert_eq!((mended.ids.len(), mended.end.unwrap()), (3, Proof::NoNext), "{text}");
    }
    for other in [
        json!({"copyright": "Data by others"}),
        json!({"prev": "/list?after=a b c", "previous_token": "abc"}),
        json!({"_links": {"prev": {"href": "/list", "title": "Previous page"}}}),
        json!({"info": "No more records"}),
        json!({"success": true, "info": "You have seen it all"}),
    ] {
        let crawled = crawl(&of(cursor()), answers(vec![first(), beside(json!({"data": []}), &other)]));
        assert_eq!(crawled.end.unwrap(), Proof::NoNext, "{other}");
    }
}

#[test]
fn two_pointers_that_contradict_each_other_prove_no_end() {
    let first = || json!({"data": data(0..2), "next": "b"});
    for live in [
        json!({"_links": {"next": {"href": "/list?cursor=c"}}}),
        json!({"links": {"next": format!("{ORIGIN}/list?cursor=c")}}),
        json!({"meta": {"next_token": "c"}}),
    ] {
        let last = || beside(json!({"data": data(2..3), "next": null}), &live);
        let crawled = crawl(&of(cursor()), answers(vec![first(), last()]));
        assert!(matches!(crawled.end, Err(PageError::PointerElsewhere { .. })), "{live}: {:?}", crawled.end);
        let flagged = Pagination { more: Some(More { path: path("go_on"), while_: json!(true) }), ..of(cursor()) };
        let (first, last) = (beside(first(), &json!({"go_on": true})), beside(last(), &json!({"go_on": false})));
        assert_eq!(crawl(&flagged, answers(vec![first, last])).end.unwrap(), Proof::Flag, "{live}");
    }
    for none in [
        json!({"_links": {"next": {}}, "next_page": 2, "next_offset": "4"}),
        json!({"_links": {"next": {"href": format!("http://public.example/list?cursor=b")}}}),
        json!({"paging": {"cursors": {"after": "c"}}, "has_more": false, "links": {"next": "/list?cursor=c"}}),
    ] {
        let last = beside(json!({"data": data(2..3), "next": null}), &none);
        assert_eq!(crawl(&of(cursor()), answers(vec![first(), last])).end.unwrap(), Proof::NoNext, "{none}");
    }
}

#[test]
fn an_object_about_the_records_and_their_array_are_no_records() {
    let root = |style: Style| Pagination { records: Records::at(Path::root()), key: None, ..of(style) };
    let about = || json!({"page": 1, "pages": 4});
    for pair in [json!([about(), data(0..3)]), json!([data(0..3), about()])] {
        for style in [Style::SINGLE, page().style] {
            let crawled = crawl(&root(style), answers(vec![pair.clone()]));
            assert!(matches!(crawled.end, Err(PageError::NoRecords { .. })), "{pair}: {:?}", crawled.end);
        }
    }
    assert!(crawl(&root(Style::SINGLE), answers(vec![data(0..2)])).end.is_ok());
}

#[test]
fn a_last_page_leaves_its_array_out_only_where_the_api_says_that_it_is_the_last() {
    let flagged = Pagination { more: Some(More { path: path("more"), while_: json!(true) }), ..of(cursor()) };
    let counted = |style: Pagination| Pagination { total: Some(Source::Body(path("total"))), ..style };
    let (of_two, of_four) = (json!({"data": data(0..2), "total": 2}), json!({"data": data(0..2), "total": 4}));
    let first = || json!({"data": data(0..2), "meta": {"took": 3}, "next": "b", "more": true});
    for (pagination, pages) in [
        (of(cursor()), vec![first(), json!({"next": null})]),
        (of(cursor()), vec![first(), json!({"meta": {}, "next": "", "rows": []})]),
        (flagged.clone(), vec![first(), json!({"more": false})]),
        (counted(page()), vec![of_two.clone(), json!({"total": 2})]),
        (counted(offset()), vec![of_two.clone(), json!({})]),
    ] {
        // A degraded answer would be another one a moment later.
        let (first, last) = (pages[0].clone(), pages[1].clone());
        let crawled = crawl(&pagination, answers(vec![first.clone(), last.clone(), last.clone()]));
        assert!(crawled.end.is_ok() && crawled.ids == [0, 1], "{last}: {:?}", crawled.end);
        if pagination.total.is_some() {
            // The total has ended the walk.
            continue;
        }
        let better = json!({"data": data(2..4), "next": null, "more": false});
        let crawled = crawl(&pagination, answers(vec![first, last.clone(), better]));
        assert!(crawled.end.is_ok() && crawled.ids == [0, 1, 2, 3], "{last}: {:?}", crawled.end);
    }
    let without = |last| (of(cursor()), vec![first(), last]);
    for (pagination, pages) in [
        without(json!({})),
        without(json!({"ok": true})),
        without(json!({"meta": {"took": 1}})),
        without(json!({"next": "c"})),
        // Records in another form or elsewhere, a number of records, a failure, and what the first page had otherwise.
        without(json!([{"next": null, "rows": [{"id": 2}]}])),
        without(json!({"next": null, "rows": [{"id": 2}]})),
        without(json!({"next": null, "data": "E42"})),
        without(json!({"next": null, "data": false})),
        without(json!({"next": null, "data": "[{\"id\": 2}]"})),
        without(json!({"next": null, "count": 1})),
        without(json!({"next": null, "more": false})),
        without(json!({"next": null, "messages": ["shard 3 unavailable"]})),
        without(json!({"next": null, "retry_after": 30})),
        without(json!({"next": null, "rows": " ".repeat(5000)})),
        without(json!({"next": null, "item": {"id": 2}})),
        without(json!({"next": null, "meta": {"item": {"id": 2}}})),
        without(json!({"next": null, "meta": [{"id": 2}]})),
        (flagged, vec![first(), json!({"next": "c", "more": true})]),
        (of(cursor()), vec![json!({"next": null})]),
        (page(), vec![of_two.clone(), json!({"page": 2})]),
        (counted(page()), vec![of_four.clone(), json!({"total": 4})]),
        (counted(offset()), vec![of_four, json!({})]),
        // As many records as the total came, and others stand there.
        (counted(offset()), vec![of_two.clone(), json!({"rows": [{"id": 2}]})]),
        (counted(offset()), vec![of_two.clone(), json!({"total": 3})]),
    ] {
        let last = pages.last().cloned();
        let end = crawl(&pagination, answers(pages)).end;
        assert!(matches!(end, Err(PageError::NoRecords { .. })), "{last:?}: {end:?}");
    }
    for last in [json!({"next": null, "message": "try again later"}), json!({"next": null, "more": true})] {
        let refuted = crawl(&of(cursor()), answers(vec![first(), last])).end;
        assert!(refuted.is_err(), "{refuted:?}");
    }
}
