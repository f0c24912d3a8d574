//! The log itself: one writer, and readers that may start at any byte of it.
//!
//! ```text
//!   Open ── append ──▶ Open            (waits where there is no room)
//!   Open ── seal ────▶ Sealed          (the only way to a clean end)
//!   Open ── drop ────▶ Sealed(Failed)  (a dead crawl can't look finished)
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::hold::may_leave;
use super::seal::{Failure, Fault, Seal, Verdict};
use crate::batch::Batch;

/// The crawl's end. Not `Clone`: a log has one writer, and its drop is the visible end of it.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// A log, for whoever wants to read it: clones are the same.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

/// A response's end: the log from one byte on, to its end or another byte.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    id: u64,
    position: u64,
    end: Option<u64>,
}

/// What a reader finds.
#[derive(Clone, Debug)]
pub enum Next {
    /// More bytes, cut anywhere.
    Bytes(Bytes),
    /// The byte at which the reader was to stop.
    Stop,
    /// The end of the log, proven.
    Complete(Verdict),
}

/// How far a log has come.
#[derive(Clone, Debug)]
pub struct Extent {
    /// How many bytes readers may have by now; all of them once it is complete.
    pub visible: u64,
    /// How many bytes were written.
    pub bytes: u64,
    /// How many records were written.
    pub records: u64,
    /// The first byte that can still be read.
    pub from: u64,
    /// How many readers there are.
    pub readers: usize,
    /// How it ended, if it has.
    pub seal: Option<Seal>,
}

/// Why a log can't be written to any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody reads, and nobody has for a while.
    #[error("the last reader left")]
    NoReader,
    /// What was written now is not what had been written at this place before the crawl was interrupted.
    #[error("the page that was under way when the crawl was interrupted has changed since")]
    Changed,
}

/// These bytes are gone: there was no room to keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is no longer kept; the first that is is {from}")]
pub struct Gone {
    pub at: u64,
    pub from: u64,
}

#[derive(Debug)]
struct Shared {
    linger: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each batch's first byte, and its bytes.
    batches: Vec<(u64, Bytes)>,
    bytes: u64,
    records: u64,
    visible: u64,
    seal: Option<Seal>,
    readers: usize,
    next_reader: u64,
    waiting: Vec<(u64, Waker)>,
    writer: Option<Waker>,
}

impl Writer {
    /// A new log in memory, whose crawl goes on for `linger` when nobody reads.
    pub(super) fn new(linger: Duration) -> (Self, Log) {
        let shared = Arc::new(Shared { linger, state: Mutex::default() });
        (Self { shared: Arc::clone(&shared) }, Log { shared })
    }

    /// Appends a batch. Who has waited for [`Writer::poll_room`] keeps the bounds of what is kept; one batch more is taken in any case.
    pub fn append(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        state.visible = state.bytes + may_leave(&batch) as u64;
        let at = state.bytes;
        state.bytes += batch.lines().len() as u64;
        state.records += batch.records();
        state.batches.push((at, batch.lines().clone()));
        wake(state);
    }

    /// Everything of a page has been appended: notes what the crawl needs to go on behind it after an interruption.
    pub fn note(&mut self, _page: &RawValue) {}

    /// Whether there is room for a batch.
    pub fn poll_room(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    /// Resolves when nobody has read for the time that the crawl lingers; independent of the writer, so that it can be awaited beside
    /// its work.
    pub fn abandoned(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                std::future::poll_fn(|context| {
                    let mut state = shared.lock();
                    state.writer = Some(context.waker().clone());
                    if state.readers == 0 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                tokio::time::sleep(shared.linger).await;
                if shared.lock().readers == 0 {
                    return;
                }
            }
        }
    }

    /// Ends the log.
    pub fn seal(self, seal: Seal) {
        self.shared.seal(seal);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let message = "the crawl stopped before its end";
        self.shared.seal(Seal::Failed(Arc::new(Failure::new(Fault::Stopped, message, "ask again"))));
    }
}

impl Log {
    /// A reader from the byte `at` on, which stops before the byte `end` where there is one.
    pub fn reader(&self, at: u64, end: Option<u64>) -> Result<Reader, Gone> {
        let mut state = self.shared.lock();
        state.readers += 1;
        let id = state.next_reader;
        state.next_reader += 1;
        Ok(Reader { shared: Arc::clone(&self.shared), id, position: at, end })
    }

