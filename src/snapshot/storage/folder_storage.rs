//! The folder tier: one pair of files for each snapshot, within one disk budget.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::disk_budget::{DiskBudget, FileClaim};
use super::file_io::private;
use super::file_log::FileLog;
use super::folder::Folder;
use super::log_recovery::recover;
use super::types::{Recovered, ReopenError, SECRET_LEN, StoreError, StoredSnapshot, WriteError};
use crate::id::SnapshotId;
use crate::snapshot::facts::Birth;

#[derive(Debug)]
pub(in crate::snapshot) struct FolderStorage {
    folder: Folder,
    budget: Arc<DiskBudget>,
    /// Claims of the snapshots whose files are open.
    claims: Mutex<HashMap<SnapshotId, Weak<FileClaim>>>,
}

impl FolderStorage {
    /// Opens the folder, locks it for this process, and reads its journals.
    pub(super) fn open(
        dir: &Path,
        limit: u64,
        new_secret: [u8; SECRET_LEN],
    ) -> Result<(Self, [u8; SECRET_LEN], Vec<StoredSnapshot>), StoreError> {
        let io = |error| StoreError::Io(dir.to_owned(), error);
        let folder = Folder::open(dir)?;
        let secret = folder.secret(new_secret).map_err(io)?;
        let found = folder.scan().map_err(io)?;
        let budget = Arc::new(DiskBudget::new(limit));
        budget.count(found.bytes);
        Ok((Self { folder, budget, claims: Mutex::default() }, secret, found.stored))
    }

    pub(super) fn create(&self, id: SnapshotId, birth: &Birth) -> Result<FileLog, WriteError> {
        let claim = self.claim(id, || FileClaim::new(Arc::clone(&self.budget), self.folder.paths(id)));
        let create = |path: &Path| private().create_new(true).open(path);
        let files = create(&claim.paths().lines).and_then(|lines| Ok((lines, create(&claim.paths().journal)?)));
        let created = files
            .map_err(WriteError::Io)
            .and_then(|(lines, journal)| FileLog::create(lines, journal, Arc::clone(&claim), Some(id), birth));
        created.inspect_err(|_| {
            if let Err(error) = claim.delete() {
                tracing::debug!(%id, %error, "the files of a snapshot that failed to start are deleted at the next start");
            }
        })
    }

    pub(super) fn reopen(&self, id: SnapshotId) -> Result<Recovered<FileLog>, ReopenError> {
        let claim = self.claim(id, || FileClaim::of_existing(Arc::clone(&self.budget), self.folder.paths(id)));
        let journal = private().open(&claim.paths().journal)?;
        let lines = private().open(&claim.paths().lines)?;
        recover(lines, journal, claim, Some(id))
    }

    pub(super) fn remove(&self, id: SnapshotId) {
        let claim = self.claim(id, || FileClaim::of_existing(Arc::clone(&self.budget), self.folder.paths(id)));
        if let Err(error) = claim.delete() {
            tracing::warn!(%id, %error, "a snapshot's files can't be deleted");
        }
        self.claims.lock().remove(&id);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.budget.used()
    }

    pub(super) fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.budget.on_full(evict);
    }

    /// Returns the claim of the snapshot's files, of which there is one however often they are open.
    fn claim(&self, id: SnapshotId, new: impl FnOnce() -> FileClaim) -> Arc<FileClaim> {
        let mut claims = self.claims.lock();
        if let Some(claim) = claims.get(&id).and_then(Weak::upgrade) {
            return claim;
        }
        if claims.len() == claims.capacity() {
            claims.retain(|_, claim| claim.strong_count() > 0);
        }
        let claim = Arc::new(new());
        claims.insert(id, Arc::downgrade(&claim));
        claim
    }
}
