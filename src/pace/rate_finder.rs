//! The rate that an upstream bears but doesn't report: found by its refusals, and kept just below them.

use std::time::Duration;

/// Share by which the rate stays below the refused one.
const BACK: f64 = 0.04;

/// Shortest window that upstreams count in. Many answers in less time say nothing of the rate.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longest wait for a probe's answer.
const PROBE: Duration = Duration::from_secs(2);

/// First and longest wait after the second and further refusals in a row.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Least share of a refused rate that is kept: after one refusal, and after several in a row.
const LEAST_ONCE: f64 = 0.93;
const LEAST_REPEATED: f64 = 0.25;

/// Share of a second's answers by which a refusal after one second was too many.
const BURST: f64 = 0.05;

/// Fewer answers than this say nothing of a rate.
const FEW: u64 = 10;

/// Seconds for which the rate stays near a ceiling: where that is guessed, where it is counted, and at most.
const HASTY: f64 = 0.7;
const IMPATIENT: f64 = 2.0;
const PATIENT: f64 = 32.0;
const MAX_PATIENCE: f64 = 600.0;

/// Requests a second from which on patience is counted in seconds; see [`slowness`].
const SLOW: f64 = 20.0;

/// Finds a rate as CUBIC finds a bandwidth: it remembers the rate that was refused last, its ceiling, returns to it quickly,
/// stays there for long, and only then probes for more.
///
/// The ceiling is counted and not guessed: the answers between the end of one refusal and the end of the next are what the
/// upstream allows in that time, in any windows that it counts in.
#[derive(Debug)]
pub(super) struct RateFinder {
    ceiling: Option<RateCeiling>,
    all: AnswerCount,
    recent: [AnswerCount; 2],
    /// Time of the last request among the counted ones.
    counted: Duration,
    refusal: Option<RateRefusal>,
    /// Time of the last request.
    last: Duration,
    /// Longest pause.
    pause: Duration,
}

/// A rate that was refused, and the time since.
#[derive(Clone, Copy, Debug)]
struct RateCeiling {
    /// Requests a second.
    rate: f64,
    /// Seconds for which the rate has been held to it.
    age: f64,
    /// Seconds for which it is held.
    patience: f64,
}

/// Number of answers since a moment.
#[derive(Clone, Copy, Debug, Default)]
struct AnswerCount {
    since: Duration,
    answers: u64,
}

/// A refusal, after which the upstream has not answered a request successfully yet.
#[derive(Clone, Copy, Debug)]
struct RateRefusal {
    /// Refusals in a row.
    times: u32,
    /// Time of the last request before it.
    last: Duration,
    until: Duration,
    /// Wait that the upstream demanded.
    demanded: Duration,
    /// Time of the request that probes for the refusal's end.
    probe: Option<Duration>,
    /// Requests a second at which it refused; none if they were not spaced.
    paced: Option<f64>,
}

impl RateFinder {
    /// A finder without history, whose pauses are at most `cap` long.
    pub(super) fn new(cap: Duration) -> Self {
        Self {
            ceiling: None,
            all: AnswerCount::default(),
            recent: [AnswerCount::default(); 2],
            counted: Duration::ZERO,
            refusal: None,
            last: Duration::ZERO,
            pause: LONGEST_PAUSE.min(cap),
        }
    }

    /// Requests a second to send; none while no ceiling is known.
    pub(super) fn rate(&self) -> Option<f64> {
        self.ceiling.map(RateCeiling::current)
    }

    /// Time before which no request is sent.
    pub(super) fn not_before(&self) -> Duration {
        let Some(refusal) = self.refusal else { return Duration::ZERO };
        match refusal.probe {
            Some(probe) if refusal.is_grave() => refusal.until.max(probe + PROBE),
            _ => refusal.until,
        }
    }

    /// Notes a request that is sent, and the time for which the rate held it back.
    pub(super) fn sent(&mut self, now: Duration, held: Duration) {
        self.last = now;
        if let Some(refusal) = &mut self.refusal {
            refusal.probe = Some(now);
        } else if let Some(ceiling) = &mut self.ceiling {
            ceiling.age += held.as_secs_f64();
        }
    }

    /// Notes that the request that was sent at `sent` will get no answer.
    pub(super) fn lost(&mut self, sent: Duration) {
        if let Some(refusal) = self.refusal.as_mut().filter(|refusal| refusal.probe == Some(sent)) {
            refusal.probe = None;
        }
    }

    /// Notes an answer, no refusal, to the request that was sent at `sent`.
    pub(super) fn served(&mut self, sent: Duration) {
        if let Some(refusal) = self.refusal.filter(|refusal| sent > refusal.last) {
            self.recover(refusal, sent);
        }
        if sent < self.all.since {
            return;
        }
        if sent > self.counted + self.idle() {
            // A pause in which no request was held back says nothing of the rate.
            self.count_from(sent);
        }
        self.counted = sent;
        self.all.answers += 1;
        let [before, current] = &mut self.recent;
        if sent.saturating_sub(current.since) >= SHORTEST {
            *before = *current;
            *current = AnswerCount { since: sent, answers: 0 };
        }
        current.answers += 1;
    }

