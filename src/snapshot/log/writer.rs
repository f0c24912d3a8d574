//! Writer of a log: appends, waits for room, and seals.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use super::crawl_memory::CrawlMemory;
use super::flush;
use super::flush_queue::WriteRefused;
use super::log_state::{LogShared, WakeList};
use crate::batch::Batch;
use crate::config::SlowReader;
use crate::error::{Failure, Fault};
use crate::snapshot::seal::Seal;

/// Time that a crawl waits for its readers before a warning.
const WARN_AFTER: Duration = Duration::from_secs(1);

/// Number of bytes that may wait to be stored.
const BACKLOG: u64 = 4 << 20;

/// The crawl's end of a log. Not `Clone`: a log has one writer, and dropping it ends the log.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<LogShared>,
    /// Wait for readers under way.
    waiting: Option<ReaderWait>,
    warning: WaitWarning,
}

/// State of the warning that the crawl waits for its readers, which is logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitWarning {
    Pending,
    Logged,
}

#[derive(Debug)]
struct ReaderWait {
    since: Instant,
    /// Timer until the first reader has stood still for too long.
    patience: Option<Pin<Box<Sleep>>>,
    /// Timer until the warning.
    long: Option<Pin<Box<Sleep>>>,
}

impl ReaderWait {
    fn begin() -> Self {
        Self { since: Instant::now(), patience: None, long: None }
    }

