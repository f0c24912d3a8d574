// Included into `tests/model.rs`: it shares that file's server and crawl.

#[test]
fn the_server_clamps_the_page_size() {
    let mut asked = Vec::new();
    let server = Server { records: 250, clamp: 100, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
    let pagination = sized(offset(), 500);
    let crawled = crawl(&pagination, |request| {
        asked.push(query_value(&request.url, "offset").unwrap());
        server.answer(&pagination.style, request)
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (250, Proof::EmptyPage));
    assert_eq!(asked, ["0", "100", "200", "250"]);
}

#[test]
fn a_short_page_is_not_the_end() {
    let pages = vec![json!({"data": data(0..10)}), json!({"data": data(10..13)}), json!({"data": data(13..20)}), json!({"data": []})];
    let crawled = crawl(&sized(offset(), 10), answers(pages));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (20, Proof::EmptyPage));
}

#[test]
fn a_short_page_is_the_end_only_where_that_is_configured() {
    let mut pagination = sized(offset(), 10);
    pagination.end = End::ShortPage;
    let crawled = crawl(&pagination, answers(vec![json!({"data": data(0..10)}), json!({"data": data(10..13)})]));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (13, Proof::ShortPage));
}

#[test]
fn a_deep_paging_cap_is_an_error_and_no_end() {
    for (name, limits) in [
        ("max_offset", unpage::pagination::Limits { max_offset: Some(20), ..Default::default() }),
        ("max_pages", unpage::pagination::Limits { max_pages: Some(2), ..Default::default() }),
        ("max_results", unpage::pagination::Limits { max_results: Some(20), ..Default::default() }),
    ] {
        let mut pagination = sized(offset(), 10);
        pagination.limits = limits;
        let server = Server { records: 500, clamp: 10, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
        let crawled = crawl(&pagination, |request| server.answer(&pagination.style, request));
        assert!(matches!(crawled.end, Err(PageError::Limit { name: found, .. }) if found == name), "{name}: {:?}", crawled.end);
    }
}

/// Reddit's listings end at 1,000 records as if nothing followed.
#[test]
fn an_end_at_the_most_results_is_a_cap() {
    for (records, is_whole) in [(19, true), (20, false)] {
        for style in [cursor(), page().style, offset().style] {
            let mut pagination = of(style);
            pagination.limits = unpage::pagination::Limits { max_results: Some(20), ..Default::default() };
            let server = Server { records, clamp: 7, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
            let crawled = crawl(&pagination, |request| server.answer(&pagination.style, request));
            match crawled.end {
                Ok(_) => assert!(is_whole && crawled.ids == all(&server)),
                Err(wrong) => assert!(!is_whole && matches!(wrong, PageError::Limit { name: "max_results", value: 20 }), "{wrong}"),
            }
        }
    }
}

#[test]
fn an_upstream_that_caps_with_a_status_is_an_error_and_no_end() {
    let pagination = sized(page(), 10);
    let server = Server { records: 500, clamp: 10, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
    let crawled = crawl(&pagination, |request| match query_value(&request.url, "page").as_deref() {
        Some("6") => Answer { status: 400, headers: vec![], body: json!({"error": "only 50 results"}) },
        _ => server.answer(&pagination.style, request),
    });
    assert!(matches!(crawled.end, Err(PageError::Status { status: StatusCode::BAD_REQUEST, .. })), "{:?}", crawled.end);
}

#[test]
fn a_total_that_vanishes_is_no_longer_needed() {
    let mut pagination = offset();
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"data": data(0..2), "total": 5}), json!({"data": data(2..4)}), json!({"data": data(4..5)}), json!({"data": []})];
    let crawled = crawl(&pagination, answers(pages));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (5, Proof::Total(5)));
}

#[test]
fn a_next_link_that_is_always_there_ends_by_its_attribute() {
    let pagination = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: Some(("results".into(), "true".into())) }));
    let mut page = 0;
    let crawled = crawl(&pagination, |_| {
        page += 1;
        let link = format!("<{ORIGIN}/list?cursor={page}>; rel=\"next\"; results=\"{}\"", page < 3);
        Answer { status: 200, headers: vec![("link", link)], body: json!({"data": data(page * 10..page * 10 + 2)}) }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (6, Proof::NoNext));
}

#[test]
fn a_next_link_to_itself_is_an_error_unless_configured_as_the_end() {
    let link = || ("link", format!("<{ORIGIN}/list>; rel=\"next\""));
    let answer = |_: &PageRequest| Answer { status: 200, headers: vec![link()], body: json!({"data": data(0..2)}) };
    let mut pagination = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }));
    assert!(matches!(crawl(&pagination, answer).end, Err(PageError::TokenRepeats(_))));
    pagination.same_token = unpage::pagination::SameToken::End;
    let crawled = crawl(&pagination, answer);
    assert_eq!((crawled.ids, crawled.end.unwrap()), (vec![0, 1], Proof::SameToken));
}

#[test]
fn end_marks_of_every_kind_are_ends() {
    let mut pagination = of(cursor());
    let Style::Cursor(cursor) = &mut pagination.style else { unreachable!() };
    cursor.end_values = vec![json!("null"), json!("inf"), json!(-1)];
    for mark in [json!(null), json!(""), json!(false), json!([]), json!({}), json!("null"), json!("inf"), json!(-1)] {
        let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"data": data(2..4), "next": mark})];
        let crawled = crawl(&pagination, answers(pages));
        assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (4, Proof::NoNext), "{mark}");
    }
    let done = More { path: path("done"), while_: json!(false) };
    let pagination = Pagination { more: Some(done), ..of(super::cursor()) };
    let pages = vec![json!({"data": data(0..2), "next": "b", "done": false}), json!({"data": data(2..4), "next": "c", "done": true})];
    assert_eq!(crawl(&pagination, answers(pages)).end.unwrap(), Proof::Flag);
}

#[test]
fn falsy_tokens_are_tokens() {
    for token in [json!(0), json!("0"), json!("None"), json!("false")] {
        let pages = vec![json!({"data": data(0..2), "next": token}), json!({"data": data(2..4)})];
        let crawled = crawl(&of(cursor()), answers(pages));
        assert_eq!(crawled.ids.len(), 4, "{token}");
    }
}

#[test]
fn a_cursor_on_the_last_page_too_ends_with_an_empty_page_where_configured() {
    let mut pagination = of(cursor());
    pagination.end = End::EmptyPage;
    let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"data": [], "next": "c"})];
    assert_eq!(crawl(&pagination, answers(pages)).end.unwrap(), Proof::EmptyPage);
}

#[test]
fn an_empty_page_with_a_token_is_not_the_end() {
    let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"data": [], "next": "c"}), json!({"data": data(2..3), "next": null})];
    let crawled = crawl(&of(cursor()), answers(pages));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (3, Proof::NoNext));
}

#[test]
fn a_token_may_be_called_offset_or_page() {
    let token = Token { next: vec![Source::Body(path("offset"))], param: query("offset"), from_url_param: None, first: None };
    let pagination = of(Style::Cursor(Cursor { tokens: vec![token], ..Cursor::default() }));
    let pages = vec![json!({"data": data(0..2), "offset": "itrX/rec9"}), json!({"data": data(2..3)})];
    assert_eq!(crawl(&pagination, answers(pages)).ids.len(), 3);
}

