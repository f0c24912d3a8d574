//! Upstreams whose offsets are no place in a list, under `consistency = "repair"`: each stream has every record once and says what it can't
//! show, or breaks at once.

use http::{HeaderMap, StatusCode};
use serde_json::json;
use unpage::pagination::page::Head;
use unpage::pagination::plan::Proof;
use unpage::pagination::request::PageRequest;
use unpage::pagination::verdict::{Consistency, Doubt};
use unpage::pagination::{ConsistencyLevel, Encode, KeyUse, Keyset, More, Overlap, PageError, Pagination, Param};

use crate::crawl::{Crawled, Manner, crawl};
use crate::fan_out::{of, offset_from, page_from, says, sized};
use crate::server::{Answer, Server, Total, number};

const RECORDS: u64 = 95;
const PAGE: u64 = 10;

fn repaired(total: Total) -> Pagination {
    let mut pagination = sized(of(offset_from(0)), PAGE);
    pagination.consistency = Some(ConsistencyLevel::Repair);
    says(&mut pagination, total);
    pagination
}

/// Answer with these records, as `(id, version)`.
fn list(request: &PageRequest, total: Option<u64>, records: impl IntoIterator<Item = (u64, u64)>) -> Answer {
    let records: Vec<_> = records.into_iter().map(|(id, version)| json!({"id": id, "version": version})).collect();
    let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
    Answer { head, body: json!({"data": records, "total": total}).to_string() }
}

/// Crawls a list whose offsets the upstream changes before it uses them; none where it refuses them.
fn rounded(records: u64, total: Total, width: usize, round: impl Fn(u64) -> Option<u64>) -> Crawled {
    let pagination = repaired(total);
    let first = Server::of(offset_from(0), 0, PAGE).first();
    crawl(&pagination, first, Manner::of(width), |request| match round(number(request, "offset").unwrap_or(0)) {
        Some(from) => {
            let total = (total == Total::Records).then_some(records);
            list(request, total, (from..records.min(from + PAGE)).map(|id| (id, 0)))
        }
        None => {
            let head = Head { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), url: request.url.clone() };
            Answer { head, body: json!({"error": "offset must be a multiple of limit"}).to_string() }
        }
    })
}

#[test]
fn offsets_between_pages_that_are_refused_or_rounded_are_given_up() {
    let down = |offset: u64| Some(offset / PAGE * PAGE);
    let up = |offset: u64| Some(offset.div_ceil(PAGE) * PAGE);
    let refused = |offset: u64| offset.is_multiple_of(PAGE).then_some(offset);
    for (round, spent) in [(&down as &dyn Fn(u64) -> Option<u64>, 1), (&up, 3), (&refused, 1)] {
        for total in [Total::None, Total::Records] {
            for width in [1, 6] {
                let crawled = rounded(90, total, width, round);
                assert!(crawled.end.is_ok(), "{:?}", crawled.end);
                assert_eq!(crawled.ids, (0..90).collect::<Vec<_>>());
                assert_eq!(crawled.consistency, Some(Doubt::Unaligned.into()));
                let needed = crawled.requests - crawled.wasted;
                assert!(width > 1 || needed <= 11 + spent, "{needed} requests");
            }
        }
    }
    let exact = rounded(RECORDS, Total::Records, 1, Some);
    assert_eq!((exact.consistency, exact.requests), (Some(Consistency::Steady), 11));
}

