//! Fingerprint of a page: its first record, its last record, and a hash of all of them.

use std::fmt;
use std::hash::Hasher;

use memchr::{memchr, memmem, memrchr};
use twox_hash::XxHash3_64;

use crate::batch::Batch;

/// Length of the part of a record that is searched for: the bytes behind it are the same in most records, and memchr looks for the rarest ones.
const SEARCHED: usize = 4;

/// Number of keys whose hashes are hashed at once.
const HASHED: usize = 64;

/// Fingerprint of the page that is arriving.
#[derive(Default)]
pub(super) struct Fingerprint {
    records: u64,
    /// Hash of the first record.
    start: u64,
    /// Line of the last record, where it is kept.
    last: Vec<u8>,
    /// Hash of the keys, where they tell records apart.
    keys: Option<XxHash3_64>,
    /// Hash of all records, at the page's end.
    digest: u64,
}

impl Fingerprint {
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Hash of the first record.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn last_record(&self) -> &[u8] {
        &self.last
    }

    pub(super) fn take_last_record(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.last)
    }

    /// Hash of the records of a page that is whole.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Ends the page, whose lines have this hash.
    pub(super) fn finish(&mut self, lines: u64) {
        self.digest = self.keys.as_ref().map_or(lines, XxHash3_64::finish);
    }

    /// Takes the next records; how they were cut into batches leaves no trace.
    pub(super) fn add(&mut self, batch: &Batch) {
        let keys = batch.keys().unwrap_or_default();
        if self.records == 0 {
            let first = keys.first().map(|key| batch.identity(*key));
            self.start = hash_of(first.unwrap_or_else(|| first_line(batch.lines()).trim_ascii()));
        }
        for keys in keys.chunks(HASHED) {
            let mut hashes = [[0; size_of::<u64>()]; HASHED];
            hashes.iter_mut().zip(keys).for_each(|(bytes, key)| *bytes = hash_of(batch.identity(*key)).to_le_bytes());
            self.keys.get_or_insert_default().write(hashes[..keys.len()].as_flattened());
        }
        self.records += batch.records();
    }

    pub(super) fn keep_last(&mut self, batch: &Batch) {
        self.last.clear();
        self.last.extend_from_slice(last_line(batch.lines()));
    }
}

