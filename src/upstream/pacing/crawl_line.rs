//! A crawl's place in the queue for permits, and the count of its waits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::shared_governor::{Permit, SharedGovernor};
use crate::pace::CrawlId;
use crate::upstream_usage::{UpstreamUsage, WaitGuard};

const NONE_REFUSED: usize = usize::MAX;

/// A crawl's place before the governor of its upstream and credentials, or before those of a pool.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct CrawlLine {
    /// One for each member of the pool.
    governors: Arc<[Arc<SharedGovernor>]>,
    /// The only member whose credentials the crawl's requests have.
    kept: Option<usize>,
    crawl: CrawlId,
    usage: UpstreamUsage,
    /// Member of a pool that was refused last; [`NONE_REFUSED`] before.
    refused: Arc<AtomicUsize>,
}

/// A wait before a request is sent again, which ends when this is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct BackOff {
    governor: Arc<SharedGovernor>,
    since: Instant,
    _counted: WaitGuard,
}

impl CrawlLine {
    /// Makes a place before these governors, of which there is one at least.
    pub(super) fn new(governors: Vec<Arc<SharedGovernor>>, crawl: CrawlId) -> Self {
        let refused = Arc::new(AtomicUsize::new(NONE_REFUSED));
        Self { governors: governors.into(), kept: None, crawl, usage: UpstreamUsage::default(), refused }
    }

    /// The same place for requests with the credentials of one member alone, chosen by this hash.
    pub(in crate::upstream) fn kept_to(self, hash: u64) -> Self {
        let kept = self.kept.or(Some(member_of(hash, self.governors.len())));
        Self { kept, ..self }
    }

    /// The same place for one list of a crawl of children.
    pub(in crate::upstream) fn of_list(&self) -> Self {
        Self { usage: self.usage.of_list(), ..self.clone() }
    }

    pub(in crate::upstream) fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// Returns the member of the pool whose credentials the next request has: the one that may send first, and of several the one with the most
    /// budget left.
    pub(in crate::upstream) fn member(&self) -> usize {
        match (self.kept, self.governors.len()) {
            (Some(member), _) => member,
            (None, 1) => 0,
            (None, members) => (0..members).min_by_key(|member| self.governors[*member].prospect()).unwrap_or_default(),
        }
    }

    /// Returns true where another member of the pool may send at once, so that no wait of one holds the crawl.
    pub(in crate::upstream) fn has_other_member(&self) -> bool {
        let is_ready = |governor: &Arc<SharedGovernor>| governor.prospect().wait.is_zero();
        self.kept.is_none() && self.governors.len() > 1 && self.governors.iter().any(is_ready)
    }

    /// Notes a refusal (401, 403) of a page with this member's credentials. Returns another member for one more request after a 401, unless the
    /// crawl is kept to one member.
    pub(in crate::upstream) fn after_refusal(&self, member: usize, status: StatusCode) -> Option<usize> {
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if !is_refusal || self.governors.len() == 1 {
            return None;
        }
        self.refused.store(member, Ordering::Relaxed);
        let others = (0..self.governors.len()).filter(|other| *other != member);
        let other = others.min_by_key(|other| self.governors[*other].prospect());
        other.filter(|_| status == StatusCode::UNAUTHORIZED && self.kept.is_none())
    }

    pub(in crate::upstream) fn refused_member(&self) -> Option<usize> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|member| *member != NONE_REFUSED)
    }

    /// Holds a member that was refused where another one was not.
    pub(in crate::upstream) fn hold_refused(&self, member: usize) {
        self.governors[member].hold_refused(member);
    }

    /// Waits for a permit of this member in turn with other crawls. Dropping the future leaves the queue.
    pub(in crate::upstream) async fn permit_of(&self, member: usize) -> Permit {
        let mut permit = pin!(self.governors[member].permit(self.crawl));
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
        self.governors.iter().for_each(|governor| governor.pause(wait));
    }

    pub(in crate::upstream) fn back_off(&self) -> BackOff {
        let governor = &self.governors[self.kept.unwrap_or(0)];
        governor.start_back_off();
        self.usage.count_retry();
        BackOff { governor: Arc::clone(governor), since: Instant::now(), _counted: self.usage.start_wait() }
    }
}

/// Returns the member of a pool of so many for this hash: the same after a restart, since a cursor may be bound to its credentials.
pub(in crate::upstream) fn member_of(hash: u64, members: usize) -> usize {
    usize::try_from(hash % members.max(1) as u64).expect("it is below a usize")
}

impl Drop for BackOff {
    fn drop(&mut self) {
        self.governor.end_back_off(self.since.elapsed());
    }
}
