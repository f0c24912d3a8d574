//! The budgets that the upstream reports, each spread over the time to its reset.

use std::time::Duration;

use super::budget_headers::RemainingBudget;

/// Share of the limit below which a budget is spread.
const LOW: f64 = 0.25;

/// Windows up to this length are spread from their start: whole seconds say too little of what is left of them.
const SHORT: Duration = Duration::from_secs(10);

/// Share of a short window's rate that is used: the upstream's windows begin at other times than ours.
const SHARE: f64 = 0.98;

/// Error of a time in whole seconds, which may be rounded either way.
const ROUNDED: Duration = Duration::from_secs(1);

/// Most budgets that are held at a time: an upstream that makes up names must not fill the memory.
const MOST: usize = 16;

/// All budgets of an upstream and credential, each of which holds.
#[derive(Debug, Default)]
pub(super) struct BudgetPacings {
    by_name: Vec<(u64, BudgetPacing)>,
}

#[derive(Debug, Default)]
struct BudgetPacing {
    window: Option<BudgetWindow>,
}

/// A budget and the time for which it holds.
#[derive(Clone, Copy, Debug)]
struct BudgetWindow {
    remaining: u64,
    limit: u64,
    length: Duration,
    /// Longest time to a reset that was reported: by our clock, and by the upstream's when it answered.
    farthest: (Duration, Duration),
    /// Earliest reported reset: rounding makes the others later.
    reset: Duration,
    /// Time of the last report.
    reported: Duration,
    start: WindowStart,
    renewal: BudgetRenewal,
}

/// The window began while its budget was watched, or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WindowStart {
    Seen,
    Before,
}

/// The way in which a budget is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BudgetRenewal {
    AtOnce,
    /// Bit by bit, as in sliding windows and token buckets: what is left is no measure of the rate that it allows.
    Gradual,
}

/// Requests that a budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SendRule {
    Any,
    /// One request in each period of this length.
    Every(Duration),
    /// None until this time.
    From(Duration),
}

/// Budget of requests that an upstream reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    pub remaining: u64,
    pub limit: u64,
    /// Time until the budget is renewed.
    pub reset: Duration,
}

impl BudgetLeft {
    /// Returns the budget that has the smaller share left.
    pub fn scarcer(self, other: Self) -> Self {
        let share = |budget: Self| budget.remaining as f64 / budget.limit.max(1) as f64;
        if share(other) < share(self) { other } else { self }
    }
}

impl BudgetPacings {
    /// Notes a budget that the answer to a request of time `sent` reported.
    pub(super) fn note(&mut self, now: Duration, sent: Duration, left: &RemainingBudget) {
        let at = self.by_name.iter().position(|(name, _)| *name == left.name).unwrap_or_else(|| {
            self.by_name.retain(|(_, budget)| budget.window.is_some_and(|window| now < window.reset + window.length));
            if self.by_name.len() == MOST {
                // The one that was reported longest ago.
                self.by_name.remove(0);
            }
            self.by_name.push((left.name, BudgetPacing::default()));
            self.by_name.len() - 1
        });
        self.by_name[at].1.note(now, sent, left);
        if self.by_name.len() > 1 {
            self.by_name[at..].rotate_left(1);
        }
    }

    /// Time before which a budget allows no request; zero where all do. See [`BudgetPacing::allows`].
    pub(super) fn hold(&self, now: Duration, unanswered: usize, cap: Duration) -> Duration {
        let hold = |(_, budget): &(u64, BudgetPacing)| match budget.allows(now, unanswered, cap) {
            SendRule::From(at) => at,
            SendRule::Any | SendRule::Every(_) => Duration::ZERO,
        };
        self.by_name.iter().map(hold).max().unwrap_or_default()
    }

    /// Largest share of a budget that is used, in thousandths; 0 where none is known.
    pub(super) fn used(&self, now: Duration, unanswered: usize) -> u64 {
        let used = |(_, budget): &(u64, BudgetPacing)| {
            let window = budget.window.filter(|window| now < window.reset)?;
            let left = window.remaining.saturating_sub(unanswered as u64).min(window.limit);
            Some((window.limit - left).saturating_mul(1000) / window.limit.max(1))
        };
        self.by_name.iter().filter_map(used).max().unwrap_or_default()
    }

    /// Budget that has the smallest share left; none if no window is open.
    pub(super) fn scarcest(&self, now: Duration) -> Option<BudgetLeft> {
        let windows = self.by_name.iter().filter_map(|(_, budget)| budget.window.filter(|window| now < window.reset));
        let left = windows.map(|window| BudgetLeft {
            remaining: window.remaining,
            limit: window.limit,
            reset: window.reset - now,
        });
        left.reduce(BudgetLeft::scarcer)
    }

