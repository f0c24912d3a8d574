//! The books of what waits for its turn: its bytes in memory, its blocks of a file, and whether there is room for more. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

/// What the file is handed out in, so that what is kept of each piece in memory is little beside the piece.
pub(super) const BLOCK: u64 = 4096;

/// How much may wait, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes in memory.
    pub(super) window: u64,
    /// Bytes in the file.
    pub(super) spool: u64,
    /// Bytes that are written at once at most, where it isn't a single batch.
    pub(super) extent: u64,
    /// Writes at a time.
    pub(super) writes: usize,
}

/// What there is of it. If every push follows an [`Ledger::is_open`], then
///
/// - `held < window + one batch + what is being written + what is being read`, since a batch that comes to a full window goes into a
///   write. Each of the `writes` has at most `max(extent, one batch)` bytes (and as many outside of the books while it joins
///   them), and each backlog that is taken from reads three such pieces at most.
/// - `the file's end < spool + max(extent, one batch)`, rounded up to blocks.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    held: u64,
    writes: usize,
    blocks: Blocks,
    disk: Disk,
}

/// Whether the file takes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    Usable,
    Failed,
}

impl Ledger {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, held: 0, writes: 0, blocks: Blocks::default(), disk: Disk::Usable }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether another batch may come: it can stay in memory, or be written.
    pub(super) fn is_open(&self) -> bool {
        self.held == 0 || self.held < self.limits.window || self.may_write()
    }

    /// Whether there is more in memory than there may be.
    pub(super) fn is_over(&self) -> bool {
        self.held > self.limits.window
    }

    /// Bytes in memory: what rests there, what is being written and what is being read.
    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Bytes of the file that are taken.
    pub(super) fn spooled(&self) -> u64 {
        self.blocks.used * BLOCK
    }

    /// So many bytes more are in memory.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.held += bytes;
    }

    /// So many bytes less.
    pub(super) fn release(&mut self, bytes: u64) {
        self.held -= bytes;
    }

    /// Places in the file for so many bytes, whose write begins; none if nothing is to be written now.
    pub(super) fn begin_write(&mut self, bytes: u64) -> Option<Vec<Range<u64>>> {
        if !self.may_write() {
            return None;
        }
        self.writes += 1;
        Some(self.blocks.take(bytes.div_ceil(BLOCK)))
    }

    /// A write has ended, whatever came of it.
    pub(super) fn end_write(&mut self) {
        self.writes -= 1;
    }

    /// Nothing needs these places any more.
    pub(super) fn give_back(&mut self, places: &[Range<u64>]) {
        places.iter().for_each(|place| self.blocks.give(place.clone()));
    }

    /// The file takes nothing any more; what it was until then.
    pub(super) fn fail(&mut self) -> Disk {
        std::mem::replace(&mut self.disk, Disk::Failed)
    }

    fn may_write(&self) -> bool {
        self.disk == Disk::Usable && self.writes < self.limits.writes && self.spooled() < self.limits.spool
    }
}

/// The blocks of a file. Those at its front are taken first, in as many pieces as it takes, so that the file never becomes
/// longer than the most that was ever taken at a time.
#[derive(Debug, Default)]
struct Blocks {
    used: u64,
    /// The first block behind all that are taken.
    end: u64,
    /// The gaps before that, none of which touch: their first blocks, and the first ones behind them.
    free: BTreeMap<u64, u64>,
}

impl Blocks {
    /// Takes so many, and says where they are, in bytes.
    fn take(&mut self, count: u64) -> Vec<Range<u64>> {
        let (mut places, mut left) = (Vec::new(), count);
        while left > 0 {
            let (start, gap_end) = self.free.pop_first().unwrap_or((self.end, u64::MAX));
            let end = gap_end.min(start.saturating_add(left));
            if end < gap_end && gap_end != u64::MAX {
                self.free.insert(end, gap_end);
            }
            self.end = self.end.max(end);
            left -= end - start;
            places.push(start * BLOCK..end * BLOCK);
        }
        self.used += count;
        places
    }

    fn give(&mut self, place: Range<u64>) {
        let (mut start, mut end) = (place.start / BLOCK, place.end / BLOCK);
        self.used -= end - start;
        if let Some((&before, &touch)) = self.free.range(..start).next_back()
            && touch == start
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(after) = self.free.remove(&end) {
            end = after;
        }
        if end == self.end {
            self.end = start;
        } else {
            self.free.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No block is taken twice, and the file is no longer than the most that was taken at a time.
        #[test]
        fn blocks_belong_to_one_at_a_time(asked in prop::collection::vec((1..9_u64, any::<Option<prop::sample::Index>>()), 1..200)) {
            let (mut blocks, mut taken, mut most) = (Blocks::default(), Vec::<Vec<Range<u64>>>::new(), 0);
            for (count, given) in asked {
                if let Some(index) = given.filter(|_| !taken.is_empty()) {
                    let places = taken.swap_remove(index.index(taken.len()));
                    places.into_iter().for_each(|place| blocks.give(place));
                }
                taken.push(blocks.take(count));
                prop_assert_eq!(taken.last().unwrap().iter().map(|place| place.end - place.start).sum::<u64>(), count * BLOCK);
                let mut all: Vec<_> = taken.iter().flatten().cloned().collect();
                all.sort_by_key(|place| place.start);
                prop_assert!(all.windows(2).all(|two| two[0].end <= two[1].start), "{all:?}");
                most = most.max(blocks.used);
                prop_assert_eq!(all.iter().map(|place| place.end - place.start).sum::<u64>(), blocks.used * BLOCK);
                prop_assert!(blocks.end <= most && all.last().unwrap().end <= most * BLOCK);
            }
            for place in taken.into_iter().flatten() {
                blocks.give(place);
            }
            prop_assert_eq!((blocks.used, blocks.end, blocks.free.len()), (0, 0, 0));
        }
    }

    #[test]
    fn is_open_as_long_as_memory_or_the_file_has_room() {
        let mut ledger = Ledger::new(Limits { window: 100, spool: 2 * BLOCK, extent: 50, writes: 1 });
        assert!(ledger.is_open());
        ledger.hold(1000);
        assert!(ledger.is_open() && ledger.is_over(), "the file has room");
        let places = ledger.begin_write(1000).unwrap();
        assert!(!ledger.is_open() && ledger.begin_write(1).is_none(), "one write at a time");
        ledger.end_write();
        assert!(ledger.is_open());
        ledger.begin_write(1).unwrap();
        ledger.end_write();
        assert!(!ledger.is_open() && ledger.begin_write(1).is_none(), "the file is full");
        ledger.give_back(&places);
        assert!(ledger.is_open());
        assert_eq!((ledger.fail(), ledger.fail()), (Disk::Usable, Disk::Failed));
        assert!(!ledger.is_open(), "the file is lost");
        ledger.release(901);
        assert!(ledger.is_open(), "memory has room");
    }

    #[test]
    fn nothing_that_waits_is_always_room_for_one() {
        let mut ledger = Ledger::new(Limits { window: 0, spool: 0, extent: 50, writes: 1 });
        assert!(ledger.is_open());
        ledger.hold(1);
        assert!(!ledger.is_open());
    }
}
