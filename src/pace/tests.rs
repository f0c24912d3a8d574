//! A governor with simulated upstreams of many kinds, in simulated time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;

use http::StatusCode;
use proptest::prelude::*;

use super::budget_headers::{BudgetReport, RemainingBudget};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Way in which an upstream counts requests.
#[derive(Clone, Debug)]
enum Counting {
    /// Windows of this length follow each other from this time on.
    Fixed { length: Duration, offset: Duration, window: u64, used: u64 },
    /// A limit for each window of this length that ends now.
    Sliding { length: Duration, log: VecDeque<Duration> },
    /// A token bucket that fills evenly.
    Bucket { length: Duration, burst: f64, tokens: f64, at: Duration },
    /// A token bucket that reports the time of the next token if none is left, else the time at which it is full.
    Helpful { each: Duration, burst: u32, full: Duration },
}

/// Report of an upstream's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    RetryAfter,
    /// Whole seconds, rounded up or down.
    Budget(Rounding),
    /// As `Budget`, with `Retry-After`.
    All(Rounding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    Up,
    Down,
    /// An instant in whole seconds of a clock that is this many milliseconds ahead of a second.
    Epoch(u64),
}

#[derive(Clone, Debug)]
struct Server {
    counting: Counting,
    limit: u64,
    says: Says,
}

impl Server {
    fn ask(&mut self, now: Duration) -> (StatusCode, BudgetReport) {
        let limit = self.limit;
        let (is_served, remaining, reset) = match &mut self.counting {
            Counting::Fixed { length, offset, window, used } => {
                let at = (now + *offset).as_nanos() / length.as_nanos();
                if *window != at as u64 {
                    (*window, *used) = (at as u64, 0);
                }
                let is_served = *used < limit;
                *used += u64::from(is_served);
                let end = Duration::from_nanos_u128((at + 1) * length.as_nanos());
                (is_served, limit - *used, end - (now + *offset))
            }
            Counting::Sliding { length, log } => {
                while log.front().is_some_and(|first| *first + *length <= now) {
                    log.pop_front();
                }
                let is_served = (log.len() as u64) < limit;
                if is_served {
                    log.push_back(now);
                }
                (is_served, limit - log.len() as u64, log[0] + *length - now)
            }
            Counting::Bucket { length, burst, tokens, at } => {
                let rate = limit as f64 / length.as_secs_f64();
                *tokens = (*tokens + (now - *at).as_secs_f64() * rate).min(*burst);
                *at = now;
                let is_served = *tokens >= 1.0;
                *tokens -= f64::from(u8::from(is_served));
                (is_served, *tokens as u64, Duration::from_secs_f64((*burst - *tokens) / rate))
            }
            Counting::Helpful { each, burst, full } => {
                let free = (*each * *burst).saturating_sub(full.saturating_sub(now));
                match free.checked_sub(*each) {
                    None => (false, 0, *each - free),
                    Some(left) => {
                        *full = now.max(*full) + *each;
                        let remaining = (left.as_nanos() / each.as_nanos()) as u64;
                        (true, remaining, if remaining == 0 { each.saturating_sub(left) } else { *full - now })
                    }
                }
            }
        };
        let whole = |rounding, wait: Duration| match rounding {
            Rounding::Up => Duration::from_secs(wait.as_secs_f64().ceil() as u64),
            Rounding::Down => Duration::from_secs(wait.as_secs()),
            Rounding::Epoch(millis) => {
                let clock = now + Duration::from_millis(millis);
                Duration::from_secs((clock + wait).as_secs_f64().ceil() as u64) - clock
            }
        };
        let left = |rounding| RemainingBudget {
            name: 0,
            remaining,
            reset: Some(whole(rounding, reset)),
            limit: Some(limit),
            window: None,
        };
        let retry = Some(whole(Rounding::Up, reset)).filter(|_| !is_served);
        let budget = match self.says {
            Says::Nothing => BudgetReport::default(),
            Says::RetryAfter => BudgetReport { wait: retry, left: Vec::new(), at_a_time: None },
            Says::Budget(rounding) => BudgetReport { wait: None, left: vec![left(rounding)], at_a_time: None },
            Says::All(rounding) => BudgetReport { wait: retry, left: vec![left(rounding)], at_a_time: None },
        };
        (if is_served { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS }, budget)
    }
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    at: Duration,
    status: StatusCode,
    crawl: u64,
    /// Limit of requests in flight at that time.
    limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Arrives(u64, Duration),
    Answered(u64, Duration, u16, usize),
    Wakes,
}

