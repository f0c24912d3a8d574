//! File without a name that holds what a crawl has no memory for, opened at the first write.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;

#[derive(Debug, Default)]
pub(super) struct SpillFile(Mutex<Option<Arc<File>>>);

impl SpillFile {
    pub(super) fn of(file: Option<File>) -> Self {
        Self(Mutex::new(file.map(Arc::new)))
    }

    /// Writes bytes into ranges, which have room for them. Blocks.
    pub(super) fn write(&self, ranges: &[Range<u64>], mut bytes: &[u8]) -> io::Result<()> {
        let file = self.open()?;
        for range in ranges {
            let (now, later) = bytes.split_at(bytes.len().min(length(range)));
            file.write_all_at(now, range.start)?;
            bytes = later;
        }
        Ok(())
    }

    /// Reads bytes that begin at this distance from the start of the first range. Blocks.
    pub(super) fn read(&self, ranges: &[Range<u64>], mut at: u64, mut bytes: &mut [u8]) -> io::Result<()> {
        let file = self.open()?;
        for range in ranges {
            let start = range.start + at.min(range.end - range.start);
            at -= start - range.start;
            let (now, later) = bytes.split_at_mut(bytes.len().min(length(&(start..range.end))));
            file.read_exact_at(now, start)?;
            bytes = later;
        }
        Ok(())
    }

    fn open(&self) -> io::Result<Arc<File>> {
        let mut file = self.0.lock();
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = Arc::new(tempfile::tempfile()?);
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

impl Drop for SpillFile {
    /// Closes the file on a thread that may block: its blocks are freed then, which takes time.
    fn drop(&mut self) {
        if let (Some(file), Ok(runtime)) = (self.0.get_mut().take(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(file)));
        }
    }
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_any_place_of_their_ranges() {
        let file = SpillFile::default();
        let ranges = [8..12, 0..4, 20..24];
        file.write(&ranges, b"abcdefghij").unwrap();
        for at in 0..10 {
            for end in at..=10 {
                let mut bytes = vec![0; end - at];
                file.read(&ranges, at as u64, &mut bytes).unwrap();
                assert_eq!(bytes, b"abcdefghij"[at..end]);
            }
        }
    }
}
