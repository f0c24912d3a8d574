//! The word that each plan gives its records: never more than its pages can show.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use unpage::pagination::Source;
use unpage::pagination::page::Head;
use unpage::pagination::partition_settings::Direction;
use unpage::pagination::request::{PageRequest, query_value, remove_query};
use unpage::pagination::verdict::Consistency;
use unpage::pagination::{
    Base, More, NextUrl, Overlap, Pagination, Precondition, Style, TimeFormat, ValidAt, VersionSource,
};
use url::Url;

use crate::crawl::{Manner, crawl};
use crate::fan_out::{cursor, keyset, of, offset_from, page_from, path, query, says, sized};
use crate::parts::plainly;
use crate::server::{Answer, ORIGIN, Record, Server, Total};

const DATE: &str = "Wed, 01 Jan 2020 00:01:01 GMT";

/// Crawls this many records, five a page, from an upstream whose answers are dated and tagged.
fn verdict(pagination: &Pagination, total: Total, records: u64, width: usize) -> Consistency {
    let mut pagination = sized(pagination.clone(), 5);
    says(&mut pagination, total);
    let server = Server { total, ..Server::of(pagination.style.clone(), records, 5) };
    let manner = Manner { interrupts: usize::from(width > 1) * 3, ..Manner::of(width) };
    let crawled = crawl(&pagination, server.first(), manner, |request| {
        let mut answer = server.answer(request);
        answer.head.headers.insert(header::DATE, HeaderValue::from_static(DATE));
        answer.head.headers.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
        answer
    });
    assert_eq!(crawled.ids, server.ids());
    crawled.end.unwrap();
    crawled.consistency.unwrap()
}

fn why(consistency: &Consistency) -> &str {
    match consistency {
        Consistency::Unverified { why } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn several_pages_are_unverified_until_something_ties_them() {
    for (style, reason) in [
        (page_from(1), "pages are numbered"),
        (offset_from(0), "pages are numbered"),
        (keyset(Overlap::None), "keep their place by it"),
        (cursor(), "links and tokens"),
    ] {
        for (total, width) in [(Total::None, 1), (Total::Records, 1), (Total::Records, 6)] {
            let verdict = verdict(&of(style.clone()), total, 23, width);
            assert!(why(&verdict).contains(reason), "{}: {verdict}", style.name());
        }
    }
}

#[test]
fn a_page_that_says_that_it_is_all_is_of_one_moment() {
    let at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_861));
    for (style, total, records) in [
        (Style::SINGLE, Total::None, 3),
        (cursor(), Total::None, 3),
        (cursor(), Total::None, 0),
        (page_from(1), Total::None, 0),
        (page_from(1), Total::Records, 3),
        (offset_from(0), Total::Records, 5),
    ] {
        for width in [1, 6] {
            let verdict = verdict(&of(style.clone()), total, records, width);
            assert_eq!(verdict, Consistency::Snapshot { at }, "{} of {}", records, style.name());
        }
    }
    // The empty page behind it is of another moment: a list that shrank has one, too.
    for style in [page_from(1), offset_from(0)] {
        assert!(why(&verdict(&of(style), Total::None, 3, 1)).contains("numbered"));
    }
}

#[test]
fn an_upstream_that_is_asked_for_one_state_answers_for_it() {
    let matching = Pagination { precondition: Precondition::Match, ..of(page_from(1)) };
    let by = "`if-match` in every request but the first".to_owned();
    assert_eq!(verdict(&matching, Total::None, 23, 1), Consistency::Upstream { by });
    assert!(
        matches!(verdict(&matching, Total::Records, 3, 1), Consistency::Snapshot { .. }),
        "no page had a condition"
    );
}

