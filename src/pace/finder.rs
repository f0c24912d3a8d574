//! The rate that an upstream bears without saying so: found by what it refuses, and kept just below that.

use std::time::Duration;

/// How far below the rate that was refused is gone on.
const BACK: f64 = 0.04;

/// The shortest window that upstreams count in. Many answers in less of it say nothing of the rate.
const SHORTEST: Duration = Duration::from_secs(1);

/// A probe that takes longer is not waited for.
const PROBE: Duration = Duration::from_secs(2);

/// The first wait after a second refusal in a row, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What may be left of a rate that was refused: once, and when it goes on being refused.
const LESS: f64 = 0.93;
const FEWER: f64 = 0.25;

/// The share of a second's answers that a refusal after one second was too many by.
const BURST: f64 = 0.05;

/// Fewer answers than these are no count.
const FEW: u64 = 10;

/// How many seconds the rate stays near a ceiling: where that is only guessed, where it is counted, and at most.
const HASTY: f64 = 0.7;
const IMPATIENT: f64 = 2.0;
const PATIENT: f64 = 32.0;
const MOST_PATIENT: f64 = 600.0;

/// This many requests a second are not slow.
const SLOW: f64 = 20.0;

/// Finds a rate as CUBIC finds a bandwidth: it remembers the rate that was refused last, its ceiling, comes back to it
/// quickly, stays there for long, and only then looks for more.
///
/// The ceiling is counted and not guessed: what was answered between the end of one refusal and the end of the next is what
/// the upstream allows in that time, whatever windows it counts in.
#[derive(Debug)]
pub(super) struct Finder {
    found: Option<Found>,
    all: Count,
    recent: [Count; 2],
    /// When the last request was sent of those that are counted.
    counted: Duration,
    refusal: Option<Refusal>,
    /// When the last request was sent.
    last: Duration,
    /// The longest pause.
    pause: Duration,
}

/// What has been found.
#[derive(Clone, Copy, Debug)]
struct Found {
    ceiling: f64,
    /// How many seconds the rate has been held to it.
    age: f64,
    patience: f64,
}

/// Answers since a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    since: Duration,
    answers: u64,
}

/// The upstream has refused, and has not served anything since.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// How often in a row.
    times: u32,
    /// When the last request was sent of those before.
    last: Duration,
    until: Duration,
    /// How long the upstream itself said that it would take.
    demanded: Duration,
    /// When a request was sent to find out whether it still refuses.
    probe: Option<Duration>,
    /// The rate that it was asked at.
    paced: Option<f64>,
}

impl Finder {
    /// A finder that knows nothing, and waits for nothing longer than `cap`.
    pub(super) fn new(cap: Duration) -> Self {
        Self {
            found: None,
            all: Count::default(),
            recent: [Count::default(); 2],
            counted: Duration::ZERO,
            refusal: None,
            last: Duration::ZERO,
            pause: LONGEST_PAUSE.min(cap),
        }
    }

    /// How many requests a second to send, if anything is known of that.
    pub(super) fn rate(&self) -> Option<f64> {
        self.found.map(Found::rate)
    }

    /// No request is to be sent before.
    pub(super) fn not_before(&self) -> Duration {
        let Some(refusal) = self.refusal else { return Duration::ZERO };
        match refusal.probe {
            Some(probe) if refusal.is_grave() => refusal.until.max(probe + PROBE),
            _ => refusal.until,
        }
    }

    /// A request is sent, after it was held back for the rate's sake for so long.
    pub(super) fn sent(&mut self, now: Duration, held: Duration) {
        self.last = now;
        if let Some(refusal) = &mut self.refusal {
            refusal.probe = Some(now);
        } else if let Some(found) = &mut self.found {
            found.age += held.as_secs_f64();
        }
    }

    /// A request that was sent at `sent` will not be answered.
    pub(super) fn lost(&mut self, sent: Duration) {
        if let Some(refusal) = self.refusal.as_mut().filter(|refusal| refusal.probe == Some(sent)) {
            refusal.probe = None;
        }
    }

    /// A request that was sent at `sent` was answered, and not for want of a budget.
    pub(super) fn served(&mut self, sent: Duration) {
        if let Some(refusal) = self.refusal.filter(|refusal| sent > refusal.last) {
            self.recover(refusal, sent);
        }
        if sent < self.all.since {
            return;
        }
        if sent > self.counted + self.idle() {
            // A pause that nobody was held back in says nothing of the rate.
            self.count_from(sent);
        }
        self.counted = sent;
        self.all.answers += 1;
        let [before, current] = &mut self.recent;
        if sent.saturating_sub(current.since) >= SHORTEST {
            *before = *current;
            *current = Count { since: sent, answers: 0 };
        }
        current.answers += 1;
    }

