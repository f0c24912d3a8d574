//! The log itself: one writer, and readers that may start at any byte of it.
//!
//! ```text
//!   Open ── append ──▶ Open            (waits where there is no room)
//!   Open ── seal ────▶ Sealed          (the only way to a clean end)
//!   Open ── drop ────▶ Sealed(Failed)  (a dead crawl can't look finished)
//! ```

mod behind;
mod index;
mod memory;
mod reading;
mod seats;
mod shared;
mod tiers;
mod work;
mod writing;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::behind::Behind;
use self::shared::{Shared, State};
use self::tiers::Tiers;
use super::files::Files;
use super::seal::{Seal, Verdict};
use crate::batch::Batch;
use crate::config::SlowReader;
use crate::error::{Failure, Fault};
use crate::format::Format;

pub(super) use index::Index;
pub use index::Landmark;
pub use memory::Memory;
pub use reading::Reader;
pub use writing::Writer;

/// Format of the bytes of a log, in memory and in files.
const FORMAT: Format = Format::Ndjson;

/// How much of a file's end is read at a time to find its last record.
const TAIL: u64 = 64 * 1024;

/// A log, for whoever wants to read it: clones are the same.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

/// What a reader finds.
#[derive(Clone, Debug)]
pub enum Next {
    /// More bytes, cut anywhere.
    Bytes(Bytes),
    /// The byte at which the reader was to stop.
    Stop,
    /// The end of the log, proven.
    Complete(Verdict),
}

/// How far a log has come.
#[derive(Clone, Debug)]
pub struct Extent {
    /// How many bytes readers may have by now; all of them once it is complete.
    pub visible: u64,
    /// How many bytes were written.
    pub bytes: u64,
    /// How many records were written.
    pub records: u64,
    /// The first byte that can still be read.
    pub from: u64,
    /// How many readers there are.
    pub readers: usize,
    /// How it ended, if it has.
    pub seal: Option<Seal>,
}

/// What the files of a log have: whole pages, or all of it.
#[derive(Debug)]
pub(super) struct Had {
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) index: Index,
}

/// Why a log can't be written to any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody reads, and nobody has for a while.
    #[error("the last reader left")]
    NoReader,
    /// What was written now is not what had been written at this place before the crawl was interrupted.
    #[error("the page that was under way when the crawl was interrupted has changed since")]
    Changed,
    /// What was appended could not be written.
    #[error("what came could not be kept")]
    Unwritten,
}

/// These bytes are gone: there was no room to keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is no longer kept; the first that is is {from}")]
pub struct Gone {
    pub at: u64,
    pub from: u64,
}

/// A new log that is written to files.
pub(super) fn kept(files: Arc<Files>, memory: &Memory, slow: SlowReader, linger: Duration) -> (Writer, Log) {
    let state = State { behind: Behind::to(&files), ..State::default() };
    both(Shared::new(state, Some(files), memory, slow, linger))
}

/// A new log in memory alone.
pub(super) fn in_memory(memory: &Memory, slow: SlowReader, linger: Duration) -> (Writer, Log) {
    both(Shared::new(State::default(), None, memory, slow, linger))
}

/// A log of which the files have this; where it has no end, with the writer that goes on behind it. Reads the last record.
pub(super) fn reopened(
    files: Arc<Files>,
    had: Had,
    end: Option<Seal>,
    memory: &Memory,
    slow: SlowReader,
    linger: Duration,
) -> io::Result<(Option<Writer>, Log)> {
    let held_back = match &end {
        Some(Seal::Complete(_)) => 0,
        Some(Seal::Failed(_)) | None => had.bytes - visible_len(&files, had.bytes)?,
    };
    let behind = if end.is_none() { Behind::to(&files) } else { Behind::default() };
    let state = State { tiers: Tiers::reopened(had), behind, seal: end, held_back, ..State::default() };
    let over = state.seal.is_some();
    let (writer, log) = both(Shared::new(state, Some(files), memory, slow, linger));
    Ok(((!over).then_some(writer), log))
}

/// A log that nobody keeps: of what its readers have read, `bytes` at most stay in memory, and its crawl ends with its last reader.
pub fn unkept(bytes: u64) -> (Writer, Log) {
    in_memory(&Memory::of_its_own(bytes), SlowReader::Wait, Duration::ZERO)
}

fn both(shared: Arc<Shared>) -> (Writer, Log) {
    (Writer::new(Arc::clone(&shared)), Log { shared })
}

/// Returns the number of bytes of a file that readers may have had before the end was proven: all but those held back.
fn visible_len(files: &Files, bytes: u64) -> io::Result<u64> {
    if bytes == 0 {
        return Ok(0);
    }
    let mut start = bytes;
    let mut tail = Vec::new();
    // From one newline to the next stands one record at least, and the last byte is a newline.
    while start > 0 && memchr::memchr(b'\n', tail.split_last().map_or(&[][..], |(_, rest)| rest)).is_none() {
        let most = start.min(TAIL);
        start -= most;
        let mut more = Vec::new();
        while (more.len() as u64) < most {
            let at = start + more.len() as u64;
            let read = files.read(at, usize::try_from(most).unwrap_or(usize::MAX) - more.len())?;
            more.extend_from_slice(&read);
        }
        tail.splice(0..0, more);
    }
    Ok(start + FORMAT.visible_len(&Batch::new(tail.into(), 1)) as u64)
}

impl Log {
    /// A reader from the byte `at` on, which stops before the byte `end` where there is one.
    pub fn reader(&self, at: u64, end: Option<u64>) -> Result<Reader, Gone> {
        let mut state = self.shared.lock();
        let from = state.tiers.from();
        if at < from {
            return Err(Gone { at, from });
        }
        let (id, way) = state.seats.join(at);
        drop(state);
        self.shared.came();
        self.shared.made_way(way);
        Ok(Reader::new(Arc::clone(&self.shared), id, at, end))
    }

    /// How far it has come.
    pub fn extent(&self) -> Extent {
        let state = self.shared.lock();
        let tiers = &state.tiers;
        Extent {
            visible: state.visible(),
            bytes: tiers.bytes(),
            records: tiers.records(),
            from: tiers.from(),
            readers: state.seats.count(),
            seal: state.seal.clone(),
        }
    }

    /// A place before this record, or its own, from which on it can be counted to.
    pub fn near(&self, record: u64) -> Landmark {
        self.shared.lock().tiers.near(record)
    }

    /// Resolves when there is a reader, or was.
    pub fn awaited(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut crowd = self.shared.crowd.subscribe();
        async move {
            // Without a log there is nobody to wait for.
            let _ = crowd.wait_for(|crowd| crowd.ever > 0).await;
        }
    }

    /// How many bytes of it are in memory.
    pub fn in_memory(&self) -> u64 {
        self.shared.lock().tiers.held()
    }

    /// How many bytes of it are in a file.
    pub fn in_file(&self) -> u64 {
        if self.shared.files.is_some() { self.shared.lock().tiers.kept() } else { 0 }
    }

    /// Resolves when it has ended.
    pub async fn ended(&self) {
        if let Ok(mut reader) = self.reader(self.extent().bytes, None) {
            reader.reached().await;
        }
    }

    /// Drops from memory what no reader needs: copies of what the file has and, of a log that has ended, what was nowhere else.
    pub fn forget_memory(&self) {
        self.shared.forget();
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
