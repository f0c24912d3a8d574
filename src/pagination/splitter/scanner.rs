//! The scan of a piece of JSON text into masks, and the buffers that it reuses.

use super::masks::{BLOCK, BlockCarry, BlockMasks, ScanDetail};
use super::simd::{self, Isa};

/// Blocks that are scanned in one go.
const BLOCKS: usize = 64;
/// Bytes that are scanned in one go: they and their masks stay in the first-level cache.
pub(super) const STEP: usize = BLOCK * BLOCKS;

/// Makes masks into a buffer of its own.
#[derive(Debug)]
pub(super) struct Scanner {
    isa: Isa,
    blocks: Box<[BlockMasks; BLOCKS]>,
    cuts: CutPositions,
}

/// Offsets at which records end in a step.
#[derive(Debug)]
pub(super) struct CutPositions {
    places: Box<[u16; STEP]>,
    len: usize,
}

impl Scanner {
    pub(super) fn new(isa: Isa) -> Self {
        let cuts = CutPositions { places: Box::new([0; STEP]), len: 0 };
        Self { isa, blocks: Box::new([BlockMasks::default(); BLOCKS]), cuts }
    }

    /// Makes the masks of at most [`STEP`] bytes; returns them with the cleared buffer of cuts.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        carry: &mut BlockCarry,
        detail: ScanDetail,
    ) -> (&[BlockMasks], &mut CutPositions) {
        let blocks = &mut self.blocks[..bytes.len().div_ceil(BLOCK)];
        simd::scan(self.isa, bytes, carry, detail, blocks);
        self.cuts.len = 0;
        (blocks, &mut self.cuts)
    }

    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// Cuts that were added since the last scan.
    pub(super) fn cuts(&self) -> &[u16] {
        &self.cuts.places[..self.cuts.len]
    }
}

impl CutPositions {
    /// Adds the offsets of a mask whose first bit is the byte at `start`.
    #[inline(always)]
    pub(super) fn add(&mut self, start: usize, mut mask: u64) {
        while mask != 0 {
            let place = start + mask.trailing_zeros() as usize;
            self.places[self.len] = u16::try_from(place).unwrap_or(u16::MAX);
            self.len += 1;
            mask &= mask - 1;
        }
    }
}
