//! Upstreams that lie, and configurations that don't fit: each is a clear error, or an end that is proven, at every width.

use std::cell::Cell;

use http::StatusCode;
use serde_json::{Value, json};
use unpage::config::{Config, Machine};
use unpage::pagination::partition_settings::{Direction, Partition, RangeKind};
use unpage::pagination::plan::Proof;
use unpage::pagination::request::{PageRequest, query_value};
use unpage::pagination::verdict::Consistency;
use unpage::pagination::{Base, End, ErrorSettings, NextUrl, PageError, Pagination, PartOrder, Source, Style};

use crate::crawl::{Crawled, Manner, crawl};
use crate::fan_out::{cursor, of, offset_from, page_from, path, query, says, sized};
use crate::parts::{plain, plainly, sorted};
use crate::server::{Answer, Edge, Manners, ORIGIN, Past, Record, Server, Total, number, page, refusal};

/// Both ways: one page after the other, and with pages ahead.
const WIDTHS: [usize; 2] = [1, 6];

fn ids(ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.collect()
}

fn record(id: u64) -> Value {
    json!({"id": id, "name": format!("record {id}")})
}

fn data(ids: std::ops::Range<u64>) -> Value {
    json!(ids.map(record).collect::<Vec<_>>())
}

/// Numbered pages of 5, each with its body changed by a function.
fn twisted(pagination: &Pagination, records: u64, width: usize, twist: impl Fn(u64, &mut Value)) -> Crawled {
    let server = Server { total: Total::Records, ..Server::of(pagination.style.clone(), records, 5) };
    crawl(pagination, server.first(), Manner::of(width), |request| {
        let mut answer = server.answer(request);
        let mut body: Value = serde_json::from_str(&answer.body).unwrap();
        let at = number(request, "page").or(number(request, "offset").map(|offset| offset / 5)).unwrap_or(0);
        twist(at, &mut body);
        answer.body = body.to_string();
        answer
    })
}

fn counted() -> [Pagination; 2] {
    [page_from(0), offset_from(0)].map(|style| {
        let mut pagination = sized(of(style), 5);
        says(&mut pagination, Total::Records);
        pagination
    })
}

/// Error at every width.
fn each(mut crawled: impl FnMut(&Pagination, usize) -> Crawled, mut check: impl FnMut(Crawled)) {
    for pagination in counted() {
        for width in WIDTHS {
            check(crawled(&pagination, width));
        }
    }
}

#[test]
fn a_total_that_is_too_small_is_no_end() {
    // In the middle of a page, at its edge, and far before it.
    for lie in [12, 10, 1] {
        let crawled = |pagination: &_, width| twisted(pagination, 23, width, |_, body| body["total"] = json!(lie));
        each(crawled, |crawled| {
            let wrong = crawled.end.unwrap_err();
            assert!(matches!(wrong, PageError::TotalLied(_) | PageError::TotalDisagrees { .. }), "{lie}: {wrong}");
            assert!(ids(0..23).starts_with(&crawled.ids), "{:?}", crawled.ids);
        });
    }
}

#[test]
fn a_total_that_is_too_large_is_no_end() {
    for lie in [24, 30, 1_000] {
        let crawled = |pagination: &_, width| twisted(pagination, 23, width, |_, body| body["total"] = json!(lie));
        each(crawled, |crawled| {
            let wrong = crawled.end.unwrap_err();
            assert!(
                matches!(wrong, PageError::TotalDisagrees { records: 23, total } if total == lie),
                "{lie}: {wrong}"
            );
            assert_eq!(crawled.ids, ids(0..23));
        });
    }
}

#[test]
fn a_total_that_is_the_size_of_one_page_is_no_end() {
    let crawled = |pagination: &_, width| twisted(pagination, 23, width, |_, body| body["total"] = json!(5));
    each(crawled, |crawled| {
        let wrong = crawled.end.unwrap_err();
        assert!(matches!(wrong, PageError::TotalLied(5)), "{wrong}");
    });
}

