//! The governors of the process, and which of them are forgotten.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;

use super::crawl_line::CrawlLine;
use super::shared_governor::SharedGovernor;
use super::traffic::Traffic;
use crate::config;
use crate::pace::CrawlId;
use crate::upstream::credential::TokenRenewals;
use crate::upstream::origin_of;

/// Time from the last use of a governor until it may be forgotten with what it has learned.
pub(super) const KEPT: Duration = Duration::from_secs(600);

/// Number of governors up to which unused ones are not searched for; also the growth between two searches.
pub(super) const FEW: usize = 64;

/// Most governors that are kept, unless more are in use: a client that sends ever new credentials must not fill the memory.
pub(super) const MOST: usize = 4096;

/// Number of governors that are dropped at once when there are too many, so that not each new one costs a search.
pub(super) const MARGIN: usize = MOST / 16;

/// Upper bounds of the buckets for the time of a page, in seconds.
const PAGE: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// All governors of a process; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Governors {
    registry: Arc<GovernorRegistry>,
}

#[derive(Debug, Default)]
struct GovernorRegistry {
    /// Keyed for this process, so that no client can aim at the governor of another one's credentials.
    hasher: RandomState,
    known: Mutex<KnownGovernors>,
    crawls: AtomicU64,
    renewals: TokenRenewals,
}

#[derive(Debug, Default)]
struct KnownGovernors {
    by_credential: HashMap<(String, u64), Arc<SharedGovernor>>,
    /// Counts of the governors that are forgotten, by origin: the sums of an upstream must not shrink.
    forgotten: BTreeMap<String, Traffic>,
    /// Seconds of pages, by origin.
    pages: BTreeMap<String, Histogram>,
    /// Number of governors at which unused ones are searched for next.
    next_sweep: usize,
}

impl Governors {
    /// Traffic of each upstream that was ever used, in the order of their origins: its credentials added up, forgotten ones
    /// included.
    pub fn by_origin(&self) -> Vec<Traffic> {
        let known = self.registry.known.lock();
        let mut upstreams = known.forgotten.clone();
        let governors: Vec<_> = known.by_credential.values().cloned().collect();
        drop(known);
        for traffic in governors.iter().map(|governor| governor.traffic()) {
            let origin = traffic.origin.clone();
            traffic.add_to(&mut upstreams, origin);
        }
        upstreams.into_values().collect()
    }

    /// Present traffic of each member of a pool, in the order of origins and members. Its counts begin at 0 again where a governor was forgotten.
    pub fn by_pool_member(&self) -> Vec<Traffic> {
        let mut members = BTreeMap::new();
        for governor in self.registry.known.lock().by_credential.values() {
            let traffic = governor.traffic();
            if let Some(member) = traffic.member {
                let key = (traffic.origin.clone(), member);
                traffic.add_to(&mut members, key);
            }
        }
        members.into_values().collect()
    }

    /// Seconds of the pages of each upstream that was ever used, in the order of their origins.
    pub fn page_seconds(&self) -> BTreeMap<String, Histogram> {
        self.registry.known.lock().pages.clone()
    }

    /// Counts of the renewals of all tokens.
    pub fn token_renewals(&self) -> &TokenRenewals {
        &self.registry.renewals
    }

    /// Makes a new crawl's place in the queue of this upstream and these credentials, those of each member of a pool. Of several configurations
    /// of one upstream's pace the first is used. `scope` names the requests that share budgets.
    pub(in crate::upstream) fn line(
        &self,
        upstream: &config::Upstream,
        members: &[Vec<(String, Vec<u8>)>],
        scope: &str,
    ) -> CrawlLine {
        let crawl = CrawlId(self.registry.crawls.fetch_add(1, Ordering::Relaxed));
        let mut known = self.registry.known.lock();
        let is_pool = members.len() > 1;
        let governors = members.iter().enumerate().map(|(member, credentials)| {
            known.governor(upstream, self.key_of(upstream, credentials, scope), is_pool.then_some(member))
        });
        CrawlLine::new(governors.collect(), crawl)
    }

