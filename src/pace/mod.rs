//! How much an upstream is asked at a time: what the configuration says, what the upstream says, and what it can bear. Pure:
//! no IO, no tasks; the caller brings the clock.

pub mod budget;
mod finder;
mod governor;
mod limit;
mod queue;
mod spread;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;

pub use governor::{Counts, Governor, Hold, Load, Turn};
pub use queue::{CrawlId, Ticket};

/// What the configuration says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many pages of one crawl are asked for at a time; default 6.
    pub width: Width,
    /// How many pages of all crawls of one upstream and credential are asked for at a time at most; default 32.
    pub max_width: NonZeroU32,
    /// How many requests a time; none where only the upstream says it.
    pub rate: Option<Rate>,
    /// The header fields that say how much is left, where they have names of the upstream's own.
    pub budget: BudgetFields,
}

/// How many pages of one crawl are asked for at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many.
    Fixed(NonZeroU32),
    /// As many as the upstream answers without becoming slower, up to the most of all crawls.
    Adaptive,
}

/// So many requests in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// In how long; never zero.
    pub period: Duration,
}

/// The header fields of an upstream's own that say how much of a budget is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetFields {
    /// How many requests are left.
    pub remaining: Option<HeaderName>,
    /// When there are more again: seconds, or an instant, told apart by magnitude.
    pub reset: Option<HeaderName>,
    /// How many requests there are in all.
    pub limit: Option<HeaderName>,
}

impl Pace {
    const WIDTH: NonZeroU32 = NonZeroU32::new(6).expect("6 is not 0");
    const MAX_WIDTH: NonZeroU32 = NonZeroU32::new(32).expect("32 is not 0");

    /// How many pages of one crawl may be asked for at a time at most.
    pub fn widest(&self) -> usize {
        let width = match self.width {
            Width::Fixed(width) => width.min(self.max_width),
            Width::Adaptive => self.max_width,
        };
        width.get() as usize
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
