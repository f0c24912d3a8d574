//! Of which keys this process has begun one snapshot, and of which several: a part of nobody knows which can only be of an only one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::notification::RemovalCause;
use moka::sync::Cache;

use crate::id::{CacheKey, SnapshotId};

/// How long a snapshot is remembered: so long at least a client may take to come back for the rest of it.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// How many keys are remembered.
pub(super) const MOST: u64 = 100_000;

/// What was begun.
#[derive(Debug)]
pub(super) struct Generations {
    of: Cache<CacheKey, Generation>,
    /// When a key was forgotten for want of room: since then no snapshot is known to be the only one.
    forgot: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone, Copy, Debug)]
enum Generation {
    Only(SnapshotId),
    Several,
}

impl Generations {
    pub(super) fn remembering(most: u64) -> Self {
        let forgot = Arc::new(Mutex::new(None));
        let forgets = Arc::clone(&forgot);
        let removed = move |_: Arc<CacheKey>, _, cause| {
            if cause == RemovalCause::Size {
                *forgets.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
        };
        let of = Cache::builder().max_capacity(most).time_to_live(REMEMBERED).eviction_listener(removed).build();
        Self { of, forgot }
    }

    /// One was begun, and who reads it may have a part of it.
    pub(super) fn add(&self, key: CacheKey, id: SnapshotId) {
        self.of.entry(key).and_upsert_with(|before| match before.map(moka::Entry::into_value) {
            None => Generation::Only(id),
            Some(Generation::Only(only)) if only == id => Generation::Only(id),
            Some(Generation::Only(_) | Generation::Several) => Generation::Several,
        });
    }

    /// The only one that was begun.
    pub(super) fn only(&self, key: CacheKey) -> Option<SnapshotId> {
        let forgot = *self.forgot.lock().unwrap_or_else(PoisonError::into_inner);
        match self.of.get(&key)? {
            Generation::Only(id) if forgot.is_none_or(|forgot| forgot.elapsed() > REMEMBERED) => Some(id),
            Generation::Only(_) | Generation::Several => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_never_the_only_one() {
        let generations = Generations::remembering(MOST);
        let (key, [first, second]) =
            (CacheKey::from_bytes([1; 32]), [1, 2].map(|byte| SnapshotId::from_bytes([byte; 16])));
        assert_eq!(generations.only(key), None);
        generations.add(key, first);
        generations.add(key, first);
        assert_eq!((generations.only(key), generations.only(CacheKey::from_bytes([2; 32]))), (Some(first), None));
        generations.add(key, second);
        generations.add(key, second);
        assert_eq!(generations.only(key), None);
    }

    #[test]
    fn where_one_was_forgotten_none_is_the_only_one() {
        let generations = Generations::remembering(2);
        for byte in 0..10 {
            generations.add(CacheKey::from_bytes([byte; 32]), SnapshotId::from_bytes([byte; 16]));
            generations.of.run_pending_tasks();
        }
        assert!((0..10).all(|byte| generations.only(CacheKey::from_bytes([byte; 32])).is_none()));
    }
}
