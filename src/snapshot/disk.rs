//! How much of the disk all snapshots together have taken, and what one snapshot's files take of it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The budget of the files of all snapshots.
pub(super) struct Disk {
    limit: u64,
    taken: AtomicU64,
    evict: RwLock<Option<Evict>>,
}

/// Asked for so many bytes that are missing, says whether it has deleted something.
type Evict = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// What one snapshot's two files take, shared by all that have them open. Files that were deleted take room until the last one has closed them.
#[derive(Debug)]
pub(super) struct Claim {
    disk: Arc<Disk>,
    place: Place,
    bytes: AtomicU64,
    deleted: AtomicBool,
    turn: Mutex<Turn>,
    on_loss: OnLoss,
    /// Up to here, this process has written the lines or checked them.
    checked: AtomicU64,
}

/// What becomes of a log when its files can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnLoss {
    /// It goes on in memory for who reads it, and its files are deleted.
    GoOn,
    /// It ends: the files are what it is for. They keep what they have.
    Stop,
}

/// Who may write: of all that have the files open, the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn(u64);

/// Where a snapshot's two files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) lines: PathBuf,
    pub(super) journal: PathBuf,
}

impl Disk {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: AtomicU64::new(0), evict: RwLock::new(None) }
    }

    /// Who is to delete something when the budget is used up.
    pub(super) fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        *self.evict.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(evict));
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Counts what is there already, whether there is room for it or not.
    pub(super) fn count(&self, bytes: u64) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes so many bytes; each time that there is no room for them, something else has to be deleted.
    fn take(&self, bytes: u64) -> Result<(), NoRoom> {
        let add = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.limit);
        while let Err(taken) = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            // The lock is not held meanwhile: who deletes comes back here.
            let evict = self.evict.read().unwrap_or_else(PoisonError::into_inner).clone();
            let missing = taken.saturating_add(bytes).saturating_sub(self.limit);
            if !evict.is_some_and(|evict| evict(missing)) {
                return Err(NoRoom);
            }
        }
        Ok(())
    }

    fn give(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("limit", &self.limit).field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Claim {
    /// Files that are yet to be made.
    pub(super) fn new(disk: Arc<Disk>, place: Place) -> Self {
        let (bytes, deleted) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { disk, place, bytes, deleted, turn: Mutex::default(), on_loss: OnLoss::GoOn, checked: AtomicU64::new(0) }
    }

    /// The same, for files that nothing can take the place of.
    pub(super) fn or_stop(self) -> Self {
        let mut claim = self;
        claim.on_loss = OnLoss::Stop;
        claim
    }

    pub(super) fn on_loss(&self) -> OnLoss {
        self.on_loss
    }

    /// Files that are there, and were counted.
    pub(super) fn counted(disk: Arc<Disk>, place: Place) -> Self {
        let bytes = length(&place.lines) + length(&place.journal);
        let claim = Self::new(disk, place);
        claim.bytes.store(bytes, Ordering::Relaxed);
        claim
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn take(&self, bytes: u64) -> Result<(), NoRoom> {
        self.disk.take(bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn give(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.disk.give(bytes);
    }

    /// Up to here, the lines are as the journal says: this process has written or read all of them.
    pub(super) fn check(&self, through: u64) {
        self.checked.store(through, Ordering::Relaxed);
    }

    pub(super) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// From now on whoever had the files open before writes no more. Waits for a write that is under way.
    pub(super) fn next_turn(&self) -> Turn {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.0 += 1;
        *turn
    }

    /// The right to write, as long as it is held; None when others have it now.
    pub(super) fn hold(&self, mine: Turn) -> Option<MutexGuard<'_, Turn>> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        (*turn == mine).then_some(turn)
    }

    /// Deletes the files; who has them open keeps them. The journal goes first: lines without one are nobody's.
    pub(super) fn delete(&self) -> io::Result<()> {
        remove(&self.place.journal)?;
        remove(&self.place.lines)?;
        self.deleted.store(true, Ordering::Release);
        Ok(())
    }

    /// Sees to it that nobody finds the snapshot again, not even after a power cut. A journal that can't be deleted is emptied, which is as good.
    pub(super) fn disown(&self, journal: &File) -> io::Result<()> {
        let folder = || File::open(self.place.journal.parent().unwrap_or(Path::new(".")));
        let deleted = remove(&self.place.journal).and_then(|()| folder()?.sync_all());
        deleted.or_else(|error| journal.set_len(0).and_then(|()| journal.sync_all()).map_err(|_| error))?;
        if let Err(error) = self.delete() {
            tracing::debug!(%error, "what is left of a snapshot's files is deleted with the next start");
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if *self.deleted.get_mut() {
            self.disk.give(*self.bytes.get_mut());
        }
    }
}

/// Deletes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// How long a file is; nothing where there is none.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(disk: &Arc<Disk>) -> Claim {
        let place = Place { lines: PathBuf::from("/nowhere/lines"), journal: PathBuf::from("/nowhere/journal") };
        Claim::new(Arc::clone(disk), place)
    }

    #[test]
    fn what_is_missing_is_asked_for_until_there_is_room_or_nothing_left_to_delete() {
        let disk = Arc::new(Disk::new(10));
        let claims = Arc::new(Mutex::new(vec![claim(&disk), claim(&disk)]));
        claims.lock().unwrap().iter().for_each(|claim| claim.take(4).unwrap());
        let (evicted, asked) = (Arc::clone(&claims), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&asked);
        disk.on_full(move |missing| {
            log.lock().unwrap().push(missing);
            evicted.lock().unwrap().pop().is_some_and(|claim| claim.delete().is_ok())
        });
        let newest = claim(&disk);
        assert_eq!(newest.take(9), Ok(()));
        assert_eq!(newest.take(2), Err(NoRoom));
        assert_eq!((disk.taken(), asked.lock().unwrap().as_slice()), (9, [7, 3, 1].as_slice()));
    }
}