#[test]
fn a_total_in_a_string_is_a_total() {
    let crawled = |pagination: &_, width| twisted(pagination, 23, width, |_, body| body["total"] = json!(" 23 "));
    each(crawled, |crawled| {
        assert_eq!((crawled.ids, crawled.end.unwrap()), (ids(0..23), Proof::Total(23)));
        assert_eq!((crawled.requests, crawled.wasted), (5, 0));
    });
}

#[test]
fn a_total_that_is_no_number_is_an_error() {
    for lie in [json!(-1), json!("many"), json!([23]), json!(22.5), json!(true)] {
        let crawled = |pagination: &_, width| twisted(pagination, 23, width, |_, body| body["total"] = lie.clone());
        each(crawled, |crawled| {
            let wrong = crawled.end.unwrap_err();
            assert!(matches!(wrong, PageError::NotANumber { .. }), "{lie}: {wrong}");
            assert!(ids(0..23).starts_with(&crawled.ids), "{:?}", crawled.ids);
        });
    }
}

#[test]
fn a_total_that_only_the_first_page_has_is_enough() {
    let absent = |at, body: &mut Value| {
        if at > 0 {
            body.as_object_mut().unwrap().remove("total");
        }
    };
    each(
        |pagination, width| twisted(pagination, 23, width, absent),
        |crawled| {
            assert_eq!((crawled.ids, crawled.end.unwrap()), (ids(0..23), Proof::Total(23)));
            assert_eq!((crawled.requests, crawled.wasted), (5, 0));
        },
    );
}

#[test]
fn a_total_that_shrinks_is_an_error() {
    let shrinks = |at, body: &mut Value| body["total"] = json!(23 - at);
    each(
        |pagination, width| twisted(pagination, 23, width, shrinks),
        |crawled| {
            let wrong = crawled.end.unwrap_err();
            assert!(matches!(wrong, PageError::TotalShrank { before: 23, after: 22 }), "{wrong}");
            assert!(ids(0..23).starts_with(&crawled.ids), "{:?}", crawled.ids);
        },
    );
}

#[test]
fn pages_that_overlap_by_more_than_the_total_counts_are_no_clean_end() {
    // Each page starts with the last record of the one before, and the offset advances past records.
    let overlap = |at: u64, body: &mut Value| body["data"] = data((at * 5).saturating_sub(1)..at * 5 + 5);
    each(
        |pagination, width| twisted(pagination, 50, width, overlap),
        |crawled| {
            let is_whole = crawled.ids == ids(0..50);
            assert!(is_whole || crawled.end.is_err(), "{:?}: {:?}", crawled.end, crawled.ids);
        },
    );
}

#[test]
fn a_page_size_that_is_capped_in_silence_loses_nothing() {
    for total in [Total::None, Total::Records] {
        for style in [page_from(1), offset_from(0)] {
            for width in WIDTHS {
                let server = Server { total, ..Server::of(style.clone(), 43, 4) };
                let mut pagination = sized(of(style.clone()), 100);
                says(&mut pagination, total);
                let crawled = crawl(&pagination, server.first(), Manner::of(width), |request| server.answer(request));
                assert!(crawled.end.is_ok(), "{:?}", crawled.end);
                assert_eq!(crawled.ids, server.ids());
                let spare = if total == Total::None { 1 + width } else { 0 };
                assert!(crawled.requests <= 11 + spare, "{} requests", crawled.requests);
            }
        }
    }
}

#[test]
fn an_empty_page_in_the_middle_is_no_end_where_a_total_says_so() {
    let hole = |at, body: &mut Value| {
        if at == 2 {
            body["data"] = json!([]);
        }
    };
    each(
        |pagination, width| twisted(pagination, 23, width, hole),
        |crawled| {
            let wrong = crawled.end.unwrap_err();
            // A flag in the page leads past it where pages are numbered, and the total shows what is missing.
            let expected = if crawled.ids.len() == 10 { ids(0..10) } else { [ids(0..10), ids(15..23)].concat() };
            assert_eq!(crawled.ids, expected);
            let came = expected.len() as u64;
            assert!(matches!(wrong, PageError::TotalDisagrees { records, total: 23 } if records == came), "{wrong}");
        },
    );
}

