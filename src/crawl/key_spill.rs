//! Runs of keys in the crawl's file, together with the records that wait there.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::spill::{FileRanges, HeldBatch, SpillStore};
use crate::config::Caps;
use crate::pagination::keys::{KeySet, KeySpill, RunNumber, SpillLost};

/// Store of runs that reads blocks on the crawl's own thread: one new key in 60 needs a block, which the kernel mostly has in its cache. Writes
/// are not waited for.
#[derive(Debug)]
pub(super) struct KeySpillFile {
    store: SpillStore,
    runs: Vec<Arc<KeyRun>>,
    room: SpillRoom,
}

/// Room for further runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SpillRoom {
    Left,
    /// There was none, and a warning has said so.
    Full,
}

#[derive(Debug)]
struct KeyRun {
    ranges: FileRanges,
    /// The bytes, until they are in the file; for good if it can't be written.
    unwritten: Mutex<Option<UnwrittenRun>>,
}

#[derive(Debug)]
struct UnwrittenRun {
    bytes: Bytes,
    _memory: HeldBatch,
}

/// The set of a crawl's keys, which has as much memory and as much of the file as the records that wait.
pub(super) fn key_set(caps: &Caps, store: SpillStore) -> KeySet {
    let memory = usize::try_from(caps.window_bytes).unwrap_or(usize::MAX);
    KeySet::new(memory, Box::new(KeySpillFile { store, runs: Vec::new(), room: SpillRoom::Left }))
}

impl KeySpill for KeySpillFile {
    fn store(&mut self, run: Vec<u8>) -> Option<RunNumber> {
        let Some(ranges) = self.store.allot(run.len() as u64) else {
            if self.room == SpillRoom::Left {
                self.room = SpillRoom::Full;
                tracing::warn!(
                    "keys of earlier records are forgotten: there is no room for them in caps.spool; doubles of them can't be found"
                );
            }
            return None;
        };
        let unwritten = UnwrittenRun { _memory: self.store.reserve(run.len() as u64), bytes: run.into() };
        let run = Arc::new(KeyRun { ranges, unwritten: Mutex::new(Some(unwritten)) });
        self.runs.push(Arc::clone(&run));
        drop(spawn_blocking(move || run.write()));
        Some(RunNumber(self.runs.len() - 1))
    }

    fn read(&self, run: RunNumber, at: usize, length: usize) -> Result<Vec<u8>, SpillLost> {
        self.runs[run.0].read(at, length).map_err(|error| SpillLost(error.to_string()))
    }
}

impl KeyRun {
    /// Blocks.
    fn write(&self) {
        let unwritten = self.unwritten.lock().as_ref().map(|unwritten| unwritten.bytes.clone());
        if let Some(bytes) = unwritten
            && self.ranges.write(&[bytes]).is_ok()
        {
            // The account's lock is taken by the drop, after this lock is released.
            let written = self.unwritten.lock().take();
            drop(written);
        }
    }

    fn read(&self, at: usize, length: usize) -> io::Result<Vec<u8>> {
        if let Some(unwritten) = &*self.unwritten.lock() {
            return Ok(unwritten.bytes[at..at + length].to_vec());
        }
        let mut bytes = vec![0; length];
        self.ranges.read(at as u64, &mut bytes)?;
        Ok(bytes)
    }
}
