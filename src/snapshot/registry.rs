//! Who asks for the same gets the same: the snapshots of a process by what they are of, and by their names.
//!
//! One caller is made the lead of an opening, all who ask for the same meanwhile follow, and nobody is a lead who could have
//! followed: each decision is atomic for its key. Here nothing is opened and nothing runs: who leads does that elsewhere, so
//! that a client that leaves takes nothing with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use moka::ops::compute::Op;
use moka::sync::Cache;

use super::generations::{Generations, MOST};
use super::opening::{Lead, Opening, Place, Subscription, Unplaced};
use super::opens::Opens;
use super::retention::{self, Retention};
use super::standing::{Keeping, Snapshot, State};
use super::store::{Store, Stored};
use crate::id::{CacheKey, SnapshotId};

/// The snapshots of a process: clones are the same.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) by_key: Cache<CacheKey, Slot>,
    pub(super) by_name: Cache<SnapshotId, Entry>,
    /// How long those stay that an earlier process has left.
    pub(super) keep_for: Duration,
    /// Those that are kept no more and whose files are to be deleted.
    pub(super) doomed: Arc<Mutex<Vec<SnapshotId>>>,
    serial: AtomicU64,
    opens: Opens,
    generations: Generations,
}

/// What there is for a key.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Opening(Opening),
    /// The newest snapshot, which may be kept no more.
    Newest(SnapshotId),
}

/// What there is under a name.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Here(Arc<Snapshot>),
    /// In files, since an earlier process.
    Stored(Arc<Stored>),
    /// Being read from its files, and gone on with.
    Opening(Opening),
}

/// How recent a snapshot has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    /// Of what goes on or ended less than `fresh_for` ago, what was begun less than `max_age` ago.
    Within { fresh_for: Duration, max_age: Duration },
    /// Begun from now on.
    New,
}

/// What a caller is who asks for something.
#[derive(Debug)]
pub enum Role {
    /// The one who has to open it.
    Lead(Lead),
    /// One who waits for another.
    Follow(Subscription),
    /// One who finds it there: complete, or growing.
    Reader(Arc<Snapshot>),
    /// One who finds it in files, and has to ask for it by this name.
    Named(SnapshotId),
}

/// What a caller is who asks for a snapshot by its name.
#[derive(Debug)]
pub enum Lookup {
    /// The one who has to read it from its files, and to go on where it was interrupted.
    Lead(Lead),
    /// One who waits for another.
    Follow(Subscription),
    /// One who finds it there.
    Reader(Arc<Snapshot>),
    /// There is none of this name for this caller.
    Nothing,
}

/// What a snapshot is asked for by its name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read to its end: an interrupted one goes on.
    Read,
    /// To see how it stands.
    Look,
}

impl Registry {
    /// A registry of what this store has; `keep_for` is how long those stay that an earlier process has left there.
    pub fn new(store: Store, keep_for: Duration) -> Self {
        let doomed = Arc::new(Mutex::new(Vec::new()));
        let by_name = retention::cache(Retention { keep_for }, &doomed);
        let by_key = Cache::builder().build();
        let mut stored = store.stored();
        // Of those of one key the newest comes last, and stays.
        stored.sort_by_key(|stored| stored.birth.facts.created);
        for stored in stored {
            if stored.verdict.is_some() && stored.birth.keeping == Keeping::Shared {
                by_key.insert(stored.birth.key, Slot::Newest(stored.id));
            }
            by_name.insert(stored.id, Entry::Stored(Arc::new(stored)));
        }
        let registry = Self {
            shared: Arc::new(Shared {
                by_key,
                by_name,
                keep_for,
                doomed,
                serial: AtomicU64::new(0),
                opens: Opens::default(),
                generations: Generations::remembering(MOST),
                store,
            }),
        };
        retention::evict_when_full(&registry);
        registry
    }

    /// Where the snapshots are kept.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// How callers have been served.
    pub fn opens(&self) -> &Opens {
        &self.shared.opens
    }

    /// Makes a caller one of those who get this. `admit` is asked before it is made the lead, and may refuse.
    pub fn open<E>(&self, key: CacheKey, recency: Recency, admit: impl FnOnce() -> Result<(), E>) -> Result<Role, E> {
        let unplaced = self.unplaced(key);
        let opening = unplaced.opening.clone();
        let (mut found, mut stale) = (None, None);
        self.shared.by_key.entry(key).and_compute_with(|slot| {
            match slot.map(moka::Entry::into_value) {
                Some(Slot::Opening(opening)) if recency != Recency::New => {
                    found = Some(Ok(Role::Follow(opening.follow())));
                    return Op::Nop;
                }
                Some(Slot::Newest(id)) => match self.recent(id, recency) {
                    Recent::Enough(role) => {
                        found = Some(Ok(role));
                        return Op::Nop;
                    }
                    Recent::Stale(snapshot) => stale = Some(snapshot),
                    Recent::Gone => {}
                },
                Some(Slot::Opening(_)) | None => {}
            }
            match admit() {
                Ok(()) => Op::Put(Slot::Opening(opening)),
                Err(refusal) => {
                    found = Some(Err(refusal));
                    Op::Nop
                }
            }
        });
        let role = found.unwrap_or_else(|| Ok(Role::Lead(unplaced.at(self.clone(), Place::Key(key), stale))));
        self.shared.opens.count(&role);
        role
    }