#[test]
fn an_expired_token_is_an_error() {
    let mut pages = 0;
    let crawled = crawl(&of(cursor()), |_| {
        pages += 1;
        match pages {
            1 => Answer { status: 200, headers: vec![], body: json!({"data": data(0..2), "next": "b"}) },
            _ => Answer { status: 410, headers: vec![], body: json!({"reason": "Expired"}) },
        }
    });
    assert!(matches!(crawled.end, Err(PageError::Status { status: StatusCode::GONE, .. })));
}

#[test]
fn an_error_with_status_200_is_an_error() {
    let mut pagination = of(cursor());
    pagination.failures = ErrorSettings::at(path("error"));
    let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"data": [], "error": "ratelimited"})];
    assert!(matches!(crawl(&pagination, answers(pages)).end, Err(PageError::ErrorInPage { .. })));
    let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"ok": true})];
    assert!(matches!(crawl(&of(cursor()), answers(pages)).end, Err(PageError::NoRecords { .. })));
}

#[test]
fn partial_results_with_status_200_are_errors() {
    for (name, partial) in [("incomplete_results", json!(true)), ("timed_out", json!(true)), ("errors", json!([{"message": "x"}])), ("truncated", json!(true))] {
        let mut pagination = of(cursor());
        pagination.failures = ErrorSettings::at(path(name));
        let crawled = crawl(&pagination, answers(vec![json!({"data": data(0..2), name: partial})]));
        assert!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), "{name}");
        let whole = json!({"data": data(0..2), name: false});
        assert!(crawl(&pagination, answers(vec![whole])).end.is_ok(), "{name}");
    }
}

#[test]
fn search_after_keeps_its_mixed_types() {
    let pagination = of(Style::Keyset(Keyset {
        key: vec![path("sort")],
        param: Param::Body(path("search_after")),
        encode: Encode::Plain,
        overlap: Overlap::None,
        usage: KeyUse::Unknown,
    }));
    let mut bodies = Vec::new();
    let crawled = crawl(&pagination, |request| {
        bodies.push(request.body.as_ref().map(RequestBody::to_bytes));
        let data = match bodies.len() {
            1 => json!([{"id": 1, "sort": [1700000000000_u64, "b", 1.5, null]}]),
            _ => json!([]),
        };
        Answer { status: 200, headers: vec![], body: json!({"data": data}) }
    });
    assert_eq!(crawled.end.unwrap(), Proof::EmptyPage);
    assert_eq!(bodies[1].as_deref(), Some(&br#"{"search_after":[1700000000000,"b",1.5,null]}"#[..]));
}

#[test]
fn wrapped_and_keyed_records_are_records() {
    let mut pagination = of(Style::SINGLE);
    pagination.records = Records::at(path("list[*].customer"));
    let crawled = crawl(&pagination, answers(vec![json!({"list": [{"customer": {"id": 1}}, {"customer": {"id": 2}}]})]));
    assert_eq!(crawled.ids, [1, 2]);
    pagination.records = Records::at(path("list"));
    pagination.records.shape = unpage::pagination::RecordsShape::Values;
    let crawled = crawl(&pagination, answers(vec![json!({"list": {"x": {"id": 7}, "a": {"id": 3}}})]));
    assert_eq!(crawled.ids, [7, 3]);
}

#[test]
fn an_error_status_on_page_k_is_not_the_end() {
    for status in [404, 409, 500] {
        let mut pages = 0;
        let crawled = crawl(&page(), |_| {
            pages += 1;
            match pages {
                1 | 2 => Answer { status: 200, headers: vec![], body: json!({"data": data(pages * 10..pages * 10 + 5)}) },
                _ => Answer { status, headers: vec![], body: json!({}) },
            }
        });
        assert!(matches!(crawled.end, Err(PageError::Status { .. })), "{status}");
    }
}

#[test]
fn an_error_status_is_the_end_only_where_that_is_configured() {
    let mut pagination = page();
    pagination.end = End::from(StatusCode::NOT_FOUND);
    let server = Server { records: 20, clamp: 10, empty: vec![], past: Past::NotFound, total: Total::None, pointer: Pointer::Null };
    let crawled = crawl(&pagination, |request| server.answer(&pagination.style, request));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (20, Proof::Status(StatusCode::NOT_FOUND)));
    let first = crawl(&pagination, |_| Answer { status: 404, headers: vec![], body: json!({}) });
    assert!(matches!(first.end, Err(PageError::Status { .. })), "a first page that is missing is no end");
}

#[test]
fn a_next_link_to_another_origin_is_an_error() {
    let link = ("link", "<https://evil.example/list?page=2>; rel=\"next\"".to_owned());
    let pagination = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }));
    let crawled = crawl(&pagination, |_| Answer { status: 200, headers: vec![link.clone()], body: json!({"data": data(0..2)}) });
    assert!(matches!(crawled.end, Err(PageError::BadAddress(_))));
}

#[test]
fn a_cycle_of_tokens_is_an_error_however_long() {
    for length in 1..6 {
        let mut asked = 0;
        let crawled = crawl(&of(cursor()), |_| {
            asked += 1;
            let next = format!("t{}", asked % length);
            Answer { status: 200, headers: vec![], body: json!({"data": data(asked * 10..asked * 10 + 2), "next": next}) }
        });
        assert!(matches!(crawled.end, Err(PageError::AddressRepeats(_) | PageError::TokenRepeats(_))), "{length}: {:?}", crawled.end);
    }
}

#[test]
fn a_page_that_repeats_an_earlier_one_is_an_error_under_any_address() {
    let mut asked = 0;
    let crawled = crawl(&of(cursor()), |_| {
        asked += 1;
        Answer { status: 200, headers: vec![], body: json!({"data": data(0..2), "next": format!("nonce{asked}")}) }
    });
    assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })));
    assert_eq!(crawled.ids, [0, 1]);
}

#[test]
fn an_ignored_page_parameter_is_an_error() {
    for pagination in [page(), offset()] {
        let crawled = crawl(&pagination, |_| Answer { status: 200, headers: vec![], body: json!({"data": data(0..5)}) });
        assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })));
        assert_eq!(crawled.ids, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn pages_that_begin_alike_and_continue_differently_are_no_repeats() {
    let sticky = |from: u64| json!({"data": [record(0), record(from), record(from + 1)]});
    let mut pagination = page();
    pagination.key = None;
    let pages = vec![sticky(1), sticky(3), sticky(5), json!({"data": []})];
    let crawled = crawl(&pagination, answers(pages));
    assert_eq!((crawled.ids, crawled.end.unwrap()), (vec![0, 1, 2, 0, 3, 4, 0, 5, 6], Proof::EmptyPage));
}

#[test]
fn a_total_that_shrinks_is_seen_before_its_page_leaves() {
    let mut pagination = page();
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"total": 12, "data": data(0..5)}), json!({"total": 11, "data": data(6..11)})];
    let crawled = crawl(&pagination, answers(pages));
    assert!(matches!(crawled.end, Err(PageError::TotalShrank { before: 12, after: 11 })));
    assert_eq!(crawled.ids, [0, 1, 2, 3, 4]);
}

