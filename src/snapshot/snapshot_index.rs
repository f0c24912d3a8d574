//! Index of a process's snapshots: the newest or the opening one of each cache key, and all by their ids.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::ops::compute::Op;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::facts::Retention;
use super::key_history::KeyHistory;
use super::request_keys::RequestKeys;
use super::single_flight::Flight;
use super::snapshot::{Snapshot, SnapshotState};
use super::storage::StoredSnapshot;
use super::store::Store;
use crate::id::{CacheKey, SnapshotId};

#[derive(Debug)]
pub(super) struct SnapshotIndex {
    pub(super) store: Store,
    pub(super) by_key: Cache<CacheKey, KeySlot>,
    pub(super) by_id: Cache<SnapshotId, IdEntry>,
    /// Time that snapshots of an earlier process are kept.
    pub(super) keep_for: Duration,
    /// Snapshots that are no longer kept and whose files are to be deleted.
    pub(super) doomed: Arc<Mutex<Vec<SnapshotId>>>,
    pub(super) history: KeyHistory,
}

/// Entry of a cache key.
#[derive(Clone, Debug)]
pub(super) enum KeySlot {
    Opening(Flight),
    /// Newest snapshot, which may no longer be kept.
    Newest(SnapshotId),
}

#[derive(Clone, Debug)]
pub(super) enum IdEntry {
    Here(Arc<Snapshot>),
    /// In the storage, from an earlier process.
    Stored(Arc<StoredSnapshot>),
    /// Being read from the storage and resumed.
    Opening {
        flight: Flight,
        reader: Option<CacheKey>,
        /// Description of the snapshot if it is of an earlier process.
        stored: Option<Arc<StoredSnapshot>>,
    },
}

impl SnapshotIndex {
    pub(super) fn of(&self, key: CacheKey) -> impl Iterator<Item = (SnapshotId, IdEntry)> {
        self.by_id.iter().filter(move |(_, entry)| entry.key() == key).map(|(id, entry)| (*id, entry))
    }

    pub(super) fn add_to_history(&self, snapshot: &Snapshot) {
        self.history.add(snapshot.key(), snapshot.id());
    }

    /// Notes a request or a read: the snapshot is kept for its full time again.
    pub(super) fn touch(&self, snapshot: &Snapshot) {
        snapshot.touch();
        drop(self.by_id.get(&snapshot.id()));
    }

    pub(super) fn keep(&self, snapshot: &Arc<Snapshot>) {
        snapshot.touch();
        self.by_id.insert(snapshot.id(), IdEntry::Here(Arc::clone(snapshot)));
    }

    /// Adds the snapshot that the flight `serial` has opened for a key.
    pub(super) fn publish(&self, key: CacheKey, serial: u64, snapshot: &Arc<Snapshot>) {
        if snapshot.retention() != Retention::Transient {
            self.keep(snapshot);
        }
        if snapshot.retention() == Retention::Shared {
            self.by_key.entry(key).and_compute_with(|slot| match slot.map(moka::Entry::into_value) {
                // A later request wanted a newer one.
                Some(KeySlot::Opening(flight)) if flight.serial != serial => Op::Nop,
                Some(KeySlot::Opening(_) | KeySlot::Newest(_)) | None => Op::Put(KeySlot::Newest(snapshot.id())),
            });
        } else {
            self.release(key, serial);
        }
    }

    /// Replaces the entry of a snapshot that was opened by its id.
    pub(super) fn republish(&self, snapshot: &Arc<Snapshot>) {
        self.keep(snapshot);
        if matches!(snapshot.state(), SnapshotState::Running) {
            // A crawl that began long ago and is resumed now is too old for a request by key.
            let id = snapshot.id();
            self.remove_slot(snapshot.key(), |slot| matches!(slot, KeySlot::Newest(newest) if *newest == id));
        }
    }

    /// Removes the flight `serial` from its key.
    pub(super) fn release(&self, key: CacheKey, serial: u64) {
        self.remove_slot(key, |slot| matches!(slot, KeySlot::Opening(flight) if flight.serial == serial));
    }

    /// Restores the entry from before the flight `serial`.
    pub(super) fn restore(&self, id: SnapshotId, serial: u64, before: &IdEntry) {
        self.by_id.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(IdEntry::Opening { flight, .. }) if flight.serial == serial => Op::Put(before.clone()),
            _ => Op::Nop,
        });
    }

    pub(super) fn rekey(&self, id: SnapshotId, older: CacheKey, keys: RequestKeys) {
        let RequestKeys { shared: key, reader } = keys;
        self.by_id.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(IdEntry::Stored(stored)) if stored.birth.key == older => {
                let mut stored = StoredSnapshot::clone(&stored);
                (stored.birth.key, stored.birth.facts.reader) = (key, Some(reader));
                Op::Put(IdEntry::Stored(Arc::new(stored)))
            }
            _ => Op::Nop,
        });
        let is_newest = |slot: &KeySlot| matches!(slot, KeySlot::Newest(newest) if *newest == id);
        if self.by_key.get(&older).is_some_and(|slot| is_newest(&slot)) {
            self.remove_slot(older, is_newest);
            self.by_key.entry(key).or_insert(KeySlot::Newest(id));
        }
    }

    /// Removes a snapshot that can't be read any more.
    pub(super) fn forget(&self, id: SnapshotId) {
        self.by_id.invalidate(&id);
    }

    pub(super) fn remove_slot(&self, key: CacheKey, matches: impl FnOnce(&KeySlot) -> bool) {
        self.by_key.entry(key).and_compute_with(|slot| match slot.map(moka::Entry::into_value) {
            Some(slot) if matches(&slot) => Op::Remove,
            _ => Op::Nop,
        });
    }
}

impl IdEntry {
    /// Returns the start of a shared snapshot's crawl; `None` for others and for those being opened.
    pub(super) fn shared_since(&self) -> Option<SystemTime> {
        let (retention, facts) = match self {
            Self::Here(snapshot) => (snapshot.retention(), snapshot.facts()),
            Self::Stored(stored) => (stored.birth.retention, &stored.birth.facts),
            Self::Opening { .. } => return None,
        };
        (retention == Retention::Shared).then_some(facts.created)
    }

    pub(super) fn key(&self) -> CacheKey {
        match self {
            Self::Here(snapshot) => snapshot.key(),
            Self::Stored(stored) => stored.birth.key,
            Self::Opening { flight, .. } => flight.key,
        }
    }
    pub(super) fn reader(&self) -> Option<CacheKey> {
        match self {
            Self::Here(snapshot) => snapshot.facts().reader,
            Self::Stored(stored) => stored.birth.facts.reader,
            Self::Opening { reader, .. } => *reader,
        }
    }

    /// Returns `true` where opening it resumes its crawl.
    pub(super) fn is_interrupted(&self) -> bool {
        match self {
            Self::Here(_) | Self::Opening { .. } => true,
            Self::Stored(stored) => stored.verdict.is_none(),
        }
    }
}
