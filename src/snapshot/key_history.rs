//! Cache keys for which this process has made one snapshot, or several: a byte range that names no snapshot is served only from the only one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::notification::RemovalCause;
use moka::sync::Cache;
use parking_lot::Mutex;

use crate::id::{CacheKey, SnapshotId};

/// Time that a snapshot is remembered: a client may take that long to come back for the rest of it.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of keys that are remembered, at some 430 bytes each: 4 MiB, which `memory` does not count.
pub(super) const CAPACITY: u64 = 10_000;

#[derive(Debug)]
pub(super) struct KeyHistory {
    of: Cache<CacheKey, KeySnapshots>,
    /// Last time that a key was dropped for want of room: for some time after that, no snapshot is known to be the only one.
    forgot: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone, Copy, Debug)]
enum KeySnapshots {
    Only(SnapshotId),
    Several,
}

impl KeyHistory {
    pub(super) fn with_capacity(most: u64) -> Self {
        let forgot = Arc::new(Mutex::new(None));
        let forgets = Arc::clone(&forgot);
        let removed = move |_: Arc<CacheKey>, _, cause| {
            if cause == RemovalCause::Size {
                *forgets.lock() = Some(Instant::now());
            }
        };
        let of = Cache::builder().max_capacity(most).time_to_live(REMEMBERED).eviction_listener(removed).build();
        Self { of, forgot }
    }

    /// Adds a snapshot that clients may have a part of.
    pub(super) fn add(&self, key: CacheKey, id: SnapshotId) {
        self.of.entry(key).and_upsert_with(|before| match before.map(moka::Entry::into_value) {
            None => KeySnapshots::Only(id),
            Some(KeySnapshots::Only(only)) if only == id => KeySnapshots::Only(id),
            Some(KeySnapshots::Only(_) | KeySnapshots::Several) => KeySnapshots::Several,
        });
    }

    pub(super) fn only(&self, key: CacheKey) -> Option<SnapshotId> {
        let forgot = *self.forgot.lock();
        match self.of.get(&key)? {
            KeySnapshots::Only(id) if forgot.is_none_or(|forgot| forgot.elapsed() > REMEMBERED) => Some(id),
            KeySnapshots::Only(_) | KeySnapshots::Several => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_snapshot_is_never_the_only_one() {
        let history = KeyHistory::with_capacity(CAPACITY);
        let (key, [first, second]) =
            (CacheKey::from_bytes([1; 32]), [1, 2].map(|byte| SnapshotId::from_bytes([byte; 16])));
        assert_eq!(history.only(key), None);
        history.add(key, first);
        history.add(key, first);
        assert_eq!((history.only(key), history.only(CacheKey::from_bytes([2; 32]))), (Some(first), None));
        history.add(key, second);
        history.add(key, second);
        assert_eq!(history.only(key), None);
    }

    #[test]
    fn after_a_key_was_dropped_no_snapshot_is_the_only_one() {
        let history = KeyHistory::with_capacity(2);
        for byte in 0..10 {
            history.add(CacheKey::from_bytes([byte; 32]), SnapshotId::from_bytes([byte; 16]));
            history.of.run_pending_tasks();
        }
        assert!((0..10).all(|byte| history.only(CacheKey::from_bytes([byte; 32])).is_none()));
    }
}