/// Crawls that always request more, and the answers to them.
struct World<U> {
    governor: Governor,
    upstream: U,
    dice: fastrand::Rng,
    /// Number of requests of each crawl that wait or are in flight.
    widths: Vec<usize>,
    answers: Vec<Answered>,
    most_in_flight: usize,
}

/// Answers a request that arrives at the same time as `others`, after the returned time.
trait Upstream {
    fn ask(&mut self, now: Duration, others: usize, dice: &mut fastrand::Rng) -> (StatusCode, BudgetReport, Duration);
}

/// A server with this latency, and jitter.
struct Distant(Server, Duration);

impl Upstream for Distant {
    fn ask(&mut self, now: Duration, _: usize, dice: &mut fastrand::Rng) -> (StatusCode, BudgetReport, Duration) {
        let (status, budget) = self.0.ask(now);
        (status, budget, self.1.mul_f64(0.3 + 0.4 * dice.f64()))
    }
}

impl<U: Upstream> World<U> {
    fn new(pace: &Pace, upstream: U, widths: &[usize], seed: u64) -> Self {
        let governor = Governor::new(pace, Duration::from_secs(300));
        let dice = fastrand::Rng::with_seed(seed);
        Self { governor, upstream, dice, widths: widths.to_vec(), answers: Vec::new(), most_in_flight: 0 }
    }

    fn run(&mut self, end: Duration, way: Duration) {
        let mut budgets: Vec<BudgetReport> = Vec::new();
        let mut owners = std::collections::HashMap::new();
        for (crawl, width) in self.widths.iter().enumerate() {
            for _ in 0..*width {
                owners.insert(self.governor.join(CrawlId(crawl as u64)), crawl as u64);
            }
        }
        let mut events = BinaryHeap::from([Reverse((Duration::ZERO, Happens::Wakes))]);
        let (mut there, mut flying, mut wakes_at) = (0, 0, None);
        while let Some(Reverse((now, happens))) = events.pop() {
            if now > end {
                return;
            }
            match happens {
                Happens::Wakes => wakes_at = None,
                Happens::Arrives(crawl, sent) => {
                    there += 1;
                    let (status, budget, takes) = self.upstream.ask(now, there, &mut self.dice);
                    budgets.push(budget);
                    let answered = Happens::Answered(crawl, sent, status.as_u16(), budgets.len() - 1);
                    events.push(Reverse((now + takes, answered)));
                }
                Happens::Answered(crawl, sent, status, budget) => {
                    let status = StatusCode::from_u16(status).unwrap();
                    (there, flying) = (there - 1, flying - 1);
                    self.governor.answered(now, sent, status, &budgets[budget]);
                    self.governor.released();
                    let limit = self.governor.load(now).limit;
                    self.answers.push(Answered { at: now, status, crawl, limit });
                    owners.insert(self.governor.join(CrawlId(crawl)), crawl);
                }
            }
            loop {
                match self.governor.grant(now) {
                    GrantDecision::Now(ticket) => {
                        flying += 1;
                        self.most_in_flight = self.most_in_flight.max(flying);
                        let crawl = owners.remove(&ticket).unwrap();
                        let there = now + way.mul_f64(0.5 + 0.5 * self.dice.f64());
                        events.push(Reverse((there, Happens::Arrives(crawl, now))));
                    }
                    GrantDecision::At(at, _) => {
                        assert!(at > now, "it is {now:?}, and no request may be sent before {at:?}");
                        // A timer knows only milliseconds.
                        let at = Duration::from_millis(at.as_millis() as u64 + 1);
                        if wakes_at.is_none_or(|wakes| at < wakes) {
                            wakes_at = Some(at);
                            events.push(Reverse((at, Happens::Wakes)));
                        }
                        break;
                    }
                    GrantDecision::Idle => break,
                }
            }
        }
    }

