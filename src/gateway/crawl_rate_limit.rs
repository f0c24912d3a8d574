//! Rate limit of crawls: the number that a caller may begin in a time, and that all callers of one address may begin.
//!
//! The generic cell rate algorithm: for each caller, the moment at which all crawls that it has begun are paid for. All crawls of a period may begin
//! at once, and after it one crawl at a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache_key;
use crate::id::CacheKey;
use crate::pace::Rate;
use crate::server::network_of;
use crate::snapshot::Store;

/// Rate of all callers of one address, in rates of one caller: credentials can be made up.
const CALLERS: u32 = 10;

/// Shortest time between two lines of the log about refusals.
const LOGGED: Duration = Duration::from_secs(10);

/// Number of callers, and of addresses, that are remembered.
const REMEMBERED: u64 = 1 << 16;

/// Callers that have begun crawls of late.
#[derive(Debug)]
pub(super) struct CrawlRateLimit {
    callers: RateBuckets<CacheKey>,
    /// Callers without credentials.
    anonymous: RateBuckets<NetworkOrigin>,
    addresses: RateBuckets<NetworkOrigin>,
    refusals: Mutex<Refusals>,
}

/// Refused crawls since they were last logged.
#[derive(Debug, Default)]
struct Refusals {
    count: u64,
    logged: Option<Instant>,
}

/// Network of a caller; none where its address is not known.
type NetworkOrigin = Option<IpAddr>;

/// Crawls that the callers of one kind have begun.
#[derive(Debug)]
struct RateBuckets<K: std::hash::Hash + Eq + Send + Sync + Copy + 'static> {
    /// Time that one crawl costs.
    interval: Duration,
    period: Duration,
    /// Shared values: one that is looked up and changed costs a third of one that is replaced.
    at: Cache<K, Arc<Mutex<Instant>>>,
}

impl CrawlRateLimit {
    pub(super) fn new(rate: &Rate) -> Self {
        let requests = rate.requests.get();
        let all = requests.saturating_mul(CALLERS);
        Self {
            callers: RateBuckets::new(rate.period, requests),
            anonymous: RateBuckets::new(rate.period, requests),
            addresses: RateBuckets::new(rate.period, all),
            refusals: Mutex::default(),
        }
    }

    /// Takes one crawl for the caller with these credentials at this address.
    ///
    /// # Errors
    /// Fails with the time until the next crawl is granted.
    pub(super) fn take(&self, caller: Option<CacheKey>, peer: Option<IpAddr>) -> Result<(), Duration> {
        let origin = peer.map(network_of);
        let of_caller = match caller {
            Some(caller) => self.callers.take(caller),
            None => self.anonymous.take(origin),
        };
        let taken = of_caller.and_then(|()| self.addresses.take(origin));
        taken.inspect_err(|wait| self.log_refusal(caller, peer, *wait))
    }

    /// Logs a refusal, with those since the last line, at most once in [`LOGGED`].
    fn log_refusal(&self, caller: Option<CacheKey>, peer: Option<IpAddr>, wait: Duration) {
        let mut refusals = self.refusals.lock();
        refusals.count += 1;
        if refusals.logged.is_some_and(|logged| logged.elapsed() < LOGGED) {
            return;
        }
        let kind = if caller.is_some() { "an identified caller" } else { "a caller without credentials" };
        let address = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        tracing::warn!(
            "{} crawls refused with 429, by `opens` in [snapshots]; the last one of {kind} at {address}, which may begin its next in {} s",
            refusals.count,
            wait.as_secs().max(1)
        );
        *refusals = Refusals { count: 0, logged: Some(Instant::now()) };
    }

    /// Gives a crawl back that was taken and did not begin.
    pub(super) fn give_back(&self, caller: Option<CacheKey>, peer: Option<IpAddr>) {
        let origin = peer.map(network_of);
        match caller {
            Some(caller) => self.callers.give_back(caller),
            None => self.anonymous.give_back(origin),
        }
        self.addresses.give_back(origin);
    }
}

