//! Log of one snapshot: one writer, and readers that start at any byte.
//!
//! ```text
//!   Open ── append ──▶ Open            (waits while there is no room)
//!   Open ── seal ────▶ Sealed          (the only way to a clean end)
//!   Open ── drop ────▶ Sealed(Failed)  (a dead crawl can't look finished)
//! ```

mod crawl_memory;
mod cursors;
mod flush;
mod flush_queue;
mod log_state;
mod memory_budget;
mod reader;
mod tiers;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use self::crawl_memory::{CrawlMemory, UsedMemory};
use self::flush_queue::FlushQueue;
pub use self::flush_queue::WriteRefused;
use self::log_state::{LogShared, LogState};
pub use self::memory_budget::MemoryBudget;
pub use self::reader::{Reader, ReaderEvent};
use self::tiers::Tiers;
pub use self::writer::Writer;
use super::seal::Seal;
use super::storage::{DerivedFile, LogStorage, StoredExtent};
use crate::config::{SlowReader, SnapshotSettings};
use crate::error::Failure;
use crate::format::{RecordOffset, ndjson};

/// Number of bytes that the search for the last record of a stored log reads at once.
const TAIL: u64 = 64 * 1024;

/// Readers' end of a log; clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<LogShared>,
}

/// Extent of a log at one moment.
#[derive(Clone, Debug)]
pub struct LogExtent {
    /// End of the bytes that readers may have; equal to `bytes` once the log is complete.
    pub visible: u64,
    /// Number of appended bytes.
    pub bytes: u64,
    /// Number of appended records.
    pub records: u64,
    /// First byte that can still be read.
    pub from: u64,
    pub readers: usize,
    /// True while the writer waits for room, in memory or before its slowest reader.
    pub is_full: bool,
    pub seal: Option<Seal>,
}

/// Error of a read before the first byte that is still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is no longer kept: the first one that is kept is {from}")]
pub struct Evicted {
    pub at: u64,
    pub from: u64,
}

/// Regard of a log's writer for its readers.
#[derive(Clone, Copy, Debug)]
pub(in crate::snapshot) struct LogPolicy {
    pub(super) slow_reader: SlowReader,
    /// Time that the crawl goes on without a reader.
    pub(super) linger: Duration,
    /// Number of stored bytes that may lie before all readers.
    pub(super) ahead: u64,
}

pub(super) fn create(storage: LogStorage, memory: &MemoryBudget, policy: LogPolicy) -> (Writer, Log) {
    let state = LogState { flush: FlushQueue::new(&storage), ..LogState::default() };
    ends(LogShared::new(state, storage, memory, policy))
}

/// Creates a log with these stored bytes, and a writer if it has not ended. Reads the last record.
pub(super) fn reopen(
    storage: LogStorage,
    extent: StoredExtent,
    end: Option<Seal>,
    memory: &MemoryBudget,
    policy: LogPolicy,
) -> io::Result<(Option<Writer>, Log)> {
    let held_back = match &end {
        Some(Seal::Complete(_)) => 0,
        Some(Seal::Failed(_)) | None => extent.bytes - visible_len(&storage, extent.bytes)?,
    };
    let flush = if end.is_none() { FlushQueue::new(&storage) } else { FlushQueue::default() };
    let has_ended = end.is_some();
    let state = LogState { tiers: Tiers::reopened(extent), flush, seal: end, held_back, ..LogState::default() };
    let (writer, log) = ends(LogShared::new(state, storage, memory, policy));
    Ok(((!has_ended).then_some(writer), log))
}

/// Creates a log that is not kept: bytes that all readers have passed stay in memory only up to `bytes`, and its crawl ends with its last
/// reader.
pub fn transient_log(bytes: u64) -> (Writer, Log) {
    create(LogStorage::Memory, &MemoryBudget::for_one_log(bytes), LogPolicy::SINGLE)
}

fn ends(shared: Arc<LogShared>) -> (Writer, Log) {
    (Writer::new(Arc::clone(&shared)), Log { shared })
}

