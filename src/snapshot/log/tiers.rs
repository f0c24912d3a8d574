//! Tiers of a log's bytes: the newest in memory, stored ones, and evicted ones.
//!
//! ```text
//!   0 ─── from ─────────── kept ────── published ── bytes
//!   │ gone │     stored     │                          │
//!                  │        in memory                  │
//! ```
//!
//! The bytes in memory are one run that ends with the newest byte. `kept` is the end of the stored bytes, and `from ≤ kept` unless bytes that
//! were only in memory have been dropped. `published` is a record boundary: the end of the newest batch that readers may know of.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::batch::Batch;
use crate::format::RecordOffset;
use crate::snapshot::record_index::RecordIndex;
use crate::snapshot::storage::StoredExtent;

/// Cost of a batch in memory in addition to its bytes.
const OVERHEAD: u64 = 96;

/// Length below which a batch is copied: it may be a slice of a much larger buffer.
const COPY_BELOW: usize = 4 * 1024;

/// Maximum length of a frame, so that a client that stalls holds little memory.
const FRAME: usize = 64 * 1024;

/// Length above which a batch gives copies to readers.
const LARGE: usize = 4 * FRAME;

#[derive(Debug, Default)]
pub(super) struct Tiers {
    pieces: VecDeque<TierPiece>,
    /// Cost of the pieces.
    held: u64,
    from: u64,
    kept: u64,
    published: u64,
    bytes: u64,
    records: u64,
    index: RecordIndex,
}

#[derive(Debug)]
struct TierPiece {
    at: u64,
    batch: Batch,
}

#[derive(Debug)]
pub(super) enum ByteLocation {
    Memory(Bytes),
    Storage,
    Gone,
}

impl Tiers {
    /// Creates the tiers of a log with these stored bytes, all of them published.
    pub(super) fn reopened(extent: StoredExtent) -> Self {
        let StoredExtent { bytes, records, index } = extent;
        Self { kept: bytes, published: bytes, bytes, records, index, ..Self::default() }
    }

