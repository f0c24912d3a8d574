//! Times of the orders, computed from their numbers, so that a range of times is found without a scan.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// Times of the orders, and their format. A later number never has an earlier time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    pub times: Times,
    pub stamp: Stamp,
}

/// Distribution of the orders over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Three orders every 37 seconds since 2019, so that a sort by time has ties.
    #[default]
    Steady,
    /// Spans of time one after the other, each with its own number of orders.
    Spans(Vec<TimeSpan>),
}

/// A span of time over which orders are spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// Seconds since 1970.
    pub from: u64,
    /// Seconds since 1970; ≥ `from`.
    pub until: u64,
    /// Number of orders.
    pub orders: u64,
    /// Number of orders that share a time; 0 counts as 1.
    pub together: u64,
}

/// Format of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// A string (RFC 3339), to the second.
    #[default]
    Rfc3339,
    /// Number of seconds since 1970.
    Unix,
}

impl Calendar {
    /// 100 orders in 2018, 1,000 in 2019 and 1,000,000 in 2020, in seconds since 1970.
    pub fn skewed() -> Self {
        let years = [(1_514_764_800, 365, 100), (1_546_300_800, 365, 1_000), (1_577_836_800, 366, 1_000_000)];
        let spans =
            years.map(|(from, days, orders)| TimeSpan { from, until: from + days * 24 * 60 * 60, orders, together: 1 });
        Self { times: Times::Spans(spans.to_vec()), stamp: Stamp::Unix }
    }

    /// Number of orders with times of their own; none if it is unlimited.
    pub fn orders(&self) -> Option<u64> {
        match &self.times {
            Times::Steady => None,
            Times::Spans(spans) => Some(spans.iter().map(|span| span.orders).sum()),
        }
    }

    /// Time of an order, since 1970.
    pub fn at(&self, number: u64) -> Duration {
        Duration::from_secs(match &self.times {
            // Bounded, because a calendar has an end and numbers have none.
            Times::Steady => 1_546_300_800 + 37 * (number / 3).min(1 << 32),
            Times::Spans(spans) => spread(spans, number),
        })
    }

    /// Number of the first `records` orders that are earlier than a moment.
    pub(super) fn before(&self, moment: Duration, records: u64) -> u64 {
        let (mut before, mut most) = (0, records);
        while before < most {
            let middle = before + (most - before) / 2;
            if self.at(middle + 1) < moment {
                before = middle + 1;
            } else {
                most = middle;
            }
        }
        before
    }
}

/// Time of an order by its number; orders behind the last span have the time of its end.
fn spread(spans: &[TimeSpan], number: u64) -> u64 {
    let mut nth = number.saturating_sub(1);
    for span in spans {
        if nth < span.orders {
            nth -= nth % span.together.max(1);
            let seconds = u128::from(nth) * u128::from(span.until - span.from) / u128::from(span.orders);
            return span.from + u64::try_from(seconds).expect("nth < orders, so it is less than the span");
        }
        nth -= span.orders;
    }
    spans.last().map_or(0, |span| span.until)
}

/// A time in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamped(pub(super) Duration, pub(super) Stamp);

impl fmt::Display for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Stamp::Rfc3339 => write!(f, "\"{}\"", humantime::format_rfc3339_seconds(UNIX_EPOCH + self.0)),
            Stamp::Unix => write!(f, "{}", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skewed_years_have_their_orders() {
        let calendar = Calendar::skewed();
        let records = calendar.orders().unwrap();
        assert_eq!(records, 1_001_100);
        let before = |year: &str| {
            let moment = humantime::parse_rfc3339(&format!("{year}-01-01T00:00:00Z")).unwrap();
            calendar.before(moment.duration_since(UNIX_EPOCH).unwrap(), records)
        };
        assert_eq!(["2018", "2019", "2020", "2021"].map(before), [0, 100, 1_100, records]);
    }

    #[test]
    fn the_orders_before_a_moment_are_as_many_as_a_scan_counts() {
        let span = TimeSpan { from: 100, until: 120, orders: 50, together: 4 };
        let late = TimeSpan { from: 500, until: 500, orders: 7, together: 0 };
        let calendar = Calendar { times: Times::Spans(vec![span, late]), stamp: Stamp::Unix };
        for calendar in [calendar, Calendar::default()] {
            let times: Vec<_> = (1..=57).map(|number| calendar.at(number)).collect();
            assert!(times.is_sorted());
            for moment in times.iter().flat_map(|time| [*time, *time + Duration::from_millis(1)]) {
                let counted = times.iter().filter(|time| **time < moment).count() as u64;
                assert_eq!(calendar.before(moment, 57), counted, "{moment:?}");
            }
        }
    }
}