#[test]
fn a_list_that_never_rests_costs_a_quarter_more_requests_and_then_breaks() {
    // Before each request from the second page on, one and a half pages of records are deleted in front.
    for calm in [3, 400] {
        let mut requests = 0;
        let pagination = repaired(Total::None);
        let first = Server::of(offset_from(0), 0, PAGE).first();
        let crawled = crawl(&pagination, first, Manner::of(1), |request| {
            requests += 1;
            let gone = 15 * u64::saturating_sub(requests, calm);
            let from = number(request, "offset").unwrap_or(0) + gone;
            list(request, None, (from..from + PAGE).map(|id| (id, 0)))
        });
        let Err(PageError::Drifted(repairs)) = crawled.end else { panic!("{:?}", crawled.end) };
        let pages = crawled.ids.len() as u64 / (PAGE - 1) + 2;
        assert!(repairs > 20 && repairs <= 20.max(pages / 4) + 1, "{repairs} repairs of {pages} pages");
        assert!(requests <= pages + repairs + 1, "{requests} requests for {pages} pages");
        assert!(crawled.ids.is_sorted_by(|one, next| one < next), "a record is doubled");
    }
}

#[test]
fn an_offset_that_is_ignored_is_a_repetition() {
    for total in [Total::None, Total::Records] {
        let crawled = rounded(RECORDS, total, 1, |_| Some(0));
        assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })), "{:?}", crawled.end);
        let needed = crawled.requests - crawled.wasted;
        assert!(needed <= 3, "{needed} requests");
    }
}

#[test]
fn offsets_that_are_clamped_to_the_last_page_end_at_once() {
    let to_last_page = |offset: u64| Some(if offset < RECORDS { offset } else { RECORDS - 5 });
    let to_full_page = |offset: u64| Some(offset.min(RECORDS - PAGE));
    for clamped in [&to_last_page as &dyn Fn(u64) -> Option<u64>, &to_full_page] {
        let crawled = rounded(RECORDS, Total::None, 1, clamped);
        assert!(matches!(crawled.end, Err(PageError::Repeat { page: 12, .. })), "{:?}", crawled.end);
        assert_eq!(crawled.ids.len() as u64, RECORDS);
    }
    let crawled = rounded(RECORDS, Total::Records, 1, to_last_page);
    assert_eq!((crawled.end.unwrap(), crawled.consistency), (Proof::Total(RECORDS), Some(Consistency::Steady)));
    let crawled = rounded(RECORDS, Total::Records, 1, to_full_page);
    assert!(matches!(crawled.end, Err(PageError::ReachDisagrees { reach: 100, total: RECORDS })), "{:?}", crawled.end);
}

/// Crawls a list without a total whose pages lack some of the records at their offsets.
fn filtered(is_hidden: impl Fn(u64) -> bool) -> Crawled {
    let first = Server::of(offset_from(0), 0, PAGE).first();
    crawl(&repaired(Total::None), first, Manner::of(1), |request| {
        let from = number(request, "offset").unwrap_or(0);
        list(request, None, (from..RECORDS.min(from + PAGE)).filter(|id| !is_hidden(*id)).map(|id| (id, 0)))
    })
}

#[test]
fn short_pages_that_are_no_end_leave_the_end_unverified() {
    for hidden in [vec![13], vec![5, 17, 23], vec![28, 29], vec![70, 71, 72]] {
        let crawled = filtered(|id| hidden.contains(&id));
        let expected: Vec<_> = (0..RECORDS).filter(|id| !hidden.contains(id)).collect();
        assert_eq!(
            (crawled.ids, crawled.consistency),
            (expected, Some(Doubt::ShortPage.into())),
            "{hidden:?}: {:?}",
            crawled.end
        );
    }
}

/// Crawls a list of 9,950 records without a total, every page of which ends where `is_cut` says; pages behind the end have this status.
fn cut(manner: Manner, behind: StatusCode, is_cut: impl Fn(u64) -> bool) -> Crawled {
    let mut pagination = sized(of(offset_from(0)), 100);
    pagination.consistency = Some(ConsistencyLevel::Repair);
    crawl(&pagination, Server::of(offset_from(0), 0, 100).first(), manner, |request| {
        let from = number(request, "offset").unwrap_or(0);
        let page = (from..9_950.min(from + 100)).take_while(|id| !is_cut(*id)).map(|id| (id, 0));
        let mut answer = list(request, None, page);
        answer.head.status = if from > 9_950 { behind } else { StatusCode::OK };
        answer
    })
}

