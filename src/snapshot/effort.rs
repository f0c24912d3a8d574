//! What a snapshot has cost its upstream so far: counted by the crawl, shown by whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The counts of one crawl; clones are the same.
#[derive(Clone, Debug)]
pub struct Effort {
    shared: Arc<Counters>,
}

/// What has been counted at one time; a retry counts from when its wait begins, and its request when that is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spending {
    /// Pages that are whole, those of the crawl before an interruption included.
    pub pages: u64,
    /// Since when the rest is counted: the crawl's beginning, or when it was opened again.
    pub since: SystemTime,
    /// How often the upstream was asked.
    pub requests: u64,
    /// How often it was asked again after a failure; not counted is what was asked again at once since its connection had been stale.
    pub retries: u64,
    /// How often a request had to wait, for its turn or before it was sent again.
    pub waits: u64,
    /// How long these waits have been, added up, those included that last still.
    pub waited: Duration,
}

/// A request waits, until this is dropped.
#[derive(Debug)]
pub struct Waiting {
    shared: Arc<Counters>,
    since: Duration,
}

#[derive(Debug)]
struct Counters {
    since: SystemTime,
    began: Instant,
    pages: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    count: u64,
    /// Those that are over, added up.
    over: Duration,
    /// How many last still, and when they began, added up.
    lasting: u32,
    began: Duration,
}

impl Effort {
    /// Counts from now on, behind so many pages.
    pub fn behind(pages: u64) -> Self {
        let shared = Counters {
            since: SystemTime::now(),
            began: Instant::now(),
            pages: pages.into(),
            requests: AtomicU64::default(),
            retries: AtomicU64::default(),
            waits: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// So many pages are whole by now.
    pub fn pages(&self, pages: u64) {
        self.shared.pages.store(pages, Ordering::Relaxed);
    }

    /// The upstream is asked.
    pub fn request(&self) {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// What was asked for is to be asked for again.
    pub fn retry(&self) {
        self.shared.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A request waits from now on.
    pub fn wait(&self) -> Waiting {
        let since = self.shared.began.elapsed();
        let mut waits = self.shared.lock();
        waits.count += 1;
        waits.lasting += 1;
        waits.began += since;
        drop(waits);
        Waiting { shared: Arc::clone(&self.shared), since }
    }

    /// What has been counted so far.
    pub fn spending(&self) -> Spending {
        let Counters { since, began, pages, requests, retries, .. } = &*self.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waits = self.shared.lock();
        // After the lock: none of those that last began later.
        let lasting = (began.elapsed() * waits.lasting).saturating_sub(waits.began);
        Spending {
            pages: read(pages),
            since: *since,
            requests: read(requests),
            retries: read(retries),
            waits: waits.count,
            waited: waits.over + lasting,
        }
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self::behind(0)
    }
}

impl Counters {
    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let now = self.shared.began.elapsed();
        let mut waits = self.shared.lock();
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
        let effort = Effort::behind(7);
        let seen = || {
            let Spending { pages, requests, retries, waits, waited, .. } = effort.spending();
            (pages, requests, retries, waits, waited.as_secs())
        };
        effort.request();
        let first = effort.wait();
        tokio::time::advance(Duration::from_secs(10)).await;
        let second = effort.wait();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(seen(), (7, 1, 0, 2, 20));
        drop(first);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(seen(), (7, 1, 0, 2, 21));
        drop(second);
        tokio::time::advance(Duration::from_secs(60)).await;
        effort.retry();
        effort.clone().pages(8);
        assert_eq!(seen(), (8, 1, 1, 2, 21));
    }
}
