//! Keys of the records that came last, by which a record is known again.

use std::collections::VecDeque;

use super::digest_map::DigestMap;

/// Smallest number of keys that are known. Within them, a known record is told from a new one wherever the list has moved to.
const LEAST_KNOWN: u64 = 4096;

/// Number of the longest pages whose keys are known.
const KNOWN_PAGES: u64 = 8;

/// Bytes of a key in memory, beside its text: its entry, and its place by its hash.
const KEY_BYTES: usize = 72;

/// Distance of two keys in the list's order, where keys of records that were inserted between their records meanwhile find room.
const RANK_STEP: u64 = 1 << 20;

/// Bytes of `caps.window` for each byte of known keys. Where that is too little, more pages are read again, and no record is lost.
const WINDOW_SHARE: u64 = 16;

/// Keys of the records that came last, in their order. Those of the page under way are not known before it ends.
#[derive(Debug, Default)]
pub(super) struct OverlapKeys {
    /// Texts of the keys, one behind the other, and at their start some of forgotten ones.
    texts: Vec<u8>,
    /// Number of bytes of all texts that have been removed.
    removed: u64,
    keys: VecDeque<KnownKey>,
    /// Hash of a key → its place among all that came.
    places: DigestMap<u64>,
    /// Number of keys that are not known any more.
    forgotten: u64,
    /// Place of the first key of the page under way.
    page: u64,
    /// Rank of the page's last known key, and the place of its first new key behind that.
    met: Option<u64>,
    fresh: u64,
    /// Largest number of keys of a page.
    longest: u64,
    /// Number of bytes that all keys may take.
    room: usize,
}

#[derive(Clone, Copy, Debug)]
struct KnownKey {
    hash: u64,
    /// Place in the list's order, which ascends.
    rank: u64,
    /// Number of bytes of all texts before its own.
    start: u64,
    length: usize,
}

impl OverlapKeys {
    pub(super) fn new(window: u64) -> Self {
        Self { room: usize::try_from(window / WINDOW_SHARE).unwrap_or(usize::MAX), ..Self::default() }
    }

    /// Number of keys that are not known any more.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Number of keys that came with the pages before the one under way.
    pub(super) fn end(&self) -> u64 {
        self.page
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * KEY_BYTES + self.texts.len()
    }

    /// Place of a key with this hash among all that came with the pages before.
    pub(super) fn place_of(&self, hash: u64, key: &[u8]) -> Option<u64> {
        let place = *self.places.get(&hash)?;
        let known = self.keys.get(usize::try_from(place.checked_sub(self.forgotten)?).ok()?)?;
        // A hash alone drops no record.
        (place < self.page && self.text_of(*known) == key).then_some(place)
    }

    /// Adds a key of the page under way, and forgets the oldest ones for which there is no room.
    pub(super) fn push(&mut self, hash: u64, key: &[u8]) {
        let place = self.forgotten + self.keys.len() as u64;
        self.places.insert(hash, place);
        let rank = (place + 1).saturating_mul(RANK_STEP);
        self.keys.push_back(KnownKey { hash, rank, start: self.removed + self.texts.len() as u64, length: key.len() });
        self.texts.extend_from_slice(key);
        self.longest = self.longest.max(place + 1 - self.page);
        let most = LEAST_KNOWN.max(self.longest.saturating_mul(KNOWN_PAGES));
        while self.keys.len() as u64 > most || self.bytes() > self.room && self.keys.len() > 1 {
            self.forget_first();
        }
    }

    /// Takes a known key of the page, and returns its rank. The new keys since the one before it stand between the two: a page is of one
    /// moment.
    pub(super) fn meet(&mut self, place: u64) -> u64 {
        // Cannot be cut: the key is in memory, and so is its place.
        let rank = self.keys.get((place - self.forgotten) as usize).map_or(0, |key| key.rank);
        self.insert_fresh(self.met.unwrap_or(rank.saturating_sub(RANK_STEP)), rank);
        (self.met, self.fresh) = (Some(rank), self.all());
        rank
    }

    /// Gives the page's new keys behind its last known one their ranks between these.
    fn insert_fresh(&mut self, from: u64, to: u64) {
        let first = self.fresh.saturating_sub(self.forgotten) as usize;
        let count = self.keys.len().saturating_sub(first) as u64;
        let step = to.saturating_sub(from) / (count + 1);
        for (rank, key) in (1..).map(|nth| from + nth * step).zip(self.keys.iter_mut().skip(first)) {
            key.rank = rank;
        }
    }

    /// Adds the keys of the page to those that are known. Behind a page that ends in front of known records, its last ones stand before these.
    pub(super) fn end_page(&mut self) {
        let is_behind_all = |met: &u64| self.page.checked_mul(RANK_STEP).is_none_or(|last| *met >= last);
        if let Some(met) = self.met.filter(|met| !is_behind_all(met) && self.fresh < self.all()) {
            let known = self.page.saturating_sub(self.forgotten) as usize;
            let next = self.keys.iter().take(known).map(|key| key.rank).filter(|rank| *rank > met).min();
            next.into_iter().for_each(|next| self.insert_fresh(met, next));
        }
        self.begin_page();
    }

