//! Keys that are in no range: in memory up to a bound, and in sorted runs behind it.

use std::fmt;

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use super::bloom_filter::KeyFilter;
use super::run::RunIndex;
use super::set::Novelty;

/// Store of sorted runs that memory has no room for.
pub trait KeySpill: fmt::Debug + Send {
    /// Takes a run out of memory; none where there is no room for it.
    fn store(&mut self, run: Vec<u8>) -> Option<RunNumber>;

    /// Reads `length` bytes of a run, which begin at `at`.
    fn read(&self, run: RunNumber, at: usize, length: usize) -> Result<Vec<u8>, SpillLost>;
}

/// A run that was stored, from 0 in the order of storing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunNumber(pub usize);

/// Keys that were stored can't be read again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpillLost(pub String);

/// No store at all: keys that memory has no room for are forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSpill;

impl KeySpill for NoSpill {
    fn store(&mut self, _run: Vec<u8>) -> Option<RunNumber> {
        None
    }

    fn read(&self, _run: RunNumber, _at: usize, _length: usize) -> Result<Vec<u8>, SpillLost> {
        Err(SpillLost("no run was stored".to_owned()))
    }
}

/// Keys in memory, and runs of those before them. Three eighths of the memory are for the newest keys, half is for the filter.
#[derive(Debug)]
pub(super) struct LooseKeys {
    memory: usize,
    newest: NewestKeys,
    filter: Option<KeyFilter>,
    runs: Vec<StoredRun>,
    spill: Box<dyn KeySpill>,
    forgotten: u64,
}

/// Keys in one buffer, and a table of where each begins: an allocation a key would cost more than most keys.
#[derive(Debug, Default)]
struct NewestKeys {
    buffer: Vec<u8>,
    table: HashTable<KeySpan>,
}

#[derive(Clone, Copy, Debug)]
struct KeySpan {
    at: u32,
    length: u32,
}

#[derive(Debug)]
struct StoredRun {
    number: RunNumber,
    index: RunIndex,
}

impl LooseKeys {
    pub(super) fn new(memory: usize, spill: Box<dyn KeySpill>) -> Self {
        Self { memory, newest: NewestKeys::default(), filter: None, runs: Vec::new(), spill, forgotten: 0 }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let runs = self.runs.iter().map(|run| run.index.bytes()).sum::<usize>();
        self.newest.bytes() + runs + self.filter.as_ref().map_or(0, KeyFilter::bytes)
    }

    /// Number of keys that neither memory nor the store had room for.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn insert(&mut self, key: &[u8]) -> Result<Novelty, SpillLost> {
        let hash = XxHash3_64::oneshot(key);
        if self.newest.has(key, hash) || self.is_stored(key, hash)? {
            return Ok(Novelty::Known);
        }
        if self.newest.bytes_with(key) > self.memory / 8 * 3 {
            self.spill();
        }
        self.newest.add(key, hash);
        Ok(Novelty::New)
    }

    fn is_stored(&self, key: &[u8], hash: u64) -> Result<bool, SpillLost> {
        if !self.filter.as_ref().is_some_and(|filter| filter.may_have(hash)) {
            return Ok(false);
        }
        // Repetitions are mostly of what came last.
        for run in self.runs.iter().rev() {
            if let Some(place) = run.index.block_of(key) {
                let block = self.spill.read(run.number, place.range.start, place.range.len())?;
                let changed = || SpillLost("the file has other bytes than were written".to_owned());
                if place.has(&block, key).ok_or_else(changed)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn spill(&mut self) {
        let newest = std::mem::take(&mut self.newest);
        let mut keys: Vec<&[u8]> = newest.table.iter().map(|span| newest.text(*span)).collect();
        if keys.is_empty() {
            return;
        }
        keys.sort_unstable();
        let (run, index) = RunIndex::encode(keys.iter().copied());
        match self.spill.store(run) {
            Some(number) => {
                let filter = self.filter.get_or_insert_with(|| KeyFilter::new(self.memory / 2));
                keys.iter().for_each(|key| filter.add(XxHash3_64::oneshot(key)));
                self.runs.push(StoredRun { number, index });
            }
            None => self.forgotten += keys.len() as u64,
        }
    }
}

impl NewestKeys {
    fn bytes(&self) -> usize {
        self.buffer.capacity() + self.table.allocation_size()
    }

    /// Bytes in memory once this key is added: a full table grows to twice its size.
    fn bytes_with(&self, key: &[u8]) -> usize {
        let growth = if self.table.len() < self.table.capacity() { 1 } else { 2 };
        self.buffer.len() + key.len() + growth * self.table.allocation_size()
    }

    fn text(&self, span: KeySpan) -> &[u8] {
        &self.buffer[span.at as usize..][..span.length as usize]
    }

    fn has(&self, key: &[u8], hash: u64) -> bool {
        self.table.find(hash, |span| self.text(*span) == key).is_some()
    }

    fn add(&mut self, key: &[u8], hash: u64) {
        let Self { buffer, table } = self;
        if buffer.capacity() - buffer.len() < key.len() {
            buffer.reserve_exact(key.len().max(buffer.len() / 8).max(1024));
        }
        // Cannot be cut: a key is part of a record, and the buffer is emptied far below 4 GiB.
        let span = KeySpan { at: buffer.len() as u32, length: key.len() as u32 };
        buffer.extend_from_slice(key);
        table
            .insert_unique(hash, span, |span| XxHash3_64::oneshot(&buffer[span.at as usize..][..span.length as usize]));
    }
}
