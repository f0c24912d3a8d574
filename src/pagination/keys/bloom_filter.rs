//! Filter in front of the runs: a key that it hasn't seen is in none of them.

/// Words of a block, which is one cache line: a question costs one miss.
const WORDS: usize = 8;

/// Bits that each key sets in its block.
const BITS: u32 = 6;

/// Blocked Bloom filter (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007) of a size that doesn't change:
/// at 10 bits a key one new key in 60 is looked for in vain, and when it is full all of them are.
#[derive(Debug)]
pub(super) struct KeyFilter {
    blocks: Vec<[u64; WORDS]>,
}

impl KeyFilter {
    pub(super) fn new(bytes: usize) -> Self {
        Self { blocks: vec![[0; WORDS]; (bytes / size_of::<[u64; WORDS]>()).max(1)] }
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<[u64; WORDS]>()
    }

    pub(super) fn add(&mut self, hash: u64) {
        let at = self.block_of(hash);
        let block = &mut self.blocks[at];
        bits(hash).for_each(|(word, bit)| block[word] |= bit);
    }

    /// Returns true if a key with this hash may have been added.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block_of(hash)];
        bits(hash).all(|(word, bit)| block[word] & bit != 0)
    }

    fn block_of(&self, hash: u64) -> usize {
        // The high bits, scaled to the number of blocks (Lemire's reduction); the low ones choose the bits within a block.
        usize::try_from(((hash >> 32) * self.blocks.len() as u64) >> 32).unwrap_or_default()
    }
}

/// Word and bit for each of the bits of a key.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let mixed = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..BITS).map(move |number| {
        let bit = (mixed >> (number * 9 + 10)) & 511;
        ((bit >> 6) as usize, 1 << (bit & 63))
    })
}

#[cfg(test)]
mod tests {
    use twox_hash::XxHash3_64;

    use super::*;

    #[test]
    fn what_was_added_may_be_there_and_little_else() {
        let hash = |number: u64| XxHash3_64::oneshot(&number.to_le_bytes());
        let keys = 100_000_u64;
        let mut filter = KeyFilter::new(125_000);
        (0..keys).for_each(|number| filter.add(hash(number)));
        assert!((0..keys).all(|number| filter.may_have(hash(number))));
        let in_vain = (keys..2 * keys).filter(|number| filter.may_have(hash(*number))).count();
        assert!(in_vain < 2_500, "{in_vain} of {keys} at 10 bits a key");
    }
}
