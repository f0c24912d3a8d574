//! Lists that never change, so that two reads of them are equal: a verified one is a snapshot only where none can lack records.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use unpage::pagination::page::Head;
use unpage::pagination::request::{PageRequest, query_value};
use unpage::pagination::verdict::Consistency;
use unpage::pagination::{ConsistencyLevel, Encode, End, KeyUse, Keyset, More, Overlap, Pagination, Style};
use url::Url;

use crate::crawl::{Crawled, Manner, crawl};
use crate::fan_out::{cursor, keyset, of, offset_from, page_from, path, query, says, sized};
use crate::server::{Answer, ORIGIN, Server, Total};

fn verified(style: Style) -> Pagination {
    Pagination { consistency: Some(ConsistencyLevel::Verify), ..of(style) }
}

/// The same with a flag.
fn flagged(style: Style) -> Pagination {
    Pagination { more: Some(More { path: path("more"), while_: json!(true) }), ..verified(style) }
}

/// Crawls a list whose pages have these bodies, each by the number in its request.
fn read(pagination: &Pagination, manner: Manner, body: impl Fn(usize) -> Value) -> Crawled {
    let first = PageRequest::get(Url::parse(&format!("{ORIGIN}/list")).unwrap());
    let crawled = crawl(pagination, first, manner, |request| {
        let number = |name| query_value(&request.url, name).and_then(|text| text.parse().ok());
        let at = ["offset", "cursor", "after", "page"].into_iter().find_map(number).unwrap_or(0);
        let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
        Answer { head, body: body(at).to_string() }
    });
    assert!(crawled.end.is_ok(), "{:?}", crawled.end);
    crawled
}

fn consistency(pagination: &Pagination, body: impl Fn(usize) -> Value) -> String {
    read(pagination, Manner::of(1), body).consistency.unwrap().to_string()
}

fn records(ids: &[u64]) -> Value {
    ids.iter().map(|id| json!({ "id": id })).collect()
}

#[test]
fn equal_sort_values_in_another_order_on_the_next_page_make_no_snapshot() {
    let ties = |at: usize| {
        let list = if at == 2 { [1, 3, 2, 4, 5, 6] } else { [1, 2, 3, 4, 5, 6] };
        let next = Some(at + 2).filter(|next| *next < list.len());
        json!({ "data": records(list.chunks(2).nth(at / 2).unwrap_or_default()), "more": next.is_some(), "next": next.map(|next| format!("{next}")) })
    };
    for pagination in [flagged(offset_from(0)), verified(cursor())] {
        let crawled = read(&pagination, Manner::of(1), ties);
        assert_eq!(crawled.ids, [1, 2, 4, 5, 6]);
        let verdict = crawled.consistency.unwrap().to_string();
        assert!(verdict.starts_with("unverified: a page repeated records of the one before"), "{verdict}");
    }
}

#[test]
fn records_without_a_key_make_no_snapshot() {
    let pages = |at: usize| match at {
        0 => json!({ "data": records(&[1, 2]), "more": true }),
        _ => json!({ "data": [{ "id": 3 }, { "id": null, "n": 2 }], "more": false }),
    };
    let verdict = consistency(&flagged(offset_from(0)), pages);
    assert!(verdict.starts_with("unverified: records without a key"), "{verdict}");
}

#[test]
fn a_keyset_by_another_value_than_the_key_may_lack_records_that_tie() {
    let by = |key: &str| {
        let key = vec![path(key)];
        let (param, encode, overlap) = (query("after"), Encode::Plain, Overlap::None);
        Style::Keyset(Keyset { key, param, encode, overlap, usage: KeyUse::Compared })
    };
    let list = [(1, 10), (2, 20), (3, 20), (4, 30), (5, 40)];
    let pages = |by_time: bool| {
        move |after: usize| {
            let behind = list.into_iter().filter(|(id, at)| after < if by_time { *at } else { *id });
            json!({ "data": behind.take(2).map(|(id, at)| json!({ "id": id, "at": at })).collect::<Vec<Value>>() })
        }
    };
    let verdict = consistency(&verified(by("at")), pages(true));
    assert!(verdict.starts_with("unverified: each page begins behind a key, and records that share one"), "{verdict}");
    assert!(consistency(&verified(by("id")), pages(false)).starts_with("steady"));
}

#[test]
fn a_snapshot_of_several_pages_needs_all_keys() {
    let pages = |at: usize| json!({ "data": records(&[at as u64, at as u64 + 1]), "more": at < 200 });
    for (key_memory, word) in [(None, "snapshot"), (Some(100), "unverified: ")] {
        let manner = Manner { key_memory, ..Manner::of(1) };
        let verdict = read(&flagged(offset_from(0)), manner, pages).consistency.unwrap().to_string();
        assert!(verdict.starts_with(word), "{verdict}");
        assert_eq!(verdict.contains("forgotten for want of room (caps.spool)"), key_memory.is_some(), "{verdict}");
    }
}

#[test]
fn a_page_that_is_filtered_empty_or_short_ends_each_read_alike() {
    let pages = |page: usize| json!({ "data": records(match page { 0 | 1 => &[1, 2, 3], 2 => &[4, 5, 6], 4 => &[10, 11], _ => &[] }) });
    let verdict = consistency(&verified(page_from(1)), pages);
    assert!(verdict.starts_with("unverified: a short or empty page was taken for the end"), "{verdict}");
}

#[test]
fn only_an_end_that_a_list_cannot_fake_makes_a_snapshot() {
    let by_length = |style| Pagination { end: End::ShortPage, ..verified(style) };
    for (pagination, total, expected) in [
        (verified(page_from(1)), Total::None, "unverified: a short or empty page"),
        (verified(offset_from(0)), Total::None, "unverified: a short or empty page"),
        (by_length(page_from(1)), Total::None, "unverified: a short or empty page"),
        (by_length(page_from(1)), Total::Records, "snapshot"),
        (verified(page_from(1)), Total::Pages, "snapshot"),
        (verified(page_from(1)), Total::Records, "snapshot"),
        (verified(offset_from(0)), Total::Records, "snapshot"),
        (verified(cursor()), Total::None, "steady"),
        (verified(keyset(Overlap::None)), Total::None, "steady"),
    ] {
        let mut pagination = sized(pagination, 5);
        says(&mut pagination, total);
        let server = Server { total, ..Server::of(pagination.style.clone(), 23, 5) };
        for width in [1, 6] {
            let crawled = crawl(&pagination, server.first(), Manner::of(width), |request| server.answer(request));
            assert_eq!(crawled.ids, server.ids());
            let verdict: Consistency = crawled.consistency.unwrap();
            assert!(verdict.to_string().starts_with(expected), "{} {total:?}: {verdict}", pagination.style.name());
        }
    }
}
