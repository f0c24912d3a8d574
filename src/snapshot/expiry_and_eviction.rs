//! Expiry and eviction: snapshots are kept while they are written or read, then for a time, or until there is no room.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use moka::notification::RemovalCause;
use moka::sync::Cache;
use moka::{Expiry, ops::compute::Op};
use parking_lot::Mutex;

use super::snapshot_index::{IdEntry, KeySlot, SnapshotIndex};
use crate::id::SnapshotId;

/// Expiry of index entries; `keep_for` is for snapshots of an earlier process.
#[derive(Debug)]
pub(super) struct ExpiryPolicy {
    pub(super) keep_for: Duration,
}

/// Creates the cache of snapshots by id. `doomed` takes the ids of those that are no longer kept.
pub(super) fn cache(retention: ExpiryPolicy, doomed: &Arc<Mutex<Vec<SnapshotId>>>) -> Cache<SnapshotId, IdEntry> {
    let doomed = Arc::clone(doomed);
    // Files are deleted elsewhere: the cache calls this on any thread that uses it.
    let removed = move |id: Arc<SnapshotId>, _: IdEntry, cause| {
        if cause != RemovalCause::Replaced {
            doomed.lock().push(*id);
        }
    };
    Cache::builder().expire_after(retention).eviction_listener(removed).build()
}

/// Registers eviction with the store's budgets.
pub(super) fn evict_when_full(index: &Arc<SnapshotIndex>) {
    let evict_from = |tier: FullTier| {
        let index = Arc::downgrade(index);
        move |missing| index.upgrade().is_some_and(|index| evict(&index, missing, tier))
    };
    index.store.on_full(evict_from(FullTier::Disk));
    index.store.memory().on_full(evict_from(FullTier::Memory));
}

/// Tier whose budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FullTier {
    Memory,
    Disk,
}

impl FullTier {
    /// Returns the configuration key of the budget.
    fn key(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// Sweeps the index and deletes files, every `period`, for as long as the index lives.
pub(super) fn maintain(index: &Arc<SnapshotIndex>, period: Duration) -> impl Future<Output = ()> + Send + use<> {
    let index = Arc::downgrade(index);
    async move {
        let mut ticks = tokio::time::interval(period);
        loop {
            ticks.tick().await;
            let Some(index) = index.upgrade() else { return };
            sweep(&index);
            index.store.memory().retry();
            let deleted = tokio::task::spawn_blocking(move || delete_doomed(&index));
            // Cancelled only by a runtime that ends: the next start finds the files.
            drop(deleted.await);
        }
    }
}

/// Renews the time of snapshots that are written or read, and drops keys whose snapshot is gone.
fn sweep(index: &SnapshotIndex) {
    for (_, entry) in &index.by_id {
        if let IdEntry::Here(snapshot) = entry
            && !snapshot.is_idle()
        {
            // Sweeps come more often than `keep_for`.
            index.touch(&snapshot);
        }
    }
    index.by_id.run_pending_tasks();
    for (key, slot) in &index.by_key {
        if let KeySlot::Newest(id) = slot
            && !index.by_id.contains_key(&id)
        {
            index.remove_slot(*key, |slot| matches!(slot, KeySlot::Newest(newest) if *newest == id));
        }
    }
    index.by_key.run_pending_tasks();
}

/// Deletes the files of snapshots that are no longer kept. Blocks.
fn delete_doomed(index: &SnapshotIndex) {
    let doomed = std::mem::take(&mut *index.doomed.lock());
    doomed.iter().for_each(|id| index.store.remove(*id));
}

/// Drops idle snapshots, the least recently used first, until `missing` bytes are free. Returns true if there was one. Blocks if files are
/// deleted.
fn evict(index: &SnapshotIndex, missing: u64, tier: FullTier) -> bool {
    let mut idle: Vec<_> = index.by_id.iter().filter_map(|(id, entry)| idle(*id, &entry, tier)).collect();
    idle.sort_by_key(|idle| idle.used);
    let (mut freed, mut evicted) = (0, Vec::new());
    for IdleSnapshot { id, bytes, collection, .. } in idle {
        if freed >= missing {
            break;
        }
        index.by_id.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(IdEntry::Here(snapshot)) if !snapshot.is_idle() => Op::Nop,
            Some(IdEntry::Opening { .. }) | None => Op::Nop,
            Some(entry) => {
                if let IdEntry::Here(snapshot) = entry {
                    snapshot.log().forget_memory();
                }
                freed += bytes;
                evicted.push(format!("{id} of {collection} with {}", bytesize::ByteSize(bytes)));
                Op::Remove
            }
        });
    }
    if !evicted.is_empty() {
        tracing::info!("evicted, since `{}` of [snapshots] is used up: {}", tier.key(), evicted.join(", "));
    }
    index.by_id.run_pending_tasks();
    if tier == FullTier::Disk {
        delete_doomed(index);
    }
    freed > 0
}

/// Outcome of an operator's request to drop a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropOutcome {
    Dropped,
    /// The snapshot is being written or read.
    InUse,
    Unknown,
}

