//! A snapshot's two files, open: its lines, and the journal that says what is known of them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use super::disk::{Claim, NoRoom, OnLoss, Turn};
use super::journal::{Line, Mark, Stretch};
use super::seal::Verdict;
use super::store::Birth;
use crate::error::Failure;
use crate::id::SnapshotId;

/// How many bytes are read at once where a whole stretch is.
const PIECE: usize = 1 << 20;

/// A snapshot's two files. Every call blocks, but [`Files::read_cached`].
#[derive(Debug)]
pub(super) struct Files {
    lines: File,
    journal: File,
    claim: Arc<Claim>,
    turn: Turn,
    /// Up to here the file had bytes before it was opened, which a reader may have.
    torn: u64,
    state: Mutex<State>,
}

/// What the journal is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    /// A page is whole: of the log up to and with it there are so many bytes and records.
    Page { bytes: u64, records: u64, note: &'a RawValue },
    /// All records are there.
    Complete(&'a Verdict),
    /// The crawl broke, and asking again won't mend it.
    Failed(&'a Failure),
}

/// Why something was not written. What the files had before is still there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    /// Also where the files were opened again to go on with them: what comes late from the crawl before is nobody's.
    #[error("other bytes were written at this place before the crawl was interrupted")]
    Changed,
    #[error("the disk budget is used up")]
    NoRoom,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where files stand that were written to before.
#[derive(Debug)]
pub(super) struct Standing {
    /// Taken before anything was read: nobody else has written since.
    pub(super) turn: Turn,
    /// The end of the last page that is kept, where the next write goes.
    pub(super) bytes: u64,
    /// The end of its line in the journal.
    pub(super) mark: Mark,
    /// Pages that the journal has and the file of lines has lost: when they come again they must be the same.
    pub(super) promised: VecDeque<Promise>,
}

/// A page that the journal has behind the mark. Its line stays where it is until the page has come again, and after that: no kill loses the
/// promise of the pages behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    pub(super) stretch: Stretch,
    /// The end of its line.
    pub(super) mark: Mark,
}

struct State {
    /// How many bytes were written, or found to be there already.
    written: u64,
    /// What has come since the last entry of the journal.
    from: u64,
    hash: XxHash3_64,
    mark: Mark,
    /// How long the journal's file is. What stands behind the mark is noise.
    journal: u64,
    promised: VecDeque<Promise>,
}

impl Files {
    /// Begins with two empty files.
    pub(super) fn begin(
        lines: File,
        journal: File,
        claim: Arc<Claim>,
        id: Option<SnapshotId>,
        birth: &Birth,
    ) -> Result<Self, Unwritten> {
        let turn = claim.next_turn();
        let standing = Standing { turn, bytes: 0, mark: Mark::default(), promised: VecDeque::new() };
        let files = Self::again(lines, journal, claim, standing)?;
        let (line, mark) = Mark::birth(id, birth);
        files.log(&mut files.lock(), &line, mark)?;
        Ok(files)
    }

    /// Goes on with files that were written to before.
    pub(super) fn again(lines: File, journal: File, claim: Arc<Claim>, standing: Standing) -> io::Result<Self> {
        let Standing { turn, bytes, mark, promised } = standing;
        let torn = lines.metadata()?.len();
        let journal_length = journal.metadata()?.len();
        let state =
            State { written: bytes, from: bytes, hash: XxHash3_64::new(), mark, journal: journal_length, promised };
        Ok(Self { lines, journal, claim, turn, torn, state: Mutex::new(state) })
    }

    /// Nobody has read what stands behind the last whole page: other bytes may take its place.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.lines.set_len(state.written)?;
        self.claim.give(self.torn.saturating_sub(state.written));
        self.torn = state.written;
        state.promised.clear();
        Ok(())
    }

    /// Up to here, what is written was written before, and must be the same.
    pub(super) fn owed(&self) -> u64 {
        self.lock().promised.back().map_or(0, |page| page.stretch.bytes).max(self.torn)
    }

    /// Up to here, what was written is no other than what was promised.
    pub(super) fn compared(&self) -> u64 {
        let state = self.lock();
        if state.promised.is_empty() { u64::MAX } else { state.from }
    }

    /// Writes the next bytes, which begin at `at`; one call at a time. Where the file had bytes before it was opened they must be the same.
    pub(super) fn write(&self, at: u64, pieces: &[Bytes]) -> Result<(), Unwritten> {
        let mut state = self.lock();
        let _turn = self.claim.hold(self.turn).ok_or(Unwritten::Changed)?;
        debug_assert_eq!(at, state.written, "a log is written from its beginning to its end");
        let mut known = self.torn.saturating_sub(at);
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
        write_all(&self.lines, place, &mut fresh).inspect_err(|_| self.claim.give(bytes))?;
        for piece in pieces {
            state.hash.write(piece);
        }
        state.written = place + bytes;
        Ok(())
    }

    /// Appends to the journal what is true of the bytes that were written before.
    pub(super) fn append(&self, entry: &Entry<'_>) -> Result<(), Unwritten> {
        let mut state = self.lock();
        let _turn = self.claim.hold(self.turn).ok_or(Unwritten::Changed)?;
        let bytes = match entry {
            Entry::Page { bytes, .. } => *bytes,
            // What a reader had of the torn tail would not be a part of the whole.
            Entry::Complete(_) if state.written < self.torn => return Err(Unwritten::Changed),
            Entry::Complete(_) | Entry::Failed(_) => state.written,
        };
        let hash = self.hash(&state, bytes)?;
        match (entry, state.promised.front()) {
            (_, None) => {}
            // Its line would cut off what is promised. Without it the next one to go on finds the same again.
            (Entry::Failed(_), Some(_)) => return Ok(()),
            (Entry::Page { .. }, Some(promised)) if promised.stretch == Stretch { bytes, hash } => {
                return self.keep_promise(&mut state);
            }
            _ => return Err(Unwritten::Changed),
        }
        let line = match *entry {
            Entry::Page { bytes, records, note } => Line::Page { bytes, records, hash, note },
            Entry::Complete(verdict) => Line::Complete { bytes, hash, verdict: Cow::Borrowed(verdict) },
            Entry::Failed(failure) => Line::Failed { bytes, hash, failure: Cow::Borrowed(failure) },
        };
        let (text, mark) = state.mark.line(&line);
        let rest = self.stretch(bytes, state.written)?;
        self.log(&mut state, &text, mark)?;
        (state.from, state.hash) = (bytes, rest);
        self.claim.check(bytes);
        Ok(())
    }

    /// The first of the promised pages has come again: its line is in the journal.
    fn keep_promise(&self, state: &mut State) -> Result<(), Unwritten> {
        if let Some(Promise { stretch, mark }) = state.promised.front().copied() {
            state.hash = self.stretch(stretch.bytes, state.written)?;
            (state.from, state.mark) = (stretch.bytes, mark);
            state.promised.pop_front();
        }
        Ok(())
    }

    /// Reads `most` bytes or fewer without waiting for the disk; None where it would wait, or can't be told not to.
    pub(super) fn read_cached(&self, at: u64, most: usize) -> io::Result<Option<Bytes>> {
        read_cached(&self.lines, at, most)
    }

    /// Reads `most` bytes or fewer, but at least one.
    pub(super) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        read_some(&self.lines, at, most)
    }

    /// What becomes of the log when they can't be written.
    pub(super) fn on_loss(&self) -> OnLoss {
        self.claim.on_loss()
    }

    /// Deletes the files. Who reads them goes on, and after a restart nothing is known of the snapshot.
    pub(super) fn disown(&self) -> Result<(), Unwritten> {
        let _turn = self.claim.hold(self.turn).ok_or(Unwritten::Changed)?;
        Ok(self.claim.disown(&self.journal)?)
    }

    /// What was written before must be there again.
    fn compare(&self, mut at: u64, mut same: &[u8]) -> Result<(), Unwritten> {
        while !same.is_empty() {
            let there = read_some(&self.lines, at, same.len().min(PIECE))?;
            let (now, rest) = same.split_at(there.len());
            if now != there {
                return Err(Unwritten::Changed);
            }
            at += there.len() as u64;
            same = rest;
        }
        Ok(())
    }

    /// The hash of what has come since the last entry up to the byte `end`; it is read again only where more was written already.
    fn hash(&self, state: &State, end: u64) -> io::Result<u64> {
        if end == state.written {
            return Ok(state.hash.finish());
        }
        Ok(self.stretch(state.from, end)?.finish())
    }

    fn stretch(&self, from: u64, to: u64) -> io::Result<XxHash3_64> {
        let mut hash = XxHash3_64::new();
        each_piece(&self.lines, from, to, |piece| hash.write(piece))?;
        Ok(hash)
    }

    /// One line of the journal, in one write.
    fn log(&self, state: &mut State, line: &str, mark: Mark) -> Result<(), Unwritten> {
        if state.journal > state.mark.length {
            self.journal.set_len(state.mark.length)?;
            self.claim.give(state.journal - state.mark.length);
            state.journal = state.mark.length;
        }
        let bytes = line.len() as u64;
        self.claim.take(bytes)?;
        self.journal.write_all_at(line.as_bytes(), state.mark.length).inspect_err(|_| self.claim.give(bytes))?;
        (state.mark, state.journal) = (mark, mark.length);
        Ok(())
    }

    /// No call panics between two changes of it, so a poisoned lock still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, mark, promised, .. } = self;
        let mut debug = f.debug_struct("State");
        debug.field("written", written).field("mark", mark).field("promised", promised).finish_non_exhaustive()
    }
}

