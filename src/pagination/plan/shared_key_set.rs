//! Keys of a crawl, which the walks of all its parts share.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::pagination::keys::KeySet;

/// Set of keys; clones share it.
#[derive(Clone, Debug, Default)]
pub struct CrawlKeys(Arc<Mutex<KeySet>>);

impl CrawlKeys {
    /// Puts another set in the place of this one, which is empty.
    pub fn replace(&self, keys: KeySet) {
        *self.0.lock() = keys;
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes()
    }

    /// Number of keys that were forgotten for want of room.
    pub(super) fn forgotten(&self) -> u64 {
        self.0.lock().forgotten()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, KeySet> {
        self.0.lock()
    }
}
