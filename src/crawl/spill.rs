//! Store of records that wait for those before them: in memory, and where that is full in a file without a name.
//!
//! A crawl has one file, whose blocks are used again, and not one for each waiting page: up to 256 pages wait in each part,
//! and a process has fewer descriptors than that for each crawl.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use twox_hash::XxHash3_64;

use super::spill_budget::{FileHealth, Pressure, SpillBudget, SpillLimits};
use super::spill_file::SpillFile;
use crate::batch::Batch;
use crate::snapshot::CrawlMemory;

/// Most bytes of one write, unless a single batch is larger.
const EXTENT: u64 = 256 * 1024;

/// Most writes at a time.
const WRITES: usize = 8;

/// Store of the waiting records of one crawl; clones are handles.
#[derive(Clone, Debug)]
pub(super) struct SpillStore(Arc<SharedStore>);

#[derive(Debug)]
struct SharedStore {
    account: Mutex<Account>,
    memory: CrawlMemory,
    file: SpillFile,
}

#[derive(Debug)]
struct Account {
    budget: SpillBudget,
    /// The task that waits for room.
    waker: Option<Waker>,
}

/// A batch in memory, whose bytes count until this is dropped.
#[derive(Debug)]
pub(super) struct HeldBatch {
    batch: Batch,
    bytes: u64,
    store: Arc<SharedStore>,
}

/// Ranges of the file, free again when this is dropped.
#[derive(Debug)]
pub(super) struct FileRanges {
    ranges: Vec<Range<u64>>,
    store: Arc<SharedStore>,
}

/// Batches that go to the file as one, or are there. A read or a write that is under way shares their ranges.
#[derive(Debug)]
pub(super) struct SpilledRun {
    /// None when they have been taken out.
    location: Mutex<Option<RunLocation>>,
    ranges: FileRanges,
    bytes: u64,
    records: u64,
}

#[derive(Debug)]
enum RunLocation {
    /// The batches are being written, or can't be.
    Memory(Vec<HeldBatch>),
    /// The XXH3 of their bytes.
    File(u64),
}

/// The way in which a run comes back.
pub(super) enum Recalled {
    /// It had not left memory yet.
    Memory(Vec<HeldBatch>),
    Reading(JoinHandle<io::Result<HeldBatch>>),
}

impl SpillStore {
    /// A store for `window` bytes in memory, as far as the process has them, and `spool` bytes in a file.
    pub(super) fn new(window: u64, spool: u64, memory: CrawlMemory) -> Self {
        Self::with_limits(SpillLimits { window, spool, extent: EXTENT, writes: WRITES }, None, memory)
    }

    /// A store with these limits, and in this file if it exists already.
    pub(super) fn with_limits(limits: SpillLimits, file: Option<File>, memory: CrawlMemory) -> Self {
        let account = Mutex::new(Account { budget: SpillBudget::new(limits), waker: None });
        Self(Arc::new(SharedStore { account, memory, file: SpillFile::of(file) }))
    }

    /// Returns whether more may be asked for: memory has room, or the file has.
    pub(super) fn is_open(&self) -> bool {
        let pressure = self.0.pressure();
        self.0.account.lock().budget.is_open(pressure)
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.account.lock().budget.is_full()
    }

    /// Waits for room, which the end of a write may bring that no other event tells of. One task waits at a time.
    pub(super) fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        let pressure = match self.0.pressure() {
            Pressure::Full if self.0.memory.poll_room(context).is_pending() => Pressure::Full,
            Pressure::Full | Pressure::None => Pressure::None,
        };
        let mut account = self.0.account.lock();
        if account.budget.is_open(pressure) {
            return Poll::Ready(());
        }
        account.waker = Some(context.waker().clone());
        Poll::Pending
    }

    #[cfg(test)]
    pub(super) fn usage(&self) -> (u64, u64) {
        let account = self.0.account.lock();
        (account.budget.held(), account.budget.spooled())
    }

    /// Number of bytes that are to be written at once, if memory is too full.
    pub(super) fn write_size(&self) -> Option<u64> {
        let pressure = self.0.pressure();
        self.0.account.lock().budget.write_size(pressure)
    }

    /// Keeps a batch in memory of its own: a slice would keep all of the buffer that it was cut from.
    pub(super) fn hold(&self, batch: Batch) -> HeldBatch {
        let mut held = self.reserve(batch.bytes() as u64);
        held.batch = batch.detached();
        held
    }

    /// Starts to write these batches as one; they come back if nothing may be written now.
    pub(super) fn spill(&self, batches: Vec<HeldBatch>) -> Result<Arc<SpilledRun>, Vec<HeldBatch>> {
        let bytes = batches.iter().map(|held| held.batch.lines().len() as u64).sum();
        let Some(ranges) = self.0.account.lock().budget.begin_write(bytes) else { return Err(batches) };
        let ranges = FileRanges { ranges, store: Arc::clone(&self.0) };
        let records = batches.iter().map(|held| held.batch.records()).sum();
        let location = Mutex::new(Some(RunLocation::Memory(batches)));
        let run = Arc::new(SpilledRun { location, ranges, bytes, records });
        let writing = Arc::clone(&run);
        // The write is not waited for: its batches are in memory until they are in the file.
        drop(spawn_blocking(move || {
            writing.move_to_file();
            writing.ranges.store.update(SpillBudget::end_write);
        }));
        Ok(run)
    }

    /// Allots ranges for a write that is no record's; none where there is no room, or no file.
    pub(super) fn allot(&self, bytes: u64) -> Option<FileRanges> {
        let ranges = self.0.account.lock().budget.allot(bytes)?;
        Some(FileRanges { ranges, store: Arc::clone(&self.0) })
    }

    /// Counts bytes in memory until the result is dropped.
    pub(super) fn reserve(&self, bytes: u64) -> HeldBatch {
        self.0.reserve(bytes)
    }
}

