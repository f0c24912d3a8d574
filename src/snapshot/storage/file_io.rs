//! Reads and writes of files at a position, and the options that snapshots' files are opened with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;

/// Number of bytes that a scan of a file reads at once.
pub(super) const PIECE: usize = 1 << 20;

/// Returns options to read and write a file that only its owner may open.
pub(super) fn private() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// Returns the length of a file; 0 if it can't be looked at.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Returns the last write to one of a snapshot's files.
pub(super) fn modified(lines: &fs::Metadata, journal: Option<&fs::Metadata>) -> SystemTime {
    let times = [lines.modified().ok(), journal.and_then(|journal| journal.modified().ok())];
    times.into_iter().flatten().max().unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Passes the bytes from `from` to `to` on, in order.
pub(super) fn each_piece(file: &File, mut from: u64, to: u64, mut piece: impl FnMut(&[u8])) -> io::Result<()> {
    let most = |from: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(PIECE);
    let mut buffer = vec![0; most(from)];
    while from < to {
        let read = read_into(file, from, &mut buffer[..most(from)])?;
        piece(&buffer[..read]);
        from += read as u64;
    }
    Ok(())
}

/// Reads 1 to `most` bytes.
pub(super) fn read_some(file: &File, at: u64, most: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; most];
    let read = read_into(file, at, &mut buffer)?;
    buffer.truncate(read);
    Ok(buffer.into())
}

/// Returns the number of bytes that were read. The end of the file is an error: no caller asks for bytes that were not written.
fn read_into(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Ok(0) if !buffer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Reads 1 to `most` bytes from the page cache, over those of `buffer`, which need not be made and zeroed if it was read into before.
/// Returns `None` if the disk would have to be waited for, or that can't be told.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, at: u64, most: usize, mut buffer: BytesMut) -> io::Result<Option<Bytes>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    buffer.resize(most, 0);
    match preadv2(file, &mut [io::IoSliceMut::new(&mut buffer)], at, ReadWriteFlags::NOWAIT) {
        // 0 is the end of the file, where no reader stands, and some file systems return it where a read would wait.
        Ok(0) | Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Ok(read) => {
            buffer.truncate(read);
            Ok(Some(buffer.freeze()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_file: &File, _at: u64, _most: usize, _buffer: BytesMut) -> io::Result<Option<Bytes>> {
    Ok(None)
}

pub(super) fn write_all(file: &File, mut at: u64, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !pieces.is_empty() {
        match rustix::io::pwritev(file, pieces, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