    /// It was refused because there were too many, for so long as the answer may say.
    pub(super) fn refused(
        &mut self,
        now: Duration,
        sent: Duration,
        wait: Option<Duration>,
        paced: Option<f64>,
    ) -> News {
        let demanded = wait.unwrap_or_default();
        if let Some(refusal) = self.refusal.as_mut().filter(|refusal| sent <= refusal.last) {
            // Of those that were sent together another may say better how long it takes.
            refusal.until = refusal.until.max(now.saturating_add(demanded));
            refusal.demanded = refusal.demanded.max(demanded);
            return News::Known;
        }
        if sent < self.all.since {
            return News::Known;
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
            // Most count by the second: what was too much in less of it is allowed again when it is over.
            until = until.max(self.all.since + SHORTEST);
        }
        self.refusal = Some(Refusal { times, last: self.last, until, demanded, probe: None, paced });
        News::New
    }

    /// The first request after a refusal has been answered well.
    fn recover(&mut self, refusal: Refusal, sent: Duration) {
        // Where nothing had been answered before, nothing is known of the rate: others may have used it up.
        if refusal.paced.is_some() || self.all.answers > 0 {
            let (ceiling, patience) = self.lesson(refusal, sent);
            self.found = Some(Found { ceiling, age: 0.0, patience });
        }
        self.refusal = None;
        self.count_from(sent);
    }

    fn count_from(&mut self, since: Duration) {
        let count = Count { since, answers: 0 };
        (self.all, self.recent, self.counted) = (count, [count; 2], since);
    }

    /// How far apart requests are when nobody wants more of them.
    fn idle(&self) -> Duration {
        let spacing = self.rate().map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate.max(1e-6)));
        (spacing * 4).max(SHORTEST * 2)
    }

    /// What a refusal teaches when it is over: a rate that is too high, and for how many seconds to stay below it.
    fn lesson(&self, refusal: Refusal, sent: Duration) -> (f64, f64) {
        // Where it ended is known only so well: a demand is in whole seconds, and without one there were probes.
        let end = match refusal.demanded {
            Duration::ZERO => (refusal.last + sent) / 2,
            _ => refusal.last.max(refusal.until.saturating_sub(Duration::from_secs(1))),
        };
        let time = |count: Count| end.saturating_sub(count.since).max(SHORTEST).as_secs_f64();
        let [before, current] = self.recent;
        let counted = self.all.answers.max(1) as f64 / time(self.all);
        let counted = counted.max((before.answers + current.answers) as f64 / time(before));
        let is_short = end.saturating_sub(self.all.since) < SHORTEST * 3 / 2;
        let cost = refusal.until.saturating_sub(refusal.last).as_secs_f64();
        let Some(paced) = refusal.paced else {
            // A burst that was refused at once may have been too dense, and its rate not too high.
            let is_burst = is_short && self.all.answers < FEW;
            let slow = if is_burst { 1.0 } else { slowness(counted) };
            return (counted, slow * if is_burst { HASTY } else { IMPATIENT.max(10.0 * cost) });
        };
        let least = if is_short && !refusal.is_grave() { LESS } else { FEWER };
        // The sooner it was refused, the more of it was a burst that the upstream had saved up.
        let ceiling = counted.clamp(least * paced, paced) * (1.0 - BURST / time(self.all));
        let patience = match self.found {
            Some(found) if is_short && !refusal.is_grave() => found.patience,
            // A refusal where one was expected.
            Some(found) if (ceiling / found.ceiling - 1.0).abs() < 0.15 => {
                (2.0 * found.patience).clamp(IMPATIENT, PATIENT * slowness(ceiling)).max(50.0 * cost)
            }
            _ => IMPATIENT.max(10.0 * cost),
        };
        (ceiling, patience.min(MOST_PATIENT))
    }
}

/// At a low rate patience is counted in requests rather than in seconds.
fn slowness(rate: f64) -> f64 {
    (SLOW / rate).max(1.0)
}

impl Refusal {
    /// Whether one request at a time is to find out how long it takes.
    fn is_grave(self) -> bool {
        self.times > 1 || self.paced.is_none()
    }
}

/// Whether a refusal says something that wasn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    New,
    Known,
}

impl Found {
    fn rate(self) -> f64 {
        let along = (self.age - self.patience) / self.patience;
        self.ceiling * (1.0 + BACK * along.powi(3))
    }
}