#[test]
fn one_look_behind_the_end_shows_records_that_every_page_before_it_lacks() {
    for width in [1, 6] {
        let whole = cut(Manner::of(width), StatusCode::OK, |_| false);
        assert_eq!((whole.ids.len(), whole.consistency), (9_950, Some(Consistency::Steady)));
        // Without shared records a crawl takes 101.
        let needed = whole.requests - whole.wasted;
        assert!(width > 1 || needed * 100 <= 101 * 103, "{needed} requests");
        for at in [100, 4_321, 9_900, 9_948] {
            let crawled = cut(Manner::of(width), StatusCode::OK, |id| id == at);
            assert!(matches!(crawled.end, Err(PageError::RecordsBehindTheEnd { .. })), "{at}: {:?}", crawled.end);
        }
    }
    let not_found = cut(Manner::of(1), StatusCode::NOT_FOUND, |_| false);
    assert_eq!((not_found.end.is_ok(), not_found.consistency), (true, Some(Consistency::Steady)));
    let too_deep = cut(Manner::of(1), StatusCode::BAD_REQUEST, |_| false);
    assert_eq!((too_deep.end.is_ok(), too_deep.consistency), (true, Some(Doubt::ShortPage.into())));
}

#[test]
fn a_hole_that_is_wider_than_a_page_is_shown_by_pages_that_came_ahead_of_it() {
    let word = |seed| {
        let crawled = cut(Manner { seed, ..Manner::of(6) }, StatusCode::OK, |id| (4_321..4_425).contains(&id));
        assert!(crawled.end.is_ok() && crawled.ids.len() == 4_321, "{:?}", crawled.end);
        crawled.consistency.unwrap().word()
    };
    let words: Vec<_> = (1..=20).map(word).collect();
    // Where none of them has come before the walk drops them, nothing contradicts the end.
    assert!(
        words.contains(&"unverified") && words.iter().all(|word| ["unverified", "steady"].contains(word)),
        "{words:?}"
    );
}

#[test]
fn a_total_on_the_first_page_alone_holds_no_later_page() {
    let changing = |records: [u64; 2], total: u64| {
        let mut asked = 0;
        crawl(&repaired(Total::Records), Server::of(offset_from(0), 0, PAGE).first(), Manner::of(1), |request| {
            let from = number(request, "offset").unwrap_or(0);
            // Records are inserted or deleted when four pages have come.
            let records = records[usize::from(asked >= 4)];
            asked += 1;
            list(request, (from == 0).then_some(total), (from..records.min(from + PAGE)).map(|id| (id, 0)))
        })
    };
    for (records, total, steady) in
        [([95, 95], 95, true), ([95, 97], 95, true), ([95, 93], 95, false), ([95, 95], 99, false)]
    {
        let crawled = changing(records, total);
        assert_eq!(crawled.ids, (0..records[1]).collect::<Vec<_>>(), "{:?}", crawled.end);
        let word = if steady { Consistency::Steady } else { Doubt::Fewer.into() };
        assert_eq!((crawled.end.is_ok(), crawled.consistency), (true, Some(word)), "{records:?}, {total}");
    }
}

#[test]
fn a_keyset_of_fewer_records_than_the_last_total_is_unverified() {
    for (totals, came, word) in [([95, 95], 95, "steady"), ([95, 99], 97, "unverified"), ([95, 90], 93, "steady")] {
        let mut pagination = by_key(KeyUse::Compared, PAGE);
        says(&mut pagination, Total::Records);
        let crawled = crawl(&pagination, Server::of(offset_from(0), 0, PAGE).first(), Manner::of(1), |request| {
            let from = number(request, "after").map_or(0, |after| after + 1);
            let total = totals[usize::from(from > 0)];
            list(request, Some(total), (from..came.min(from + PAGE)).map(|id| (id, 0)))
        });
        assert_eq!((crawled.ids.len() as u64, crawled.end.is_ok()), (came, true), "{:?}", crawled.end);
        assert_eq!(crawled.consistency.unwrap().word(), word, "{totals:?}, {came}");
    }
}