    /// Longest period for each of which a budget allows one request.
    pub(super) fn spacing(&self, now: Duration, unanswered: usize, cap: Duration) -> Duration {
        let spacing = |(_, budget): &(u64, BudgetPacing)| match budget.allows(now, unanswered, cap) {
            SendRule::Every(spacing) => spacing,
            SendRule::Any | SendRule::From(_) => Duration::ZERO,
        };
        self.by_name.iter().map(spacing).max().unwrap_or_default()
    }
}

impl BudgetPacing {
    fn note(&mut self, now: Duration, sent: Duration, left: &RemainingBudget) {
        let Some(reset_in) = left.reset.or(left.window) else { return };
        // A second that was rounded down to nothing still has a part left.
        let reset_in = if reset_in.is_zero() { ROUNDED } else { reset_in };
        let reset = now + reset_in;
        let known = self.window;
        let limit = left.limit.unwrap_or(0).max(left.remaining).max(known.map_or(1, |window| window.limit.max(1)));
        let limit = left.limit.filter(|limit| *limit >= left.remaining && *limit > 0).unwrap_or(limit);
        let (ours, theirs) = known.map_or((Duration::ZERO, Duration::ZERO), |window| window.farthest);
        let farthest = (ours.max(reset_in), theirs.max(reset_in.saturating_add(now.saturating_sub(sent))));
        let length = left.window.unwrap_or_else(|| likely(farthest, limit));
        let same = known.filter(|window| now < window.reset && reset < window.reset + ROUNDED + length / 20);
        self.window = Some(match (same, known) {
            (Some(window), _) => {
                let reset = reset.min(window.reset);
                BudgetWindow { remaining: left.remaining, limit, length, farthest, reset, reported: now, ..window }
            }
            (None, None) => BudgetWindow {
                remaining: left.remaining,
                limit,
                length,
                farthest,
                reset,
                reported: now,
                start: WindowStart::Before,
                renewal: BudgetRenewal::AtOnce,
            },
            (None, Some(before)) => {
                // After a renewal at once, most of the budget is there.
                let renewal = if left.remaining < limit / 2 { BudgetRenewal::Gradual } else { before.renewal };
                BudgetWindow {
                    remaining: left.remaining,
                    limit,
                    length,
                    farthest,
                    reset,
                    reported: now,
                    start: WindowStart::Seen,
                    renewal,
                }
            }
        });
    }

    /// The rule for the next request, while `unanswered` requests may not have been counted by the upstream yet. A report
    /// holds for `cap`: before a longer wait, the upstream is asked once more.
    fn allows(&self, now: Duration, unanswered: usize, cap: Duration) -> SendRule {
        match self.reported(now, unanswered) {
            SendRule::From(at) => {
                SendRule::From(at.min(self.window.map_or(at, |window| window.reported.saturating_add(cap))))
            }
            SendRule::Every(spacing) => SendRule::Every(spacing.min(cap)),
            SendRule::Any => SendRule::Any,
        }
    }

    fn reported(&self, now: Duration, unanswered: usize) -> SendRule {
        let Some(window) = &self.window else { return SendRule::Any };
        let available = window.remaining.saturating_sub(unanswered as u64);
        if window.length <= SHORT || window.renewal == BudgetRenewal::Gradual {
            return window.steadily(now, available);
        }
        // A time that was rounded down would be too early.
        let renewed = window.reset + ROUNDED.min(window.length / 20);
        if now >= renewed {
            SendRule::Any
        } else if available == 0 {
            SendRule::From(renewed)
        } else if available as f64 <= window.limit as f64 * LOW {
            SendRule::Every((renewed - now).div_f64(available as f64))
        } else {
            SendRule::Any
        }
    }
}

/// Length of a window, from the longest time to its reset. Windows are whole seconds long; an instant in whole seconds is up to
/// one second further away, and the answer that reported it may be late by its latency and by the time between two requests.
fn likely((ours, theirs): (Duration, Duration), limit: u64) -> Duration {
    let whole = Duration::from_secs((theirs + theirs.div_f64(limit as f64)).as_secs());
    ours.min(whole.max(ROUNDED))
}

impl BudgetWindow {
    fn steadily(&self, now: Duration, available: u64) -> SendRule {
        let even = self.length.div_f64(self.limit as f64 * SHARE);
        let left = self.reset.saturating_sub(now);
        if self.start == WindowStart::Before && !left.is_zero() {
            // Requests before the first report may have spent the budget at once.
            return if available == 0 {
                SendRule::From(self.reset)
            } else {
                SendRule::Every(even.max(left.div_f64(available as f64)))
            };
        }
        SendRule::Every(even)
    }
}
