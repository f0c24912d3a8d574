//! Vocabulary of a log: events of a reader, extent, and errors.

use bytes::Bytes;

use std::time::Duration;

use crate::config::{SlowReader, SnapshotSettings};
use crate::format::Format;
use crate::pagination::verdict::Verdict;
use crate::snapshot::seal::Seal;

/// Format of the bytes of a log, in memory and in files.
pub(super) const FORMAT: Format = Format::Ndjson;

/// Regard of a log's writer for its readers.
#[derive(Clone, Copy, Debug)]
pub(in crate::snapshot) struct LogPolicy {
    pub(super) slow_reader: SlowReader,
    /// Time that the crawl goes on without a reader.
    pub(super) linger: Duration,
    /// Number of stored bytes that may lie before all readers.
    pub(super) ahead: u64,
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

/// Result of a read.
#[derive(Clone, Debug)]
pub enum ReaderEvent {
    /// More bytes, cut anywhere.
    Bytes(Bytes),
    /// The reader has reached its last byte.
    Stop,
    /// The log ends here, and the end is proven.
    Complete(Verdict),
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
    /// Number of readers.
    pub readers: usize,
    pub seal: Option<Seal>,
}

/// Reason why a log takes no more batches.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteRefused {
    /// There has been no reader for the linger time.
    #[error("the last reader left")]
    NoReader,
    /// Bytes differ from those that were written here before the crawl was interrupted.
    #[error("the page that was under way when the crawl was interrupted has changed since")]
    Changed,
    #[error("the records could not be stored")]
    Unwritten,
}

/// Error of a read before the first byte that is still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is no longer kept: the first one that is kept is {from}")]
pub struct Evicted {
    pub at: u64,
    pub from: u64,
}