/// Drops an idle snapshot; maintenance deletes its files.
pub(super) fn drop_idle(index: &SnapshotIndex, id: SnapshotId) -> DropOutcome {
    let mut outcome = DropOutcome::Unknown;
    index.by_id.entry(id).and_compute_with(|entry| {
        match entry.map(moka::Entry::into_value) {
            None => return Op::Nop,
            Some(IdEntry::Here(snapshot)) if snapshot.is_idle() => snapshot.log().forget_memory(),
            Some(IdEntry::Stored(_)) => {}
            Some(IdEntry::Here(_) | IdEntry::Opening { .. }) => {
                outcome = DropOutcome::InUse;
                return Op::Nop;
            }
        }
        outcome = DropOutcome::Dropped;
        Op::Remove
    });
    index.by_id.run_pending_tasks();
    outcome
}

impl Expiry<SnapshotId, IdEntry> for ExpiryPolicy {
    fn expire_after_create(&self, _: &SnapshotId, entry: &IdEntry, _: Instant) -> Option<Duration> {
        self.time_of(entry)
    }

    fn expire_after_read(
        &self,
        _: &SnapshotId,
        entry: &IdEntry,
        _: Instant,
        current: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        match entry {
            IdEntry::Stored(_) => current,
            IdEntry::Here(_) | IdEntry::Opening { .. } => self.time_of(entry),
        }
    }

    fn expire_after_update(
        &self,
        _: &SnapshotId,
        entry: &IdEntry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.time_of(entry)
    }
}

impl ExpiryPolicy {
    /// Returns the time that an entry stays without another request. Snapshots that are written or read are renewed at each sweep.
    fn time_of(&self, entry: &IdEntry) -> Option<Duration> {
        match entry {
            IdEntry::Here(snapshot) => Some(snapshot.keep_for()),
            IdEntry::Stored(stored) => {
                let unused = SystemTime::now().duration_since(stored.modified).unwrap_or_default();
                Some(self.keep_for.saturating_sub(unused))
            }
            IdEntry::Opening { .. } => None,
        }
    }
}

/// Snapshot that may be evicted.
struct IdleSnapshot {
    id: SnapshotId,
    used: SystemTime,
    bytes: u64,
    collection: String,
}

fn idle(id: SnapshotId, entry: &IdEntry, tier: FullTier) -> Option<IdleSnapshot> {
    match entry {
        IdEntry::Here(snapshot) if snapshot.is_idle() => {
            let log = snapshot.log();
            // Copies of stored bytes make room without the loss of a snapshot. A flush that ends while memory is freed leaves some.
            let bytes = if tier == FullTier::Memory { log.bytes_in_memory_alone() } else { log.stored_bytes() };
            let collection = snapshot.facts().collection.clone();
            (bytes > 0).then(|| IdleSnapshot { id, used: snapshot.used(), bytes, collection })
        }
        IdEntry::Stored(stored) if tier == FullTier::Disk => {
            let collection = stored.birth.facts.collection.clone();
            Some(IdleSnapshot { id, used: stored.modified, bytes: stored.bytes, collection })
        }
        IdEntry::Here(_) | IdEntry::Stored(_) | IdEntry::Opening { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch::Batch;
    use crate::config::SnapshotSettings;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::facts::{Birth, Retention};
    use crate::snapshot::key_history::KeyHistory;
    use crate::snapshot::seal::Seal;
    use crate::snapshot::snapshot::Snapshot;
    use crate::snapshot::store::Store;

    #[tokio::test]
    async fn a_full_memory_costs_no_snapshot_that_is_in_files() {
        let (dir, keep_for) = (tempfile::tempdir().unwrap(), Duration::from_secs(60));
        for (disk, is_kept) in [(1 << 20, true), (0, false)] {
            let settings =
                SnapshotSettings { dir: Some(dir.path().join(disk.to_string())), disk, ..SnapshotSettings::in_test() };
            let (store, doomed) = (Store::open(settings).unwrap(), Arc::default());
            let by_id = cache(ExpiryPolicy { keep_for }, &doomed);
            let (by_key, history) = (Cache::builder().build(), KeyHistory::with_capacity(1));
            let index = SnapshotIndex { store, by_key, by_id, keep_for, doomed, history };
            let (birth, id) = (Birth::in_test("/orders"), index.store.new_id());
            let (mut writer, log) = index.store.create(id, &birth);
            writer.append(Batch::new(Bytes::from_static(b"1\n"), 1));
            writer.seal(Seal::Complete(Verdict::in_test(1, 1)));
            log.ended().await;
            index.store.written().await;
            let snapshot = Snapshot::new(id, birth.key, birth.facts, log, Retention::Shared, keep_for);
            let snapshot = Arc::new(snapshot);
            index.keep(&snapshot);
            assert!(snapshot.is_idle() && snapshot.log().bytes_in_memory() > 0);
            assert_eq!(evict(&index, 1, FullTier::Memory), !is_kept);
            assert_eq!(index.by_id.contains_key(&id), is_kept, "{disk}");
        }
    }
}
