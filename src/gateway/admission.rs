//! Admission of crawls: a limited number runs at a time, and others wait for a place before their first request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::crawl::Crawls;
use crate::error::{Failure, Fault};

/// Longest wait for a place: most clients have a time limit of 30 s or more for the head, and get an answer within it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Places of the crawls that run; clones share them. Whoever waits longest is next.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    limit: usize,
    crawls: Crawls,
    /// Set after the warning that crawls wait, until one is admitted at once.
    warned: Arc<AtomicBool>,
}

impl Admission {
    pub(super) fn new(limit: usize, crawls: Crawls) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(limit)), limit, crawls, warned: Arc::default() }
    }

    /// Waits for a place, which is free again when the permit is dropped.
    ///
    /// # Errors
    /// Fails with a `Retry-After` where no place becomes free for 10 s.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let place = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&place).try_acquire_owned() {
            self.warned.store(false, Ordering::Relaxed);
            return Ok(place);
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("{} crawls are running: new ones wait (`crawls` in [snapshots])", self.limit);
        }
        let _waiting = self.crawls.wait();
        match tokio::time::timeout(PATIENCE, place.acquire_owned()).await {
            Ok(place) => Ok(place.expect("the semaphore is never closed")),
            Err(_) => Err(self.full()),
        }
    }

    fn full(&self) -> Failure {
        let message = format!("{} crawls are running, and none has ended for {} s", self.limit, PATIENCE.as_secs());
        let hint = "ask again after the time in Retry-After; the operator may raise `crawls` in [snapshots]";
        let headers = vec![(RETRY_AFTER, HeaderValue::from(PATIENCE.as_secs()))];
        Failure { headers, ..Failure::new(Fault::Stopped, message, hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crawl_waits_for_a_place_and_is_refused_after_a_while() {
        let crawls = Crawls::default();
        let admission = Admission::new(1, crawls.clone());
        let first = admission.enter().await.unwrap();
        let started = tokio::time::Instant::now();
        let refused = admission.enter().await.unwrap_err();
        assert_eq!((started.elapsed(), refused.headers[0].1.to_str().unwrap()), (PATIENCE, "10"));
        let (second, ()) = tokio::join!(admission.enter(), async {
            tokio::task::yield_now().await;
            assert_eq!(crawls.totals().waiting, 1);
            drop(first);
        });
        assert!(second.is_ok() && crawls.totals().waiting == 0);
    }
}