impl From<NoRoom> for Unwritten {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Hands out the bytes of a file from one place to another, in order.
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

fn read_some(file: &File, at: u64, most: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; most];
    let read = read_into(file, at, &mut buffer)?;
    buffer.truncate(read);
    Ok(buffer.into())
}

/// How many bytes were read: one at least where any were asked for, since nobody asks for what isn't there.
fn read_into(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Ok(0) if !buffer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(target_os = "linux")]
fn read_cached(file: &File, at: u64, most: usize) -> io::Result<Option<Bytes>> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut buffer = vec![0; most];
    match preadv2(file, &mut [io::IoSliceMut::new(&mut buffer)], at, ReadWriteFlags::NOWAIT) {
        // Nothing is at the end of the file, where nobody reads, and from some file systems where they would wait.
        Ok(0) | Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Ok(read) => {
            buffer.truncate(read);
            Ok(Some(buffer.into()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_file: &File, _at: u64, _most: usize) -> io::Result<Option<Bytes>> {
    Ok(None)
}

fn write_all(mut file: &File, at: u64, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    while !pieces.is_empty() {
        match file.write_vectored(pieces) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut pieces, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
impl Files {
    /// Two new files in a folder, which together may have `limit` bytes more than their birth needs.
    pub(super) fn in_folder(folder: &std::path::Path, limit: u64) -> Arc<Self> {
        let place = super::disk::Place { lines: folder.join("lines"), journal: folder.join("journal") };
        let open =
            |path| File::options().read(true).write(true).create_new(true).open(path).expect("a folder for tests");
        let (lines, journal) = (open(&place.lines), open(&place.journal));
        let birth = Birth::in_test("/orders");
        let birth_bytes = Mark::birth(None, &birth).1.length;
        let disk = Arc::new(super::disk::Disk::new(birth_bytes + limit));
        Arc::new(
            Self::begin(lines, journal, Arc::new(Claim::new(disk, place)), None, &birth).expect("room for the birth"),
        )
    }
}

#[cfg(test)]
impl Files {
    /// The same, where the journal can't be deleted; it is opened like this.
    pub(super) fn undeletable(folder: &std::path::Path, limit: u64, journal: &std::fs::OpenOptions) -> Arc<Self> {
        drop(Self::in_folder(folder, 0));
        let [lines, path] = ["lines", "journal"].map(|name| folder.join(name));
        let (_, mark) = Mark::birth(None, &Birth::in_test("/orders"));
        let (lines_file, journal) = (File::options().read(true).write(true).open(&lines), journal.open(&path));
        // A file is no folder: to delete something in it fails.
        let place = super::disk::Place { lines, journal: path.join("none") };
        let claim = Arc::new(Claim::new(Arc::new(super::disk::Disk::new(limit)), place));
        let standing = Standing { turn: claim.next_turn(), bytes: 0, mark, promised: VecDeque::new() };
        let (lines, journal) = (lines_file.expect("it is there"), journal.expect("it is there"));
        Arc::new(Self::again(lines, journal, claim, standing).expect("files have a length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::journal::Journal;

    fn verdict() -> Verdict {
        Verdict { records: 2, pages: 1, proof: "no next address".to_owned() }
    }

    fn page(bytes: u64, note: &RawValue) -> Entry<'_> {
        Entry::Page { bytes, records: 1, note }
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// The same files opened again, as a new process would.
    fn again(folder: &std::path::Path, standing: Standing) -> Files {
        let place = super::super::disk::Place { lines: folder.join("lines"), journal: folder.join("journal") };
        let open = |path| File::options().read(true).write(true).open(path).unwrap();
        let (lines, journal) = (open(&place.lines), open(&place.journal));
        let disk = Arc::new(super::super::disk::Disk::new(u64::MAX));
        disk.count(1 << 20);
        let claim = Arc::new(Claim::counted(disk, place));
        let standing = Standing { turn: claim.next_turn(), ..standing };
        Files::again(lines, journal, claim, standing).unwrap()
    }

    fn standing(folder: &std::path::Path, bytes: u64) -> Standing {
        let text = std::fs::read(folder.join("journal")).unwrap();
        Standing { turn: Turn::default(), bytes, mark: Journal::read(&text).unwrap().mark(), promised: VecDeque::new() }
    }

    #[test]
    fn what_was_written_is_read_cached_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path(), 100);
        files.write(0, &[bytes("12"), bytes(""), bytes("345\n")]).unwrap();
        files.write(6, &[bytes("6\n")]).unwrap();
        assert_eq!((files.owed(), files.read(1, 100).unwrap().as_ref()), (0, &b"2345\n6\n"[..]));
        assert_eq!(files.read(1, 3).unwrap(), "234");
        // Not every file system can be told not to wait; what comes is never anything else.
        assert!(files.read_cached(1, 3).unwrap().is_none_or(|read| read == "234"));
        assert!(files.read_cached(8, 3).unwrap().is_none());
        assert_eq!(files.read(8, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_page_is_hashed_from_the_end_of_the_one_before_however_it_was_written() {
        let note = RawValue::from_string("1".to_owned()).unwrap();
        let journals = [&[1_u64, 7][..], &[3, 3, 2], &[8]].map(|writes| {
            let folder = tempfile::tempdir().unwrap();
            let files = Files::in_folder(folder.path(), 1000);
            let (mut at, all) = (0, bytes("ab\ncd\nef"));
            for length in writes {
                let piece = all.slice(usize::try_from(at).unwrap()..usize::try_from(at + length).unwrap());
                files.write(at, &[piece]).unwrap();
                at += length;
            }
            [3, 6].into_iter().for_each(|end| files.append(&page(end, &note)).unwrap());
            files.append(&Entry::Complete(&verdict())).unwrap();
            std::fs::read_to_string(folder.path().join("journal")).unwrap()
        });
        assert!(journals.iter().all(|journal| *journal == journals[0]), "{journals:#?}");
        let read = Journal::read(journals[0].as_bytes()).unwrap();
        assert_eq!(read.pages[1].stretch, Stretch { bytes: 6, hash: XxHash3_64::oneshot(b"cd\n") });
        assert_eq!(read.end.unwrap().stretch, Stretch { bytes: 8, hash: XxHash3_64::oneshot(b"ef") });
    }

    #[test]
    fn the_torn_tail_must_be_written_again_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        Files::in_folder(folder.path(), 100).write(0, &[bytes("a\nb\nc")]).unwrap();
        let files = again(folder.path(), standing(folder.path(), 2));
        assert_eq!(files.owed(), 5);
        assert!(matches!(files.write(2, &[bytes("b\nx")]), Err(Unwritten::Changed)));
        files.write(2, &[bytes("b")]).unwrap();
        // The tail has bytes that the whole would not have.
        assert!(matches!(files.append(&Entry::Complete(&verdict())), Err(Unwritten::Changed)));
        files.write(3, &[bytes("\n"), bytes("cc\n"), bytes("d\n")]).unwrap();
        files.append(&Entry::Complete(&verdict())).unwrap();
        assert_eq!(std::fs::read(folder.path().join("lines")).unwrap(), b"a\nb\ncc\nd\n");
    }

    #[test]
    fn a_page_that_was_lost_must_come_again_as_it_was() {
        let note = RawValue::from_string("1".to_owned()).unwrap();
        for (came, is_same) in [("a\n", true), ("b\n", false), ("a", false)] {
            let folder = tempfile::tempdir().unwrap();
            let before = Files::in_folder(folder.path(), 1000);
            let born = standing(folder.path(), 0);
            before.write(0, &[bytes("a\n")]).unwrap();
            before.append(&page(2, &note)).unwrap();
            std::fs::write(folder.path().join("lines"), "").unwrap();
            let stretch = Stretch { bytes: 2, hash: XxHash3_64::oneshot(b"a\n") };
            let promised = VecDeque::from([Promise { stretch, mark: standing(folder.path(), 2).mark }]);
            let files = again(folder.path(), Standing { promised, ..born });
            files.write(0, &[bytes(came)]).unwrap();
            assert!(matches!(files.append(&Entry::Complete(&verdict())), Err(Unwritten::Changed)));
            assert_eq!(files.append(&page(came.len() as u64, &note)).is_ok(), is_same, "{came}");
            assert_eq!(files.append(&Entry::Complete(&verdict())).is_ok(), is_same, "{came}");
        }
    }

    #[test]
    fn noise_behind_the_journal_goes_with_the_next_entry() {
        let folder = tempfile::tempdir().unwrap();
        drop(Files::in_folder(folder.path(), 100));
        let journal = folder.path().join("journal");
        let whole = std::fs::read_to_string(&journal).unwrap();
        std::fs::write(&journal, format!("{whole}{}\n", "noise".repeat(100))).unwrap();
        let files = again(folder.path(), standing(folder.path(), 0));
        files.append(&Entry::Complete(&verdict())).unwrap();
        let text = std::fs::read_to_string(&journal).unwrap();
        assert!(text.starts_with(&whole) && !text.contains("noise"), "{text}");
        assert!(Journal::read(text.as_bytes()).unwrap().end.is_some());
    }

    #[test]
    fn a_full_budget_refuses_what_has_no_room_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path(), 5);
        files.write(0, &[bytes("abc\n")]).unwrap();
        assert!(matches!(files.write(4, &[bytes("12")]), Err(Unwritten::NoRoom)));
        assert!(matches!(files.append(&Entry::Complete(&verdict())), Err(Unwritten::NoRoom)));
        files.write(4, &[bytes("1")]).unwrap();
        assert_eq!(files.read(0, 9).unwrap(), "abc\n1");
    }

    #[test]
    fn deleted_files_go_on_for_who_has_them_open() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path(), 100);
        files.write(0, &[bytes("abc\n")]).unwrap();
        files.disown().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        files.write(4, &[bytes("d\n")]).unwrap();
        assert_eq!(files.read(0, 9).unwrap(), "abc\nd\n");
    }
}