/// Hash of a key, or of a record without one.
pub(super) fn hash_of(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// Returns true if one of the lines is the record, apart from spaces around it.
pub(super) fn has_line(lines: &[u8], record: &[u8]) -> bool {
    let record = record.trim_ascii();
    if record.is_empty() {
        return false;
    }
    // Records begin alike: the part begins where the record differs from the first line, so that few lines have it.
    let alike = record.iter().zip(first_line(lines).trim_ascii()).take_while(|(own, other)| own == other).count();
    let start = alike.min(record.len().saturating_sub(SEARCHED));
    let part = memmem::Finder::new(&record[start..record.len().min(start + SEARCHED)]);
    let mut rest = lines;
    while let Some(at) = part.find(rest) {
        let start = memrchr(b'\n', &rest[..at]).map_or(0, |newline| newline + 1);
        let line = first_line(&rest[start..]);
        if line.trim_ascii() == record {
            return true;
        }
        rest = rest.get(start + line.len() + 1..).unwrap_or_default();
    }
    false
}

pub(super) fn first_line(lines: &[u8]) -> &[u8] {
    memchr(b'\n', lines).map_or(lines, |newline| &lines[..newline])
}

pub(super) fn last_line(lines: &[u8]) -> &[u8] {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    memrchr(b'\n', lines).map_or(lines, |newline| &lines[newline + 1..])
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint").field("records", &self.records).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::pagination::keys::KeyReader;
    use crate::pagination::path::Path;

    fn batch(lines: &str) -> Batch {
        Batch::new(Bytes::from(lines.to_owned()), lines.lines().count() as u64)
    }

    proptest! {
        #[test]
        fn a_fingerprint_does_not_depend_on_the_cuts_between_batches(
            ids in prop::collection::vec(0..5_u8, 1..12),
            cuts in prop::collection::vec(any::<bool>(), 12),
            with_key in any::<bool>(),
        ) {
            let key = "id".parse().unwrap();
            let reader = with_key.then(|| KeyReader::new(&key));
            let batch = |lines: &str| {
                let batch = batch(lines);
                reader.as_ref().map_or(batch.clone(), |reader| reader.keyed(batch).unwrap())
            };
            let (mut whole, mut pieces) = (Fingerprint::default(), Fingerprint::default());
            let lines: Vec<_> = ids.iter().map(|id| format!("{{\"id\":{id},\"n\":0}}\n")).collect();
            whole.add(&batch(&lines.concat()));
            let mut piece = String::new();
            for (line, cut) in lines.iter().zip(cuts) {
                piece.push_str(line);
                if cut {
                    pieces.add(&batch(&std::mem::take(&mut piece)));
                }
            }
            if !piece.is_empty() {
                pieces.add(&batch(&piece));
            }
            whole.finish(1);
            pieces.finish(1);
            prop_assert_eq!(whole.digest(), pieces.digest());
            prop_assert_eq!((whole.start, &whole.last, whole.records), (pieces.start, &pieces.last, pieces.records));
        }
    }

    proptest! {
        #[test]
        fn a_record_is_found_where_a_line_is_the_same(
            lines in prop::collection::vec(" ?(a{0,3}|a{30,70}|[ab]{36,40}) ?", 0..6),
            other in "a{0,3}|a{30,70}|[ab]{36,40}",
            at in any::<prop::sample::Index>(),
            of_lines in any::<bool>(),
        ) {
            let record = if of_lines && !lines.is_empty() { at.get(&lines).as_str() } else { &other };
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let is_there = !record.trim().is_empty() && lines.iter().any(|line| line.trim() == record.trim());
            prop_assert_eq!(has_line(text.as_bytes(), record.as_bytes()), is_there);
        }
    }

    #[test]
    fn a_page_is_known_by_its_keys() {
        let key: Path = "id".parse().unwrap();
        let digest = |key: Option<&Path>, lines: &str| {
            let mut page = Fingerprint::default();
            let batch = batch(lines);
            let batch = key.map_or(batch.clone(), |key| KeyReader::new(key).keyed(batch).unwrap());
            page.add(&batch);
            page.finish(XxHash3_64::oneshot(batch.lines()));
            (page.start, page.digest())
        };
        let (young, old, other) = ("{\"id\":1,\"age\":1}\n", "{\"id\":1,\"age\":2}\n", "{\"id\":2,\"age\":1}\n");
        assert_ne!(digest(None, young), digest(None, old));
        assert_eq!(digest(Some(&key), young), digest(Some(&key), old));
        assert_ne!(digest(Some(&key), young), digest(Some(&key), other));
    }

    #[test]
    fn a_record_is_found_as_a_whole_line_only() {
        let holds = has_line;
        assert!(holds(b"1\n12\n", b"12\n") && holds(b" 12 \n1\n", b"12  \n") && holds(b"3\n2\n", b" 2"));
        assert!(!holds(b"112\n121\n", b"12\n") && !holds(b"[12]\n", b"12") && !holds(b"1\n2\n", b""));
        assert!(holds(b"{\"a\":[2]}\n2\n", b"2\n"));
        let (long, other) = (format!("{}1", "x".repeat(SEARCHED)), format!("{}2", "x".repeat(SEARCHED)));
        let lines = format!("{other}\n {long} \n");
        assert!(holds(lines.as_bytes(), long.as_bytes()) && holds(lines.as_bytes(), other.as_bytes()));
        assert!(!holds(other.as_bytes(), long.as_bytes()) && !holds(format!("{long}1").as_bytes(), long.as_bytes()));
    }
}
