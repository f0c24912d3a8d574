//! The log itself: one writer, one reader, and between them a window of bounded bytes in memory.
//!
//! ```text
//!   Open ── append ──▶ Open            (waits while the window is full)
//!   Open ── seal ────▶ Sealed          (the only way to a clean end)
//!   Open ── drop ────▶ Sealed(Failed)  (a dead crawl can't look finished)
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio_util::sync::CancellationToken;

use super::seal::{Failure, Fault, Seal, Verdict};
use crate::batch::Batch;

/// The crawl's end. Not `Clone`: a log has one writer, and its drop is the visible end of it.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// A response's end.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// Nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the last reader left")]
pub struct NoReader;

#[derive(Debug)]
struct Shared {
    room: usize,
    abandoned: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    bytes: usize,
    seal: Option<Seal>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A new log whose window holds `room` bytes; a single larger batch passes on its own.
pub fn log(room: usize) -> (Writer, Reader) {
    let shared = Arc::new(Shared { room, abandoned: CancellationToken::new(), state: Mutex::default() });
    (Writer { shared: Arc::clone(&shared) }, Reader { shared })
}

impl Writer {
    /// Appends a batch. Who has waited for [`Writer::poll_room`] keeps the window; one batch more than it holds is taken in any case.
    pub fn append(&mut self, batch: Batch) {
        let mut state = self.shared.lock();
        state.bytes += batch.lines().len();
        state.batches.push_back(batch);
        wake(state.reader.take());
    }

    /// Resolves when the last reader has left; independent of the writer, so that it can be awaited beside its work.
    pub fn abandoned(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.abandoned.clone().cancelled_owned()
    }

    /// Ends the log.
    pub fn seal(self, seal: Seal) {
        self.shared.seal(seal);
    }

    /// Whether there is room for a batch.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), NoReader>> {
        let mut state = self.shared.lock();
        if self.shared.abandoned.is_cancelled() {
            return Poll::Ready(Err(NoReader));
        }
        if state.bytes == 0 || state.bytes < self.shared.room {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let message = "the crawl stopped before its end";
        self.shared.seal(Seal::Failed(Arc::new(Failure::new(Fault::Stopped, message, "ask again"))));
    }
}

impl Reader {
    /// The next batch; the verdict only after the log was sealed as complete.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, Arc<Failure>>> {
        let mut state = self.shared.lock();
        if let Some(batch) = state.batches.pop_front() {
            state.bytes -= batch.lines().len();
            wake(state.writer.take());
            return Poll::Ready(Ok(Next::Batch(batch)));
        }
        match &state.seal {
            Some(Seal::Complete(verdict)) => Poll::Ready(Ok(Next::Complete(verdict.clone()))),
            Some(Seal::Failed(failure)) => Poll::Ready(Err(Arc::clone(failure))),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next batch, as a future.
    pub async fn next(&mut self) -> Result<Next, Arc<Failure>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

/// What a reader finds.
#[derive(Clone, Debug)]
pub enum Next {
    /// More records.
    Batch(Batch),
    /// The end, proven.
    Complete(Verdict),
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.abandoned.cancel();
        wake(self.shared.lock().writer.take());
    }
}

impl Shared {
    fn seal(&self, seal: Seal) {
        let mut state = self.lock();
        if state.seal.is_none() {
            state.seal = Some(seal);
            wake(state.reader.take());
        }
    }

    /// The lock is never held across an await or a call out, so a poisoned one still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn batch(text: &'static str) -> Batch {
        Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64)
    }

    async fn room(writer: &Writer) -> Result<(), NoReader> {
        std::future::poll_fn(|context| writer.poll_room(context)).await
    }

    fn verdict() -> Verdict {
        Verdict { records: 1, pages: 1, proof: "no next address".to_owned() }
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_then_the_verdict() {
        let (mut writer, mut reader) = log(1024);
        writer.append(batch("1\n2\n"));
        writer.append(batch("3\n"));
        writer.seal(Seal::Complete(verdict()));
        let mut lines = Vec::new();
        let end = loop {
            match reader.next().await.unwrap() {
                Next::Batch(batch) => lines.extend_from_slice(batch.lines()),
                Next::Complete(verdict) => break verdict,
            }
        };
        assert_eq!((lines.as_slice(), end), (&b"1\n2\n3\n"[..], verdict()));
    }

    #[tokio::test]
    async fn a_dropped_writer_is_a_failure_and_never_an_end() {
        let (mut writer, mut reader) = log(1024);
        writer.append(batch("1\n"));
        drop(writer);
        assert!(matches!(reader.next().await, Ok(Next::Batch(_))));
        assert_eq!(reader.next().await.unwrap_err().fault, Fault::Stopped);
    }

    #[tokio::test]
    async fn a_full_window_holds_the_writer_back() {
        let (mut writer, mut reader) = log(4);
        writer.append(batch("100\n"));
        let mut blocked = Box::pin(room(&writer));
        assert!(futures_util::poll!(blocked.as_mut()).is_pending());
        assert!(matches!(reader.next().await, Ok(Next::Batch(_))));
        blocked.await.unwrap();
    }

    #[tokio::test]
    async fn the_writer_learns_that_nobody_reads() {
        let (writer, reader) = log(4);
        drop(reader);
        writer.abandoned().await;
        assert_eq!(room(&writer).await, Err(NoReader));
    }
}
