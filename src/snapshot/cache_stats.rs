//! Counts of lookups by their result, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lookup_result::LookupResult;
use super::snapshot::{Snapshot, SnapshotState};

#[derive(Debug, Default)]
pub struct CacheStats {
    miss: AtomicU64,
    collapsed: AtomicU64,
    hit: AtomicU64,
    resumed: AtomicU64,
    refused: AtomicU64,
}

impl CacheStats {
    /// Returns the number of lookups for each result: `miss` (a crawl begins), `collapsed` (another's crawl is shared), `hit` (complete in
    /// memory), `resumed` (read from the storage, or resumed), `refused` (no crawl may begin).
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        let Self { miss, collapsed, hit, resumed, refused } = self;
        let named =
            [("miss", miss), ("collapsed", collapsed), ("hit", hit), ("resumed", resumed), ("refused", refused)];
        named.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    pub(super) fn count_by_key<E>(&self, result: &Result<LookupResult, E>) {
        match result {
            Ok(LookupResult::Lead(_)) => add(&self.miss),
            Ok(LookupResult::Follow(_)) => add(&self.collapsed),
            Ok(LookupResult::Found(snapshot)) => self.count_found(snapshot),
            // Counted by the lookup of its id, which comes next.
            Ok(LookupResult::Stored(_) | LookupResult::OtherFields) => {}
            Err(_) => add(&self.refused),
        }
    }

    pub(super) fn count_alone(&self, is_admitted: bool) {
        add(if is_admitted { &self.miss } else { &self.refused });
    }

    pub(super) fn count_by_id(&self, result: Option<&LookupResult>) {
        match result {
            Some(LookupResult::Lead(_)) => add(&self.resumed),
            Some(LookupResult::Follow(_)) => add(&self.collapsed),
            Some(LookupResult::Found(snapshot)) => self.count_found(snapshot),
            Some(LookupResult::Stored(_) | LookupResult::OtherFields) | None => {}
        }
    }

    fn count_found(&self, snapshot: &Snapshot) {
        match snapshot.state() {
            SnapshotState::Running => add(&self.collapsed),
            SnapshotState::Complete(_) | SnapshotState::Broken(_) | SnapshotState::Stopped => add(&self.hit),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
