//! Disk budget of all snapshots, and the share of it that one snapshot's files take.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::contents::LossPolicy;
use super::error::WriteError;
use super::file_io::{length, remove};
use super::open_files::NamedFile;

pub(super) struct DiskBudget {
    limit: u64,
    used: AtomicU64,
    evict: RwLock<Option<Evict>>,
}

/// Frees at least the given number of bytes, if it can; returns true if it has freed any.
type Evict = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// One snapshot's two files and their share of the budget, common to all logs that read or write them. Deleted files count until the last of
/// those logs is gone.
#[derive(Debug)]
pub(super) struct FileClaim {
    pub(super) lines: NamedFile,
    pub(super) journal: NamedFile,
    budget: Arc<DiskBudget>,
    bytes: AtomicU64,
    deleted: AtomicBool,
    epoch: Mutex<Epoch>,
    loss_policy: LossPolicy,
    /// End of the lines that this process has written or verified.
    verified: AtomicU64,
}

/// Fencing token: of all logs of the files, only the holder of the newest epoch may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl DiskBudget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), evict: RwLock::new(None) }
    }

    /// Registers the function that deletes snapshots when the budget is used up.
    pub(super) fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        *self.evict.write() = Some(Arc::new(evict));
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts existing files, which may exceed the limit.
    pub(super) fn count(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes `bytes`. While there is no room for them, another snapshot has to be deleted.
    pub(super) fn take(&self, bytes: u64) -> Result<(), NoRoom> {
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        while let Err(used) = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            // The lock is not held during the call: the deletion gives its bytes back here.
            let evict = self.evict.read().clone();
            let missing = used.saturating_add(bytes).saturating_sub(self.limit);
            if !evict.is_some_and(|evict| evict(missing)) {
                return Err(NoRoom);
            }
        }
        Ok(())
    }

    pub(super) fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for DiskBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskBudget").field("limit", &self.limit).field("used", &self.used).finish_non_exhaustive()
    }
}

impl From<NoRoom> for WriteError {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

impl FileClaim {
    /// Creates the claim of files that are yet to be created.
    pub(super) fn new(budget: Arc<DiskBudget>, lines: NamedFile, journal: NamedFile) -> Self {
        Self {
            lines,
            journal,
            budget,
            bytes: AtomicU64::new(0),
            deleted: AtomicBool::new(false),
            epoch: Mutex::default(),
            loss_policy: LossPolicy::Continue,
            verified: AtomicU64::new(0),
        }
    }

    /// Creates the claim of existing files, which the budget has counted.
    pub(super) fn of_existing(budget: Arc<DiskBudget>, lines: NamedFile, journal: NamedFile) -> Self {
        let mut claim = Self::new(budget, lines, journal);
        *claim.bytes.get_mut() = length(claim.lines.path()) + length(claim.journal.path());
        claim
    }

    pub(super) fn with_loss_policy(mut self, loss_policy: LossPolicy) -> Self {
        self.loss_policy = loss_policy;
        self
    }

    pub(super) fn budget(&self) -> &Arc<DiskBudget> {
        &self.budget
    }

    pub(super) fn loss_policy(&self) -> LossPolicy {
        self.loss_policy
    }

    pub(super) fn take(&self, bytes: u64) -> Result<(), NoRoom> {
        self.budget.take(bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn give(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.give(bytes);
    }

    /// Remembers that this process has written or read all lines before `end`, and that they are as the journal says.
    pub(super) fn set_verified(&self, end: u64) {
        self.verified.store(end, Ordering::Relaxed);
    }

    pub(super) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// Starts a new epoch, which ends the writes of all earlier ones. Waits for a write that is under way.
    pub(super) fn next_epoch(&self) -> Epoch {
        let mut epoch = self.epoch.lock();
        epoch.0 += 1;
        *epoch
    }

    /// Returns the right to write for as long as the guard lives; `None` if a newer epoch has begun.
    pub(super) fn hold(&self, mine: Epoch) -> Option<MutexGuard<'_, Epoch>> {
        let epoch = self.epoch.lock();
        (*epoch == mine).then_some(epoch)
    }

    /// Deletes the files. Logs that read them still can. The journal goes first: lines without a journal are discarded at the next start.
    pub(super) fn delete(&self) -> io::Result<()> {
        if let Err(error) = self.lines.pin() {
            tracing::debug!(%error, "readers of a deleted snapshot break off");
        }
        self.journal.close();
        remove(self.journal.path())?;
        remove(self.lines.path())?;
        self.deleted.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes sure that the snapshot is not found again, even after a power cut. A journal that can't be deleted is emptied, which is as good.
    pub(super) fn disown(&self) -> io::Result<()> {
        let path = self.journal.path();
        let folder = || File::open(path.parent().unwrap_or(Path::new(".")));
        let empty = || self.journal.open().and_then(|journal| journal.set_len(0).and_then(|()| journal.sync_all()));
        let deleted = remove(path).and_then(|()| folder()?.sync_all());
        deleted.or_else(|error| empty().map_err(|_| error))?;
        if let Err(error) = self.delete() {
            tracing::debug!(%error, "the rest of a snapshot's files is deleted at the next start");
        }
        Ok(())
    }
}

impl Drop for FileClaim {
    fn drop(&mut self) {
        if *self.deleted.get_mut() {
            self.budget.give(*self.bytes.get_mut());
        }
    }
}

#[cfg(test)]
impl FileClaim {
    /// Creates the claim of two files in a folder that is not locked.
    pub(super) fn in_folder(folder: &Path, budget: Arc<DiskBudget>) -> Self {
        let open_files = super::open_files::OpenFiles::new(None);
        let [lines, journal] = ["lines", "journal"].map(|name| NamedFile::new(folder.join(name), &open_files));
        Self::of_existing(budget, lines, journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(budget: &Arc<DiskBudget>) -> FileClaim {
        FileClaim::in_folder(Path::new("/nowhere"), Arc::clone(budget))
    }

    #[test]
    fn missing_bytes_are_asked_for_until_there_is_room_or_nothing_left_to_delete() {
        let budget = Arc::new(DiskBudget::new(10));
        let claims = Arc::new(Mutex::new(vec![claim(&budget), claim(&budget)]));
        claims.lock().iter().for_each(|claim| claim.take(4).unwrap());
        let (evicted, asked) = (Arc::clone(&claims), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&asked);
        budget.on_full(move |missing| {
            log.lock().push(missing);
            evicted.lock().pop().is_some_and(|claim| claim.delete().is_ok())
        });
        let newest = claim(&budget);
        assert_eq!(newest.take(9), Ok(()));
        assert_eq!(newest.take(2), Err(NoRoom));
        assert_eq!((budget.used(), asked.lock().as_slice()), (9, [7, 3, 1].as_slice()));
    }
}
