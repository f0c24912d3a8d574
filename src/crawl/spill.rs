//! Room for what waits for its turn: in memory, and where that is full in a file without a name.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use twox_hash::XxHash3_64;

use super::extents::{Disk, Ledger, Limits};
use crate::batch::Batch;

/// How many bytes are written at once at most, where it isn't a single batch.
const EXTENT: u64 = 256 * 1024;

/// How many writes there are at a time.
const WRITES: usize = 8;

/// Room for so many bytes in memory, and then so many in a file. A crawl has one, which its backlogs share: clones are handles.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    books: Mutex<Books>,
    /// Made when it is written to for the first time.
    file: Mutex<Option<Arc<File>>>,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    /// Who waits for room.
    waker: Option<Waker>,
}

/// A batch in memory, which counts as long as it waits.
#[derive(Debug)]
pub(super) struct Held {
    batch: Batch,
    charge: Charge,
}

/// Batches that go to the file, or are there.
#[derive(Debug)]
pub(super) struct Spilled {
    /// None when somebody has taken them out.
    place: Mutex<Option<Place>>,
    extent: Extent,
}

/// Where they are.
#[derive(Debug)]
enum Place {
    /// Still in memory: they are being written, or can't be.
    Memory(Vec<Held>),
    /// In the file, where their bytes have this hash.
    File(u64),
}

/// What comes of taking them out.
pub(super) enum Recalled {
    /// They had not left memory yet.
    Memory(Vec<Held>),
    /// They are being read.
    Reading(JoinHandle<io::Result<Held>>),
}

/// Bytes that count as held until this is dropped.
#[derive(Debug)]
struct Charge {
    room: Arc<Shared>,
    bytes: u64,
}

/// Places in the file, free again when this is dropped: whoever still writes or reads there has it too.
#[derive(Debug)]
struct Extent {
    room: Arc<Shared>,
    places: Vec<Range<u64>>,
    bytes: u64,
    records: u64,
}

/// A write that counts until this is dropped.
struct Write(Arc<Spilled>);

impl Room {
    pub(super) fn new(window: u64, spool: u64) -> Self {
        Self::with(Limits { window, spool, extent: EXTENT, writes: WRITES }, None)
    }

    /// The same within these limits, and in this file if there is one already.
    pub(super) fn with(limits: Limits, file: Option<File>) -> Self {
        let books = Mutex::new(Books { ledger: Ledger::new(limits), waker: None });
        Self(Arc::new(Shared { books, file: Mutex::new(file.map(Arc::new)) }))
    }

    /// Whether more may be asked for: memory has room, or the file has.
    pub(super) fn is_open(&self) -> bool {
        self.0.lock().ledger.is_open()
    }

    /// The same; wakes the task when there is room, which a write's end may bring that nobody else hears of. One task waits.
    pub(super) fn poll_open(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut books = self.0.lock();
        if books.ledger.is_open() {
            return Poll::Ready(());
        }
        books.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// How many bytes are in memory: what rests there, what is being written and what is being read.
    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.0.lock().ledger.held()
    }

    /// How many bytes of the file are taken.
    #[cfg(test)]
    pub(super) fn spooled(&self) -> u64 {
        self.0.lock().ledger.spooled()
    }

    /// How many bytes are to be written at once, if memory is too full.
    pub(super) fn wants_written(&self) -> Option<u64> {
        let books = self.0.lock();
        books.ledger.is_over().then(|| books.ledger.limits().extent)
    }

    /// Keeps a batch in memory.
    pub(super) fn hold(&self, batch: Batch) -> Held {
        let charge = self.0.charge(batch.lines().len() as u64);
        Held { batch: batch.on_its_own(), charge }
    }

    /// Starts to write these batches as one; they come back if that can't be now.
    pub(super) fn spill(&self, run: Vec<Held>) -> Result<Arc<Spilled>, Vec<Held>> {
        let bytes = run.iter().map(Held::bytes).sum();
        let Some(places) = self.0.lock().ledger.begin_write(bytes) else { return Err(run) };
        let records = run.iter().map(|held| held.batch.records()).sum();
        let extent = Extent { room: Arc::clone(&self.0), places, bytes, records };
        let spilled = Arc::new(Spilled { place: Mutex::new(Some(Place::Memory(run))), extent });
        let write = Write(Arc::clone(&spilled));
        // It is not waited for: what it has written is no longer in memory, and what it has not is.
        drop(spawn_blocking(move || write.run()));
        Ok(spilled)
    }
}

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.charge.bytes
    }

    /// The batch, which waits no more.
    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }
}

