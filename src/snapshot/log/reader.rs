//! Reader of a log: takes bytes from memory if they are there, and from the storage otherwise.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::LogExtent;
use super::cursors::MarkStatus;
use super::log_state::LogShared;
use super::tiers::ByteLocation;
use crate::config::SlowReader;
use crate::error::{Failure, Fault};
use crate::pagination::verdict::Verdict;
use crate::snapshot::seal::Seal;
use crate::snapshot::storage::LogStorage;

/// Number of bytes that are read from the storage at once.
const FRAME: u64 = 64 * 1024;

/// Reader of a log from one byte to the end, or to another byte.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<LogShared>,
    id: u64,
    position: u64,
    end: Option<u64>,
    /// Read of the storage under way, on a thread that may wait for the disk.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// The last bytes that were read from the storage, whose buffer is used again once they have been sent.
    last: Bytes,
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

/// Decision of one read, made under the log's lock.
enum ReadStep {
    Bytes(Bytes, MarkStatus),
    /// At most this many bytes are in the storage.
    Stored(u64),
    End(ReaderEvent),
}

impl Reader {
    pub(super) fn new(shared: Arc<LogShared>, id: u64, position: u64, end: Option<u64>) -> Self {
        Self { shared, id, position, end, reading: None, last: Bytes::new() }
    }

    /// Returns the offset of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next bytes. [`ReaderEvent::Complete`] comes only after the log was sealed as complete.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ReaderEvent, Arc<Failure>>> {
        let last = std::mem::take(&mut self.last);
        let (bytes, mark) = match ready!(self.poll_step(context))? {
            ReadStep::Bytes(bytes, mark) => (bytes, mark),
            ReadStep::Stored(most) => {
                let bytes = ready!(self.poll_storage(most, last, context)).map_err(|error| self.unreadable(&error))?;
                let mark = self.shared.lock().cursors.advance(self.id, self.position + bytes.len() as u64);
                self.last = bytes.clone();
                (bytes, mark)
            }
            ReadStep::End(end) => return Poll::Ready(Ok(end)),
        };
        self.position += bytes.len() as u64;
        self.shared.touch();
        self.shared.reader_moved(mark);
        Poll::Ready(Ok(ReaderEvent::Bytes(bytes)))
    }

    pub async fn next(&mut self) -> Result<ReaderEvent, Arc<Failure>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Resolves with the log's extent when the reader's next byte can be read, or never will be.
    pub async fn reached(&mut self) -> LogExtent {
        std::future::poll_fn(|context| {
            let mut state = self.shared.lock();
            if self.position < state.visible() || state.seal.is_some() || !state.cursors.contains(self.id) {
                return Poll::Ready(());
            }
            state.cursors.wait(self.id, context.waker());
            Poll::Pending
        })
        .await;
        self.shared.lock().extent()
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<ReadStep, Arc<Failure>>> {
        let mut state = self.shared.lock();
        if self.end.is_some_and(|end| self.position >= end) {
            return Poll::Ready(Ok(ReadStep::End(ReaderEvent::Stop)));
        }
        if !state.cursors.contains(self.id) {
            return Poll::Ready(Err(Arc::new(too_slow(self.shared.policy.slow_reader))));
        }
        let limit = state.visible().min(self.end.unwrap_or(u64::MAX));
        if self.position < limit {
            return Poll::Ready(match state.tiers.find(self.position, limit) {
                ByteLocation::Memory(bytes) => {
                    let mark = state.cursors.advance(self.id, self.position + bytes.len() as u64);
                    Ok(ReadStep::Bytes(bytes, mark))
                }
                ByteLocation::Storage => Ok(ReadStep::Stored(limit.min(state.tiers.kept()) - self.position)),
                ByteLocation::Gone => Err(Arc::new(gone())),
            });
        }
        match &state.seal {
            Some(Seal::Complete(verdict)) => Poll::Ready(Ok(ReadStep::End(ReaderEvent::Complete(verdict.clone())))),
            Some(Seal::Failed(failure)) => Poll::Ready(Err(Arc::clone(failure))),
            None => {
                state.cursors.wait(self.id, context.waker());
                Poll::Pending
            }
        }
    }

    /// Returns the failure of a read. If the file is gone for good, later requests get another snapshot.
    fn unreadable(&self, error: &io::Error) -> Arc<Failure> {
        if error.kind() == io::ErrorKind::NotFound {
            self.shared.lock().tiers.lose_stored();
        }
        let message = format!("the snapshot's file can't be read: {error}");
        Arc::new(Failure::new(Fault::Stopped, message, "check the folder of the snapshots, and ask again"))
    }

    /// Reads at most `most` bytes from the storage; on another thread if the disk has to be waited for.
    fn poll_storage(&mut self, most: u64, last: Bytes, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let storage = &self.shared.storage;
        let (at, most) = (self.position, usize::try_from(most.min(FRAME)).unwrap_or(usize::MAX));
        let bytes = match &mut self.reading {
            Some(reading) => ready!(std::pin::Pin::new(reading).poll(context)).map_err(io::Error::other).flatten(),
            None => match storage.read_cached(at, most, last.try_into_mut().unwrap_or_default()).transpose() {
                Some(read) => read,
                None => match on_a_thread(storage, at, most) {
                    Ok(reading) => {
                        self.reading = Some(reading);
                        return self.poll_storage(most as u64, Bytes::new(), context);
                    }
                    Err(read) => read,
                },
            },
        };
        self.reading = None;
        Poll::Ready(bytes.and_then(|mut bytes| {
            bytes.truncate(most);
            // A file that is shorter than the bytes written to it is an error and no end.
            if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
        }))
    }
}

/// Reads on a thread that may wait; without a runtime, on the caller's.
fn on_a_thread(storage: &LogStorage, at: u64, most: usize) -> Result<JoinHandle<io::Result<Bytes>>, io::Result<Bytes>> {
    let storage = storage.clone();
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn_blocking(move || storage.read(at, most))),
        Err(_) => Err(storage.read(at, most)),
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mark = self.shared.lock().cursors.leave(self.id);
        if let Some(mark) = mark {
            self.shared.readers_left(1);
            self.shared.reader_moved(mark);
        }
    }
}

fn gone() -> Failure {
    let message = "the next bytes are no longer kept: there was no room for them";
    Failure::new(Fault::Stopped, message, "ask again, and raise `memory` or `disk` in [snapshots]")
}

fn too_slow(slow_reader: SlowReader) -> Failure {
    let stall = match slow_reader {
        SlowReader::Drop(stall) => stall,
        SlowReader::Wait => Duration::ZERO,
    };
    let stall = humantime::format_duration(stall);
    let message = format!(
        "nothing was read for {stall}, or other readers had to wait for this one as long, and there was no room to keep more"
    );
    Failure::new(Fault::Stopped, message, "read faster, or raise `memory` or `disk` in [snapshots]")
}
