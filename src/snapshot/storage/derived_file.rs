//! File with bytes that were made of a log's records, such as those of another format. It is a share of the disk budget, and deleted with its
//! last reader.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::disk_budget::{DiskBudget, FileClaim};
use super::error::WriteError;
use super::file_io::{self, read_some, remove, write_all};
use super::folder::DERIVED;
use super::open_files::NamedFile;

#[derive(Debug)]
pub(in crate::snapshot) struct DerivedFile {
    file: NamedFile,
    budget: Arc<DiskBudget>,
    bytes: u64,
}

impl DerivedFile {
    /// Creates an empty file beside the files of a snapshot. Its name is that of a temporary file, which the next start deletes.
    pub(super) fn create(claim: &FileClaim) -> io::Result<Self> {
        let name = format!("{DERIVED}{:016x}.tmp", fastrand::u64(..));
        let file = NamedFile::new(claim.lines.path().with_file_name(name), claim.lines.open_files());
        file.create()?;
        Ok(Self { file, budget: Arc::clone(claim.budget()), bytes: 0 })
    }

    /// Appends bytes. Blocks.
    pub(in crate::snapshot) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let length = bytes.len() as u64;
        self.budget.take(length)?;
        let written = self.file.open().and_then(|file| write_all(&file, self.bytes, &mut [IoSlice::new(bytes)]));
        written.inspect_err(|_| self.budget.give(length))?;
        self.bytes += length;
        Ok(())
    }

    /// Returns the number of bytes.
    pub(in crate::snapshot) fn length(&self) -> u64 {
        self.bytes
    }

    /// Returns false where another program has cut or removed the file.
    pub(in crate::snapshot) fn is_whole(&self) -> bool {
        self.file.open().and_then(|file| file.metadata()).is_ok_and(|found| found.len() >= self.bytes)
    }

    /// Reads 1 to `most` bytes over those of `buffer` without waiting for the disk; returns `None` if it would have to wait.
    pub(in crate::snapshot) fn read_cached(&self, at: u64, most: usize, buffer: BytesMut) -> io::Result<Option<Bytes>> {
        self.file.if_open().map_or(Ok(None), |file| file_io::read_cached(&file, at, most, buffer))
    }

    /// Reads 1 to `most` bytes. Blocks.
    pub(in crate::snapshot) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        read_some(&*self.file.open()?, at, most)
    }
}

impl Drop for DerivedFile {
    fn drop(&mut self) {
        if let Err(error) = remove(self.file.path()) {
            tracing::debug!(%error, "a file that is used no more is deleted at the next start");
        }
        self.budget.give(self.bytes);
    }
}