    /// Successful answers a second between two times, and the share of refused ones.
    fn between(&self, from: Duration, to: Duration) -> (f64, f64) {
        let within: Vec<_> = self.answers.iter().filter(|answer| from <= answer.at && answer.at < to).collect();
        let good = within.iter().filter(|answer| answer.status == StatusCode::OK).count();
        let refused = (within.len() - good) as f64 / within.len().max(1) as f64;
        (good as f64 / (to - from).as_secs_f64(), refused)
    }
}

fn wide(width: u32) -> Pace {
    let width = NonZeroU32::new(width).unwrap();
    Pace { width: Width::Fixed(width), max_width: width.max(Pace::MAX_WIDTH), ..Pace::default() }
}

fn fixed(millis: u64, offset: u64) -> Counting {
    let (length, offset) = (Duration::from_millis(millis), Duration::from_millis(offset));
    Counting::Fixed { length, offset, window: u64::MAX, used: 0 }
}

fn bucket(burst: f64) -> Counting {
    Counting::Bucket { length: SECOND, burst, tokens: burst, at: Duration::ZERO }
}

fn sliding(length: Duration) -> Counting {
    Counting::Sliding { length, log: VecDeque::new() }
}

/// Runs a crawl of a server that allows 20 requests a second; returns the successful answers a second and the share of refused
/// ones, over the minute after the first five seconds.
fn twenty_a_second(counting: &Counting, says: Says, width: u32, latency: Duration) -> (f64, f64) {
    let server = Server { counting: counting.clone(), limit: 20, says };
    let mut world = World::new(&wide(width), Distant(server, latency), &[width as usize], 7);
    world.run(Duration::from_secs(70), latency / 2);
    world.between(Duration::from_secs(5), Duration::from_secs(65))
}

#[test]
fn a_rate_is_found_and_kept_with_every_way_of_counting_and_reporting() {
    let told = [Rounding::Up, Rounding::Down].map(|rounding| [Says::Budget(rounding), Says::All(rounding)]).concat();
    for (counting, untold) in [
        (fixed(1000, 0), 19.0),
        (fixed(1000, 350), 19.0),
        (fixed(1000, 985), 19.0),
        (bucket(20.0), 19.0),
        (bucket(100.0), 19.0),
        // These refuse a request that comes some milliseconds early, and each refusal costs a second.
        (sliding(SECOND), 18.6),
        (bucket(5.0), 18.6),
    ] {
        for (width, millis) in [(6, 5), (6, 50)] {
            let latency = Duration::from_millis(millis);
            for says in [Says::Nothing, Says::RetryAfter] {
                let (rate, refused) = twenty_a_second(&counting, says, width, latency);
                assert!(rate >= untold && refused <= 0.015, "{counting:?} {says:?} {millis} ms: {rate}/s, {refused}");
            }
            for says in &told {
                let (rate, refused) = twenty_a_second(&counting, *says, width, latency);
                assert!(rate >= 19.1 && refused == 0.0, "{counting:?} {says:?} {millis} ms: {rate}/s, {refused}");
            }
        }
    }
}

#[test]
fn a_second_is_known_by_instants_in_whole_seconds() {
    let bucket = |burst| Counting::Helpful { each: SECOND / 20, burst, full: Duration::ZERO };
    for (counting, least) in
        [(bucket(20), 19.0), (bucket(5), 19.0), (bucket(100), 19.0), (fixed(1000, 0), 9.0), (sliding(SECOND), 9.0)]
    {
        for (millis, ahead) in [(5, 0), (5, 700), (30, 10), (30, 300), (50, 990)] {
            let says = Says::All(Rounding::Epoch(ahead));
            let (rate, refused) = twenty_a_second(&counting, says, 6, Duration::from_millis(millis));
            assert!(rate >= least && refused <= 0.001, "{counting:?} {says:?} {millis} ms: {rate}/s, {refused}");
        }
    }
}

#[test]
fn a_rate_is_found_through_a_network_that_bunches_requests() {
    for counting in [fixed(1000, 350), bucket(5.0), bucket(20.0), sliding(SECOND)] {
        for says in [Says::Nothing, Says::RetryAfter, Says::Budget(Rounding::Up)] {
            let (rate, refused) = twenty_a_second(&counting, says, 32, Duration::from_millis(300));
            assert!(rate >= 16.0 && refused <= 0.02, "{counting:?} {says:?}: {rate}/s, {refused}");
        }
    }
}

