//! Open files of snapshots. The least recently used are closed, so that descriptors remain for connections, and opened again by their name.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio_util::task::TaskTracker;

use super::file_io::private;

/// Part of the process's descriptors that snapshots may have: one in this many. The others are for clients, upstreams and spool files.
const SHARE: u64 = 4;

/// Largest number of files that stay open. To open one again costs microseconds, and so does the search among more than these.
const MOST: u64 = 1024;

/// Files that are open at the moment. A running write or read of a file that is closed meanwhile goes on.
#[derive(Debug)]
pub(super) struct OpenFiles {
    most: usize,
    table: Mutex<OpenTable>,
    /// Tasks that write files.
    writes: TaskTracker,
    /// Lock of the folder: as long as it is held, no other process gives the names to other files.
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct OpenTable {
    files: HashMap<u64, OpenFile>,
    /// Number of uses and of names so far.
    clock: u64,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    used: u64,
}

/// File of a snapshot, which is opened when it is used.
#[derive(Debug)]
pub(super) struct NamedFile {
    path: PathBuf,
    /// Number of this name among the open files.
    number: u64,
    open_files: Arc<OpenFiles>,
    /// Set when the file is opened for the first time: the name must stand for the same file ever after.
    identity: OnceLock<FileIdentity>,
    /// File that stays open, since it is locked or its name is to be deleted.
    pinned: OnceLock<Arc<File>>,
}

/// Identity of a file. An inode's number is used again after a deletion, the time of creation is not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl OpenFiles {
    /// Creates the table for a folder with this lock; its size is a share of the process's limit on descriptors.
    pub(super) fn new(lock: Option<File>) -> Arc<Self> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = (limit / SHARE).clamp(1, MOST);
        Self::with_limit(usize::try_from(most).unwrap_or(usize::MAX), lock)
    }

    fn with_limit(most: usize, lock: Option<File>) -> Arc<Self> {
        Arc::new(Self { most, table: Mutex::default(), writes: TaskTracker::new(), _lock: lock })
    }

    pub(super) fn writes(&self) -> &TaskTracker {
        &self.writes
    }

    fn get(&self, number: u64) -> Option<Arc<File>> {
        let mut table = self.table.lock();
        table.clock += 1;
        let OpenTable { files, clock } = &mut *table;
        let open = files.get_mut(&number)?;
        open.used = *clock;
        Some(Arc::clone(&open.file))
    }

    fn insert(&self, number: u64, file: &Arc<File>) {
        let mut table = self.table.lock();
        let used = table.clock;
        table.files.insert(number, OpenFile { file: Arc::clone(file), used });
        let excess = table.files.len().saturating_sub(self.most);
        let closed: Vec<_> = (0..excess).filter_map(|_| table.take_oldest()).collect();
        // To close a file may wait for the disk.
        drop(table);
        drop(closed);
    }

    /// Runs an operation that needs descriptors. Where the process has none left, snapshots give theirs back.
    fn with_descriptors<T>(&self, operation: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            match operation() {
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                    let Some(oldest) = self.table.lock().take_oldest() else { return Err(error) };
                    drop(oldest);
                }
                result => return result,
            }
        }
    }
}

impl OpenTable {
    fn take_oldest(&mut self) -> Option<OpenFile> {
        let oldest = self.files.iter().min_by_key(|(_, open)| open.used).map(|(number, _)| *number)?;
        self.files.remove(&oldest)
    }
}

impl NamedFile {
    pub(super) fn new(path: PathBuf, open_files: &Arc<OpenFiles>) -> Self {
        let mut table = open_files.table.lock();
        table.clock += 1;
        let number = table.clock;
        drop(table);
        let (identity, pinned) = (OnceLock::new(), OnceLock::new());
        Self { path, number, open_files: Arc::clone(open_files), identity, pinned }
    }

    /// Creates the name of a file that stays open.
    pub(super) fn pinned(path: PathBuf, file: File, open_files: &Arc<OpenFiles>) -> Self {
        let name = Self::new(path, open_files);
        name.pinned.get_or_init(|| Arc::new(file));
        name
    }

