//! Recovery of a log from its files: as many complete pages as have the bytes that the journal names.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use memchr::{memchr_iter, memrchr};
use twox_hash::XxHash3_64;

use super::contents::{Recovered, StoredExtent};
use super::disk_budget::FileClaim;
use super::error::ReopenError;
use super::file_io::{each_piece, modified};
use super::file_log::{FileLog, FilePosition, LostPage};
use super::journal::{Journal, JournalEnd, JournalError, JournalPage, PageExtent};
use crate::format::RecordOffset;
use crate::id::SnapshotId;
use crate::snapshot::record_index::RecordIndex;

/// Number of bytes that the search for the start of the last record reads at once.
const STEP: u64 = 64 * 1024;

/// Reads a log's files and verifies all their bytes, except those that this process has written or verified since it has had a log of them.
pub(super) fn recover(claim: Arc<FileClaim>, id: Option<SnapshotId>) -> Result<Recovered<FileLog>, ReopenError> {
    let (journal, lines) = (claim.journal.open()?, claim.lines.open()?);
    let epoch = claim.next_epoch();
    let (lines_metadata, journal_metadata) = (lines.metadata()?, journal.metadata()?);
    // A clock that was ahead may have dated them.
    let modified = modified(&lines_metadata, Some(&journal_metadata)).min(SystemTime::now());
    let mut text = Vec::new();
    each_piece(&journal, 0, journal_metadata.len(), |piece| text.extend_from_slice(piece))?;
    let mut read = Journal::read(&text).map_err(|error| match error {
        // The journal was created a moment ago.
        JournalError::NoBirth if text.is_empty() => ReopenError::Unknown,
        JournalError::NoBirth => ReopenError::Damaged(error.to_string()),
        JournalError::Newer(version) => ReopenError::Newer(version),
    })?;
    if read.id != id {
        return Err(ReopenError::Damaged("its journal is another snapshot's".to_owned()));
    }
    let lost = check_pages(&lines, &mut read, &claim)?;
    let notes = read.pages.iter().map(|page| page.note.to_owned()).collect();
    let index = read
        .pages
        .iter()
        .map(|page| RecordOffset { record: page.records, byte: page.extent.bytes })
        .collect::<RecordIndex>();
    let (page_bytes, page_records) = read.extent();
    let (bytes, more) = match &read.end {
        Some(end) => (end.extent.bytes, check_end(&lines, page_bytes, end)?),
        None => (page_bytes, 0),
    };
    let last = last_line(&lines, page_bytes)?;
    let position = FilePosition { epoch, bytes, mark: read.mark(), lost: lost.into() };
    let storage = FileLog::reopen(claim, position)?;
    let end = read.end.map(|end| end.seal);
    let extent = StoredExtent { bytes, records: page_records + more, index };
    Ok(Recovered { storage, birth: read.birth, extent, end, notes, last, modified })
}

/// Removes the pages that have lost their bytes (by a power cut, or by another program) from the journal, and cuts the lines off there: the
/// bytes after the complete pages are then not those that readers have had, so that new bytes must not be compared with them.
fn check_pages(lines: &File, journal: &mut Journal<'_>, claim: &FileClaim) -> Result<Vec<LostPage>, ReopenError> {
    let length = lines.metadata()?.len();
    let whole = count_whole(lines, length, &journal.pages, claim.verified())?;
    claim.set_verified(journal.pages[..whole].last().map_or(0, |page| page.extent.bytes));
    let lost: Vec<_> =
        journal.pages.drain(whole..).map(|JournalPage { extent, mark, .. }| LostPage { extent, mark }).collect();
    if lost.is_empty() {
        return Ok(lost);
    }
    if journal.end.is_some() {
        return Err(ReopenError::Damaged(format!("page {} is not as it was written", whole + 1)));
    }
    let (kept, _) = journal.extent();
    if length > kept {
        lines.set_len(kept)?;
        claim.give(length - kept);
    }
    Ok(lost)
}

