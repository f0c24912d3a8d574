//! Lines of a log that are read again from its storage, for what a resumed crawl must know of them.

use std::io;

use bytes::Bytes;
use memchr::{memchr_iter, memrchr};

use super::storage::LogStorage;
use crate::batch::Batch;

/// Bytes that are read at once, unless a line is longer.
const FRAME: u64 = 256 * 1024;

/// Lines of the complete pages of a log, in batches. Each step blocks.
#[derive(Clone, Debug)]
pub struct StoredLines {
    storage: LogStorage,
    at: u64,
    end: u64,
}

impl StoredLines {
    pub(super) fn new(storage: LogStorage, end: u64) -> Self {
        Self { storage, at: 0, end }
    }

    fn read(&mut self) -> io::Result<Batch> {
        let mut lines = Vec::new();
        loop {
            let most = usize::try_from((self.end - self.at).min(FRAME)).unwrap_or(usize::MAX);
            let mut piece = self.storage.read(self.at, most)?;
            piece.truncate(most);
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let newline = memrchr(b'\n', &piece);
            let taken = newline.map_or(piece.len(), |newline| newline + 1);
            lines.extend_from_slice(&piece[..taken]);
            self.at += taken as u64;
            if newline.is_some() {
                let records = memchr_iter(b'\n', &lines).count() as u64;
                return Ok(Batch::new(Bytes::from(lines), records));
            }
            if self.at >= self.end {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the last line doesn't end"));
            }
        }
    }
}

impl Iterator for StoredLines {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.end).then(|| self.read())
    }
}

#[cfg(test)]
impl StoredLines {
    pub(crate) fn none() -> Self {
        Self::new(LogStorage::Memory, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were_in_whole_batches() {
        let folder = tempfile::tempdir().unwrap();
        let storage = LogStorage::in_folder(folder.path(), 10_000_000);
        let long = "x".repeat(600_000);
        let lines: String =
            (0..30_000).map(|line| if line == 9 { format!("{long}\n") } else { format!("{line}\n") }).collect();
        storage.write(0, &[Bytes::from(lines.clone() + "behind\n")]).unwrap();
        let batches: Vec<_> = StoredLines::new(storage, lines.len() as u64).map(Result::unwrap).collect();
        assert!(batches.len() > 1 && batches.iter().map(Batch::records).sum::<u64>() == 30_000);
        assert!(batches.iter().flat_map(|batch| batch.lines().to_vec()).eq(lines.bytes()));
    }
}
