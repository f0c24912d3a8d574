//! The folder tier: one pair of files for each snapshot, within one disk budget.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::contents::{Recovered, SECRET_LEN, StoredSnapshot};
use super::disk_budget::{DiskBudget, FileClaim};
use super::error::{ReopenError, StoreError, WriteError};
use super::file_log::FileLog;
use super::folder::{FilePaths, Folder};
use super::log_recovery::recover;
use super::open_files::{NamedFile, OpenFiles};
use super::session_file::SessionFile;
use crate::id::SnapshotId;
use crate::snapshot::facts::Birth;

#[derive(Debug)]
pub(in crate::snapshot) struct FolderStorage {
    folder: Folder,
    budget: Arc<DiskBudget>,
    open_files: Arc<OpenFiles>,
    /// Claims of the snapshots that have a log.
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
        let (folder, lock) = Folder::open(dir)?;
        let secret = folder.secret(new_secret).map_err(io)?;
        let found = folder.scan().map_err(io)?;
        let budget = Arc::new(DiskBudget::new(limit));
        budget.count(found.bytes);
        let open_files = OpenFiles::new(Some(lock));
        Ok((Self { folder, budget, open_files, claims: Mutex::default() }, secret, found.stored))
    }

    pub(super) fn session_file(&self) -> SessionFile {
        SessionFile::new(self.folder.sessions())
    }

    pub(super) fn create(&self, id: SnapshotId, birth: &Birth) -> Result<FileLog, WriteError> {
        let claim = self.claim(id, FileClaim::new);
        FileLog::create(Arc::clone(&claim), Some(id), birth).inspect_err(|_| {
            if let Err(error) = claim.delete() {
                tracing::debug!(%id, %error, "the files of a snapshot that failed to start are deleted at the next start");
            }
        })
    }

    pub(super) fn reopen(&self, id: SnapshotId) -> Result<Recovered<FileLog>, ReopenError> {
        recover(self.claim(id, FileClaim::of_existing), Some(id))
    }

    pub(super) fn remove(&self, id: SnapshotId) {
        let claim = self.claim(id, FileClaim::of_existing);
        if let Err(error) = claim.delete() {
            tracing::warn!(%id, %error, "a snapshot's files can't be deleted");
        }
        self.claims.lock().remove(&id);
    }

    /// Resolves when no task writes a file.
    pub(super) async fn written(&self) {
        self.open_files.writes().close();
        self.open_files.writes().wait().await;
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.budget.used()
    }

    pub(super) fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.budget.on_full(evict);
    }

    /// Returns the claim of the snapshot's files, of which there is one for all their logs.
    fn claim(
        &self,
        id: SnapshotId,
        new: impl FnOnce(Arc<DiskBudget>, NamedFile, NamedFile) -> FileClaim,
    ) -> Arc<FileClaim> {
        let mut claims = self.claims.lock();
        if let Some(claim) = claims.get(&id).and_then(Weak::upgrade) {
            return claim;
        }
        if claims.len() == claims.capacity() {
            claims.retain(|_, claim| claim.strong_count() > 0);
        }
        let FilePaths { lines, journal } = self.folder.paths(id);
        let [lines, journal] = [lines, journal].map(|path| NamedFile::new(path, &self.open_files));
        let claim = Arc::new(new(Arc::clone(&self.budget), lines, journal));
        claims.insert(id, Arc::downgrade(&claim));
        claim
    }
}