#[test]
fn a_range_of_another_place_gives_nothing() {
    let pagination = of(Style::Range(RangeHeader { unit: "items".into(), size: 2 }));
    let mut asked = 0;
    let crawled = crawl(&pagination, |_| {
        asked += 1;
        let range = ["items 0-1/6", "items 1-2/6"][asked - 1];
        let ids = asked as u64 - 1;
        Answer { status: 206, headers: vec![("content-range", range.to_owned())], body: json!({"data": data(ids..ids + 2)}) }
    });
    assert!(matches!(crawled.end, Err(PageError::BadRange(_))));
    assert_eq!(crawled.ids, [0, 1]);
}

#[test]
fn an_endless_row_of_empty_pages_is_an_error() {
    let mut asked = 0;
    let crawled = crawl(&of(cursor()), |_| {
        asked += 1;
        Answer { status: 200, headers: vec![], body: json!({"data": [], "next": format!("t{asked}")}) }
    });
    assert!(matches!(crawled.end, Err(PageError::EmptyPages(21))));
}

#[test]
fn an_endless_cursor_ends_at_unpages_own_cap() {
    let mut asked = 0;
    let crawled = crawl(&of(cursor()), |_| {
        asked += 1;
        Answer { status: 200, headers: vec![], body: json!({"data": [record(asked)], "next": format!("t{asked}")}) }
    });
    assert!(matches!(crawled.end, Err(PageError::Limit { name: "caps.pages", value: 10_000 })));
}

#[test]
fn fewer_records_than_the_total_are_not_the_end() {
    let mut pagination = of(cursor());
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"data": data(0..2), "total": 5, "next": "b"}), json!({"data": [], "total": 5})];
    assert!(matches!(crawl(&pagination, answers(pages)).end, Err(PageError::TotalDisagrees { records: 2, total: 5 })));
}

#[test]
fn a_total_that_is_the_size_of_one_page_is_found_out() {
    let mut pagination = offset();
    pagination.total = Some(Source::Body(path("count")));
    let pages = vec![json!({"data": data(0..5), "count": 5}), json!({"data": data(5..10), "count": 5})];
    let crawled = crawl(&pagination, answers(pages));
    assert!(matches!(crawled.end, Err(PageError::TotalLied(5))));
    assert_eq!(crawled.ids, [0, 1, 2, 3, 4]);
}

#[test]
fn a_total_that_shrinks_under_numbered_pages_is_an_error() {
    let mut pagination = page();
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"data": data(0..5), "total": 12}), json!({"data": data(6..11), "total": 11})];
    assert!(matches!(crawl(&pagination, answers(pages)).end, Err(PageError::TotalShrank { before: 12, after: 11 })));
}

#[test]
fn totals_past_the_end_are_not_believed() {
    let mut pagination = offset();
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"data": data(0..5), "total": 10}), json!({"data": data(5..10), "total": 10}), json!({"data": [], "total": 800})];
    let crawled = crawl(&pagination, answers(pages));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (10, Proof::Total(10)));
}

#[test]
fn totals_spelled_oddly_are_read_or_refused() {
    for (total, good) in [(json!("5"), true), (json!(5.0), true), (json!(null), true), (json!(-1), false), (json!("many"), false), (json!([5]), false)] {
        let mut pagination = of(cursor());
        pagination.total = Some(Source::Body(path("total")));
        let crawled = crawl(&pagination, answers(vec![json!({"data": data(0..5), "total": total, "next": null})]));
        assert_eq!(crawled.end.is_ok(), good, "{total}: {:?}", crawled.end);
    }
}

#[test]
fn a_flag_that_says_more_without_a_next_address_is_an_error() {
    let more = More { path: path("has_more"), while_: json!(true) };
    let pagination = Pagination { more: Some(more), ..of(cursor()) };
    let crawled = crawl(&pagination, answers(vec![json!({"data": data(0..2), "has_more": true})]));
    assert!(matches!(crawled.end, Err(PageError::MoreWithoutNext { .. })));
}

#[test]
fn a_mistyped_next_path_is_found_out() {
    let style = Style::NextUrl(NextUrl { next: vec![Source::Body(path("nextt"))], base: Base::Request });
    let page = json!({"data": data(0..2), "next": format!("{ORIGIN}/list?cursor=2")});
    let crawled = crawl(&of(style), answers(vec![page]));
    assert!(matches!(crawled.end, Err(PageError::PointerElsewhere { .. })), "{:?}", crawled.end);
}

#[test]
fn one_page_with_a_next_link_is_not_one_page() {
    let link = ("link", format!("<{ORIGIN}/list?page=2>; rel=\"next\""));
    let crawled = crawl(&of(Style::SINGLE), |_| Answer { status: 200, headers: vec![link.clone()], body: json!({"data": data(0..2)}) });
    assert!(matches!(crawled.end, Err(PageError::MoreThanOnePage(_))));
}

#[test]
fn a_link_header_that_cannot_be_read_is_not_an_end() {
    let link = ("link", format!("<{ORIGIN}/list?page=2; rel=\"next\""));
    let pagination = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }));
    let crawled = crawl(&pagination, |_| Answer { status: 200, headers: vec![link.clone()], body: json!({"data": data(0..2)}) });
    assert!(matches!(crawled.end, Err(PageError::BadLink(_))));
}

#[test]
fn an_empty_link_header_is_an_end() {
    let pagination = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }));
    let crawled = crawl(&pagination, |_| Answer { status: 200, headers: vec![("link", String::new())], body: json!({"data": []}) });
    assert_eq!(crawled.end.unwrap(), Proof::NoNext);
}

#[test]
fn a_key_that_is_missing_from_the_last_record_is_an_error() {
    let style = Style::Keyset(Keyset { key: vec![path("id")], param: query("after"), encode: Encode::Plain, overlap: Overlap::None, usage: KeyUse::Unknown });
    let crawled = crawl(&of(style), answers(vec![json!({"data": [{"id": 1}, {"name": "x"}]})]));
    assert!(matches!(crawled.end, Err(PageError::NoKey(_))));
}

