//! Batches of records, the unit that all stages exchange.

use std::fmt;
use std::hash::Hasher;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use twox_hash::XxHash3_64;

/// Whole NDJSON lines: each record is one line, and each line ends with `\n`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    lines: Bytes,
    records: u64,
}

impl Batch {
    /// A batch of `records` lines; `lines` is empty or ends with a newline.
    pub fn new(lines: Bytes, records: u64) -> Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\n"), "a batch ends with its last record's newline");
        Self { lines, records }
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

    /// Copies the lines, for a batch that will wait: a slice would keep all of the buffer that it was cut from.
    pub fn detached(self) -> Self {
        Self { lines: Bytes::copy_from_slice(&self.lines), ..self }
    }

    /// The batch without its first `count` records.
    pub fn skip(mut self, count: u64) -> Self {
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
        Self { lines: lines.freeze(), records: self.records - dropped.len() as u64 }
    }

    /// The batch's first `count` records.
    pub fn take(mut self, count: u64) -> Self {
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