    fn begin_page(&mut self) {
        (self.page, self.met, self.fresh) = (self.all(), None, self.all());
    }

    /// Number of keys that came, those of the page under way included.
    fn all(&self) -> u64 {
        self.forgotten + self.keys.len() as u64
    }

    pub(super) fn drop_page(&mut self) {
        while self.forgotten + (self.keys.len() as u64) > self.page
            && let Some(KnownKey { hash, length, .. }) = self.keys.pop_back()
        {
            self.places.remove(&hash);
            self.texts.truncate(self.texts.len() - length);
        }
        self.begin_page();
    }

    fn forget_first(&mut self) {
        let Some(KnownKey { hash, .. }) = self.keys.pop_front() else { return };
        if self.places.get(&hash) == Some(&self.forgotten) {
            self.places.remove(&hash);
        }
        self.forgotten += 1;
        let stale = self.keys.front().map_or(self.texts.len(), |first| self.offset_of(first.start));
        // Half of the texts at a time, so that each byte is moved once.
        if stale > self.texts.len() / 2 {
            self.texts.drain(..stale);
            self.removed += stale as u64;
        }
    }

    fn text_of(&self, KnownKey { start, length, .. }: KnownKey) -> &[u8] {
        let start = self.offset_of(start);
        &self.texts[start..start + length]
    }

    fn offset_of(&self, start: u64) -> usize {
        // Cannot be cut: the text is in memory.
        (start - self.removed) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::plan::fingerprint::hash_of;

    fn page(known: &mut OverlapKeys, keys: impl IntoIterator<Item = u64>) {
        for key in keys {
            let key = key.to_string();
            known.push(hash_of(key.as_bytes()), key.as_bytes());
        }
    }

    fn place_of(known: &OverlapKeys, key: u64) -> Option<u64> {
        let key = key.to_string();
        known.place_of(hash_of(key.as_bytes()), key.as_bytes())
    }

    #[test]
    fn a_page_is_known_when_it_has_ended_and_forgotten_where_it_is_dropped() {
        let mut known = OverlapKeys::new(1 << 20);
        page(&mut known, [7, 8, 8]);
        assert_eq!((place_of(&known, 7), known.end()), (None, 0));
        known.end_page();
        assert_eq!((place_of(&known, 7), place_of(&known, 8), known.end()), (Some(0), Some(2), 3));
        page(&mut known, [9, 10]);
        known.drop_page();
        assert_eq!((place_of(&known, 9), place_of(&known, 7), known.end()), (None, Some(0), 3));
        assert_eq!(known.place_of(hash_of(b"7"), b"other"), None, "no key is known by its hash alone");
    }

    #[test]
    fn a_late_key_stands_between_those_that_its_page_has_around_it() {
        let mut known = OverlapKeys::new(1 << 20);
        page(&mut known, [10, 20, 30, 40]);
        known.end_page();
        let mut ranks = |keys: &[u64]| {
            let ranks: Vec<_> = keys
                .iter()
                .map(|key| match place_of(&known, *key) {
                    Some(place) => known.meet(place),
                    None => {
                        page(&mut known, [*key]);
                        0
                    }
                })
                .collect();
            known.end_page();
            ranks
        };
        // Among known records, in front of them, and behind the last one of a page that is in front of others.
        for late in [&[20, 24, 25, 30][..], &[5, 10, 20], &[20, 23], &[40, 50, 60]] {
            ranks(late);
        }
        let seen = ranks(&[5, 10, 20, 23, 24, 25, 30, 40, 50, 60]);
        assert!(seen.is_sorted_by(|one, other| one < other), "{seen:?}");
        // Another order is none.
        assert!(!ranks(&[24, 23, 30]).is_sorted());
    }

    #[test]
    fn the_newest_keys_are_known_within_their_room() {
        let mut known = OverlapKeys::new(16 << 20);
        for first in (0..50_000).step_by(1_000) {
            page(&mut known, first..first + 1_000);
            known.end_page();
        }
        assert_eq!(
            (place_of(&known, 42_000), place_of(&known, 41_999), known.forgotten()),
            (Some(42_000), None, 42_000)
        );
        assert!(known.bytes() <= 8_000 * (KEY_BYTES + 10) && known.places.len() == 8_000);
        let mut small = OverlapKeys::new(16 << 10);
        page(&mut small, 0..1_000);
        small.end_page();
        assert!(small.bytes() <= 1 << 10 && place_of(&small, 999) == Some(999) && place_of(&small, 0).is_none());
        page(&mut small, 1_000..2_000);
        small.drop_page();
        assert!(place_of(&small, 1_999).is_none() && small.keys.is_empty() && small.places.is_empty());
    }
}
