//! Sessions: names that clients give to snapshots. Each is bound to one snapshot, for as long as that is kept and for 24 h at most.

use std::collections::BTreeSet;
use std::time::Duration;

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::storage::{SessionBinding, SessionFile};
use super::store::Store;
use crate::id::{CacheKey, SnapshotId};

const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of sessions that are remembered, at some 400 bytes each; the longest unused are forgotten first.
const CAPACITY: u64 = 10_000;

/// Number of lines at which the file is written anew.
const LONGEST_FILE: usize = 4 * CAPACITY as usize;

#[derive(Debug)]
pub struct Sessions {
    bound: Cache<CacheKey, SessionBinding>,
    /// None where snapshots have no files, or the file can't be used.
    file: Mutex<Option<SessionFile>>,
}

impl Sessions {
    /// Reads the sessions whose snapshots this store has.
    pub(super) fn open(store: &Store) -> Self {
        let bound = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(LIFE)
            // The default policy may refuse a new entry for the sake of an older one.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let mut file = store.session_file();
        let kept: BTreeSet<_> = store.stored().iter().map(|stored| stored.id).collect();
        let read = file.as_ref().map_or_else(|| Ok(Vec::new()), SessionFile::read);
        let written = read.and_then(|mut bindings| {
            let before = bindings.len();
            bindings.retain(|binding| kept.contains(&binding.snapshot) && binding.is_younger_than(LIFE));
            bindings.iter().for_each(|binding| bound.insert(binding.session, *binding));
            match &mut file {
                Some(file) if before > 0 => file.rewrite(&bindings),
                Some(_) | None => Ok(()),
            }
        });
        if let Err(error) = written {
            tracing::warn!("sessions are lost at the next start: their file in `dir` can't be used: {error}");
            file = None;
        }
        Self { bound, file: Mutex::new(file) }
    }

    /// Returns the snapshot of a session, which may no longer be kept.
    pub fn get(&self, session: CacheKey) -> Option<SnapshotId> {
        self.bound.get(&session).map(|binding| binding.snapshot)
    }

    /// Binds a session whose snapshot was `before`. Returns the snapshot that it has now: another one, if another request has bound it meanwhile. Blocks,
    /// where sessions are in a file.
    pub fn bind(&self, session: CacheKey, before: Option<SnapshotId>, snapshot: SnapshotId) -> SnapshotId {
        let mut is = snapshot;
        let mut added = None;
        self.bound.entry(session).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(bound) if Some(bound.snapshot) != before || bound.snapshot == snapshot => {
                is = bound.snapshot;
                Op::Nop
            }
            Some(_) | None => Op::Put(*added.insert(SessionBinding::new(session, snapshot))),
        });
        if let Some(binding) = added {
            self.write(&binding);
        }
        is
    }

    fn write(&self, binding: &SessionBinding) {
        let mut place = self.file.lock();
        let Some(file) = &mut *place else { return };
        let written = if file.lines < LONGEST_FILE {
            file.append(binding)
        } else {
            let mut bindings: Vec<_> = self.bound.iter().map(|(_, binding)| binding).collect();
            bindings.sort_by_key(|binding| binding.since);
            file.rewrite(&bindings)
        };
        if let Err(error) = written {
            tracing::warn!("sessions are lost at the next start: their file in `dir` can't be written: {error}");
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SlowReader, SnapshotSettings};
    use crate::snapshot::facts::Birth;

    #[test]
    fn a_session_keeps_its_snapshot_over_a_restart_and_is_bound_once() {
        let dir = tempfile::tempdir().unwrap();
        let settings = SnapshotSettings {
            dir: Some(dir.path().to_owned()),
            memory: 1 << 20,
            disk: 1 << 20,
            slow_reader: SlowReader::Wait,
            linger: Duration::ZERO,
            ahead: u64::MAX,
        };
        let [one, two, torn] = [1, 2, 3].map(|byte| CacheKey::from_bytes([byte; 32]));
        let store = Store::open(settings.clone()).unwrap();
        let ids = [store.new_id(), store.new_id()];
        for id in ids {
            drop(store.create(id, &Birth::in_test("/orders")));
        }
        let sessions = Sessions::open(&store);
        assert_eq!((sessions.get(one), sessions.bind(one, None, ids[0])), (None, ids[0]));
        assert_eq!(sessions.bind(one, None, ids[1]), ids[0], "another request was first");
        assert_eq!(sessions.bind(two, None, ids[0]), ids[0]);
        assert_eq!(sessions.bind(two, Some(ids[0]), ids[1]), ids[1]);
        // Its snapshot is not in a file.
        sessions.bind(torn, None, store.new_id());
        let path = dir.path().join("sessions");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        std::fs::write(&path, format!("{text}{torn} {} 17\n{torn} 5", ids[0])).unwrap();
        drop((sessions, store));
        let store = Store::open(settings).unwrap();
        let sessions = Sessions::open(&store);
        assert_eq!([one, two, torn].map(|session| sessions.get(session)), [Some(ids[0]), Some(ids[1]), None]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}