#[test]
fn windows_of_a_minute_are_found_by_counting() {
    for (says, least, most) in [
        (Says::Nothing, 1.4, 0.03),
        (Says::RetryAfter, 1.5, 0.02),
        (Says::Budget(Rounding::Up), 1.6, 0.0),
        (Says::Budget(Rounding::Down), 1.6, 0.0),
    ] {
        let server = Server { counting: fixed(60_000, 20_000), limit: 100, says };
        let mut world = World::new(&wide(6), Distant(server, Duration::from_millis(50)), &[6], 1);
        world.run(Duration::from_secs(1300), Duration::from_millis(10));
        let (rate, refused) = world.between(Duration::from_secs(100), Duration::from_secs(1300));
        assert!(rate >= least && refused <= most, "{says:?}: {rate}/s, {refused}");
    }
}

/// A server whose answers become slower with more than `knee` requests, with jitter.
struct Knee {
    knee: f64,
    latency: f64,
}

impl Upstream for Knee {
    fn ask(&mut self, _: Duration, others: usize, dice: &mut fastrand::Rng) -> (StatusCode, BudgetReport, Duration) {
        let slower = (others as f64 / self.knee).max(1.0);
        // Now and then an answer takes much longer.
        let tail = if dice.u8(..) < 3 { 10.0 } else { 1.0 };
        let takes = self.latency * slower * (0.8 + 0.4 * dice.f64()) * tail;
        (StatusCode::OK, BudgetReport::default(), Duration::from_secs_f64(takes))
    }
}

#[test]
fn an_adaptive_width_settles_where_the_latency_begins_to_grow() {
    let rate = |pace: &Pace, width, seed| {
        let mut world = World::new(pace, Knee { knee: 12.0, latency: 0.1 }, &[width], seed);
        world.run(Duration::from_secs(40), Duration::from_micros(100));
        let limits: Vec<_> =
            world.answers.iter().filter(|answer| answer.at > 10 * SECOND).map(|answer| answer.limit).collect();
        (world.between(10 * SECOND, 40 * SECOND).0, limits)
    };
    let best =
        [1, 4, 8, 12, 16, 32, 64].map(|width| rate(&wide(width), width as usize, 1).0).into_iter().fold(0.0, f64::max);
    let pace = Pace { width: Width::Adaptive, max_width: NonZeroU32::new(64).unwrap(), ..Pace::default() };
    for seed in 0..20 {
        let (adaptive, limits) = rate(&pace, 64, seed);
        let settled = limits.iter().filter(|limit| (8..=14).contains(*limit)).count() as f64 / limits.len() as f64;
        assert!(settled > 0.9, "{settled} of the time with {seed}: {limits:?}");
        assert!(adaptive >= 0.9 * best, "{adaptive}/s beside {best}/s with {seed}");
    }
}

/// A server that answers all requests, with this latency.
struct Free(Duration);

impl Upstream for Free {
    fn ask(&mut self, _: Duration, _: usize, _: &mut fastrand::Rng) -> (StatusCode, BudgetReport, Duration) {
        (StatusCode::OK, BudgetReport::default(), self.0)
    }
}

#[test]
fn a_configured_rate_is_kept_evenly_and_used_up() {
    let rate = Rate { requests: NonZeroU32::new(10).unwrap(), period: SECOND };
    let pace = Pace { rate: Some(rate), ..wide(6) };
    let mut world = World::new(&pace, Free(Duration::from_millis(30)), &[6, 6], 1);
    world.run(20 * SECOND, Duration::ZERO);
    let times: Vec<_> = world.answers.iter().map(|answer| answer.at).collect();
    assert!((198..=201).contains(&times.len()), "{} answers in 20 s", times.len());
    let closest = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(closest >= Duration::from_millis(97), "{closest:?} apart");
    // The cap is for waits that the upstream demands, not for configured ones.
    let rate = Rate { requests: NonZeroU32::MIN, period: 3600 * SECOND };
    let mut governor = Governor::new(&Pace { rate: Some(rate), ..wide(6) }, 300 * SECOND);
    exchange(&mut governor, Duration::ZERO, SECOND, 200, &BudgetReport::default());
    governor.join(CrawlId(0));
    assert_eq!(governor.grant(SECOND), GrantDecision::At(3600 * SECOND, HoldReason::Rate));
}