    pub(super) fn open_files(&self) -> &Arc<OpenFiles> {
        &self.open_files
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn create(&self) -> io::Result<Arc<File>> {
        self.open_with(private().create_new(true))
    }

    /// Returns the file, which it may have to open: that may wait for the disk. Fails if the name stands for another file by now.
    pub(super) fn open(&self) -> io::Result<Arc<File>> {
        if let Some(file) = self.if_open() {
            return Ok(file);
        }
        // A name that is gone by now is that of a file that has been pinned meanwhile.
        self.open_with(&private()).or_else(|error| self.pinned.get().cloned().ok_or(error))
    }

    pub(super) fn if_open(&self) -> Option<Arc<File>> {
        self.pinned.get().cloned().or_else(|| self.open_files.get(self.number))
    }

    /// Keeps the file open from now on.
    pub(super) fn pin(&self) -> io::Result<()> {
        let file = self.open()?;
        self.pinned.get_or_init(|| file);
        self.close();
        Ok(())
    }

    /// Closes the file until it is used again.
    pub(super) fn close(&self) {
        let closed = self.open_files.table.lock().files.remove(&self.number);
        drop(closed);
    }

    fn open_with(&self, options: &OpenOptions) -> io::Result<Arc<File>> {
        let file = self.open_files.with_descriptors(|| options.open(&self.path))?;
        let identity = FileIdentity::of(&file.metadata()?);
        if *self.identity.get_or_init(|| identity.clone()) != identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file has its name by now"));
        }
        let file = Arc::new(file);
        self.open_files.insert(self.number, &file);
        Ok(file)
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        self.close();
    }
}

impl FileIdentity {
    fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino(), created: file.created().ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::file_io::read_some;
    use super::*;

    fn open(open_files: &Arc<OpenFiles>) -> Vec<u64> {
        let mut open: Vec<_> = open_files.table.lock().files.keys().copied().collect();
        open.sort_unstable();
        open
    }

    #[test]
    fn the_least_recently_used_file_is_closed_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let open_files = OpenFiles::with_limit(2, None);
        let files = ["a", "b", "c"].map(|name| NamedFile::new(folder.path().join(name), &open_files));
        for file in &files {
            fs::write(file.path(), file.path().file_name().unwrap().as_encoded_bytes()).unwrap();
            file.open().unwrap();
        }
        let [a, b, c] = &files;
        assert!(a.if_open().is_none());
        assert!(b.if_open().is_some());
        assert_eq!(read_some(&a.open().unwrap(), 0, 9).unwrap(), "a");
        assert!(c.if_open().is_none());
        assert_eq!(open(&open_files), [a.number, b.number]);
        drop(files);
        assert!(open(&open_files).is_empty());
    }

    #[test]
    fn another_file_with_the_same_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open_files = OpenFiles::with_limit(9, None);
        let file = NamedFile::new(folder.path().join("a"), &open_files);
        drop(file.create().unwrap());
        file.close();
        assert_eq!(file.create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.open().unwrap();
        file.close();
        // Its inode's number may be that of the deleted one.
        fs::remove_file(file.path()).unwrap();
        assert_eq!(file.open().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(file.path(), "another's").unwrap();
        assert!(file.open().unwrap_err().to_string().contains("another file"));
    }

    #[test]
    fn a_pinned_file_outlives_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let open_files = OpenFiles::with_limit(1, None);
        let [first, second] = ["a", "b"].map(|name| NamedFile::new(folder.path().join(name), &open_files));
        fs::write(first.path(), "a").unwrap();
        first.pin().unwrap();
        fs::remove_file(first.path()).unwrap();
        drop(second.create().unwrap());
        assert_eq!(read_some(&first.open().unwrap(), 0, 9).unwrap(), "a");
    }

    #[test]
    fn files_are_closed_where_the_process_has_no_descriptors_left() {
        let folder = tempfile::tempdir().unwrap();
        let open_files = OpenFiles::with_limit(9, None);
        let files = ["a", "b"].map(|name| NamedFile::new(folder.path().join(name), &open_files));
        files.iter().for_each(|file| drop(file.create().unwrap()));
        let none_left = || match open(&open_files).len() {
            0 => Ok(()),
            _ => Err(io::Error::from(Errno::MFILE)),
        };
        open_files.with_descriptors(none_left).unwrap();
        assert!(open_files.with_descriptors(|| Err::<(), _>(Errno::NFILE.into())).is_err());
    }
}
