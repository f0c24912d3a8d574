//! The crawl's end of a log: it appends, waits for room, and seals.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use super::behind;
use super::shared::{Shared, Wake};
use super::{Failure, Fault, Refused, Seal};
use crate::batch::Batch;
use crate::config::SlowReader;

/// How long a crawl waits for its readers before that is said.
const LONG: Duration = Duration::from_secs(1);

/// How many bytes may wait for the file.
const BACKLOG: u64 = 4 << 20;

/// The crawl's end. Not `Clone`: a log has one writer, and its drop is the visible end of it.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    /// Since when it has waited for its readers.
    waiting: Option<Wait>,
    told: Told,
}

/// Whether it was said that the crawl waits for its readers: once is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Once,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    /// Until the first reader will have stood still for too long.
    patience: Option<Pin<Box<Sleep>>>,
    /// Until it has waited for long.
    long: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    fn begin() -> Self {
        Self { since: Instant::now(), patience: None, long: None }
    }

    /// Without a runtime there is no clock.
    fn poll_long(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if Handle::try_current().is_err() {
            return Poll::Pending;
        }
        let long = self.long.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.since + LONG)));
        long.as_mut().poll(context)
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, waiting: None, told: Told::Nothing }
    }

    /// Appends a batch. Who has waited for [`Writer::poll_room`] keeps the bounds of what is kept; one batch more is taken in any case.
    pub fn append(&mut self, batch: Batch) {
        let mut state = self.shared.lock();
        if batch.is_empty() || state.refused().is_some() {
            return;
        }
        let cost = state.tiers.append(batch);
        self.shared.memory.take(cost);
        if state.behind.writes() {
            return behind::start(&self.shared, state);
        }
        let wake = state.publish(u64::MAX);
        if self.shared.memory.excess() > 0 {
            state.mark(1);
        }
        drop(state);
        wake.wake();
    }

    /// Everything of a page has been appended: notes what the crawl needs to go on behind it after an interruption.
    pub fn note(&mut self, page: &RawValue) {
        let mut state = self.shared.lock();
        if state.behind.writes() {
            let (bytes, records) = (state.tiers.bytes(), state.tiers.records());
            state.behind.note(bytes, records, page);
            behind::start(&self.shared, state);
        }
    }

    /// Whether there is room for a batch.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let room = self.poll_space(context);
        if room.is_ready() && self.waiting.take().is_some() {
            self.shared.memory.forget(self.shared.number);
        }
        room
    }

    fn poll_space(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        loop {
            let mut state = self.shared.lock();
            if let Some(refused) = state.refused() {
                return Poll::Ready(Err(refused));
            }
            if state.behind.writes() && state.tiers.bytes() - state.tiers.kept() > BACKLOG {
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
            // Under the lock under which it is said who wakes the writer: what is freed later wakes it.
            let freed = state.slide(memory.excess());
            if freed == 0 && (state.tiers.held() <= memory.floor() || state.caught_up()) {
                return Poll::Ready(Ok(()));
            }
            if freed == 0 && memory.poll_room(self.shared.number, context).is_pending() {
                state.mark(1);
                state.writer = Some(context.waker().clone());
                let for_the_disk = state.behind.writes();
                drop(state);
                return if for_the_disk { Poll::Pending } else { self.poll_patience(context) };
            }
            drop(state);
            memory.give(freed);
        }
    }

    /// The writer waits for its readers: who doesn't move is dropped after a while, where that is configured.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let wait = self.waiting.get_or_insert_with(Wait::begin);
        if self.told == Told::Nothing && wait.poll_long(context).is_ready() {
            self.told = Told::Once;
            tracing::warn!("the crawl waits for a slow reader: `memory` of [snapshots] is used up");
        }
        let SlowReader::Drop(stall) = self.shared.slow_reader else { return Poll::Pending };
        loop {
            let mut state = self.shared.lock();
            let (dropped, wakers) = state.seats.drop_stalled(wait.since, stall);
            let patience = state.seats.patience(wait.since, stall);
            drop(state);
            Wake::from_iter(wakers).wake();
            if dropped > 0 {
                let who = match dropped {
                    1 => "1 reader was dropped: it had".to_owned(),
                    _ => format!("{dropped} readers were dropped: they had"),
                };
                tracing::warn!("{who} not read for {stall:?}, and there was no room");
                self.shared.went(dropped);
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

    /// Resolves when nobody has read for the time that the crawl lingers; independent of the writer, so that it can be awaited beside
    /// its work.
    pub fn abandoned(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut crowd, linger) = (self.shared.crowd.subscribe(), self.shared.linger);
        async move {
            loop {
                let nobody = crowd.wait_for(|crowd| crowd.now == 0).await.is_ok();
                tokio::select! {
                    biased;
                    // Who came and went again makes the time start anew.
                    Ok(()) = crowd.changed(), if nobody => {}
                    () = tokio::time::sleep(linger) => return,
                }
            }
        }
    }

    /// Ends the log.
    pub fn seal(self, seal: Seal) {
        self.end(seal);
    }

    fn end(&self, seal: Seal) {
        let mut state = self.shared.lock();
        if state.seal.is_some() || state.behind.sealing.is_some() {
            return;
        }
        if state.behind.writes() {
            state.behind.sealing = Some(seal);
            return behind::start(&self.shared, state);
        }
        let wake = state.finish(seal);
        drop(state);
        wake.wake();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let message = "the crawl stopped before its end";
        self.end(Seal::Failed(Arc::new(Failure::new(Fault::Stopped, message, "ask again"))));
        self.shared.memory.forget(self.shared.number);
    }
}