#[test]
fn crawls_that_want_different_amounts_get_the_same() {
    let pace = Pace { max_width: NonZeroU32::new(6).unwrap(), ..wide(6) };
    let mut world = World::new(&pace, Free(Duration::from_millis(30)), &[60, 6, 6], 1);
    world.run(10 * SECOND, Duration::ZERO);
    assert_eq!(world.most_in_flight, 6);
    let of = |crawl| world.answers.iter().filter(|answer| answer.crawl == crawl).count();
    assert_eq!([of(0), of(1), of(2)].map(|count| count.abs_diff(of(0)) <= 6), [true; 3]);
    assert!(of(0) + of(1) + of(2) > 1900);
}

#[test]
fn several_crawls_widen_the_limit_as_one_doesn_t() {
    for (widths, most) in [(vec![6], 7), (vec![6, 6], 13), (vec![6; 20], 32)] {
        let mut world = World::new(&wide(6), Free(Duration::from_millis(30)), &widths, 1);
        world.run(20 * SECOND, Duration::ZERO);
        assert_eq!(world.governor.load(20 * SECOND).limit, most, "{widths:?}");
    }
}

/// One request, sent at `sent` and answered at `now`.
fn exchange(governor: &mut Governor, sent: Duration, now: Duration, status: u16, budget: &BudgetReport) {
    governor.join(CrawlId(0));
    assert!(matches!(governor.grant(sent), GrantDecision::Now(_)), "at {sent:?}");
    governor.answered(now, sent, StatusCode::from_u16(status).unwrap(), budget);
    governor.released();
}

#[test]
fn a_demanded_wait_holds_all_crawls_up_to_the_cap() {
    for (wait, held) in [(7, 7), (3600, 300)] {
        for status in [429, 503, 403] {
            let mut governor = Governor::new(&wide(6), 300 * SECOND);
            let budget = BudgetReport { wait: Some(wait * SECOND), left: Vec::new(), at_a_time: None };
            exchange(&mut governor, Duration::ZERO, SECOND, status, &budget);
            governor.join(CrawlId(1));
            let until = SECOND + held * SECOND;
            assert_eq!(governor.grant(SECOND), GrantDecision::At(until, HoldReason::Demand), "{status}");
            assert!(matches!(governor.grant(until), GrantDecision::Now(_)));
        }
    }
}

#[test]
fn times_without_end_are_no_overflow() {
    let rate = Rate { requests: NonZeroU32::MIN, period: Duration::MAX };
    let mut governor = Governor::new(&Pace { rate: Some(rate), ..wide(6) }, Duration::MAX);
    for status in [200, 429, 429, 503] {
        let mut governor = Governor::new(&wide(6), Duration::MAX);
        let left = RemainingBudget { name: 0, remaining: 0, reset: Some(SECOND), limit: None, window: None };
        let budget = BudgetReport { wait: Some(Duration::MAX), left: vec![left], at_a_time: None };
        exchange(&mut governor, SECOND, 2 * SECOND, status, &budget);
        governor.pause(3 * SECOND, Duration::MAX, HoldReason::Demand);
        governor.join(CrawlId(0));
        assert_eq!(governor.grant(4 * SECOND), GrantDecision::At(Duration::MAX, HoldReason::Demand), "{status}");
    }
    exchange(&mut governor, SECOND, SECOND, 200, &BudgetReport::default());
    governor.join(CrawlId(0));
    assert_eq!(governor.grant(2 * SECOND), GrantDecision::At(Duration::MAX, HoldReason::Rate));
}

