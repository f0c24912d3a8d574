//! A budget that the upstream tells, spread over the time to its reset.

use std::time::Duration;

use super::budget::Left;

/// Below this share of the limit a budget runs low.
const LOW: f64 = 0.25;

/// Windows up to this long are too short for what whole seconds say of them: they are spread from their start.
const SHORT: Duration = Duration::from_secs(10);

/// How much of the rate of a short window is used: the windows of the upstream are not ours.
const SHARE: f64 = 0.98;

/// Whole seconds may be rounded either way.
const ROUNDED: Duration = Duration::from_secs(1);

/// What the upstream has said of its budget.
#[derive(Debug, Default)]
pub(super) struct Spread {
    window: Option<Window>,
}

/// A budget and the time that it is for.
#[derive(Clone, Copy, Debug)]
struct Window {
    remaining: u64,
    limit: u64,
    length: Duration,
    /// How far off a reset was said to be at most: for us, and for the upstream when it said so.
    farthest: (Duration, Duration),
    /// The earliest that was said: rounding makes the others later.
    reset: Duration,
    /// When it was said last.
    told: Duration,
    began: Began,
    kind: Kind,
}

/// Whether the window's beginning was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Began {
    Seen,
    Before,
}

/// How a budget comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All of it at once.
    Whole,
    /// Bit by bit, as those of sliding windows and buckets do: what is left is no measure of the rate that it allows.
    Steady,
}

/// What a budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Allows {
    /// As much as one likes.
    Any,
    /// One request in so long.
    Every(Duration),
    /// Nothing until then.
    From(Duration),
}

impl Spread {
    /// An answer to what was sent at `sent` said what is left.
    pub(super) fn tell(&mut self, now: Duration, sent: Duration, left: &Left) {
        let Some(reset_in) = left.reset.or(left.window) else { return };
        // In a second rounded down to nothing there is still some of it.
        let reset_in = if reset_in.is_zero() { ROUNDED } else { reset_in };
        let reset = now + reset_in;
        let known = self.window;
        let limit = left.limit.unwrap_or(0).max(left.remaining).max(known.map_or(1, |window| window.limit.max(1)));
        let limit = left.limit.filter(|told| *told >= left.remaining && *told > 0).unwrap_or(limit);
        let (ours, theirs) = known.map_or((Duration::ZERO, Duration::ZERO), |window| window.farthest);
        let farthest = (ours.max(reset_in), theirs.max(reset_in.saturating_add(now.saturating_sub(sent))));
        let length = left.window.unwrap_or_else(|| likely(farthest, limit));
        let same = known.filter(|window| now < window.reset && reset < window.reset + ROUNDED + length / 20);
        self.window = Some(match (same, known) {
            (Some(window), _) => {
                let reset = reset.min(window.reset);
                Window { remaining: left.remaining, limit, length, farthest, reset, told: now, ..window }
            }
            (None, None) => Window {
                remaining: left.remaining,
                limit,
                length,
                farthest,
                reset,
                told: now,
                began: Began::Before,
                kind: Kind::Whole,
            },
            (None, Some(before)) => {
                // At a reset of the whole, most of it is there.
                let kind = if left.remaining < limit / 2 { Kind::Steady } else { before.kind };
                Window {
                    remaining: left.remaining,
                    limit,
                    length,
                    farthest,
                    reset,
                    told: now,
                    began: Began::Seen,
                    kind,
                }
            }
        });
    }

    /// What may be sent while so many requests are under way that the upstream may not have counted yet. What was said is
    /// good for `cap`: whoever is to wait for longer shall hear from the upstream that it is so.
    pub(super) fn allows(&self, now: Duration, unanswered: usize, cap: Duration) -> Allows {
        match self.told(now, unanswered) {
            Allows::From(at) => Allows::From(at.min(self.window.map_or(at, |window| window.told.saturating_add(cap)))),
            Allows::Every(spacing) => Allows::Every(spacing.min(cap)),
            Allows::Any => Allows::Any,
        }
    }

    fn told(&self, now: Duration, unanswered: usize) -> Allows {
        let Some(window) = &self.window else { return Allows::Any };
        let available = window.remaining.saturating_sub(unanswered as u64);
        if window.length <= SHORT || window.kind == Kind::Steady {
            return window.steadily(now, available);
        }
        // What was rounded down would be too early.
        let renewed = window.reset + ROUNDED.min(window.length / 20);
        if now >= renewed {
            Allows::Any
        } else if available == 0 {
            Allows::From(renewed)
        } else if available as f64 <= window.limit as f64 * LOW {
            Allows::Every((renewed - now).div_f64(available as f64))
        } else {
            Allows::Any
        }
    }
}

/// The length of a window whose reset was so far off at most. Windows are whole seconds long; an instant in whole seconds is
/// up to one more than that away, and the answer that said it may have been late by its way and by the distance of two requests.
fn likely((ours, theirs): (Duration, Duration), limit: u64) -> Duration {
    let whole = Duration::from_secs((theirs + theirs.div_f64(limit as f64)).as_secs());
    ours.min(whole.max(ROUNDED))
}

impl Window {
    fn steadily(&self, now: Duration, available: u64) -> Allows {
        let even = self.length.div_f64(self.limit as f64 * SHARE);
        let left = self.reset.saturating_sub(now);
        if self.began == Began::Before && !left.is_zero() {
            // What was spent before the first answer was spent at once.
            return if available == 0 {
                Allows::From(self.reset)
            } else {
                Allows::Every(even.max(left.div_f64(available as f64)))
            };
        }
        Allows::Every(even)
    }
}