#[test]
fn a_page_of_another_size_that_is_dropped_has_passed_nothing() {
    // Pages have five records, whatever is asked for, and one is inserted in front behind page 1.
    let mut pagination = sized(of(page_from(1)), 10);
    pagination.consistency = Some(ConsistencyLevel::Repair);
    let mut asked = 0;
    let crawled = crawl(&pagination, Server::of(page_from(1), 0, 10).first(), Manner::of(1), |request| {
        let ids: Vec<u64> = if asked == 0 { (1..10).collect() } else { (0..10).collect() };
        asked += 1;
        let from = (number(request, "page").unwrap() as usize - 1) * 5;
        list(request, None, ids.into_iter().skip(from).take(5).map(|id| (id, 0)))
    });
    let missing: Vec<_> = (1..10).filter(|id| !crawled.ids.contains(id)).collect();
    assert!(
        missing.is_empty() || crawled.end.is_err(),
        "{missing:?} missing: {:?}, {:?}",
        crawled.ids,
        crawled.consistency
    );
}

/// Pages of so many records behind a key.
fn by_key(usage: KeyUse, page: u64) -> Pagination {
    let key = || "id".parse().unwrap();
    let param = Param::Query("after".to_owned());
    let style = Keyset { key: vec![key()], param, encode: Encode::Plain, overlap: Overlap::None, usage };
    let mut pagination = sized(of(style.into()), page);
    (pagination.key, pagination.consistency) = (Some(key()), Some(ConsistencyLevel::Repair));
    pagination
}

#[test]
fn a_walk_that_steps_back_to_the_beginning_meets_each_known_page_until_it_goes_on() {
    let pagination = by_key(KeyUse::Unknown, 10);
    let mut requests = 0;
    let crawled = crawl(&pagination, Server::of(offset_from(0), 0, 10).first(), Manner::of(1), |request| {
        requests += 1;
        let gone: &[u64] = if requests < 4 { &[] } else { &[300, 290, 280, 260, 220, 140] };
        let ids: Vec<u64> = (1..=60).map(|id| id * 10).filter(|id| !gone.contains(id)).collect();
        // The record of the key is looked up, and nothing follows one that is gone.
        let from = number(request, "after").map(|key| ids.iter().position(|id| *id == key));
        let ids = match from {
            None => &ids[..10],
            Some(Some(at)) => &ids[at + 1..ids.len().min(at + 11)],
            Some(None) => &[],
        };
        list(request, None, ids.iter().map(|id| (*id, 0)))
    });
    assert_eq!(crawled.ids, (1..=60).map(|id| id * 10).collect::<Vec<_>>(), "{:?}", crawled.end);
    assert_eq!(crawled.consistency.unwrap().word(), "mended");
}

#[test]
fn a_compared_key_that_is_ignored_is_no_end() {
    for page in [1, 3, 10] {
        let crawled = crawl(
            &by_key(KeyUse::Compared, page),
            Server::of(offset_from(0), 0, page).first(),
            Manner::of(1),
            |request| list(request, None, (0..page).map(|id| (id, 0))),
        );
        assert!(crawled.end.is_err(), "{page}: {:?} after {:?}", crawled.consistency, crawled.ids);
    }
}

#[test]
fn a_page_that_says_that_there_is_more_proves_no_held_end() {
    let mut pagination = by_key(KeyUse::Unknown, 2);
    pagination.more = Some(More { path: "more".parse().unwrap(), while_: json!(true) });
    // The upstream knows none of the keys that it is asked behind.
    let crawled = crawl(&pagination, Server::of(offset_from(0), 0, 2).first(), Manner::of(1), |request| {
        let is_first = number(request, "after").is_none();
        let mut answer = list(request, None, (0..if is_first { 2 } else { 0 }).map(|id| (id, 0)));
        answer.body = answer.body.replacen('{', &format!("{{\"more\":{is_first},"), 1);
        answer
    });
    assert!(matches!(crawled.end, Err(PageError::MoreWithoutNext { .. })), "{:?} after {:?}", crawled.end, crawled.ids);
    assert!(crawled.requests <= 8, "{} requests", crawled.requests);
}

