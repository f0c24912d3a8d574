//! How many requests may be under way at a time: fewer after a refusal, more while all of them are used, and where that is
//! wanted no more than the upstream answers without becoming slower.

use std::time::Duration;

use super::{Pace, Width};

/// What is left of the limit after a refusal, and while the base latency is measured.
const CUT: f64 = 0.7;

/// Where an adaptive limit starts.
const START: f64 = 6.0;

/// How many latencies make a round: their median says little of fewer.
const ROUND: usize = 24;

/// How many requests may wait inside the upstream before the limit stops growing, and before it shrinks.
const SHORT_QUEUE: f64 = 1.0;
const LONG_QUEUE: f64 = 2.0;

/// After how many rounds the base latency is measured anew: soon after the start, where it may be that of a queue, and now
/// and then, since upstreams change.
const FIRST_MEASURE: u32 = 8;
const MEASURE: u32 = 128;

/// How many requests may be under way at a time.
#[derive(Debug)]
pub(super) struct Limit {
    limit: f64,
    most: f64,
    latency: Option<Latency>,
    /// Whoever was sent before this met another limit.
    changed: Option<Duration>,
}

/// Whether as many requests were under way as might be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Full,
    Partial,
}

/// The latencies that the limit is steered by, as TCP Vegas does: of n requests under way, n · (1 − base / now) wait inside
/// the upstream, where `base` is the latency without others.
#[derive(Debug, Default)]
struct Latency {
    base: Option<f64>,
    round: Vec<f64>,
    is_used: Option<Use>,
    /// Rounds until the base is measured.
    left: u32,
    /// The limit to go back to when it has been.
    measuring: Option<f64>,
}

impl Limit {
    pub(super) fn new(pace: &Pace) -> Self {
        let most = f64::from(pace.max_width.get());
        let (start, latency) = match pace.width {
            Width::Fixed(width) => (f64::from(width.get()), None),
            Width::Adaptive => (START, Some(Latency { left: FIRST_MEASURE, ..Latency::default() })),
        };
        Self { limit: start.min(most), most, latency, changed: None }
    }

    pub(super) fn now(&self) -> usize {
        self.limit.max(1.0) as usize
    }

    /// A request was answered well, so long after it was sent.
    pub(super) fn answered(&mut self, now: Duration, sent: Duration, used: Use) {
        if self.changed.is_some_and(|changed| sent < changed) {
            return;
        }
        match &mut self.latency {
            None if used == Use::Full => self.limit = (self.limit + 1.0 / self.limit).min(self.most),
            None => {}
            Some(latency) => {
                let Some(limit) = latency.note(now.saturating_sub(sent).as_secs_f64(), used, self.limit) else {
                    return;
                };
                self.limit = limit.clamp(1.0, self.most);
                self.changed = Some(now);
            }
        }
    }

    /// The upstream refused, at a rate that needs `needed` requests under way. Those that were sent together are refused
    /// together, and count once.
    pub(super) fn refused(&mut self, now: Duration, sent: Duration, needed: f64) {
        if self.changed.is_some_and(|changed| sent < changed) {
            return;
        }
        let needed = needed.min(self.limit);
        self.limit = (self.limit * CUT).max(needed).clamp(1.0, self.most);
        self.changed = Some(now);
        if let Some(latency) = &mut self.latency {
            latency.round.clear();
            latency.measuring = None;
        }
    }
}

impl Latency {
    /// Notes one latency; at the end of a round, the next limit.
    fn note(&mut self, latency: f64, used: Use, limit: f64) -> Option<f64> {
        self.round.push(latency);
        if used == Use::Full {
            self.is_used = Some(Use::Full);
        }
        // What all other rounds are held against is worth a longer one.
        let enough = if self.measuring.is_some() { 2 * ROUND } else { ROUND };
        if self.round.len() < enough.max(limit as usize) {
            return None;
        }
        let median = median(&mut self.round);
        self.round.clear();
        let used = self.is_used.take().unwrap_or(Use::Partial);
        if let Some(limit) = self.measuring.take() {
            self.base = Some(median);
            return Some(limit);
        }
        self.left -= 1;
        if self.left == 0 {
            self.left = MEASURE;
            self.measuring = Some(limit);
            return Some(limit * CUT);
        }
        let base = *self.base.get_or_insert(median);
        let base = if median < base { base + 0.25 * (median - base) } else { base };
        self.base = Some(base);
        let queue = limit * (1.0 - base / median.max(f64::MIN_POSITIVE));
        if queue > LONG_QUEUE {
            Some((limit - 1.0).min(limit - queue / 2.0))
        } else if queue < SHORT_QUEUE && used == Use::Full {
            Some(limit + 1.0)
        } else {
            None
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
