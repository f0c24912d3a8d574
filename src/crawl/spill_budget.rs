//! Account of the records that wait for those before them: their bytes in memory, their blocks of a file, and the room left. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

/// Unit in which the file is allotted, in bytes: the account of a piece in memory is small compared with the piece.
pub(super) const BLOCK: u64 = 4096;

/// Limits of the records that wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpillLimits {
    /// Bytes in memory.
    pub(super) window: u64,
    /// Bytes in the file.
    pub(super) spool: u64,
    /// Most bytes of one write, unless a single batch is larger.
    pub(super) extent: u64,
    /// Most writes at a time.
    pub(super) writes: usize,
}

/// Account of memory and file. If every push follows an [`SpillBudget::is_open`], then
///
/// - `held < window + one batch + bytes being written + bytes being read`, since a batch that comes to a full window goes into
///   a write. Each of the `writes` has at most `max(extent, one batch)` bytes (and as many outside of this account while it
///   joins them), and each queue that is taken from reads three such pieces at most.
/// - `the file's end < spool + max(extent, one batch)`, rounded up to blocks.
#[derive(Debug)]
pub(super) struct SpillBudget {
    limits: SpillLimits,
    held: u64,
    writes: usize,
    blocks: BlockAllocator,
    file: FileHealth,
}

/// State of the memory that all crawls share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    None,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHealth {
    Usable,
    Failed,
}

impl SpillBudget {
    pub(super) fn new(limits: SpillLimits) -> Self {
        Self { limits, held: 0, writes: 0, blocks: BlockAllocator::default(), file: FileHealth::Usable }
    }

    /// Returns whether another batch may come: it can stay in memory, or be written.
    pub(super) fn is_open(&self, pressure: Pressure) -> bool {
        self.held == 0 || self.held < self.window(pressure) || self.may_write()
    }

    /// Returns true if memory and file are full, so that only what leaves makes room.
    pub(super) fn is_full(&self) -> bool {
        self.held >= self.limits.window && !self.has_file_room()
    }

    /// Number of bytes that are to be written at once, if memory holds too many.
    pub(super) fn write_size(&self, pressure: Pressure) -> Option<u64> {
        (self.held > self.window(pressure)).then_some(self.limits.extent)
    }

    /// Returns whether the crawl holds so little that the process's memory does not matter.
    pub(super) fn is_small(&self) -> bool {
        self.held < self.limits.extent
    }

    /// Number of bytes that may stay in memory: one write's, where the process has no more to give.
    fn window(&self, pressure: Pressure) -> u64 {
        match pressure {
            Pressure::None => self.limits.window,
            Pressure::Full => self.limits.window.min(self.limits.extent),
        }
    }

    /// Number of bytes in memory: at rest, being written and being read.
    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Number of bytes of the file that are taken.
    pub(super) fn spooled(&self) -> u64 {
        self.blocks.used * BLOCK
    }

    pub(super) fn hold(&mut self, bytes: u64) {
        self.held += bytes;
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.held -= bytes;
    }

    /// Allots ranges of the file for a write that begins; none if nothing may be written now.
    pub(super) fn begin_write(&mut self, bytes: u64) -> Option<Vec<Range<u64>>> {
        if !self.may_write() {
            return None;
        }
        self.writes += 1;
        Some(self.blocks.take(bytes.div_ceil(BLOCK)))
    }

    /// Allots ranges for a write that is not counted, since it is one in many pages.
    pub(super) fn allot(&mut self, bytes: u64) -> Option<Vec<Range<u64>>> {
        self.has_file_room().then(|| self.blocks.take(bytes.div_ceil(BLOCK)))
    }

    /// Counts the end of a write, failed or not.
    pub(super) fn end_write(&mut self) {
        self.writes -= 1;
    }

    pub(super) fn free(&mut self, ranges: &[Range<u64>]) {
        ranges.iter().for_each(|range| self.blocks.free(range.clone()));
    }

    /// Gives the file up for good; returns its health until then.
    pub(super) fn fail(&mut self) -> FileHealth {
        std::mem::replace(&mut self.file, FileHealth::Failed)
    }

    fn may_write(&self) -> bool {
        self.writes < self.limits.writes && self.has_file_room()
    }