impl HeldBatch {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn into_batch(mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }
}

impl SpilledRun {
    /// Takes the batches out of memory or of the file.
    pub(super) fn recall(self: Arc<Self>) -> Recalled {
        let location = self.location.lock().take().expect("a run is taken out once");
        match location {
            RunLocation::Memory(batches) => Recalled::Memory(batches),
            RunLocation::File(hash) => {
                let held = self.ranges.store.reserve(self.bytes);
                Recalled::Reading(spawn_blocking(move || self.read(hash, held)))
            }
        }
    }

    pub(super) fn is_in_file(&self) -> bool {
        matches!(*self.location.lock(), Some(RunLocation::File(_)))
    }

    fn move_to_file(self: &Arc<Self>) {
        let pieces: Vec<Bytes> = match &*self.location.lock() {
            Some(RunLocation::Memory(batches)) if Arc::strong_count(self) > 1 => {
                batches.iter().map(|held| held.batch.lines().clone()).collect()
            }
            // The batches were taken out or dropped meanwhile.
            _ => return,
        };
        if let Ok(hash) = self.ranges.write(&pieces) {
            let mut location = self.location.lock();
            let written = if location.is_some() { location.replace(RunLocation::File(hash)) } else { None };
            // The batches are dropped, which takes the account's lock, after this lock is released.
            drop((location, written));
        }
    }

    fn read(&self, hash: u64, mut held: HeldBatch) -> io::Result<HeldBatch> {
        let mut bytes = vec![0; usize::try_from(self.bytes).map_err(io::Error::other)?];
        self.ranges.read(0, &mut bytes)?;
        if XxHash3_64::oneshot(&bytes) != hash {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has other bytes than were written"));
        }
        held.batch = Batch::new(Bytes::from(bytes), self.records);
        Ok(held)
    }
}

impl FileRanges {
    /// Writes pieces one after the other, and returns the XXH3 of them all. The file is given up where that fails. Blocks.
    pub(super) fn write(&self, pieces: &[Bytes]) -> io::Result<u64> {
        let joined;
        let bytes: &[u8] = match pieces {
            [one] => one,
            several => {
                joined = several.concat();
                &joined
            }
        };
        let written = self.store.file.write(&self.ranges, bytes);
        if let Err(error) = &written
            && self.store.update(SpillBudget::fail) == FileHealth::Usable
        {
            let folder = std::env::temp_dir();
            tracing::warn!(
                "records that wait for their turn can't be written to a file in {}: {error}; they stay in memory, and less is asked for ahead",
                folder.display()
            );
        }
        written.map(|()| XxHash3_64::oneshot(bytes))
    }

    /// Reads bytes that begin at `at`. Blocks.
    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.store.file.read(&self.ranges, at, bytes)
    }
}

impl SharedStore {
    /// Returns the pressure on a crawl that holds more than one write. Asked without the lock: other crawls may have to make room.
    fn pressure(&self) -> Pressure {
        let is_small = self.account.lock().budget.is_small();
        if is_small || self.memory.has_room() { Pressure::None } else { Pressure::Full }
    }

    /// Room in memory for a batch of this length.
    fn reserve(self: &Arc<Self>, bytes: u64) -> HeldBatch {
        self.account.lock().budget.hold(bytes);
        self.memory.take(bytes);
        HeldBatch { batch: Batch::default(), bytes, store: Arc::clone(self) }
    }

    /// Changes the budget, and wakes the task that waits if there is room then.
    fn update<T>(&self, update: impl FnOnce(&mut SpillBudget) -> T) -> T {
        let mut account = self.account.lock();
        let updated = update(&mut account.budget);
        let waker = if account.budget.is_open(Pressure::None) { account.waker.take() } else { None };
        drop(account);
        if let Some(waker) = waker {
            waker.wake();
        }
        updated
    }
}

impl Drop for HeldBatch {
    fn drop(&mut self) {
        self.store.update(|budget| budget.release(self.bytes));
        self.store.memory.give(self.bytes);
    }
}

impl Drop for FileRanges {
    fn drop(&mut self) {
        self.store.update(|budget| budget.free(&self.ranges));
    }
}
