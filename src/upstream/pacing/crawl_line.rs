//! A crawl's place in the queue for permits, and the count of its waits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::refused_urls::RefusedUrls;
use super::shared_governor::{Permit, SharedGovernor};
use crate::pace::{CrawlId, HoldReason};
use crate::upstream_usage::{UpstreamUsage, WaitGuard};

/// A crawl's place before the governor of its upstream and credentials, or before those of a pool.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct CrawlLine {
    /// One for each member of the pool.
    governors: Arc<[Arc<SharedGovernor>]>,
    kept: Option<KeptMember>,
    crawl: CrawlId,
    usage: UpstreamUsage,
    /// Members of a pool with which the last refused page was requested.
    refused: Arc<Mutex<Vec<usize>>>,
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
        let (usage, refused) = (UpstreamUsage::default(), Arc::default());
        Self { governors: governors.into(), kept: None, crawl, usage, refused }
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

    /// Returns the member that a crawl keeps: the usual one, unless that counts as refused before any member has answered.
    fn kept_member(&self, kept: &KeptMember) -> usize {
        let is_refused = || self.governors[kept.usual].prospect().0;
        let other = || is_refused().then(|| self.next_beside(&[])).flatten();
        kept.bound.get().copied().or_else(other).unwrap_or(kept.usual)
    }

    /// Returns the member beside these that may send first, and of several the one with the most budget left. One that counts as refused is the last.
    fn next_beside(&self, asked: &[usize]) -> Option<usize> {
        let others = (0..self.governors.len()).filter(|other| !asked.contains(other));
        others.min_by_key(|other| self.governors[*other].prospect())
    }

    pub(in crate::upstream) fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// Returns the member of the pool whose credentials the next request has.
    pub(in crate::upstream) fn member(&self) -> usize {
        match (&self.kept, self.governors.len()) {
            (Some(kept), _) => self.kept_member(kept),
            (None, 1) => 0,
            (None, _) => self.next_beside(&[]).unwrap_or_default(),
        }
    }

    /// Returns true where another member of the pool may send at once, so that no wait of one holds the crawl.
    pub(in crate::upstream) fn has_other_member(&self) -> bool {
        let is_ready = |governor: &Arc<SharedGovernor>| {
            let (is_refused, prospect) = governor.prospect();
            !is_refused && prospect.wait.is_zero()
        };
        self.kept.is_none() && self.governors.len() > 1 && self.governors.iter().any(is_ready)
    }

    /// Notes the answer to a request for this URL with this member's credentials. After a 401 it returns the next member to ask, unless the crawl is
    /// bound to this one: each is asked once, those that count as refused last, and few where all were refused the URL a moment ago.
    /// `refused` has the members that the page was refused to before; they count as refused from now on where this one is accepted, since any
    /// other answer says nothing of their secrets.
    pub(in crate::upstream) fn after_answer(
        &self,
        refused: &mut Vec<usize>,
        member: usize,
        status: StatusCode,
        (url, urls): (&Url, &RefusedUrls),
    ) -> Option<usize> {
        if self.governors.len() == 1 {
            return None;
        }
        if status.is_success() || status.is_redirection() {
            self.bind(Some(member));
            urls.remove(url);
            refused.drain(..).for_each(|refused| self.governors[refused].note_refusal(refused));
        }
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        refused.push(member);
        let is_free = self.kept.as_ref().is_none_or(|kept| kept.bound.get().is_none());
        let asks_another = status == StatusCode::UNAUTHORIZED && is_free && refused.len() < urls.most_members(url);
        let next = self.next_beside(refused).filter(|_| asks_another);
        if next.is_none() {
            if status == StatusCode::UNAUTHORIZED && refused.len() == self.governors.len() {
                urls.add(url);
            }
            refused.sort_unstable();
            self.refused.lock().clone_from(refused);
        }
        next
    }

    /// Returns the members with which the last page was requested that each of them was refused (401, 403), in their order.
    pub(in crate::upstream) fn refused_members(&self) -> Vec<usize> {
        self.refused.lock().clone()
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
        self.governors.iter().for_each(|governor| governor.pause(wait, HoldReason::Demand));
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
