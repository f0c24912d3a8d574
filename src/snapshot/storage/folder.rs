//! Folder of a process's snapshots: its lock, its secret, and its contents at the start.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::contents::{SECRET_LEN, StoredSnapshot};
use super::error::StoreError;
use super::file_io::{length, modified, private};
use super::journal::{Journal, JournalError};
use crate::format::ndjson;
use crate::id::SnapshotId;
use crate::snapshot::seal::Seal;

const LINES: &str = ndjson::SUFFIX;
const JOURNAL: &str = ".journal";

/// Beginning of the names of files that were made of snapshots.
pub(super) const DERIVED: &str = "derived-";

/// Folder that is locked for this process, by the file that [`Folder::open`] returns.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// Paths of a snapshot's two files.
#[derive(Debug)]
pub(super) struct FilePaths {
    pub(super) lines: PathBuf,
    pub(super) journal: PathBuf,
}

#[derive(Debug, Default)]
pub(super) struct FolderContents {
    pub(super) stored: Vec<StoredSnapshot>,
    /// Number of bytes of all files of snapshots.
    pub(super) bytes: u64,
}

/// Kind of a file, from its name.
enum FileKind {
    Lines(SnapshotId),
    Journal(SnapshotId),
    /// Unfinished file of a secret or of the sessions, or one that was made of a snapshot.
    Temporary,
}

