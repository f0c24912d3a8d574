//! A reader: from memory where the bytes are there, from the file where they aren't.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::seats::Way;
use super::shared::Shared;
use super::tiers::Place;
use super::{Extent, Log, Next};
use crate::config::SlowReader;
use crate::error::{Failure, Fault};
use crate::snapshot::files::Files;
use crate::snapshot::seal::Seal;

/// How much is read from a file at once.
const FRAME: u64 = 64 * 1024;

/// A response's end: the log from one byte on, to its end or another byte.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    id: u64,
    position: u64,
    end: Option<u64>,
    /// The file is being read, on a thread that may wait for the disk.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

/// What the log says under its lock.
enum Found {
    Bytes(Bytes, Way),
    /// So many bytes at most are in the file.
    File(u64),
    End(Next),
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, id: u64, position: u64, end: Option<u64>) -> Self {
        Self { shared, id, position, end, reading: None }
    }

    /// The byte that it stands before.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes; the verdict only after the log was sealed as complete.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, Arc<Failure>>> {
        let (bytes, way) = match ready!(self.poll_found(context))? {
            Found::Bytes(bytes, way) => (bytes, way),
            Found::File(most) => {
                let bytes = ready!(self.poll_file(most, context)).map_err(|error| unreadable(&error))?;
                let way = self.shared.lock().seats.step(self.id, self.position + bytes.len() as u64);
                (bytes, way)
            }
            Found::End(end) => return Poll::Ready(Ok(end)),
        };
        self.position += bytes.len() as u64;
        self.shared.touch();
        self.shared.made_way(way);
        Poll::Ready(Ok(Next::Bytes(bytes)))
    }

    /// The next bytes, as a future.
    pub async fn next(&mut self) -> Result<Next, Arc<Failure>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Resolves with how far the log has come when the reader's byte can be read, or never will be.
    pub async fn reached(&mut self) -> Extent {
        std::future::poll_fn(|context| {
            let mut state = self.shared.lock();
            if self.position < state.visible() || state.seal.is_some() || !state.seats.has(self.id) {
                return Poll::Ready(());
            }
            state.seats.wait(self.id, context.waker());
            Poll::Pending
        })
        .await;
        Log { shared: Arc::clone(&self.shared) }.extent()
    }

    fn poll_found(&mut self, context: &mut Context<'_>) -> Poll<Result<Found, Arc<Failure>>> {
        let mut state = self.shared.lock();
        if self.end.is_some_and(|end| self.position >= end) {
            return Poll::Ready(Ok(Found::End(Next::Stop)));
        }
        if !state.seats.has(self.id) {
            return Poll::Ready(Err(Arc::new(too_slow(self.shared.slow_reader))));
        }
        let limit = state.visible().min(self.end.unwrap_or(u64::MAX));
        if self.position < limit {
            return Poll::Ready(match state.tiers.find(self.position, limit) {
                Place::Memory(bytes) => {
                    let way = state.seats.step(self.id, self.position + bytes.len() as u64);
                    Ok(Found::Bytes(bytes, way))
                }
                Place::File => Ok(Found::File(limit.min(state.tiers.kept()) - self.position)),
                Place::Gone => Err(Arc::new(gone())),
            });
        }
        match &state.seal {
            Some(Seal::Complete(verdict)) => Poll::Ready(Ok(Found::End(Next::Complete(verdict.clone())))),
            Some(Seal::Failed(failure)) => Poll::Ready(Err(Arc::clone(failure))),
            None => {
                state.seats.wait(self.id, context.waker());
                Poll::Pending
            }
        }
    }

    /// Reads at most so many bytes from the file; on another thread where the disk has to be waited for.
    fn poll_file(&mut self, most: u64, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let Some(files) = &self.shared.files else { return Poll::Ready(Err(io::ErrorKind::NotFound.into())) };
        let (at, most) = (self.position, usize::try_from(most.min(FRAME)).unwrap_or(usize::MAX));
        let bytes = match &mut self.reading {
            Some(reading) => ready!(std::pin::Pin::new(reading).poll(context)).map_err(io::Error::other).flatten(),
            None => match files.read_cached(at, most).transpose() {
                Some(read) => read,
                None => match on_a_thread(files, at, most) {
                    Ok(reading) => {
                        self.reading = Some(reading);
                        return self.poll_file(most as u64, context);
                    }
                    Err(read) => read,
                },
            },
        };
        self.reading = None;
        Poll::Ready(bytes.and_then(|mut bytes| {
            bytes.truncate(most);
            // The file is shorter than what was written to it: that is no end.
            if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
        }))
    }
}

/// Reads on a thread that may wait; without a runtime, the caller is one.
fn on_a_thread(files: &Arc<Files>, at: u64, most: usize) -> Result<JoinHandle<io::Result<Bytes>>, io::Result<Bytes>> {
    let files = Arc::clone(files);
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn_blocking(move || files.read(at, most))),
        Err(_) => Err(files.read(at, most)),
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let way = self.shared.lock().seats.leave(self.id);
        if let Some(way) = way {
            self.shared.went(1);
            self.shared.made_way(way);
        }
    }
}

fn unreadable(error: &io::Error) -> Arc<Failure> {
    let message = format!("the snapshot's file can't be read: {error}");
    Arc::new(Failure::new(Fault::Stopped, message, "see to the folder of the snapshots, and ask again"))
}

fn gone() -> Failure {
    let message = "what comes next is no longer kept: there was no room for it";
    Failure::new(Fault::Stopped, message, "ask again, and give the snapshots more room")
}

fn too_slow(slow_reader: SlowReader) -> Failure {
    let stall = match slow_reader {
        SlowReader::Drop(stall) => stall,
        SlowReader::Wait => Duration::ZERO,
    };
    let stall = humantime::format_duration(stall);
    let message = format!("nothing was read for {stall}, and there was no room to keep more");
    Failure::new(Fault::Stopped, message, "read faster, or give the snapshots more room")
}
