//! Registry of a process's snapshots: lookups by cache key and by id, with one leader for each opening.
//!
//! One caller becomes the leader of an opening, and all others with the same key follow. Each decision is atomic for its key, so that no
//! caller leads that could have followed. The registry itself opens nothing and runs nothing: the leader does that elsewhere, so that a
//! client that leaves takes nothing with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use moka::ops::compute::Op;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::cache_stats::CacheStats;
use super::expiry_and_eviction::{self, DropOutcome, ExpiryPolicy};
use super::facts::Retention;
use super::key_history::{CAPACITY, KeyHistory};
use super::leader::{FlightLeader, FlightScope};
use super::listing::{self, SnapshotListing};
use super::lookup_result::{LookupPurpose, LookupResult, Recency};
use super::request_keys::RequestKeys;
use super::sessions::Sessions;
use super::single_flight::{Flight, FlightRole};
use super::snapshot::{Snapshot, SnapshotState};
use super::snapshot_index::{IdEntry, KeySlot, SnapshotIndex};
use super::store::Store;
use crate::id::{CacheKey, SnapshotId};

/// The snapshots of a process; clones share them.
#[derive(Clone, Debug)]
pub struct Registry {
    index: Arc<SnapshotIndex>,
    counts: Arc<RegistryCounts>,
    sessions: Arc<Sessions>,
}

#[derive(Debug, Default)]
struct RegistryCounts {
    flights: AtomicU64,
    stats: CacheStats,
}

impl Registry {
    /// Creates a registry with the contents of this store. `keep_for` is the time that snapshots of an earlier process are kept.
    pub fn new(store: Store, keep_for: Duration) -> Self {
        let doomed = Arc::new(Mutex::new(Vec::new()));
        let by_id = expiry_and_eviction::cache(ExpiryPolicy { keep_for }, &doomed);
        let by_key = Cache::builder().build();
        let mut stored = store.stored();
        // Of several with one key the newest comes last, and stays.
        stored.sort_by_key(|stored| stored.birth.facts.created);
        for stored in stored {
            if stored.verdict.is_some() && stored.birth.retention == Retention::Shared {
                by_key.insert(stored.birth.key, KeySlot::Newest(stored.id));
            }
            by_id.insert(stored.id, IdEntry::Stored(Arc::new(stored)));
        }
        let history = KeyHistory::with_capacity(CAPACITY);
        let sessions = Arc::new(Sessions::open(&store));
        let index = Arc::new(SnapshotIndex { store, by_key, by_id, keep_for, doomed, history });
        expiry_and_eviction::evict_when_full(&index);
        Self { index, counts: Arc::default(), sessions }
    }

    pub fn store(&self) -> &Store {
        &self.index.store
    }

    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub fn cache_stats(&self) -> &CacheStats {
        &self.counts.stats
    }

    /// Looks up a snapshot by its key. `admit` is called before the caller becomes the leader, and may refuse that.
    pub fn open<E>(
        &self,
        key: CacheKey,
        recency: Recency,
        admit: impl FnOnce() -> Result<(), E>,
    ) -> Result<LookupResult, E> {
        let mut result = None;
        self.index.by_key.entry(key).and_compute_with(|slot| {
            let newest = match slot.map(moka::Entry::into_value) {
                Some(KeySlot::Opening(flight)) if recency != Recency::New => {
                    Ok(LookupResult::Follow(flight.subscribe(FlightRole::Follower)))
                }
                Some(KeySlot::Newest(id)) => self.newest(id, recency),
                Some(KeySlot::Opening(_)) | None => Err(None),
            };
            let (outcome, op) = match newest.map_err(|stale| admit().map(|()| stale)) {
                Ok(found) => (Ok(found), Op::Nop),
                Err(Ok(stale)) => {
                    let flight = self.new_flight(key);
                    let lead = FlightLeader::new(&self.index, FlightScope::Key(key), flight.clone()).with_stale(stale);
                    (Ok(LookupResult::Lead(lead)), Op::Put(KeySlot::Opening(flight)))
                }
                Err(Err(refusal)) => (Err(refusal), Op::Nop),
            };
            result = Some(outcome);
            op
        });
        let result = result.expect("the cache calls the closure once");
        self.counts.stats.count_by_key(&result);
        result
    }

    /// Makes a caller the leader of a snapshot that no other caller may have.
    pub fn open_alone<E>(&self, key: CacheKey, admit: impl FnOnce() -> Result<(), E>) -> Result<FlightLeader, E> {
        let lead = admit().map(|()| FlightLeader::new(&self.index, FlightScope::Alone, self.new_flight(key)));
        self.counts.stats.count_alone(lead.is_ok());
        lead
    }

