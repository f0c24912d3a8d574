//! The governors of the process: one for each upstream and credential, shared by all crawls that ask there.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::config;
use crate::pace::budget::Budget;
use crate::pace::{Counts, CrawlId, Governor, Hold, Load, Pace, Ticket, Turn};
use crate::usage::{UpstreamUsage, WaitGuard};

/// What a governor has learned is kept so long after it was used last.
const KEPT: Duration = Duration::from_secs(600);

/// So many governors may be there before those that are not used are looked for, and so many more before the next search.
const FEW: usize = 64;

/// So many governors are kept at most, unless more are in use: whoever asks with ever new credentials must not fill the memory.
const MOST: usize = 4096;

/// When there are too many, so many places are made at once, so that not each newcomer has all of them searched.
const PLACES: usize = MOST / 16;

/// Waits up to this are not worth a line.
const LONG: Duration = Duration::from_secs(1);

/// All governors of a process; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Governors {
    shared: Arc<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    /// Keyed for this process, so that nobody can aim at another's governor.
    hasher: RandomState,
    governors: Mutex<Known>,
    crawls: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    governors: HashMap<(String, u64), Arc<Shared>>,
    /// What was counted with governors that are forgotten, by origin: whoever adds up their counts must not see them shrink.
    forgotten: BTreeMap<String, Traffic>,
    /// How many there may be before the next search for unused ones.
    enough: usize,
}

/// A crawl's place before the governor of the upstream that it walks.
#[derive(Clone, Debug)]
pub(super) struct Line {
    governor: Arc<Shared>,
    crawl: CrawlId,
    usage: UpstreamUsage,
}

/// The right to ask the upstream once; it is given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Release);

/// Gives a permit back before it is dropped, for somebody who doesn't hold it.
#[derive(Clone, Debug)]
pub struct Release(Arc<Granted>);

/// How things stand with one upstream and credential, or with one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// The upstream's origin.
    pub origin: String,
    /// What is under way, waits for its turn and has been counted.
    pub load: Load,
    /// How many requests wait before they are sent again.
    pub backing_off: usize,
    /// How often a request was sent again.
    pub retries: u64,
    /// How long requests have waited, for their turn or before they were sent again, added up.
    pub waited: Duration,
}

#[derive(Debug)]
struct Shared {
    origin: String,
    pace: Pace,
    started: Instant,
    state: Mutex<State>,
    /// When somebody's turn comes, if nothing happens before: whoever waits sees to it.
    next: watch::Sender<Option<Instant>>,
}

#[derive(Debug)]
struct State {
    governor: Governor,
    waiting: HashMap<Ticket, oneshot::Sender<Permit>>,
    used: Instant,
    backing_off: usize,
    retries: u64,
    waited: Duration,
    /// Until when a wait has been logged.
    logged: Duration,
    /// Whether it has been logged that requests are far apart.
    is_slow: bool,
}

#[derive(Debug)]
struct Granted {
    governor: Arc<Shared>,
    sent: Duration,
    is_answered: AtomicBool,
    is_released: AtomicBool,
}

/// A place in a queue, left when it is dropped.
struct Place<'a> {
    governor: &'a Arc<Shared>,
    ticket: Ticket,
    since: Instant,
}

/// A wait before a request is sent again, over when it is dropped.
#[derive(Debug)]
pub(super) struct BackOff {
    governor: Arc<Shared>,
    since: Instant,
    _counted: WaitGuard,
}

impl Governors {
    /// How things stand, for every upstream and credential that was asked lately.
    pub fn standing(&self) -> Vec<Traffic> {
        let governors: Vec<_> = self.lock().governors.values().cloned().collect();
        governors.iter().map(|governor| governor.standing()).collect()
    }

    /// How things stand with each upstream that was ever asked, in the order of their origins: its credentials added up, those that
    /// are forgotten included.
    pub fn by_origin(&self) -> Vec<Traffic> {
        let known = self.lock();
        let mut upstreams = known.forgotten.clone();
        let governors: Vec<_> = known.governors.values().cloned().collect();
        drop(known);
        for governor in governors {
            governor.standing().add_to(&mut upstreams);
        }
        upstreams.into_values().collect()
    }

