//! The governor of one upstream and credential: which request is sent next, and when.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::budget_headers::BudgetReport;
use super::budget_pacing::{BudgetLeft, BudgetPacings};
use super::concurrency_limit::{ConcurrencyLimit, LimitUse};
use super::fair_queue::{CrawlId, FairQueue, Ticket};
use super::rate_finder::{RateFinder, RefusalNews};
use super::{Pace, Rate};

/// Grants that are late by up to this are made up for: timers are no better than a millisecond.
const LATE: Duration = Duration::from_millis(10);

/// Weight of a new latency in the smoothed one.
const SMOOTH: f64 = 0.1;

/// Grants the requests to one upstream with one credential. Times are since any one moment.
#[derive(Debug)]
pub struct Governor {
    queue: FairQueue,
    limit: ConcurrencyLimit,
    finder: RateFinder,
    budgets: BudgetPacings,
    rate: Option<Rate>,
    /// Longest wait that the upstream can demand.
    cap: Duration,
    /// End of the last pause, and its reason.
    paused: (Duration, HoldReason),
    /// Time at which the last request was due.
    due: Option<Duration>,
    in_flight: usize,
    unanswered: usize,
    /// Smoothed latency, in seconds.
    latency: f64,
    counts: RequestCounts,
}

/// Answer to the question which request is sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantDecision {
    /// This request is sent now.
    Now(Ticket),
    /// No request is sent before this time, for this reason.
    At(Duration, HoldReason),
    /// No request is sent until another event: no request waits, or the concurrency limit is reached.
    Idle,
}

/// Reason for which no request is sent for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// The configured rate, or the one that was found.
    Rate,
    /// The upstream reported that its budget is used up.
    Budget,
    /// The upstream refused, and demanded a wait.
    Demand,
    /// The upstream refused without naming a wait.
    Refusal,
}

/// Counters of one governor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests that were sent.
    pub requests: u64,
    /// Answers of status 429.
    pub too_many: u64,
    /// Answers of status 503.
    pub unavailable: u64,
}

/// Prospect of a request that joins the queue: of several governors, the least has the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prospect {
    /// Time until its permit, as far as that is known.
    pub wait: Duration,
    /// Share of the upstream's budget that is used, in thousandths.
    used: u64,
    /// Requests in flight, and requests that were sent: without budgets, one governor after the other has its turn.
    load: (usize, u64),
}

/// State of one governor, for metrics and the status page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GovernorLoad {
    /// Most requests that may be in flight at a time.
    pub limit: usize,
    pub in_flight: usize,
    pub waiting: usize,
    /// Most requests a second; none where no rate is known.
    pub rate: Option<f64>,
    /// Time during which no request may be sent yet.
    pub held: Duration,
    /// Reason of `held`; none where it is zero.
    pub hold: Option<HoldReason>,
    /// Reported budget that has the smallest share left.
    pub budget: Option<BudgetLeft>,
    pub counts: RequestCounts,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "the rate or the budget allows no more",
            Self::Budget => "the upstream's budget is used up",
            Self::Demand => "the upstream asks for it",
            Self::Refusal => "the upstream refuses more",
        })
    }
}

impl Governor {
    /// A governor without history; waits that the upstream demands are cut to `cap`.
    pub fn new(pace: &Pace, cap: Duration) -> Self {
        Self {
            queue: FairQueue::default(),
            limit: ConcurrencyLimit::new(pace),
            finder: RateFinder::new(cap),
            budgets: BudgetPacings::default(),
            rate: pace.rate,
            cap,
            paused: (Duration::ZERO, HoldReason::Demand),
            due: None,
            in_flight: 0,
            unanswered: 0,
            latency: 0.0,
            counts: RequestCounts::default(),
        }
    }

    /// Adds a request of this crawl to the queue.
    pub fn join(&mut self, crawl: CrawlId) -> Ticket {
        self.queue.join(crawl)
    }

    /// Takes a request out of the queue that was not granted.
    pub fn leave(&mut self, ticket: Ticket) {
        self.queue.leave(ticket);
    }

    /// Grants the next request. It is in flight until it is [released](Self::released), and unanswered until it is
    /// [answered](Self::answered) or [lost](Self::lost).
    pub fn grant(&mut self, now: Duration) -> GrantDecision {
        if self.queue.len() == 0 || self.in_flight >= self.limit.now() {
            return GrantDecision::Idle;
        }
        let (hold_until, hold) = self.hold(now);
        let spacing = self.spacing(now);
        let due = self.due.map_or(now, |due| due.saturating_add(spacing));
        if now < hold_until.max(due) {
            return if hold_until >= due {
                GrantDecision::At(hold_until, hold)
            } else {
                GrantDecision::At(due, HoldReason::Rate)
            };
        }
        let Some(ticket) = self.queue.next() else { return GrantDecision::Idle };
        let late = now - due;
        let is_on_time = late <= spacing.max(LATE) && !spacing.is_zero();
        self.due = Some(if is_on_time { due } else { now });
        self.finder.sent(now, if is_on_time { spacing } else { Duration::ZERO });
        self.in_flight += 1;
        self.unanswered += 1;
        self.counts.requests += 1;
        GrantDecision::Now(ticket)
    }