#[test]
fn links_that_are_requests_are_honoured() {
    let style = Style::NextUrl(NextUrl { next: vec![Source::Links { path: path("links"), rel: "next".into() }], base: Base::Request });
    let mut asked = Vec::new();
    let crawled = crawl(&of(style), |request| {
        asked.push((request.method.clone(), request.body.as_ref().map(RequestBody::to_bytes)));
        let links = match asked.len() {
            1 => json!([{"rel": "self", "href": "/list"}, {"rel": "next", "href": "/search", "method": "POST", "body": {"token": "t2"}, "merge": false}]),
            _ => json!([{"rel": "self", "href": "/search"}]),
        };
        let from = asked.len() as u64 * 10;
        Answer { status: 200, headers: vec![], body: json!({"data": data(from..from + 2), "links": links}) }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (4, Proof::NoNext));
    assert_eq!(asked[1].0, http::Method::POST);
    assert_eq!(asked[1].1.as_deref(), Some(&br#"{"token":"t2"}"#[..]));
}

#[test]
fn mediawiki_continue_is_merged_into_the_first_query() {
    let merge = Some(path("continue"));
    let pagination = of(Style::Cursor(Cursor { merge, ..Cursor::default() }));
    let mut asked = Vec::new();
    let crawled = crawl(&pagination, |request| {
        asked.push(request.url.query().unwrap_or_default().to_owned());
        let body = match asked.len() {
            1 => json!({"data": data(0..2), "continue": {"apcontinue": "B c", "continue": "-||"}}),
            _ => json!({"data": data(2..3), "batchcomplete": true}),
        };
        Answer { status: 200, headers: vec![], body }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (3, Proof::NoNext));
    assert_eq!(asked[1], "apcontinue=B%20c&continue=-%7C%7C");
}

#[test]
fn a_token_is_taken_out_of_a_url() {
    let token = Token { next: vec![Source::Body(path("next"))], param: query("skiptoken"), from_url_param: Some("$skiptoken".into()), first: None };
    let pagination = of(Style::Cursor(Cursor { tokens: vec![token], ..Cursor::default() }));
    let mut asked = Vec::new();
    let crawled = crawl(&pagination, |request| {
        asked.push(request.url.query().unwrap_or_default().to_owned());
        let body = match asked.len() {
            1 => json!({"data": data(0..2), "next": "https://elsewhere.example/x?$top=5&$skiptoken=a%2Fb"}),
            _ => json!({"data": data(2..3)}),
        };
        Answer { status: 200, headers: vec![], body }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (3, Proof::NoNext));
    assert_eq!(asked[1], "skiptoken=a%2Fb");
}

#[test]
fn an_offset_inside_a_query_language_fills_its_template() {
    let template = unpage::pagination::Template("SELECT * STARTPOSITION {offset} MAXRESULTS {limit}".into());
    let mut pagination = of(Style::Offset(Offset { param: query("query"), start: 1, step: Advance::Returned, template: Some(template) }));
    pagination.page_size = Some(PageSize { param: None, value: Some(2), max: None });
    let mut asked = Vec::new();
    let crawled = crawl(&pagination, |request| {
        asked.push(query_value(&request.url, "query").unwrap());
        let data = if asked.len() == 1 { data(0..2) } else { json!([]) };
        Answer { status: 200, headers: vec![], body: json!({"data": data}) }
    });
    assert!(crawled.end.is_ok());
    assert_eq!(asked, ["SELECT * STARTPOSITION 1 MAXRESULTS 2", "SELECT * STARTPOSITION 3 MAXRESULTS 2"]);
}

#[test]
fn the_clients_own_page_size_is_the_one_that_counts() {
    let serve = |request: &PageRequest| {
        let number = |name: &str| query_value(&request.url, name).unwrap().parse::<u64>().unwrap();
        let from = number("offset");
        Answer { status: 200, headers: vec![], body: json!({"data": data(from.min(50)..(from + number("limit")).min(50))}) }
    };
    let mut short = sized(offset(), 100);
    short.end = End::ShortPage;
    let by_size = sized(of(Style::Offset(Offset { param: query("offset"), start: 0, step: Advance::PageSize, template: None })), 100);
    for pagination in [short, by_size] {
        let crawled = crawl_at("/list?limit=10", &pagination, serve);
        assert!(crawled.end.is_ok());
        assert_eq!(crawled.ids.len(), 50);
    }
    let crawled = crawl_at("/list?limit=few", &sized(offset(), 100), serve);
    assert!(matches!(crawled.end, Err(PageError::BadStart(_))));
}

#[test]
fn a_range_under_status_200_is_not_the_whole() {
    let pagination = of(Style::Range(RangeHeader { unit: "items".into(), size: 10 }));
    let server = Server { records: 25, clamp: 10, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
    let crawled = crawl(&pagination, |request| {
        // As PostgREST has it: 200, and no unit.
        let Answer { status, headers, body } = server.answer(&pagination.style, request);
        let headers = headers.into_iter().map(|(name, value)| (name, value.replace("items ", ""))).collect();
        Answer { status: if status == 206 { 200 } else { status }, headers, body }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (25, Proof::Total(25)));
    let link = ("link", format!("<{ORIGIN}/list?page=2>; rel=\"next\""));
    let crawled = crawl(&pagination, |_| Answer { status: 200, headers: vec![link.clone()], body: json!({"data": data(0..10)}) });
    assert!(matches!(crawled.end, Err(PageError::MoreThanOnePage(_))));
}

#[test]
fn a_window_that_is_too_deep_confirms_no_total() {
    let mut pagination = sized(offset(), 10);
    pagination.total = Some(Source::Body(path("total")));
    for (status, depth, why, size, is_end) in [
        (400, 50, "Result window is too large", 10, false),
        (422, 50, "offset exceeds 50", 10, false),
        (400, 50, "page must be between 1 and 5", 10, false),
        (400, 50, "Solo se pueden consultar los primeros 50 resultados", 10, false),
        // A multiple of 100 is often what an upstream counts to.
        (400, 500, "no such page", 10, false),
        // Pages of another size than was asked for: the parameter of the offset may be unknown, too.
        (400, 50, "no such page", 5, false),
        (400, 50, "no such page", 10, true),
        (422, 50, "{}", 10, true),
    ] {
        let crawled = crawl(&pagination, |request| {
            let from = query_value(&request.url, "offset").unwrap().parse::<u64>().unwrap();
            if from >= depth {
                return Answer { status, headers: vec![], body: json!({"error": why}) };
            }
            Answer { status: 200, headers: vec![], body: json!({"data": data(from..(from + size).min(depth)), "total": depth}) }
        });
        match crawled.end {
            Ok(proof) => assert!(is_end && proof == Proof::Total(depth), "{why}: {proof}"),
            Err(wrong) => assert!(!is_end && matches!(wrong, PageError::Status { .. }), "{why}: {wrong}"),
        }
    }
}

#[test]
fn one_page_below_the_requested_size_is_all_where_its_total_agrees_and_no_page_follows() {
    let one = |size: Option<u64>, status: u16| {
        let mut pagination = size.map_or(page(), |size| sized(page(), size));
        pagination.total = Some(Source::Body(path("count")));
        crawl(&pagination, |request| match query_value(&request.url, "page").as_deref() {
            Some("1") => Answer { status: 200, headers: vec![], body: json!({"data": data(0..10), "count": 10}) },
            _ => Answer { status, headers: vec![], body: json!({"detail": "Invalid page."}) },
        })
    };
    assert_eq!(one(Some(50), 400).end.unwrap(), Proof::Total(10));
    assert_eq!(one(None, 404).end.unwrap(), Proof::Total(10));
    for (size, status) in [(Some(10), 400), (None, 400), (Some(50), 403)] {
        assert!(matches!(one(size, status).end, Err(PageError::Status { .. })), "{size:?} {status}");
    }
}

#[test]
fn an_ignored_parameter_beside_the_size_of_one_page_is_found_out() {
    let mut pagination = page();
    pagination.total = Some(Source::Body(path("count")));
    let crawled = crawl(&pagination, |_| Answer { status: 200, headers: vec![], body: json!({"data": data(0..10), "count": 10}) });
    assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })), "{:?}", crawled.end);
}

#[test]
fn a_flag_of_another_type_is_an_error() {
    let more = |while_: Value| Pagination { more: Some(More { path: path("more"), while_ }), ..of(cursor()) };
    for flag in [json!("true"), json!(1), json!("Y")] {
        let pages = vec![json!({"data": data(0..2), "next": "b", "more": flag})];
        assert!(matches!(crawl(&more(json!(true)), answers(pages)).end, Err(PageError::BadFlag(_))), "{flag}");
    }
    let pages = vec![json!({"data": data(0..2), "next": "b", "more": 1.0}), json!({"data": data(2..3), "more": 0})];
    assert_eq!(crawl(&more(json!(1)), answers(pages)).ids.len(), 3);
}

#[test]
fn an_empty_page_is_not_one_of_the_upstreams_pages() {
    let mut pagination = page();
    pagination.total_pages = Some(Source::Body(path("pages")));
    let pages = vec![json!({"data": data(0..2), "pages": 3}), json!({"data": data(2..4), "pages": 3}), json!({"data": [], "pages": 3})];
    assert!(matches!(crawl(&pagination, answers(pages)).end, Err(PageError::PagesDisagree { pages: 2, total_pages: 3 })));
}

#[test]
fn more_records_than_any_total_are_not_the_end() {
    let mut pagination = of(cursor());
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"data": data(0..2), "total": 3, "next": "b"}), json!({"data": data(2..4), "total": 3, "next": null})];
    assert!(matches!(crawl(&pagination, answers(pages)).end, Err(PageError::TotalDisagrees { records: 4, total: 3 })));
    let pages = vec![json!({"data": data(0..3), "total": 4, "next": "b"}), json!({"data": data(3..4), "total": 2, "next": null})];
    assert!(crawl(&pagination, answers(pages)).end.is_ok(), "two of those that were read were deleted since");
}