#[test]
fn a_budget_that_runs_low_is_spread_and_one_that_is_used_up_waited_for() {
    let told = |remaining| {
        let mut governor = Governor::new(&wide(6), 3600 * SECOND);
        let left = RemainingBudget { name: 0, remaining, reset: Some(1000 * SECOND), limit: Some(1000), window: None };
        exchange(
            &mut governor,
            Duration::ZERO,
            SECOND,
            200,
            &BudgetReport { wait: None, left: vec![left], at_a_time: None },
        );
        governor.join(CrawlId(0));
        governor.grant(SECOND)
    };
    assert!(matches!(told(900), GrantDecision::Now(_)));
    assert!(matches!(told(251), GrantDecision::Now(_)));
    let GrantDecision::At(at, HoldReason::Rate) = told(100) else { panic!("not spread") };
    assert!((Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&at), "{at:?}");
    assert_eq!(told(0), GrantDecision::At(1002 * SECOND, HoldReason::Budget));
}

/// Of several budgets none is forgotten: a short one that is nearly spent holds beside a long one with more room, and both are reported.
#[test]
fn each_of_several_budgets_holds() {
    let left = |name, remaining, reset: u32, limit| RemainingBudget {
        name,
        remaining,
        reset: Some(reset * SECOND),
        limit: Some(limit),
        window: Some(reset * SECOND),
    };
    let held = |budgets: &[RemainingBudget]| {
        let mut governor = Governor::new(&Pace::default(), 7200 * SECOND);
        for left in budgets {
            let budget = BudgetReport { left: vec![*left], ..BudgetReport::default() };
            governor.answered(SECOND, Duration::ZERO, StatusCode::OK, &budget);
        }
        governor.load(SECOND).held
    };
    let (spent, free) = (left(1, 0, 100, 50), left(2, 900, 3600, 1000));
    assert_eq!(held(&[free]), Duration::ZERO);
    assert!(held(&[spent]) >= 100 * SECOND);
    assert_eq!(held(&[spent, free]), held(&[spent]));
    assert_eq!(held(&[free, spent]), held(&[spent]));
    // A renewal of one changes nothing of the other.
    assert_eq!(held(&[spent, left(2, 0, 50, 50), left(2, 50, 50, 50)]), held(&[spent]));
    let many: Vec<_> = (0..100).map(|name| left(name, 0, 100, 50)).collect();
    assert_eq!(held(&many), held(&[spent]));
}

#[test]
fn the_upstream_bounds_the_requests_at_a_time() {
    let mut governor = Governor::new(&Pace::default(), SECOND);
    let before = governor.load(Duration::ZERO).limit;
    let report = |at_a_time| BudgetReport { at_a_time: Some(at_a_time), ..BudgetReport::default() };
    for (reported, limit) in [(4, 4), (0, 1), (1000, 2)] {
        exchange(&mut governor, Duration::ZERO, SECOND, 200, &report(reported));
        assert_eq!(governor.load(SECOND).limit, limit, "{reported}");
    }
    assert!(before > 4);
}

#[test]
fn a_budget_is_not_waited_for_beyond_the_cap() {
    let mut governor = Governor::new(&wide(6), 300 * SECOND);
    let left = RemainingBudget { name: 0, remaining: 0, reset: Some(3600 * SECOND), limit: Some(1000), window: None };
    exchange(
        &mut governor,
        Duration::ZERO,
        SECOND,
        403,
        &BudgetReport { wait: None, left: vec![left], at_a_time: None },
    );
    governor.join(CrawlId(0));
    assert_eq!(governor.grant(2 * SECOND), GrantDecision::At(301 * SECOND, HoldReason::Budget));
    assert_eq!(governor.grant(300 * SECOND), GrantDecision::At(301 * SECOND, HoldReason::Budget));
    assert!(matches!(governor.grant(301 * SECOND), GrantDecision::Now(_)));
}

#[test]
fn a_budget_of_an_hour_lasts_for_it_and_is_never_exceeded() {
    let server = Server { counting: fixed(3_600_000, 1_800_000), limit: 5000, says: Says::All(Rounding::Up) };
    let mut world = World::new(&wide(6), Distant(server, Duration::from_millis(200)), &[6], 1);
    world.run(Duration::from_secs(9000), Duration::from_millis(20));
    assert_eq!(world.between(Duration::ZERO, Duration::from_secs(9000)).1, 0.0);
    let most = |from: u64, to: u64| {
        let within = world.answers.iter().filter(|answer| (from..to).contains(&answer.at.as_secs())).count();
        (within, world.answers.iter().filter(|answer| (to - 300..to).contains(&answer.at.as_secs())).count())
    };
    for (from, to) in [(0, 1800), (1800, 5400), (5400, 9000)] {
        let (all, at_the_end) = most(from, to);
        assert!(all > 4900 && at_the_end > 50, "{all}, and {at_the_end} in the last five minutes");
    }
}

