//! The number of requests that may be in flight at a time: fewer after a refusal, more while all of them are used, and with an
//! adaptive width no more than the upstream answers without becoming slower.

use std::time::Duration;

use super::{Pace, Width};

/// Factor of the limit after a refusal, and while the base latency is measured.
const CUT: f64 = 0.7;

/// First limit of an adaptive width.
const START: f64 = 6.0;

/// Latencies of a round: the median of fewer says little.
const ROUND: usize = 24;

/// Requests waiting inside the upstream at which the limit stops growing, and at which it shrinks.
const SHORT_QUEUE: f64 = 1.0;
const LONG_QUEUE: f64 = 2.0;

/// Rounds between two measurements of the base latency: soon after the start, where the first may be that of a queue, and
/// now and then, since upstreams change.
const FIRST_MEASURE: u32 = 8;
const MEASURE: u32 = 128;

#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    limit: f64,
    most: f64,
    /// Most requests at a time that the configuration allows.
    configured: f64,
    latency: Option<LatencyGauge>,
    /// Time of the last change: requests that were sent before met another limit.
    changed: Option<Duration>,
}

/// Use of the limit: as many requests were in flight as it allows, or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitUse {
    Full,
    Partial,
}

/// Latencies that steer the limit, as in TCP Vegas: of n requests in flight, n · (1 − base / now) wait inside the upstream,
/// where `base` is the latency without other requests.
#[derive(Debug, Default)]
struct LatencyGauge {
    base: Option<f64>,
    round: Vec<f64>,
    is_used: Option<LimitUse>,
    /// Rounds until the next measurement of the base latency.
    left: u32,
    /// While the base is measured, the limit to restore afterwards.
    measuring: Option<f64>,
}

impl ConcurrencyLimit {
    pub(super) fn new(pace: &Pace) -> Self {
        let most = f64::from(pace.max_width.get());
        let (start, latency) = match pace.width {
            Width::Fixed(width) => (f64::from(width.get()), None),
            Width::Adaptive => (START, Some(LatencyGauge { left: FIRST_MEASURE, ..LatencyGauge::default() })),
        };
        Self { limit: start.min(most), most, configured: most, latency, changed: None }
    }

    pub(super) fn now(&self) -> usize {
        self.limit.max(1.0) as usize
    }

    /// Bounds the limit by the number of requests at a time that the upstream reports.
    pub(super) fn bound(&mut self, reported: u64) {
        self.most = self.configured.min(reported.max(1) as f64);
        self.limit = self.limit.min(self.most);
    }

    /// Notes a successful answer to a request that was sent at `sent`.
    pub(super) fn answered(&mut self, now: Duration, sent: Duration, used: LimitUse) {
        if self.changed.is_some_and(|changed| sent < changed) {
            return;
        }
        match &mut self.latency {
            None if used == LimitUse::Full => self.limit = (self.limit + 1.0 / self.limit).min(self.most),
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

    /// Notes a refusal at a rate that needs `needed` requests in flight. Requests that were sent together are refused together,
    /// and count once.
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

impl LatencyGauge {
    /// Adds a latency; returns the next limit at the end of a round that changes it.
    fn note(&mut self, latency: f64, used: LimitUse, limit: f64) -> Option<f64> {
        self.round.push(latency);
        if used == LimitUse::Full {
            self.is_used = Some(LimitUse::Full);
        }
        // All other rounds are compared with the base, which is worth a longer one.
        let enough = if self.measuring.is_some() { 2 * ROUND } else { ROUND };
        if self.round.len() < enough.max(limit as usize) {
            return None;
        }
        let median = median(&mut self.round);
        self.round.clear();
        let used = self.is_used.take().unwrap_or(LimitUse::Partial);
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
        } else if queue < SHORT_QUEUE && used == LimitUse::Full {
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