    /// Makes a caller the lead of what nobody else may have.
    pub fn open_alone<E>(&self, key: CacheKey, admit: impl FnOnce() -> Result<(), E>) -> Result<Lead, E> {
        let role = admit().map(|()| Role::Lead(self.unplaced(key).at(self.clone(), Place::Nowhere, None)));
        self.shared.opens.count(&role);
        match role? {
            Role::Lead(lead) => Ok(lead),
            Role::Follow(_) | Role::Reader(_) | Role::Named(_) => unreachable!("it was made the lead"),
        }
    }

    /// Looks a snapshot up by its name, for who asks with this key.
    pub fn find(&self, id: SnapshotId, key: CacheKey, purpose: Purpose) -> Lookup {
        let unplaced = self.unplaced(key);
        let opening = unplaced.opening.clone();
        let mut found = Lookup::Nothing;
        let mut before = None;
        self.shared.by_name.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(entry) if entry.key() != key => Op::Nop,
            None => Op::Nop,
            Some(Entry::Opening(opening)) => {
                found = Lookup::Follow(opening.follow());
                Op::Nop
            }
            Some(Entry::Here(snapshot)) if purpose == Purpose::Look || !snapshot.may_go_on() => {
                found = Lookup::Reader(snapshot);
                Op::Nop
            }
            Some(entry) => {
                before = Some(entry);
                Op::Put(Entry::Opening(opening))
            }
        });
        if let Some(before) = before {
            found = Lookup::Lead(unplaced.at(self.clone(), Place::Name(id, Box::new(before)), None));
        }
        if let Lookup::Reader(snapshot) = &found {
            self.touch(snapshot);
        }
        self.shared.opens.count_found(&found);
        found
    }

    /// Returns `true` for the name of a snapshot that is kept, for any caller.
    pub fn has(&self, id: SnapshotId) -> bool {
        self.shared.by_name.contains_key(&id)
    }

    /// Gives a snapshot of an earlier process, which has this older key, the key that requests for it have now.
    pub fn rekey(&self, id: SnapshotId, older: CacheKey, key: CacheKey) {
        self.shared.by_name.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(Entry::Stored(stored)) if stored.birth.key == older => {
                let mut stored = Stored::clone(&stored);
                stored.birth.key = key;
                Op::Put(Entry::Stored(Arc::new(stored)))
            }
            _ => Op::Nop,
        });
        let is_newest = |slot: &Slot| matches!(slot, Slot::Newest(newest) if *newest == id);
        if self.shared.by_key.get(&older).is_some_and(|slot| is_newest(&slot)) {
            self.remove_slot(older, is_newest);
            self.shared.by_key.entry(key).or_insert(Slot::Newest(id));
        }
    }

    /// The newest snapshot of this that is kept and may be named to all who ask for the same.
    pub fn newest_of(&self, key: CacheKey) -> Option<SnapshotId> {
        let shared = self.of(key).filter_map(|(id, entry)| Some((entry.shared_since()?, id)));
        shared.max_by_key(|(created, _)| *created).map(|(_, id)| id)
    }

    /// The only snapshot of this that anybody can have a part of: no other was ever begun here or is kept, and this one is whole.
    pub fn only_of(&self, key: CacheKey) -> Option<SnapshotId> {
        let only = self.shared.generations.only(key)?;
        let mut kept = self.of(key);
        let (Some((id, Entry::Here(snapshot))), None) = (kept.next(), kept.next()) else { return None };
        let is_whole = snapshot.log().extent().from == 0;
        (id == only && is_whole && snapshot.keeping() == Keeping::Shared).then_some(id)
    }

    fn of(&self, key: CacheKey) -> impl Iterator<Item = (SnapshotId, Entry)> {
        self.shared.by_name.iter().filter(move |(_, entry)| entry.key() == key).map(|(id, entry)| (*id, entry))
    }

    /// A crawl was begun for this key, kept or not.
    pub(super) fn begun(&self, snapshot: &Snapshot) {
        self.shared.generations.add(snapshot.key(), snapshot.id());
    }

    /// The crawl of this snapshot has ended: from now on it is kept for its time.
    pub fn ended(&self, snapshot: &Arc<Snapshot>) {
        snapshot.end();
        self.touch(snapshot);
    }

    fn unplaced(&self, key: CacheKey) -> Unplaced {
        Unplaced::new(key, self.shared.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the newest snapshot of a key will do.
    fn recent(&self, id: SnapshotId, recency: Recency) -> Recent {
        match self.shared.by_name.get(&id) {
            Some(Entry::Here(snapshot)) => match snapshot.state() {
                State::Running if recency.joins(&snapshot) => Recent::Enough(self.reader(snapshot)),
                State::Complete(_) if recency.takes(&snapshot) => Recent::Enough(self.reader(snapshot)),
                // Whoever wants the beginning can do nothing with one that has lost it, be it fresh or not.
                State::Complete(_) if snapshot.log().extent().from == 0 => Recent::Stale(snapshot),
                State::Complete(_) | State::Running | State::Broken(_) | State::Stopped => Recent::Gone,
            },
            Some(Entry::Stored(stored)) if recency.covers(stored.birth.facts.created, Some(stored.modified)) => {
                Recent::Enough(Role::Named(id))
            }
            Some(Entry::Stored(_) | Entry::Opening(_)) | None => Recent::Gone,
        }
    }

    fn reader(&self, snapshot: Arc<Snapshot>) -> Role {
        self.touch(&snapshot);
        Role::Reader(snapshot)
    }

    /// Somebody wants it: its time begins anew.
    pub(super) fn touch(&self, snapshot: &Snapshot) {
        snapshot.touch();
        drop(self.shared.by_name.get(&snapshot.id()));
    }

    /// The snapshot that was opened for this key is there.
    pub(super) fn publish(&self, key: CacheKey, serial: u64, snapshot: &Arc<Snapshot>) {
        if snapshot.keeping() != Keeping::Unkept {
            self.keep(snapshot);
        }
        if snapshot.keeping() == Keeping::Shared {
            self.shared.by_key.entry(key).and_compute_with(|slot| match slot.map(moka::Entry::into_value) {
                // Somebody wanted a newer one meanwhile.
                Some(Slot::Opening(opening)) if opening.serial != serial => Op::Nop,
                Some(Slot::Opening(_) | Slot::Newest(_)) | None => Op::Put(Slot::Newest(snapshot.id())),
            });
        } else {
            self.release(key, serial);
        }
    }

    /// The snapshot that was asked for by its name is there.
    pub(super) fn republish(&self, snapshot: &Arc<Snapshot>) {
        self.keep(snapshot);
        if matches!(snapshot.state(), State::Running) {
            // What was begun long ago and goes on now is nothing to join for who asks now.
            let id = snapshot.id();
            let is_it = |slot: &Slot| matches!(slot, Slot::Newest(newest) if *newest == id);
            self.remove_slot(snapshot.key(), is_it);
        }
    }

    pub(super) fn keep(&self, snapshot: &Arc<Snapshot>) {
        snapshot.touch();
        self.shared.by_name.insert(snapshot.id(), Entry::Here(Arc::clone(snapshot)));
    }

    /// The opening of this number gives its key back.
    pub(super) fn release(&self, key: CacheKey, serial: u64) {
        self.remove_slot(key, |slot| matches!(slot, Slot::Opening(opening) if opening.serial == serial));
    }

    /// The opening of this number gives its name back.
    pub(super) fn restore(&self, id: SnapshotId, serial: u64, before: &Entry) {
        self.shared.by_name.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(Entry::Opening(opening)) if opening.serial == serial => Op::Put(before.clone()),
            _ => Op::Nop,
        });
    }

    /// The snapshot can't be read any more.
    pub(super) fn forget(&self, id: SnapshotId) {
        self.shared.by_name.invalidate(&id);
    }

    pub(super) fn remove_slot(&self, key: CacheKey, is_it: impl FnOnce(&Slot) -> bool) {
        self.shared.by_key.entry(key).and_compute_with(|slot| match slot.map(moka::Entry::into_value) {
            Some(slot) if is_it(&slot) => Op::Remove,
            _ => Op::Nop,
        });
    }
}

