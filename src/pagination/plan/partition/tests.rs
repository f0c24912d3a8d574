//! Parts over simulated upstreams: sorted collections behind every kind of filter, walked by any number of workers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::{Cut, UpperBound, split};
use crate::batch::Batch;
use crate::pagination::partition_settings::{Bound, Direction, RangeKind, RangePartition};
use crate::pagination::{PageError, PageRequest, PageSize, Param};

const NANO: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * NANO;

/// Reading of the bounds by an upstream.
#[derive(Clone, Copy, Debug)]
struct Filter {
    from: Edge,
    to: Edge,
    compares: Compares,
    /// Nanoseconds by which `from` is read too late, as in another time zone.
    late: i128,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Edge {
    Inclusive,
    Exclusive,
    Ignored,
}

/// Comparison of fractions by an upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compares {
    Exactly,
    Truncated,
}

/// A sorted collection behind a filter. Values are nanoseconds, or whole numbers.
#[derive(Debug)]
struct Upstream {
    range: Arc<RangePartition>,
    /// In the order of the listing.
    values: Vec<i128>,
    filter: Filter,
    page: usize,
}

/// One part's walk.
#[derive(Debug)]
struct Walk {
    cut: Cut,
    /// The listing that its request got, and how much of it has been read.
    listing: Option<std::vec::IntoIter<usize>>,
    is_done: bool,
    read: Vec<usize>,
}

/// Cost of a crawl.
#[derive(Debug, Default)]
struct Cost {
    pages: usize,
    probes: usize,
    rounds: usize,
    parts: usize,
}

fn range(kind: RangeKind, direction: Direction) -> RangePartition {
    RangePartition {
        from: Param::Query("from".into()),
        to: Param::Query("to".into()),
        kind,
        field: "at".parse().unwrap(),
        lower: None,
        upper: None,
        direction,
    }
}

fn first() -> PageRequest {
    PageRequest::get(Url::parse("http://a/x?q=1").unwrap())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_609_459_200)
}

impl Upstream {
    /// Nanoseconds, or numbers, of a unit.
    fn unit(&self) -> i128 {
        match self.range.kind {
            RangeKind::Unix | RangeKind::Rfc3339 => NANO,
            RangeKind::Date => DAY,
            RangeKind::Integer => 1,
        }
    }

    /// A record's value as it is written: as a string where its place is odd and both may be.
    fn value(&self, index: usize) -> Value {
        let value = self.values[index];
        let text = match self.range.kind {
            RangeKind::Integer => value.to_string(),
            RangeKind::Unix if value % NANO == 0 => (value / NANO).to_string(),
            RangeKind::Unix => format!("{}.{:09}", value / NANO, value % NANO),
            RangeKind::Rfc3339 | RangeKind::Date => {
                return Value::from(jiff::Timestamp::from_nanosecond(value).unwrap().to_string());
            }
        };
        if index.is_multiple_of(2) { serde_json::from_str(&text).unwrap() } else { Value::from(text) }
    }

    fn line(&self, index: usize) -> String {
        format!("{{\"id\":{index},\"at\":{}}}\n", self.value(index))
    }

    /// The records between the configured bounds, which are wanted themselves.
    fn wanted(&self) -> Vec<usize> {
        let bound = |bound: &Option<Bound>| match bound {
            Some(Bound::At(value)) => self.range.kind.unit_of(value),
            _ => None,
        };
        let (lower, upper) = (bound(&self.range.lower), bound(&self.range.upper));
        let is_wanted = |index: &usize| {
            let unit = self.values[*index].div_euclid(self.unit());
            lower.is_none_or(|lower| unit >= lower) && upper.is_none_or(|upper| unit <= upper)
        };
        (0..self.values.len()).filter(is_wanted).collect()
    }

