//! Several walks side by side: each record once, however an upstream compares bounds, and in the order of one walk.

use proptest::prelude::*;
use serde_json::{Value, json};
use unpage::pagination::partition_settings::{Bound, Direction, PartOrder, Partition, RangeKind, RangePartition};
use unpage::pagination::plan::Proof;
use unpage::pagination::request::{query_value, set_query};
use unpage::pagination::{Limits, Overlap, PageError, Pagination};

use crate::crawl::{Crawled, Manner, NOW, crawl};
use crate::fan_out::{cursor, keyset, manner, of, offset_from, page_from, path, query, says, sized};
use crate::server::{Edge, Filter, Manners, Record, Server, Total};

/// A collection that is cut by range, and how it is asked for.
#[derive(Clone, Debug)]
struct Ranged {
    server: Server,
    range: RangePartition,
    order: PartOrder,
    size: u64,
    /// Bounds in the client's own request.
    own: (Option<i64>, Option<i64>),
}

fn filter_of(server: &Server) -> Filter {
    server.filter.unwrap()
}

/// Lowest value of a kind in these tests: before the present time of a crawl.
fn origin(kind: RangeKind) -> i64 {
    match kind {
        RangeKind::Integer => 0,
        RangeKind::Unix | RangeKind::Rfc3339 => NOW.cast_signed() - 5_000,
        RangeKind::Date => NOW.cast_signed() / 86_400 - 5_000,
    }
}

pub(crate) fn range(kind: RangeKind, direction: Direction) -> RangePartition {
    let (from, to) = (query("from"), query("to"));
    RangePartition { from, to, kind, field: path("at"), lower: None, upper: None, direction }
}

/// The value of this unit, as a bound is written.
fn bound_at(kind: RangeKind, unit: i64) -> Value {
    let record = Record { id: 0, tenths: unit * 10, shard: 0 };
    let filter = Filter { kind, ..plain(kind, Direction::Ascending) };
    record.to_json(Some(&filter))["at"].clone()
}

pub(crate) fn plain(kind: RangeKind, direction: Direction) -> Filter {
    let (from, to) = (Edge::Within, Edge::Without);
    Filter { kind, direction, from, to, shard: Edge::Within, fractions: true }
}

/// Sorted records from steps: many are 0, so that values are shared, and a few are far, so that the collection is skewed.
pub(crate) fn sorted(steps: &[(u64, u8)], kind: RangeKind, direction: Direction) -> Vec<Record> {
    let mut unit = origin(kind);
    let mut records: Vec<Record> = Vec::new();
    for (step, tenth) in steps {
        unit += step.cast_signed();
        let tenth = if matches!(kind, RangeKind::Unix | RangeKind::Rfc3339) { i64::from(*tenth) } else { 0 };
        let tenths = unit * 10 + tenth;
        records.push(Record { id: 0, tenths, shard: 0 });
    }
    records.sort_by_key(|record| record.tenths);
    if direction == Direction::Descending {
        records.reverse();
    }
    records.iter().zip(0..).map(|(record, id)| Record { id, ..*record }).collect()
}

fn kinds() -> impl Strategy<Value = RangeKind> {
    prop::sample::select(vec![RangeKind::Unix, RangeKind::Integer, RangeKind::Rfc3339, RangeKind::Date])
}

fn directions() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Ascending, Direction::Descending])
}

fn orders() -> impl Strategy<Value = PartOrder> {
    prop::sample::select(vec![PartOrder::Listed, PartOrder::Any])
}

fn edges() -> impl Strategy<Value = Edge> {
    prop::sample::select(vec![Edge::Within, Edge::Without])
}

prop_compose! {
    fn ranged()(
        style in prop_oneof![
            3 => Just(cursor()), 1 => Just(keyset(Overlap::None)), 1 => Just(keyset(Overlap::First)),
            1 => Just(offset_from(0)), 1 => Just(page_from(1)),
        ],
        (kind, direction, order) in (kinds(), directions(), orders()),
        steps in prop::collection::vec((prop_oneof![3 => Just(0), 4 => 1..4_u64, 1 => 50..400_u64], 0..10_u8), 0..70),
        (from, to, fractions) in (edges(), edges(), any::<bool>()),
        (size, clamp) in (2..7_u64, 2..7_u64),
        total in prop::sample::select(vec![Total::None, Total::Records, Total::Unfiltered]),
        short_pages in prop_oneof![Just(0), 2..5_u64],
        (lower, upper) in (prop::option::of(-50..900_i64), prop::option::of(-50..900_i64)),
        own in (prop::option::of(0..300_i64), prop::option::of(0..900_i64)),
        (bounded, filtered) in (0..3_u8, prop::bool::weighted(0.2)),
        now in any::<bool>(),
    ) -> Ranged {
        let filter = Filter { from, to, fractions, ..plain(kind, direction) };
        let counted = style.is_numbered() || matches!(style, unpage::pagination::Style::Keyset(_));
        let manners = Manners { short_pages: if counted { 0 } else { short_pages }, ..Manners::default() };
        let records = sorted(&steps, kind, direction);
        // What a bound leaves out must not be counted.
        let is_bounded = bounded == 1 || filtered;
        let total = if (counted || is_bounded) && total == Total::Unfiltered { Total::None } else { total };
        let server = Server { style, records, clamp, manners, total, filter: Some(filter) };
        let mut range = range(kind, direction);
        let base = origin(kind);
        if bounded == 1 {
            let at = |unit: i64| Bound::At(bound_at(kind, base + unit));
            range.lower = lower.map(at);
            range.upper = upper.filter(|upper| lower.is_none_or(|lower| lower < *upper)).map(at);
        } else if now && kind != RangeKind::Integer {
            range.upper = Some(Bound::Now);
        }
        let own = if filtered && bounded != 1 {
            (own.0.map(|unit| base + unit), own.1.map(|unit| base + unit))
        } else { (None, None) };
        Ranged { server, range, order, size, own }
    }
}

