//! Sessions: names that clients give to snapshots.
//!
//! A name is bound once. It stands for no other snapshot afterwards, also when its own is not kept any more: a client that asks for a part by the name has the
//! bytes before it, and only of the first one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::session_table::SessionTable;
use super::storage::{SessionBinding, SessionFile};
use super::store::Store;
use crate::id::{CacheKey, SnapshotId};

/// Number of lines at which the file is written anew: some 20 MB.
const LONGEST_FILE: usize = 2 * SessionTable::CAPACITY;

#[derive(Debug)]
pub struct Sessions {
    table: Mutex<SessionTable>,
    /// None where snapshots have no files, or the file can't be used.
    file: Mutex<Option<SessionFile>>,
}

impl Sessions {
    pub(super) fn open(store: &Store) -> Self {
        let mut file = store.session_file();
        let mut table = SessionTable::default();
        let read = file.as_ref().map_or_else(|| Ok(Vec::new()), SessionFile::read);
        let written = read.and_then(|bindings| {
            let lines = bindings.len();
            // The newest of a file that is too long.
            for binding in bindings.into_iter().skip(lines.saturating_sub(SessionTable::CAPACITY)) {
                table.bind(binding, None);
            }
            match &mut file {
                Some(file) if lines > 0 => file.rewrite(&table.bindings()),
                Some(_) | None => Ok(()),
            }
        });
        if let Err(error) = written {
            tracing::warn!("sessions are lost at the next start: their file in `dir` can't be used: {error}");
            file = None;
        }
        Self { table: Mutex::new(table), file: Mutex::new(file) }
    }

    /// Returns the binding of a session, whose snapshot may no longer be kept.
    pub fn get(&self, session: CacheKey) -> Option<SessionBinding> {
        self.table.lock().used(session, now())
    }

    /// Makes room for one more name of a caller.
    ///
    /// # Errors
    /// Fails with the time until there may be room, where this caller, or all together, have used too many names of late.
    pub fn make_room(&self, caller: CacheKey) -> Result<(), Duration> {
        self.table.lock().make_room(caller, now()).map_err(Duration::from_secs)
    }

    /// Binds a session for a caller. Returns the binding that it has: another one, if another request was faster. Blocks, where sessions are in a file.
    pub fn bind(&self, session: CacheKey, snapshot: SnapshotId, form: u64, caller: CacheKey) -> SessionBinding {
        let binding = SessionBinding { session, snapshot, form, used: now() };
        let bound = self.table.lock().bind(binding, Some(caller));
        if bound == binding {
            self.write(&binding);
        }
        bound
    }

    fn write(&self, binding: &SessionBinding) {
        let mut place = self.file.lock();
        let Some(file) = &mut *place else { return };
        let written = if file.lines < LONGEST_FILE {
            file.append(binding)
        } else {
            let bindings = self.table.lock().bindings();
            file.rewrite(&bindings)
        };
        if let Err(error) = written {
            tracing::warn!("sessions are lost at the next start: their file in `dir` can't be written: {error}");
            *place = None;
        }
    }
}

/// Returns the time in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SnapshotSettings;
    use crate::snapshot::facts::Birth;

    #[test]
    fn a_session_keeps_its_snapshot_over_a_restart_and_is_bound_once() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            SnapshotSettings { dir: Some(dir.path().to_owned()), disk: 1 << 20, ..SnapshotSettings::in_test() };
        let [one, gone, torn, caller] = [1, 2, 3, 4].map(|byte| CacheKey::from_bytes([byte; 32]));
        let store = Store::open(settings.clone()).unwrap();
        let ids = [store.new_id(), store.new_id()];
        drop(store.create(ids[0], &Birth::in_test("/orders")));
        let sessions = Sessions::open(&store);
        assert_eq!(sessions.get(one), None);
        assert_eq!(sessions.bind(one, ids[0], 7, caller).snapshot, ids[0]);
        assert_eq!(sessions.bind(one, ids[1], 8, caller).snapshot, ids[0], "another request was first");
        // Its snapshot is not in a file.
        sessions.bind(gone, ids[1], 0, caller);
        let path = dir.path().join("sessions");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        std::fs::write(&path, format!("{text}{torn} {} 17\n{torn} 5", ids[0])).unwrap();
        drop((sessions, store));
        let sessions = Sessions::open(&Store::open(settings).unwrap());
        let found = [one, gone, torn].map(|session| sessions.get(session).map(|bound| (bound.snapshot, bound.form)));
        assert_eq!(found, [Some((ids[0], 7)), Some((ids[1], 0)), None]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
