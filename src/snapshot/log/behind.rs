//! The write-behind: what was appended goes to the files, in order, and only then to the readers.
//!
//! ```text
//!   Absent                              (memory alone)
//!   Good ── no room, an error ──▶ Lost  (what is in the file stays there; the rest stays in memory)
//!   Good ── other bytes ────────▶ Refused
//! ```
//!
//! One blocking task at a time writes for a log. It takes all there is, so that what comes while the disk is busy goes in one piece.

use std::io;
use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::shared::{Shared, State, Wake};
use crate::snapshot::Refused;
use crate::snapshot::files::{Entry, Files, Unwritten};
use crate::snapshot::seal::{Failure, Fault, Seal};

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

#[derive(Debug)]
struct Page {
    bytes: u64,
    records: u64,
    note: Box<RawValue>,
}

/// What a task writes at once.
#[derive(Debug)]
struct Work {
    at: u64,
    owed: u64,
    pieces: Vec<Bytes>,
    pages: Vec<Page>,
    seal: Option<Seal>,
}

/// What wasn't written, and up to which byte the lines were.
#[derive(Debug)]
struct Stuck {
    kept: u64,
    cause: Unwritten,
}

/// The task. Where it is dropped before it was begun, as by a runtime that stops, it is done then.
struct Task(Arc<Shared>);

impl Behind {
    pub(super) fn to(files: &Files) -> Self {
        Self { disk: Disk::Good, owed: files.owed(), ..Self::default() }
    }

    /// Whether what is appended is to be written.
    pub(super) fn writes(&self) -> bool {
        self.disk == Disk::Good
    }

    /// Whether the log takes no more, because something else stands where it would be written.
    pub(super) fn is_refused(&self) -> bool {
        self.disk == Disk::Refused
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
    let task = Task(Arc::clone(shared));
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || task.run())),
        Err(_) => task.run(),
    }
}

impl Task {
    fn run(&self) {
        let Some(files) = &self.0.files else { return };
        while let Some(mut work) = self.next() {
            let done = work.write(files);
            if let Err(stuck) = &done {
                give_up(files, work.owed, stuck);
            }
            self.0.settle(work.seal, done);
        }
    }

    /// The write panicked.
    fn fail(&self) {
        let state = self.0.lock();
        let (kept, owed) = (state.tiers.kept(), state.behind.owed);
        drop(state);
        let stuck = Stuck { kept, cause: Unwritten::Io(io::Error::other("the task that writes panicked")) };
        if let Some(files) = &self.0.files {
            give_up(files, owed, &stuck);
        }
        self.0.settle(None, Err(stuck));
    }

    /// What there is to write; where there is nothing, the task is over under the same lock.
    fn next(&self) -> Option<Work> {
        let mut state = self.0.lock();
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
        None
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let ended = self.0.lock().behind.work == Activity::Idle;
        match ended {
            true => {}
            false if std::thread::panicking() => self.fail(),
            false => self.run(),
        }
    }
}

impl Work {
    /// Writes lines page by page, each page's journal entry behind them, and the seal. Says how far the lines have come.
    fn write(&mut self, files: &Files) -> Result<u64, Stuck> {
        let mut kept = self.at;
        let mut pieces = std::mem::take(&mut self.pieces).into_iter().peekable();
        for page in &self.pages {
            let mut end = kept;
            let of_page: Vec<_> = std::iter::from_fn(|| {
                let piece = pieces.next_if(|_| end < page.bytes)?;
                end += piece.len() as u64;
                Some(piece)
            })
            .collect();
            self.lines(files, &mut kept, of_page)?;
            let entry = Entry::Page { bytes: page.bytes, records: page.records, note: &page.note };
            files.append(&entry).map_err(|cause| Stuck { kept, cause })?;
        }
        self.lines(files, &mut kept, pieces.collect())?;
        let entry = match &self.seal {
            Some(Seal::Complete(verdict)) => Entry::Complete(verdict),
            // Whatever may pass doesn't end a snapshot: its crawl can be gone on with.
            Some(Seal::Failed(failure)) if !failure.fault.may_pass() => Entry::Failed(failure),
            Some(Seal::Failed(_)) | None => return Ok(kept),
        };
        files.append(&entry).map_err(|cause| Stuck { kept, cause })?;
        Ok(kept)
    }