impl Ranged {
    fn pagination(&self) -> Pagination {
        let mut pagination = sized(of(self.server.style.clone()), self.size);
        says(&mut pagination, self.server.total);
        pagination.partition = Some(Partition::Range(self.range.clone()));
        pagination.order = self.order;
        pagination
    }

    fn walk(&self, manner: Manner) -> Crawled {
        let mut first = self.server.first();
        for (name, unit) in [("from", self.own.0), ("to", self.own.1)] {
            if let Some(unit) = unit {
                let value = bound_at(self.range.kind, unit);
                let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                set_query(&mut first.url, name, &text);
            }
        }
        crawl(&self.pagination(), first, manner, |request| self.server.answer(request))
    }

    /// Wanted records: those within the configured bounds, with the units that they name, or those that the client's filter selects.
    fn wanted(&self) -> Vec<u64> {
        let unit = |bound: &Option<Bound>| match bound {
            Some(Bound::At(value)) => self.range.kind.unit_of(value).map(|unit| unit as i64),
            _ => None,
        };
        let (lower, upper) = (unit(&self.range.lower), unit(&self.range.upper));
        let filter = filter_of(&self.server);
        let within = |record: &&Record| {
            let here = record.tenths.div_euclid(10);
            let place = if filter.fractions { record.tenths } else { here * 10 };
            let above = self
                .own
                .0
                .is_none_or(|own| if filter.from == Edge::Within { place >= own * 10 } else { place > own * 10 });
            let below = self
                .own
                .1
                .is_none_or(|own| if filter.to == Edge::Within { place <= own * 10 } else { place < own * 10 });
            lower.is_none_or(|lower| here >= lower) && upper.is_none_or(|upper| here <= upper) && above && below
        };
        self.server.records.iter().filter(within).map(|record| record.id).collect()
    }
}

