//! Queue of a log's flush, the batches that are taken from it, and the consequences for the log if one can't be stored.
//!
//! ```text
//!   Absent                                         (memory alone)
//!   Good ── no room, an error ────────────▶ Lost   (stored bytes stay there; the rest stays in memory)
//!   Good ── other bytes ──────────────────▶ Refused
//!   Good ── an error, and undeletable files ▶ Refused
//! ```

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::{Failure, Fault};
use crate::snapshot::seal::Seal;
use crate::snapshot::storage::{LogEntry, LogStorage, LossPolicy, WriteError};

/// Pages and the seal that wait to be stored, and the state of the storage.
#[derive(Debug, Default)]
pub(super) struct FlushQueue {
    pub(super) mode: FlushMode,
    /// Complete pages that the journal doesn't have yet.
    pub(super) pages: Vec<FlushPage>,
    /// End of the log, once everything is stored.
    pub(super) sealing: Option<Seal>,
    pub(super) activity: FlushActivity,
    /// End of the bytes that readers may have from before an interruption: other bytes must not take their place.
    pub(super) replay_end: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlushMode {
    #[default]
    Absent,
    Good,
    Lost,
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlushActivity {
    #[default]
    Idle,
    Running,
}

/// Complete page, for the journal.
#[derive(Debug)]
pub(super) struct FlushPage {
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) note: Box<RawValue>,
}

/// Bytes, pages and seal that a task writes at once.
#[derive(Debug)]
pub(super) struct FlushBatch {
    pub(super) at: u64,
    /// End of the bytes that may have been stored before an interruption.
    pub(super) replay_end: u64,
    pub(super) pieces: Vec<Bytes>,
    pub(super) pages: Vec<FlushPage>,
    pub(super) seal: Option<Seal>,
}

/// Error of a flush, with the end of the bytes that were stored.
#[derive(Debug)]
pub(super) struct FlushError {
    pub(super) kept: u64,
    pub(super) cause: WriteError,
}

/// Consequence for a log that can't be stored.
#[derive(Debug)]
pub(super) enum FlushLoss {
    /// The log goes on in memory. Its stored bytes, up to this one, are read but not found again after a restart.
    Storage(u64),
    /// The log ends: readers get no byte more than a restart knows.
    Log(Failure),
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

impl FlushQueue {
    pub(super) fn new(storage: &LogStorage) -> Self {
        let mode = if storage.is_durable() { FlushMode::Good } else { FlushMode::Absent };
        Self { mode, replay_end: storage.replay_end(), ..Self::default() }
    }

    /// Returns true if appended bytes are to be stored.
    pub(super) fn is_good(&self) -> bool {
        self.mode == FlushMode::Good
    }

    /// Adds a page that ends with this byte and record.
    pub(super) fn add_page(&mut self, bytes: u64, records: u64, note: &RawValue) {
        self.pages.push(FlushPage { bytes, records, note: note.to_owned() });
    }
}

impl FlushBatch {
    /// Stores bytes page by page, each page's entry after its bytes, and the seal. Returns the end of the stored bytes.
    pub(super) fn write(&mut self, storage: &LogStorage) -> Result<u64, FlushError> {
        let mut kept = self.at;
        let mut pieces = std::mem::take(&mut self.pieces).into_iter().peekable();
        for page in &self.pages {
            let mut end = kept;
            let of_page: Vec<_> = std::iter::from_fn(|| {
                let piece = pieces.next_if(|_| end < page.bytes)?;
                end += piece.len() as u64;
                Some(piece)
            })
            .collect();
            self.lines(storage, &mut kept, of_page)?;
            let entry = LogEntry::Page { bytes: page.bytes, records: page.records, note: &page.note };
            storage.append(&entry).map_err(|cause| FlushError { kept, cause })?;
        }
        self.lines(storage, &mut kept, pieces.collect())?;
        let entry = match &self.seal {
            Some(Seal::Complete(verdict)) => LogEntry::Complete(verdict),
            // A transient failure doesn't end a snapshot: its crawl can be resumed.
            Some(Seal::Failed(failure)) if !failure.fault.is_transient() => LogEntry::Failed(failure),
            Some(Seal::Failed(_)) | None => return Ok(kept),
        };
        storage.append(&entry).map_err(|cause| FlushError { kept, cause })?;
        Ok(kept)
    }

    /// Stores bytes that may have been there before separately: they are then known to be identical even if there is no room for the rest.
    fn lines(&self, storage: &LogStorage, kept: &mut u64, mut pieces: Vec<Bytes>) -> Result<(), FlushError> {
        let fresh = split_off(&mut pieces, self.replay_end.saturating_sub(*kept));
        for pieces in [pieces, fresh] {
            if !pieces.is_empty() {
                storage.write(*kept, &pieces).map_err(|cause| FlushError { kept: *kept, cause })?;
                *kept += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            }
        }
        Ok(())
    }
}

impl FlushError {
    /// Records the loss in the storage before readers learn of it, and returns the consequence for the log.
    pub(super) fn give_up(&self, storage: &LogStorage, replay_end: u64) -> FlushLoss {
        let failure = match &self.cause {
            WriteError::Changed => changed(storage),
            cause if self.kept < replay_end || storage.verified_end() < replay_end => stopped(format!(
                "the bytes from before the interruption can't be compared with those that come again: {cause}"
            )),
            cause if storage.loss_policy() == LossPolicy::Stop => {
                stopped(format!("the file can't be written: {cause}"))
            }
            // A restart knows nothing of the bytes that readers get from now on: no crawl may resume where the stored bytes end.
            cause => match storage.disown() {
                Ok(()) => {
                    tracing::warn!("a snapshot goes on in memory, and can't be resumed after a restart: {cause}");
                    return FlushLoss::Storage(self.kept);
                }
                Err(error) => stopped(format!("{cause}, and the written files can't be deleted: {error}")),
            },
        };
        tracing::warn!("a snapshot stops: {failure}");
        FlushLoss::Log(failure)
    }
}

/// Stores the failure: a crawl that resumed would find the same difference again.
fn changed(storage: &LogStorage) -> Failure {
    let failure = Failure::new(Fault::Changed, WriteRefused::Changed.to_string(), "ask again for a new snapshot");
    if let Err(error) = storage.append(&LogEntry::Failed(&failure)) {
        tracing::warn!("a snapshot's end can't be written: {error}");
    }
    failure
}

fn stopped(message: String) -> Failure {
    Failure::new(Fault::Stopped, message, "check the disk and its permissions, and ask again")
}

/// Splits the pieces after their `first` bytes. Returns the rest.
fn split_off(pieces: &mut Vec<Bytes>, mut first: u64) -> Vec<Bytes> {
    let whole =
        pieces.iter().take_while(|piece| first.checked_sub(piece.len() as u64).map(|rest| first = rest).is_some());
    let whole = whole.count();
    let mut rest = pieces.split_off(whole);
    if let Some(cut) = rest.first_mut().filter(|_| first > 0) {
        pieces.push(cut.split_to(usize::try_from(first).unwrap_or(usize::MAX)));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_split_at_any_byte() {
        let whole = ["ab", "c", "def"].map(|piece| Bytes::from_static(piece.as_bytes()));
        for first in 0..9 {
            let mut pieces = whole.to_vec();
            let rest = split_off(&mut pieces, first);
            let length = usize::try_from(first).unwrap().min(6);
            assert_eq!((pieces.concat().as_slice(), rest.concat().as_slice()), "abcdef".as_bytes().split_at(length));
            assert!(pieces.iter().chain(&rest).all(|piece| !piece.is_empty()));
        }
    }
}
