//! Newest records of a walk, in which the first one of a double is looked for.

use memchr::{memchr, memrchr_iter};

use super::fingerprint::first_line;
use crate::pagination::error::PageError;
use crate::pagination::keys::KeyReader;

/// Bytes of the newest records in which doubles are looked for, to compare them byte for byte: exact, and cheaper than a hash of each record.
/// They are copied, since a slice would keep the buffer that the next records are read into.
const KEPT: usize = 32 * 1024;

/// Newest records that have left, up to twice [`KEPT`] bytes of whole lines.
#[derive(Debug, Default)]
pub(super) struct NewestRecords(Vec<u8>);

impl NewestRecords {
    pub(super) fn push(&mut self, lines: &[u8]) {
        if self.0.len() + lines.len() > 2 * KEPT {
            let kept = last_lines(&self.0, KEPT.saturating_sub(lines.len())).len();
            self.0.drain(..self.0.len() - kept);
        }
        self.0.reserve_exact(2 * KEPT - self.0.len());
        self.0.extend_from_slice(last_lines(lines, KEPT));
    }

    /// Finds the last record with a key, and the number of records behind it.
    pub(super) fn find(&self, key: &[u8], reader: &KeyReader) -> Result<Option<(usize, &[u8])>, PageError> {
        let lines = self.0.strip_suffix(b"\n").unwrap_or_default();
        for (back, line) in lines.rsplit(|byte| *byte == b'\n').enumerate() {
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
        let Some((back, line)) = self.find(key, reader)? else { return Ok(None) };
        let behind = last_line_starts(&self.0, back);
        *rest = &self.0[behind..];
        Ok(Some(line))
    }
}

/// Start of the last `count` lines.
fn last_line_starts(lines: &[u8], count: usize) -> usize {
    match count.checked_sub(1) {
        Some(nth) => memrchr_iter(b'\n', lines.strip_suffix(b"\n").unwrap_or_default()).nth(nth).map_or(0, |at| at + 1),
        None => lines.len(),
    }
}

/// Whole lines at the end of some lines, of so many bytes at most.
fn last_lines(lines: &[u8], most: usize) -> &[u8] {
    let Some(before) = lines.len().checked_sub(most).filter(|before| *before > 0) else { return lines };
    let start = memchr(b'\n', &lines[before - 1..]).map_or(lines.len(), |newline| before + newline);
    &lines[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_records_are_kept_in_whole_lines() {
        for length in [10, 1_000, KEPT - 20, KEPT, 3 * KEPT] {
            let mut end = NewestRecords::default();
            let line = |number: u64| format!("{{\"id\":{number},\"x\":\"{}\"}}\n", "x".repeat(length));
            for number in 0..100 {
                end.push(line(number).as_bytes());
                assert!(end.0.len() <= 2 * KEPT && (end.0.is_empty() || end.0.starts_with(b"{\"id\":")));
                let found = end.find(number.to_string().as_bytes(), &KeyReader::new(&"id".parse().unwrap())).unwrap();
                assert_eq!(found.map(|(back, _)| back), (line(number).len() <= KEPT).then_some(0), "{length}");
            }
        }
    }
}
