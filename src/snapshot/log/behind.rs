//! The write-behind: what was appended goes to the files, in order, and only then to the readers.
//!
//! ```text
//!   Absent                              (memory alone)
//!   Good ── no room, an error ──▶ Lost  (what is in the file stays there; the rest stays in memory)
//!   Good ── other bytes ────────▶ Refused
//!   Good ── an error, and the files can't be deleted ──▶ Refused
//! ```
//!
//! One blocking task at a time writes for a log. It takes all there is, so that what comes while the disk is busy goes in one piece.

use std::io;
use std::sync::{Arc, MutexGuard};

use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::shared::{Shared, State, Wake};
use super::work::{Loss, Page, Stuck, Work};
use crate::error::{Failure, Fault};
use crate::snapshot::Refused;
use crate::snapshot::files::{Files, Unwritten};
use crate::snapshot::seal::Seal;

#[derive(Debug, Default)]
pub(super) struct Behind {
    disk: Disk,
    /// Whole pages that the journal doesn't have yet.
    pages: Vec<Page>,
    /// How the log ends when everything is written.
    pub(super) sealing: Option<Seal>,
    work: Activity,
    /// Up to here, readers may have bytes from before an interruption: nothing else may take their place.
    owed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Disk {
    #[default]
    Absent,
    Good,
    Lost,
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Activity {
    #[default]
    Idle,
    Running,
}

/// The task. Where it is dropped before it was begun, as by a runtime that stops, it is done then.
#[derive(Debug)]
struct Task {
    shared: Arc<Shared>,
    stage: Stage,
}

/// How far a task has come. The log alone can't tell: when this one is over, the next one may run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Over,
}

impl Behind {
    pub(super) fn to(files: &Files) -> Self {
        Self { disk: Disk::Good, owed: files.owed(), ..Self::default() }
    }

    /// Whether what is appended is to be written.
    pub(super) fn writes(&self) -> bool {
        self.disk == Disk::Good
    }

    /// A page ends with this byte and record.
    pub(super) fn note(&mut self, bytes: u64, records: u64, note: &RawValue) {
        self.pages.push(Page { bytes, records, note: note.to_owned() });
    }
}

/// Has written what is there to be written.
pub(super) fn start(shared: &Arc<Shared>, mut state: MutexGuard<'_, State>) {
    if state.behind.work == Activity::Running || !state.behind.writes() {
        return;
    }
    state.behind.work = Activity::Running;
    drop(state);
    let mut task = Task::of(shared);
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || task.run())),
        Err(_) => task.run(),
    }
}

impl Task {
    fn of(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), stage: Stage::Waiting }
    }

    fn run(&mut self) {
        self.stage = Stage::Running;
        let shared = Arc::clone(&self.shared);
        let Some(files) = &shared.files else { return };
        while let Some(mut work) = self.next() {
            let done = work.write(files).map_err(|stuck| stuck.give_up(files, work.owed));
            shared.settle(work.seal, done);
        }
    }

    /// The write panicked.
    fn fail(&self) {
        let state = self.shared.lock();
        let (kept, owed) = (state.tiers.kept(), state.behind.owed);
        drop(state);
        let stuck = Stuck { kept, cause: Unwritten::Io(io::Error::other("the task that writes panicked")) };
        if let Some(files) = &self.shared.files {
            self.shared.settle(None, Err(stuck.give_up(files, owed)));
        }
    }

    /// What there is to write; where there is nothing, the task is over under the same lock.
    fn next(&mut self) -> Option<Work> {
        let mut state = self.shared.lock();
        let State { tiers, behind, seal, .. } = &mut *state;
        let work = Work {
            at: tiers.kept(),
            owed: behind.owed,
            pieces: tiers.unwritten(),
            pages: std::mem::take(&mut behind.pages),
            seal: behind.sealing.clone().filter(|_| seal.is_none()),
        };
        if behind.writes() && !(work.pieces.is_empty() && work.pages.is_empty() && work.seal.is_none()) {
            return Some(work);
        }
        behind.work = Activity::Idle;
        self.stage = Stage::Over;
        None
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        match self.stage {
            Stage::Waiting => self.run(),
            // It panicked.
            Stage::Running => self.fail(),
            Stage::Over => {}
        }
    }
}

impl Shared {
    /// Readers may have what was written. What could not be written they may have as well, but where it would take another's place.
    fn settle(&self, seal: Option<Seal>, done: Result<u64, Loss>) {
        let compared = self.files.as_ref().map_or(u64::MAX, |files| files.compared());
        let mut state = self.lock();
        let mut freed = 0;
        let wake = match done {
            Ok(kept) => state.written(kept, compared, seal),
            Err(Loss::File(kept)) => state.lose(kept),
            Err(Loss::Log(failure)) => {
                freed = state.refuse(failure);
                state.wake_all()
            }
        };
        drop(state);
        wake.wake();
        self.memory.give(freed);
        self.memory.relieve();
    }
}

impl State {
    /// Why the log takes no more, where it doesn't.
    pub(super) fn refused(&self) -> Option<Refused> {
        let changed = matches!(&self.seal, Some(Seal::Failed(failure)) if failure.fault == Fault::Changed);
        (self.behind.disk == Disk::Refused).then_some(if changed { Refused::Changed } else { Refused::Unwritten })
    }

    /// Good ⇒ Good
    fn written(&mut self, kept: u64, compared: u64, seal: Option<Seal>) -> Wake {
        self.tiers.keep(kept);
        // Of a page that was lost and comes again readers may have a part: they get the rest when it is known to be the same.
        let wake = self.publish(kept.min(compared));
        match seal {
            Some(seal) => wake.and(self.finish(seal)),
            None => wake,
        }
    }

    /// Good ⇒ Lost
    fn lose(&mut self, kept: u64) -> Wake {
        self.behind.disk = Disk::Lost;
        self.behind.work = Activity::Idle;
        self.behind.pages.clear();
        self.tiers.keep(kept);
        let wake = self.publish(u64::MAX);
        match self.behind.sealing.clone() {
            Some(seal) => wake.and(self.finish(seal)),
            None => wake,
        }
    }

    /// Good ⇒ Refused: what the file doesn't have was never there.
    fn refuse(&mut self, failure: Failure) -> u64 {
        self.behind.disk = Disk::Refused;
        self.behind.work = Activity::Idle;
        self.behind.pages.clear();
        self.seal = Some(Seal::Failed(Arc::new(failure)));
        self.tiers.cut()
    }
}

/// A disk that takes its time, for tests: nothing is written until it goes on.
#[cfg(test)]
pub(super) fn pause(log: &super::Log) {
    log.shared.lock().behind.work = Activity::Running;
}

#[cfg(test)]
pub(super) fn go_on(log: &super::Log) {
    Task::of(&log.shared).run();
}
