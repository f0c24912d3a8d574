//! Traffic of one upstream, and the sums over its credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pace::{BudgetLeft, GovernorLoad, RequestCounts};

/// Requests to one upstream with one credential, or with all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    pub origin: String,
    /// Number of the member of a pool, from 0; none for other credentials, and for several.
    pub member: Option<usize>,
    /// Requests in flight and waiting, and counts of all.
    pub load: GovernorLoad,
    /// Number of requests that wait before they are sent again.
    pub backing_off: usize,
    /// Number of requests that were sent again.
    pub retries: u64,
    /// Sum of the times that requests have waited for a permit, or before they were sent again.
    pub waited: Duration,
    /// Time for which a member's credentials count as refused yet, so that others are asked first.
    pub refused: Duration,
}

impl Traffic {
    /// The part that stays when the governor is forgotten: its counts.
    pub(super) fn counts_only(self) -> Self {
        let load = GovernorLoad {
            limit: 0,
            in_flight: 0,
            waiting: 0,
            rate: None,
            held: Duration::ZERO,
            hold: None,
            budget: None,
            ..self.load
        };
        Self { load, backing_off: 0, refused: Duration::ZERO, ..self }
    }

    pub(super) fn add_to<K: Ord>(self, sums: &mut BTreeMap<K, Self>, key: K) {
        let Some(sum) = sums.get_mut(&key) else {
            sums.insert(key, self);
            return;
        };
        sum.member = sum.member.filter(|member| self.member == Some(*member));
        let (one, other) = (sum.load, self.load);
        sum.load = GovernorLoad {
            limit: one.limit + other.limit,
            in_flight: one.in_flight + other.in_flight,
            waiting: one.waiting + other.waiting,
            rate: [one.rate, other.rate].into_iter().flatten().reduce(|one, other| one + other),
            held: one.held.max(other.held),
            hold: if other.held > one.held { other.hold } else { one.hold },
            budget: [one.budget, other.budget].into_iter().flatten().reduce(BudgetLeft::scarcer),
            counts: RequestCounts {
                requests: one.counts.requests + other.counts.requests,
                too_many: one.counts.too_many + other.counts.too_many,
                unavailable: one.counts.unavailable + other.counts.unavailable,
            },
        };
        sum.backing_off += self.backing_off;
        sum.retries += self.retries;
        sum.waited += self.waited;
        sum.refused = sum.refused.max(self.refused);
    }
}
