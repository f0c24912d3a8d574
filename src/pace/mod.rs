//! Rate and concurrency of the requests to an upstream: as configured, as the upstream says, and as it can bear. Pure: no IO, no
//! tasks; the caller brings the clock.

pub mod budget_headers;
mod budget_pacing;
mod concurrency_limit;
mod fair_queue;
mod governor;
mod rate_finder;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;

pub use budget_pacing::BudgetLeft;
pub use fair_queue::{CrawlId, Ticket};
pub use governor::{Governor, GovernorLoad, GrantDecision, HoldReason, Prospect, RequestCounts};

/// Configured pace of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Pages of one crawl that are requested at a time; default 6.
    pub width: Width,
    /// Most pages of all crawls of one upstream and credential that are requested at a time; default 32.
    pub max_width: NonZeroU32,
    /// Configured rate; none where only the upstream says it.
    pub rate: Option<Rate>,
    /// Header fields of the remaining budget, where the upstream has names of its own for them.
    pub budget: BudgetFields,
}

/// Number of pages of one crawl that are requested at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Fixed(NonZeroU32),
    /// As many as the upstream answers without becoming slower, up to [`Pace::max_width`].
    Adaptive,
}

/// A number of requests in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: NonZeroU32,
    /// Never zero.
    pub period: Duration,
}

/// Header fields in which an upstream reports its budget under names of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetFields {
    /// Number of requests that are left.
    pub remaining: Option<HeaderName>,
    /// Time of the next renewal: seconds, or an instant, told apart by magnitude.
    pub reset: Option<HeaderName>,
    /// Number of requests of the whole budget.
    pub limit: Option<HeaderName>,
    /// Number of used requests, or several, perhaps with their limits (`32/40`) and windows (`5:1,90:120`).
    pub used: Option<HeaderName>,
    /// Most requests at a time.
    pub at_a_time: Option<HeaderName>,
    /// Requests that share the budgets.
    pub scope: BudgetScope,
}

/// Requests that share the budgets of an upstream, and are paced together; always those of one credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BudgetScope {
    /// All of them.
    #[default]
    Upstream,
    /// Those of one method.
    Method,
    /// Those of crawls whose first request has the same method and path.
    Route,
}

impl Pace {
    const WIDTH: NonZeroU32 = NonZeroU32::new(6).expect("6 is not 0");
    const MAX_WIDTH: NonZeroU32 = NonZeroU32::new(32).expect("32 is not 0");

    /// Most pages of one crawl that may be requested at a time.
    pub fn widest(&self) -> usize {
        let width = match self.width {
            Width::Fixed(width) => width.min(self.max_width),
            Width::Adaptive => self.max_width,
        };
        width.get() as usize
    }

    /// Most pages of one crawl that may be requested at a time where nothing says that they are there.
    pub fn width_of_guesses(&self) -> usize {
        let width = if self.width == Width::Adaptive { Self::WIDTH } else { self.max_width };
        width.min(self.max_width).get() as usize
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            width: Width::Fixed(Self::WIDTH),
            max_width: Self::MAX_WIDTH,
            rate: None,
            budget: BudgetFields::default(),
        }
    }
}
