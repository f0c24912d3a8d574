//! Flush of a log: appended bytes go to the storage, in order, and only then to the readers.
//!
//! One blocking task at a time writes for a log. It takes all pending bytes, so that those that come while the disk is busy are written in
//! one piece.

use std::io;
use std::sync::Arc;

use parking_lot::MutexGuard;
use tokio::runtime::Handle;

use super::flush_queue::{FlushActivity, FlushBatch, FlushError, FlushLoss};
use super::log_state::{LogShared, LogState};
use crate::snapshot::seal::Seal;
use crate::snapshot::storage::WriteError;

/// Blocking task that writes. A task that is dropped before it has started, as by a runtime that stops, runs in the drop.
#[derive(Debug)]
struct FlushTask {
    shared: Arc<LogShared>,
    stage: FlushStage,
}

/// Progress of a task. The log alone can't tell: when this task is over, the next one may run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlushStage {
    Waiting,
    Running,
    Over,
}

/// Starts a task that writes all pending bytes and pages, unless one is running.
pub(super) fn start(shared: &Arc<LogShared>, mut state: MutexGuard<'_, LogState>) {
    if state.flush.activity == FlushActivity::Running || !state.flush.is_good() {
        return;
    }
    state.flush.activity = FlushActivity::Running;
    drop(state);
    let mut task = FlushTask::new(shared);
    match Handle::try_current() {
        Ok(runtime) => shared.storage.spawn_write(&runtime, move || task.run()),
        Err(_) => task.run(),
    }
}

impl FlushTask {
    fn new(shared: &Arc<LogShared>) -> Self {
        Self { shared: Arc::clone(shared), stage: FlushStage::Waiting }
    }

    fn run(&mut self) {
        self.stage = FlushStage::Running;
        let shared = Arc::clone(&self.shared);
        while let Some(mut batch) = self.next() {
            let done = batch.write(&shared.storage).map_err(|error| error.give_up(&shared.storage, batch.replay_end));
            shared.settle(batch.seal, done);
        }
    }

    /// Gives the storage up after a panic.
    fn fail(&self) {
        let state = self.shared.lock();
        let (kept, replay_end) = (state.tiers.kept(), state.flush.replay_end);
        drop(state);
        let error = FlushError { kept, cause: WriteError::Io(io::Error::other("the task that writes panicked")) };
        self.shared.settle(None, Err(error.give_up(&self.shared.storage, replay_end)));
    }

    /// Returns the pending bytes, pages and seal. If there are none, the task is over, under the same lock.
    fn next(&mut self) -> Option<FlushBatch> {
        let mut state = self.shared.lock();
        let LogState { tiers, flush, seal, .. } = &mut *state;
        let batch = FlushBatch {
            at: tiers.kept(),
            replay_end: flush.replay_end,
            pieces: tiers.unwritten(),
            pages: std::mem::take(&mut flush.pages),
            seal: flush.sealing.clone().filter(|_| seal.is_none()),
        };
        if flush.is_good() && !(batch.pieces.is_empty() && batch.pages.is_empty() && batch.seal.is_none()) {
            return Some(batch);
        }
        flush.activity = FlushActivity::Idle;
        self.stage = FlushStage::Over;
        None
    }
}

impl Drop for FlushTask {
    fn drop(&mut self) {
        match self.stage {
            FlushStage::Waiting => self.run(),
            // `run` panicked.
            FlushStage::Running => self.fail(),
            FlushStage::Over => {}
        }
    }
}

impl LogShared {
    /// Publishes stored bytes. Bytes that can't be stored are published too, unless they would take the place of bytes from before an
    /// interruption.
    fn settle(&self, seal: Option<Seal>, done: Result<u64, FlushLoss>) {
        let verified_end = self.storage.verified_end();
        let mut state = self.lock();
        let mut freed = 0;
        let wake = match done {
            Ok(kept) => state.written(kept, verified_end, seal),
            Err(FlushLoss::Storage(kept)) => state.lose(kept),
            Err(FlushLoss::Log(failure)) => {
                freed = state.refuse(failure);
                state.wake_all()
            }
        };
        let has_ended = state.seal.is_some();
        drop(state);
        wake.wake();
        self.memory.give_from_log(freed);
        if has_ended {
            self.memory.note_idle();
        }
        self.memory.relieve();
    }
}

/// Stops the flush of a log, as a slow disk does, until [`resume`].
#[cfg(test)]
pub(super) fn pause(log: &super::Log) {
    log.shared.lock().flush.activity = FlushActivity::Running;
}

#[cfg(test)]
pub(super) fn resume(log: &super::Log) {
    FlushTask::new(&log.shared).run();
}