    /// Resolves when the wait is worth a warning; never without a runtime, which has the clock.
    fn poll_warning(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if Handle::try_current().is_err() {
            return Poll::Pending;
        }
        let long = self.long.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.since + WARN_AFTER)));
        long.as_mut().poll(context)
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<LogShared>) -> Self {
        Self { shared, waiting: None, warning: WaitWarning::Pending }
    }

    /// Appends a batch. The memory bounds hold if [`Writer::poll_room`] was awaited before; one more batch is taken in any case.
    pub fn append(&mut self, batch: Batch) {
        let mut state = self.shared.lock();
        if batch.is_empty() || state.refused().is_some() {
            return;
        }
        let cost = state.tiers.append(batch);
        self.shared.memory.take_for_log(cost);
        if state.flush.is_good() {
            return flush::start(&self.shared, state);
        }
        let wake = state.publish(u64::MAX);
        if self.shared.memory.excess() > 0 {
            state.mark(1);
        }
        drop(state);
        wake.wake();
    }

    /// Returns whether [`Writer::note`] has an effect: without a file, nothing can be resumed.
    pub fn keeps_checkpoints(&self) -> bool {
        self.shared.lock().flush.is_good()
    }

    /// Ends a page, all of which has been appended. `page` is the state to resume from after it.
    pub fn note(&mut self, page: &RawValue) {
        let mut state = self.shared.lock();
        if state.flush.is_good() {
            let (bytes, records) = (state.tiers.bytes(), state.tiers.records());
            state.flush.add_page(bytes, records, page);
            flush::start(&self.shared, state);
        }
    }

    /// Resolves when there is room for a batch.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WriteRefused>> {
        let room = self.poll_space(context);
        if room.is_ready() && self.waiting.take().is_some() {
            self.shared.memory.cancel_wait(self.shared.number);
            self.shared.lock().cursors.set_waiting(None);
        }
        room
    }

    fn poll_space(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WriteRefused>> {
        loop {
            let mut state = self.shared.lock();
            if let Some(refused) = state.refused() {
                return Poll::Ready(Err(refused));
            }
            // Where memory is used up, the file takes what was read: a crawl that stopped would keep it from the others.
            let may_stop = self.shared.memory.excess() == 0;
            if state.flush.is_good()
                && (state.tiers.bytes() - state.tiers.kept() > BACKLOG
                    || may_stop && !state.is_followed(self.shared.policy.ahead))
            {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let memory = &self.shared.memory;
            if state.tiers.held() <= memory.floor() || memory.excess() == 0 {
                return Poll::Ready(Ok(()));
            }
            drop(state);
            memory.relieve();
            let mut state = self.shared.lock();
            // Under the same lock that registers the waker: bytes that are freed later wake it.
            let freed = state.slide(memory.wanted());
            if freed == 0 && (state.tiers.held() <= memory.floor() || state.is_caught_up()) {
                return Poll::Ready(Ok(()));
            }
            if freed == 0 && memory.poll_room(self.shared.number, context).is_pending() {
                state.mark(1);
                state.writer = Some(context.waker().clone());
                let for_the_disk = state.flush.is_good();
                drop(state);
                return if for_the_disk { Poll::Pending } else { self.poll_patience(context) };
            }
            drop(state);
            memory.give_from_log(freed);
        }
    }

    /// Returns a crawl's progress. While the crawl waits for memory, which this log's readers may hold, waits for them, too.
    pub fn poll_beside<T>(
        &mut self,
        progress: Poll<T>,
        memory: &CrawlMemory,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, WriteRefused>> {
        if progress.is_pending()
            && memory.is_waiting()
            && let Poll::Ready(Err(refused)) = self.poll_room(context)
        {
            return Poll::Ready(Err(refused));
        }
        progress.map(Ok)
    }

    /// Waits for readers. Readers that don't move are dropped after a while, if that is configured.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WriteRefused>> {
        let wait = self.waiting.get_or_insert_with(ReaderWait::begin);
        if self.warning == WaitWarning::Pending && wait.poll_warning(context).is_ready() {
            self.warning = WaitWarning::Logged;
            tracing::warn!("the crawl waits for a slow reader: `memory` of [snapshots] is used up");
        }
        let SlowReader::Drop(stall) = self.shared.policy.slow_reader else { return Poll::Pending };
        loop {
            let mut state = self.shared.lock();
            state.cursors.set_waiting(Some(wait.since));
            let (dropped, wakers) = state.cursors.drop_stalled(wait.since, stall);
            let patience = state.cursors.first_stall(wait.since, stall);
            drop(state);
            WakeList::from_iter(wakers).wake();
            if dropped > 0 {
                let who = match dropped {
                    1 => "1 reader was dropped: it had".to_owned(),
                    _ => format!("{dropped} readers were dropped: they had"),
                };
                tracing::warn!("{who} not read for {stall:?}, or had delayed others as long, and there was no room");
                self.shared.readers_left(dropped);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Some(until) = patience else { return Poll::Pending };
            let sleep = wait.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if sleep.deadline() != until {
                sleep.as_mut().reset(until);
            }
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Resolves when the log has had no reader for the linger time. Independent of the writer, so that it can be awaited during its work.
    pub fn abandoned(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut reader_count, linger) = (self.shared.reader_count.subscribe(), self.shared.policy.linger);
        async move {
            loop {
                let is_unread = reader_count.wait_for(|reader_count| reader_count.now == 0).await.is_ok();
                tokio::select! {
                    biased;
                    // A reader that comes and leaves starts the time anew.
                    Ok(()) = reader_count.changed(), if is_unread => {}
                    () = tokio::time::sleep(linger) => return,
                }
            }
        }
    }

    pub fn seal(self, seal: Seal) {
        self.end(seal);
    }

    fn end(&self, seal: Seal) {
        let mut state = self.shared.lock();
        if state.seal.is_some() || state.flush.sealing.is_some() {
            return;
        }
        if state.flush.is_good() {
            state.flush.sealing = Some(seal);
            return flush::start(&self.shared, state);
        }
        let wake = state.finish(seal);
        drop(state);
        wake.wake();
        self.shared.memory.note_idle();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let stopped_by = self.shared.lock().stopped_by.take();
        let stopped = || Failure::new(Fault::Stopped, "the crawl stopped before its end", "ask again");
        self.end(Seal::Failed(Arc::new(stopped_by.unwrap_or_else(stopped))));
        self.shared.memory.cancel_wait(self.shared.number);
    }
}
