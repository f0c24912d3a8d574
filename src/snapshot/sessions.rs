//! Sessions: names that clients give to snapshots.
//!
//! A name that was answered stands for no other snapshot afterwards, also when its own is not kept any more: a client that asks for a part by the name has
//! the bytes before it, and only of the first one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::session_table::SessionTable;
use super::storage::{BindingState, SessionBinding, SessionFile};
use super::store::Store;
use crate::id::{CacheKey, SnapshotId};

/// Number of lines at which the file is written anew: some 20 MB.
const LONGEST_FILE: usize = 2 * SessionTable::CAPACITY;

/// A binding that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct NewBinding {
    pub session: CacheKey,
    pub snapshot: SnapshotId,
    /// Hash of the representation.
    pub form: u64,
    pub state: BindingState,
    /// Snapshot that the session awaits in vain: it can't be had whole any more.
    pub lost: Option<SnapshotId>,
}

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
            table = SessionTable::restored(bindings);
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

    /// Binds a session for a caller, in place of a lost snapshot that it awaits. Returns the binding that it has: another one, if another request was
    /// faster. Blocks, where sessions are in a file.
    pub fn bind(&self, wanted: NewBinding, caller: CacheKey) -> SessionBinding {
        let NewBinding { session, snapshot, form, state, lost } = wanted;
        let binding = SessionBinding { session, snapshot, form, state, used: now() };
        // Held over both steps: the last line of a session is what the table has.
        let mut file = self.file.lock();
        let (bound, changes) = self.table.lock().bind(binding, caller, lost);
        if changes {
            self.write(&mut file, &bound);
        }
        bound
    }

    fn write(&self, place: &mut Option<SessionFile>, binding: &SessionBinding) {
        let Some(file) = place else { return };
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
        use BindingState::{Answered, Awaited};
        let dir = tempfile::tempdir().unwrap();
        let settings =
            SnapshotSettings { dir: Some(dir.path().to_owned()), disk: 1 << 20, ..SnapshotSettings::in_test() };
        let [one, gone, torn, caller] = [1, 2, 3, 4].map(|byte| CacheKey::from_bytes([byte; 32]));
        let store = Store::open(settings.clone()).unwrap();
        let ids = [store.new_id(), store.new_id()];
        drop(store.create(ids[0], &Birth::in_test("/orders")));
        let sessions = Sessions::open(&store);
        assert_eq!(sessions.get(one), None);
        let new = |session, snapshot, form, state| NewBinding { session, snapshot, form, state, lost: None };
        for state in [Awaited, Awaited, Answered] {
            assert_eq!(sessions.bind(new(one, ids[0], 7, state), caller).state, state);
        }
        let late = sessions.bind(new(one, ids[1], 8, Answered), caller);
        assert_eq!(late.snapshot, ids[0], "another request was first");
        // Its snapshot is not in a file.
        sessions.bind(new(gone, ids[1], 0, Awaited), caller);
        let path = dir.path().join("sessions");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        std::fs::write(&path, format!("{text}{torn} {} 17\n{torn} {} 17 0000\n{torn} 5", ids[0], ids[0])).unwrap();
        drop((sessions, store));
        let sessions = Sessions::open(&Store::open(settings).unwrap());
        let found = [one, gone, torn].map(|session| sessions.get(session).map(|is| (is.snapshot, is.form, is.state)));
        assert_eq!(found, [Some((ids[0], 7, Answered)), Some((ids[1], 0, Awaited)), None]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