#[test]
fn an_empty_page_in_the_middle_is_passed_where_the_flag_says_more() {
    for width in WIDTHS {
        let mut pagination = sized(of(page_from(0)), 5);
        pagination.more = Some(unpage::pagination::More { path: "has_more".parse().unwrap(), while_: json!(true) });
        let mut empty = 0;
        let answer = |request: &PageRequest| {
            let at = number(request, "page").unwrap_or(0);
            empty += u64::from(at == 2);
            let records = match at {
                0 | 1 => data(at * 5..at * 5 + 5),
                3 | 4 => data(at * 5 - 5..at * 5),
                _ => json!([]),
            };
            page(request, &json!({"data": records, "has_more": at < 4}))
        };
        let crawled = crawl(&pagination, Server::of(page_from(0), 0, 5).first(), Manner::of(width), answer);
        assert_eq!((crawled.ids, crawled.end.unwrap(), empty), (ids(0..20), Proof::Flag, 2));
        let why = crawled.consistency.map(|consistency| format!("{consistency:?}")).unwrap_or_default();
        assert!(why.contains("a page without records stood before others"), "{why}");
    }
}

#[test]
fn pages_ahead_of_one_that_is_asked_for_again_still_refute_an_end() {
    for width in WIDTHS {
        for seconds in [0, 1] {
            let mut asked = 0;
            let answer = |request: &PageRequest| {
                let at = number(request, "offset").unwrap_or(0);
                asked += u64::from(at == 10);
                let is_lost = at == 10 && asked <= 1 + seconds;
                let records = if is_lost { json!([]) } else { data(at..(at + 5).min(23).max(at)) };
                let next = (at < 20).then(|| format!("/list?offset={}", at + 5));
                page(request, &json!({"data": records, "next": next}))
            };
            let pagination = sized(of(offset_from(0)), 5);
            let crawled = crawl(&pagination, Server::of(offset_from(0), 0, 5).first(), Manner::of(width), answer);
            match seconds {
                0 => assert_eq!((crawled.ids, crawled.end.unwrap(), asked), (ids(0..23), Proof::EmptyPage, 2)),
                _ => assert!(
                    matches!(crawled.end, Err(PageError::RecordsBehindTheEnd { .. })) && asked == 2,
                    "width {width}: {:?}",
                    crawled.end
                ),
            }
        }
    }
}

#[test]
fn a_status_past_the_end_is_the_end_only_where_that_is_proven() {
    for width in WIDTHS {
        for (status, total, end, proven) in [
            (404, Total::None, End::Style, None),
            (404, Total::None, End::from(StatusCode::NOT_FOUND), Some(Proof::Status(StatusCode::NOT_FOUND))),
            (400, Total::None, End::Style, None),
            (400, Total::None, End::from(StatusCode::BAD_REQUEST), Some(Proof::Status(StatusCode::BAD_REQUEST))),
            (404, Total::Records, End::Style, Some(Proof::Total(20))),
            // Pages of the requested size, and a total that agrees: then 400 says that there is no such page.
            (400, Total::Records, End::Style, Some(Proof::Total(20))),
        ] {
            for style in [page_from(1), offset_from(0)] {
                let server = Server {
                    total,
                    manners: Manners { past: Past::NotFound, ..Manners::default() },
                    ..Server::of(style.clone(), 20, 5)
                };
                let mut pagination = sized(of(style), 5);
                says(&mut pagination, total);
                pagination.end = end.clone();
                let crawled = crawl(&pagination, server.first(), Manner::of(width), |request| {
                    let answer = server.answer(request);
                    if answer.head.status.is_success() { answer } else { refusal(request, status) }
                });
                assert_eq!(crawled.ids, server.ids());
                match proven {
                    Some(proof) => assert_eq!(crawled.end.unwrap(), proof),
                    None => assert!(matches!(crawled.end, Err(PageError::Status { .. })), "{:?}", crawled.end),
                }
                assert!(crawled.wasted <= width, "{} are wasted", crawled.wasted);
            }
        }
    }
}