/// What the newest snapshot of a key is.
enum Recent {
    Enough(Role),
    Stale(Arc<Snapshot>),
    Gone,
}

impl Recency {
    /// Whether a growing snapshot will do.
    fn joins(self, snapshot: &Snapshot) -> bool {
        snapshot.log().extent().from == 0 && self.covers(snapshot.facts().created, None)
    }

    /// Whether a complete snapshot will do.
    fn takes(self, snapshot: &Snapshot) -> bool {
        snapshot.log().extent().from == 0 && self.covers(snapshot.facts().created, snapshot.fresh_at())
    }

    fn covers(self, created: SystemTime, fresh_at: Option<SystemTime>) -> bool {
        let Self::Within { fresh_for, max_age } = self else { return false };
        let now = SystemTime::now();
        // A clock that was set back makes nothing old.
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        since(created) <= max_age && fresh_at.is_none_or(|fresh_at| since(fresh_at) < fresh_for)
    }
}

impl Entry {
    /// When it was begun; none where it isn't shared, or is being read again.
    fn shared_since(&self) -> Option<SystemTime> {
        let (keeping, facts) = match self {
            Self::Here(snapshot) => (snapshot.keeping(), snapshot.facts()),
            Self::Stored(stored) => (stored.birth.keeping, &stored.birth.facts),
            Self::Opening(_) => return None,
        };
        (keeping == Keeping::Shared).then_some(facts.created)
    }

    fn key(&self) -> CacheKey {
        match self {
            Self::Here(snapshot) => snapshot.key(),
            Self::Stored(stored) => stored.birth.key,
            Self::Opening(opening) => opening.key,
        }
    }
}
