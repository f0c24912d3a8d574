//! What the plan keeps of the page that is arriving: enough to know it again, and to go on from its last record.

use std::fmt;
use std::hash::Hasher;

use memchr::{memchr, memmem, memrchr};
use twox_hash::XxHash3_64;

use crate::batch::Batch;
use crate::pagination::json_extract::PathSet;
use crate::pagination::record::text_of;
use crate::pagination::{PageError, Path};

/// The gist of one page.
#[derive(Default)]
pub(super) struct Gist {
    /// Whether an attempt at it brought a page's head.
    pub(super) began: bool,
    /// How many records came.
    pub(super) records: u64,
    /// How many of them, at the page's start, an earlier page held.
    pub(super) skip: u64,
    /// What may become of them.
    pub(super) leave: Leave,
    /// Records that wait for the page's end.
    pub(super) withheld: Vec<Batch>,
    /// Whether the last record before this page stands in it, too.
    pub(super) moved: bool,
    /// What the page starts with, as a hash.
    pub(super) start: u64,
    /// The line of its last record.
    pub(super) last: Vec<u8>,
    hash: XxHash3_64,
}

/// When a page's records may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leave {
    /// As they come.
    #[default]
    Now,
    /// When the page is whole: until then it may be one that came before.
    AtTheEnd,
    /// Not at all: the page was only asked for to confirm the end.
    Never,
}

/// What tells records apart: their key where one is configured, else all their bytes.
#[derive(Debug)]
pub(super) struct Mark(Option<PathSet>);

impl Gist {
    /// How many records no page before had.
    pub(super) fn new_records(&self) -> u64 {
        self.records - self.skip
    }

    /// Takes the page's next records; how they were cut into batches leaves no trace.
    pub(super) fn add(&mut self, batch: &Batch, mark: &Mark) -> Result<(), PageError> {
        let lines = batch.lines();
        if self.records == 0 {
            self.start = mark.hash(first_line(lines))?;
        }
        match &mark.0 {
            None => self.hash.write(lines),
            Some(_) => {
                for line in batch.each() {
                    self.hash.write(&mark.hash(line)?.to_le_bytes());
                }
            }
        }
        self.last.clear();
        self.last.extend_from_slice(last_line(lines));
        self.records += batch.records();
        Ok(())
    }

    /// What a page that repeats this one has in common with it.
    pub(super) fn digest(&self) -> u64 {
        self.hash.finish()
    }

    /// Everything that was withheld, and `rest` behind it.
    pub(super) fn released(&mut self, rest: Batch) -> Vec<Batch> {
        let mut batches = std::mem::take(&mut self.withheld);
        batches.push(rest);
        batches
    }
}

impl Mark {
    pub(super) fn of(key: Option<&Path>) -> Self {
        Self(key.map(|key| PathSet::new(&[key])))
    }

    fn hash(&self, line: &[u8]) -> Result<u64, PageError> {
        let Some(wanted) = &self.0 else { return Ok(XxHash3_64::oneshot(line.trim_ascii())) };
        let mut key = [None];
        wanted.extract(text_of(line)?, &mut key)?;
        Ok(XxHash3_64::oneshot(key[0].map_or(line.trim_ascii(), |key| key.get().as_bytes())))
    }
}

/// Whether one of the lines is this record, whatever spaces stand around it.
pub(super) fn holds(lines: &[u8], record: &[u8]) -> bool {
    let record = record.trim_ascii();
    let is_alone = |at: usize| {
        let before = memrchr(b'\n', &lines[..at]).map_or(0, |newline| newline + 1);
        let end = at + record.len();
        let after = memchr(b'\n', &lines[end..]).map_or(lines.len(), |newline| end + newline);
        lines[before..after].trim_ascii().len() == record.len()
    };
    !record.is_empty() && memmem::find_iter(lines, record).any(is_alone)
}

pub(super) fn first_line(lines: &[u8]) -> &[u8] {
    memchr(b'\n', lines).map_or(lines, |newline| &lines[..newline])
}

fn last_line(lines: &[u8]) -> &[u8] {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    memrchr(b'\n', lines).map_or(lines, |newline| &lines[newline + 1..])
}

impl fmt::Debug for Gist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gist").field("records", &self.records).field("leave", &self.leave).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn batch(lines: &str) -> Batch {
        Batch::new(Bytes::from(lines.to_owned()), lines.lines().count() as u64)
    }

    proptest! {
        #[test]
        fn a_gist_does_not_know_how_the_page_was_cut(
            ids in prop::collection::vec(0..5_u8, 1..12),
            cuts in prop::collection::vec(any::<bool>(), 12),
            with_key in any::<bool>(),
        ) {
            let key = "id".parse().unwrap();
            let mark = Mark::of(with_key.then_some(&key));
            let (mut whole, mut pieces) = (Gist::default(), Gist::default());
            let lines: Vec<_> = ids.iter().map(|id| format!("{{\"id\":{id},\"n\":0}}\n")).collect();
            whole.add(&batch(&lines.concat()), &mark).unwrap();
            let mut piece = String::new();
            for (line, cut) in lines.iter().zip(cuts) {
                piece.push_str(line);
                if cut {
                    pieces.add(&batch(&std::mem::take(&mut piece)), &mark).unwrap();
                }
            }
            if !piece.is_empty() {
                pieces.add(&batch(&piece), &mark).unwrap();
            }
            prop_assert_eq!(whole.digest(), pieces.digest());
            prop_assert_eq!((whole.start, &whole.last, whole.records), (pieces.start, &pieces.last, pieces.records));
        }
    }

    #[test]
    fn a_page_is_known_by_its_keys() {
        let key: Path = "id".parse().unwrap();
        let digest = |key: Option<&Path>, lines: &str| {
            let mut gist = Gist::default();
            gist.add(&batch(lines), &Mark::of(key)).unwrap();
            (gist.start, gist.digest())
        };
        let (young, old, other) = ("{\"id\":1,\"age\":1}\n", "{\"id\":1,\"age\":2}\n", "{\"id\":2,\"age\":1}\n");
        assert_ne!(digest(None, young), digest(None, old));
        assert_eq!(digest(Some(&key), young), digest(Some(&key), old));
        assert_ne!(digest(Some(&key), young), digest(Some(&key), other));
    }

    #[test]
    fn a_record_is_found_as_a_whole_line_only() {
        assert!(holds(b"1\n12\n", b"12\n") && holds(b" 12 \n1\n", b"12  \n") && holds(b"3\n2\n", b" 2"));
        assert!(!holds(b"112\n121\n", b"12\n") && !holds(b"[12]\n", b"12") && !holds(b"1\n2\n", b""));
        assert!(holds(b"{\"a\":[2]}\n2\n", b"2\n"));
    }
}