#[test]
fn a_cursor_that_repeats_after_three_pages_is_an_error() {
    for width in WIDTHS {
        let mut asked = 0;
        let answer = |request: &PageRequest| {
            asked += 1;
            assert!(asked < 10, "it goes round and round");
            let at = number(request, "cursor").unwrap_or(0);
            let next = if at == 3 { 1 } else { at + 1 };
            page(request, &json!({"data": data(at * 5..at * 5 + 5), "next": next.to_string()}))
        };
        let crawled = crawl(&of(cursor()), Server::of(cursor(), 0, 5).first(), Manner::of(width), answer);
        let wrong = crawled.end.unwrap_err();
        assert!(matches!(wrong, PageError::AddressRepeats(2)), "{wrong}");
        assert!(ids(0..20).starts_with(&crawled.ids), "{:?}", crawled.ids);
    }
}

/// A collection by range whose pages are twisted before they are answered.
fn ranged(direction: Direction, width: usize, twist: impl Fn(&mut Server, &mut Pagination)) -> Crawled {
    let (mut server, mut pagination) = plainly(sorted(&[(7, 0); 100], RangeKind::Integer, direction), direction);
    twist(&mut server, &mut pagination);
    crawl(&pagination, server.first(), Manner::of(width), |request| server.answer(request))
}

const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];

#[test]
fn a_record_without_its_partition_field_is_an_error() {
    for width in WIDTHS {
        let (server, pagination) =
            plainly(sorted(&[(7, 0); 100], RangeKind::Integer, Direction::Ascending), Direction::Ascending);
        let crawled = crawl(&pagination, server.first(), Manner::of(width), |request| {
            let mut answer = server.answer(request);
            let mut body: Value = serde_json::from_str(&answer.body).unwrap();
            for record in body["data"].as_array_mut().unwrap().iter_mut().filter(|record| record["id"] == json!(50)) {
                record.as_object_mut().unwrap().remove("at");
            }
            answer.body = body.to_string();
            answer
        });
        let wrong = crawled.end.unwrap_err();
        assert!(matches!(wrong, PageError::NoRangeValue(_)), "{wrong}");
        assert!(server.ids().starts_with(&crawled.ids) && crawled.ids.len() <= 50, "{:?}", crawled.ids);
    }
}

#[test]
fn bounds_that_are_reversed_are_refused_before_anything_is_asked() {
    let text = |lower: &str, upper: &str| {
        format!(
            "[[collection]]\npath = '/a'\nupstream = 'http://a'\nrecords = 'r'\n\
             pagination = {{ type = \"cursor\", next = \"next\", param = \"cursor\" }}\n\
             partition = {{ from = \"from\", to = \"to\", kind = \"date\", field = \"at\", order = \"ascending\", \
             lower = \"{lower}\", upper = \"{upper}\" }}\n"
        )
    };
    assert!(Config::read(&text("2020-01-01", "2021-01-01"), "a.toml", &Machine).is_ok());
    for (lower, upper) in [("2021-01-01", "2020-01-01"), ("2020-01-01", "2020-01-01")] {
        let told = Config::read(&text(lower, upper), "a.toml", &Machine).unwrap_err().to_string();
        assert!(told.contains("not lower than upper") && told.contains("swap lower and upper"), "{told}");
    }
}

#[test]
fn an_upstream_that_ignores_the_range_is_an_error() {
    for direction in DIRECTIONS {
        let crawled = ranged(direction, 6, |server, _| {
            let filter = server.filter.as_mut().unwrap();
            (filter.from, filter.to) = (Edge::Ignored, Edge::Ignored);
        });
        let wrong = crawled.end.unwrap_err();
        assert!(matches!(wrong, PageError::OutOfRange { .. }), "{wrong}");
        assert!(ids(0..100).starts_with(&crawled.ids), "{:?}", crawled.ids);
    }
}

#[test]
fn an_upstream_that_ignores_one_end_of_the_range_loses_nothing() {
    for direction in DIRECTIONS {
        let crawled = ranged(direction, 6, |server, _| {
            let filter = server.filter.as_mut().unwrap();
            match direction {
                Direction::Ascending => filter.to = Edge::Ignored,
                Direction::Descending => filter.from = Edge::Ignored,
            }
        });
        match crawled.end {
            Ok(_) => assert_eq!(crawled.ids, ids(0..100)),
            Err(wrong) => assert!(matches!(wrong, PageError::OutOfRange { .. }), "{wrong}"),
        }
    }
}

