//! File of bytes that are derived from a log's records, such as a Parquet file. It is a share of the disk budget, and deleted with its
//! last reader.
//!
//! Each block has a checksum, which is compared whenever the block is read: a reader of the format may take other bytes for other values.

use std::hash::Hasher;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use twox_hash::XxHash3_64;

use super::disk_budget::{DiskBudget, FileClaim};
use super::error::WriteError;
use super::file_io::{self, remove, write_all};
use super::folder::DERIVED;
use super::open_files::NamedFile;
use crate::format::ColumnUse;

/// Number of bytes of a block, which is read at once.
const BLOCK: usize = 64 * 1024;

pub(in crate::snapshot) struct DerivedFile {
    file: NamedFile,
    budget: Arc<DiskBudget>,
    bytes: u64,
    /// Checksums of the full blocks.
    checksums: Vec<u64>,
    /// Hash of the bytes behind them.
    rest: XxHash3_64,
    /// Set by a reader that could not read the bytes that were written.
    is_damaged: AtomicBool,
    /// Use of the columns that the user names, of a whole file.
    pub(in crate::snapshot) column_use: Option<ColumnUse>,
}

impl DerivedFile {
    /// Creates an empty file beside the files of a snapshot. Its name is that of a temporary file, which the next start deletes.
    pub(super) fn create(claim: &FileClaim) -> io::Result<Self> {
        let name = format!("{DERIVED}{:016x}.tmp", fastrand::u64(..));
        let file = NamedFile::new(claim.lines.path().with_file_name(name), claim.lines.open_files());
        file.create()?;
        let (budget, rest, is_damaged) = (Arc::clone(claim.budget()), XxHash3_64::new(), AtomicBool::new(false));
        Ok(Self { file, budget, bytes: 0, checksums: Vec::new(), rest, is_damaged, column_use: None })
    }

    /// Appends bytes. Blocks.
    pub(in crate::snapshot) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let length = bytes.len() as u64;
        self.budget.take(length)?;
        let written = self.file.open().and_then(|file| write_all(&file, self.bytes, &mut [IoSlice::new(bytes)]));
        written.inspect_err(|_| self.budget.give(length))?;
        let mut unhashed = bytes;
        while !unhashed.is_empty() {
            let room = usize::try_from(self.block_at(self.bytes).end - self.bytes).unwrap_or(BLOCK);
            let (now, after) = unhashed.split_at(room.min(unhashed.len()));
            self.rest.write(now);
            self.bytes += now.len() as u64;
            if now.len() == room {
                self.checksums.push(std::mem::replace(&mut self.rest, XxHash3_64::new()).finish());
            }
            unhashed = after;
        }
        Ok(())
    }

    /// Returns the number of bytes.
    pub(in crate::snapshot) fn length(&self) -> u64 {
        self.bytes
    }

    /// Returns false where another program has cut or removed the file, or a reader has found it damaged. Blocks.
    pub(in crate::snapshot) fn is_whole(&self) -> bool {
        let has_length =
            || self.file.open().and_then(|file| file.metadata()).is_ok_and(|found| found.len() >= self.bytes);
        !self.is_damaged.load(Ordering::Relaxed) && has_length()
    }

    /// Returns the place of the block that has the byte `at` of the whole file.
    pub(in crate::snapshot) fn block(&self, at: u64) -> Range<u64> {
        let Range { start, end } = self.block_at(at);
        start..end.min(self.bytes)
    }

    fn block_at(&self, at: u64) -> Range<u64> {
        let start = at - at % BLOCK as u64;
        start..start + BLOCK as u64
    }

    /// Reads a block over the bytes of `buffer` without waiting for the disk; returns `None` if it would have to wait.
    ///
    /// # Errors
    /// Fails where the block has other bytes than were written.
    pub(in crate::snapshot) fn read_cached(&self, block: &Range<u64>, buffer: BytesMut) -> io::Result<Option<Bytes>> {
        let Some(file) = self.file.if_open() else { return Ok(None) };
        let length = block_length(block);
        match file_io::read_cached(&file, block.start, length, buffer) {
            Ok(Some(bytes)) if bytes.len() == length => self.checked(block, bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// Reads a block. Blocks.
    ///
    /// # Errors
    /// Fails where the block has other bytes than were written.
    pub(in crate::snapshot) fn read(&self, block: &Range<u64>) -> io::Result<Bytes> {
        let mut buffer = vec![0; block_length(block)];
        let read = self.file.open().and_then(|file| file.read_exact_at(&mut buffer, block.start));
        read.inspect_err(|_| self.is_damaged.store(true, Ordering::Relaxed))?;
        self.checked(block, buffer.into())
    }

    fn checked(&self, block: &Range<u64>, bytes: Bytes) -> io::Result<Bytes> {
        let number = usize::try_from(block.start / BLOCK as u64).unwrap_or(usize::MAX);
        let written = self.checksums.get(number).copied().unwrap_or_else(|| self.rest.finish());
        if XxHash3_64::oneshot(&bytes) == written {
            return Ok(bytes);
        }
        self.is_damaged.store(true, Ordering::Relaxed);
        Err(io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those that were written"))
    }
}

fn block_length(block: &Range<u64>) -> usize {
    usize::try_from(block.end - block.start).unwrap_or(BLOCK)
}

impl Drop for DerivedFile {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
        let path = self.file.path().to_owned();
        let removal = move || {
            if let Err(error) = remove(&path) {
                tracing::debug!(%error, "a file that is used no more is deleted at the next start");
            }
        };
        // The last reader is a response, whose thread must not wait for the disk.
        match Handle::try_current() {
            Ok(runtime) => drop(self.file.open_files().writes().spawn_blocking_on(removal, &runtime)),
            Err(_) => removal(),
        }
    }
}

impl std::fmt::Debug for DerivedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DerivedFile").field("file", &self.file).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
