//! A snapshot in two files of the caller's own, outside of any folder of snapshots.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Claim, Disk, Place, length};
use super::files::{Files, Unwritten};
use super::folder::private;
use super::log::{self, Log, Memory, Writer};
use super::recovery::recover;
use super::store::{Birth, Reopened, Unusable};
use crate::config::SlowReader;

/// How many bytes wait in memory for the file at most, or were written and are kept for who reads at once.
const MEMORY: u64 = 8 << 20;

/// Begins anew with these two files, whatever they had. The lines get the permissions that the caller's new files get.
pub fn at(lines: PathBuf, journal: PathBuf, birth: &Birth) -> io::Result<(Writer, Log)> {
    let journal_file = private().create(true).truncate(false).open(&journal)?;
    // Nothing may be cut before nobody else writes there.
    lock(&journal_file, &journal)?;
    journal_file.set_len(0)?;
    let lines_file = File::options().read(true).write(true).create(true).truncate(true).open(&lines)?;
    let claim = Claim::new(unbounded(), Place { lines, journal }).or_stop();
    let files = Files::begin(lines_file, journal_file, Arc::new(claim), None, birth).map_err(|error| match error {
        Unwritten::Io(error) => error,
        other => io::Error::other(other),
    })?;
    Ok(log::kept(Arc::new(files), &Memory::new(MEMORY), SlowReader::Wait, Duration::ZERO))
}

/// Reads such files again, which nobody may have open any more: the log before must be dropped. Blocks: all of their bytes are checked.
pub fn reopen_at(lines: PathBuf, journal: PathBuf) -> Result<Reopened, Unusable> {
    let journal_file = private().open(&journal)?;
    lock(&journal_file, &journal)?;
    let lines_file = File::options().read(true).write(true).open(&lines)?;
    let disk = unbounded();
    disk.count(length(&lines) + length(&journal));
    let claim = Claim::counted(disk, Place { lines, journal }).or_stop();
    let mut recovered = recover(lines_file, journal_file, Arc::new(claim), None)?;
    // A file that has no name yet was given to nobody.
    recovered.files.cut()?;
    recovered.reopen(&Memory::new(MEMORY), SlowReader::Wait, Duration::ZERO)
}

/// Gives complete lines their own name, which then has all of them even after a power cut, and deletes their journal.
pub fn finish(lines: &Path, journal: &Path, to: &Path) -> io::Result<()> {
    File::open(lines)?.sync_all()?;
    fs::rename(lines, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    fs::remove_file(journal)
}

/// The lock is the file's as long as it is open. Who has finished it meanwhile has taken its name away: a lock on what has none holds nobody off.
fn lock(journal: &File, path: &Path) -> io::Result<()> {
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing this file");
    journal.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    })?;
    let (ours, named) = (journal.metadata()?, fs::metadata(path).map_err(|_| busy())?);
    if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) { Ok(()) } else { Err(busy()) }
}