fn sorted_ids(mut ids: Vec<u64>) -> Vec<u64> {
    ids.sort_unstable();
    ids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_of_a_range_comes_once(ranged in ranged(), manner in manner()) {
        let crawled = ranged.walk(manner);
        prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        match ranged.order {
            PartOrder::Listed => prop_assert_eq!(crawled.ids, ranged.wanted()),
            PartOrder::Any => prop_assert_eq!(sorted_ids(crawled.ids), sorted_ids(ranged.wanted())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_part_of_a_list_comes_once(
        style in prop_oneof![Just(cursor()), Just(keyset(Overlap::None)), Just(offset_from(0)), Just(page_from(0))],
        shards in prop::collection::vec(0..4_u64, 0..60),
        clamp in 2..6_u64,
        total in prop::sample::select(vec![Total::None, Total::Records]),
        by_number in any::<bool>(),
        order in orders(),
        manner in manner(),
    ) {
        let numbers = 0..;
        let records = shards.iter().zip(numbers).map(|(shard, id)| Record { shard: *shard, ..Record::of(id) }).collect();
        let filter = Some(plain(RangeKind::Integer, Direction::Ascending));
        let server = Server { style, records, clamp, manners: Manners::default(), total, filter };
        let mut pagination = of(server.style.clone());
        says(&mut pagination, total);
        pagination.order = order;
        pagination.partition = Some(if by_number {
            Partition::Numbered { param: query("shard"), count_param: query("shards"), count: 4 }
        } else {
            Partition::Values { param: query("shard"), values: vec![json!(3), json!(1), json!("0"), json!(2)] }
        });
        let parts = if by_number { [0, 1, 2, 3] } else { [3, 1, 0, 2] };
        let of_part = |part: u64| server.records.iter().filter(move |record| record.shard == part).map(|record| record.id);
        let listed: Vec<u64> = parts.into_iter().flat_map(of_part).collect();
        let crawled = crawl(&pagination, server.first(), manner, |request| server.answer(request));
        prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        match order {
            PartOrder::Listed => prop_assert_eq!(crawled.ids, listed),
            PartOrder::Any => prop_assert_eq!(sorted_ids(crawled.ids), sorted_ids(listed)),
        }
    }
}

/// A collection that is cut by range, with everything as plain as can be.
pub(crate) fn plainly(records: Vec<Record>, direction: Direction) -> (Server, Pagination) {
    let filter = Some(plain(RangeKind::Integer, direction));
    let server = Server { records, filter, ..Server::of(cursor(), 0, 5) };
    let mut pagination = sized(of(cursor()), 5);
    pagination.partition = Some(Partition::Range(range(RangeKind::Integer, direction)));
    (server, pagination)
}

#[test]
fn a_range_is_walked_side_by_side() {
    for direction in [Direction::Ascending, Direction::Descending] {
        let records = sorted(&[(7, 0); 300], RangeKind::Integer, direction);
        let (server, pagination) = plainly(records, direction);
        let crawled = crawl(&pagination, server.first(), Manner::of(6), |request| server.answer(request));
        assert!(matches!(crawled.end, Ok(Proof::Parts(2..))), "{:?}", crawled.end);
        assert_eq!((crawled.ids, crawled.most), (server.ids(), 6));
    }
}

/// An upstream that answers no deeper than 40 records, or 8 pages, is read by parts that each stay above that depth.
#[test]
fn parts_are_cut_before_the_upstreams_limit() {
    let limits = [
        (offset_from(0), Limits { max_offset: Some(40), ..Limits::default() }),
        (page_from(1), Limits { max_pages: Some(8), ..Limits::default() }),
        (cursor(), Limits { max_results: Some(40), ..Limits::default() }),
        (keyset(Overlap::None), Limits { max_results: Some(40), ..Limits::default() }),
    ];
    let steps: Vec<_> = (0..300).map(|n| (if n % 7 == 0 { 90 } else { n % 3 }, 0)).collect();
    for ((style, limits), direction) in
        limits.iter().flat_map(|case| [Direction::Ascending, Direction::Descending].map(|direction| (case, direction)))
    {
        let (mut server, mut pagination) = plainly(sorted(&steps, RangeKind::Integer, direction), direction);
        server.style = style.clone();
        pagination.style = style.clone();
        pagination.limits = limits.clone();
        for width in [1, 2, 6] {
            for seed in 0..20 {
                let manner = Manner { seed, ..Manner::of(width) };
                let crawled = crawl(&pagination, server.first(), manner, |request| {
                    let at = |name| query_value(&request.url, name).map_or(0, |text| text.parse::<u64>().unwrap());
                    assert!(at("offset") <= 40 && at("page") <= 8, "{}", request.url);
                    server.answer(request)
                });
                assert!(matches!(crawled.end, Ok(Proof::Parts(8..))), "{limits:?} {width}: {:?}", crawled.end);
                assert_eq!(crawled.ids, server.ids(), "{limits:?} {width} {seed}");
            }
        }
        // One part alone reaches the limit, and a value that more records share than the limit lets through can't be cut.
        let whole = Pagination { partition: None, ..pagination.clone() };
        let crawled = crawl(&whole, server.first(), Manner::of(1), |request| server.answer(request));
        assert!(matches!(crawled.end, Err(PageError::Limit { .. })), "{:?}", crawled.end);
        server.records = sorted(&[(0, 0); 100], RangeKind::Integer, direction);
        let crawled = crawl(&pagination, server.first(), Manner::of(1), |request| server.answer(request));
        assert!(matches!(crawled.end, Err(PageError::Limit { .. })), "{:?}", crawled.end);
    }
}

/// A record that a part saw far behind its end belongs to one of the parts behind it, and is looked for in that one only.
#[test]
fn parts_meet_where_the_record_belongs_that_one_of_them_saw() {
    let steps: Vec<_> = (0..60).map(|n| (if n % 12 == 0 { 60 } else { 0 }, 0)).collect();
    for seed in 0..100 {
        let (mut server, pagination) =
            plainly(sorted(&steps, RangeKind::Integer, Direction::Ascending), Direction::Ascending);
        server.clamp = 2;
        let manner = Manner { seed, ..Manner::of(4) };
        let crawled = crawl(&pagination, server.first(), manner, |request| server.answer(request));
        assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        assert_eq!(crawled.ids, server.ids());
    }
}

/// Records that leave at once need no room to wait in.
#[test]
fn a_list_of_parts_is_walked_without_room() {
    let records = (0..20).map(|id| Record { shard: id / 5, ..Record::of(id) }).collect();
    let filter = Some(plain(RangeKind::Integer, Direction::Ascending));
    let server = Server { records, filter, ..Server::of(cursor(), 0, 3) };
    let mut pagination = of(cursor());
    pagination.partition = Some(Partition::Numbered { param: query("shard"), count_param: query("shards"), count: 4 });
    let manner = Manner { full: 4, ..Manner::of(6) };
    let crawled = crawl(&pagination, server.first(), manner, |request| server.answer(request));
    assert_eq!((crawled.ids, crawled.end.unwrap(), crawled.most), (server.ids(), Proof::Parts(4), 1));
}
