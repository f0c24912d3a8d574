//! A crawl's place in the queue for permits, and the count of its waits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shared_governor::{Permit, SharedGovernor};
use crate::pace::CrawlId;
use crate::upstream_usage::{UpstreamUsage, WaitGuard};

/// A crawl's place before the governor of its upstream and credentials.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct CrawlLine {
    governor: Arc<SharedGovernor>,
    crawl: CrawlId,
    usage: UpstreamUsage,
}

/// A wait before a request is sent again, which ends when this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct BackOff {
    governor: Arc<SharedGovernor>,
    since: Instant,
    _counted: WaitGuard,
}

impl CrawlLine {
    pub(super) fn new(governor: Arc<SharedGovernor>, crawl: CrawlId) -> Self {
        Self { governor, crawl, usage: UpstreamUsage::default() }
    }

    /// The same place for one list of a crawl of children.
    pub(in crate::upstream) fn of_list(&self) -> Self {
        Self { usage: self.usage.of_list(), ..self.clone() }
    }

    pub(in crate::upstream) fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// Waits for a permit in turn with other crawls. Dropping the future leaves the queue.
    pub(in crate::upstream) async fn permit(&self) -> Permit {
        let mut permit = pin!(self.governor.permit(self.crawl));
        let mut counted = None;
        let permit = poll_fn(|context| {
            let polled = permit.as_mut().poll(context);
            if polled.is_pending() {
                counted.get_or_insert_with(|| self.usage.start_wait());
            }
            polled
        });
        let permit = permit.await;
        self.usage.count_request();
        permit
    }

    pub(in crate::upstream) fn pause(&self, wait: Duration) {
        self.governor.pause(wait);
    }

    pub(in crate::upstream) fn back_off(&self) -> BackOff {
        self.governor.start_back_off();
        self.usage.count_retry();
        BackOff { governor: Arc::clone(&self.governor), since: Instant::now(), _counted: self.usage.start_wait() }
    }
}

impl Drop for BackOff {
    fn drop(&mut self) {
        self.governor.end_back_off(self.since.elapsed());
    }
}
