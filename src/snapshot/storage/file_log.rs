//! Files of one log: its lines, and the journal of what is known about them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use twox_hash::XxHash3_64;

use super::contents::{LogEntry, LossPolicy};
use super::derived_file::DerivedFile;
use super::disk_budget::{Epoch, FileClaim};
use super::error::WriteError;
use super::file_io::{self, PIECE, each_piece, read_some, write_all};
use super::journal::{JournalLine, JournalPosition, PageExtent};
use crate::id::SnapshotId;
use crate::snapshot::facts::Birth;

/// Two files of a log. Every call may block, except [`FileLog::read_cached`].
#[derive(Debug)]
pub(in crate::snapshot) struct FileLog {
    claim: Arc<FileClaim>,
    epoch: Epoch,
    /// Length of the file of lines when it was opened: readers may have had any of these bytes.
    previous_len: u64,
    state: Mutex<FileLogState>,
}

/// Position at which a log that was written before continues.
#[derive(Debug)]
pub(super) struct FilePosition {
    /// Taken before the files were read, so that they have not changed since.
    pub(super) epoch: Epoch,
    /// End of the last complete page, where the next write goes.
    pub(super) bytes: u64,
    /// End of its line in the journal.
    pub(super) mark: JournalPosition,
    /// Pages that the journal has and the file of lines has lost. They must come again identical.
    pub(super) lost: VecDeque<LostPage>,
}

/// Page whose journal line stands after the position. The line stays there while its page comes again and afterwards, so that a kill loses
/// none of the lines after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LostPage {
    pub(super) extent: PageExtent,
    /// End of its line.
    pub(super) mark: JournalPosition,
}

struct FileLogState {
    /// Number of bytes that were written, or compared with those in the file.
    written: u64,
    /// Start of the bytes after the last journal entry, and their hash.
    from: u64,
    hash: XxHash3_64,
    mark: JournalPosition,
    /// Length of the journal's file. Bytes after the position are noise.
    journal: u64,
    lost: VecDeque<LostPage>,
}

impl FileLog {
    /// Creates a log in two empty files, which are created unless they are open.
    pub(super) fn create(claim: Arc<FileClaim>, id: Option<SnapshotId>, birth: &Birth) -> Result<Self, WriteError> {
        for file in [&claim.lines, &claim.journal] {
            file.if_open().map_or_else(|| file.create(), Ok)?;
        }
        let epoch = claim.next_epoch();
        let position = FilePosition { epoch, bytes: 0, mark: JournalPosition::default(), lost: VecDeque::new() };
        let files = Self::reopen(claim, position)?;
        let (line, mark) = JournalPosition::birth(id, birth);
        files.log(&mut files.state.lock(), &line, mark)?;
        Ok(files)
    }

    /// Continues a log at this position.
    pub(super) fn reopen(claim: Arc<FileClaim>, position: FilePosition) -> io::Result<Self> {
        let FilePosition { epoch, bytes, mark, lost } = position;
        let previous_len = claim.lines.open()?.metadata()?.len();
        let journal = claim.journal.open()?.metadata()?.len();
        let state = FileLogState { written: bytes, from: bytes, hash: XxHash3_64::new(), mark, journal, lost };
        Ok(Self { claim, epoch, previous_len, state: Mutex::new(state) })
    }