#[test]
fn a_burst_after_a_pause_is_counted_without_the_pause() {
    let mut governor = Governor::new(&wide(20), 300 * SECOND);
    let nothing = BudgetReport::default();
    exchange(&mut governor, Duration::ZERO, SECOND, 200, &nothing);
    let hour = 3600 * SECOND;
    for request in 0..20 {
        exchange(
            &mut governor,
            hour + Duration::from_millis(request),
            hour + Duration::from_millis(request + 1),
            200,
            &nothing,
        );
    }
    exchange(&mut governor, hour + Duration::from_millis(30), hour + Duration::from_millis(31), 429, &nothing);
    exchange(&mut governor, hour + SECOND, hour + 2 * SECOND, 200, &nothing);
    let rate = governor.load(hour + 2 * SECOND).rate.unwrap();
    assert!((19.0..20.0).contains(&rate), "{rate}/s");
}

#[test]
fn several_refusals_of_one_round_trip_count_once() {
    let mut governor = Governor::new(&wide(10), 300 * SECOND);
    for _ in 0..10 {
        governor.join(CrawlId(0));
        assert!(matches!(governor.grant(Duration::ZERO), GrantDecision::Now(_)));
    }
    for answer in 0..10 {
        let now = SECOND + Duration::from_millis(answer);
        governor.answered(now, Duration::ZERO, StatusCode::SERVICE_UNAVAILABLE, &BudgetReport::default());
        governor.released();
    }
    let load = governor.load(2 * SECOND);
    assert_eq!((load.limit, load.in_flight, load.counts.unavailable), (7, 0, 10));
}

proptest! {
    #[test]
    fn a_waiting_request_is_always_granted_or_held_for_a_finite_time(
        width in 1..5_u32,
        steps in proptest::collection::vec((0..8_u8, 0..3_u64, 0..5000_u64, 0..200_u64), 0..200),
    ) {
        let pace = Pace { max_width: NonZeroU32::new(4).unwrap(), ..wide(width) };
        let mut governor = Governor::new(&pace, 60 * SECOND);
        let (mut now, mut waiting, mut sent) = (Duration::ZERO, Vec::new(), Vec::new());
        for (step, crawl, millis, number) in steps {
            now += Duration::from_millis(millis);
            match step {
                0 | 1 => waiting.push(governor.join(CrawlId(crawl))),
                2 => if let Some(ticket) = waiting.pop() { governor.leave(ticket) },
                3 => if let Some(at) = sent.pop() { governor.lost(at); governor.released() },
                _ => if let Some(at) = sent.pop() {
                    let status = StatusCode::from_u16([200, 429, 503, 404][usize::from(step - 4)]).unwrap();
                    let left = RemainingBudget { name: 0, remaining: number, reset: Some(Duration::from_secs(crawl)), limit: Some(number / 2), window: None };
                    let wait = (crawl == 2).then_some(SECOND);
                    governor.answered(now, at, status, &BudgetReport { wait, left: if number % 3 == 0 { vec![left] } else { Vec::new() }, at_a_time: (number % 5 == 0).then_some(number) });
                    governor.released();
                },
            }
            loop {
                match governor.grant(now) {
                    GrantDecision::Now(ticket) => {
                        prop_assert!(waiting.contains(&ticket));
                        waiting.retain(|waits| *waits != ticket);
                        sent.push(now);
                    }
                    GrantDecision::At(at, _) => {
                        prop_assert!(at > now && at <= now + 61 * SECOND, "{:?} at {:?}", at, now);
                        break;
                    }
                    GrantDecision::Idle => {
                        prop_assert!(waiting.is_empty() || sent.len() >= governor.load(now).limit);
                        break;
                    }
                }
            }
            prop_assert_eq!(governor.load(now).in_flight, sent.len());
            prop_assert!(sent.len() <= 4);
        }
    }
}
