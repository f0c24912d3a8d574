//! How many crawls a caller may begin in a time, and how many all callers of one address.
//!
//! The generic cell rate algorithm: one moment for each of them, at which all that it has had is paid for. As many as are granted
//! may come at once, and after them one at a time.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::id::CacheKey;
use crate::pace::Rate;

/// How many times as much as one caller the callers of one address may begin together: credentials can be made up.
const CALLERS: u32 = 10;

/// How many of each kind are remembered.
const REMEMBERED: u64 = 1 << 16;

/// The callers who have begun crawls of late.
#[derive(Debug)]
pub(super) struct Quota {
    callers: Paid<CacheKey>,
    /// Those who say nothing of who they are.
    strangers: Paid<Origin>,
    addresses: Paid<Origin>,
}

/// Where a request comes from, as far as that tells people apart; none where nobody knows.
type Origin = Option<IpAddr>;

/// What those of one kind have had.
#[derive(Debug)]
struct Paid<K: std::hash::Hash + Eq + Send + Sync + Copy + 'static> {
    /// What one crawl costs.
    interval: Duration,
    period: Duration,
    at: Cache<K, Instant>,
}

impl Quota {
    pub(super) fn new(rate: &Rate) -> Self {
        let requests = rate.requests.get();
        let all = requests.saturating_mul(CALLERS);
        Self {
            callers: Paid::new(rate.period, requests),
            strangers: Paid::new(rate.period, requests),
            addresses: Paid::new(rate.period, all),
        }
    }

    /// Takes one for the caller with these credentials, if it has any, at this address; or says how long it has to wait.
    pub(super) fn take(&self, caller: Option<CacheKey>, peer: Option<IpAddr>) -> Result<(), Duration> {
        let origin = peer.map(network);
        match caller {
            Some(caller) => self.callers.take(caller)?,
            None => self.strangers.take(origin)?,
        }
        self.addresses.take(origin)
    }

    /// What was taken so came to nothing.
    pub(super) fn give_back(&self, caller: Option<CacheKey>, peer: Option<IpAddr>) {
        let origin = peer.map(network);
        match caller {
            Some(caller) => self.callers.give_back(caller),
            None => self.strangers.give_back(origin),
        }
        self.addresses.give_back(origin);
    }
}

impl<K: std::hash::Hash + Eq + Send + Sync + Copy + 'static> Paid<K> {
    fn new(period: Duration, requests: u32) -> Self {
        let at = Cache::builder().time_to_live(period).max_capacity(REMEMBERED).build();
        Self { interval: period / requests, period, at }
    }

    fn take(&self, who: K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut wait = Duration::ZERO;
        self.at.entry(who).and_compute_with(|paid_at| {
            let ahead = paid_at.map_or(Duration::ZERO, |paid_at| paid_at.into_value().saturating_duration_since(now));
            wait = (ahead + self.interval).saturating_sub(self.period);
            if wait.is_zero() { Op::Put(now + ahead + self.interval) } else { Op::Nop }
        });
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    fn give_back(&self, who: K) {
        self.at.entry(who).and_compute_with(|paid_at| match paid_at.map(moka::Entry::into_value) {
            Some(paid_at) => paid_at.checked_sub(self.interval).map_or(Op::Nop, Op::Put),
            None => Op::Nop,
        });
    }
}

/// One customer has 2⁶⁴ addresses of IPv6: they count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::snapshot::Store;

    fn quota(requests: u32) -> Quota {
        let requests = NonZeroU32::new(requests).unwrap();
        Quota::new(&Rate { requests, period: Duration::from_secs(60) })
    }

    fn key(name: &str) -> CacheKey {
        static STORE: std::sync::LazyLock<Store> =
            std::sync::LazyLock::new(|| Store::open(crate::config::Snapshots::default().settings).unwrap());
        STORE.key([name.as_bytes()])
    }

    fn at(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_its_number_in_a_time_and_others_have_theirs() {
        let quota = quota(6);
        let one = Some(key("one"));
        for (caller, other) in [(one, Some(key("two"))), (None, one)] {
            let (here, there) = (at("10.0.0.1"), at("10.0.0.2"));
            let peer = if caller.is_some() { here } else { there };
            assert!((0..6).all(|_| quota.take(caller, peer).is_ok()));
            let wait = quota.take(caller, peer).unwrap_err();
            assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
            tokio::time::advance(wait).await;
            assert_eq!((quota.take(other, peer), quota.take(caller, peer)), (Ok(()), Ok(())));
            assert!(quota.take(caller, peer).is_err());
            quota.give_back(caller, peer);
            assert_eq!(quota.take(caller, peer), Ok(()));
            assert!(quota.take(caller, peer).is_err());
            // Who moves takes its number along; who has no name is another one there.
            assert_eq!(quota.take(caller, at("10.0.0.3")).is_ok(), caller.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_made_up_give_an_address_ten_times_its_number_and_no_more() {
        let quota = quota(3);
        for addresses in [&["10.0.0.1"][..], &["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"], &["::ffff:10.0.0.2"]]
        {
            let taken = (0..100).filter(|number| {
                let peer = at(addresses[number % addresses.len()]);
                quota.take(Some(key(&format!("{number} {addresses:?}"))), peer).is_ok()
            });
            assert_eq!(taken.count(), 30, "{addresses:?}");
        }
        assert!(quota.take(None, at("10.0.0.2")).is_err(), "that is the same address");
        assert_eq!(quota.take(None, at("2001:db8:0:1::1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_callers_takes_more_than_its_memory() {
        let paid = Paid::new(Duration::from_secs(60), 1);
        for number in 0..2 * REMEMBERED {
            assert_eq!(paid.take(number), Ok(()));
        }
        paid.at.run_pending_tasks();
        assert!(paid.at.entry_count() <= REMEMBERED, "{}", paid.at.entry_count());
    }
}