    /// A new crawl's line before the upstream, asked with these credentials. Of several configurations of one upstream's
    /// pace the first holds.
    pub(super) fn line(&self, upstream: &config::Upstream, credentials: &[(String, Vec<u8>)]) -> Line {
        let crawl = CrawlId(self.shared.crawls.fetch_add(1, Ordering::Relaxed));
        let origin = upstream.url.origin().ascii_serialization();
        let key = (origin, self.shared.hasher.hash_one(credentials));
        let mut known = self.lock();
        if let Some(governor) = known.governors.get(&key) {
            governor.lock().used = Instant::now();
            return Line::new(Arc::clone(governor), crawl);
        }
        if known.governors.len() >= known.enough.max(FEW) {
            known.sweep();
        }
        let governor = Arc::new(Shared::new(key.0.clone(), upstream));
        known.governors.insert(key, Arc::clone(&governor));
        Line::new(governor, crawl)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.shared.governors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets the governors that were not used for long, and where there are still too many, those that were used longest ago.
    fn sweep(&mut self) {
        let unused = self.governors.iter().filter_map(|(key, governor)| Some((governor.unused_since()?, key.clone())));
        let mut unused: Vec<_> = unused.collect();
        unused.sort_unstable();
        let old = unused.partition_point(|(since, _)| since.elapsed() >= KEPT);
        let left = self.governors.len() - old;
        let over = if left < MOST { 0 } else { left - (MOST - PLACES) };
        for (_, key) in unused.into_iter().take(old + over) {
            if let Some(governor) = self.governors.remove(&key) {
                governor.standing().over().add_to(&mut self.forgotten);
            }
        }
        let count = self.governors.len();
        self.enough = (count * 2).min(MOST).max(count + FEW);
    }
}

impl Line {
    fn new(governor: Arc<Shared>, crawl: CrawlId) -> Self {
        Self { governor, crawl, usage: UpstreamUsage::default() }
    }

    /// What its crawl has cost.
    pub(super) fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// Waits for this crawl's turn. Whoever gives up the wait leaves the queue.
    pub(super) async fn permit(&self) -> Permit {
        let mut permit = pin!(self.governor.permit(self.crawl));
        let mut counted = None;
        let permit = poll_fn(|context| {
            let polled = permit.as_mut().poll(context);
            if polled.is_pending() {
                counted.get_or_insert_with(|| self.usage.start_wait());
            }
            polled
        });
        let permit = permit.await;
        self.usage.count_request();
        permit
    }

    /// A request waits before it is sent again, as long as this is kept.
    pub(super) fn back_off(&self) -> BackOff {
        let mut state = self.governor.lock();
        state.backing_off += 1;
        state.retries += 1;
        self.usage.count_retry();
        BackOff { governor: Arc::clone(&self.governor), since: Instant::now(), _counted: self.usage.start_wait() }
    }
}

impl Traffic {
    /// What stays of it when its governor is gone: that which has been counted.
    fn over(self) -> Self {
        let load = Load { limit: 0, in_flight: 0, waiting: 0, rate: None, held: Duration::ZERO, ..self.load };
        Self { load, backing_off: 0, ..self }
    }

    /// Adds it to the rest of its upstream's.
    fn add_to(self, upstreams: &mut BTreeMap<String, Self>) {
        let Some(sum) = upstreams.get_mut(&self.origin) else {
            upstreams.insert(self.origin.clone(), self);
            return;
        };
        let (one, other) = (sum.load, self.load);
        sum.load = Load {
            limit: one.limit + other.limit,
            in_flight: one.in_flight + other.in_flight,
            waiting: one.waiting + other.waiting,
            rate: [one.rate, other.rate].into_iter().flatten().reduce(|one, other| one + other),
            held: one.held.max(other.held),
            counts: Counts {
                requests: one.counts.requests + other.counts.requests,
                too_many: one.counts.too_many + other.counts.too_many,
                unavailable: one.counts.unavailable + other.counts.unavailable,
            },
        };
        sum.backing_off += self.backing_off;
        sum.retries += self.retries;
        sum.waited += self.waited;
    }
}

impl Permit {
    /// The head of the answer has come.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        let granted = &self.0.0;
        if granted.is_answered.swap(true, Ordering::Relaxed) {
            return;
        }
        let governor = &granted.governor;
        let budget = Budget::read(&governor.pace.budget, headers, SystemTime::now());
        let now = governor.now();
        governor.lock().governor.answered(now, granted.sent, status, &budget);
        governor.pump();
    }