    /// Writes what may have been there before by itself: it is then known to be the same, even where there is no room for the rest.
    fn lines(&self, files: &Files, kept: &mut u64, mut pieces: Vec<Bytes>) -> Result<(), Stuck> {
        let fresh = split_off(&mut pieces, self.owed.saturating_sub(*kept));
        for pieces in [pieces, fresh] {
            if !pieces.is_empty() {
                files.write(*kept, &pieces).map_err(|cause| Stuck { kept: *kept, cause })?;
                *kept += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            }
        }
        Ok(())
    }
}

/// What of the pieces stands behind their first bytes.
fn split_off(pieces: &mut Vec<Bytes>, mut first: u64) -> Vec<Bytes> {
    let whole =
        pieces.iter().take_while(|piece| first.checked_sub(piece.len() as u64).map(|rest| first = rest).is_some());
    let whole = whole.count();
    let mut rest = pieces.split_off(whole);
    if let Some(cut) = rest.first_mut().filter(|_| first > 0) {
        pieces.push(cut.split_to(usize::try_from(first).unwrap_or(usize::MAX)));
    }
    rest
}

impl Shared {
    /// Readers may have what was written. What could not be written they may have as well, but where it would take another's place.
    fn settle(&self, seal: Option<Seal>, done: Result<u64, Stuck>) {
        let mut state = self.lock();
        let mut freed = 0;
        let wake = match done {
            Ok(kept) => state.written(kept, seal),
            Err(Stuck { cause: Unwritten::Changed, .. }) => {
                freed = state.refuse(changed());
                state.wake_all()
            }
            Err(Stuck { kept, cause }) if kept < state.behind.owed => {
                freed = state.refuse(unequalled(&cause));
                state.wake_all()
            }
            Err(Stuck { kept, .. }) => state.lose(kept),
        };
        drop(state);
        wake.wake();
        self.memory.give(freed);
        self.memory.relieve();
    }
}

/// What the files are told before readers see that the disk is not written to any more.
fn give_up(files: &Files, owed: u64, stuck: &Stuck) {
    let told = match &stuck.cause {
        // Who goes on with it finds the same again.
        Unwritten::Changed => files.append(&Entry::Failed(&changed())),
        cause if stuck.kept < owed => {
            tracing::warn!("a snapshot can't be gone on with: {cause}");
            Ok(())
        }
        // What readers get from now on, nothing knows after a restart: another crawl must not go on where the file ends.
        cause => {
            tracing::warn!("a snapshot stays in memory, and can't be gone on with after a restart: {cause}");
            files.delete().map_err(Unwritten::Io)
        }
    };
    if let Err(error) = told {
        tracing::warn!("a snapshot's files could not be given up: {error}");
    }
}

impl State {
    /// Good ⇒ Good
    fn written(&mut self, kept: u64, seal: Option<Seal>) -> Wake {
        self.tiers.keep(kept);
        let wake = self.publish(kept);
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

fn changed() -> Failure {
    Failure::new(Fault::Upstream, Refused::Changed.to_string(), "ask again, for a snapshot of its own")
}

fn unequalled(cause: &Unwritten) -> Failure {
    let message = format!("what came before the interruption can't be compared with what comes again: {cause}");
    Failure::new(Fault::Stopped, message, "see to the folder of the snapshots, and ask again")
}

/// A disk that takes its time, for tests: nothing is written until it goes on.
#[cfg(test)]
pub(super) fn pause(log: &super::Log) {
    log.shared.lock().behind.work = Activity::Running;
}

#[cfg(test)]
pub(super) fn go_on(log: &super::Log) {
    Task(Arc::clone(&log.shared)).run();
}