    /// Looks up a snapshot by its id, for a caller with these keys. Returns `None` if there is none for this caller.
    pub fn find(&self, id: SnapshotId, keys: RequestKeys, purpose: LookupPurpose) -> Option<LookupResult> {
        let mut found = None;
        self.index.by_id.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(entry) if !keys.may_read(entry.key(), entry.reader()) => Op::Nop,
            None => Op::Nop,
            Some(IdEntry::Opening { flight, .. }) => {
                found = Some(LookupResult::Follow(flight.subscribe(FlightRole::Follower)));
                Op::Nop
            }
            Some(IdEntry::Here(snapshot)) if purpose == LookupPurpose::Look || !snapshot.is_resumable() => {
                found = Some(LookupResult::Found(snapshot));
                Op::Nop
            }
            // The pages that are left would be another caller's, as far as the fields tell.
            Some(entry) if purpose == LookupPurpose::Read && entry.key() != keys.shared && entry.is_interrupted() => {
                found = Some(LookupResult::OtherFields);
                Op::Nop
            }
            Some(entry) => {
                let stored = if let IdEntry::Stored(stored) = &entry { Some(Arc::clone(stored)) } else { None };
                let (flight, reader) = (self.new_flight(entry.key()), entry.reader());
                let scope = FlightScope::Id(id, Box::new(entry));
                found = Some(LookupResult::Lead(FlightLeader::new(&self.index, scope, flight.clone())));
                Op::Put(IdEntry::Opening { flight, reader, stored })
            }
        });
        if let Some(LookupResult::Found(snapshot)) = &found {
            self.index.touch(snapshot);
        }
        self.counts.stats.count_by_id(found.as_ref());
        found
    }

    /// Returns `true` for the id of a snapshot that is kept, for any caller.
    pub fn has(&self, id: SnapshotId) -> bool {
        self.index.by_id.contains_key(&id)
    }

    /// Gives a snapshot of an earlier process, which has this older key, the keys that requests for it have now.
    pub fn rekey(&self, id: SnapshotId, older: CacheKey, keys: RequestKeys) {
        self.index.rekey(id, older, keys);
    }

    /// Returns the newest snapshot of a key that is kept and shared.
    pub fn newest_of(&self, key: CacheKey) -> Option<SnapshotId> {
        let shared = self.index.of(key).filter_map(|(id, entry)| Some((entry.shared_since()?, id)));
        shared.max_by_key(|(created, _)| *created).map(|(_, id)| id)
    }

    /// Returns the newest complete snapshot of a key that requests share and that is recent enough, with the start of its crawl.
    pub fn newest_complete(&self, key: CacheKey, recency: Recency) -> Option<(SystemTime, SnapshotId)> {
        let complete = self.index.of(key).filter(|(_, entry)| is_complete(entry, recency));
        let created = complete.filter_map(|(id, entry)| Some((entry.shared_since()?, id)));
        created.max_by_key(|(created, _)| *created)
    }

    /// Returns the only snapshot of a key that a client can have a part of: no other was begun here or is kept, and this one is whole.
    pub fn only_of(&self, key: CacheKey) -> Option<SnapshotId> {
        let only = self.index.history.only(key)?;
        let mut kept = self.index.of(key);
        let (Some((id, IdEntry::Here(snapshot))), None) = (kept.next(), kept.next()) else { return None };
        let is_whole = snapshot.log().extent().from == 0;
        (id == only && is_whole && snapshot.retention() == Retention::Shared).then_some(id)
    }

    /// Notes the end of a snapshot's crawl: its time to be kept starts.
    pub fn ended(&self, snapshot: &Arc<Snapshot>) {
        snapshot.end();
        self.index.touch(snapshot);
    }

    /// Drops a snapshot that is neither written nor read.
    pub fn drop_idle(&self, id: SnapshotId) -> DropOutcome {
        expiry_and_eviction::drop_idle(&self.index, id)
    }

    /// Returns all kept snapshots, the newest first.
    pub fn list(&self) -> Vec<SnapshotListing> {
        listing::list(&self.index)
    }

    /// Expires snapshots and deletes their files, every `period`, for as long as the registry lives.
    pub fn maintain(&self, period: Duration) -> impl Future<Output = ()> + Send + use<> {
        expiry_and_eviction::maintain(&self.index, period)
    }

    fn new_flight(&self, key: CacheKey) -> Flight {
        Flight::new(key, self.counts.flights.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the newest snapshot of a key where it is recent enough, else a stale one that the upstream may revalidate.
    fn newest(&self, id: SnapshotId, recency: Recency) -> Result<LookupResult, Option<Arc<Snapshot>>> {
        match self.index.by_id.get(&id) {
            Some(IdEntry::Here(snapshot)) => match snapshot.state() {
                SnapshotState::Running if recency.accepts_growing(&snapshot) => Ok(self.found(snapshot)),
                SnapshotState::Complete(_) if recency.accepts_complete(&snapshot) => Ok(self.found(snapshot)),
                // A snapshot without its beginning is of no use, fresh or stale.
                SnapshotState::Complete(_) if snapshot.log().extent().from == 0 => Err(Some(snapshot)),
                SnapshotState::Complete(_)
                | SnapshotState::Running
                | SnapshotState::Broken(_)
                | SnapshotState::Stopped => Err(None),
            },
            Some(IdEntry::Stored(stored) | IdEntry::Opening { stored: Some(stored), .. })
                if recency.covers(stored.birth.facts.created, Some(stored.modified)) =>
            {
                Ok(LookupResult::Stored(id))
            }
            Some(IdEntry::Stored(_) | IdEntry::Opening { .. }) | None => Err(None),
        }
    }

    fn found(&self, snapshot: Arc<Snapshot>) -> LookupResult {
        self.index.touch(&snapshot);
        LookupResult::Found(snapshot)
    }
}

/// Returns `true` for a complete snapshot that is recent enough.
fn is_complete(entry: &IdEntry, recency: Recency) -> bool {
    match entry {
        IdEntry::Here(snapshot) => {
            matches!(snapshot.state(), SnapshotState::Complete(_)) && recency.accepts_complete(snapshot)
        }
        IdEntry::Stored(stored) => {
            stored.verdict.is_some() && recency.covers(stored.birth.facts.created, Some(stored.modified))
        }
        IdEntry::Opening { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SnapshotSettings;
    use crate::error::{Failure, Fault};
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::facts::Birth;
    use crate::snapshot::log::transient_log;
    use crate::snapshot::seal::Seal;

    #[tokio::test]
    async fn a_request_by_key_follows_the_reopening_of_a_stored_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            SnapshotSettings { dir: Some(dir.path().to_owned()), disk: 1 << 20, ..SnapshotSettings::in_test() };
        let birth = Birth::in_test("/orders");
        let store = Store::open(settings.clone()).unwrap();
        let (writer, log) = store.create(store.new_id(), &birth);
        writer.seal(Seal::Complete(Verdict::in_test(0, 1)));
        log.ended().await;
        store.written().await;
        drop((log, store));

        let registry = Registry::new(Store::open(settings).unwrap(), Duration::from_secs(60));
        let open = |max_age| {
            let recency = Recency::Within { fresh_for: Duration::from_secs(60), max_age };
            registry.open(birth.key, recency, || Err(())).ok()
        };
        let recent = Duration::from_secs(1 << 40);
        let keys = RequestKeys { shared: birth.key, reader: CacheKey::from_bytes([8; 32]) };
        let Some(LookupResult::Stored(id)) = open(recent) else { panic!("it is stored") };
        let Some(LookupResult::Lead(lead)) = registry.find(id, keys, LookupPurpose::Read) else { panic!() };
        // It is being read: another request finds it all the same, and follows.
        assert!(matches!(open(recent), Some(LookupResult::Stored(same)) if same == id));
        assert!(matches!(registry.find(id, keys, LookupPurpose::Read), Some(LookupResult::Follow(_))));
        assert!(open(Duration::ZERO).is_none(), "too old");
        lead.unreadable();
        assert!(open(recent).is_none());
    }

    #[test]
    fn a_snapshot_whose_files_have_its_end_is_never_resumed_again() {
        let registry = Registry::new(Store::open(SnapshotSettings::in_test()).unwrap(), Duration::from_secs(60));
        let Birth { key, facts, .. } = Birth::in_test("/orders");
        let broken = || {
            let (writer, log) = transient_log(1);
            writer.seal(Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "what", "hint"))));
            let (id, keep_for) = (registry.store().new_id(), Duration::from_secs(60));
            Snapshot::new(id, key, facts.clone(), log, Retention::Private, keep_for)
        };
        for (snapshot, leads) in [(broken(), true), (broken().with_end(SystemTime::now()), false)] {
            let snapshot = Arc::new(snapshot);
            registry.index.keep(&snapshot);
            for _ in 0..2 {
                match registry.find(snapshot.id(), RequestKeys { shared: key, reader: key }, LookupPurpose::Read) {
                    // Its files can't be read: the first look finds that.
                    Some(LookupResult::Lead(lead)) => {
                        assert!(leads && snapshot.is_resumable());
                        lead.unreadable();
                        assert!(!snapshot.is_resumable());
                    }
                    Some(LookupResult::Found(found)) => {
                        assert!(Arc::ptr_eq(&found, &snapshot) && !snapshot.is_resumable());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