impl Spilled {
    /// Takes them out, from wherever they are.
    pub(super) fn recall(self: Arc<Self>) -> Recalled {
        let place = self.lock().take().expect("what waits is taken out once");
        match place {
            Place::Memory(run) => Recalled::Memory(run),
            Place::File(hash) => {
                let charge = self.extent.room.charge(self.extent.bytes);
                Recalled::Reading(spawn_blocking(move || self.extent.read(hash, charge)))
            }
        }
    }

    /// Whether they have to be read to be had.
    pub(super) fn is_in_file(&self) -> bool {
        matches!(*self.lock(), Some(Place::File(_)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write {
    fn run(&self) {
        let spilled = &self.0;
        let pieces: Vec<Bytes> = match &*spilled.lock() {
            Some(Place::Memory(run)) if Arc::strong_count(spilled) > 1 => {
                run.iter().map(|held| held.batch.lines().clone()).collect()
            }
            // Nobody wants them any more.
            _ => return,
        };
        match spilled.extent.write(&pieces) {
            Ok(hash) => {
                let mut place = spilled.lock();
                let written = if place.is_some() { place.replace(Place::File(hash)) } else { None };
                // Its bytes leave the books, which are not to be waited for with this lock in hand.
                drop((place, written));
            }
            Err(error) => {
                if spilled.extent.room.change(Ledger::fail) == Disk::Usable {
                    tracing::warn!(
                        "records that wait for their turn can't be written to a file in {}: {error}; they stay in memory, and less is asked for ahead",
                        std::env::temp_dir().display()
                    );
                }
            }
        }
    }
}

impl Extent {
    fn write(&self, pieces: &[Bytes]) -> io::Result<u64> {
        let file = self.room.file()?;
        let joined;
        let bytes: &[u8] = match pieces {
            [one] => one,
            several => {
                joined = several.concat();
                &joined
            }
        };
        let mut rest = bytes;
        for place in &self.places {
            let (now, later) = rest.split_at(rest.len().min(length(place)));
            file.write_all_at(now, place.start)?;
            rest = later;
        }
        Ok(XxHash3_64::oneshot(bytes))
    }

    fn read(&self, hash: u64, charge: Charge) -> io::Result<Held> {
        let file = self.room.file()?;
        let mut bytes = vec![0; usize::try_from(self.bytes).map_err(io::Error::other)?];
        let mut rest = bytes.as_mut_slice();
        for place in &self.places {
            let (now, later) = rest.split_at_mut(rest.len().min(length(place)));
            file.read_exact_at(now, place.start)?;
            rest = later;
        }
        if XxHash3_64::oneshot(&bytes) != hash {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has other bytes than were written"));
        }
        Ok(Held { batch: Batch::new(Bytes::from(bytes), self.records), charge })
    }
}

fn length(place: &Range<u64>) -> usize {
    usize::try_from(place.end - place.start).unwrap_or(usize::MAX)
}

impl Shared {
    fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.lock().ledger.hold(bytes);
        Charge { room: Arc::clone(self), bytes }
    }

    /// Changes the books, and wakes who waits if there is room then.
    fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut books = self.lock();
        let changed = change(&mut books.ledger);
        let waker = if books.ledger.is_open() { books.waker.take() } else { None };
        drop(books);
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }

    fn file(&self) -> io::Result<Arc<File>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let made = Arc::new(tempfile::tempfile()?);
        *file = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The lock is never held across a call out, so a poisoned one still guards whole books.
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.change(|ledger| ledger.release(self.bytes));
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.room.change(|ledger| ledger.give_back(&self.places));
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.0.extent.room.change(Ledger::end_write);
    }
}

impl Drop for Shared {
    /// To close the file is to free its blocks, which takes its time.
    fn drop(&mut self) {
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(file), Ok(runtime)) = (file, Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(file)));
        }
    }
}
