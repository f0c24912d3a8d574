//! Contents of a storage: entries that are written, and logs and snapshots that are found again.

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