/// Returns the number of pages that have the bytes that the journal names. Verified pages are not read again.
fn count_whole(lines: &File, length: u64, pages: &[JournalPage<'_>], checked: u64) -> io::Result<usize> {
    let mut from = 0;
    for (count, page) in pages.iter().enumerate() {
        let known = page.extent.bytes <= checked.min(length);
        if !known && !is_there(lines, length, from, page.extent, |_| {})? {
            return Ok(count);
        }
        from = page.extent.bytes;
    }
    Ok(pages.len())
}

/// Returns the number of records after the last page, of a log that has ended.
fn check_end(lines: &File, from: u64, end: &JournalEnd) -> Result<u64, ReopenError> {
    let mut records = 0;
    let count = |piece: &[u8]| records += memchr_iter(b'\n', piece).count() as u64;
    if is_there(lines, lines.metadata()?.len(), from, end.extent, count)? {
        return Ok(records);
    }
    Err(ReopenError::Damaged("what came after the last page is not as it was written".to_owned()))
}

fn is_there(lines: &File, length: u64, from: u64, extent: PageExtent, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
    if extent.bytes > length {
        return Ok(false);
    }
    let mut hash = XxHash3_64::new();
    each_piece(lines, from, extent.bytes, |piece| {
        hash.write(piece);
        each(piece);
    })?;
    Ok(hash.finish() == extent.hash)
}

/// Returns the last of the lines that end at this byte.
fn last_line(lines: &File, end: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(end) = end.checked_sub(1) else { return Ok(None) };
    let (mut from, mut step) = (end, vec![0; usize::try_from(STEP).unwrap_or(usize::MAX)]);
    let begin = loop {
        let start = from.saturating_sub(STEP);
        let step = &mut step[..usize::try_from(from - start).unwrap_or(usize::MAX)];
        lines.read_exact_at(step, start)?;
        match memrchr(b'\n', step) {
            Some(newline) => break start + newline as u64 + 1,
            None if start == 0 => break 0,
            None => from = start,
        }
    };
    let mut line = Vec::new();
    each_piece(lines, begin, end, |piece| line.extend_from_slice(piece))?;
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use bytes::Bytes;
    use serde_json::value::RawValue;

    use super::super::contents::LogEntry;
    use super::super::disk_budget::DiskBudget;
    use super::super::error::WriteError;
    use super::super::journal::JournalPosition;
    use super::*;
    use crate::error::{Failure, Fault};
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::seal::Seal;

    const PAGES: [&str; 4] = ["{\"a\":1}\n{\"a\":2}\n", "", "{\"a\":3}\n", "[4]\n[5]\n"];
    const TAIL: &str = "\"si";

    fn note(page: usize) -> Box<RawValue> {
        RawValue::from_string(format!("{{\"page\":{page}}}")).unwrap()
    }

    fn ends() -> [usize; PAGES.len()] {
        let mut end = 0;
        PAGES.map(|page| {
            end += page.len();
            end
        })
    }

    /// Writes the pages from index `from`.
    fn write_pages(files: &FileLog, from: usize, pages: &[&'static str]) -> Result<(), WriteError> {
        let text = |pages: &[&str]| pages.concat();
        for page in from..pages.len() {
            let (before, after) = (text(&pages[..page]), text(&pages[..=page]));
            files.write(before.len() as u64, &[Bytes::from_static(pages[page].as_bytes())])?;
            let records = after.lines().count() as u64;
            files.append(&LogEntry::Page { bytes: after.len() as u64, records, note: &note(page) })?;
        }
        Ok(())
    }

    fn complete(files: &FileLog) -> Result<(), WriteError> {
        files.append(&LogEntry::Complete(&Verdict::in_test(5, 4)))
    }

    /// Writes all pages, and the beginning of one more.
    fn interrupted(folder: &Path) {
        let files = FileLog::in_folder(folder, 10_000);
        write_pages(&files, 0, &PAGES).unwrap();
        files.write(ends()[3] as u64, &[Bytes::from_static(TAIL.as_bytes())]).unwrap();
    }

    fn claim(folder: &Path) -> Arc<FileClaim> {
        let disk = Arc::new(DiskBudget::new(u64::MAX));
        disk.count(1 << 20);
        Arc::new(FileClaim::in_folder(folder, disk))
    }

    fn recovered(folder: &Path) -> Result<Recovered<FileLog>, ReopenError> {
        recover(claim(folder), None)
    }

    fn cut(path: &Path, length: u64) {
        File::options().write(true).open(path).unwrap().set_len(length).unwrap();
    }

    #[test]
    fn a_journal_cut_anywhere_keeps_its_whole_pages_and_the_rest_comes_again() {
        let whole = tempfile::tempdir().unwrap();
        interrupted(whole.path());
        let text = fs::read(whole.path().join("journal")).unwrap();
        let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        let mut pages_seen = [0; PAGES.len() + 1];
        for length in lines[0]..=text.len() {
            let folder = tempfile::tempdir().unwrap();
            interrupted(folder.path());
            cut(&folder.path().join("journal"), length as u64);
            let read = recovered(folder.path()).unwrap();
            let mut end = lines[0];
            let pages = lines[1..]
                .iter()
                .take_while(|line| {
                    end += **line;
                    end <= length
                })
                .count();
            pages_seen[pages] += 1;
            let kept = PAGES[..pages].concat();
            assert_eq!((read.extent.bytes, read.extent.records), (kept.len() as u64, kept.lines().count() as u64));
            assert_eq!(read.last.as_deref(), kept.lines().last().map(str::as_bytes));
            assert_eq!(
                read.notes.last().map(|note| note.get().to_owned()),
                (pages > 0).then(|| note(pages - 1).get().to_owned())
            );
            assert_eq!((read.end.is_none(), read.storage.replay_end()), (true, (ends()[3] + TAIL.len()) as u64));
            write_pages(&read.storage, pages, &PAGES).unwrap();
            assert!(matches!(complete(&read.storage), Err(WriteError::Changed)), "the tail is missing");
            read.storage.write(ends()[3] as u64, &[Bytes::from_static(b"\"six\"\n")]).unwrap();
            complete(&read.storage).unwrap();
            let again = recovered(folder.path()).unwrap();
            assert!(matches!(again.end, Some(Seal::Complete(_))));
            assert_eq!(fs::read_to_string(folder.path().join("lines")).unwrap(), PAGES.concat() + "\"six\"\n");
        }
        assert!(pages_seen.iter().all(|count| *count > 0), "{pages_seen:?}");
    }

    #[test]
    fn lines_cut_anywhere_keep_their_whole_pages_and_take_no_other_bytes_behind_them() {
        for length in 0..ends()[3] {
            let folder = tempfile::tempdir().unwrap();
            interrupted(folder.path());
            cut(&folder.path().join("lines"), length as u64);
            // A second recovery loses nothing.
            drop(recovered(folder.path()).unwrap());
            let read = recovered(folder.path()).unwrap();
            let pages = ends().iter().filter(|end| **end <= length).count();
            let kept = PAGES[..pages].concat().len() as u64;
            assert_eq!(fs::metadata(folder.path().join("lines")).unwrap().len(), kept);
            assert_eq!(
                (read.notes.len(), read.extent.bytes, read.storage.replay_end()),
                (pages, kept, ends()[3] as u64)
            );
            let mut other = PAGES;
            other[3] = "[4]\n[6]\n";
            assert!(matches!(write_pages(&read.storage, pages, &other), Err(WriteError::Changed)), "cut at {length}");
        }
    }

    #[test]
    fn lost_pages_that_come_again_make_the_same_whole() {
        for length in 0..ends()[3] {
            let folder = tempfile::tempdir().unwrap();
            interrupted(folder.path());
            cut(&folder.path().join("lines"), length as u64);
            let read = recovered(folder.path()).unwrap();
            write_pages(&read.storage, read.notes.len(), &PAGES).unwrap();
            complete(&read.storage).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("lines")).unwrap(), PAGES.concat());
            assert!(recovered(folder.path()).unwrap().end.is_some());
        }
    }

    /// A power cut loses pages, some come again, a kill interrupts, and others come again.
    #[test]
    fn lost_pages_stay_in_the_journal_until_all_have_come_again() {
        let mut seen = 0;
        for (length, first, second) in
            (0..ends()[3]).flat_map(|length| (0..=3).flat_map(move |a| (a..=3).map(move |b| (length, a, b))))
        {
            let folder = tempfile::tempdir().unwrap();
            interrupted(folder.path());
            let journal = fs::read(folder.path().join("journal")).unwrap();
            cut(&folder.path().join("lines"), length as u64);
            for upto in [first, second] {
                let read = recovered(folder.path()).unwrap();
                let from = read.notes.len();
                write_pages(&read.storage, from, &PAGES[..upto.max(from)]).unwrap();
                // Bytes under way at the kill.
                read.storage.write(PAGES[..upto.max(from)].concat().len() as u64, &[Bytes::from_static(b"[")]).unwrap();
                assert_eq!(fs::read(folder.path().join("journal")).unwrap(), journal);
            }
            let read = recovered(folder.path()).unwrap();
            let pages = read.notes.len();
            assert_eq!((pages >= second, read.storage.replay_end()), (true, ends()[3] as u64));
            let mut other = PAGES;
            other[3] = "[4]\n[6]\n";
            assert!(
                matches!(write_pages(&read.storage, pages, &other), Err(WriteError::Changed)),
                "{length} {first} {second}"
            );
            // Not even a failed end removes the lost pages from the journal.
            read.storage.append(&LogEntry::Failed(&Failure::new(Fault::Changed, "what", "hint"))).unwrap();
            let read = recovered(folder.path()).unwrap();
            write_pages(&read.storage, read.notes.len(), &PAGES).unwrap();
            complete(&read.storage).unwrap();
            assert!(recovered(folder.path()).unwrap().end.is_some());
            seen += 1;
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn a_flipped_byte_of_the_lines_is_found_wherever_it_is() {
        for (at, ended) in (0..ends()[3]).flat_map(|at| [(at, false), (at, true)]) {
            let folder = tempfile::tempdir().unwrap();
            let files = FileLog::in_folder(folder.path(), 10_000);
            write_pages(&files, 0, &PAGES[..3]).unwrap();
            if ended {
                files.write(ends()[2] as u64, &[Bytes::from_static(PAGES[3].as_bytes())]).unwrap();
                complete(&files).unwrap();
            } else {
                write_pages(&files, 3, &PAGES).unwrap();
            }
            let path = folder.path().join("lines");
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            let pages = ends().iter().filter(|end| **end <= at).count();
            match recovered(folder.path()) {
                Ok(read) => assert_eq!((ended, read.notes.len()), (false, pages), "byte {at}"),
                Err(error) => assert!(ended && matches!(error, ReopenError::Damaged(_)), "byte {at}: {error}"),
            }
        }
    }

    #[test]
    fn verified_pages_of_open_files_are_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        interrupted(folder.path());
        let (claim, lines) = (claim(folder.path()), folder.path().join("lines"));
        let again = || recover(Arc::clone(&claim), None).unwrap();
        assert_eq!((again().notes.len(), claim.verified()), (4, ends()[3] as u64));
        let mut bytes = fs::read(&lines).unwrap();
        bytes[0] ^= 1;
        fs::write(&lines, &bytes).unwrap();
        assert_eq!(again().notes.len(), 4, "it was read again");
        // Missing bytes are noticed, and so are others in their place.
        cut(&lines, 20);
        assert_eq!((again().notes.len(), claim.verified()), (2, ends()[1] as u64));
        fs::write(&lines, [&bytes[..ends()[1]], b"[\"no page has\",\"these\"]\n"].concat()).unwrap();
        assert_eq!(again().notes.len(), 2);
    }

    #[test]
    fn a_failed_log_has_all_its_written_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileLog::in_folder(folder.path(), 10_000);
        write_pages(&files, 0, &PAGES[..3]).unwrap();
        files.write(ends()[2] as u64, &[Bytes::from_static(PAGES[3].as_bytes())]).unwrap();
        files.append(&LogEntry::Failed(&Failure::new(Fault::Unproven, "what", "hint"))).unwrap();
        let read = recovered(folder.path()).unwrap();
        assert!(matches!(&read.end, Some(Seal::Failed(failure)) if failure.fault == Fault::Unproven));
        assert_eq!((read.extent.bytes, read.extent.records, read.notes.len()), (ends()[3] as u64, 5, 3));
    }

    #[test]
    fn lines_are_unusable_without_the_first_line_of_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        interrupted(folder.path());
        let journal = folder.path().join("journal");
        cut(&journal, 20);
        assert!(matches!(recovered(folder.path()), Err(ReopenError::Damaged(_))));
        cut(&journal, 0);
        assert!(matches!(recovered(folder.path()), Err(ReopenError::Unknown)));
        fs::write(&journal, JournalPosition::of_version(9)).unwrap();
        assert!(matches!(recovered(folder.path()), Err(ReopenError::Newer(9))));
    }

    #[test]
    fn a_last_record_longer_than_a_step_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileLog::in_folder(folder.path(), u64::from(u32::MAX));
        let long = format!("\"{}\"", "x".repeat(200_000));
        for (at, text) in [("", format!("{long}\n")), (&*format!("{long}\n"), format!("{long}\n"))] {
            files.write(at.len() as u64, &[Bytes::from(text)]).unwrap();
            files
                .append(&LogEntry::Page { bytes: (at.len() + long.len() + 1) as u64, records: 1, note: &note(0) })
                .unwrap();
            assert_eq!(recovered(folder.path()).unwrap().last.unwrap(), long.as_bytes());
        }
    }
}
