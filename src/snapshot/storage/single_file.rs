//! A log in two files of the caller's own, outside of any folder of snapshots.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogStorage;
use super::contents::{LossPolicy, Recovered};
use super::disk_budget::{DiskBudget, FileClaim};
use super::error::{ReopenError, WriteError};
use super::file_io::{length, private};
use super::file_log::FileLog;
use super::log_recovery::recover;
use super::open_files::{NamedFile, OpenFiles};
use crate::snapshot::facts::Birth;
use crate::snapshot::seal::Seal;

/// Creates a log in these two files and drops their contents. The file of lines gets the permissions of any new file of the caller.
pub(super) fn create(lines: PathBuf, journal: PathBuf, birth: &Birth) -> io::Result<FileLog> {
    let journal_file = private().create(true).truncate(false).open(&journal)?;
    // Locked before anything is cut off: another process may still write there.
    lock(&journal_file, &journal)?;
    // First the lines: a kill in between leaves no lines without the journal that says what they are.
    let lines_file = File::options().read(true).write(true).create(true).truncate(true).open(&lines)?;
    journal_file.set_len(0)?;
    let [lines, journal] = stay_open([(lines, lines_file), (journal, journal_file)]);
    let claim = FileClaim::new(unbounded(), lines, journal).with_loss_policy(LossPolicy::Stop);
    FileLog::create(Arc::new(claim), None, birth).map_err(|error| match error {
        WriteError::Io(error) => error,
        other => io::Error::other(other),
    })
}

/// Two such files, read again and locked. Nothing is written to them.
#[derive(Debug)]
pub struct RecoveredFile {
    found: Recovered<FileLog>,
}

/// Reads such files again. Blocks, since all their bytes are verified. The log that was open before must be dropped.
pub fn recover_single_file(lines: PathBuf, journal: PathBuf) -> Result<RecoveredFile, ReopenError> {
    let journal_file = private().open(&journal)?;
    lock(&journal_file, &journal)?;
    let lines_file = File::options().read(true).write(true).open(&lines)?;
    let budget = unbounded();
    budget.count(length(&lines) + length(&journal));
    let [lines, journal] = stay_open([(lines, lines_file), (journal, journal_file)]);
    let claim = FileClaim::of_existing(budget, lines, journal).with_loss_policy(LossPolicy::Stop);
    Ok(RecoveredFile { found: recover(Arc::new(claim), None)? })
}

impl RecoveredFile {
    pub fn birth(&self) -> &Birth {
        &self.found.birth
    }

    /// Returns true if the files hold a whole collection, or pages that a crawl can resume after.
    pub fn is_usable(&self) -> bool {
        match &self.found.end {
            Some(seal) => matches!(seal, Seal::Complete(_)),
            None => !self.found.notes.is_empty(),
        }
    }

    /// Cuts off the lines after the last complete page: a file without its final name has had no reader.
    pub(in crate::snapshot) fn cut(mut self) -> io::Result<Recovered<LogStorage>> {
        self.found.storage.cut()?;
        Ok(self.found.map_storage(LogStorage::files))
    }
}

/// Renames a complete file to its final name, durably even after a power cut, and deletes the rest in this order.
pub fn commit(whole: &Path, to: &Path, rest: &[&Path]) -> io::Result<()> {
    File::open(whole)?.sync_all()?;
    fs::rename(whole, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    rest.iter().try_for_each(fs::remove_file)
}

/// Locks the journal for as long as the file is open. A process that has just committed has unlinked the file: a lock on an unlinked file
/// excludes no other process, so it counts as busy.
fn lock(journal: &File, path: &Path) -> io::Result<()> {
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing this file");
    journal.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    })?;
    let (ours, named) = (journal.metadata()?, fs::metadata(path).map_err(|_| busy())?);
    if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) { Ok(()) } else { Err(busy()) }
}

/// A file that was closed would lose its lock.
fn stay_open(files: [(PathBuf, File); 2]) -> [NamedFile; 2] {
    let open_files = OpenFiles::new(None);
    files.map(|(path, file)| NamedFile::pinned(path, file, &open_files))
}

