//! Vocabulary of a log: events of a reader, extent, and errors.

use bytes::Bytes;

use crate::format::Format;
use crate::snapshot::seal::{Seal, Verdict};

/// Format of the bytes of a log, in memory and in files.
pub(super) const FORMAT: Format = Format::Ndjson;

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