#[test]
fn an_overlapping_key_that_records_share_is_an_error() {
    let style = Style::Keyset(Keyset { key: vec![path("t")], param: query("since"), encode: Encode::Plain, overlap: Overlap::First, usage: KeyUse::Unknown });
    let one = |id: u64, t: u64| json!({"id": id, "t": t});
    let pages = vec![json!({"data": [one(1, 4), one(2, 5)]}), json!({"data": [one(3, 5), one(4, 6)]})];
    let crawled = crawl(&of(style), answers(pages));
    assert!(matches!(crawled.end, Err(PageError::KeyIsShared)), "{:?}", crawled.end);
}

#[test]
fn a_relation_may_be_an_array_or_one_of_several() {
    let style = Style::NextUrl(NextUrl { next: vec![Source::Links { path: path("links"), rel: "next".into() }], base: Base::Request });
    for rel in [json!(["next"]), json!("next last"), json!("NEXT")] {
        let links = json!([{"rel": ["self"], "href": "/list"}, {"rel": rel, "href": "/list?page=2"}]);
        let pages = vec![json!({"data": data(0..2), "links": links}), json!({"data": data(2..3), "links": []})];
        assert_eq!(crawl(&of(style.clone()), answers(pages)).ids.len(), 3, "{rel}");
    }
}

#[test]
fn records_that_moved_into_the_next_page_are_doubles_by_their_key_and_an_error_without() {
    let page_of = |records, total| json!({"data": data(records), "total": total});
    let pages = vec![page_of(1..3, 3), page_of(2..4, 4), page_of(4..4, 4)];
    let with_total = |key| Pagination { key, total: Some(Source::Body(path("total"))), ..page() };
    let by_key = crawl(&with_total(Some(path("id"))), answers(pages.clone()));
    assert_eq!((by_key.ids, by_key.end.unwrap()), (vec![1, 2, 3], Proof::Total(4)));
    let by_total = crawl(&with_total(None), answers(pages));
    assert!(matches!(by_total.end, Err(PageError::Moved(1))));
    assert_eq!(by_total.ids, [1, 2], "the second page comes in pieces, and gives nothing that moved");
}

#[test]
fn part_of_a_collection_is_not_one_page() {
    let partial = |range: &str| {
        let headers = vec![("content-range", range.to_owned())];
        move |_: &PageRequest| Answer { status: 206, headers: headers.clone(), body: json!({"data": data(0..2)}) }
    };
    assert!(matches!(crawl(&of(Style::SINGLE), partial("0-1/500")).end, Err(PageError::MoreThanOnePage(_))));
    for style in [Style::SINGLE, cursor(), page().style] {
        let crawled = crawl(&of(style), partial("bytes 0-21/500"));
        assert!(matches!(crawled.end, Err(PageError::Status { status: StatusCode::PARTIAL_CONTENT, .. })));
    }
    // Nothing leads on from it, and its status says that there is more.
    assert!(matches!(crawl(&of(cursor()), partial("0-1/500")).end, Err(PageError::PointerElsewhere { .. })));
    let mut flagged = of(Style::SINGLE);
    flagged.more = Some(More { path: path("more"), while_: json!(true) });
    let crawled = crawl(&flagged, answers(vec![json!({"data": data(0..2), "more": true})]));
    assert!(matches!(crawled.end, Err(PageError::MoreThanOnePage(_))));
}

#[test]
fn a_page_of_status_206_is_a_page_in_every_style() {
    for pagination in [of(cursor()), page(), offset()] {
        let server = Server { records: 25, clamp: 10, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
        let crawled = crawl(&pagination, |request| Answer { status: 206, ..server.answer(&pagination.style, request) });
        assert_eq!((crawled.ids.len(), crawled.end.is_ok()), (25, true), "{:?}", pagination.style);
    }
}

#[test]
fn no_content_ends_counted_pages_and_not_before_the_first() {
    let answers = |pagination: &Pagination, pages: u64| {
        let mut asked = 0;
        crawl(pagination, |_| {
            asked += 1;
            match asked {
                asked if asked <= pages => Answer { status: 200, headers: vec![], body: json!({"data": data(asked * 10..asked * 10 + 10)}) },
                _ => Answer { status: 204, headers: vec![], body: json!({"data": []}) },
            }
        })
    };
    let crawled = answers(&page(), 3);
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (30, Proof::EmptyPage));
    assert!(matches!(answers(&page(), 0).end, Err(PageError::NoContent)));
    let mut several = page();
    several.end = End::Status(unpage::pagination::EndStatuses(vec![StatusCode::NO_CONTENT, StatusCode::NOT_FOUND]));
    assert_eq!(answers(&several, 3).end.unwrap(), Proof::Status(StatusCode::NO_CONTENT));
}

#[test]
fn an_overlapping_key_is_confirmed_by_its_own_record() {
    let style = Style::Keyset(Keyset { key: vec![path("id")], param: query("after"), encode: Encode::Plain, overlap: Overlap::First, usage: KeyUse::Unknown });
    let mut pagination = of(style);
    pagination.total = Some(Source::Body(path("total")));
    let pages = vec![json!({"data": data(0..5), "total": 5}), json!({"data": data(4..5), "total": 5})];
    let crawled = crawl(&pagination, answers(pages));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (5, Proof::Total(5)));
}

#[test]
fn a_short_first_page_is_no_end_because_the_upstream_may_cap_it() {
    let server = Server { records: 50, clamp: 10, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
    let mut pagination = sized(offset(), 1000);
    pagination.end = End::ShortPage;
    let crawled = crawl(&pagination, |request| server.answer(&pagination.style, request));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (50, Proof::EmptyPage));
}

#[test]
fn an_empty_page_beside_an_error_is_not_an_end() {
    let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"data": [], "error": {"message": "quota exceeded"}, "next": null})];
    assert!(matches!(crawl(&of(cursor()), answers(pages)).end, Err(PageError::ErrorInPage { .. })));
}

#[test]
fn a_flag_that_no_page_has_is_an_error() {
    let pagination = Pagination { more: Some(More { path: path("hasmore"), while_: json!(true) }), ..of(cursor()) };
    let pages = vec![json!({"data": data(0..2), "next": "b"}), json!({"data": data(2..4), "has_more": true, "next": null})];
    assert!(matches!(crawl(&pagination, answers(pages)).end, Err(PageError::NeverSeen(_))));
}