fn unbounded() -> Arc<DiskBudget> {
    Arc::new(DiskBudget::new(u64::MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::value::RawValue;

    use super::*;
    use crate::batch::Batch;
    use crate::error::Fault;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::log::Writer;
    use crate::snapshot::store::{ReopenedSnapshot, ResumableLog, create_single_file};

    fn page(writer: &mut Writer, text: &'static str) {
        writer.append(Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64));
        writer.note(&RawValue::from_string(format!("{:?}", text.len())).unwrap());
    }

    fn verdict() -> Verdict {
        Verdict::in_test(3, 2)
    }

    /// Without a runtime the files are written at once.
    #[test]
    fn an_interrupted_file_is_resumed_and_gets_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let [lines, journal, to] = ["all.part", "all.journal", "all"].map(|name| folder.path().join(name));
        let (mut writer, log) = create_single_file(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
        page(&mut writer, "{\"a\":1}\n{\"a\":2}\n");
        writer.append(Batch::new(Bytes::from_static(b"{\"a\":3}\n"), 1));
        drop((writer, log));

        let ReopenedSnapshot { log, unfinished, birth, .. } =
            recover_single_file(lines.clone(), journal.clone()).unwrap().open().unwrap();
        assert_eq!(birth.facts, Birth::in_test("/orders").facts);
        let ResumableLog { mut writer, notes, last, records, .. } = unfinished.unwrap();
        assert_eq!((notes.len(), notes[0].get(), last.unwrap().as_slice(), records), (1, "16", &b"{\"a\":2}"[..], 2));
        page(&mut writer, "{\"a\":3}\n");
        writer.seal(Seal::Complete(verdict()));
        drop(log);

        let reopened = recover_single_file(lines.clone(), journal.clone()).unwrap().open().unwrap();
        assert!(matches!(reopened.log.extent().seal, Some(Seal::Complete(found)) if found == verdict()));
        assert!(reopened.unfinished.is_none());
        commit(&lines, &to, &[&journal]).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(recover_single_file(lines, journal), Err(ReopenError::Unknown)));
    }

    /// `/dev/full` is a disk without room.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_log_and_keeps_its_written_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [lines, journal] = ["all.part", "all.journal"].map(|name| folder.path().join(name));
        let (mut writer, log) = create_single_file(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
        page(&mut writer, "1\n2\n");
        drop((writer, log));
        let kept = fs::read(&lines).unwrap();

        fs::rename(&lines, folder.path().join("kept")).unwrap();
        let before = fs::read(&journal).unwrap();
        std::os::unix::fs::symlink("/dev/full", &lines).unwrap();
        let (mut writer, log) = create_single_file(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
        page(&mut writer, "1\n2\n");
        let Some(Seal::Failed(failure)) = log.extent().seal else { panic!("it goes on: {:?}", log.extent()) };
        assert_eq!((failure.fault, failure.message.contains("No space left")), (Fault::Stopped, true), "{failure}");
        page(&mut writer, "3\n");
        writer.seal(Seal::Complete(verdict()));
        assert_eq!((log.extent().visible, log.extent().bytes, log.bytes_in_memory()), (0, 0, 0));
        assert!(lines.exists() && journal.exists());
        drop(log);

        // With room again, the crawl resumes after the whole pages.
        fs::remove_file(&lines).unwrap();
        fs::rename(folder.path().join("kept"), &lines).unwrap();
        fs::write(&journal, before).unwrap();
        let ReopenedSnapshot { log, unfinished, .. } =
            recover_single_file(lines.clone(), journal).unwrap().open().unwrap();
        let mut writer = unfinished.unwrap().writer;
        page(&mut writer, "3\n");
        writer.seal(Seal::Complete(verdict()));
        assert!(matches!(log.extent().seal, Some(Seal::Complete(_))));
        assert_eq!((kept.as_slice(), fs::read(lines).unwrap().as_slice()), (&b"1\n2\n"[..], &b"1\n2\n3\n"[..]));
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [lines, journal] = ["all.part", "all.journal"].map(|name| folder.path().join(name));
        let begin = || create_single_file(lines.clone(), journal.clone(), &Birth::in_test("/orders"));
        let (mut writer, log) = begin().unwrap();
        page(&mut writer, "1\n2\n");
        let refused = [
            begin().unwrap_err().to_string(),
            recover_single_file(lines.clone(), journal.clone()).unwrap_err().to_string(),
        ];
        assert!(refused.iter().all(|text| text.contains("another process is writing")), "{refused:?}");
        drop((writer, log));
        assert_eq!(fs::read_to_string(&lines).unwrap(), "1\n2\n", "a refused one changes nothing");
        drop(begin().unwrap());
        assert_eq!(fs::read_to_string(&lines).unwrap(), "");
        // The journal is private; the lines are the caller's result.
        assert_eq!(fs::metadata(&journal).unwrap().mode() & 0o777, 0o600);
        let own = File::create(folder.path().join("own")).unwrap();
        assert_eq!(fs::metadata(&lines).unwrap().mode(), own.metadata().unwrap().mode());
    }
}
