//! Newest records of a walk, in which the first one of a double is looked for.

use bytes::Bytes;
use memchr::memchr;

use super::fingerprint::first_line;
use crate::pagination::error::PageError;
use crate::pagination::keys::KeyReader;

/// Bytes of the newest records in which doubles are looked for at least, to compare them byte for byte: exact, and cheaper than a hash of
/// each record.
const KEPT: usize = 32 * 1024;

/// Most bytes of a batch that is kept as it is until the next one comes. Else it is copied, since a slice would keep the buffer that the
/// next records are read into.
const SHARED: usize = 4 * KEPT;

/// Newest records that have left, in whole lines.
#[derive(Debug, Default)]
pub(super) struct NewestRecords {
    /// Up to twice [`KEPT`] bytes of lines before `last`.
    copied: Vec<u8>,
    /// Lines that came last, if these are enough.
    last: Bytes,
}

impl NewestRecords {
    pub(super) fn push(&mut self, lines: Bytes) {
        if lines.is_empty() {
            return;
        }
        let before = std::mem::take(&mut self.last);
        if (KEPT..=SHARED).contains(&lines.len()) {
            self.copied.clear();
            self.last = lines;
            return;
        }
        for lines in [before, lines] {
            self.copy(&lines);
        }
    }

    fn copy(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.copied.len() + lines.len() > 2 * KEPT {
            let kept = last_lines(&self.copied, KEPT.saturating_sub(lines.len())).len();
            self.copied.drain(..self.copied.len() - kept);
        }
        self.copied.reserve_exact(2 * KEPT - self.copied.len());
        self.copied.extend_from_slice(last_lines(lines, KEPT));
    }

    /// Finds the last record with a key, and the number of records behind it.
    pub(super) fn find(&self, key: &[u8], reader: &KeyReader) -> Result<Option<(usize, &[u8])>, PageError> {
        let lines = [&self.last[..], &self.copied].into_iter().filter_map(|lines| lines.strip_suffix(b"\n"));
        for (back, line) in lines.flat_map(|lines| lines.rsplit(|byte| *byte == b'\n')).enumerate() {
            if !line.is_empty() && reader.read(line)? == Some(key) {
                return Ok(Some((back, line)));
            }
        }
        Ok(None)
    }

    /// The same for a key whose record most likely stands at the start of `rest`, which becomes what stands behind the record.
    pub(super) fn find_next<'a>(
        &'a self,
        key: &[u8],
        reader: &KeyReader,
        rest: &mut &'a [u8],
    ) -> Result<Option<&'a [u8]>, PageError> {
        let next = first_line(rest);
        if !next.is_empty() && reader.read(next)? == Some(key) {
            *rest = rest.get(next.len() + 1..).unwrap_or_default();
            return Ok(Some(next));
        }
        let Some((_, line)) = self.find(key, reader)? else { return Ok(None) };
        let lines = if self.last.as_ptr_range().contains(&line.as_ptr()) { &self.last[..] } else { &self.copied };
        let end = line.as_ptr() as usize - lines.as_ptr() as usize + line.len() + 1;
        *rest = lines.get(end..).unwrap_or_default();
        Ok(Some(line))
    }
}

/// Whole lines at the end of some lines, at most `most` bytes of them.
fn last_lines(lines: &[u8], most: usize) -> &[u8] {
    let Some(before) = lines.len().checked_sub(most).filter(|before| *before > 0) else { return lines };
    let start = memchr(b'\n', &lines[before - 1..]).map_or(lines.len(), |newline| before + newline);
    &lines[start..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(number: usize, length: usize) -> String {
        format!("{{\"id\":{number},\"x\":\"{}\"}}\n", "x".repeat(length))
    }

    fn find(newest: &NewestRecords, number: usize) -> Option<usize> {
        let reader = KeyReader::new(&"id".parse().unwrap());
        newest.find(number.to_string().as_bytes(), &reader).unwrap().map(|(back, _)| back)
    }

    #[test]
    fn the_newest_records_are_kept_in_whole_lines() {
        for length in [10, 1_000, KEPT - 20, KEPT, 3 * KEPT, SHARED] {
            let mut newest = NewestRecords::default();
            for number in 0..100 {
                newest.push(line(number, length).into());
                let copied = &newest.copied;
                assert!(copied.len() <= 2 * KEPT && (copied.is_empty() || copied.starts_with(b"{\"id\":")));
                let is_kept = line(number, length).len() <= SHARED;
                assert_eq!(find(&newest, number), is_kept.then_some(0), "{length}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn all_records_of_the_last_bytes_are_found(batches in prop::collection::vec((1..150_usize, 0..1_000_usize), 1..12)) {
            let (mut newest, mut lengths) = (NewestRecords::default(), Vec::new());
            for (records, length) in batches {
                let lines: Vec<_> = (lengths.len()..).take(records).map(|number| line(number, length)).collect();
                lengths.extend(lines.iter().map(String::len));
                newest.push(lines.concat().into());
                let mut bytes = 0;
                for (back, length) in lengths.iter().rev().enumerate() {
                    bytes += length;
                    if bytes > KEPT {
                        break;
                    }
                    if back % 16 == 0 || bytes + 1_100 > KEPT {
                        prop_assert_eq!(find(&newest, lengths.len() - 1 - back), Some(back));
                    }
                }
            }
        }
    }
}