impl<K: std::hash::Hash + Eq + Send + Sync + Copy + 'static> RateBuckets<K> {
    fn new(period: Duration, requests: u32) -> Self {
        let at = Cache::builder().time_to_idle(period).max_capacity(REMEMBERED).build();
        Self { interval: period / requests, period, at }
    }

    fn take(&self, caller: K) -> Result<(), Duration> {
        let now = Instant::now();
        let paid_at = self.at.get_with(caller, || Arc::new(Mutex::new(now)));
        let mut paid_at = paid_at.lock();
        let ahead = paid_at.saturating_duration_since(now) + self.interval;
        let wait = ahead.saturating_sub(self.period);
        wait.is_zero().then(|| *paid_at = now + ahead).ok_or(wait)
    }

    fn give_back(&self, caller: K) {
        if let Some(paid_at) = self.at.get(&caller) {
            let mut paid_at = paid_at.lock();
            *paid_at = paid_at.checked_sub(self.interval).unwrap_or(*paid_at);
        }
    }
}

/// Returns a hash of the fields that identify the caller; none where there are none. They can be made up, but not to get more than
/// an address may have.
pub(super) fn identity(fields: &HeaderMap, store: &Store) -> Option<CacheKey> {
    (!fields.is_empty()).then(|| store.key(|part| cache_key::of_fields(fields, part)))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::snapshot::Store;

    fn limit(requests: u32) -> CrawlRateLimit {
        let requests = NonZeroU32::new(requests).unwrap();
        CrawlRateLimit::new(&Rate { requests, period: Duration::from_secs(60) })
    }

    fn key(name: &str) -> CacheKey {
        static STORE: std::sync::LazyLock<Store> =
            std::sync::LazyLock::new(|| Store::open(crate::config::Snapshots::default().settings).unwrap());
        STORE.key(|part| part(name.as_bytes()))
    }

    fn at(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_its_number_in_a_time_and_others_have_theirs() {
        let limit = limit(6);
        let one = Some(key("one"));
        for (caller, other) in [(one, Some(key("two"))), (None, one)] {
            let (here, there) = (at("10.0.0.1"), at("10.0.0.2"));
            let peer = if caller.is_some() { here } else { there };
            assert!((0..6).all(|_| limit.take(caller, peer).is_ok()));
            let wait = limit.take(caller, peer).unwrap_err();
            assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
            tokio::time::advance(wait).await;
            assert_eq!((limit.take(other, peer), limit.take(caller, peer)), (Ok(()), Ok(())));
            assert!(limit.take(caller, peer).is_err());
            limit.give_back(caller, peer);
            assert_eq!(limit.take(caller, peer), Ok(()));
            assert!(limit.take(caller, peer).is_err());
            // Who moves takes its number along; who has no name is another one there.
            assert_eq!(limit.take(caller, at("10.0.0.3")).is_ok(), caller.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_made_up_give_an_address_ten_times_its_number_and_no_more() {
        let limit = limit(3);
        for addresses in [&["10.0.0.1"][..], &["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"], &["::ffff:10.0.0.2"]]
        {
            let taken = (0..100).filter(|number| {
                let peer = at(addresses[number % addresses.len()]);
                limit.take(Some(key(&format!("{number} {addresses:?}"))), peer).is_ok()
            });
            assert_eq!(taken.count(), 30, "{addresses:?}");
        }
        assert!(limit.take(None, at("10.0.0.2")).is_err(), "that is the same address");
        assert_eq!(limit.take(None, at("2001:db8:0:1::1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_callers_takes_more_than_its_memory() {
        let paid = RateBuckets::new(Duration::from_secs(60), 1);
        for number in 0..2 * REMEMBERED {
            assert_eq!(paid.take(number), Ok(()));
        }
        paid.at.run_pending_tasks();
        assert!(paid.at.entry_count() <= REMEMBERED, "{}", paid.at.entry_count());
    }
}
