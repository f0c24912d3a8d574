//! How many crawls a caller may begin in a time.
//!
//! The generic cell rate algorithm: one moment for each caller, at which all that it has had is paid for. As many as are granted
//! may come at once, and after them one at a time.

use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::pace::Rate;
use crate::snapshot::Key;

/// The callers who have begun crawls of late.
#[derive(Debug)]
pub(super) struct Quota {
    /// What one crawl costs.
    interval: Duration,
    period: Duration,
    paid_at: Cache<Key, Instant>,
}

impl Quota {
    pub(super) fn new(rate: &Rate) -> Self {
        let paid_at = Cache::builder().time_to_live(rate.period).build();
        Self { interval: rate.period / rate.requests.get(), period: rate.period, paid_at }
    }

    /// Takes one for this caller, or says how long it has to wait.
    pub(super) fn take(&self, caller: Key) -> Result<(), Duration> {
        let now = Instant::now();
        let mut wait = Duration::ZERO;
        self.paid_at.entry(caller).and_compute_with(|paid_at| {
            let ahead = paid_at.map_or(Duration::ZERO, |paid_at| paid_at.into_value().saturating_duration_since(now));
            wait = (ahead + self.interval).saturating_sub(self.period);
            if wait.is_zero() { Op::Put(now + ahead + self.interval) } else { Op::Nop }
        });
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// What this caller took came to nothing.
    pub(super) fn give_back(&self, caller: Key) {
        self.paid_at.entry(caller).and_compute_with(|paid_at| match paid_at.map(moka::Entry::into_value) {
            Some(paid_at) => paid_at.checked_sub(self.interval).map_or(Op::Nop, Op::Put),
            None => Op::Nop,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::snapshot::Store;

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_its_number_in_a_time_and_others_have_theirs() {
        let store = Store::open(crate::config::Snapshots::default().settings).unwrap();
        let [one, other] = [b"one", b"two"].map(|name| store.key([&name[..]]));
        let rate = Rate { requests: NonZeroU32::new(6).unwrap(), period: Duration::from_secs(60) };
        let quota = Quota::new(&rate);
        assert!((0..6).all(|_| quota.take(one).is_ok()));
        let wait = quota.take(one).unwrap_err();
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(quota.take(other), Ok(()));
        tokio::time::advance(wait).await;
        assert_eq!(quota.take(one), Ok(()));
        assert!(quota.take(one).is_err());
        quota.give_back(one);
        assert_eq!(quota.take(one), Ok(()));
        assert!(quota.take(one).is_err());
    }
}
