//! Storage of snapshots: the seam between logs and the tiers that keep their bytes.
//!
//! A tier is one variant of [`Storage`], which has the snapshots of a process, and one of [`LogStorage`], which has the bytes of one log.
//! Nothing above this folder names a file. Another tier, such as an object store, is a variant of both and a file next to
//! `folder_storage.rs`; [`Storage::open`] chooses it.

mod contents;
mod derived_file;
mod disk_budget;
mod error;
mod file_io;
mod file_log;
mod folder;
mod folder_storage;
pub mod journal;
mod log_recovery;
mod open_files;
mod session_file;
mod single_file;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;

pub use self::contents::StoredSnapshot;
pub(super) use self::contents::{LogEntry, LossPolicy, Recovered, SECRET_LEN, StoredExtent};
pub(super) use self::derived_file::DerivedFile;
pub(super) use self::error::WriteError;
pub use self::error::{ReopenError, StoreError};
use self::file_log::FileLog;
use self::folder_storage::FolderStorage;
pub(super) use self::session_file::SessionFile;
pub use self::session_file::{BindingState, SessionBinding};
pub(super) use self::single_file::RecoveredFile;
pub use self::single_file::{commit as commit_single_file, recover_single_file};
use crate::config::SnapshotSettings;
use crate::id::SnapshotId;
use crate::snapshot::facts::Birth;

/// Snapshots of a process that outlive their readers.
#[derive(Debug)]
pub(super) enum Storage {
    /// None: every log ends with the process.
    Memory,
    Folder(Box<FolderStorage>),
}

/// A storage with its contents at the time of opening.
pub(super) struct OpenedStorage {
    pub(super) storage: Storage,
    pub(super) secret: [u8; SECRET_LEN],
    pub(super) stored: Vec<StoredSnapshot>,
}

/// Stored bytes of one log; clones share them. Every call may block, except [`LogStorage::read_cached`].
#[derive(Clone, Debug)]
pub(super) enum LogStorage {
    /// None: the log has all its bytes in memory.
    Memory,
    Files(Arc<FileLog>),
}

impl Storage {
    /// Opens the storage of the settings. `secret` becomes its secret if it has none.
    pub(super) fn open(settings: &SnapshotSettings, secret: [u8; SECRET_LEN]) -> Result<OpenedStorage, StoreError> {
        match settings.dir.as_deref().filter(|_| settings.disk > 0) {
            Some(dir) => {
                let (folder, secret, stored) = FolderStorage::open(dir, settings.disk, secret)?;
                Ok(OpenedStorage { storage: Self::Folder(Box::new(folder)), secret, stored })
            }
            None => Ok(OpenedStorage { storage: Self::Memory, secret, stored: Vec::new() }),
        }
    }

    pub(super) fn session_file(&self) -> Option<SessionFile> {
        match self {
            Self::Memory => None,
            Self::Folder(folder) => Some(folder.session_file()),
        }
    }

    pub(super) fn create(&self, id: SnapshotId, birth: &Birth) -> Result<LogStorage, WriteError> {
        match self {
            Self::Memory => Ok(LogStorage::Memory),
            Self::Folder(folder) => folder.create(id, birth).map(LogStorage::files),
        }
    }

    /// Reads a log and verifies its bytes. From now on, the log that was open before takes no more writes.
    pub(super) fn reopen(&self, id: SnapshotId) -> Result<Recovered<LogStorage>, ReopenError> {
        match self {
            Self::Memory => Err(ReopenError::Unknown),
            Self::Folder(folder) => folder.reopen(id).map(|recovered| recovered.map_storage(LogStorage::files)),
        }
    }

    /// Deletes a log. Its readers still get all of its bytes.
    pub(super) fn remove(&self, id: SnapshotId) {
        match self {
            Self::Memory => {}
            Self::Folder(folder) => folder.remove(id),
        }
    }

    /// Resolves when no task of [`LogStorage::spawn_write`] is left.
    pub(super) async fn written(&self) {
        match self {
            Self::Memory => {}
            Self::Folder(folder) => folder.written().await,
        }
    }

    /// Returns the number of bytes of all logs, including deleted ones that are still read.
    pub(super) fn used_bytes(&self) -> u64 {
        match self {
            Self::Memory => 0,
            Self::Folder(folder) => folder.used_bytes(),
        }
    }