    /// Notes the head of the answer to the request that was sent at `sent`.
    pub fn answered(&mut self, now: Duration, sent: Duration, status: StatusCode, budget: &BudgetReport) {
        let used = if self.in_flight >= self.limit.now() { LimitUse::Full } else { LimitUse::Partial };
        self.unanswered = self.unanswered.saturating_sub(1);
        let latency = now.saturating_sub(sent).as_secs_f64();
        self.latency = if self.latency == 0.0 { latency } else { self.latency + SMOOTH * (latency - self.latency) };
        self.counts.too_many += u64::from(status == StatusCode::TOO_MANY_REQUESTS);
        self.counts.unavailable += u64::from(status == StatusCode::SERVICE_UNAVAILABLE);
        let paced = self.paced(now);
        budget.left.iter().for_each(|left| self.budgets.note(now, sent, left));
        budget.at_a_time.iter().for_each(|most| self.limit.bound(*most));
        if status.is_success() || status.is_redirection() {
            self.finder.served(sent);
            self.limit.answered(now, sent, used);
            return;
        }
        let wait = budget.wait.map(|wait| wait.min(self.cap));
        self.pause(now, wait.unwrap_or_default(), HoldReason::Demand);
        match (status, budget.wait) {
            // Some upstreams say 503 for too many requests, and then name a wait.
            (StatusCode::TOO_MANY_REQUESTS, _) | (StatusCode::SERVICE_UNAVAILABLE, Some(_)) => {
                if self.finder.refused(now, sent, wait, paced) == RefusalNews::New {
                    self.limit.refused(now, sent, self.needed());
                }
            }
            (StatusCode::SERVICE_UNAVAILABLE, None) => self.limit.refused(now, sent, 1.0),
            _ => self.finder.served(sent),
        }
    }

    /// Sends no request for this time, for this reason.
    pub fn pause(&mut self, now: Duration, wait: Duration, reason: HoldReason) {
        let until = now.saturating_add(wait.min(self.cap));
        if until > self.paused.0 {
            self.paused = (until, reason);
        }
    }

    /// Notes that the request that was sent at `sent` will get no answer.
    pub fn lost(&mut self, sent: Duration) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.finder.lost(sent);
    }

    /// Ends a request in flight.
    pub fn released(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Returns whether no request is in flight or waits, and no hold is left to be respected.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.in_flight == 0 && self.queue.len() == 0 && self.hold(now).0 <= now
    }

    pub fn load(&self, now: Duration) -> GovernorLoad {
        let (until, hold) = self.hold(now);
        let held = until.saturating_sub(now);
        GovernorLoad {
            limit: self.limit.now(),
            in_flight: self.in_flight,
            waiting: self.queue.len(),
            rate: self.paced(now),
            held,
            hold: (!held.is_zero()).then_some(hold),
            budget: self.budgets.scarcest(now),
            counts: self.counts,
        }
    }

    pub fn prospect(&self, now: Duration) -> Prospect {
        let busy = self.in_flight + self.queue.len();
        let before = u32::try_from(self.queue.len() + 1).unwrap_or(u32::MAX);
        let due = self.due.map_or(now, |due| due.saturating_add(self.spacing(now).saturating_mul(before)));
        let slot =
            if busy >= self.limit.now() { Duration::from_secs_f64(self.latency.max(0.001)) } else { Duration::ZERO };
        Prospect {
            wait: self.hold(now).0.max(due).saturating_sub(now).saturating_add(slot),
            used: self.budgets.used(now, self.unanswered),
            load: (busy, self.counts.requests),
        }
    }

    /// Time before which no request is sent, and the reason.
    fn hold(&self, now: Duration) -> (Duration, HoldReason) {
        let budget = self.budgets.hold(now, self.unanswered, self.cap);
        let holds = [self.paused, (budget, HoldReason::Budget), (self.finder.not_before(), HoldReason::Refusal)];
        holds.into_iter().rev().max_by_key(|(until, _)| *until).unwrap_or((Duration::ZERO, HoldReason::Rate))
    }

    /// Time between two requests.
    fn spacing(&self, now: Duration) -> Duration {
        let configured = self.rate.map_or(Duration::ZERO, |rate| rate.period / rate.requests.get());
        let found = self.finder.rate().map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate.max(1e-6)));
        let told = self.budgets.spacing(now, self.unanswered, self.cap);
        configured.max(found.min(self.cap)).max(told)
    }

    /// Requests a second, where they are spaced.
    fn paced(&self, now: Duration) -> Option<f64> {
        let spacing = self.spacing(now);
        (!spacing.is_zero()).then(|| 1.0 / spacing.as_secs_f64())
    }

    /// Requests in flight that the found rate needs (Little's law); with fewer the rate would only shrink.
    fn needed(&self) -> f64 {
        self.finder.rate().map_or(1.0, |rate| rate * self.latency + 1.0)
    }
}