    /// Cuts the lines after the last complete page off. Only for files whose lines had no reader: other bytes may then follow.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        let state = self.state.get_mut();
        self.claim.lines.open()?.set_len(state.written)?;
        self.claim.give(self.previous_len.saturating_sub(state.written));
        self.previous_len = state.written;
        state.lost.clear();
        Ok(())
    }

    /// Returns the end of the bytes that were in the file, or in the journal, when it was opened. They must come again identical.
    pub(super) fn replay_end(&self) -> u64 {
        self.state.lock().lost.back().map_or(0, |page| page.extent.bytes).max(self.previous_len)
    }

    /// Returns the end of the written bytes that are known to be identical with lost ones; `u64::MAX` if none are lost.
    pub(super) fn verified_end(&self) -> u64 {
        let state = self.state.lock();
        if state.lost.is_empty() { u64::MAX } else { state.from }
    }

    /// Writes the next bytes, which begin at `at`; one call at a time. Bytes that the file had when it was opened are compared instead.
    pub(super) fn write(&self, at: u64, pieces: &[Bytes]) -> Result<(), WriteError> {
        let mut state = self.state.lock();
        let _epoch = self.claim.hold(self.epoch).ok_or(WriteError::Changed)?;
        debug_assert_eq!(at, state.written, "a log is written from its beginning to its end");
        let mut known = self.previous_len.saturating_sub(at);
        let (mut place, mut fresh) = (at, Vec::with_capacity(pieces.len()));
        for piece in pieces {
            let (same, new) = piece.split_at(usize::try_from(known).unwrap_or(usize::MAX).min(piece.len()));
            self.compare(place, same)?;
            known -= same.len() as u64;
            place += same.len() as u64;
            if !new.is_empty() {
                fresh.push(IoSlice::new(new));
            }
        }
        let bytes = fresh.iter().map(|piece| piece.len() as u64).sum();
        self.claim.take(bytes)?;
        let lines = self.claim.lines.open();
        lines.and_then(|lines| write_all(&lines, place, &mut fresh)).inspect_err(|_| self.claim.give(bytes))?;
        for piece in pieces {
            state.hash.write(piece);
        }
        state.written = place + bytes;
        Ok(())
    }

    /// Appends an entry about bytes that were written before to the journal.
    pub(super) fn append(&self, entry: &LogEntry<'_>) -> Result<(), WriteError> {
        let mut state = self.state.lock();
        let _epoch = self.claim.hold(self.epoch).ok_or(WriteError::Changed)?;
        let bytes = match entry {
            LogEntry::Page { bytes, .. } => *bytes,
            // A reader may have had the rest of the previous bytes: it would not have a part of this whole.
            LogEntry::Complete(_) if state.written < self.previous_len => return Err(WriteError::Changed),
            LogEntry::Complete(_) | LogEntry::Failed(_) => state.written,
        };
        let hash = self.hash(&state, bytes)?;
        match (entry, state.lost.front()) {
            (_, None) => {}
            // The line would overwrite those of lost pages. Without it, the next crawl that resumes finds the same failure.
            (LogEntry::Failed(_), Some(_)) => return Ok(()),
            (LogEntry::Page { .. }, Some(lost)) if lost.extent == PageExtent { bytes, hash } => {
                return self.confirm_lost_page(&mut state);
            }
            _ => return Err(WriteError::Changed),
        }
        let line = match *entry {
            LogEntry::Page { bytes, records, note } => JournalLine::Page { bytes, records, hash, note },
            LogEntry::Complete(verdict) => JournalLine::Complete { bytes, hash, verdict: Cow::Borrowed(verdict) },
            LogEntry::Failed(failure) => JournalLine::Failed { bytes, hash, failure: Cow::Borrowed(failure) },
        };
        let (text, mark) = state.mark.line(&line);
        let rest = self.hash_between(bytes, state.written)?;
        self.log(&mut state, &text, mark)?;
        (state.from, state.hash) = (bytes, rest);
        self.claim.set_verified(bytes);
        if !matches!(entry, LogEntry::Page { .. }) {
            self.claim.journal.close();
        }
        Ok(())
    }

    /// Moves past the first lost page, which has come again: its line is in the journal.
    fn confirm_lost_page(&self, state: &mut FileLogState) -> Result<(), WriteError> {
        if let Some(LostPage { extent, mark }) = state.lost.front().copied() {
            state.hash = self.hash_between(extent.bytes, state.written)?;
            (state.from, state.mark) = (extent.bytes, mark);
            state.lost.pop_front();
        }
        Ok(())
    }

    /// Reads 1 to `most` bytes over those of `buffer` without waiting for the disk; returns `None` if it would have to wait, or that
    /// can't be told.
    pub(super) fn read_cached(&self, at: u64, most: usize, buffer: BytesMut) -> io::Result<Option<Bytes>> {
        // To open the file again may wait for the disk.
        self.claim.lines.if_open().map_or(Ok(None), |lines| file_io::read_cached(&lines, at, most, buffer))
    }

    /// Reads 1 to `most` bytes.
    pub(super) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        read_some(&*self.claim.lines.open()?, at, most)
    }

    /// Returns the tasks that write files of this storage.
    pub(super) fn writes(&self) -> &TaskTracker {
        self.claim.lines.open_files().writes()
    }

    /// Creates a file for bytes that are made of the log.
    pub(super) fn create_derived(&self) -> io::Result<DerivedFile> {
        DerivedFile::create(&self.claim)
    }

    pub(super) fn loss_policy(&self) -> LossPolicy {
        self.claim.loss_policy()
    }

    /// Deletes the files, so that a restart does not find the snapshot. Readers go on.
    pub(super) fn disown(&self) -> Result<(), WriteError> {
        let _epoch = self.claim.hold(self.epoch).ok_or(WriteError::Changed)?;
        Ok(self.claim.disown()?)
    }

    /// Compares bytes with those in the file.
    fn compare(&self, mut at: u64, mut same: &[u8]) -> Result<(), WriteError> {
        let lines = self.claim.lines.open()?;
        while !same.is_empty() {
            let there = read_some(&lines, at, same.len().min(PIECE))?;
            let (now, rest) = same.split_at(there.len());
            if now != there {
                return Err(WriteError::Changed);
            }
            at += there.len() as u64;
            same = rest;
        }
        Ok(())
    }

    /// Returns the hash of the bytes from the last entry to `end`. They are read again only if bytes after `end` were written already.
    fn hash(&self, state: &FileLogState, end: u64) -> io::Result<u64> {
        if end == state.written {
            return Ok(state.hash.finish());
        }
        Ok(self.hash_between(state.from, end)?.finish())
    }

    fn hash_between(&self, from: u64, to: u64) -> io::Result<XxHash3_64> {
        let mut hash = XxHash3_64::new();
        each_piece(&*self.claim.lines.open()?, from, to, |piece| hash.write(piece))?;
        Ok(hash)
    }

    /// Writes one line of the journal, in one write.
    fn log(&self, state: &mut FileLogState, line: &str, mark: JournalPosition) -> Result<(), WriteError> {
        let journal = self.claim.journal.open()?;
        if state.journal > state.mark.length {
            journal.set_len(state.mark.length)?;
            self.claim.give(state.journal - state.mark.length);
            state.journal = state.mark.length;
        }
        let bytes = line.len() as u64;
        self.claim.take(bytes)?;
        journal.write_all_at(line.as_bytes(), state.mark.length).inspect_err(|_| self.claim.give(bytes))?;
        (state.mark, state.journal) = (mark, mark.length);
        Ok(())
    }
}