    /// Registers the function that deletes finished snapshots when the budget is used up. It is told the number of missing bytes and returns
    /// true if it has deleted one; it is called until there is room, on the thread that writes, and may call [`Storage::remove`].
    pub(super) fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        match self {
            Self::Memory => {}
            Self::Folder(folder) => folder.on_full(evict),
        }
    }
}

#[cfg(test)]
impl LogStorage {
    /// Creates two new files in a folder, which together may have `limit` bytes more than their birth needs.
    pub(super) fn in_folder(folder: &std::path::Path, limit: u64) -> Self {
        Self::Files(FileLog::in_folder(folder, limit))
    }

    /// Opens such files again, with a journal that can't be deleted.
    pub(super) fn undeletable(folder: &std::path::Path, limit: u64, journal: &std::fs::OpenOptions) -> Self {
        Self::Files(FileLog::undeletable(folder, limit, journal))
    }
}

impl LogStorage {
    fn files(files: FileLog) -> Self {
        Self::Files(Arc::new(files))
    }

    /// Creates a log in two files of the caller's own, outside of any folder of snapshots.
    pub(super) fn create_single_file(lines: PathBuf, journal: PathBuf, birth: &Birth) -> io::Result<Self> {
        single_file::create(lines, journal, birth).map(Self::files)
    }

    /// Returns true if appended bytes are to be stored before readers get them.
    pub(super) fn is_durable(&self) -> bool {
        !matches!(self, Self::Memory)
    }

    /// Returns the end of the bytes that were stored before an interruption: they must come again identical.
    pub(super) fn replay_end(&self) -> u64 {
        match self {
            Self::Memory => 0,
            Self::Files(files) => files.replay_end(),
        }
    }

    /// Returns the end of the bytes that are known to be those from before an interruption.
    pub(super) fn verified_end(&self) -> u64 {
        match self {
            Self::Memory => u64::MAX,
            Self::Files(files) => files.verified_end(),
        }
    }

    /// Runs a task that calls [`LogStorage::write`] and [`LogStorage::append`], on a thread that may wait.
    pub(super) fn spawn_write(&self, runtime: &Handle, task: impl FnOnce() + Send + 'static) {
        match self {
            Self::Memory => drop(runtime.spawn_blocking(task)),
            Self::Files(files) => drop(files.writes().spawn_blocking_on(task, runtime)),
        }
    }

    /// Stores the next bytes, which begin at `at`; one call at a time.
    pub(super) fn write(&self, at: u64, pieces: &[Bytes]) -> Result<(), WriteError> {
        match self {
            Self::Memory => Ok(()),
            Self::Files(files) => files.write(at, pieces),
        }
    }

    /// Stores an entry about bytes that were written before.
    pub(super) fn append(&self, entry: &LogEntry<'_>) -> Result<(), WriteError> {
        match self {
            Self::Memory => Ok(()),
            Self::Files(files) => files.append(entry),
        }
    }

    /// Reads 1 to `most` bytes over those of `buffer` without waiting for a device; returns `None` if it would have to wait.
    pub(super) fn read_cached(&self, at: u64, most: usize, buffer: BytesMut) -> io::Result<Option<Bytes>> {
        match self {
            Self::Memory => Err(io::ErrorKind::NotFound.into()),
            Self::Files(files) => files.read_cached(at, most, buffer),
        }
    }

    /// Reads 1 to `most` bytes.
    pub(super) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        match self {
            Self::Memory => Err(io::ErrorKind::NotFound.into()),
            Self::Files(files) => files.read(at, most),
        }
    }

    /// Creates a file for bytes that are made of the log; returns `None` where the log is in memory alone.
    pub(super) fn create_derived(&self) -> io::Result<Option<DerivedFile>> {
        match self {
            Self::Memory => Ok(None),
            Self::Files(files) => files.create_derived().map(Some),
        }
    }

    pub(super) fn loss_policy(&self) -> LossPolicy {
        match self {
            Self::Memory => LossPolicy::Continue,
            Self::Files(files) => files.loss_policy(),
        }
    }

    /// Deletes the log so that no later process finds it; its readers go on.
    pub(super) fn disown(&self) -> Result<(), WriteError> {
        match self {
            Self::Memory => Ok(()),
            Self::Files(files) => files.disown(),
        }
    }
}