/// State of a snapshot, from its journal and the length of its lines.
enum JournalStatus {
    Stored(Box<StoredSnapshot>),
    /// Written by another version, or not readable now. It is left alone.
    Foreign,
    /// Not readable ever again, for this reason.
    Nothing(&'static str),
}

impl Folder {
    /// Creates the folder if it does not exist, and locks it.
    pub(super) fn open(path: &Path) -> Result<(Self, File), StoreError> {
        let io = |error| StoreError::Io(path.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let metadata = fs::metadata(path).map_err(io)?;
        check(path, &metadata)?;
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!("other users may read {}: snapshots need a folder of mode 0700", path.display());
        }
        let lock = private().create(true).truncate(false).open(path.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok((Self { path: path.to_owned() }, lock)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// Returns the folder's secret. `new` becomes the secret of a folder without one, in one atomic step.
    pub(super) fn secret(&self, new: [u8; SECRET_LEN]) -> io::Result<[u8; SECRET_LEN]> {
        let path = self.path.join("secret");
        let mut kept = Vec::new();
        match File::open(&path).and_then(|file| file.take(SECRET_LEN as u64 + 1).read_to_end(&mut kept)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A secret of another length is left by a power cut: keys that were made with it are lost in any case.
        if let Ok(kept) = kept.try_into() {
            return Ok(kept);
        }
        // Only its owner can read such a file.
        let mut file = tempfile::Builder::new().prefix("secret-").suffix(".tmp").tempfile_in(&self.path)?;
        file.write_all(&new)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(new)
    }

    pub(super) fn sessions(&self) -> PathBuf {
        self.path.join("sessions")
    }

    pub(super) fn paths(&self, id: SnapshotId) -> FilePaths {
        FilePaths { lines: self.path.join(format!("{id}{LINES}")), journal: self.path.join(format!("{id}{JOURNAL}")) }
    }

    /// Reads all journals, but no lines. Deletes the leftovers of a crash: lines without a journal, journals without lines or a first line, and
    /// temporary files. Files that are not named as those of snapshots are not touched.
    pub(super) fn scan(&self) -> io::Result<FolderContents> {
        let mut found = FolderContents::default();
        let mut discarded = BTreeMap::<_, usize>::new();
        for (id, journal) in self.names()? {
            let paths = self.paths(id);
            match journal.map_or(JournalStatus::Nothing("no journal"), |()| known(id, &paths)) {
                JournalStatus::Nothing(why) => {
                    *discarded.entry(why).or_default() += 1;
                    clear(&paths.journal);
                    clear(&paths.lines);
                    continue;
                }
                JournalStatus::Stored(stored) => found.stored.push(*stored),
                JournalStatus::Foreign => {}
            }
            found.bytes += length(&paths.journal) + length(&paths.lines);
        }
        self.log_contents(&found.stored, &discarded);
        self.correct_future(&mut found.stored);
        Ok(found)
    }

    fn log_contents(&self, stored: &[StoredSnapshot], discarded: &BTreeMap<&str, usize>) {
        let unfinished = stored.iter().filter(|stored| stored.verdict.is_none()).count();
        let why: Vec<_> = discarded.iter().map(|(why, count)| format!("{count} with {why}")).collect();
        let (all, why) = (discarded.values().sum::<usize>(), why.join(", "));
        let why = if why.is_empty() { why } else { format!(" ({why})") };
        tracing::info!(
            "snapshots in {}: {} found, {unfinished} of them unfinished; {all} discarded{why}",
            self.path.display(),
            stored.len()
        );
    }

    /// Dates snapshots now, and their files, which a clock that was ahead has dated: they would be fresh until that time, or after each start.
    fn correct_future(&self, stored: &mut [StoredSnapshot]) {
        let now = SystemTime::now();
        let mut ahead = 0;
        for stored in stored.iter_mut().filter(|stored| stored.modified > now) {
            stored.modified = now;
            ahead += 1;
            let paths = self.paths(stored.id);
            for path in [paths.lines, paths.journal] {
                if let Err(error) = private().open(&path).and_then(|file| file.set_modified(now)) {
                    tracing::warn!(path = %path.display(), %error, "a file that is dated in the future can't be dated now");
                }
            }
        }
        if ahead > 0 {
            tracing::warn!(
                "snapshots in {}: {ahead} dated in the future, which count as written now; check this machine's clock",
                self.path.display()
            );
        }
    }

    /// Returns the ids of all snapshots that have a file; `Some` for those with a journal.
    fn names(&self) -> io::Result<BTreeMap<SnapshotId, Option<()>>> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            match entry.file_name().to_str().and_then(FileKind::read) {
                Some(FileKind::Temporary) => clear(&entry.path()),
                Some(FileKind::Journal(id)) => drop(names.insert(id, Some(()))),
                Some(FileKind::Lines(id)) => drop(names.entry(id).or_insert(None)),
                None => {}
            }
        }
        Ok(names)
    }
}

impl FileKind {
    fn read(name: &str) -> Option<Self> {
        let lines = name.strip_suffix(LINES).map(|id| id.parse().map(Self::Lines));
        let journal = || name.strip_suffix(JOURNAL).map(|id| id.parse().map(Self::Journal));
        let temporary = || {
            (["secret-", "sessions-", DERIVED].iter().any(|start| name.starts_with(start)) && name.ends_with(".tmp"))
                .then_some(Ok(Self::Temporary))
        };
        lines.or_else(journal).or_else(temporary)?.ok()
    }
}

/// Refuses a folder that other users can write to: they could add snapshots that this process then serves.
fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(StoreError::Open(path.to_owned()));
    }
    Ok(())
}

fn known(id: SnapshotId, paths: &FilePaths) -> JournalStatus {
    let text = match fs::read(&paths.journal) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(%id, %error, "a snapshot's journal can't be read");
            return JournalStatus::Foreign;
        }
    };
    let journal = match Journal::read(&text) {
        Ok(journal) if journal.id == Some(id) => journal,
        Ok(_) => return JournalStatus::Nothing("the journal of another"),
        Err(JournalError::NoBirth) => return JournalStatus::Nothing("a journal without a beginning"),
        Err(error @ JournalError::Newer(_)) => {
            tracing::warn!(%id, "a snapshot is left alone: {error}");
            return JournalStatus::Foreign;
        }
    };
    match fs::metadata(&paths.lines) {
        Ok(lines) => {
            let modified = modified(&lines, fs::metadata(&paths.journal).ok().as_ref());
            JournalStatus::Stored(Box::new(stored(id, journal, lines.len(), modified)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => JournalStatus::Nothing("no lines"),
        Err(error) => {
            tracing::warn!(%id, %error, "a snapshot's lines can't be read");
            JournalStatus::Foreign
        }
    }
}

/// Describes a snapshot from its journal, up to the last page whose lines are there.
fn stored(id: SnapshotId, mut journal: Journal<'_>, length: u64, modified: SystemTime) -> StoredSnapshot {
    if journal.end.is_none() {
        let whole = journal.pages.partition_point(|page| page.extent.bytes <= length);
        journal.pages.truncate(whole);
    }
    let (bytes, records) = journal.extent();
    let pages = journal.pages.len() as u64;
    match journal.end.map(|end| (end.extent.bytes, end.seal)) {
        Some((bytes, Seal::Complete(verdict))) => {
            let (records, pages) = (verdict.records, verdict.pages);
            StoredSnapshot { id, birth: journal.birth, bytes, records, pages, verdict: Some(verdict), modified }
        }
        _ => StoredSnapshot { id, birth: journal.birth, bytes, records, pages, verdict: None, modified },
    }
}

fn clear(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => tracing::info!(path = %path.display(), "an unused file was deleted"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "an unused file can't be deleted"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::journal::{JournalLine, JournalPosition};
    use super::*;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::facts::Birth;

    const ID: SnapshotId = SnapshotId::from_bytes([0xab; 16]);

    fn complete_journal(id: SnapshotId, bytes: u64) -> String {
        let verdict = Verdict::in_test(9, 2);
        let (birth, mark) = JournalPosition::birth(Some(id), &Birth::in_test("/orders"));
        birth + &mark.line(&JournalLine::Complete { bytes, hash: 0, verdict: std::borrow::Cow::Owned(verdict) }).0
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_has_one_process_at_a_time_and_is_private() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let (folder, lock) = Folder::open(&path).unwrap();
        folder.secret([1; SECRET_LEN]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let modes = [path.clone(), path.join("lock"), path.join("secret")].map(|path| mode(&path));
        assert_eq!(modes, [0o700, 0o600, 0o600]);
        assert!(matches!(Folder::open(&path), Err(StoreError::Locked(_))));
        drop(lock);
        assert_eq!(Folder::open(&path).unwrap().0.secret([2; SECRET_LEN]).unwrap(), [1; SECRET_LEN]);
    }

    #[test]
    fn a_secret_that_is_not_whole_is_made_anew() {
        let above = tempfile::tempdir().unwrap();
        let (folder, _lock) = Folder::open(&above.path().join("a")).unwrap();
        for torn in [0, SECRET_LEN - 1, SECRET_LEN + 1] {
            fs::write(folder.path.join("secret"), vec![1; torn]).unwrap();
            assert_eq!(folder.secret([2; SECRET_LEN]).unwrap(), [2; SECRET_LEN]);
            assert_eq!(folder.secret([3; SECRET_LEN]).unwrap(), [2; SECRET_LEN]);
        }
        assert_eq!(names(&folder.path), ["lock", "secret"]);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let above = tempfile::tempdir().unwrap();
        for (mode, is_good) in [(0o700, true), (0o755, true), (0o720, false), (0o702, false), (0o777, false)] {
            fs::set_permissions(above.path(), PermissionsExt::from_mode(mode)).unwrap();
            let opened = Folder::open(above.path());
            assert_eq!(opened.is_ok(), is_good, "{mode:o}: {opened:?}");
            assert!(is_good || opened.is_err_and(|error| error.to_string().contains("mode 0700")));
        }
    }

    #[test]
    fn another_users_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // Only root may give a folder away, and only root has `/` for its own.
        let path = match std::os::unix::fs::chown(folder.path(), Some(1), None) {
            Ok(()) => folder.path(),
            Err(_) => Path::new("/"),
        };
        let error = check(path, &fs::metadata(path).unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Foreign(_)), "{error}");
    }

    #[test]
    fn a_start_deletes_what_a_crash_left_and_nothing_else() {
        let above = tempfile::tempdir().unwrap();
        let (folder, _lock) = Folder::open(&above.path().join("a")).unwrap();
        folder.secret([1; SECRET_LEN]).unwrap();
        let ids = [1, 2, 3, 4, 5, 6].map(|byte| SnapshotId::from_bytes([byte; 16]));
        let [lines_only, torn, whole, newer, other, journal_only] = ids;
        let write = |path: PathBuf, text: &str| fs::write(path, text).unwrap();
        for id in [lines_only, torn, whole, newer, other] {
            write(folder.paths(id).lines, "12345");
        }
        write(folder.paths(torn).journal, &complete_journal(torn, 5)[..40]);
        write(folder.paths(whole).journal, &complete_journal(whole, 5));
        write(folder.paths(newer).journal, &JournalPosition::of_version(2));
        write(folder.paths(other).journal, &complete_journal(whole, 5));
        write(folder.paths(journal_only).journal, &complete_journal(journal_only, 5));
        write(folder.path.join("secret-1x.tmp"), "");
        let others = ["notes.txt", "01.ndjson", "orders.journal", &format!("{ID}.ndjson.gz")];
        others.into_iter().for_each(|name| write(folder.path.join(name), "mine"));
        fs::create_dir(folder.paths(ID).lines).unwrap();

        let found = folder.scan().unwrap();
        let [stored] = &found.stored[..] else { panic!("{found:?}") };
        assert_eq!((stored.id, stored.bytes, stored.records, stored.pages), (whole, 5, 9, 2));
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let kept = [whole, newer].map(|id| folder.paths(id));
        let bytes: u64 = kept.iter().map(|paths| length(&paths.lines) + length(&paths.journal)).sum();
        assert_eq!(found.bytes, bytes);
        let mut expected: Vec<_> =
            kept.into_iter().flat_map(|paths| [name(paths.lines), name(paths.journal)]).collect();
        expected.extend(others.map(ToOwned::to_owned));
        expected.extend(["lock", "secret", &name(folder.paths(ID).lines)].map(ToOwned::to_owned));
        expected.sort();
        assert_eq!(names(&folder.path), expected);
    }

    /// The file of lines is sparse: reading it would take hours.
    #[test]
    fn a_start_reads_no_lines() {
        let above = tempfile::tempdir().unwrap();
        let (folder, _lock) = Folder::open(above.path()).unwrap();
        let (paths, bytes) = (folder.paths(ID), 1 << 40);
        File::create(&paths.lines).unwrap().set_len(bytes).unwrap();
        fs::write(&paths.journal, complete_journal(ID, bytes)).unwrap();
        let found = folder.scan().unwrap();
        assert_eq!((found.stored.len(), found.stored[0].bytes), (1, bytes));
        assert!(found.stored[0].verdict.is_some() && found.bytes > bytes);
    }
}