    /// Replaces the governors whose upstream has another pace among these, so that its next crawl begins with that; a wait goes on
    /// for its reason. Crawls under way keep theirs, and what they send from now on is not counted. Members of pools may have other numbers by
    /// now: their next use tells them.
    pub fn adopt_paces<'a>(&self, upstreams: &(impl Iterator<Item = &'a config::Upstream> + Clone)) {
        let mut known = self.registry.known.lock();
        let KnownGovernors { by_credential, forgotten, pages, .. } = &mut *known;
        for ((origin, _), governor) in by_credential {
            governor.leave_pool();
            let mut paces = upstreams.clone().filter(|upstream| origin_of(upstream) == *origin);
            let Some(first) = paces.next().filter(|first| !governor.has_pace(first)) else { continue };
            if !paces.any(|upstream| governor.has_pace(upstream)) {
                let traffic = governor.traffic();
                let pages = pages.entry(origin.clone()).or_insert_with(|| Histogram::new(PAGE)).clone();
                let new = Arc::new(SharedGovernor::new(origin.clone(), None, first, pages));
                if let Some(reason) = traffic.load.hold {
                    new.pause(traffic.load.held, reason);
                }
                traffic.counts_only().add_to(forgotten, origin.clone());
                *governor = new;
            }
        }
    }

    fn key_of(&self, upstream: &config::Upstream, credentials: &[(String, Vec<u8>)], scope: &str) -> (String, u64) {
        (origin_of(upstream), self.registry.hasher.hash_one((credentials, scope)))
    }
}

impl KnownGovernors {
    fn governor(
        &mut self,
        upstream: &config::Upstream,
        key: (String, u64),
        member: Option<usize>,
    ) -> Arc<SharedGovernor> {
        if let Some(governor) = self.by_credential.get(&key) {
            governor.touch(member);
            return Arc::clone(governor);
        }
        if self.by_credential.len() >= self.next_sweep.max(FEW) {
            self.sweep();
        }
        let pages = self.pages.entry(key.0.clone()).or_insert_with(|| Histogram::new(PAGE)).clone();
        let governor = Arc::new(SharedGovernor::new(key.0.clone(), member, upstream, pages));
        self.by_credential.insert(key, Arc::clone(&governor));
        governor
    }

    /// Forgets the governors that were unused for [`KEPT`], and where there are still too many, the longest unused ones.
    fn sweep(&mut self) {
        let unused =
            self.by_credential.iter().filter_map(|(key, governor)| Some((governor.unused_since()?, key.clone())));
        let mut unused: Vec<_> = unused.collect();
        unused.sort_unstable();
        let old = unused.partition_point(|(since, _)| since.elapsed() >= KEPT);
        let left = self.by_credential.len() - old;
        let over = if left < MOST { 0 } else { left - (MOST - MARGIN) };
        for (_, key) in unused.into_iter().take(old + over) {
            if let Some(governor) = self.by_credential.remove(&key) {
                governor.traffic().counts_only().add_to(&mut self.forgotten, key.0);
            }
        }
        let count = self.by_credential.len();
        self.next_sweep = (count * 2).min(MOST).max(count + FEW);
    }
}

#[cfg(test)]
impl Governors {
    /// Traffic of each upstream and credential.
    pub(super) fn traffic(&self) -> Vec<Traffic> {
        self.registry.known.lock().by_credential.values().map(|governor| governor.traffic()).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.registry.known.lock().by_credential.len()
    }

    pub(super) fn next_sweep(&self) -> usize {
        self.registry.known.lock().next_sweep
    }

    pub(super) fn knows(&self, upstream: &config::Upstream, credentials: &[(String, Vec<u8>)]) -> bool {
        let key = self.key_of(upstream, credentials, "");
        self.registry.known.lock().by_credential.contains_key(&key)
    }
}
