//! How long snapshots are kept: while somebody writes or reads them, and then for their time; less where there is no room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use moka::notification::RemovalCause;
use moka::sync::Cache;
use moka::{Expiry, ops::compute::Op};

use super::registry::{Entry, Registry, Slot};
use super::standing::{Snapshot, State};
use super::store::Stored;
use crate::id::SnapshotId;
use crate::usage::UsageCounts;

/// How long those are kept that nobody in this process has asked for yet.
#[derive(Debug)]
pub(super) struct Retention {
    pub(super) keep_for: Duration,
}

/// One line of the operator's list.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: SnapshotId,
    /// The path of its collection, as it is configured.
    pub collection: String,
    /// `running`, `complete`, `broken` or `stopped`.
    pub state: &'static str,
    pub records: u64,
    pub bytes: u64,
    pub pages: u64,
    /// What its crawl has asked for; none where it has not been opened since the start.
    pub usage: Option<UsageCounts>,
    /// The first byte that can still be read.
    pub from: u64,
    pub readers: usize,
    pub created: SystemTime,
    /// None while it is written or read.
    pub expires: Option<SystemTime>,
}

/// The snapshots by their names; `doomed` takes those that are kept no more.
pub(super) fn cache(retention: Retention, doomed: &Arc<Mutex<Vec<SnapshotId>>>) -> Cache<SnapshotId, Entry> {
    let doomed = Arc::clone(doomed);
    // Files are deleted elsewhere: the cache calls this on whatever thread asks it for something.
    let removed = move |id: Arc<SnapshotId>, _: Entry, cause| {
        if cause != RemovalCause::Replaced {
            lock(&doomed).push(*id);
        }
    };
    Cache::builder().expire_after(retention).eviction_listener(removed).build()
}

/// Has the store ask for room here.
pub(super) fn evict_when_full(registry: &Registry) {
    let evict = |tier: Tier| {
        let shared = Arc::downgrade(&registry.shared);
        move |missing| shared.upgrade().is_some_and(|shared| Registry { shared }.evict(missing, tier))
    };
    registry.store().on_full(evict(Tier::Disk));
    registry.store().memory().on_full(evict(Tier::Memory));
}

/// Where room is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Memory,
    Disk,
}

