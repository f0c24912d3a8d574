//! All that is known of what one upstream can bear, and whose turn it is.

use std::time::Duration;

use http::StatusCode;

use super::budget::Budget;
use super::finder::{Finder, News};
use super::limit::{Limit, Use};
use super::queue::{CrawlId, Queue, Ticket};
use super::spread::{Allows, Spread};
use super::{Pace, Rate};

/// Turns that come late by up to this are made up for: timers are no better than a millisecond.
const LATE: Duration = Duration::from_millis(10);

/// How much a new latency counts beside the old ones.
const SMOOTH: f64 = 0.1;

/// Decides who may ask one upstream with one credential, and when. Times are since any one moment.
#[derive(Debug)]
pub struct Governor {
    queue: Queue,
    limit: Limit,
    finder: Finder,
    spread: Spread,
    rate: Option<Rate>,
    /// No wait that the upstream asks for is longer.
    cap: Duration,
    /// Until when the upstream asked to be left alone.
    paused: Duration,
    /// When the last request was due.
    due: Option<Duration>,
    in_flight: usize,
    unanswered: usize,
    /// A smoothed latency, in seconds.
    latency: f64,
    counts: Counts,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This one's, now.
    Now(Ticket),
    /// Somebody's, but not before this time, and why.
    At(Duration, Hold),
    /// Nobody's until something happens.
    Idle,
}

/// Why nobody may ask for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many requests in so long.
    Rate,
    /// The upstream said that its budget is used up.
    Budget,
    /// The upstream refused, and asked to be left alone for so long.
    Demand,
    /// The upstream refused without saying for how long.
    Refusal,
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were sent.
    pub requests: u64,
    /// Those that were answered 429.
    pub too_many: u64,
    /// Those that were answered 503.
    pub unavailable: u64,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// How many requests may be under way at a time.
    pub limit: usize,
    /// How many are.
    pub in_flight: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many a second are sent at most, where anything is known of that.
    pub rate: Option<f64>,
    /// How long nobody may ask yet.
    pub held: Duration,
    /// What has been counted.
    pub counts: Counts,
}

impl Governor {
    /// A governor that has not asked anything; no wait that the upstream demands is longer than `cap`.
    pub fn new(pace: &Pace, cap: Duration) -> Self {
        Self {
            queue: Queue::default(),
            limit: Limit::new(pace),
            finder: Finder::new(cap),
            spread: Spread::default(),
            rate: pace.rate,
            cap,
            paused: Duration::ZERO,
            due: None,
            in_flight: 0,
            unanswered: 0,
            latency: 0.0,
            counts: Counts::default(),
        }
    }

    /// A request of this crawl waits for its turn.
    pub fn join(&mut self, crawl: CrawlId) -> Ticket {
        self.queue.join(crawl)
    }

    /// It doesn't wait any more, and has not had its turn.
    pub fn leave(&mut self, ticket: Ticket) {
        self.queue.leave(ticket);
    }

    /// Whose turn it is. Whoever has it is under way until it is [released](Self::released), and unanswered until it is
    /// [answered](Self::answered) or [lost](Self::lost).
    pub fn turn(&mut self, now: Duration) -> Turn {
        if self.queue.len() == 0 || self.in_flight >= self.limit.now() {
            return Turn::Idle;
        }
        let (hold_until, hold) = self.hold(now);
        let spacing = self.spacing(now);
        let due = self.due.map_or(now, |due| due.saturating_add(spacing));
        if now < hold_until.max(due) {
            return if hold_until >= due { Turn::At(hold_until, hold) } else { Turn::At(due, Hold::Rate) };
        }
        let Some(ticket) = self.queue.next() else { return Turn::Idle };
        let late = now - due;
        let is_on_time = late <= spacing.max(LATE) && !spacing.is_zero();
        self.due = Some(if is_on_time { due } else { now });
        self.finder.sent(now, if is_on_time { spacing } else { Duration::ZERO });
        self.in_flight += 1;
        self.unanswered += 1;
        self.counts.requests += 1;
        Turn::Now(ticket)
    }