    fn has_file_room(&self) -> bool {
        self.file == FileHealth::Usable && self.spooled() < self.limits.spool
    }
}

/// The blocks of a file. Those at its front are taken first, in as many pieces as it takes, so that the file never becomes
/// longer than the most that was ever taken at a time.
#[derive(Debug, Default)]
struct BlockAllocator {
    used: u64,
    /// The first block after all that are taken.
    end: u64,
    /// The gaps before the end, none of which touch: their first blocks, and the first ones after them.
    gaps: BTreeMap<u64, u64>,
}

impl BlockAllocator {
    /// Takes this many blocks, and returns their ranges in bytes.
    fn take(&mut self, count: u64) -> Vec<Range<u64>> {
        let (mut places, mut left) = (Vec::new(), count);
        while left > 0 {
            let (start, gap_end) = self.gaps.pop_first().unwrap_or((self.end, u64::MAX));
            let end = gap_end.min(start.saturating_add(left));
            if end < gap_end && gap_end != u64::MAX {
                self.gaps.insert(end, gap_end);
            }
            self.end = self.end.max(end);
            left -= end - start;
            places.push(start * BLOCK..end * BLOCK);
        }
        self.used += count;
        places
    }

    fn free(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start / BLOCK, range.end / BLOCK);
        self.used -= end - start;
        if let Some((&before, &touch)) = self.gaps.range(..start).next_back()
            && touch == start
        {
            self.gaps.remove(&before);
            start = before;
        }
        if let Some(after) = self.gaps.remove(&end) {
            end = after;
        }
        if end == self.end {
            self.end = start;
        } else {
            self.gaps.insert(start, end);
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
            let (mut blocks, mut taken, mut most) = (BlockAllocator::default(), Vec::<Vec<Range<u64>>>::new(), 0);
            for (count, given) in asked {
                if let Some(index) = given.filter(|_| !taken.is_empty()) {
                    let places = taken.swap_remove(index.index(taken.len()));
                    places.into_iter().for_each(|place| blocks.free(place));
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
                blocks.free(place);
            }
            prop_assert_eq!((blocks.used, blocks.end, blocks.gaps.len()), (0, 0, 0));
        }
    }

    #[test]
    fn is_open_as_long_as_memory_or_the_file_has_room() {
        let mut budget = SpillBudget::new(SpillLimits { window: 100, spool: 2 * BLOCK, extent: 50, writes: 1 });
        assert!(budget.is_open(Pressure::None));
        budget.hold(1000);
        assert!(budget.is_open(Pressure::None) && budget.write_size(Pressure::None).is_some(), "the file has room");
        let places = budget.begin_write(1000).unwrap();
        assert!(!budget.is_open(Pressure::None) && budget.begin_write(1).is_none(), "one write at a time");
        budget.end_write();
        assert!(budget.is_open(Pressure::None));
        budget.begin_write(1).unwrap();
        budget.end_write();
        assert!(!budget.is_open(Pressure::None) && budget.begin_write(1).is_none(), "the file is full");
        budget.free(&places);
        assert!(budget.is_open(Pressure::None));
        assert_eq!((budget.fail(), budget.fail()), (FileHealth::Usable, FileHealth::Failed));
        assert!(!budget.is_open(Pressure::None), "the file is lost");
        budget.release(901);
        assert!(budget.is_open(Pressure::None), "memory has room");
    }

    #[test]
    fn under_pressure_one_write_stays_in_memory() {
        let mut budget = SpillBudget::new(SpillLimits { window: 100, spool: 0, extent: 50, writes: 1 });
        budget.hold(50);
        assert!(budget.is_open(Pressure::None) && !budget.is_open(Pressure::Full) && !budget.is_small());
        budget.hold(1);
        assert_eq!((budget.write_size(Pressure::None), budget.write_size(Pressure::Full)), (None, Some(50)));
    }

    #[test]
    fn nothing_that_waits_is_always_room_for_one() {
        let mut budget = SpillBudget::new(SpillLimits { window: 0, spool: 0, extent: 50, writes: 1 });
        assert!(budget.is_open(Pressure::None));
        budget.hold(1);
        assert!(!budget.is_open(Pressure::None));
    }
}