    /// The answer asks, elsewhere than in its head, to be left alone for so long.
    pub fn demanded(&self, wait: Duration) {
        let governor = &self.0.0.governor;
        let now = governor.now();
        governor.lock().governor.demanded(now, wait);
        governor.pump();
    }

    /// What gives it back before it is dropped.
    pub fn early(&self) -> Release {
        self.0.clone()
    }
}

impl Release {
    /// Lets another request have its turn.
    pub fn release(&self) {
        let granted = &self.0;
        if granted.is_released.swap(true, Ordering::Relaxed) {
            return;
        }
        let governor = &granted.governor;
        let mut state = governor.lock();
        if !granted.is_answered.swap(true, Ordering::Relaxed) {
            state.governor.lost(granted.sent);
        }
        state.governor.released();
        state.used = Instant::now();
        drop(state);
        governor.pump();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Shared {
    fn new(origin: String, upstream: &config::Upstream) -> Self {
        let now = Instant::now();
        let state = State {
            governor: Governor::new(&upstream.pace, upstream.retry.cap),
            waiting: HashMap::new(),
            used: now,
            backing_off: 0,
            retries: 0,
            waited: Duration::ZERO,
            logged: Duration::ZERO,
            is_slow: false,
        };
        Self {
            origin,
            pace: upstream.pace.clone(),
            started: now,
            state: Mutex::new(state),
            next: watch::Sender::default(),
        }
    }

    async fn permit(self: &Arc<Self>, crawl: CrawlId) -> Permit {
        let since = Instant::now();
        let (turn, mut permit) = oneshot::channel();
        let mut next = self.next.subscribe();
        let _place = Place { governor: self, ticket: self.join(crawl, turn), since };
        self.pump();
        loop {
            let at = *next.borrow_and_update();
            let due = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                permit = &mut permit => return permit.expect("the sender is kept until the permit is sent or its place is left"),
                _ = next.changed() => {}
                () = due => self.pump(),
            }
        }
    }

    fn join(&self, crawl: CrawlId, turn: oneshot::Sender<Permit>) -> Ticket {
        let mut state = self.lock();
        let ticket = state.governor.join(crawl);
        state.waiting.insert(ticket, turn);
        ticket
    }

    /// Hands out the turns that there are.
    fn pump(self: &Arc<Self>) {
        let mut turns = Vec::new();
        let mut state = self.lock();
        let now = self.now();
        let next = loop {
            match state.governor.turn(now) {
                Turn::Now(ticket) => turns.extend(state.waiting.remove(&ticket)),
                Turn::At(at, hold) => {
                    state.log(&self.origin, now, at, hold);
                    break self.started.checked_add(at);
                }
                Turn::Idle => break None,
            }
        };
        // Under the lock, so that the last to say it is the last who knew.
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
        drop(state);
        for turn in turns {
            let granted = Granted {
                governor: Arc::clone(self),
                sent: now,
                is_answered: AtomicBool::new(false),
                is_released: AtomicBool::new(false),
            };
            // One that nobody waits for any more is given back by being dropped.
            drop(turn.send(Permit(Release(Arc::new(granted)))));
        }
    }

    fn standing(&self) -> Traffic {
        let state = self.lock();
        Traffic {
            origin: self.origin.clone(),
            load: state.governor.load(self.now()),
            backing_off: state.backing_off,
            retries: state.retries,
            waited: state.waited,
        }
    }

    /// When it was used last, unless somebody has it, or it knows of a wait that the next crawl must respect.
    fn unused_since(self: &Arc<Self>) -> Option<Instant> {
        if Arc::strong_count(self) > 1 {
            return None;
        }
        let state = self.lock();
        state.governor.is_idle(self.now()).then_some(state.used)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Says once that everybody waits, and why.
    fn log(&mut self, origin: &str, now: Duration, at: Duration, hold: Hold) {
        let why = match hold {
            Hold::Rate => return self.log_rate(origin, now),
            Hold::Budget => "the upstream's budget is used up",
            Hold::Demand => "the upstream asks for it",
            Hold::Refusal => "the upstream refuses more",
        };
        if at <= now + LONG || at <= self.logged + LONG {
            return;
        }
        self.logged = at;
        let wait = humantime::format_duration(Duration::from_secs((at - now).as_secs_f64().round() as u64));
        tracing::info!("{origin}: waiting {wait}: {why}");
    }

    /// Says once that requests are far apart, until they are much closer: a line for each would be noise.
    fn log_rate(&mut self, origin: &str, now: Duration) {
        let apart = self.governor.load(now).rate.map_or(0.0, |rate| 1.0 / rate);
        if !self.is_slow && apart > LONG.as_secs_f64() {
            self.is_slow = true;
            let apart =
                humantime::format_duration(Duration::from_millis(((apart * 10.0).round() as u64).saturating_mul(100)));
            tracing::info!("{origin}: one request every {apart}: the rate or the budget allows no more");
        } else if apart < LONG.as_secs_f64() / 2.0 {
            self.is_slow = false;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.governor.lock();
        state.waited += self.since.elapsed();
        if state.waiting.remove(&self.ticket).is_some() {
            state.governor.leave(self.ticket);
            drop(state);
            self.governor.pump();
        }
    }
}

impl Drop for BackOff {
    fn drop(&mut self) {
        let mut state = self.governor.lock();
        state.backing_off -= 1;
        state.waited += self.since.elapsed();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use http::{HeaderName, HeaderValue};
    use url::Url;

    use super::*;
    use crate::pace::Width;

    fn upstream(width: u32) -> config::Upstream {
        let mut upstream = config::Upstream::at(Url::parse("http://127.0.0.1:1").unwrap());
        let width = width.try_into().unwrap();
        upstream.pace = Pace { width: Width::Fixed(width), max_width: width, ..Pace::default() };
        upstream
    }

    fn lines<const N: usize>(width: u32) -> (Governors, [Line; N]) {
        let (governors, upstream) = (Governors::default(), upstream(width));
        let lines = std::array::from_fn(|_| governors.line(&upstream, &[]));
        (governors, lines)
    }

    /// Polls once.
    fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn answer(permit: &Permit, status: u16, fields: &[(&'static str, &'static str)]) {
        let fields =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        permit.answered(StatusCode::from_u16(status).unwrap(), &fields.collect());
    }

    #[tokio::test]
    async fn crawls_have_their_turns_one_after_the_other() {
        let (_governors, [greedy, modest]) = lines(1);
        let first = greedy.permit().await;
        let order = Mutex::new(Vec::new());
        let ask = async |name: &'static str, line: &Line| {
            let _permit = line.permit().await;
            order.lock().unwrap().push(name);
        };
        let mut all: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for name in ["greedy 1", "greedy 2", "greedy 3"] {
            all.push(Box::pin(ask(name, &greedy)));
        }
        for name in ["modest 1", "modest 2"] {
            all.push(Box::pin(ask(name, &modest)));
        }
        assert!(all.iter_mut().all(|waits| poll(waits.as_mut()).is_none()));
        drop(first);
        while !all.is_empty() {
            all.retain_mut(|waits| poll(waits.as_mut()).is_none());
        }
        assert_eq!(*order.lock().unwrap(), ["greedy 1", "modest 1", "greedy 2", "modest 2", "greedy 3"]);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue_with_or_without_a_permit() {
        let (governors, [line]) = lines(1);
        let first = line.permit().await;
        let mut last = pin!(line.permit());
        {
            let (mut gives_up, mut is_late) = (pin!(line.permit()), pin!(line.permit()));
            assert!(poll(gives_up.as_mut()).is_none() && poll(is_late.as_mut()).is_none());
            assert!(poll(last.as_mut()).is_none());
            assert_eq!(governors.standing()[0].load.waiting, 3);
            // Its turn comes, but it is never polled again.
            drop(first);
            assert_eq!(governors.standing()[0].load.waiting, 2);
        }
        let permit = poll(last).expect("those before it have left");
        let load = governors.standing()[0].load;
        assert_eq!((load.in_flight, load.waiting), (1, 0));
        permit.early().release();
        drop(permit);
        assert_eq!(governors.standing()[0].load.in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_demanded_wait_holds_other_crawls() {
        let (governors, [refused, other]) = lines(4);
        let permit = refused.permit().await;
        answer(&permit, 429, &[("retry-after", "7")]);
        drop(permit);
        let since = Instant::now();
        answer(&other.permit().await, 200, &[]);
        let waited = since.elapsed();
        assert!(waited >= Duration::from_secs(7) && waited < Duration::from_millis(7010), "{waited:?}");
        let standing = &governors.standing()[0];
        assert_eq!((standing.load.counts.requests, standing.load.counts.too_many), (2, 1));
        assert_eq!((standing.waited, standing.origin.as_str()), (waited, "http://127.0.0.1:1"));
        assert_eq!((standing.load.held, standing.retries), (Duration::ZERO, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_seen_while_they_last_and_counted_when_they_end() {
        let (governors, [refused, other]) = lines(4);
        let permit = refused.permit().await;
        answer(&permit, 503, &[("retry-after", "60")]);
        drop(permit);
        let seen = || {
            let standing = governors.by_origin().remove(0);
            (standing.load.waiting, standing.backing_off, standing.retries, standing.load.held, standing.waited)
        };
        let (minute, none) = (Duration::from_secs(60), Duration::ZERO);
        let again = refused.back_off();
        {
            let mut left = pin!(other.permit());
            assert!(poll(left.as_mut()).is_none());
            assert_eq!(seen(), (1, 1, 1, minute, none));
            tokio::time::advance(Duration::from_secs(20)).await;
        }
        assert_eq!(seen(), (0, 1, 1, Duration::from_secs(40), Duration::from_secs(20)));
        tokio::time::advance(Duration::from_secs(50)).await;
        drop(again);
        assert_eq!(seen(), (0, 0, 1, none, Duration::from_secs(90)));
        let cost = |line: &Line| {
            let usage = line.usage().counts();
            (usage.requests, usage.retries, usage.waits, usage.waited.as_secs())
        };
        assert_eq!((cost(&refused), cost(&other)), ((1, 1, 1, 70), (0, 0, 1, 20)), "each crawl has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_added_up_and_those_that_are_forgotten_stay_counted() {
        let (governors, upstream) = (Governors::default(), upstream(3));
        let mut elsewhere = upstream.clone();
        elsewhere.url = Url::parse("http://127.0.0.1:2").unwrap();
        let key = |number: usize| vec![("authorization".to_owned(), number.to_string().into_bytes())];
        for number in 1..FEW {
            let permit = governors.line(&upstream, &key(number)).permit().await;
            answer(&permit, 429, &[("retry-after", "1")]);
        }
        let _permit = governors.line(&elsewhere, &[]).permit().await;
        tokio::time::advance(KEPT).await;
        let counted = || {
            let upstreams = governors.by_origin();
            let of = |standing: &Traffic| {
                (standing.origin.clone(), standing.load.limit, standing.load.in_flight, standing.load.counts)
            };
            upstreams.iter().map(of).collect::<Vec<_>>()
        };
        let before = counted();
        let refused = Counts { requests: FEW as u64 - 1, too_many: FEW as u64 - 1, unavailable: 0 };
        assert_eq!(before[0].0, "http://127.0.0.1:1");
        assert_eq!((before[0].2, before[0].3), (0, refused));
        let one = Counts { requests: 1, ..Counts::default() };
        assert_eq!(before[1], ("http://127.0.0.1:2".to_owned(), 3, 1, one));
        drop(governors.line(&upstream, &key(FEW)));
        assert_eq!(governors.standing().len(), 2, "the others are forgotten");
        let after = counted();
        assert_eq!((after[0].1, after[0].3), (3, refused));
        assert_eq!(after[1], before[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_when_nobody_but_the_clock_brings_them() {
        let (_governors, [one, other]) = lines(4);
        let permit = one.permit().await;
        answer(
            &permit,
            200,
            &[("x-ratelimit-remaining", "10"), ("x-ratelimit-limit", "1000"), ("x-ratelimit-reset", "1000")],
        );
        let since = Instant::now();
        let (first, second, third) = tokio::join!(other.permit(), one.permit(), other.permit());
        let waited = since.elapsed().as_secs();
        assert!((275..290).contains(&waited), "{waited} s");
        drop((first, second, third, permit));
    }

    #[tokio::test(start_paused = true)]
    async fn each_credential_has_a_governor_that_is_kept_while_it_is_used() {
        let (governors, upstream) = (Governors::default(), upstream(1));
        let key = |number: usize| vec![("authorization".to_owned(), number.to_string().into_bytes())];
        let kept = governors.line(&upstream, &key(0));
        let _permit = kept.permit().await;
        for number in (0..FEW).chain(0..FEW) {
            drop(governors.line(&upstream, &key(number)));
        }
        assert_eq!(governors.standing().len(), FEW);
        tokio::time::advance(KEPT).await;
        drop(governors.line(&upstream, &key(FEW)));
        let in_flight: usize = governors.standing().iter().map(|standing| standing.load.in_flight).sum();
        assert_eq!((governors.standing().len(), in_flight), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn ever_new_credentials_push_out_those_that_were_used_longest_ago_and_none_that_is_in_use() {
        let (governors, upstream) = (Governors::default(), upstream(1));
        let key = |number: usize| vec![("authorization".to_owned(), number.to_string().into_bytes())];
        let permit = governors.line(&upstream, &key(0)).permit().await;
        let busy = governors.line(&upstream, &key(1));
        let first = busy.permit().await;
        let mut waits = pin!(busy.permit());
        assert!(poll(waits.as_mut()).is_none());
        answer(&governors.line(&upstream, &key(2)).permit().await, 429, &[("retry-after", "300")]);
        for number in 3..MOST + 10 * PLACES {
            answer(&governors.line(&upstream, &key(number)).permit().await, 200, &[]);
            assert!(governors.lock().governors.len() <= MOST);
            // Used again and again, it is never the one that was used longest ago.
            drop(governors.line(&upstream, &key(3)));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let all = MOST + 10 * PLACES;
        let of = |number: usize| {
            let origin = upstream.url.origin().ascii_serialization();
            (origin, governors.shared.hasher.hash_one(key(number).as_slice()))
        };
        let known = governors.lock();
        let kept = (0..all).filter(|number| known.governors.contains_key(&of(*number))).collect::<Vec<_>>();
        drop(known);
        assert_eq!(kept[..4], [0, 1, 2, 3]);
        assert!(kept[4] > 9 * PLACES && kept[4..].windows(2).all(|pair| pair[0] + 1 == pair[1]), "{}", kept[4]);
        let standing = governors.by_origin().remove(0);
        assert_eq!((standing.load.in_flight, standing.load.waiting), (2, 1));
        assert_eq!((standing.load.counts.requests, standing.load.counts.too_many), (all as u64, 1));
        drop((permit, first));
        assert!(poll(waits).is_some(), "its governor is still the one that it waits at");
    }

    #[tokio::test(start_paused = true)]
    async fn governors_in_use_are_kept_however_many_they_are() {
        let (governors, upstream) = (Governors::default(), upstream(1));
        let key = |number: usize| vec![("cookie".to_owned(), number.to_string().into_bytes())];
        let lines: Vec<_> = (0..MOST + FEW).map(|number| governors.line(&upstream, &key(number))).collect();
        assert_eq!(governors.lock().governors.len(), MOST + FEW);
        assert_eq!(governors.lock().enough, MOST + FEW, "and are not searched for each");
        drop(lines);
        drop(governors.line(&upstream, &key(MOST + FEW)));
        assert_eq!(governors.lock().governors.len(), MOST - PLACES + 1);
    }
}
