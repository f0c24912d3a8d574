//! Batches of records, the unit that all stages exchange.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use twox_hash::XxHash3_64;

/// Whole NDJSON lines: each record is one line, and each line ends with `\n`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    lines: Bytes,
    records: u64,
    /// Place of each record's key, where they have been looked for.
    keys: Option<Arc<Vec<LineKey>>>,
}

/// Place of a record's key in the lines of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineKey {
    /// Offset of the key, or of the record's line where it has none.
    pub start: u32,
    /// Number of bytes; 0 for no key.
    pub length: u32,
    pub relation: KeyRelation,
}

/// Relation of a key to the one before it in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRelation {
    /// Any, this one included.
    Other,
    /// The same text, but for the number at its end, which is one more and has as many digits.
    Next,
}

impl LineKey {
    /// The place of a key; none beyond 4 GiB.
    pub fn new(start: usize, length: usize, relation: KeyRelation) -> Option<Self> {
        Some(Self { start: u32::try_from(start).ok()?, length: u32::try_from(length).ok()?, relation })
    }
}

impl Batch {
    /// A batch of `records` lines; `lines` is empty or ends with a newline.
    pub fn new(lines: Bytes, records: u64) -> Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\n"), "a batch ends with its last record's newline");
        Self { lines, records, keys: None }
    }

    /// The batch with the places of its keys, one for each record.
    pub fn with_keys(self, keys: Arc<Vec<LineKey>>) -> Self {
        debug_assert!(keys.len() as u64 == self.records, "each record has a place");
        Self { keys: Some(keys), ..self }
    }

    pub fn without_keys(self) -> Self {
        Self { keys: None, ..self }
    }

    /// Places of the keys, one for each record; none where they have not been looked for, or a part of the batch was cut off.
    pub fn keys(&self) -> Option<&[LineKey]> {
        self.keys.as_deref().map(Vec::as_slice)
    }

    /// Text of a key; none where the record has none, or `null`.
    pub fn key(&self, key: LineKey) -> Option<&[u8]> {
        Some(self.text_of(key)).filter(|text| !matches!(*text, b"" | b"null"))
    }

    /// Text by which a record is told apart: its key, or all of its line.
    pub fn identity(&self, key: LineKey) -> &[u8] {
        match self.text_of(key) {
            [] => {
                let rest = &self.lines[key.start as usize..];
                memchr(b'\n', rest).map_or(rest, |end| &rest[..end]).trim_ascii()
            }
            text => text,
        }
    }

    fn text_of(&self, key: LineKey) -> &[u8] {
        &self.lines[key.start as usize..][..key.length as usize]
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.lines.len() + self.keys().map_or(0, size_of_val)
    }

    /// The lines with their newlines.
    pub fn lines(&self) -> &Bytes {
        &self.lines
    }

    pub fn records(&self) -> u64 {
        self.records
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Each record's line with its newline.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        memchr_iter(b'\n', &self.lines).map(move |end| &self.lines[std::mem::replace(&mut start, end + 1)..=end])
    }

    /// Creates a batch without the spare capacity of its buffer, which would stay in memory with it. The allocator takes the end of a large
    /// buffer back without a copy.
    pub(crate) fn without_spare(lines: BytesMut, records: u64) -> Self {
        let mut lines = Vec::from(lines);
        lines.shrink_to_fit();
        Self::new(lines.into(), records)
    }

    /// Copies the lines, for a batch that will wait: a slice would keep all of the buffer that it was cut from.
    pub fn detached(self) -> Self {
        Self { lines: Bytes::copy_from_slice(&self.lines), ..self }
    }

    /// The batch without its first `count` records.
    pub fn skip(mut self, count: u64) -> Self {
        if count > 0 {
            self.keys = None;
        }
        for _ in 0..count.min(self.records) {
            let end = memchr(b'\n', &self.lines).map_or(self.lines.len(), |at| at + 1);
            let _first = self.lines.split_to(end);
            self.records -= 1;
        }
        self
    }

    /// The batch without the records at these indexes, which ascend. It is copied, unless they are its first ones.
    pub fn without(self, dropped: &[usize]) -> Self {
        if dropped.iter().copied().eq(0..dropped.len()) {
            return self.skip(dropped.len() as u64);
        }
        let mut lines = BytesMut::with_capacity(self.lines.len());
        let mut dropped_left = dropped;
        for (at, line) in self.each().enumerate() {
            match dropped_left.split_first() {
                Some((first, rest)) if *first == at => dropped_left = rest,
                _ => lines.extend_from_slice(line),
            }
        }
        Self::new(lines.freeze(), self.records - dropped.len() as u64)
    }

    /// The batch's first `count` records.
    pub fn take(mut self, count: u64) -> Self {
        self.keys = None;
        let rest = self.clone().skip(count);
        self.lines.truncate(self.lines.len() - rest.lines.len());
        self.records -= rest.records;
        self
    }
}

/// XXH3 (64 bits) of lines, however they are cut into batches.
#[derive(Clone, Default)]
pub struct LinesHash(XxHash3_64);

impl LinesHash {
    pub fn add(&mut self, batch: &Batch) {
        self.0.write(&batch.lines);
    }

    pub fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl fmt::Debug for LinesHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinesHash").field(&self.finish()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_and_take_share_a_batch() {
        let batch = Batch::new(Bytes::from_static(b"1\n22\n333\n"), 3);
        assert_eq!(batch.clone().skip(1), Batch::new(Bytes::from_static(b"22\n333\n"), 2));
        assert_eq!(batch.clone().take(1), Batch::new(Bytes::from_static(b"1\n"), 1));
        assert!(batch.clone().skip(9).is_empty());
        assert_eq!(batch.clone().take(9), batch);
        assert_eq!(batch.clone().without(&[0, 1]), batch.clone().skip(2));
        assert_eq!(batch.without(&[0, 2]), Batch::new(Bytes::from_static(b"22\n"), 1));
    }
}
