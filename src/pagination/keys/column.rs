//! Places of the keys of lines, found as each line ends: its bytes are in the processor's cache then, and its end is known.

use std::sync::Arc;

use super::next_key::NextKey;
use super::numbered_key::split;
use super::reader::{KeyReader, Scan};
use crate::batch::{Batch, KeyRelation, LineKey};

/// Number of keys in a row that don't count up, behind which none of the page is expected any more: expecting a key costs as much as
/// finding one.
const PATIENCE: u32 = 32;

/// Number of keys of one batch, from which on their memory is not used again.
const MANY: usize = 16 * 1024;

/// Keys of the lines that were not taken.
#[derive(Debug)]
pub(in crate::pagination) struct KeyColumn {
    reader: Arc<KeyReader>,
    next: NextKey,
    /// Number of keys in a row that were not expected.
    unexpected: u32,
    places: Vec<LineKey>,
    /// Keys that were taken last, whose memory is used again when their batch is gone.
    taken: Arc<Vec<LineKey>>,
    state: ColumnState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnState {
    Whole,
    /// A line has a key that the parser must find: the lines are read again, one by one.
    Broken,
}

impl KeyColumn {
    pub(in crate::pagination) fn new(reader: Arc<KeyReader>) -> Self {
        let next = NextKey::behind(reader.opening());
        Self { reader, next, unexpected: 0, places: Vec::new(), taken: Arc::default(), state: ColumnState::Whole }
    }

    /// Adds the key of a line that starts at byte `start` of the batch.
    #[inline(always)]
    pub(in crate::pagination) fn add(&mut self, line: &[u8], start: usize) {
        let place = match self.next.place_in(line) {
            Some(place) => {
                self.unexpected = 0;
                LineKey::new(start + place.start, place.len(), KeyRelation::Next)
            }
            None => self.find(line, start),
        };
        match place {
            Some(place) => self.places.push(place),
            None => self.state = ColumnState::Broken,
        }
    }

    /// Finds a key that was not expected. Its code would keep that of [`KeyColumn::add`] from being inlined.
    #[cold]
    #[inline(never)]
    fn find(&mut self, line: &[u8], start: usize) -> Option<LineKey> {
        if self.state == ColumnState::Broken {
            return None;
        }
        let place = match self.reader.find(line) {
            Scan::Found(place) => place,
            Scan::Absent => 0..0,
            Scan::Unsure => return None,
        };
        let relation = self.expect_behind(&line[place.clone()]);
        LineKey::new(start + place.start, place.len(), relation)
    }

    /// Expects the key that follows this one, and returns the relation of this one to the key before it.
    fn expect_behind(&mut self, key: &[u8]) -> KeyRelation {
        if self.next.number_of(key).is_some() {
            self.unexpected = 0;
            return KeyRelation::Next;
        }
        self.unexpected = self.unexpected.saturating_add(1);
        match split(key).filter(|_| self.unexpected < PATIENCE) {
            Some((prefix, number)) => self.next.follow(key, prefix.len(), number),
            None => self.next.forget(),
        }
        KeyRelation::Other
    }

    /// Bytes in memory.
    pub(in crate::pagination) fn bytes(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// Adds the keys of all lines that were not taken to the batch of them, if each was found.
    pub(in crate::pagination) fn take(&mut self, batch: Batch) -> Batch {
        let is_whole = std::mem::replace(&mut self.state, ColumnState::Whole) == ColumnState::Whole;
        if batch.is_empty() || !is_whole {
            self.places.clear();
            return batch;
        }
        match Arc::get_mut(&mut self.taken) {
            Some(taken) => std::mem::swap(taken, &mut self.places),
            None => {
                let room = Vec::with_capacity(self.places.len());
                self.taken = Arc::new(std::mem::replace(&mut self.places, room));
            }
        }
        self.places.clear();
        batch.with_keys(Arc::clone(&self.taken))
    }

    /// Drops the keys of lines that are dropped.
    pub(in crate::pagination) fn forget(&mut self) {
        self.places.clear();
        if self.places.capacity().max(self.taken.capacity()) > MANY {
            (self.places, self.taken) = (Vec::new(), Arc::default());
        }
        (self.state, self.unexpected) = (ColumnState::Whole, 0);
        self.next.forget();
    }
}