    /// Takes a batch into memory and returns its cost.
    pub(super) fn append(&mut self, batch: Batch) -> u64 {
        let batch = if batch.lines().len() < COPY_BELOW { batch.detached() } else { batch };
        let piece = TierPiece { at: self.bytes, batch };
        self.bytes = piece.end();
        self.records += piece.batch.records();
        self.index.add(RecordOffset { record: self.records, byte: self.bytes });
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

    pub(super) fn set_kept(&mut self, through: u64) {
        self.kept = through;
    }

    /// Notes that the stored bytes can't be read any more.
    pub(super) fn lose_stored(&mut self) {
        let first = self.pieces.front().map_or(self.kept, |piece| piece.at.min(self.kept));
        self.from = self.from.max(first);
    }

    /// Returns the batches that are not stored yet, in order.
    pub(super) fn unwritten(&self) -> Vec<Bytes> {
        let first = self.pieces.partition_point(|piece| piece.at < self.kept);
        self.pieces.range(first..).map(|piece| piece.batch.lines().clone()).collect()
    }

    /// Drops all bytes that are not stored and returns the freed cost.
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

    /// Drops the oldest stored batches from memory until `wanted` is free. Returns the freed cost.
    pub(super) fn drop_copies(&mut self, wanted: u64) -> u64 {
        self.drop_front(self.kept, wanted)
    }

    /// Drops the oldest batches before `passed` until `wanted` is free. Returns the freed cost. Batches that are not stored are gone.
    pub(super) fn slide(&mut self, passed: u64, wanted: u64) -> u64 {
        let mut freed = self.drop_front(passed, wanted);
        if freed < wanted {
            freed += self.trim_front(passed);
        }
        let first = self.pieces.front().map_or(self.bytes, |piece| piece.at);
        if first > self.kept {
            self.from = self.from.max(first);
        }
        freed
    }

    /// Drops the bytes before `passed` of a batch of which little is left. The last byte of the newest batch is held back until the next one
    /// has come: without this, a reader that has read all there is would keep a large record in memory.
    fn trim_front(&mut self, passed: u64) -> u64 {
        let Some(piece) = self.pieces.front_mut().filter(|piece| piece.at < passed && passed < piece.end()) else {
            return 0;
        };
        let (before, rest) = (piece.cost(), piece.end() - passed);
        if rest > FRAME as u64 || before < 2 * rest + COPY_BELOW as u64 {
            return 0;
        }
        let lines = piece.batch.lines();
        let rest = Bytes::copy_from_slice(&lines[lines.len() - rest as usize..]);
        *piece = TierPiece { at: passed, batch: Batch::new(rest, piece.batch.records()) };
        let freed = before - piece.cost();
        self.held -= freed;
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
        self.pieces.front().map(TierPiece::end)
    }

    /// Finds the bytes from `at` to `limit`, where `at < limit ≤ published`.
    pub(super) fn find(&self, at: u64, limit: u64) -> ByteLocation {
        match self.pieces.front() {
            Some(first) if first.at <= at => self.in_memory(at, limit),
            _ if at < self.from || at >= self.kept => ByteLocation::Gone,
            _ => ByteLocation::Storage,
        }
    }

    fn in_memory(&self, at: u64, limit: u64) -> ByteLocation {
        let piece = self.pieces.partition_point(|piece| piece.end() <= at);
        let Some(piece) = self.pieces.get(piece) else { return ByteLocation::Gone };
        let lines = piece.batch.lines();
        let place = |byte: u64| usize::try_from(byte - piece.at).unwrap_or(usize::MAX).min(lines.len());
        let start = place(at);
        let frame = start..place(limit).min(start + FRAME);
        // A slice of a large record would keep all of it in memory for as long as the client does not read.
        ByteLocation::Memory(if lines.len() > LARGE {
            Bytes::copy_from_slice(&lines[frame])
        } else {
            lines.slice(frame)
        })
    }

    pub(super) fn near(&self, is_before: impl Fn(RecordOffset) -> bool) -> RecordOffset {
        self.index.near(is_before)
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Returns the cost of the batches that are not stored.
    pub(super) fn held_alone(&self) -> u64 {
        let stored = self.pieces.partition_point(|piece| piece.end() <= self.kept);
        self.pieces.range(stored..).map(TierPiece::cost).sum()
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

impl TierPiece {
    fn end(&self) -> u64 {
        self.at + self.batch.lines().len() as u64
    }

    fn cost(&self) -> u64 {
        self.batch.lines().len() as u64 + OVERHEAD
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
    fn stored_batches_are_dropped_first_and_leave_no_gap() {
        let mut tiers = three();
        tiers.set_kept(12);
        assert_eq!(tiers.publish(12).map(Batch::records), Some(2));
        assert_eq!((tiers.published(), tiers.publish(15)), (12, None));
        assert!(tiers.drop_copies(1) > 0 && tiers.drop_copies(u64::MAX) > 0);
        assert_eq!((tiers.drop_copies(u64::MAX), tiers.from()), (0, 0));
        assert!(matches!(tiers.find(0, 10), ByteLocation::Storage));
        tiers.publish_all();
        assert!(matches!(tiers.find(13, 16), ByteLocation::Memory(bytes) if bytes == "4]\n"));
        assert_eq!(tiers.unwritten(), ["[4]\n"]);
    }

    #[test]
    fn batches_that_are_not_stored_are_gone_when_they_are_dropped() {
        let mut tiers = three();
        tiers.publish_all();
        assert_eq!(tiers.slide(3, u64::MAX), 0);
        assert!(tiers.slide(13, u64::MAX) > 0);
        assert_eq!(tiers.from(), 12);
        assert!(matches!(tiers.find(11, 16), ByteLocation::Gone));
        assert!(matches!(tiers.find(12, 14), ByteLocation::Memory(bytes) if bytes == "[4"));
    }

    #[test]
    fn a_large_batch_gives_the_bytes_back_that_every_reader_has_passed() {
        let mut tiers = Tiers::default();
        tiers.append(Batch::new(Bytes::from([&[b'1'; 1 << 20][..], b"\n"].concat()), 1));
        tiers.publish_all();
        assert_eq!((tiers.slide(1 << 19, u64::MAX), tiers.from()), (0, 0));
        assert_eq!(tiers.slide(1 << 20, u64::MAX), 1 << 20);
        assert_eq!((tiers.held(), tiers.from(), tiers.records()), (1 + OVERHEAD, 1 << 20, 1));
        assert!(matches!(tiers.find(1 << 20, (1 << 20) + 1), ByteLocation::Memory(bytes) if bytes == "\n"));
        assert!(matches!(tiers.find(5, 16), ByteLocation::Gone));
        assert_eq!((tiers.slide(1 << 20, u64::MAX), tiers.bytes()), (0, (1 << 20) + 1));
    }

    #[test]
    fn cut_batches_leave_no_trace() {
        let mut tiers = three();
        tiers.set_kept(4);
        assert!(tiers.cut() > 0);
        assert_eq!((tiers.bytes(), tiers.records(), tiers.published()), (4, 1, 0));
        assert!(tiers.unwritten().is_empty());
    }
}
