//! What a log's writer and readers share: its state behind one lock, which is never held across IO or a call out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::watch;

use super::FORMAT;
use super::behind::Behind;
use super::memory::Memory;
use super::seats::{Seats, Way};
use super::tiers::Tiers;
use crate::config::SlowReader;
use crate::snapshot::files::Files;
use crate::snapshot::seal::Seal;

#[derive(Debug)]
pub(super) struct Shared {
    /// The log's number in its budget.
    pub(super) number: u64,
    pub(super) memory: Memory,
    pub(super) files: Option<Arc<Files>>,
    pub(super) slow_reader: SlowReader,
    pub(super) linger: Duration,
    pub(super) crowd: watch::Sender<Crowd>,
    last_read: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tiers: Tiers,
    pub(super) seats: Seats,
    pub(super) behind: Behind,
    pub(super) seal: Option<Seal>,
    /// Number of published bytes that the format holds back from readers.
    pub(super) held_back: u64,
    /// The writer, where it waits for room.
    pub(super) writer: Option<Waker>,
}

/// How many read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    pub(super) now: usize,
    /// Counts those that have come.
    pub(super) ever: u64,
}

/// Who is to be woken when the lock has been let go of.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Wake(Vec<Waker>);

impl Shared {
    pub(super) fn new(
        state: State,
        files: Option<Arc<Files>>,
        memory: &Memory,
        slow_reader: SlowReader,
        linger: Duration,
    ) -> Arc<Self> {
        let shared = Arc::new(Self {
            number: memory.number(),
            memory: memory.clone(),
            files,
            slow_reader,
            linger,
            crowd: watch::Sender::default(),
            last_read: AtomicU64::new(memory.tick()),
            state: Mutex::new(state),
        });
        memory.enter(&shared);
        shared
    }

    /// A poisoned lock still guards a whole state: nothing that panics is called while it is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last_read(&self) -> u64 {
        self.last_read.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self) {
        self.last_read.store(self.memory.tick(), Ordering::Relaxed);
    }

    pub(super) fn came(&self) {
        self.crowd.send_modify(|crowd| {
            crowd.now += 1;
            crowd.ever += 1;
        });
    }

    pub(super) fn went(&self, count: usize) {
        self.crowd.send_modify(|crowd| crowd.now -= count);
    }

    /// Drops the oldest copies of what the file has, until so much is free.
    pub(super) fn drop_copies(&self, wanted: u64) {
        let mut state = self.lock();
        let freed = state.tiers.drop_copies(wanted);
        self.freed(state, freed);
    }

    /// Drops what all readers have passed, as far as it is wanted.
    pub(super) fn slide(&self) {
        let wanted = self.memory.excess();
        let mut state = self.lock();
        let freed = state.slide(wanted);
        state.mark(wanted);
        self.freed(state, freed);
    }

    /// Drops everything from memory that no reader needs.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        let mut freed = state.tiers.drop_copies(u64::MAX);
        if state.seal.is_some() && !state.behind.writes() {
            let passed = if state.seats.count() == 0 { u64::MAX } else { state.seats.floor() };
            freed += state.tiers.slide(passed, u64::MAX);
        }
        self.freed(state, freed);
    }

    /// A reader has moved, come or left.
    pub(super) fn made_way(&self, way: Way) {
        if way == Way::Clear {
            self.slide();
            let writer = self.lock().writer.take();
            Wake::from_iter(writer).wake();
        }
    }

    /// Gives memory back and lets the writer look again, both without the lock. Where nothing was freed the writer sleeps on: it is the
    /// one who asks, and would wake itself without end.
    fn freed(&self, mut state: MutexGuard<'_, State>, freed: u64) {
        if freed > 0 {
            let writer = Wake::from_iter(state.writer.take());
            drop(state);
            writer.wake();
            self.memory.give(freed);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let held = self.lock().tiers.held();
        self.memory.give(held);
    }
}

impl State {
    /// Drops what all readers have passed, but for what is still to be written.
    pub(super) fn slide(&mut self, wanted: u64) -> u64 {
        if self.behind.writes() {
            return self.tiers.drop_copies(wanted);
        }
        self.tiers.slide(self.seats.floor(), wanted)
    }

    /// Has it said when the readers have come to where they make room, where room is wanted.
    pub(super) fn mark(&mut self, wanted: u64) {
        let visible = self.visible();
        let first = self.tiers.first_end().unwrap_or(visible);
        self.seats.set_mark(if wanted > 0 { first.min(visible) } else { 0 });
    }

    /// Whether there is nothing that the readers could still pass before more is written.
    pub(super) fn caught_up(&self) -> bool {
        !self.behind.writes() && self.seats.floor() >= self.visible()
    }

    /// Returns the end of the bytes that readers may have.
    pub(super) fn visible(&self) -> u64 {
        self.tiers.published() - self.held_back
    }

    /// Publishes what was appended before the byte `through`. Wakes only readers that have something to read.
    pub(super) fn publish(&mut self, through: u64) -> Wake {
        if let Some(newest) = self.tiers.publish(through) {
            self.held_back = (newest.lines().len() - FORMAT.visible_len(newest)) as u64;
        }
        let readers = self.seats.wakers_before(self.visible());
        readers.into_iter().chain(self.writer.take()).collect()
    }

    /// Ends the log.
    pub(super) fn finish(&mut self, seal: Seal) -> Wake {
        if matches!(seal, Seal::Complete(_)) {
            self.tiers.publish_all();
            self.held_back = 0;
        }
        self.seal = Some(seal);
        self.wake_all()
    }

    /// The readers that wait, and the writer.
    pub(super) fn wake_all(&mut self) -> Wake {
        let readers = self.seats.wakers_before(u64::MAX);
        readers.into_iter().chain(self.writer.take()).collect()
    }
}

impl Wake {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl FromIterator<Waker> for Wake {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        Self(wakers.into_iter().collect())
    }
}
