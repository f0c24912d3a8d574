//! Sorted run of keys: bytes that are written once, in blocks of which each is read alone.
//!
//! A block is a list of keys, each without the bytes that it shares with the one before it in the block:
//!
//! ```text
//! SHARED REST BYTES      two lengths as LEB128, and REST bytes
//! ```

use std::ops::Range;

use twox_hash::XxHash3_64;

/// Bytes of a block, unless a single key is larger.
const BLOCK: usize = 8 * 1024;

/// Index of a run: its bounds, and the first key of each block.
#[derive(Debug)]
pub(super) struct RunIndex {
    blocks: Vec<BlockStart>,
    last: Box<[u8]>,
    length: usize,
    /// Bytes of the index in memory.
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockPlace {
    pub(super) range: Range<usize>,
    hash: u64,
}

#[derive(Debug)]
struct BlockStart {
    at: usize,
    /// XXH3 of the block: a key is not taken for known, nor for new, because a file has other bytes than were written.
    hash: u64,
    first: Box<[u8]>,
}

impl RunIndex {
    /// Encodes keys that ascend, of which there is one at least.
    pub(super) fn encode<'a>(keys: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Self) {
        let (mut bytes, mut blocks) = (Vec::new(), Vec::<BlockStart>::new());
        let mut before: &[u8] = &[];
        for key in keys {
            let begins = blocks.last().is_none_or(|block| bytes.len() - block.at >= BLOCK);
            if begins {
                seal(&mut blocks, &bytes);
                blocks.push(BlockStart { at: bytes.len(), hash: 0, first: key.into() });
                before = &[];
            }
            let shared = before.iter().zip(key).take_while(|(one, other)| one == other).count();
            put_length(&mut bytes, shared);
            put_length(&mut bytes, key.len() - shared);
            bytes.extend_from_slice(&key[shared..]);
            before = key;
        }
        seal(&mut blocks, &bytes);
        let size = blocks.iter().map(|block| size_of::<BlockStart>() + block.first.len()).sum::<usize>() + before.len();
        let index = Self { blocks, last: before.into(), length: bytes.len(), bytes: size };
        (bytes, index)
    }

    /// Block in which this key stands, if it stands in the run.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<BlockPlace> {
        let behind = self.blocks.partition_point(|block| *block.first <= *key);
        let block = self.blocks.get(behind.checked_sub(1)?).filter(|_| *key <= *self.last)?;
        let end = self.blocks.get(behind).map_or(self.length, |next| next.at);
        Some(BlockPlace { range: block.at..end, hash: block.hash })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Notes the hash of the last block, which ends with the bytes.
fn seal(blocks: &mut [BlockStart], bytes: &[u8]) {
    if let Some(block) = blocks.last_mut() {
        block.hash = XxHash3_64::oneshot(&bytes[block.at..]);
    }
}

impl BlockPlace {
    /// Returns true if the key stands in this block, which was read; none if the block is another than was written.
    pub(super) fn has(&self, block: &[u8], key: &[u8]) -> Option<bool> {
        if XxHash3_64::oneshot(block) == self.hash { block_has(block, key) } else { None }
    }
}

fn block_has(mut block: &[u8], key: &[u8]) -> Option<bool> {
    let mut current = Vec::new();
    while !block.is_empty() {
        let (shared, rest) = (take_length(&mut block)?, take_length(&mut block)?);
        if shared > current.len() || rest > block.len() {
            return None;
        }
        let (bytes, behind) = block.split_at(rest);
        current.truncate(shared);
        current.extend_from_slice(bytes);
        block = behind;
        if *current >= *key {
            return Some(*current == *key);
        }
    }
    Some(false)
}

fn put_length(to: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        to.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
}

fn take_length(from: &mut &[u8]) -> Option<usize> {
    let mut length = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        length |= usize::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_has_its_keys_and_no_other(
            keys in prop::collection::btree_set(prop::collection::vec(0..4_u8, 0..6), 1..200),
            others in prop::collection::vec(prop::collection::vec(0..4_u8, 0..6), 0..50),
            padding in 0..300_usize,
        ) {
            let pad = |key: &Vec<u8>| [key.as_slice(), &vec![7; padding]].concat();
            let keys: BTreeSet<_> = keys.iter().map(pad).collect();
            let (bytes, index) = RunIndex::encode(keys.iter().map(Vec::as_slice));
            let has = |key: &[u8]| index.block_of(key).is_some_and(|place| place.has(&bytes[place.range.clone()], key).unwrap());
            prop_assert!(keys.iter().all(|key| has(key)));
            prop_assert!(others.iter().all(|key| has(&pad(key)) == keys.contains(&pad(key)) && !has(&[key.as_slice(), &[9]].concat())));
        }

        #[test]
        fn other_bytes_are_no_block_and_no_panic(block in prop::collection::vec(any::<u8>(), 0..100), key in prop::collection::vec(any::<u8>(), 0..5)) {
            let _ = block_has(&block, &key);
        }
    }
}
