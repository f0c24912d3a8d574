//! Shared state of a log's writer and readers, behind one lock, which is never held across IO or a callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::cursors::{Cursors, MarkStatus};
use super::flush_queue::{FlushActivity, FlushMode, FlushQueue, WriteRefused};
use super::memory_budget::MemoryBudget;
use super::tiers::Tiers;
use super::{LogExtent, LogPolicy};
use crate::error::{Failure, Fault};
use crate::format::ndjson;
use crate::snapshot::seal::Seal;
use crate::snapshot::storage::LogStorage;

#[derive(Debug)]
pub(super) struct LogShared {
    /// Number of the log in its budget.
    pub(super) number: u64,
    pub(super) memory: MemoryBudget,
    pub(super) storage: LogStorage,
    pub(super) policy: LogPolicy,
    pub(super) reader_count: watch::Sender<ReaderCount>,
    last_read: AtomicU64,
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) tiers: Tiers,
    pub(super) cursors: Cursors,
    pub(super) flush: FlushQueue,
    pub(super) seal: Option<Seal>,
    /// Failure that the log is sealed with if its writer is dropped.
    pub(super) stopped_by: Option<Failure>,
    /// Number of published bytes that the format holds back from readers.
    pub(super) held_back: u64,
    /// Waker of the writer, while it waits for room.
    pub(super) writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReaderCount {
    pub(super) now: usize,
    /// Number of readers that ever joined.
    pub(super) ever: u64,
}

/// Wakers to call once the lock is released.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct WakeList(Vec<Waker>);

impl LogShared {
    pub(super) fn new(state: LogState, storage: LogStorage, memory: &MemoryBudget, policy: LogPolicy) -> Arc<Self> {
        let shared = Arc::new(Self {
            number: memory.number(),
            memory: memory.clone(),
            storage,
            policy,
            reader_count: watch::Sender::default(),
            last_read: AtomicU64::new(memory.tick()),
            state: Mutex::new(state),
        });
        memory.enter(&shared);
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock()
    }

    pub(super) fn last_read(&self) -> u64 {
        self.last_read.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self) {
        self.last_read.store(self.memory.tick(), Ordering::Relaxed);
    }

    pub(super) fn reader_joined(&self) {
        self.reader_count.send_modify(|reader_count| {
            reader_count.now += 1;
            reader_count.ever += 1;
        });
    }

    pub(super) fn readers_left(&self, count: usize) {
        self.reader_count.send_modify(|reader_count| reader_count.now -= count);
        self.memory.note_idle();
    }

    /// Drops the oldest batches in memory that are stored, until `wanted` bytes are free.
    pub(super) fn drop_copies(&self, wanted: u64) {
        let mut state = self.lock();
        let freed = state.tiers.drop_copies(wanted);
        self.freed(state, freed);
    }

    /// Drops batches that all readers have passed, while the budget is exceeded.
    pub(super) fn slide(&self) {
        let wanted = self.memory.wanted();
        let mut state = self.lock();
        let freed = state.slide(wanted);
        state.mark(wanted);
        self.freed(state, freed);
    }

    /// Drops all batches that no reader needs.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        let mut freed = state.tiers.drop_copies(u64::MAX);
        if state.seal.is_some() && !state.flush.is_good() {
            let passed = if state.cursors.count() == 0 { u64::MAX } else { state.cursors.low_water_mark() };
            freed += state.tiers.slide(passed, u64::MAX);
        }
        self.freed(state, freed);
    }

    /// Makes room and wakes the writer if a reader's move has passed the mark.
    pub(super) fn reader_moved(&self, way: MarkStatus) {
        if way == MarkStatus::Passed {
            self.slide();
            let writer = self.lock().writer.take();
            WakeList::from_iter(writer).wake();
        }
    }

    /// Gives memory back and wakes the writer, both without the lock. If nothing was freed the writer is not woken: it may be the caller, and
    /// would wake itself without end.
    fn freed(&self, mut state: MutexGuard<'_, LogState>, freed: u64) {
        if freed > 0 {
            let writer = WakeList::from_iter(state.writer.take());
            drop(state);
            writer.wake();
            self.memory.give_from_log(freed);
        }
    }
}

impl Drop for LogShared {
    fn drop(&mut self) {
        let held = self.lock().tiers.held();
        self.memory.give_from_log(held);
    }
}

