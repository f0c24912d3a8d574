//! The folder of a process's snapshots: who may use it, what is in it, what doesn't belong there any more.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::disk::{Place, length};
use super::journal::{Journal, Unread};
use super::seal::Seal;
use super::store::{BadStore, Stored};
use crate::format::Format;
use crate::id::SnapshotId;

/// How many bytes the secret has.
pub(super) const SECRET: usize = 32;

const LINES: &str = Format::Ndjson.suffix();
const JOURNAL: &str = ".journal";

/// A folder that only this process uses, as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// What a folder has.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) stored: Vec<Stored>,
    /// Of all files of snapshots.
    pub(super) bytes: u64,
}

/// What a file's name says that it is.
enum Named {
    Lines(SnapshotId),
    Journal(SnapshotId),
    /// A secret that was never finished.
    Temporary,
}

/// What a journal says without its lines.
enum Known {
    Stored(Box<Stored>),
    /// Another version's, or can't be read now: it is left alone.
    Foreign,
    /// Nothing that could be read again, and why.
    Nothing(&'static str),
}

impl Folder {
    /// Makes the folder where there is none, and takes it.
    pub(super) fn open(path: &Path) -> Result<Self, BadStore> {
        let io = |error| BadStore::Io(path.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let metadata = fs::metadata(path).map_err(io)?;
        check(path, &metadata)?;
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!("other users may look into {}: snapshots want a folder of mode 0700", path.display());
        }
        let lock = private().create(true).truncate(false).open(path.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(BadStore::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// The folder's secret. What is new becomes it where there is none: at once and whole, or not at all.
    pub(super) fn secret(&self, new: [u8; SECRET]) -> io::Result<[u8; SECRET]> {
        let path = self.path.join("secret");
        let mut kept = Vec::new();
        match File::open(&path).and_then(|file| file.take(SECRET as u64 + 1).read_to_end(&mut kept)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Anything else than a whole one is what a power cut leaves: no name could be made of it again.
        if let Ok(kept) = kept.try_into() {
            return Ok(kept);
        }
        // Such a file is readable for its owner only.
        let mut file = tempfile::Builder::new().prefix("secret-").suffix(".tmp").tempfile_in(&self.path)?;
        file.write_all(&new)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(new)
    }

    pub(super) fn place(&self, id: SnapshotId) -> Place {
        Place { lines: self.path.join(format!("{id}{LINES}")), journal: self.path.join(format!("{id}{JOURNAL}")) }
    }

    /// Reads every journal, no lines, and deletes what a crash has left: lines without a journal, and what has no first line. What isn't named as
    /// snapshots are is not touched.
    pub(super) fn scan(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let mut discarded = BTreeMap::<_, usize>::new();
        for (id, journal) in self.names()? {
            let place = self.place(id);
            match journal.map_or(Known::Nothing("no journal"), |()| known(id, &place)) {
                Known::Nothing(why) => {
                    *discarded.entry(why).or_default() += 1;
                    clear(&place.journal);
                    clear(&place.lines);
                    continue;
                }
                Known::Stored(stored) => found.stored.push(*stored),
                Known::Foreign => {}
            }
            found.bytes += length(&place.journal) + length(&place.lines);
        }
        self.tell(&found.stored, &discarded);
        Ok(found)
    }

    fn tell(&self, stored: &[Stored], discarded: &BTreeMap<&str, usize>) {
        let unfinished = stored.iter().filter(|stored| stored.verdict.is_none()).count();
        let why: Vec<_> = discarded.iter().map(|(why, count)| format!("{count} with {why}")).collect();
        let (all, why) = (discarded.values().sum::<usize>(), why.join(", "));
        let why = if why.is_empty() { why } else { format!(" ({why})") };
        tracing::info!(
            "snapshots in {}: {} found, {unfinished} of them unfinished; {all} thrown away{why}",
            self.path.display(),
            stored.len()
        );
    }

    /// The snapshots that have a file, and whether they have a journal.
    fn names(&self) -> io::Result<BTreeMap<SnapshotId, Option<()>>> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            match entry.file_name().to_str().and_then(Named::read) {
                Some(Named::Temporary) => clear(&entry.path()),
                Some(Named::Journal(id)) => drop(names.insert(id, Some(()))),
                Some(Named::Lines(id)) => drop(names.entry(id).or_insert(None)),
                None => {}
            }
        }
        Ok(names)
    }
}

impl Named {
    fn read(name: &str) -> Option<Self> {
        let lines = name.strip_suffix(LINES).map(|id| id.parse().map(Self::Lines));
        let journal = || name.strip_suffix(JOURNAL).map(|id| id.parse().map(Self::Journal));
        let temporary = || (name.starts_with("secret-") && name.ends_with(".tmp")).then_some(Ok(Self::Temporary));
        lines.or_else(journal).or_else(temporary)?.ok()
    }
}

/// How a snapshot's files are opened: to read and write, for their owner only.
pub(super) fn private() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// Others who could write to the folder could put into it what this process then serves.
fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), BadStore> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(BadStore::Foreign(path.to_owned()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(BadStore::Open(path.to_owned()));
    }
    Ok(())
}

fn known(id: SnapshotId, place: &Place) -> Known {
    let text = match fs::read(&place.journal) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(%id, %error, "a snapshot's journal can't be read");
            return Known::Foreign;
        }
    };
    let journal = match Journal::read(&text) {
        Ok(journal) if journal.id == Some(id) => journal,
        Ok(_) => return Known::Nothing("the journal of another"),
        Err(Unread::NoBirth) => return Known::Nothing("a journal without a beginning"),
        Err(error @ Unread::Newer(_)) => {
            tracing::warn!(%id, "a snapshot is left alone: {error}");
            return Known::Foreign;
        }
    };
    match fs::metadata(&place.lines) {
        Ok(lines) => {
            let modified = modified(&lines, fs::metadata(&place.journal).ok().as_ref());
            Known::Stored(Box::new(stored(id, journal, lines.len(), modified)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Known::Nothing("no lines"),
        Err(error) => {
            tracing::warn!(%id, %error, "a snapshot's lines can't be read");
            Known::Foreign
        }
    }
}

/// What the journal says, as far as there are lines for it.
fn stored(id: SnapshotId, mut journal: Journal<'_>, length: u64, modified: SystemTime) -> Stored {
    if journal.end.is_none() {
        let whole = journal.pages.partition_point(|page| page.stretch.bytes <= length);
        journal.pages.truncate(whole);
    }
    let (bytes, records) = journal.extent();
    let pages = journal.pages.len() as u64;
    match journal.end.map(|end| (end.stretch.bytes, end.seal)) {
        Some((bytes, Seal::Complete(verdict))) => {
            let (records, pages) = (verdict.records, verdict.pages);
            Stored { id, birth: journal.birth, bytes, records, pages, verdict: Some(verdict), modified }
        }
        _ => Stored { id, birth: journal.birth, bytes, records, pages, verdict: None, modified },
    }
}

/// When one of a snapshot's files was written to last.
pub(super) fn modified(lines: &fs::Metadata, journal: Option<&fs::Metadata>) -> SystemTime {
    let times = [lines.modified().ok(), journal.and_then(|journal| journal.modified().ok())];
    times.into_iter().flatten().max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn clear(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => tracing::info!(path = %path.display(), "a file that nobody needs was deleted"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "a file that nobody needs can't be deleted"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::journal::{Line, Mark};
    use super::*;
    use crate::snapshot::{Birth, Verdict};

    const ID: SnapshotId = SnapshotId::from_bytes([0xab; 16]);

    fn complete_journal(id: SnapshotId, bytes: u64) -> String {
        let verdict = Verdict { records: 9, pages: 2, proof: "an empty page".to_owned() };
        let (birth, mark) = Mark::birth(Some(id), &Birth::in_test("/orders"));
        birth + &mark.line(&Line::Complete { bytes, hash: 0, verdict: std::borrow::Cow::Owned(verdict) }).0
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_has_one_user_at_a_time_and_nobody_else_can_read_it() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let folder = Folder::open(&path).unwrap();
        folder.secret([1; SECRET]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let modes = [path.clone(), path.join("lock"), path.join("secret")].map(|path| mode(&path));
        assert_eq!(modes, [0o700, 0o600, 0o600]);
        assert!(matches!(Folder::open(&path), Err(BadStore::Locked(_))));
        drop(folder);
        assert_eq!(Folder::open(&path).unwrap().secret([2; SECRET]).unwrap(), [1; SECRET]);
    }

    #[test]
    fn a_secret_that_is_not_whole_is_made_anew() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(&above.path().join("a")).unwrap();
        for torn in [0, SECRET - 1, SECRET + 1] {
            fs::write(folder.path.join("secret"), vec![1; torn]).unwrap();
            assert_eq!(folder.secret([2; SECRET]).unwrap(), [2; SECRET]);
            assert_eq!(folder.secret([3; SECRET]).unwrap(), [2; SECRET]);
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
        assert!(matches!(error, BadStore::Foreign(_)), "{error}");
    }

    #[test]
    fn a_start_deletes_what_a_crash_left_and_nothing_else() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(&above.path().join("a")).unwrap();
        folder.secret([1; SECRET]).unwrap();
        let ids = [1, 2, 3, 4, 5, 6].map(|byte| SnapshotId::from_bytes([byte; 16]));
        let [lines_only, torn, whole, newer, other, journal_only] = ids;
        let write = |path: PathBuf, text: &str| fs::write(path, text).unwrap();
        for id in [lines_only, torn, whole, newer, other] {
            write(folder.place(id).lines, "12345");
        }
        write(folder.place(torn).journal, &complete_journal(torn, 5)[..40]);
        write(folder.place(whole).journal, &complete_journal(whole, 5));
        write(folder.place(newer).journal, &Mark::of_version(2));
        write(folder.place(other).journal, &complete_journal(whole, 5));
        write(folder.place(journal_only).journal, &complete_journal(journal_only, 5));
        write(folder.path.join("secret-1x.tmp"), "");
        let others = ["notes.txt", "01.ndjson", "orders.journal", &format!("{ID}.ndjson.gz")];
        others.into_iter().for_each(|name| write(folder.path.join(name), "mine"));
        fs::create_dir(folder.place(ID).lines).unwrap();

        let found = folder.scan().unwrap();
        let [stored] = &found.stored[..] else { panic!("{found:?}") };
        assert_eq!((stored.id, stored.bytes, stored.records, stored.pages), (whole, 5, 9, 2));
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let kept = [whole, newer].map(|id| folder.place(id));
        let bytes: u64 = kept.iter().map(|place| length(&place.lines) + length(&place.journal)).sum();
        assert_eq!(found.bytes, bytes);
        let mut expected: Vec<_> =
            kept.into_iter().flat_map(|place| [name(place.lines), name(place.journal)]).collect();
        expected.extend(others.map(ToOwned::to_owned));
        expected.extend(["lock", "secret", &name(folder.place(ID).lines)].map(ToOwned::to_owned));
        expected.sort();
        assert_eq!(names(&folder.path), expected);
    }

    /// Reading these lines would take hours, and has nothing to read.
    #[test]
    fn a_start_reads_no_lines() {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::open(above.path()).unwrap();
        let (place, bytes) = (folder.place(ID), 1 << 40);
        File::create(&place.lines).unwrap().set_len(bytes).unwrap();
        fs::write(&place.journal, complete_journal(ID, bytes)).unwrap();
        let found = folder.scan().unwrap();
        assert_eq!((found.stored.len(), found.stored[0].bytes), (1, bytes));
        assert!(found.stored[0].verdict.is_some() && found.bytes > bytes);
    }
}