#[test]
fn a_declared_order_that_is_wrong_is_an_error() {
    for width in WIDTHS {
        for direction in DIRECTIONS {
            let crawled = ranged(direction, width, |server, _| server.records.reverse());
            let wrong = crawled.end.unwrap_err();
            assert!(matches!(wrong, PageError::OutOfOrder { .. }), "{wrong}");
            assert!(crawled.ids.len() < 5, "{:?}", crawled.ids);
        }
    }
}

#[test]
fn records_that_are_not_sorted_at_all_are_an_error() {
    for width in WIDTHS {
        let crawled = ranged(Direction::Ascending, width, |server, _| server.records.swap(40, 60));
        let wrong = crawled.end.unwrap_err();
        assert!(matches!(wrong, PageError::OutOfOrder { .. } | PageError::OutOfRange { .. }), "{wrong}");
    }
}

/// A list of parts, of which this says which record each part has.
fn listed(width: usize, order: PartOrder, shard: Edge, shards: impl Fn(u64) -> u64) -> Crawled {
    let records = (0..30).map(|id| Record { shard: shards(id), ..Record::of(id) }).collect();
    let mut filter = plain(RangeKind::Integer, Direction::Ascending);
    filter.shard = shard;
    let server = Server { records, filter: Some(filter), ..Server::of(cursor(), 0, 4) };
    let mut pagination = of(cursor());
    pagination.order = order;
    pagination.partition =
        Some(Partition::Values { param: query("shard"), values: vec![json!(0), json!(1), json!(2)] });
    crawl(&pagination, server.first(), Manner::of(width), |request| server.answer(request))
}

#[test]
fn an_upstream_that_ignores_the_parameter_of_a_list_is_an_error() {
    for order in [PartOrder::Listed, PartOrder::Any] {
        for width in WIDTHS {
            let crawled = listed(width, order, Edge::Ignored, |id| id / 10);
            let wrong = crawled.end.unwrap_err();
            assert!(matches!(wrong, PageError::PartsAlike { .. }), "{wrong}");
            assert!(wrong.hint().contains("ignores the parameter"), "{}", wrong.hint());
        }
    }
}

#[test]
fn parts_without_records_are_not_alike() {
    for width in WIDTHS {
        let crawled = listed(width, PartOrder::Listed, Edge::Within, |_| 1);
        assert_eq!((crawled.ids, crawled.end.unwrap()), (ids(0..30), Proof::Parts(3)));
    }
}

#[test]
fn a_page_that_fails_ahead_breaks_the_crawl_when_its_turn_comes() {
    for width in WIDTHS {
        for pagination in counted() {
            let server = Server { total: Total::Records, ..Server::of(pagination.style.clone(), 50, 5) };
            let failures = Cell::new(0);
            let crawled = crawl(&pagination, server.first(), Manner::of(width), |request| {
                let at = query_value(&request.url, "page").or(query_value(&request.url, "offset")).unwrap();
                if at == "20" || at == "4" {
                    failures.set(failures.get() + 1);
                    return refusal(request, 503);
                }
                server.answer(request)
            });
            assert!(matches!(crawled.end, Err(PageError::Status { .. })), "{:?}", crawled.end);
            assert_eq!((crawled.ids, failures.get()), (ids(0..20), 1));
        }
    }
}

/// One answer for all requests is never a collection.
#[test]
fn an_upstream_that_ignores_the_page_number_is_an_error() {
    for width in WIDTHS {
        for style in [page_from(0), offset_from(0)] {
            let server = Server::of(style.clone(), 0, 5);
            let same = |request: &PageRequest| -> Answer { page(request, &json!({"data": data(0..5)})) };
            let crawled = crawl(&of(style), server.first(), Manner::of(width), same);
            assert!(matches!(crawled.end, Err(PageError::Repeat { page: 1, .. })), "{:?}", crawled.end);
            assert_eq!(crawled.ids, ids(0..5));
        }
    }
}

