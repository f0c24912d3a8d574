//! A crawl's place in the queue for permits, and the count of its waits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
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
    kept: Option<KeptMember>,
    crawl: CrawlId,
    usage: UpstreamUsage,
    /// Member of a pool that was refused last; [`NONE_REFUSED`] before.
    refused: Arc<AtomicUsize>,
}

/// The only member of a pool whose credentials a crawl's requests have.
#[derive(Clone, Debug)]
struct KeptMember {
    /// Member that follows from the crawl's address.
    usual: usize,
    /// Member that has answered, to whose credentials the crawl's addresses may be bound.
    bound: Arc<OnceLock<usize>>,
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
        let usual = usize::try_from(hash % self.governors.len() as u64).expect("it is below a usize");
        let kept = self.kept.unwrap_or(KeptMember { usual, bound: Arc::default() });
        Self { kept: Some(kept), ..self }
    }

    /// The same place for one list of a crawl of children.
    pub(in crate::upstream) fn of_list(&self) -> Self {
        let kept = self.kept.as_ref().map(|kept| KeptMember { usual: self.kept_member(kept), bound: Arc::default() });
        Self { usage: self.usage.of_list(), kept, ..self.clone() }
    }

    /// Keeps this member, whose credentials the addresses of a resumed crawl may be bound to; without one the usual member.
    pub(in crate::upstream) fn bind(&self, member: Option<usize>) {
        if let Some(kept) = &self.kept {
            let member = member.filter(|member| *member < self.governors.len());
            kept.bound.get_or_init(|| member.unwrap_or(kept.usual));
        }
    }

    /// Returns the kept member where it is not the usual one.
    pub(in crate::upstream) fn unusual_member(&self) -> Option<usize> {
        let kept = self.kept.as_ref()?;
        kept.bound.get().copied().filter(|bound| *bound != kept.usual)
    }

    /// Returns the member that a crawl keeps: the usual one, unless that is held as refused before any member has answered.
    fn kept_member(&self, kept: &KeptMember) -> usize {
        let other = || self.other_than(kept.usual).filter(|_| self.governors[kept.usual].is_refused());
        kept.bound.get().copied().or_else(other).unwrap_or(kept.usual)
    }

    /// Returns the member beside this one that may send first.
    fn other_than(&self, member: usize) -> Option<usize> {
        let others = (0..self.governors.len()).filter(|other| *other != member);
        others.min_by_key(|other| self.governors[*other].prospect())
    }

    pub(in crate::upstream) fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// Returns the member of the pool whose credentials the next request has: the one that may send first, and of several the one with the most
    /// budget left.
    pub(in crate::upstream) fn member(&self) -> usize {
        match (&self.kept, self.governors.len()) {
            (Some(kept), _) => self.kept_member(kept),
            (None, 1) => 0,
            (None, members) => (0..members).min_by_key(|member| self.governors[*member].prospect()).unwrap_or_default(),
        }
    }

    /// Returns true where another member of the pool may send at once, so that no wait of one holds the crawl.
    pub(in crate::upstream) fn has_other_member(&self) -> bool {
        let is_ready = |governor: &Arc<SharedGovernor>| governor.prospect().wait.is_zero();
        self.kept.is_none() && self.governors.len() > 1 && self.governors.iter().any(is_ready)
    }

    /// Notes the answer to a request with this member's credentials. Returns another member for one more request after a 401, unless the crawl is
    /// bound to this one.
    pub(in crate::upstream) fn after_answer(&self, member: usize, status: StatusCode) -> Option<usize> {
        if self.governors.len() == 1 {
            return None;
        }
        if status.is_success() || status.is_redirection() {
            self.bind(Some(member));
        }
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        self.refused.store(member, Ordering::Relaxed);
        let is_free = self.kept.as_ref().is_none_or(|kept| kept.bound.get().is_none());
        self.other_than(member).filter(|_| status == StatusCode::UNAUTHORIZED && is_free)
    }

    pub(in crate::upstream) fn refused_member(&self) -> Option<usize> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|member| *member != NONE_REFUSED)
    }

    /// Notes the answer to the request of another member after this one was refused, and holds the refused member where the other one was not: any
    /// other refusal or failure says nothing of its secret.
    pub(in crate::upstream) fn after_other(&self, refused: usize, other: usize, status: StatusCode) {
        self.after_answer(other, status);
        if status.is_success() || status.is_redirection() {
            self.governors[refused].hold_refused(refused);
        }
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
        let governor = &self.governors[self.kept.as_ref().map_or(0, |kept| self.kept_member(kept))];
        governor.start_back_off();
        self.usage.count_retry();
        BackOff { governor: Arc::clone(governor), since: Instant::now(), _counted: self.usage.start_wait() }
    }
}

impl Drop for BackOff {
    fn drop(&mut self) {
        self.governor.end_back_off(self.since.elapsed());
    }
}
