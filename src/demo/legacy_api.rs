//! The legacy API as data: its orders, its page sizes and its faults.

use std::sync::Arc;

use super::calendar::Calendar;
use super::faults::Quirks;

/// The legacy API: one collection of made-up orders under every pagination type.
#[derive(Clone, Debug)]
pub struct Legacy {
    /// Highest number of an order, and the number of orders where [`Self::stock`] does not say which there are.
    pub records: u64,
    /// Numbers of the orders, ascending; none for all up to the highest one.
    pub stock: Option<Arc<Vec<u64>>>,
    /// Page size without a parameter of the client; 0 counts as 1.
    pub default_page: u64,
    /// Largest page size, which also cuts the client's; 0 counts as 1.
    pub max_page: u64,
    pub calendar: Calendar,
    pub listing: Listing,
    pub quirks: Quirks,
}

impl Legacy {
    /// Default of [`Self::max_page`].
    pub const MAX_PAGE: u64 = 1_000;

    /// An API of this many orders, in pages of 100 by default and of 1,000 at most.
    pub fn of(records: u64) -> Self {
        Self {
            records,
            stock: None,
            default_page: 100,
            max_page: Self::MAX_PAGE,
            calendar: Calendar::default(),
            listing: Listing::default(),
            quirks: Quirks::default(),
        }
    }

    /// An API of [`Calendar::skewed`]'s orders: 100, 1,000 and 1,000,000 in three years.
    pub fn skewed() -> Self {
        let calendar = Calendar::skewed();
        Self { calendar: calendar.clone(), ..Self::of(calendar.orders().unwrap_or_default()) }
    }

    pub(super) fn count(&self) -> u64 {
        self.stock.as_ref().map_or(self.records, |stock| stock.len() as u64)
    }

    /// Page size for the client's parameter: cut to the largest one without an error.
    pub(super) fn page_size(&self, asked: Option<u64>) -> u64 {
        asked.unwrap_or(self.default_page).min(self.max_page).max(1)
    }
}

/// Order in which a collection is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// The lowest number first.
    #[default]
    OldestFirst,
    /// The highest number first.
    NewestFirst,
}