    /// The head of an answer came to what was sent at `sent`.
    pub fn answered(&mut self, now: Duration, sent: Duration, status: StatusCode, budget: &Budget) {
        let used = if self.in_flight >= self.limit.now() { Use::Full } else { Use::Partial };
        self.unanswered = self.unanswered.saturating_sub(1);
        let latency = now.saturating_sub(sent).as_secs_f64();
        self.latency = if self.latency == 0.0 { latency } else { self.latency + SMOOTH * (latency - self.latency) };
        self.counts.too_many += u64::from(status == StatusCode::TOO_MANY_REQUESTS);
        self.counts.unavailable += u64::from(status == StatusCode::SERVICE_UNAVAILABLE);
        let paced = self.paced(now);
        if let Some(left) = &budget.left {
            self.spread.tell(now, sent, left);
        }
        if status.is_success() || status.is_redirection() {
            self.finder.served(sent);
            self.limit.answered(now, sent, used);
            return;
        }
        let wait = budget.wait.map(|wait| wait.min(self.cap));
        self.demanded(now, wait.unwrap_or_default());
        match (status, budget.wait) {
            // Some say 503 for too many, and then for how long.
            (StatusCode::TOO_MANY_REQUESTS, _) | (StatusCode::SERVICE_UNAVAILABLE, Some(_)) => {
                if self.finder.refused(now, sent, wait, paced) == News::New {
                    self.limit.refused(now, sent, self.needed());
                }
            }
            (StatusCode::SERVICE_UNAVAILABLE, None) => self.limit.refused(now, sent, 1.0),
            _ => self.finder.served(sent),
        }
    }

    /// The upstream asks to be left alone for so long.
    pub fn demanded(&mut self, now: Duration, wait: Duration) {
        self.paused = self.paused.max(now.saturating_add(wait.min(self.cap)));
    }

    /// No answer will come to what was sent at `sent`.
    pub fn lost(&mut self, sent: Duration) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.finder.lost(sent);
    }

    /// A request is not under way any more.
    pub fn released(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Whether nothing is under way, nobody waits and nothing is waited for.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.in_flight == 0 && self.queue.len() == 0 && self.hold(now).0 <= now
    }

    /// How things stand.
    pub fn load(&self, now: Duration) -> Load {
        Load {
            limit: self.limit.now(),
            in_flight: self.in_flight,
            waiting: self.queue.len(),
            rate: self.paced(now),
            held: self.hold(now).0.saturating_sub(now),
            counts: self.counts,
        }
    }

    /// Until when nobody may ask, and why.
    fn hold(&self, now: Duration) -> (Duration, Hold) {
        let budget = match self.spread.allows(now, self.unanswered, self.cap) {
            Allows::From(at) => at,
            Allows::Any | Allows::Every(_) => Duration::ZERO,
        };
        let holds = [(self.paused, Hold::Demand), (budget, Hold::Budget), (self.finder.not_before(), Hold::Refusal)];
        holds.into_iter().rev().max_by_key(|(until, _)| *until).unwrap_or((Duration::ZERO, Hold::Rate))
    }

    /// How far requests are apart.
    fn spacing(&self, now: Duration) -> Duration {
        let configured = self.rate.map_or(Duration::ZERO, |rate| rate.period / rate.requests.get());
        let found = self.finder.rate().map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate.max(1e-6)));
        let told = match self.spread.allows(now, self.unanswered, self.cap) {
            Allows::Every(spacing) => spacing,
            Allows::Any | Allows::From(_) => Duration::ZERO,
        };
        configured.max(found.min(self.cap)).max(told)
    }

    /// The rate at which requests are sent, where there is one.
    fn paced(&self, now: Duration) -> Option<f64> {
        let spacing = self.spacing(now);
        (!spacing.is_zero()).then(|| 1.0 / spacing.as_secs_f64())
    }

    /// How many requests under way the found rate needs; fewer would only make it smaller.
    fn needed(&self) -> f64 {
        self.finder.rate().map_or(1.0, |rate| rate * self.latency + 1.0)
    }
}