impl Tier {
    /// How the configuration calls its size.
    fn key(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

impl Registry {
    /// Looks after what is kept, every `period`, for as long as there is somebody who keeps it.
    pub fn maintain(&self, period: Duration) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::downgrade(&self.shared);
        async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                ticks.tick().await;
                let Some(registry) = shared.upgrade().map(|shared| Self { shared }) else { return };
                registry.sweep();
                let deleted = tokio::task::spawn_blocking(move || registry.delete_doomed());
                // Only a runtime that ends cancels it: the next start finds what is left.
                drop(deleted.await);
            }
        }
    }

    /// All snapshots that are kept, the newest first.
    pub fn list(&self) -> Vec<Listed> {
        let mut list: Vec<_> = self.shared.by_name.iter().filter_map(|(_, entry)| self.listed(&entry)).collect();
        list.sort_by_key(|listed| std::cmp::Reverse(listed.created));
        list
    }

    fn listed(&self, entry: &Entry) -> Option<Listed> {
        match entry {
            Entry::Here(snapshot) => Some(listed_here(snapshot)),
            Entry::Stored(stored) => Some(listed_stored(stored, self.shared.keep_for)),
            Entry::Opening(_) => None,
        }
    }

    /// Begins the time of those anew that are read, and forgets what is gone.
    fn sweep(&self) {
        for (_, entry) in &self.shared.by_name {
            if let Entry::Here(snapshot) = entry
                && !snapshot.is_idle()
            {
                // Each sweep comes before the time is over.
                self.touch(&snapshot);
            }
        }
        self.shared.by_name.run_pending_tasks();
        for (key, slot) in &self.shared.by_key {
            if let Slot::Newest(id) = slot
                && !self.shared.by_name.contains_key(&id)
            {
                self.remove_slot(*key, |slot| matches!(slot, Slot::Newest(newest) if *newest == id));
            }
        }
        self.shared.by_key.run_pending_tasks();
    }

    /// Deletes the files of those that are kept no more. Blocks.
    fn delete_doomed(&self) -> usize {
        let doomed = std::mem::take(&mut *lock(&self.shared.doomed));
        doomed.iter().for_each(|id| self.shared.store.remove(*id));
        doomed.len()
    }

    /// Lets finished snapshots go that nobody reads, those first that nobody has asked for the longest, until so many bytes are
    /// free; whether there was any. Blocks, where files are deleted.
    fn evict(&self, missing: u64, tier: Tier) -> bool {
        let mut idle: Vec<_> = self.shared.by_name.iter().filter_map(|(id, entry)| idle(*id, &entry, tier)).collect();
        idle.sort_by_key(|idle| idle.used);
        let (mut freed, mut evicted) = (0, Vec::new());
        for Idle { id, bytes, collection, .. } in idle {
            if freed >= missing {
                break;
            }
            self.shared.by_name.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
                Some(Entry::Here(snapshot)) if !snapshot.is_idle() => Op::Nop,
                Some(Entry::Opening(_)) | None => Op::Nop,
                Some(entry) => {
                    if let Entry::Here(snapshot) = entry {
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
        self.shared.by_name.run_pending_tasks();
        if tier == Tier::Disk {
            self.delete_doomed();
        }
        freed > 0
    }
}

impl Expiry<SnapshotId, Entry> for Retention {
    fn expire_after_create(&self, _: &SnapshotId, entry: &Entry, _: Instant) -> Option<Duration> {
        self.time_of(entry)
    }

    fn expire_after_read(
        &self,
        _: &SnapshotId,
        entry: &Entry,
        _: Instant,
        current: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        match entry {
            Entry::Stored(_) => current,
            Entry::Here(_) | Entry::Opening(_) => self.time_of(entry),
        }
    }

    fn expire_after_update(&self, _: &SnapshotId, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        self.time_of(entry)
    }
}

impl Retention {
    /// How long an entry stays if nobody asks for it from now on. Those that are written or read are asked for at each sweep.
    fn time_of(&self, entry: &Entry) -> Option<Duration> {
        match entry {
            Entry::Here(snapshot) => Some(snapshot.keep_for()),
            Entry::Stored(stored) => {
                let unused = SystemTime::now().duration_since(stored.modified).unwrap_or_default();
                Some(self.keep_for.saturating_sub(unused))
            }
            Entry::Opening(_) => None,
        }
    }
}

/// A snapshot that may go.
struct Idle {
    id: SnapshotId,
    used: SystemTime,
    bytes: u64,
    collection: String,
}

fn idle(id: SnapshotId, entry: &Entry, tier: Tier) -> Option<Idle> {
    match entry {
        Entry::Here(snapshot) if snapshot.is_idle() => {
            let log = snapshot.log();
            let bytes = if tier == Tier::Memory { log.in_memory() } else { log.in_file() };
            let collection = snapshot.facts().collection.clone();
            (bytes > 0).then(|| Idle { id, used: snapshot.used(), bytes, collection })
        }
        Entry::Stored(stored) if tier == Tier::Disk => {
            let collection = stored.birth.facts.collection.clone();
            Some(Idle { id, used: stored.modified, bytes: stored.bytes, collection })
        }
        Entry::Here(_) | Entry::Stored(_) | Entry::Opening(_) => None,
    }
}

fn listed_here(snapshot: &Snapshot) -> Listed {
    let extent = snapshot.log().extent();
    let usage = snapshot.usage().counts();
    Listed {
        id: snapshot.id(),
        collection: snapshot.facts().collection.clone(),
        state: match snapshot.state() {
            State::Running => "running",
            State::Complete(_) => "complete",
            State::Broken(_) => "broken",
            State::Stopped => "stopped",
        },
        records: extent.records,
        bytes: extent.bytes,
        pages: usage.pages,
        usage: Some(usage),
        from: extent.from,
        readers: extent.readers,
        created: snapshot.facts().created,
        expires: snapshot.expires(),
    }
}

fn listed_stored(stored: &Stored, keep_for: Duration) -> Listed {
    Listed {
        id: stored.id,
        collection: stored.birth.facts.collection.clone(),
        state: if stored.verdict.is_some() { "complete" } else { "stopped" },
        records: stored.records,
        bytes: stored.bytes,
        pages: stored.verdict.as_ref().map_or(stored.pages, |verdict| verdict.pages),
        usage: None,
        from: 0,
        readers: 0,
        created: stored.birth.facts.created,
        expires: Some(stored.modified + keep_for),
    }
}

/// The lock is never held across a call out, so a poisoned one still guards a whole list.
fn lock(doomed: &Mutex<Vec<SnapshotId>>) -> MutexGuard<'_, Vec<SnapshotId>> {
    doomed.lock().unwrap_or_else(PoisonError::into_inner)
}
