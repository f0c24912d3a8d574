//! Vocabulary of storage: entries that are written, contents that are found again, and errors.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::value::RawValue;

use crate::error::Failure;
use crate::id::SnapshotId;
use crate::pagination::verdict::Verdict;
use crate::snapshot::facts::Birth;
use crate::snapshot::record_index::RecordIndex;
use crate::snapshot::seal::Seal;

/// Length of the secret that cache keys are made with, in bytes.
pub(in crate::snapshot) const SECRET_LEN: usize = 32;

/// Entry of a log's journal. It speaks of bytes that were written before it.
#[derive(Clone, Copy, Debug)]
pub(in crate::snapshot) enum LogEntry<'a> {
    /// A page is complete; `bytes` and `records` count from the start of the log to the end of the page.
    Page {
        bytes: u64,
        records: u64,
        note: &'a RawValue,
    },
    Complete(&'a Verdict),
    /// The crawl broke for a reason that a retry does not mend.
    Failed(&'a Failure),
}

/// Reaction of a log to a storage that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::snapshot) enum LossPolicy {
    /// The log goes on in memory for its readers, and its stored bytes are deleted.
    Continue,
    /// The log ends: the stored bytes are its purpose. They are kept.
    Stop,
}

/// Snapshot that the storage had when it was opened.
#[derive(Clone, Debug)]
pub struct StoredSnapshot {
    pub id: SnapshotId,
    pub birth: Birth,
    /// Number of bytes in complete pages.
    pub bytes: u64,
    pub records: u64,
    pub pages: u64,
    /// `None` if the crawl was interrupted or broke: only [`Store::reopen`](crate::snapshot::Store::reopen) tells which.
    pub verdict: Option<Verdict>,
    /// Last write to the snapshot.
    pub modified: SystemTime,
}

/// Contents of a stored log: complete pages, or everything if the log has ended.
#[derive(Debug)]
pub(in crate::snapshot) struct StoredExtent {
    pub(in crate::snapshot) bytes: u64,
    pub(in crate::snapshot) records: u64,
    pub(in crate::snapshot) index: RecordIndex,
}

/// A log that was found in storage tier `S`.
#[derive(Debug)]
pub(in crate::snapshot) struct Recovered<S> {
    pub(in crate::snapshot) storage: S,
    pub(in crate::snapshot) birth: Birth,
    pub(in crate::snapshot) extent: StoredExtent,
    pub(in crate::snapshot) end: Option<Seal>,
    /// Notes of the crawl, one for each complete page.
    pub(in crate::snapshot) notes: Vec<Box<RawValue>>,
    /// Last record of the complete pages, without its newline.
    pub(in crate::snapshot) last: Option<Vec<u8>>,
    /// Last write to the log.
    pub(in crate::snapshot) modified: SystemTime,
}

impl<S> Recovered<S> {
    pub(super) fn map_storage<T>(self, map: impl FnOnce(S) -> T) -> Recovered<T> {
        let Self { storage, birth, extent, end, notes, last, modified } = self;
        Recovered { storage: map(storage), birth, extent, end, notes, last, modified }
    }
}

/// Error of a write. The bytes and entries that were stored before are unchanged.
#[derive(Debug, thiserror::Error)]
pub(in crate::snapshot) enum WriteError {
    /// Also returned to a crawl whose log was reopened meanwhile: its epoch is over.
    #[error("other bytes were written at this place before the crawl was interrupted")]
    Changed,
    #[error("the disk budget is used up")]
    NoRoom,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Error of a folder that can't be used for snapshots.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another process keeps its snapshots in {}", .0.display())]
    Locked(PathBuf),
    #[error("{} belongs to another user: snapshots need a folder of their own", .0.display())]
    Foreign(PathBuf),
    #[error("other users may write to {}: snapshots need a folder of mode 0700", .0.display())]
    Open(PathBuf),
    #[error("snapshots can't be kept in {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

impl StoreError {
    /// Returns the remedy.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked(_) => "stop that process, or set `dir` in [snapshots] to another folder",
            Self::Foreign(_) | Self::Open(_) => "set `dir` in [snapshots] to a folder that is this user's alone",
            Self::Io(..) => {
                "set `dir` in [snapshots] to a folder that this user can write to, or `disk` to \"0\" for none"
            }
        }
    }
}

/// Error of a stored snapshot that can't be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    #[error("no such snapshot is kept")]
    Unknown,
    #[error("the snapshot's files are damaged: {0}")]
    Damaged(String),
    #[error("the snapshot's files have version {0}, which a newer unpage has written")]
    Newer(u32),
    #[error("the snapshot's files can't be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ReopenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Unknown,
            _ => Self::Io(error),
        }
    }
}