    /// Notes a refusal because of too many requests, and the wait that the answer demands.
    pub(super) fn refused(
        &mut self,
        now: Duration,
        sent: Duration,
        wait: Option<Duration>,
        paced: Option<f64>,
    ) -> RefusalNews {
        let demanded = wait.unwrap_or_default();
        if let Some(refusal) = self.refusal.as_mut().filter(|refusal| sent <= refusal.last) {
            // Of several requests that were sent together, a later answer may know the wait better.
            refusal.until = refusal.until.max(now.saturating_add(demanded));
            refusal.demanded = refusal.demanded.max(demanded);
            return RefusalNews::Known;
        }
        if sent < self.all.since {
            return RefusalNews::Known;
        }
        let times = self.refusal.map_or(1, |refusal| refusal.times + 1);
        let pause = match (times, paced) {
            (1, Some(rate)) => Duration::from_secs_f64(1.0 / rate.max(0.01)).min(self.pause),
            (1, None) => Duration::ZERO,
            _ => PAUSE.saturating_mul(1 << (times - 2).min(16)).min(self.pause),
        };
        let paced = self.refusal.map_or(paced, |refusal| refusal.paced);
        let mut until = now.saturating_add(pause.max(demanded));
        if paced.is_none() && wait.is_none() {
            // Most upstreams count by the second: too many requests in a part of it are allowed again when it is over.
            until = until.max(self.all.since + SHORTEST);
        }
        self.refusal = Some(RateRefusal { times, last: self.last, until, demanded, probe: None, paced });
        RefusalNews::New
    }

    /// Ends a refusal, after a successful answer.
    fn recover(&mut self, refusal: RateRefusal, sent: Duration) {
        // Without an answer before, the rate is unknown: other clients may have used it up.
        if refusal.paced.is_some() || self.all.answers > 0 {
            let (rate, patience) = self.ceiling_after(refusal, sent);
            self.ceiling = Some(RateCeiling { rate, age: 0.0, patience });
        }
        self.refusal = None;
        self.count_from(sent);
    }

    fn count_from(&mut self, since: Duration) {
        let count = AnswerCount { since, answers: 0 };
        (self.all, self.recent, self.counted) = (count, [count; 2], since);
    }

    /// Time between two requests from which on the finder counts as idle.
    fn idle(&self) -> Duration {
        let spacing = self.rate().map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate.max(1e-6)));
        (spacing * 4).max(SHORTEST * 2)
    }

    /// The ceiling that follows from a refusal when it is over: requests a second, and seconds of patience.
    fn ceiling_after(&self, refusal: RateRefusal, sent: Duration) -> (f64, f64) {
        // The refusal's end is known roughly: a demand is in whole seconds, and without one there were probes.
        let end = match refusal.demanded {
            Duration::ZERO => (refusal.last + sent) / 2,
            _ => refusal.last.max(refusal.until.saturating_sub(Duration::from_secs(1))),
        };
        let time = |count: AnswerCount| end.saturating_sub(count.since).max(SHORTEST).as_secs_f64();
        let [before, current] = self.recent;
        let counted = self.all.answers.max(1) as f64 / time(self.all);
        let counted = counted.max((before.answers + current.answers) as f64 / time(before));
        let is_short = end.saturating_sub(self.all.since) < SHORTEST * 3 / 2;
        let cost = refusal.until.saturating_sub(refusal.last).as_secs_f64();
        let Some(paced) = refusal.paced else {
            // A burst that was refused at once may have been too dense without its rate being too high.
            let is_burst = is_short && self.all.answers < FEW;
            let slow = if is_burst { 1.0 } else { slowness(counted) };
            return (counted, slow * if is_burst { HASTY } else { IMPATIENT.max(10.0 * cost) });
        };
        let least = if is_short && !refusal.is_grave() { LEAST_ONCE } else { LEAST_REPEATED };
        // The sooner the refusal, the larger the part of a burst that the upstream had saved up.
        let ceiling = counted.clamp(least * paced, paced) * (1.0 - BURST / time(self.all));
        let patience = match self.ceiling {
            Some(known) if is_short && !refusal.is_grave() => known.patience,
            // A refusal where one was expected.
            Some(known) if (ceiling / known.rate - 1.0).abs() < 0.15 => {
                (2.0 * known.patience).clamp(IMPATIENT, PATIENT * slowness(ceiling)).max(50.0 * cost)
            }
            _ => IMPATIENT.max(10.0 * cost),
        };
        (ceiling, patience.min(MAX_PATIENCE))
    }
}

/// At a low rate patience is counted in requests rather than in seconds.
fn slowness(rate: f64) -> f64 {
    (SLOW / rate).max(1.0)
}

impl RateRefusal {
    /// Returns whether single requests probe for its end.
    fn is_grave(self) -> bool {
        self.times > 1 || self.paced.is_none()
    }
}

/// A refusal is the first of its round trip, or one of several requests that were sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalNews {
    New,
    Known,
}

impl RateCeiling {
    /// Requests a second at its present age.
    fn current(self) -> f64 {
        let along = (self.age - self.patience) / self.patience;
        self.rate * (1.0 + BACK * along.powi(3))
    }
}