    /// How far it has come.
    pub fn extent(&self) -> Extent {
        let state = self.shared.lock();
        let State { visible, bytes, records, readers, .. } = *state;
        Extent { visible, bytes, records, from: 0, readers, seal: state.seal.clone() }
    }
}

impl Reader {
    /// The byte that it stands before.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes; the verdict only after the log was sealed as complete.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, Arc<Failure>>> {
        let mut state = self.shared.lock();
        if self.end.is_some_and(|end| self.position >= end) {
            return Poll::Ready(Ok(Next::Stop));
        }
        let end = state.visible.min(self.end.unwrap_or(u64::MAX));
        if self.position < end {
            let at = state.batches.partition_point(|(at, _)| *at <= self.position) - 1;
            let (start, batch) = &state.batches[at];
            let cut = |byte: u64| usize::try_from(byte - start).unwrap_or(usize::MAX).min(batch.len());
            let bytes = batch.slice(cut(self.position)..cut(end));
            self.position += bytes.len() as u64;
            return Poll::Ready(Ok(Next::Bytes(bytes)));
        }
        match &state.seal {
            Some(Seal::Complete(verdict)) => Poll::Ready(Ok(Next::Complete(verdict.clone()))),
            Some(Seal::Failed(failure)) => Poll::Ready(Err(Arc::clone(failure))),
            None => {
                let id = self.id;
                state.waiting.retain(|(reader, _)| *reader != id);
                state.waiting.push((id, context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// The next bytes, as a future.
    pub async fn next(&mut self) -> Result<Next, Arc<Failure>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Resolves with how far the log has come when the reader's byte can be read, or never will be.
    pub async fn reached(&mut self) -> Extent {
        std::future::poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.visible <= self.position && state.seal.is_none() {
                state.waiting.push((self.id, context.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        Log { shared: Arc::clone(&self.shared) }.extent()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.readers -= 1;
        let writer = state.writer.take();
        drop(state);
        if let Some(waker) = writer {
            waker.wake();
        }
    }
}

impl Shared {
    fn seal(&self, seal: Seal) {
        let mut state = self.lock();
        if state.seal.is_none() {
            if matches!(seal, Seal::Complete(_)) {
                state.visible = state.bytes;
            }
            state.seal = Some(seal);
            wake(state);
        }
    }

    /// The lock is never held across an await or a call out, so a poisoned one still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(|(_, waker)| waker.wake());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &'static str) -> Batch {
        Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64)
    }

    fn verdict() -> Verdict {
        Verdict { records: 3, pages: 1, proof: "no next address".to_owned() }
    }

    #[tokio::test]
    async fn readers_start_anywhere_and_end_with_the_verdict() {
        let (mut writer, log) = Writer::new(Duration::ZERO);
        let mut readers: Vec<_> = (0..6).map(|at| (at, log.reader(at, None).unwrap())).collect();
        writer.append(batch("1\n2\n"));
        writer.append(batch("3\n"));
        writer.seal(Seal::Complete(verdict()));
        for (at, reader) in &mut readers {
            let mut read = Vec::new();
            let end = loop {
                match reader.next().await.unwrap() {
                    Next::Bytes(bytes) => read.extend_from_slice(&bytes),
                    Next::Complete(verdict) => break verdict,
                    Next::Stop => panic!("no end was given"),
                }
            };
            let from = usize::try_from(*at).unwrap();
            assert_eq!((read.as_slice(), end), (&b"1\n2\n3\n"[from..], verdict()));
        }
    }

    #[tokio::test]
    async fn a_dropped_writer_is_a_failure_and_never_an_end() {
        let (mut writer, log) = Writer::new(Duration::ZERO);
        let mut reader = log.reader(0, None).unwrap();
        writer.append(batch("[1]\n"));
        drop(writer);
        assert!(matches!(reader.next().await, Ok(Next::Bytes(bytes)) if bytes == "[1"));
        assert_eq!(reader.next().await.unwrap_err().fault, Fault::Stopped);
    }

    #[tokio::test]
    async fn the_writer_learns_that_nobody_reads() {
        let (writer, log) = Writer::new(Duration::ZERO);
        drop(log.reader(0, None).unwrap());
        writer.abandoned().await;
    }
}
