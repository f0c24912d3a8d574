//! Where a log's bytes stand: the newest in memory, what was written in the file, and what was dropped nowhere.
//!
//! ```text
//!   0 ─── from ─────────── kept ────── published ── bytes
//!   │ gone │  in the file   │                          │
//!                  │        in memory                  │
//! ```
//!
//! What is in memory is one run that ends with the newest byte. `kept` is where the file's bytes end, and `from ≤ kept` unless
//! memory alone had bytes that were dropped. `published` is a record boundary, the end of the newest batch that readers may know of.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Had;
use super::index::{Index, Landmark};
use crate::batch::Batch;

/// What a batch in memory costs beside its bytes.
const BESIDE: u64 = 96;

/// A smaller batch is copied: it may be a slice of much more.
const SMALL: usize = 4 * 1024;

/// How much one frame has at most, so that a client that stalls holds little.
const FRAME: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Tiers {
    pieces: VecDeque<Piece>,
    /// What the pieces cost.
    held: u64,
    from: u64,
    kept: u64,
    published: u64,
    bytes: u64,
    records: u64,
    index: Index,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    batch: Batch,
}

/// Where a byte is.
#[derive(Debug)]
pub(super) enum Place {
    Memory(Bytes),
    File,
    Gone,
}

impl Tiers {
    /// Creates the tiers of a log whose file has this; all of it is published.
    pub(super) fn reopened(had: Had) -> Self {
        let Had { bytes, records, index } = had;
        Self { kept: bytes, published: bytes, bytes, records, index, ..Self::default() }
    }

    /// Takes a batch into memory, and says what that costs.
    pub(super) fn append(&mut self, batch: Batch) -> u64 {
        let batch = if batch.lines().len() < SMALL { batch.detached() } else { batch };
        let piece = Piece { at: self.bytes, batch };
        self.bytes = piece.end();
        self.records += piece.batch.records();
        self.index.pass(Landmark { record: self.records, byte: self.bytes });
        let cost = piece.cost();
        self.held += cost;
        self.pieces.push_back(piece);
        cost
    }

    /// Publishes the batches that end at or before the byte `through`. Returns the newest of them if it was not published before.
    pub(super) fn publish(&mut self, through: u64) -> Option<&Batch> {
        let after = self.pieces.partition_point(|piece| piece.end() <= through);
        let newest = self.pieces.get(after.checked_sub(1)?)?;
        if newest.end() <= self.published {
            return None;
        }
        self.published = newest.end();
        Some(&newest.batch)
    }

    pub(super) fn publish_all(&mut self) {
        self.published = self.bytes;
    }

    /// The file has everything before this byte.
    pub(super) fn keep(&mut self, through: u64) {
        self.kept = through;
    }

    /// What the file doesn't have yet, in order.
    pub(super) fn unwritten(&self) -> Vec<Bytes> {
        let first = self.pieces.partition_point(|piece| piece.at < self.kept);
        self.pieces.range(first..).map(|piece| piece.batch.lines().clone()).collect()
    }

    /// Forgets everything that the file doesn't have, and says what that frees.
    pub(super) fn cut(&mut self) -> u64 {
        let mut freed = 0;
        while let Some(piece) = self.pieces.pop_back_if(|piece| piece.at >= self.kept) {
            self.records -= piece.batch.records();
            freed += piece.cost();
        }
        self.bytes = self.kept;
        self.index.cut(self.bytes);
        self.held -= freed;
        freed
    }

    /// Drops the oldest copies of what the file has, until `wanted` is free; says what is.
    pub(super) fn drop_copies(&mut self, wanted: u64) -> u64 {
        self.drop_front(self.kept, wanted)
    }

    /// Drops the oldest bytes that stand before `passed`, until `wanted` is free; says what is. Those that only memory had are gone.
    pub(super) fn slide(&mut self, passed: u64, wanted: u64) -> u64 {
        let freed = self.drop_front(passed, wanted);
        let first = self.pieces.front().map_or(self.bytes, |piece| piece.at);
        if first > self.kept {
            self.from = self.from.max(first);
        }
        freed
    }

    fn drop_front(&mut self, before: u64, wanted: u64) -> u64 {
        let mut freed = 0;
        while freed < wanted
            && let Some(piece) = self.pieces.pop_front_if(|piece| piece.end() <= before)
        {
            freed += piece.cost();
        }
        self.held -= freed;
        freed
    }

    /// Returns the byte that readers have to pass before the oldest batch can be dropped; `None` if memory is empty.
    pub(super) fn first_end(&self) -> Option<u64> {
        self.pieces.front().map(Piece::end)
    }

    /// The bytes from `at` on, which stands before `limit`, and `limit` before or at what is published.
    pub(super) fn find(&self, at: u64, limit: u64) -> Place {
        match self.pieces.front() {
            Some(first) if first.at <= at => self.in_memory(at, limit),
            _ if at < self.from || at >= self.kept => Place::Gone,
            _ => Place::File,
        }
    }

    fn in_memory(&self, at: u64, limit: u64) -> Place {
        let piece = self.pieces.partition_point(|piece| piece.end() <= at);
        let Some(piece) = self.pieces.get(piece) else { return Place::Gone };
        let lines = piece.batch.lines();
        let place = |byte: u64| usize::try_from(byte - piece.at).unwrap_or(usize::MAX).min(lines.len());
        let start = place(at);
        Place::Memory(lines.slice(start..place(limit).min(start + FRAME)))
    }

    pub(super) fn near(&self, record: u64) -> Landmark {
        self.index.near(record)
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn from(&self) -> u64 {
        self.from
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn published(&self) -> u64 {
        self.published
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.batch.lines().len() as u64
    }

    fn cost(&self) -> u64 {
        self.batch.lines().len() as u64 + BESIDE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Tiers {
        let mut tiers = Tiers::default();
        for text in ["[1]\n", "[2]\n[3]\n", "[4]\n"] {
            tiers.append(Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64));
        }
        tiers
    }

    #[test]
    fn copies_go_first_and_leave_no_gap() {
        let mut tiers = three();
        tiers.keep(12);
        assert_eq!(tiers.publish(12).map(Batch::records), Some(2));
        assert_eq!((tiers.published(), tiers.publish(15)), (12, None));
        assert!(tiers.drop_copies(1) > 0 && tiers.drop_copies(u64::MAX) > 0);
        assert_eq!((tiers.drop_copies(u64::MAX), tiers.from()), (0, 0));
        assert!(matches!(tiers.find(0, 10), Place::File));
        tiers.publish_all();
        assert!(matches!(tiers.find(13, 16), Place::Memory(bytes) if bytes == "4]\n"));
        assert_eq!(tiers.unwritten(), ["[4]\n"]);
    }

    #[test]
    fn what_only_memory_had_is_gone_when_it_is_dropped() {
        let mut tiers = three();
        tiers.publish_all();
        assert_eq!(tiers.slide(3, u64::MAX), 0);
        assert!(tiers.slide(13, u64::MAX) > 0);
        assert_eq!(tiers.from(), 12);
        assert!(matches!(tiers.find(11, 16), Place::Gone));
        assert!(matches!(tiers.find(12, 14), Place::Memory(bytes) if bytes == "[4"));
    }

    #[test]
    fn what_is_cut_was_never_there() {
        let mut tiers = three();
        tiers.keep(4);
        assert!(tiers.cut() > 0);
        assert_eq!((tiers.bytes(), tiers.records(), tiers.published()), (4, 1, 0));
        assert!(tiers.unwritten().is_empty());
    }
}
