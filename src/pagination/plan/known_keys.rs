//! Keys of the records that came last, by which a record is known again.

use std::collections::VecDeque;

use super::digest_map::DigestMap;
use super::fingerprint::hash_of;

/// Keys of the records that came last, in their order.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    keys: VecDeque<Box<str>>,
    /// Hash of a key → its place among all that came.
    places: DigestMap<u64>,
    /// Number of keys that are not known any more.
    forgotten: u64,
}

impl KnownKeys {
    /// Number of keys that are not known any more.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The newest keys, at most so many, and the number of those before them.
    pub(super) fn newest(&self, most: u64) -> (u64, Vec<Box<str>>) {
        let from = self.keys.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        (self.forgotten + from as u64, self.keys.range(from..).cloned().collect())
    }

    /// Number of keys that came.
    pub(super) fn end(&self) -> u64 {
        self.forgotten + self.keys.len() as u64
    }

    /// Place of a key with this hash among all that came.
    pub(super) fn place_of(&self, hash: u64, key: &str) -> Option<u64> {
        let place = *self.places.get(&hash)?;
        let at = usize::try_from(place.checked_sub(self.forgotten)?).ok()?;
        // A hash alone drops no record.
        (**self.keys.get(at)? == *key).then_some(place)
    }

    /// Adds keys, and forgets the oldest beyond `most`.
    pub(super) fn extend(&mut self, keys: Vec<Box<str>>, most: usize) {
        for key in keys {
            self.places.insert(hash_of(key.as_bytes()), self.end());
            self.keys.push_back(key);
        }
        while self.keys.len() > most {
            let forgotten = self.keys.pop_front().map(|key| hash_of(key.as_bytes()));
            if let Some(hash) = forgotten.filter(|hash| self.places.get(hash) == Some(&self.forgotten)) {
                self.places.remove(&hash);
            }
            self.forgotten += 1;
        }
    }

    /// Forgets the newest keys, from this place on.
    pub(super) fn truncate(&mut self, place: u64) {
        while self.end() > place
            && let Some(key) = self.keys.pop_back()
        {
            self.places.remove(&hash_of(key.as_bytes()));
        }
    }
}