#[test]
fn a_token_of_1_is_midway_unless_it_is_a_page_number() {
    for (name, proof) in [("_page", None), ("cursor", Some(Proof::NoNext))] {
        let token = Token { next: vec![Source::Body(path("next"))], param: query(name), from_url_param: None, first: None };
        let style = Style::Cursor(Cursor { tokens: vec![token], ..Cursor::default() });
        let mut pagination = of(style);
        pagination.total = Some(Source::Body(path("total")));
        let pages = vec![json!({"data": data(1..3), "total": 3})];
        let crawled = crawl_at(&format!("/list?{name}=1"), &pagination, answers(pages));
        assert_eq!(crawled.end.ok(), proof, "{name}: from the beginning the total counts, midway it doesn't");
    }
}

#[test]
fn a_status_after_a_page_that_began_is_no_end() {
    let mut by_status = page();
    by_status.end = End::from(StatusCode::NOT_FOUND);
    let mut by_total = page();
    by_total.total = Some(Source::Body(path("total")));
    for pagination in [by_status, by_total] {
        for began in [false, true] {
            let guard = LinkGuard::new(&Url::parse(ORIGIN).unwrap(), &[]);
            let first = PageRequest::get(Url::parse(&format!("{ORIGIN}/list")).unwrap());
            let shape = Arc::new(PageShape::new(&pagination, &Caps::default()));
            let mut plan = Walk::new(Arc::new(pagination.clone()), Caps::default(), guard, first).unwrap();
            let WalkStep::Fetch(request) = plan.step() else { panic!("a first page") };
            let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
            plan.begun(&head).unwrap();
            let mut splitter = Splitter::new(shape);
            splitter.feed(br#"{"total":2,"data":[{"id":1},{"id":2}]}"#).unwrap();
            plan.arrived(&head, splitter.finish().unwrap(), None).unwrap();
            assert!(matches!(plan.step(), WalkStep::Fetch(_)));
            if began {
                plan.begun(&head).unwrap();
            }
            let refused = plan.refused(StatusCode::NOT_FOUND, &HeaderMap::new(), b"");
            assert_eq!(matches!(refused, Err(PageError::Gone(StatusCode::NOT_FOUND))), began, "{refused:?}");
            assert_eq!(refused.is_ok(), !began);
        }
    }
}

#[test]
fn a_version_pinned_by_the_first_page_is_kept_after_an_interruption() {
    let link = Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request });
    let range = Style::Range(RangeHeader { unit: "items".to_owned(), size: 3 });
    for style in [link, cursor(), page().style, offset().style, range] {
        let server = Server { records: 13, clamp: 3, empty: vec![], past: Past::Empty, total: Total::None, pointer: Pointer::Null };
        let mut pagination = of(style);
        pagination.precondition = Precondition::Match;
        pagination.valid_at = Some(ValidAt { param: query("v"), from: VersionSource::Page(Source::Header(HeaderName::from_static("x-version"))) });
        let mut requests = Vec::new();
        let crawled = crawl(&pagination, |request| {
            requests.push((query_value(&request.url, "v"), request.headers.get(header::IF_MATCH).cloned()));
            let mut answer = server.answer(&pagination.style, request);
            answer.headers.extend([("x-version", format!("v{}", requests.len())), ("etag", format!("\"{}\"", requests.len()))]);
            answer
        });
        assert_eq!((crawled.ids, crawled.end.is_ok()), (all(&server), true));
        assert!(requests.len() > 4 && requests[0] == (None, None));
        let pinned = (Some("v1".to_owned()), Some(HeaderValue::from_static("\"1\"")));
        assert!(requests[1..].iter().all(|request| *request == pinned), "{requests:?}");
        assert_eq!(crawled.wasted, 0);
    }
}

#[test]
fn a_handle_is_sent_again_until_a_page_is_empty() {
    let mut pagination = of(cursor());
    pagination.same_token = unpage::pagination::SameToken::Again;
    let mut asked = 0;
    let mut scroll = |pages: u64| {
        asked = 0;
        crawl(&pagination, |request| {
            asked += 1;
            assert_eq!(query_value(&request.url, "cursor").is_some(), asked > 1);
            let ids = if asked > pages { 0..0 } else { asked * 2..asked * 2 + 2 };
            Answer { status: 200, headers: vec![], body: json!({"data": data(ids), "next": "handle"}) }
        })
    };
    let crawled = scroll(5);
    assert_eq!((crawled.ids.len(), crawled.requests, crawled.end.unwrap()), (10, 6, Proof::EmptyPage));
    // An upstream that ignores the handle gives its first page again.
    let same = crawl(&pagination, |_| Answer { status: 200, headers: vec![], body: json!({"data": data(0..2), "next": "handle"}) });
    assert!(matches!(same.end, Err(PageError::Repeat { page: 1, .. })), "{:?}", same.end);
}