fn unbounded() -> Arc<Disk> {
    Arc::new(Disk::new(u64::MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::value::RawValue;

    use super::*;
    use crate::batch::Batch;
    use crate::error::Fault;
    use crate::snapshot::{Seal, Unfinished, Verdict};

    fn page(writer: &mut Writer, text: &'static str) {
        writer.append(Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64));
        writer.note(&RawValue::from_string(format!("{:?}", text.len())).unwrap());
    }

    fn verdict() -> Verdict {
        Verdict { records: 3, pages: 2, proof: "no next address".to_owned() }
    }

    /// Without a runtime the files are written at once.
    #[test]
    fn an_interrupted_file_is_gone_on_with_and_gets_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let [lines, journal, to] = ["all.part", "all.journal", "all"].map(|name| folder.path().join(name));
        let (mut writer, log) = at(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
        page(&mut writer, "{\"a\":1}\n{\"a\":2}\n");
        writer.append(Batch::new(Bytes::from_static(b"{\"a\":3}\n"), 1));
        drop((writer, log));

        let Reopened { log, unfinished, birth, .. } = reopen_at(lines.clone(), journal.clone()).unwrap();
        assert_eq!(birth.facts, Birth::in_test("/orders").facts);
        let Unfinished { mut writer, notes, last, records } = unfinished.unwrap();
        assert_eq!((notes.len(), notes[0].get(), last.unwrap().as_slice(), records), (1, "16", &b"{\"a\":2}"[..], 2));
        page(&mut writer, "{\"a\":3}\n");
        writer.seal(Seal::Complete(verdict()));
        drop(log);

        let reopened = reopen_at(lines.clone(), journal.clone()).unwrap();
        assert!(matches!(reopened.log.extent().seal, Some(Seal::Complete(found)) if found == verdict()));
        assert!(reopened.unfinished.is_none());
        finish(&lines, &journal, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(reopen_at(lines, journal), Err(Unusable::Unknown)));
    }

    /// `/dev/full` is a disk without room.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_it_and_takes_nothing_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let [lines, journal] = ["all.part", "all.journal"].map(|name| folder.path().join(name));
        let (mut writer, log) = at(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
        page(&mut writer, "1\n2\n");
        drop((writer, log));
        let kept = fs::read(&lines).unwrap();

        fs::rename(&lines, folder.path().join("kept")).unwrap();
        let before = fs::read(&journal).unwrap();
        std::os::unix::fs::symlink("/dev/full", &lines).unwrap();
        let (mut writer, log) = at(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
        page(&mut writer, "1\n2\n");
        let Some(Seal::Failed(failure)) = log.extent().seal else { panic!("it goes on: {:?}", log.extent()) };
        assert_eq!((failure.fault, failure.message.contains("No space left")), (Fault::Stopped, true), "{failure}");
        page(&mut writer, "3\n");
        writer.seal(Seal::Complete(verdict()));
        assert_eq!((log.extent().visible, log.extent().bytes, log.in_memory()), (0, 0, 0));
        assert!(lines.exists() && journal.exists());
        drop(log);

        // With room again the whole pages are what it goes on behind.
        fs::remove_file(&lines).unwrap();
        fs::rename(folder.path().join("kept"), &lines).unwrap();
        fs::write(&journal, before).unwrap();
        let Reopened { log, unfinished, .. } = reopen_at(lines.clone(), journal).unwrap();
        let mut writer = unfinished.unwrap().writer;
        page(&mut writer, "3\n");
        writer.seal(Seal::Complete(verdict()));
        assert!(matches!(log.extent().seal, Some(Seal::Complete(_))));
        assert_eq!((kept.as_slice(), fs::read(lines).unwrap().as_slice()), (&b"1\n2\n"[..], &b"1\n2\n3\n"[..]));
    }

    #[test]
    fn two_at_a_time_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [lines, journal] = ["all.part", "all.journal"].map(|name| folder.path().join(name));
        let begin = || at(lines.clone(), journal.clone(), &Birth::in_test("/orders"));
        let (mut writer, log) = begin().unwrap();
        page(&mut writer, "1\n2\n");
        let refused =
            [begin().unwrap_err().to_string(), reopen_at(lines.clone(), journal.clone()).unwrap_err().to_string()];
        assert!(refused.iter().all(|text| text.contains("another process is writing")), "{refused:?}");
        drop((writer, log));
        assert_eq!(fs::read_to_string(&lines).unwrap(), "1\n2\n", "a refused one changes nothing");
        drop(begin().unwrap());
        assert_eq!(fs::read_to_string(&lines).unwrap(), "");
        // Notes are nobody else's; the lines are what the caller wants to have.
        assert_eq!(fs::metadata(&journal).unwrap().mode() & 0o777, 0o600);
        let own = File::create(folder.path().join("own")).unwrap();
        assert_eq!(fs::metadata(&lines).unwrap().mode(), own.metadata().unwrap().mode());
    }
}
