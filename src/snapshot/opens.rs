//! How callers have been served, counted for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

use super::registry::{Lookup, Role};
use super::standing::{Snapshot, State};

/// How many callers have been served how.
#[derive(Debug, Default)]
pub struct Opens {
    miss: AtomicU64,
    collapsed: AtomicU64,
    hit: AtomicU64,
    resumed: AtomicU64,
    refused: AtomicU64,
}

impl Opens {
    /// Each way to be served, and how many were: `miss` (a crawl was begun), `collapsed` (another's is shared), `hit` (it was
    /// complete), `resumed` (it was read from files, or goes on), `refused` (no crawl may be begun).
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        let Self { miss, collapsed, hit, resumed, refused } = self;
        let named =
            [("miss", miss), ("collapsed", collapsed), ("hit", hit), ("resumed", resumed), ("refused", refused)];
        named.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    pub(super) fn count<E>(&self, role: &Result<Role, E>) {
        match role {
            Ok(Role::Lead(_)) => add(&self.miss),
            Ok(Role::Follow(_)) => add(&self.collapsed),
            Ok(Role::Reader(snapshot)) => self.count_reader(snapshot),
            // It is asked for by its name next.
            Ok(Role::Named(_)) => {}
            Err(_) => add(&self.refused),
        }
    }

    pub(super) fn count_found(&self, found: &Lookup) {
        match found {
            Lookup::Lead(_) => add(&self.resumed),
            Lookup::Follow(_) => add(&self.collapsed),
            Lookup::Reader(snapshot) => self.count_reader(snapshot),
            Lookup::Nothing => {}
        }
    }

    fn count_reader(&self, snapshot: &Snapshot) {
        match snapshot.state() {
            State::Running => add(&self.collapsed),
            State::Complete(_) | State::Broken(_) | State::Stopped => add(&self.hit),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