#[test]
fn the_first_token_is_the_beginning_and_any_other_is_not() {
    let mut style = cursor();
    let Style::Cursor(Cursor { tokens, .. }) = &mut style else { unreachable!() };
    tokens[0].first = Some("start".to_owned());
    let mut pagination = of(style);
    pagination.total = Some(Source::Body(path("total")));
    for (given, is_whole) in [(None, true), (Some("start"), true), (Some(""), true), (Some("*"), true), (Some("b"), false)] {
        let mut first = PageRequest::get(format!("{ORIGIN}/list").parse().unwrap());
        given.into_iter().for_each(|token| first.set(&query("cursor"), &json!(token), Encode::Plain).unwrap());
        let walk = Walk::new(Arc::new(pagination.clone()), Caps::default(), LinkGuard::new(&first.url, &[]), first).unwrap();
        assert_eq!(walk.starts_midway(), !is_whole, "{given:?}");
    }
    let mut sent = Vec::new();
    let crawled = crawl(&pagination, |request| {
        sent.push(query_value(&request.url, "cursor"));
        let is_first = sent.len() == 1;
        let next = if is_first { json!("b") } else { Value::Null };
        Answer { status: 200, headers: vec![], body: json!({"data": data(if is_first { 0..2 } else { 2..3 }), "next": next, "total": 3}) }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (3, Proof::NoNext));
    assert_eq!(sent, [Some("start".to_owned()), Some("b".to_owned())]);
}

#[test]
fn a_next_request_has_its_own_path_and_body() {
    let token = Token { next: vec![Source::Body(path("next"))], param: Param::Body(path("cursor")), from_url_param: None, first: None };
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-next"), HeaderValue::from_static("1"))]);
    let next_request = NextRequest { method: None, path: Some("/list/continue".into()), body: Some(json!({"size": 2})), headers: Box::new(headers) };
    let style = Cursor { tokens: vec![token], next_request: Some(next_request), ..Cursor::default() };
    let mut sent = Vec::new();
    let crawled = crawl(&of(style.into()), |request| {
        sent.push((request.url.path().to_owned(), request.body.as_ref().map(RequestBody::to_bytes)));
        let page = sent.len() as u64;
        assert_eq!(request.headers.contains_key("x-next"), page > 1);
        let next = if page < 3 { json!(format!("t{page}")) } else { Value::Null };
        Answer { status: 200, headers: vec![], body: json!({"data": data(page * 2..page * 2 + 2), "next": next}) }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (6, Proof::NoNext));
    let body = |text: &'static str| Some(bytes::Bytes::from_static(text.as_bytes()));
    assert_eq!(sent[1..], [
        ("/list/continue".to_owned(), body(r#"{"size":2,"cursor":"t1"}"#)),
        ("/list/continue".to_owned(), body(r#"{"size":2,"cursor":"t2"}"#)),
    ]);
}

#[test]
fn a_link_object_has_the_fields_of_its_request_but_for_those_that_others_set() {
    let style = NextUrl { next: vec![Source::Links { path: path("links"), rel: "next".into() }], base: Base::Request };
    let pagination = of(style.into());
    let links = |headers: Value| json!([{"rel": "self", "href": "/list"}, {"rel": "next", "href": "/list", "method": "GET", "headers": headers}]);
    let mut sent = Vec::new();
    let crawled = crawl(&pagination, |request| {
        sent.push(request.headers.clone());
        let page = sent.len() as u64;
        let headers = json!({"X-Next": [format!("t{page}"), "b"], "Authorization": "Bearer other", "Host": "other.example", "Accept": "text/html",
            "Connection": "close", "TE": "trailers", "Range": "bytes=0-1", "X-HTTP-Method-Override": "DELETE", "If-None-Match": "*"});
        let links = if page < 3 { links(headers) } else { json!([]) };
        Answer { status: 200, headers: vec![], body: json!({"data": data(page * 2..page * 2 + 2), "links": links}) }
    });
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (6, Proof::NoNext));
    let fields = ["t1, b", "t2, b"].map(|text| HeaderMap::from_iter([(HeaderName::from_static("x-next"), HeaderValue::from_static(text))]));
    assert_eq!(sent[1..], fields);
    let same = crawl(&pagination, |_| Answer { status: 200, headers: vec![], body: json!({"data": data(0..2), "links": links(json!({"x-next": "a"}))}) });
    assert!(same.end.is_err());
    let bad = crawl(&pagination, |_| Answer { status: 200, headers: vec![], body: json!({"data": data(0..2), "links": links(json!({"x next": "a\n"}))}) });
    assert!(matches!(bad.end, Err(PageError::BadPointer { .. } | PageError::AddressRepeats(_))), "{:?}", bad.end);
}

#[test]
fn a_next_link_that_is_a_template_keeps_the_parameters_of_the_request() {
    for (field, link) in [
        ("next", json!("/list?page=2{&size,sort}")),
        ("next", json!({"href": "/list?page=2{&size,sort}{#top}", "templated": true})),
        ("_links.next.href", json!({"next": {"href": "/list?page=2{&size}", "templated": true}})),
    ] {
        let pagination = of(NextUrl { next: vec![Source::Body(path(field))], base: Base::Request }.into());
        let mut sent = Vec::new();
        let crawled = crawl_at("/list?size=2", &pagination, |request| {
            sent.push(request.url.query().unwrap_or_default().to_owned());
            let name = if field == "next" { "next" } else { "_links" };
            let link = if sent.len() == 1 { link.clone() } else { Value::Null };
            Answer { status: 200, headers: vec![], body: json!({"data": data(sent.len() as u64 * 2..sent.len() as u64 * 2 + 2), name: link}) }
        });
        assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (4, Proof::NoNext));
        assert_eq!(sent[1], "page=2&size=2");
    }
}

#[test]
fn a_raw_token_stands_in_the_url_as_it_came_and_ends_no_parameter() {
    let Style::Cursor(cursor) = cursor() else { unreachable!() };
    let pagination = of(Cursor { encode: Encode::Raw, ..cursor }.into());
    let mut sent = Vec::new();
    crawl(&pagination, |request| {
        sent.push(request.url.query().unwrap_or_default().to_owned());
        let next = if sent.len() < 2 { json!("a%3D+b&x=1#y z") } else { Value::Null };
        Answer { status: 200, headers: vec![], body: json!({"data": data(sent.len() as u64..sent.len() as u64 + 1), "next": next}) }
    }).end.unwrap();
    assert_eq!(sent[1], "cursor=a%3D+b%26x=1%23y%20z");
}

#[test]
fn an_envelope_in_an_array_speaks_as_one_in_an_object() {
    let array = |style: Style| Pagination { records: Records::at(path("[1]")), ..of(style) };
    let about = |total: u64| json!({"page": 1, "pages": 3, "per_page": "2", "total": total});
    let pages = |last: Value| vec![json!([about(5), data(0..2)]), json!([about(5), data(2..4)]), last];
    let crawled = crawl(&array(page().style), answers(pages(json!([about(5), []]))));
    assert!(matches!(crawled.end, Err(PageError::CountContradicts { number: 5, records: 4, .. })), "{:?}", crawled.end);
    assert!(crawl(&array(page().style), answers(pages(json!([about(4), null])))).end.is_ok(), "one is gone");
    let mut whole = pages(json!([about(5), data(4..5)]));
    whole.push(json!([about(5), []]));
    assert_eq!(crawl(&array(page().style), answers(whole)).end.unwrap(), Proof::EmptyPage);
    let failed = json!([{"message": [{"id": "120", "key": "Invalid value", "value": "The provided parameter value is not valid"}]}]);
    for pages in [vec![failed.clone()], pages(failed)] {
        let crawled = crawl(&array(page().style), answers(pages));
        assert!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), "{:?}", crawled.end);
    }
    let linked = json!([{"next": format!("{ORIGIN}/list?cursor=2")}, data(0..2)]);
    assert!(matches!(crawl(&array(Style::SINGLE), answers(vec![linked.clone()])).end, Err(PageError::MoreThanOnePage(_))));
    assert!(matches!(crawl(&array(cursor()), answers(vec![linked])).end, Err(PageError::PointerElsewhere { .. })));
}

#[test]
fn header_fields_refute_an_end() {
    let next = |page: u64| format!("{ORIGIN}/list?page={page}");
    let paging = |rest: &str| format!("{{\"TotalCount\":9,\"PageSize\":2,{rest}}}");
    for (name, value) in [
        ("x-next-page-url", next(9)),
        ("x-next", next(9)),
        ("next-page", next(9)),
        ("x-next-page", "9".to_owned()),
        ("x-pagination", paging(&format!("\"NextPageLink\":\"{}\"", next(9)))),
        ("x-pagination", paging("\"HasNext\":true")),
        ("paging-headers", paging("\"nextPage\":3,\"currentPage\":2")),
    ] {
        // The first page has the configured token, the second one has none or an empty one.
        for last in [json!({"data": data(2..4)}), json!({"data": data(2..4), "next": null})] {
            for pages in [vec![last.clone()], vec![json!({"data": data(0..2), "next": "b"}), last]] {
                let mut pages = pages.into_iter();
                let headers = vec![(name, value.clone())];
                let crawled = crawl(&of(cursor()), |_| Answer { status: 200, headers: headers.clone(), body: pages.next().unwrap() });
                assert!(matches!(crawled.end, Err(PageError::PointerElsewhere { .. })), "{name}: {value}: {:?}", crawled.end);
            }
        }
    }
    for (name, value, refutes) in [
        ("x-total-list", "9", true),
        ("x-pagination-total", "9", true),
        ("total-count", "9", true),
        ("x-pagination", "{\"TotalCount\":9}", true),
        ("x-pagination", "{\"TotalCount\":2,\"TotalPages\":1}", false),
        ("x-query-count", "9", false),
        ("x-cache-hits", "9", false),
        ("x-total-count", "2", false),
    ] {
        let headers = vec![(name, value.to_owned())];
        let crawled = crawl(&of(cursor()), |_| Answer { status: 200, headers: headers.clone(), body: json!({"data": data(0..2)}) });
        let is_refuted = matches!(crawled.end, Err(PageError::CountContradicts { number: 9, records: 2, .. }));
        assert!(is_refuted == refutes && crawled.end.is_ok() != refutes, "{name}: {value}: {:?}", crawled.end);
    }
}

#[test]
fn a_last_page_that_leads_to_itself_or_to_nothing_is_one() {
    for headers in [
        vec![("x-next-page-url", format!("{ORIGIN}/list"))],
        vec![("link", format!("<{ORIGIN}/list>; rel=\"next\""))],
        vec![("x-next", "0".to_owned())],
        vec![("x-next-page", String::new())],
        vec![("x-next-step", format!("{ORIGIN}/orders"))],
        vec![("x-pagination", "{\"nextPage\":2,\"currentPage\":1,\"totalPages\":1}".to_owned())],
        vec![("x-pagination", "{\"nextPageLink\":\"\",\"hasNext\":false}".to_owned())],
        vec![("x-pagination", "page=2".to_owned())],
    ] {
        let crawled = crawl(&of(cursor()), |_| Answer { status: 200, headers: headers.clone(), body: json!({"data": data(0..2)}) });
        assert_eq!(crawled.end.unwrap(), Proof::NoNext, "{headers:?}");
    }
}

#[test]
fn a_short_or_empty_page_that_names_the_next_one_is_no_end_of_counted_pages() {
    let next = |page: u64| json!(format!("{ORIGIN}/list?page={page}"));
    let pages = vec![
        json!({"data": data(0..3), "next": next(2)}),
        json!({"data": data(3..4), "next": next(3)}),
        json!({"data": [], "next": next(4)}),
        json!({"data": data(4..7), "next": next(5)}),
        json!({"data": data(7..8), "next": null}),
    ];
    let mut short = page();
    short.end = End::ShortPage;
    let crawled = crawl(&short, answers(pages.clone()));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (8, Proof::ShortPage));
    let mut empty = pages.clone();
    empty.push(json!({"data": [], "next": null}));
    let crawled = crawl(&page(), answers(empty));
    assert_eq!((crawled.ids.len(), crawled.end.unwrap()), (8, Proof::EmptyPage));
    // An upstream that leads on for ever.
    let forever = (1..7).map(|number| json!({"data": data(if number < 3 { number * 2..number * 2 + 2 } else { 0..0 }), "next": next(number + 1)}));
    let crawled = crawl(&page(), answers(forever.collect()));
    assert_eq!((crawled.ids.len(), crawled.requests, crawled.end.unwrap()), (4, 5, Proof::EmptyPage));
    let mut total = page();
    total.total = Some(Source::Body(path("total")));
    let lying = vec![
        json!({"data": data(0..3), "total": 4, "next": next(2)}),
        json!({"data": data(3..4), "total": 4, "next": next(3)}),
        json!({"data": data(4..7), "total": 4, "next": next(4)}),
    ];
    assert!(matches!(crawl(&total, answers(lying)).end, Err(PageError::TotalLied(_))));
}

#[test]
fn a_link_walk_that_begins_at_a_later_page_is_midway() {
    for (query, is_midway) in [("page=3", true), ("offset=40", true), ("page=1", false), ("page=0", false), ("offset=0", false), ("from=2024", false), ("p=3", false), ("after=b", false)] {
        let mut pagination = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }));
        pagination.total = Some(Source::Body(path("total")));
        let crawled = crawl_at(&format!("/list?{query}"), &pagination, answers(vec![json!({"data": data(0..2), "total": 60})]));
        assert_eq!(crawled.end.is_ok(), is_midway, "{query}: {:?}", crawled.end);
    }
}