    fn listing(&self, request: &PageRequest) -> Vec<usize> {
        let bound = |name: &str| {
            let text = request.value_at(&Param::Query(name.into()))?;
            Some(self.range.kind.unit_of(&Value::from(text)).expect("a value of the kind") * self.unit())
        };
        let (from, to) = (bound("from").map(|from| from + self.filter.late), bound("to"));
        let compared = |value: i128| match self.filter.compares {
            Compares::Exactly => value,
            Compares::Truncated => value.div_euclid(self.unit()) * self.unit(),
        };
        let is_in = |value: i128| {
            let above = from.is_none_or(|from| match self.filter.from {
                Edge::Inclusive => value >= from,
                Edge::Exclusive => value > from,
                Edge::Ignored => true,
            });
            let below = to.is_none_or(|to| match self.filter.to {
                Edge::Inclusive => value <= to,
                Edge::Exclusive => value < to,
                Edge::Ignored => true,
            });
            above && below
        };
        (0..self.values.len()).filter(|index| is_in(compared(self.values[*index]))).collect()
    }

    fn batch(&self, records: impl Iterator<Item = usize>) -> Batch {
        let lines: Vec<_> = records.map(|index| self.line(index)).collect();
        Batch::new(Bytes::from(lines.concat()), lines.len() as u64)
    }

    /// Walks the collection with some workers, who read a page in each round, in an order that the dice decide. One that
    /// throws a 1 of 0 to 3 is slow, and reads none.
    fn walk(&self, workers: usize, mut dice: impl FnMut(usize) -> usize) -> Result<(Vec<usize>, Cost), PageError> {
        let mut far = UpperBound::new(Arc::clone(&self.range), &first(), now());
        let mut walks = vec![Walk::of(Cut::whole(Arc::clone(&self.range)))];
        let mut cost = Cost::default();
        let size = PageSize { param: Some(Param::Query("limit".into())), value: None, max: None };
        while walks.iter().any(|walk| !walk.is_done) {
            cost.rounds += 1;
            assert!(cost.rounds < 10_000, "endless: {cost:?}");
            let mut turns: Vec<_> = (0..walks.len()).filter(|turn| !walks[*turn].is_done).collect();
            assert!(turns.len() <= workers);
            if let Some(probe) = far.probe(&first(), Some(&size)) {
                assert!(!far.is_known() && far.probe(&first(), None).is_none());
                let request = probe?;
                assert_eq!(request.value_at(&Param::Query("limit".into())).as_deref(), Some("1"));
                cost.probes += 1;
                let found = self.listing(&request).first().map(|index| self.line(*index));
                far.probed(found.as_deref().map(str::as_bytes))?;
            }
            while !turns.is_empty() {
                let turn = turns.swap_remove(dice(turns.len()));
                if dice(4) == 1 {
                    continue;
                }
                cost.pages += 1;
                walks[turn].read_page(self, dice(3))?;
                if turn == 0 {
                    far.seen(walks[0].cut.read());
                }
            }
            while walks.iter().filter(|walk| !walk.is_done).count() < workers {
                let indexes: Vec<_> = (0..walks.len()).filter(|index| !walks[*index].is_done).collect();
                let mut cuts: Vec<_> =
                    walks.iter_mut().filter(|walk| !walk.is_done).map(|walk| &mut walk.cut).collect();
                let Some((owner, rest)) = split(&mut cuts, &far, self.page as u64) else { break };
                walks.insert(indexes[owner] + 1, Walk::of(rest));
            }
        }
        cost.parts = walks.len();
        for pair in walks.windows(2) {
            pair[0].cut.meets(&pair[1].cut)?;
        }
        Ok((walks.into_iter().flat_map(|walk| walk.read).collect(), cost))
    }

    fn minimal_pages(&self) -> usize {
        self.values.len().div_ceil(self.page)
    }
}

impl Walk {
    fn of(cut: Cut) -> Self {
        Self { cut, listing: None, is_done: false, read: Vec::new() }
    }

    /// Reads a page, which comes in one piece or two.
    fn read_page(&mut self, upstream: &Upstream, cut_at: usize) -> Result<(), PageError> {
        if self.listing.is_none() {
            self.listing = Some(upstream.listing(&self.cut.request(&first())?).into_iter());
        }
        let listing = self.listing.as_mut().unwrap();
        let page: Vec<_> = listing.by_ref().take(upstream.page).collect();
        let (one, other) = page.split_at(page.len() * cut_at / 3);
        for piece in [one, other] {
            let passed = self.cut.pass(upstream.batch(piece.iter().copied()))?;
            assert_eq!(passed.each().count() as u64, passed.records());
            for line in passed.each() {
                let record: Value = serde_json::from_slice(line).unwrap();
                self.read.push(record["id"].as_u64().unwrap() as usize);
            }
        }
        // The simulated upstream's last page says that it is the last.
        self.is_done = self.cut.is_over() || self.listing.as_ref().unwrap().len() == 0;
        Ok(())
    }
}