/// Crawls pages of records with versions, the second of which begins with the last record of the first.
fn two_pages(first: Vec<(u64, u64)>, second: Vec<(u64, u64)>) -> Crawled {
    let shared = first.len() as u64 - 1;
    let request = Server::of(offset_from(0), 0, PAGE).first();
    crawl(&repaired(Total::None), request, Manner::of(1), |request| {
        list(
            request,
            None,
            match number(request, "offset").unwrap_or(0) {
                0 => first.clone(),
                from if from == shared => second.clone(),
                from => second.iter().copied().skip((from - shared) as usize).collect(),
            },
        )
    })
}

#[test]
fn a_shared_record_may_change_and_a_key_of_several_records_may_not() {
    let first: Vec<_> = (0..PAGE).map(|id| (id, 0)).collect();
    let updated = two_pages(first.clone(), vec![(9, 1), (10, 0)]);
    assert_eq!((updated.ids.len(), updated.consistency), (11, Some(Consistency::Steady)));
    for shared in [[(9, 0), (9, 1)], [(9, 1), (9, 0)]] {
        let ambiguous = two_pages(first.clone(), [&shared[..], &[(10, 0)]].concat());
        assert!(matches!(ambiguous.consistency, Some(Consistency::Moved { .. })), "{:?}", ambiguous.consistency);
    }
}

#[test]
fn a_record_that_the_end_of_a_page_has_twice_is_one() {
    let first = [(0..PAGE - 1).map(|id| (id, 0)).collect(), vec![(PAGE - 2, 0)]].concat();
    let crawled = two_pages(first, vec![(PAGE - 2, 0), (20, 0)]);
    assert_eq!((crawled.ids.len(), crawled.consistency), (10, Some(Consistency::Steady)));
}

/// Crawls numbered pages whose sizes the upstream changes before it uses them; none where it refuses them.
fn sized_by(records: u64, width: usize, total: Total, size: impl Fn(u64) -> Option<u64>) -> Crawled {
    let mut pagination = sized(of(page_from(1)), 100);
    pagination.consistency = Some(ConsistencyLevel::Repair);
    says(&mut pagination, total);
    crawl(&pagination, Server::of(page_from(1), 0, 100).first(), Manner::of(width), |request| {
        match size(number(request, "limit").unwrap()) {
            Some(size) => {
                let from = (number(request, "page").unwrap() - 1) * size;
                let total = (total == Total::Records).then_some(records);
                list(request, total, (from..records.min(from + size)).map(|id| (id, 0)))
            }
            None => {
                let head =
                    Head { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), url: request.url.clone() };
                Answer { head, body: json!({"error": "size must be 100"}).to_string() }
            }
        }
    })
}

#[test]
fn numbered_pages_of_several_sizes_share_records() {
    for total in [Total::None, Total::Records] {
        for width in [1, 6] {
            let crawled = sized_by(9_950, width, total, Some);
            assert_eq!(crawled.ids, (0..9_950).collect::<Vec<_>>());
            assert_eq!((crawled.end.is_ok(), crawled.consistency), (true, Some(Consistency::Steady)));
            let spare = if total == Total::None { 2 + 2 * width } else { 0 };
            assert!(crawled.requests <= 115 + spare, "{} requests", crawled.requests);
        }
    }
}