#[test]
fn an_upstream_that_does_not_show_that_it_heeds_a_condition_is_not_believed() {
    let link = Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request });
    for style in [link, cursor(), page_from(1), keyset(Overlap::None)] {
        for interrupts in [0, 3] {
            for (tag, reason) in
                [(Some("\"p2\""), "heeds `if-match: \"v1\"`"), (None, "no `etag`"), (Some("\"v1\""), "")]
            {
                let pagination = sized(Pagination { precondition: Precondition::Match, ..of(style.clone()) }, 5);
                let server = Server::of(pagination.style.clone(), 23, 5);
                let mut asked = Vec::new();
                let crawled = crawl(&pagination, server.first(), Manner { interrupts, ..Manner::of(1) }, |request| {
                    let mut answer = server.answer(request);
                    if !asked.contains(&request.url) {
                        asked.push(request.url.clone());
                    }
                    // The third page has a validator of its own, however often it is asked for.
                    let tag = if asked.get(2) == Some(&request.url) { tag } else { Some("\"v1\"") };
                    answer.head.headers.extend(tag.map(|tag| (header::ETAG, HeaderValue::from_static(tag))));
                    answer
                });
                crawled.end.unwrap();
                match crawled.consistency.unwrap() {
                    Consistency::Upstream { .. } => assert_eq!(reason, "", "{tag:?}"),
                    doubted => assert!(!reason.is_empty() && why(&doubted).contains(reason), "{tag:?}: {doubted}"),
                }
            }
        }
    }
}

#[test]
fn parts_are_of_different_moments() {
    let (server, mut pagination) = plainly((0..200).map(Record::of).collect(), Direction::Ascending);
    let crawled = crawl(&pagination, server.first(), Manner::of(6), |request| server.answer(request));
    crawled.end.unwrap();
    assert!(why(&crawled.consistency.unwrap()).contains("parts"));
    pagination.valid_at = Some(ValidAt { param: query("as_of"), from: VersionSource::Clock(TimeFormat::Unix) });
    let mut first = server.first();
    first.url.query_pairs_mut().append_pair("as_of", "1577836861");
    let crawled = crawl(&pagination, first, Manner::of(6), |request| server.answer(request));
    crawled.end.unwrap();
    let by = "`as_of` in every request".to_owned();
    assert_eq!(crawled.consistency, Some(Consistency::Upstream { by }));
}

#[test]
fn a_page_that_repeats_records_is_not_of_the_state_that_was_named() {
    let valid_at = Some(ValidAt { param: query("as_of"), from: VersionSource::Clock(TimeFormat::Unix) });
    let more = Some(More { path: path("more"), while_: json!(true) });
    let pagination = Pagination { valid_at, more, ..of(offset_from(0)) };
    for (second, is_named) in [(json!([{"id": 3}, {"id": 4}]), true), (json!([{"id": 2}, {"id": 3}]), false)] {
        let first = PageRequest::get(Url::parse(&format!("{ORIGIN}/list?as_of=1577836861")).unwrap());
        let crawled = crawl(&pagination, first, Manner::of(1), |request| {
            let is_first = query_value(&request.url, "offset").is_none_or(|offset| offset == "0");
            let records = if is_first { json!([{"id": 1}, {"id": 2}]) } else { second.clone() };
            let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
            Answer { head, body: json!({"data": records, "more": is_first}).to_string() }
        });
        crawled.end.unwrap();
        match crawled.consistency.unwrap() {
            Consistency::Upstream { by } => assert!(is_named && by.contains("as_of")),
            doubted => assert!(!is_named && why(&doubted).contains("repeated records of the one before"), "{doubted}"),
        }
    }
}

/// Crawls a list whose pages, each of two records, lead to each other by these addresses, and that begins with the first one.
fn linked(addresses: &[&str], manner: Manner) -> Consistency {
    let (consistency, asked) = linked_and_kept(addresses, &[], manner);
    assert_eq!(asked.len(), addresses.len());
    consistency
}