impl fmt::Debug for FileLogState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, mark, lost, .. } = self;
        let mut debug = f.debug_struct("FileLogState");
        debug.field("written", written).field("mark", mark).field("lost", lost).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl FileLog {
    /// Creates two new files in a folder, which together may have `limit` bytes more than their birth needs.
    pub(super) fn in_folder(folder: &std::path::Path, limit: u64) -> Arc<Self> {
        let birth = Birth::in_test("/orders");
        let birth_bytes = JournalPosition::birth(None, &birth).1.length;
        let disk = Arc::new(super::disk_budget::DiskBudget::new(birth_bytes + limit));
        Arc::new(Self::create(Arc::new(FileClaim::in_folder(folder, disk)), None, &birth).expect("room for the birth"))
    }

    /// Opens such files again, with a journal that can't be deleted.
    pub(super) fn undeletable(folder: &std::path::Path, limit: u64, journal: &std::fs::OpenOptions) -> Arc<Self> {
        use super::open_files::{NamedFile, OpenFiles};
        drop(Self::in_folder(folder, 0));
        let (_, mark) = JournalPosition::birth(None, &Birth::in_test("/orders"));
        let file = journal.open(folder.join("journal")).expect("it is there");
        let open_files = OpenFiles::new(None);
        // A file is no folder, so that a deletion in it fails.
        let journal = NamedFile::pinned(folder.join("journal/none"), file, &open_files);
        let lines = NamedFile::new(folder.join("lines"), &open_files);
        let claim = FileClaim::new(Arc::new(super::disk_budget::DiskBudget::new(limit)), lines, journal);
        let position = FilePosition { epoch: claim.next_epoch(), bytes: 0, mark, lost: VecDeque::new() };
        Arc::new(Self::reopen(Arc::new(claim), position).expect("files have a length"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::storage::journal::Journal;

    fn verdict() -> Verdict {
        Verdict::in_test(2, 1)
    }

    fn page(bytes: u64, note: &RawValue) -> LogEntry<'_> {
        LogEntry::Page { bytes, records: 1, note }
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// Opens the files again, as a new process does.
    fn again(folder: &std::path::Path, position: FilePosition) -> FileLog {
        let disk = Arc::new(super::super::disk_budget::DiskBudget::new(u64::MAX));
        disk.count(1 << 20);
        let claim = FileClaim::in_folder(folder, disk);
        let position = FilePosition { epoch: claim.next_epoch(), ..position };
        FileLog::reopen(Arc::new(claim), position).unwrap()
    }

    fn position(folder: &std::path::Path, bytes: u64) -> FilePosition {
        let text = std::fs::read(folder.join("journal")).unwrap();
        FilePosition {
            epoch: Epoch::default(),
            bytes,
            mark: Journal::read(&text).unwrap().mark(),
            lost: VecDeque::new(),
        }
    }

    #[test]
    fn written_bytes_are_read_cached_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileLog::in_folder(folder.path(), 100);
        files.write(0, &[bytes("12"), bytes(""), bytes("345\n")]).unwrap();
        files.write(6, &[bytes("6\n")]).unwrap();
        assert_eq!((files.replay_end(), files.read(1, 100).unwrap().as_ref()), (0, &b"2345\n6\n"[..]));
        assert_eq!(files.read(1, 3).unwrap(), "234");
        // Some file systems can't read without waiting; a result is right in any case.
        assert!(files.read_cached(1, 3, BytesMut::new()).unwrap().is_none_or(|read| read == "234"));
        assert!(files.read_cached(8, 3, BytesMut::from("used")).unwrap().is_none());
        assert_eq!(files.read(8, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_page_is_hashed_from_the_end_of_the_one_before_however_it_was_written() {
        let note = RawValue::from_string("1".to_owned()).unwrap();
        let journals = [&[1_u64, 7][..], &[3, 3, 2], &[8]].map(|writes| {
            let folder = tempfile::tempdir().unwrap();
            let files = FileLog::in_folder(folder.path(), 1000);
            let (mut at, all) = (0, bytes("ab\ncd\nef"));
            for length in writes {
                let piece = all.slice(usize::try_from(at).unwrap()..usize::try_from(at + length).unwrap());
                files.write(at, &[piece]).unwrap();
                at += length;
            }
            [3, 6].into_iter().for_each(|end| files.append(&page(end, &note)).unwrap());
            files.append(&LogEntry::Complete(&verdict())).unwrap();
            std::fs::read_to_string(folder.path().join("journal")).unwrap()
        });
        assert!(journals.iter().all(|journal| *journal == journals[0]), "{journals:#?}");
        let read = Journal::read(journals[0].as_bytes()).unwrap();
        assert_eq!(read.pages[1].extent, PageExtent { bytes: 6, hash: XxHash3_64::oneshot(b"cd\n") });
        assert_eq!(read.end.unwrap().extent, PageExtent { bytes: 8, hash: XxHash3_64::oneshot(b"ef") });
    }

    #[test]
    fn a_torn_tail_must_come_again_identical() {
        let folder = tempfile::tempdir().unwrap();
        FileLog::in_folder(folder.path(), 100).write(0, &[bytes("a\nb\nc")]).unwrap();
        let files = again(folder.path(), position(folder.path(), 2));
        assert_eq!(files.replay_end(), 5);
        assert!(matches!(files.write(2, &[bytes("b\nx")]), Err(WriteError::Changed)));
        files.write(2, &[bytes("b")]).unwrap();
        // The tail has bytes that the complete log would not have.
        assert!(matches!(files.append(&LogEntry::Complete(&verdict())), Err(WriteError::Changed)));
        files.write(3, &[bytes("\n"), bytes("cc\n"), bytes("d\n")]).unwrap();
        files.append(&LogEntry::Complete(&verdict())).unwrap();
        assert_eq!(std::fs::read(folder.path().join("lines")).unwrap(), b"a\nb\ncc\nd\n");
    }

    #[test]
    fn a_lost_page_must_come_again_identical() {
        let note = RawValue::from_string("1".to_owned()).unwrap();
        for (came, is_same) in [("a\n", true), ("b\n", false), ("a", false)] {
            let folder = tempfile::tempdir().unwrap();
            let before = FileLog::in_folder(folder.path(), 1000);
            let born = position(folder.path(), 0);
            before.write(0, &[bytes("a\n")]).unwrap();
            before.append(&page(2, &note)).unwrap();
            std::fs::write(folder.path().join("lines"), "").unwrap();
            let extent = PageExtent { bytes: 2, hash: XxHash3_64::oneshot(b"a\n") };
            let lost = VecDeque::from([LostPage { extent, mark: position(folder.path(), 2).mark }]);
            let files = again(folder.path(), FilePosition { lost, ..born });
            files.write(0, &[bytes(came)]).unwrap();
            assert!(matches!(files.append(&LogEntry::Complete(&verdict())), Err(WriteError::Changed)));
            assert_eq!(files.append(&page(came.len() as u64, &note)).is_ok(), is_same, "{came}");
            assert_eq!(files.append(&LogEntry::Complete(&verdict())).is_ok(), is_same, "{came}");
        }
    }

    #[test]
    fn noise_behind_the_journal_goes_with_the_next_entry() {
        let folder = tempfile::tempdir().unwrap();
        drop(FileLog::in_folder(folder.path(), 100));
        let journal = folder.path().join("journal");
        let whole = std::fs::read_to_string(&journal).unwrap();
        std::fs::write(&journal, format!("{whole}{}\n", "noise".repeat(100))).unwrap();
        let files = again(folder.path(), position(folder.path(), 0));
        files.append(&LogEntry::Complete(&verdict())).unwrap();
        let text = std::fs::read_to_string(&journal).unwrap();
        assert!(text.starts_with(&whole) && !text.contains("noise"), "{text}");
        assert!(Journal::read(text.as_bytes()).unwrap().end.is_some());
    }

    #[test]
    fn a_full_budget_refuses_a_write_and_keeps_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileLog::in_folder(folder.path(), 5);
        files.write(0, &[bytes("abc\n")]).unwrap();
        assert!(matches!(files.write(4, &[bytes("12")]), Err(WriteError::NoRoom)));
        assert!(matches!(files.append(&LogEntry::Complete(&verdict())), Err(WriteError::NoRoom)));
        files.write(4, &[bytes("1")]).unwrap();
        assert_eq!(files.read(0, 9).unwrap(), "abc\n1");
    }

    #[test]
    fn deleted_files_stay_readable_while_they_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileLog::in_folder(folder.path(), 100);
        files.write(0, &[bytes("abc\n")]).unwrap();
        files.disown().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        files.write(4, &[bytes("d\n")]).unwrap();
        assert_eq!(files.read(0, 9).unwrap(), "abc\nd\n");
    }
}