/// Runs of values: a place, how far apart they lie, how many there are. Sorted, with ties, some of them long.
fn values() -> impl Strategy<Value = Vec<i128>> {
    let gap = prop_oneof![Just(0), 0..4_i128, 0..2_000_i128, 0..20_000_000_i128];
    let run = (gap.clone(), gap, 1..60_usize);
    prop::collection::vec(run, 0..8).prop_map(|runs| {
        let mut at = 1_500_000_000_i128;
        let mut values = Vec::new();
        for (jump, gap, count) in runs {
            at += jump;
            for _ in 0..count {
                values.push(at);
                at += gap;
            }
        }
        values
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let edge = || prop_oneof![Just(Edge::Inclusive), Just(Edge::Exclusive)];
    let compares = prop_oneof![Just(Compares::Exactly), Just(Compares::Truncated)];
    (edge(), edge(), compares).prop_map(|(from, to, compares)| Filter { from, to, compares, late: 0 })
}

fn upstreams() -> impl Strategy<Value = Upstream> {
    let kind =
        prop_oneof![Just(RangeKind::Unix), Just(RangeKind::Rfc3339), Just(RangeKind::Date), Just(RangeKind::Integer),];
    let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    let bounds = (
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
    );
    let fractions = prop::collection::vec(0..NANO, 1..20);
    (values(), filters(), kind, direction, bounds, fractions, 1..9_usize).prop_map(
        |(mut values, filter, kind, direction, (lower, upper), fractions, page)| {
            if kind != RangeKind::Integer {
                for (value, fraction) in values.iter_mut().zip(fractions.iter().cycle()) {
                    *value = *value * NANO + if fraction % 3 == 0 { 0 } else { *fraction };
                }
            }
            values.sort_unstable();
            let mut upstream = Upstream { range: Arc::new(range(kind, direction)), values, filter, page };
            // One of the values, or now where it is the second of them.
            let bound = |index: Option<prop::sample::Index>| {
                let index = index.filter(|_| !upstream.values.is_empty())?.index(upstream.values.len());
                let is_now = index == 1 && kind != RangeKind::Integer;
                Some(if is_now { Bound::Now } else { Bound::At(upstream.value(index)) })
            };
            upstream.range =
                Arc::new(RangePartition { lower: bound(lower), upper: bound(upper), ..range(kind, direction) });
            if direction == Direction::Descending {
                upstream.values.reverse();
            }
            upstream
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_record_comes_once_and_in_order(upstream in upstreams(), workers in 1..10_usize, seed in any::<u64>()) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (read, cost) = upstream.walk(workers, |most| dice.usize(..most)).unwrap();
        prop_assert_eq!(read, upstream.wanted(), "{:?}", cost);
        prop_assert!(cost.probes <= 16, "{:?}", cost);
    }

    #[test]
    fn a_filter_that_is_ignored_is_found_out(upstream in upstreams(), from in any::<bool>(), seed in any::<u64>()) {
        let mut upstream = upstream;
        if from { upstream.filter.from = Edge::Ignored } else { upstream.filter.to = Edge::Ignored }
        let mut dice = fastrand::Rng::with_seed(seed);
        match upstream.walk(4, |most| dice.usize(..most)) {
            Ok((read, _)) => prop_assert_eq!(read, upstream.wanted()),
            Err(wrong) => prop_assert!(matches!(wrong, PageError::OutOfRange { .. }), "{}", wrong),
        }
    }
}

/// The start of 2018, in seconds.
const START: i128 = 1_514_764_800;
const YEAR: i128 = 365 * 86_400;

/// Places of records: `counts` has the number in each stretch of `seconds`, over which they are spread evenly.
fn stretches(counts: &[i128], seconds: i128) -> Vec<i128> {
    let starts = (0..).map(|at| START + at * seconds);
    let each = counts.iter().zip(starts);
    each.flat_map(|(count, start)| (0..*count).map(move |record| (start + record * seconds / count) * NANO)).collect()
}

fn cost_of(mut values: Vec<i128>, direction: Direction, upper: Option<Bound>) -> (Upstream, Cost) {
    let filter = Filter { from: Edge::Inclusive, to: Edge::Inclusive, compares: Compares::Exactly, late: 0 };
    let range = Arc::new(RangePartition { upper, ..range(RangeKind::Rfc3339, direction) });
    if direction == Direction::Descending {
        values.reverse();
    }
    let upstream = Upstream { range, values, filter, page: 100 };
    let (read, cost) = upstream.walk(8, |_| 0).unwrap();
    assert!(read.iter().copied().eq(0..upstream.values.len()));
    (upstream, cost)
}

/// A tenth of 100 records in 2018, 1,000 in 2019 and 1,000,000 in 2020, in pages of 100: 1,002 pages.
#[test]
fn a_skewed_collection_is_read_side_by_side_at_next_to_no_cost() {
    let ways = [(None, Direction::Ascending), (None, Direction::Descending), (Some(Bound::Now), Direction::Ascending)];
    for (upper, direction) in ways {
        let (upstream, cost) = cost_of(stretches(&[10, 100, 100_000], YEAR), direction, upper);
        let minimal = upstream.minimal_pages();
        assert!((cost.pages + cost.probes) * 10 <= minimal * 11, "{cost:?} {minimal}");
        assert!(cost.rounds * 7 <= minimal, "{cost:?}");
    }
}

#[test]
fn neither_clumps_nor_ties_cost_much() {
    let tie = |before: i128, tie: usize, after: i128| {
        let mut values = stretches(&[before], YEAR);
        values.extend(std::iter::repeat_n((START + YEAR) * NANO, tie));
        values.extend(stretches(&[1, after], YEAR).into_iter().skip(1));
        values
    };
    let months = |of: fn(usize) -> i128| stretches(&std::array::from_fn::<_, 36, _>(of), YEAR / 12);
    let even = [
        ("growing", months(|month| 2 << (month / 3))),
        ("clumps", months(|month| if month % 12 == 7 { 8_000 } else { 3 })),
        ("even", stretches(&[20_000], 3 * YEAR)),
        ("one a second", stretches(&[20_000], 20_000)),
        ("a hundred a second", stretches(&[20_000], 200)),
    ];
    let tied = [
        ("a tie in the middle", tie(5_000, 10_000, 5_000)),
        ("a tie at the start", tie(1, 10_000, 1_000)),
        ("a tie at the end", tie(5_000, 10_000, 1)),
    ];
    let shapes = even.map(|shape| (shape, 5)).into_iter().chain(tied.map(|shape| (shape, 0)));
    for ((name, values), times_faster) in shapes {
        for direction in [Direction::Ascending, Direction::Descending] {
            let (upstream, cost) = cost_of(values.clone(), direction, None);
            let minimal = upstream.minimal_pages();
            assert!(cost.pages <= minimal * 11 / 10 + 60, "{name}: {direction:?}, {cost:?}, at best {minimal}");
            assert!(cost.rounds * times_faster <= minimal, "{name}: {direction:?}, {cost:?}, at best {minimal}");
        }
    }
}

#[test]
fn a_filter_that_leaves_records_out_is_found_out() {
    for (direction, late) in [(Direction::Ascending, 5 * 3_600 * NANO), (Direction::Ascending, 3 * NANO)] {
        let filter = Filter { from: Edge::Inclusive, to: Edge::Inclusive, compares: Compares::Exactly, late };
        let range = Arc::new(range(RangeKind::Rfc3339, direction));
        let upstream = Upstream { range, values: stretches(&[20_000], 20_000), filter, page: 100 };
        assert!(matches!(upstream.walk(8, |_| 0), Err(PageError::PartsApart { .. })), "{late}");
    }
}

fn batch(lines: &[&str]) -> Batch {
    Batch::new(Bytes::from(lines.iter().map(|line| format!("{line}\n")).collect::<String>()), lines.len() as u64)
}

#[test]
fn a_record_that_belongs_nowhere_is_an_error() {
    let numbers = |direction| Cut::whole(Arc::new(range(RangeKind::Integer, direction)));
    let wrong = |lines: &[&str]| numbers(Direction::Ascending).pass(batch(lines)).unwrap_err();
    assert!(matches!(wrong(&["{\"at\":1}", "{\"id\":2}"]), PageError::NoRangeValue(_)));
    for bad in ["null", "1.5", "\"x\"", "[1]", "{\"at\":1}", "true"] {
        let line = format!("{{\"at\":{bad}}}");
        assert!(matches!(wrong(&[&line]), PageError::BadRangeValue { .. }), "{bad}");
    }
    assert!(matches!(wrong(&["{\"at\":2}", "{\"at\":1}"]), PageError::OutOfOrder { .. }));
    let up = batch(&["{\"at\":1}", "{\"at\":1}", "{\"at\":\"\\u0032\"}"]);
    assert_eq!(numbers(Direction::Ascending).pass(up.clone()).unwrap(), up);
    assert!(matches!(numbers(Direction::Descending).pass(up), Err(PageError::OutOfOrder { .. })));
}

#[test]
fn the_clients_own_bounds_stay() {
    let bounded = |direction| {
        let at = |value: i64| Some(Bound::At(json!(value)));
        Cut::whole(Arc::new(RangePartition { lower: at(100), upper: at(200), ..range(RangeKind::Integer, direction) }))
    };
    let asked = |direction, query: &str| {
        let mut first = first();
        first.url.set_query(Some(query));
        bounded(direction).request(&first).unwrap().url.query().unwrap().to_owned()
    };
    for direction in [Direction::Ascending, Direction::Descending] {
        assert_eq!(asked(direction, "q=1"), "q=1&from=99&to=202");
        assert_eq!(asked(direction, "from=150&to=160"), "from=150&to=160");
        assert_eq!(asked(direction, "from=50&to=260"), "from=99&to=202");
        assert_eq!(asked(direction, "from=x"), "from=x&to=202");
    }
    let open = Cut::whole(Arc::new(range(RangeKind::Integer, Direction::Ascending)));
    assert_eq!(open.request(&first()).unwrap(), first());
}

#[test]
fn nothing_is_cut_before_anything_is_known() {
    let ids = |count: usize| {
        batch(
            &(0..count)
                .map(|id| format!("{{\"at\":{id}}}"))
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        )
    };
    let range = Arc::new(range(RangeKind::Integer, Direction::Ascending));
    let far = |query: &str| {
        let mut first = first();
        first.url.set_query(Some(query));
        UpperBound::new(Arc::clone(&range), &first, now())
    };
    let mut cut = Cut::whole(Arc::clone(&range));
    assert!(split(&mut [&mut cut], &far("to=10000"), 10).is_none());
    cut.pass(ids(100)).unwrap();
    assert!(split(&mut [&mut cut], &far("q=1"), 10).is_none());
    assert!(split(&mut [&mut cut], &far("to=yesterday"), 10).is_none());
    assert!(split(&mut [&mut cut], &far("to=130"), 10).is_none());
    let (owner, rest) = split(&mut [&mut cut], &far("to=200"), 10).unwrap();
    assert_eq!((owner, rest.request(&first()).unwrap().url.query()), (0, Some("q=1&from=149")));
    assert_eq!(cut.request(&first()).unwrap().url.query(), Some("q=1"));
}

#[test]
fn an_end_that_can_not_be_asked_for_is_what_was_seen() {
    let range = Arc::new(range(RangeKind::Integer, Direction::Ascending));
    let (mut cut, mut far) = (Cut::whole(Arc::clone(&range)), UpperBound::new(Arc::clone(&range), &first(), now()));
    far.seen(cut.read());
    assert!(far.probe(&first(), None).is_none() && !far.is_known());
    cut.pass(batch(&["{\"at\":10}", "{\"at\":20}"])).unwrap();
    far.seen(cut.read());
    assert_eq!(far.probe(&first(), None).unwrap().unwrap().url.query(), Some("q=1&from=30"));
    assert!(matches!(far.probed(Some(b"{\"at\":10}\n")), Err(PageError::OutOfRange { .. })));
    assert!(far.probe(&first(), None).is_some());
    far.give_up();
    assert!(far.is_known() && far.probe(&first(), None).is_none());
}