/// Returns the number of bytes of a stored log that readers may have had before the end was proven: all but those held back.
fn visible_len(storage: &LogStorage, bytes: u64) -> io::Result<u64> {
    if bytes == 0 {
        return Ok(0);
    }
    let mut start = bytes;
    let mut tail = Vec::new();
    // The last byte is a newline: the bytes after the newline before it have at least one record.
    while start > 0 && memchr::memchr(b'\n', tail.split_last().map_or(&[][..], |(_, rest)| rest)).is_none() {
        let most = start.min(TAIL);
        start -= most;
        let mut more = Vec::new();
        while (more.len() as u64) < most {
            let at = start + more.len() as u64;
            let read = storage.read(at, usize::try_from(most).unwrap_or(usize::MAX) - more.len())?;
            more.extend_from_slice(&read);
        }
        tail.splice(0..0, more);
    }
    Ok(start + ndjson::visible_len(&tail) as u64)
}

impl LogPolicy {
    /// Waits for every reader where there are no files, ends with the last one, and writes files as fast as it can.
    pub(in crate::snapshot) const SINGLE: Self =
        Self { slow_reader: SlowReader::Wait, linger: Duration::ZERO, ahead: u64::MAX };

    pub(in crate::snapshot) fn new(settings: &SnapshotSettings) -> Self {
        let SnapshotSettings { slow_reader, linger, ahead, .. } = *settings;
        Self { slow_reader, linger, ahead }
    }
}

impl Log {
    /// Creates a reader that starts at the byte `at` and stops before the byte `end`, if there is one.
    pub fn reader(&self, at: u64, end: Option<u64>) -> Result<Reader, Evicted> {
        let mut state = self.shared.lock();
        let from = state.tiers.from();
        if at < from {
            return Err(Evicted { at, from });
        }
        let (id, mark) = state.cursors.join(at);
        drop(state);
        self.shared.reader_joined();
        self.shared.reader_moved(mark);
        Ok(Reader::new(Arc::clone(&self.shared), id, at, end))
    }

    pub fn extent(&self) -> LogExtent {
        self.shared.lock().extent()
    }

    /// Returns the last indexed record at or before a place in the log, by a predicate that no record after the place satisfies; the first
    /// record, if there is no other.
    pub fn near(&self, is_before: impl Fn(RecordOffset) -> bool) -> RecordOffset {
        self.shared.lock().tiers.near(is_before)
    }

    /// Resolves once the log has had a reader.
    pub fn has_been_read(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut reader_count = self.shared.reader_count.subscribe();
        async move {
            // An error means that the log is gone: no reader will come.
            let _ = reader_count.wait_for(|reader_count| reader_count.ever > 0).await;
        }
    }

    pub fn bytes_in_memory(&self) -> u64 {
        self.shared.lock().tiers.held()
    }

    /// Returns the number of bytes in memory that are nowhere else.
    pub fn bytes_in_memory_alone(&self) -> u64 {
        self.shared.lock().tiers.held_alone()
    }

    /// Returns true where the records are written to files.
    pub(super) fn is_durable(&self) -> bool {
        self.shared.storage.is_durable()
    }

    /// Creates a file for bytes that are made of the log; returns `None` where the log is in memory alone. Blocks.
    pub(super) fn create_derived(&self) -> io::Result<Option<DerivedFile>> {
        self.shared.storage.create_derived()
    }

    pub fn stored_bytes(&self) -> u64 {
        if self.shared.storage.is_durable() { self.shared.lock().tiers.kept() } else { 0 }
    }

    pub async fn ended(&self) {
        if let Ok(mut reader) = self.reader(self.extent().bytes, None) {
            reader.reached().await;
        }
    }

    /// Notes the reason for which the crawl is about to be dropped.
    pub fn stop_because(&self, failure: Failure) {
        self.shared.lock().stopped_by = Some(failure);
    }

    /// Drops batches from memory that no reader needs: stored ones and, of a log that has ended, also those that are nowhere else.
    pub fn forget_memory(&self) {
        self.shared.forget();
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
