//! Upstream usage of a crawl: pages, requests, retries and waits, counted by the crawl and shown to operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::trace::{CrawlTrace, TraceContext};

/// Usage counters of one crawl; clones share them.
#[derive(Clone, Debug)]
pub struct UpstreamUsage {
    shared: Arc<SharedCounts>,
    scope: UsageScope,
}

/// Part of a crawl that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UsageScope {
    Crawl,
    /// One of the lists of a crawl of children: its number of pages is not that of the crawl.
    List,
}

/// Snapshot of the counters. A retry is counted when its wait begins, its request when it is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageCounts {
    /// Number of complete pages, including those from before an interruption.
    pub pages: u64,
    /// Number of parents whose lists have ended, in a crawl of children; those that were gone included.
    pub lists: u64,
    /// Number of parents whose lists were refused with 404 or 410.
    pub gone: u64,
    /// Start of counting for the other fields: the start of the crawl, or of its resumption.
    pub since: SystemTime,
    pub requests: u64,
    /// Number of requests before an interruption, as far as they were noted.
    pub earlier_requests: u64,
    /// Number of requests repeated after a failure; immediate repeats on a new connection, after a stale one, do not count.
    pub retries: u64,
    /// Number of waits, for the rate governor or before a retry.
    pub waits: u64,
    /// Total duration of these waits, including those still under way.
    pub waited: Duration,
    /// Number of waits under way.
    pub waiting: u32,
}

/// Guard of one wait, which lasts until it is dropped.
#[derive(Debug)]
pub struct WaitGuard {
    shared: Arc<SharedCounts>,
    since: Duration,
}

#[derive(Debug)]
struct SharedCounts {
    since: SystemTime,
    began: Instant,
    /// Trace of the crawl's requests; none where the crawl ended in another process.
    trace: OnceLock<CrawlTrace>,
    pages: AtomicU64,
    lists: AtomicU64,
    gone: AtomicU64,
    requests: AtomicU64,
    earlier_requests: AtomicU64,
    retries: AtomicU64,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    count: u64,
    /// Total duration of finished waits.
    over: Duration,
    /// Number of waits under way, and the sum of their start times.
    lasting: u32,
    began: Duration,
}

impl UpstreamUsage {
    /// Creates counters for a crawl that resumes after `pages` complete pages.
    pub fn resumed_after(pages: u64) -> Self {
        let shared = SharedCounts {
            since: SystemTime::now(),
            began: Instant::now(),
            trace: OnceLock::new(),
            pages: pages.into(),
            lists: AtomicU64::default(),
            gone: AtomicU64::default(),
            requests: AtomicU64::default(),
            earlier_requests: AtomicU64::default(),
            retries: AtomicU64::default(),
            waits: Mutex::default(),
        };
        Self { shared: Arc::new(shared), scope: UsageScope::Crawl }
    }

    /// The same counters for one list of a crawl of children, whose own numbers of pages and of earlier requests don't count.
    pub fn of_list(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), scope: UsageScope::List }
    }

    pub fn set_pages(&self, pages: u64) {
        if self.scope == UsageScope::Crawl {
            self.shared.pages.store(pages, Ordering::Relaxed);
        }
    }

    /// Notes the numbers of parents whose lists have ended, and of those among them that were gone.
    pub fn set_lists(&self, lists: u64, gone: u64) {
        self.shared.lists.store(lists, Ordering::Relaxed);
        self.shared.gone.store(gone, Ordering::Relaxed);
    }

    /// Notes the number of requests before an interruption.
    pub fn continue_from(&self, requests: u64) {
        if self.scope == UsageScope::Crawl {
            self.shared.earlier_requests.store(requests, Ordering::Relaxed);
        }
    }

    pub fn count_request(&self) {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the trace of the crawl's requests; only the first one counts.
    pub fn set_trace(&self, trace: &CrawlTrace) {
        self.shared.trace.get_or_init(|| trace.clone());
    }

    /// Returns the context of the crawl in its trace, if a request was made.
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.shared.trace.get()?.context()
    }

    pub fn count_retry(&self) {
        self.shared.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub fn start_wait(&self) -> WaitGuard {
        let since = self.shared.began.elapsed();
        let mut waits = self.shared.waits.lock();
        waits.count += 1;
        waits.lasting += 1;
        waits.began += since;
        drop(waits);
        WaitGuard { shared: Arc::clone(&self.shared), since }
    }

    pub fn counts(&self) -> UsageCounts {
        let SharedCounts { since, began, pages, lists, gone, requests, earlier_requests, retries, .. } = &*self.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waits = self.shared.waits.lock();
        // Read under the lock: no wait under way began later than this.
        let lasting = (began.elapsed() * waits.lasting).saturating_sub(waits.began);
        UsageCounts {
            pages: read(pages),
            lists: read(lists),
            gone: read(gone),
            since: *since,
            requests: read(requests),
            earlier_requests: read(earlier_requests),
            retries: read(retries),
            waits: waits.count,
            waited: waits.over + lasting,
            waiting: waits.lasting,
        }
    }
}

impl UsageCounts {
    /// Number of requests from the start of the crawl on, with retries.
    pub fn all_requests(&self) -> u64 {
        self.earlier_requests + self.requests
    }
}

impl Default for UpstreamUsage {
    fn default() -> Self {
        Self::resumed_after(0)
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let now = self.shared.began.elapsed();
        let mut waits = self.shared.waits.lock();
        waits.lasting -= 1;
        waits.began -= self.since;
        waits.over += now.saturating_sub(self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_are_counted_while_they_last_and_when_they_are_over() {
        let usage = UpstreamUsage::resumed_after(7);
        let seen = || {
            let UsageCounts { pages, requests, retries, waits, waited, .. } = usage.counts();
            (pages, requests, retries, waits, waited.as_secs())
        };
        usage.count_request();
        let first = usage.start_wait();
        tokio::time::advance(Duration::from_secs(10)).await;
        let second = usage.start_wait();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(seen(), (7, 1, 0, 2, 20));
        drop(first);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(seen(), (7, 1, 0, 2, 21));
        drop(second);
        tokio::time::advance(Duration::from_secs(60)).await;
        usage.count_retry();
        usage.clone().set_pages(8);
        assert_eq!(seen(), (8, 1, 1, 2, 21));
        assert_eq!(usage.counts().all_requests(), 1);
        usage.continue_from(9);
        assert_eq!((usage.counts().requests, usage.counts().all_requests()), (1, 10));
    }
}