#[test]
fn sizes_that_are_not_free_are_given_up() {
    let fixed = |_: u64| Some(100_u64);
    let rounded = |size: u64| [100, 50, 25, 10].into_iter().find(|allowed| *allowed <= size);
    let refused = |size: u64| (size == 100).then_some(size);
    let halved = |_: u64| Some(50_u64);
    for size in [&fixed as &dyn Fn(u64) -> Option<u64>, &rounded, &refused, &halved] {
        for total in [Total::None, Total::Records] {
            for width in [1, 6] {
                let crawled = sized_by(1_000, width, total, size);
                assert_eq!(crawled.ids, (0..1_000).collect::<Vec<_>>(), "{:?}", crawled.end);
                assert_eq!((crawled.end.is_ok(), crawled.consistency), (true, Some(Doubt::Unaligned.into())));
            }
        }
    }
}

#[test]
fn a_first_page_that_is_short_of_its_size_is_no_end_while_the_list_shrinks() {
    // The upstream gives half as many records as are asked for, and has one more behind them, which moves up.
    let mut requests = 0;
    let first = Server::of(offset_from(0), 0, PAGE).first();
    let crawled = crawl(&repaired(Total::None), first, Manner::of(1), |request| {
        let ids: Vec<_> = (0..6).filter(|id| requests == 0 || *id != 2).map(|id| (id, 0)).collect();
        requests += 1;
        list(request, None, ids.into_iter().skip(number(request, "offset").unwrap() as usize).take(5))
    });
    assert_eq!((crawled.ids, crawled.end.is_ok()), ((0..6).collect(), true), "{:?}", crawled.end);
    assert!(matches!(crawled.consistency, Some(Consistency::Mended { .. })), "{:?}", crawled.consistency);
}

#[test]
fn sizes_that_are_capped_in_silence_lose_nothing() {
    let small = (3..12_u64).flat_map(|asked| (2..asked).map(move |cap| (asked, cap)));
    let sizes = small.flat_map(|(asked, cap)| (0..40_u64).step_by(3).map(move |records| (asked, cap, records)));
    for (asked, cap, records) in sizes.chain([(100, 50, 120), (100, 99, 990)]) {
        for total in [Total::None, Total::Records] {
            let mut pagination = sized(of(page_from(1)), asked);
            pagination.consistency = Some(ConsistencyLevel::Repair);
            says(&mut pagination, total);
            let server = Server { total, ..Server::of(page_from(1), records, cap) };
            let crawled = crawl(&pagination, server.first(), Manner::of(1), |request| server.answer(request));
            assert!(crawled.end.is_ok(), "{asked}, {cap}, {records}, {total:?}: {:?}", crawled.end);
            assert_eq!(crawled.ids, (0..records).collect::<Vec<_>>(), "{asked}, {cap}");
        }
    }
}

#[test]
fn a_record_without_a_key_ends_the_sharing_and_loses_nothing() {
    for keyless in [0, 99, 100, 150, 250, 949] {
        for (style, place) in [(page_from(1), "page"), (offset_from(0), "offset")] {
            let mut pagination = sized(of(style.clone()), 100);
            pagination.consistency = Some(ConsistencyLevel::Repair);
            pagination.key = Some("key".parse().unwrap());
            let crawled = crawl(&pagination, Server::of(style, 0, 100).first(), Manner::of(1), |request| {
                let (at, size) = (number(request, place).unwrap(), number(request, "limit").unwrap());
                let from = if place == "page" { (at - 1) * size } else { at };
                let of = |id: u64| json!({"id": id, "key": (id != keyless).then_some(id)});
                let records: Vec<_> = (from..950.min(from + size)).map(of).collect();
                let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
                Answer { head, body: json!({"data": records}).to_string() }
            });
            assert_eq!(crawled.consistency, Some(Doubt::Keyless.into()), "{keyless}: {:?}", crawled.end);
            // One that two pages share leaves with both.
            let mut ids = crawled.ids;
            ids.dedup();
            assert_eq!(ids, (0..950).collect::<Vec<_>>(), "{keyless}");
        }
    }
}