impl LogState {
    /// Drops batches that all readers have passed, except those still to be stored.
    pub(super) fn slide(&mut self, wanted: u64) -> u64 {
        if self.flush.is_good() {
            return self.tiers.drop_copies(wanted);
        }
        self.tiers.slide(self.cursors.low_water_mark(), wanted)
    }

    /// Sets the mark that readers have to pass to make room, if room is wanted.
    pub(super) fn mark(&mut self, wanted: u64) {
        let visible = self.visible();
        let first = self.tiers.first_end().unwrap_or(visible);
        self.cursors.set_mark(if wanted > 0 { first.min(visible) } else { 0 });
    }

    /// Returns true if readers can't pass more bytes before more are appended.
    pub(super) fn is_caught_up(&self) -> bool {
        !self.flush.is_good() && self.cursors.low_water_mark() >= self.visible()
    }

    /// Returns true if a reader has come within `ahead` bytes of the log's end; if not, the one that does passes the mark.
    pub(super) fn is_followed(&mut self, ahead: u64) -> bool {
        let far = self.tiers.bytes().checked_sub(ahead);
        let is_followed = far.is_none_or(|far| self.cursors.high_water_mark() > far);
        self.cursors.set_front(far.filter(|_| !is_followed));
        is_followed
    }

    pub(super) fn extent(&self) -> LogExtent {
        LogExtent {
            visible: self.visible(),
            bytes: self.tiers.bytes(),
            records: self.tiers.records(),
            from: self.tiers.from(),
            readers: self.cursors.count(),
            is_full: self.writer.is_some(),
            seal: self.seal.clone(),
        }
    }

    /// Returns the end of the bytes that readers may have.
    pub(super) fn visible(&self) -> u64 {
        self.tiers.published() - self.held_back
    }

    /// Publishes batches that end at or before the byte `through`. Wakes only readers that have something to read.
    pub(super) fn publish(&mut self, through: u64) -> WakeList {
        if let Some(newest) = self.tiers.publish(through) {
            self.held_back = (newest.lines().len() - ndjson::visible_len(newest.lines())) as u64;
        }
        let readers = self.cursors.wakers_before(self.visible());
        readers.into_iter().chain(self.writer.take()).collect()
    }

    /// Returns the reason if the log takes no more batches.
    pub(super) fn refused(&self) -> Option<WriteRefused> {
        let changed = matches!(&self.seal, Some(Seal::Failed(failure)) if failure.fault == Fault::Changed);
        (self.flush.mode == FlushMode::Refused).then_some(if changed {
            WriteRefused::Changed
        } else {
            WriteRefused::Unwritten
        })
    }

    /// Good ⇒ Good
    pub(super) fn written(&mut self, kept: u64, verified_end: u64, seal: Option<Seal>) -> WakeList {
        self.tiers.set_kept(kept);
        // Readers may have a part of a lost page that comes again: they get the rest once it is known to be identical.
        let wake = self.publish(kept.min(verified_end));
        match seal {
            Some(seal) => wake.and(self.finish(seal)),
            None => wake,
        }
    }

    /// Good ⇒ Lost
    pub(super) fn lose(&mut self, kept: u64) -> WakeList {
        self.flush.mode = FlushMode::Lost;
        self.flush.activity = FlushActivity::Idle;
        self.flush.pages.clear();
        self.tiers.set_kept(kept);
        let wake = self.publish(u64::MAX);
        match self.flush.sealing.clone() {
            Some(seal) => wake.and(self.finish(seal)),
            None => wake,
        }
    }

    /// Good ⇒ Refused: bytes that are not stored are dropped; readers never had them.
    pub(super) fn refuse(&mut self, failure: Failure) -> u64 {
        self.flush.mode = FlushMode::Refused;
        self.flush.activity = FlushActivity::Idle;
        self.flush.pages.clear();
        self.seal = Some(Seal::Failed(Arc::new(failure)));
        self.tiers.cut()
    }

    pub(super) fn finish(&mut self, seal: Seal) -> WakeList {
        if matches!(seal, Seal::Complete(_)) {
            self.tiers.publish_all();
            self.held_back = 0;
        }
        self.seal = Some(seal);
        self.wake_all()
    }

    pub(super) fn wake_all(&mut self) -> WakeList {
        let readers = self.cursors.wakers_before(u64::MAX);
        readers.into_iter().chain(self.writer.take()).collect()
    }
}

impl WakeList {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl FromIterator<Waker> for WakeList {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        Self(wakers.into_iter().collect())
    }
}