#[test]
fn a_page_that_counts_later_ones_is_not_the_last_without_an_address() {
    let link = |page: u64| Answer {
        status: 200,
        headers: vec![("link", format!("<{ORIGIN}/list?page=5>; rel=\"last\"{}", if page < 3 { format!(", <{ORIGIN}/list?page={}>; rel=\"next\"", page + 1) } else { String::new() }))],
        body: json!({"data": data(page * 2..page * 2 + 2)}),
    };
    let by_link = of(Style::LinkHeader(LinkHeader { rel: "next".into(), attribute: None }));
    let page_of = |request: &PageRequest| query_value(&request.url, "page").map_or(1, |page| page.parse().unwrap());
    let crawled = crawl(&by_link, |request| link(page_of(request)));
    assert!(matches!(crawled.end, Err(PageError::NotTheLast(_))), "{:?}", crawled.end);
    let numbered = |own: u64, pages: u64, page: u64| {
        json!({"data": data(page * 2..page * 2 + 2), "next": if page < 2 { json!(page + 1) } else { Value::Null }, "meta": {"current_page": own, "last_page": pages}})
    };
    // Page 3 of 6 is the last; counted from 0; always called page 1; the last of 3 as it says.
    for (own, pages, is_end) in [(3, 6, false), (2, 3, true), (1, 3, true), (3, 3, true)] {
        let crawled = crawl(&of(cursor()), answers((0..3).map(|page| numbered(own, pages, page)).collect()));
        assert_eq!(crawled.end.is_ok(), is_end, "{own} of {pages}: {:?}", crawled.end);
    }
    let last = |own: &str| vec![("link", format!("<{ORIGIN}/list?page=1>; rel=\"last\", <{ORIGIN}/list?page={own}>; rel=\"first\""))];
    let crawled = crawl(&by_link, |_| Answer { status: 200, headers: last("1"), body: json!({"data": data(0..2)}) });
    assert_eq!(crawled.end.unwrap(), Proof::NoNext);
}

#[test]
fn an_empty_page_that_asks_to_come_again_is_no_end() {
    for (fails, is_whole) in [(1, true), (9, false)] {
        let mut asked = 0;
        let crawled = crawl(&of(cursor()), |request| {
            asked += 1;
            let is_second = query_value(&request.url, "cursor").is_some();
            let is_busy = is_second && asked <= 1 + fails;
            let headers = if is_busy { vec![("retry-after", "1".to_owned())] } else { vec![] };
            let records = if is_busy { 0..0 } else if is_second { 2..4 } else { 0..2 };
            Answer { status: 200, headers, body: json!({"data": data(records), "next": if is_second { Value::Null } else { json!("b") }}) }
        });
        let end = crawled.end;
        assert!(if is_whole { crawled.ids.len() == 4 && end.is_ok() } else { matches!(end, Err(PageError::NotYet)) }, "{end:?}");
    }
}

#[test]
fn an_error_in_place_of_values_is_no_record() {
    let records = Records { shape: unpage::pagination::RecordsShape::Values, ..Records::at(Path::root()) };
    let pagination = Pagination { records, key: None, ..of(Style::SINGLE) };
    for (page, fails) in [(json!({"error": "quota"}), true), (json!({"message": ["invalid key"]}), true), (json!({"7": {"id": 7}}), false), (json!({"state": {"id": 7}}), false)] {
        let crawled = crawl(&pagination, answers(vec![page.clone()]));
        assert_eq!(matches!(crawled.end, Err(PageError::ErrorInPage { .. })), fails, "{page}: {:?}", crawled.end);
    }
}