/// The same where parameters are kept, with the queries of the requests.
fn linked_and_kept(addresses: &[&str], keep: &[&str], manner: Manner) -> (Consistency, BTreeSet<String>) {
    let style = Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request });
    let keep = keep.iter().map(|name| (*name).to_owned()).collect();
    let pagination = Pagination { keep, ..of(style) };
    let mut asked = BTreeSet::new();
    let url = |at: usize| Url::parse(&format!("{ORIGIN}/list{}", addresses[at])).unwrap();
    let crawled = crawl(&pagination, PageRequest::get(url(0)), manner, |request| {
        asked.insert(request.url.query().unwrap_or(request.url.path()).to_owned());
        let mut link = request.url.clone();
        pagination.keep.iter().filter(|_| request.url != url(0)).for_each(|name| remove_query(&mut link, name));
        let at = (0..addresses.len()).find(|at| url(*at) == link).unwrap();
        let next = addresses.get(at + 1).map(|_| url(at + 1).to_string());
        let body = json!({"data": [{"id": 2 * at}, {"id": 2 * at + 1}], "next": next}).to_string();
        Answer { head: Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() }, body }
    });
    crawled.end.unwrap();
    assert_eq!(crawled.ids.len(), 2 * addresses.len());
    (crawled.consistency.unwrap(), asked)
}

#[test]
fn a_parameter_that_a_numbered_link_lacks_is_told_or_kept() {
    let addresses = ["?limit=5&q=a&q=b", "?page=2&limit=5", "?page=3&limit=5"];
    for interrupts in [0, 1] {
        let manner = Manner { interrupts, ..Manner::of(1) };
        let (verdict, _) = linked_and_kept(&addresses, &[], manner);
        assert!(why(&verdict).contains("the next address lacks `q`, `q`"), "{verdict}");
        let (verdict, asked) = linked_and_kept(&addresses, &["q"], manner);
        assert!(!why(&verdict).contains("lacks"), "{verdict}");
        let expected = ["limit=5&q=a&q=b", "page=2&limit=5&q=a&q=b", "page=3&limit=5&q=a&q=b"];
        assert_eq!(asked.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
    // A token may stand for all of them.
    assert!(!why(&linked(&["?limit=5", "?after=abc", "?after=def"], Manner::of(1))).contains("lacks"));
}

#[test]
fn one_page_that_names_a_place_is_no_snapshot() {
    for place in ["?page=7", "?offset=40", "/page/7"] {
        assert!(why(&linked(&[place], Manner::of(1))).contains("began behind the first record"), "{place}");
    }
    for place in ["?cursor=abc", "?page_token=abc", "?before=7", "?max_id=7", "?since_id=7"] {
        assert!(why(&linked(&[place], Manner::of(1))).contains("names a page"), "{place}");
    }
    for place in ["", "?page=1", "?offset=0", "?cursor=", "?created_after=2020&access_token=7", "/page/1"] {
        assert_eq!(linked(&[place], Manner::of(1)), Consistency::Snapshot { at: None }, "{place}");
    }
}

#[test]
fn one_odd_link_makes_numbered_pages_no_less_so() {
    for interrupts in [0, 1] {
        let manner = Manner { interrupts, ..Manner::of(1) };
        let is_numbered = |addresses: &[&str]| why(&linked(addresses, manner)).contains("pages are numbered");
        assert!(is_numbered(&["", "?page=2", "?page=3", "?after=abc", "?after=def"]), "{interrupts}");
        assert!(is_numbered(&["?q=1", "?q=1&page=2", "?page=3"]) && is_numbered(&["", "/page/2", "/page/3"]));
        assert!(!is_numbered(&["", "?after=abc", "?after=def"]));
    }
}

#[test]
fn forgotten_keys_are_a_part_of_the_verdict() {
    for (memory, interrupts) in [(None, 0), (Some(100), 0), (Some(100), 1)] {
        let addresses: Vec<_> = (0..60).map(|at| format!("?after={at}x")).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let manner = Manner { key_memory: memory, interrupts, ..Manner::of(1) };
        let verdict = linked(&addresses, manner);
        assert_eq!(why(&verdict).contains("forgotten for want of room (caps.spool)"), memory.is_some(), "{verdict}");
    }
}