#[test]
fn an_error_behind_the_record_that_ends_a_part_is_seen() {
    // Every page that should have this record is partial, and says so behind its records.
    for lost in (0..300).step_by(3) {
        let steps = [(7, 0); 300];
        let (server, mut pagination) =
            plainly(sorted(&steps, RangeKind::Integer, Direction::Ascending), Direction::Ascending);
        pagination.failures = ErrorSettings::at("errors".parse().unwrap());
        let partial = |request: &PageRequest| {
            let mut body: Value = serde_json::from_str(&server.answer(request).body).unwrap();
            let data = body["data"].as_array_mut().unwrap();
            let whole = data.len();
            data.retain(|record| record["id"] != lost);
            // A probe of this one record finds none.
            if (1..whole).contains(&data.len()) {
                body["errors"] = json!(["one record failed"]);
            }
            page(request, &body)
        };
        let crawled = crawl(&pagination, server.first(), Manner::of(6), partial);
        let wrong = crawled.end.unwrap_err();
        assert!(matches!(wrong, PageError::ErrorInPage { .. }), "{lost}: {wrong}");
    }
}

#[test]
fn a_filter_that_ends_before_its_bound_loses_nothing() {
    for gap in [7, 40] {
        let steps = [(gap, 0); 300];
        let (server, pagination) =
            plainly(sorted(&steps, RangeKind::Integer, Direction::Ascending), Direction::Ascending);
        let narrow = |request: &PageRequest| {
            let mut request = request.clone();
            if let Some(to) = number(&request, "to") {
                unpage::pagination::request::set_query(&mut request.url, "to", &(to - 10).to_string());
            }
            server.answer(&request)
        };
        let crawled = crawl(&pagination, server.first(), Manner::of(6), narrow);
        assert!(matches!(crawled.end, Ok(Proof::Parts(2..))), "{:?}", crawled.end);
        assert_eq!(crawled.ids, ids(0..300));
    }
}

#[test]
fn a_request_that_names_a_part_of_a_list_gets_that_part() {
    for width in WIDTHS {
        let records = (0..30).map(|id| Record { shard: id / 10, ..Record::of(id) }).collect();
        let server = Server {
            records,
            filter: Some(plain(RangeKind::Integer, Direction::Ascending)),
            ..Server::of(cursor(), 0, 4)
        };
        let mut pagination = of(cursor());
        let values = vec![json!(0), json!(1), json!(2)];
        pagination.partition = Some(Partition::Values { param: query("shard"), values });
        let mut first = server.first();
        unpage::pagination::request::set_query(&mut first.url, "shard", "1");
        let crawled = crawl(&pagination, first, Manner::of(width), |request| server.answer(request));
        assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        assert_eq!(crawled.ids, ids(10..20));
    }
}

/// Links and URLs over page numbers and offsets, of a list that changes behind its first page.
#[test]
fn links_over_numbered_pages_move_like_them() {
    let walk = |name: &str, step: u64, shift: i64| {
        let style = NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request };
        let mut pagination = of(style.into());
        says(&mut pagination, Total::Records);
        let mut at = 0_u64;
        crawl(&pagination, Server::of(Style::SINGLE, 0, 5).first(), Manner::of(1), |request| {
            at += 1;
            let shift = if at > 1 { shift } else { 0 };
            let from = (5 * (at - 1)).checked_add_signed(-shift).unwrap();
            let next = (at < 4).then(|| format!("{ORIGIN}/list?{name}={}&limit=5", at * step + 1));
            let to = if at < 4 { from + 5 } else { 20 };
            page(request, &json!({"data": data(from..to), "next": next, "total": 20_i64 + shift}))
        })
    };
    for (name, step) in [("page", 1), ("offset", 5)] {
        // The record that was inserted in front pushes the last one of page 1 into page 2, and the total counts it.
        let crawled = walk(name, step, 1);
        assert_eq!((crawled.ids, crawled.end.is_ok()), (ids(0..20), true), "{:?}", crawled.end);
        assert!(matches!(crawled.consistency, Some(Consistency::Unverified { .. })), "{:?}", crawled.consistency);
        let wrong = walk(name, step, -1).end.unwrap_err();
        assert!(matches!(wrong, PageError::TotalShrank { before: 20, after: 19 }), "{wrong}");
    }
    // A token may name a record, whatever stands before it.
    assert!(walk("after", 5, -1).end.is_ok());
}
