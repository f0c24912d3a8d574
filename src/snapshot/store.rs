//! Store of a process: creates and reopens the logs of snapshots, in memory and in the configured storage.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::value::RawValue;

use super::facts::{Birth, FileStorage};
use super::log::{self, Log, LogPolicy, MemoryBudget, Writer};
use super::seal::Seal;
use super::storage::{
    LogStorage, OpenedStorage, Recovered, RecoveredFile, ReopenError, SECRET_LEN, SessionFile, Storage, StoreError,
    StoredSnapshot,
};
use super::stored_lines::StoredLines;
use crate::config::SnapshotSettings;
use crate::id::{CacheKey, SnapshotId};

/// Number of bytes of a single file's log that wait in memory to be written, or stay there for readers.
const SINGLE_FILE_MEMORY: u64 = 8 << 20;

/// The logs of a process; clones share them.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<StoreShared>,
}

#[derive(Debug)]
struct StoreShared {
    settings: SnapshotSettings,
    secret: hmac::Key,
    random: SystemRandom,
    memory: MemoryBudget,
    storage: Storage,
    /// Contents of the storage when it was opened.
    stored: Vec<StoredSnapshot>,
    /// Set after the warning that no file can be created, until one can be again.
    warned: AtomicBool,
}

/// Snapshot that was read from the storage again.
#[derive(Debug)]
pub struct ReopenedSnapshot {
    pub birth: Birth,
    pub log: Log,
    /// Number of complete pages.
    pub pages: u64,
    /// Present if the crawl was interrupted.
    pub unfinished: Option<ResumableLog>,
    /// Last write to the snapshot.
    pub modified: SystemTime,
}

/// Log whose crawl was interrupted.
#[derive(Debug)]
pub struct ResumableLog {
    pub writer: Writer,
    /// Notes of the crawl, one for each complete page.
    pub notes: Vec<Box<RawValue>>,
    /// Line of the last record of those pages.
    pub last: Option<Vec<u8>>,
    /// Number of records of those pages.
    pub records: u64,
    pub lines: StoredLines,
}

/// Hash of the first parts of a key.
#[derive(Clone, Debug)]
pub struct KeyedHash(hmac::Context);

impl KeyedHash {
    fn with(mut self, parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        parts(&mut |part| {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        });
        self
    }

    /// The key with its last parts.
    pub fn key(self, parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> CacheKey {
        let tag = self.with(parts).0.sign();
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        CacheKey::from_bytes(key)
    }
}

impl Store {
    /// Opens the storage of the settings and locks it for this process.
    pub fn open(settings: SnapshotSettings) -> Result<Self, StoreError> {
        let memory = MemoryBudget::new(settings.memory);
        Self::open_with(settings, memory)
    }

    pub(super) fn open_with(settings: SnapshotSettings, memory: MemoryBudget) -> Result<Self, StoreError> {
        let random = SystemRandom::new();
        let mut secret = [0; SECRET_LEN];
        random.fill(&mut secret).expect("the system has random numbers");
        let OpenedStorage { storage, secret, stored } = Storage::open(&settings, secret)?;
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let warned = AtomicBool::new(false);
        Ok(Self { shared: Arc::new(StoreShared { settings, secret, random, memory, storage, stored, warned }) })
    }

    /// Returns the snapshots that the storage had when it was opened.
    pub fn stored(&self) -> Vec<StoredSnapshot> {
        self.shared.stored.clone()
    }

    pub(super) fn session_file(&self) -> Option<SessionFile> {
        self.shared.storage.session_file()
    }

    pub fn new_id(&self) -> SnapshotId {
        let mut id = [0; 16];
        self.shared.random.fill(&mut id).expect("the system has random numbers");
        SnapshotId::from_bytes(id)
    }

    /// Hashes the parts that `parts` gives to its argument, with the storage's secret (HMAC-SHA-256), so that the key tells nothing about them.
    pub fn key(&self, parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> CacheKey {
        self.keyed_hash(|_| {}).key(parts)
    }

    /// Hashes the first parts of one or several keys.
    pub fn keyed_hash(&self, parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> KeyedHash {
        KeyedHash(hmac::Context::with_key(&self.shared.secret)).with(parts)
    }

    /// Registers the function that deletes finished snapshots when the disk budget is used up. It is told the number of missing bytes and
    /// returns true if it has deleted one; it is called until there is room, on the thread that writes, and may call [`Store::remove`].
    pub fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.shared.storage.on_full(evict);
    }

    pub fn memory(&self) -> &MemoryBudget {
        &self.shared.memory
    }

    /// Returns the number of bytes on disk, including deleted snapshots that are still read.
    pub fn on_disk(&self) -> u64 {
        self.shared.storage.used_bytes()
    }

    /// Resolves when all that was appended to logs is in their files. The folder stays locked until the logs are gone.
    pub async fn written(&self) {
        self.shared.storage.written().await;
    }

    /// Creates a log; in memory alone if it may not be stored, or can't be.
    pub fn create(&self, id: SnapshotId, birth: &Birth) -> (Writer, Log) {
        let StoreShared { memory, settings, warned, .. } = &*self.shared;
        let storage = match birth.facts.storage {
            FileStorage::Forbidden => LogStorage::Memory,
            FileStorage::Allowed => match self.shared.storage.create(id, birth) {
                Ok(storage) => {
                    warned.store(false, Ordering::Relaxed);
                    storage
                }
                Err(error) => {
                    if !warned.swap(true, Ordering::Relaxed) {
                        tracing::warn!("new snapshots are kept in memory alone until files can be made again: {error}");
                    }
                    LogStorage::Memory
                }
            },
        };
        log::create(storage, memory, LogPolicy::new(settings))
    }

    /// Reads a stored snapshot again. Blocks, since all of its bytes are verified. The log that was open before must be sealed if the crawl
    /// is to resume: a writer that is still open breaks.
    pub fn reopen(&self, id: SnapshotId) -> Result<ReopenedSnapshot, ReopenError> {
        let StoreShared { memory, settings, storage, .. } = &*self.shared;
        reopen(storage.reopen(id)?, memory, LogPolicy::new(settings))
    }

    /// Deletes a stored snapshot. Its readers still get all of it.
    pub fn remove(&self, id: SnapshotId) {
        self.shared.storage.remove(id);
    }
}

/// Creates a log in two files of the caller's own and drops their contents.
pub fn create_single_file(lines: PathBuf, journal: PathBuf, birth: &Birth) -> io::Result<(Writer, Log)> {
    let storage = LogStorage::create_single_file(lines, journal, birth)?;
    Ok(log::create(storage, &MemoryBudget::new(SINGLE_FILE_MEMORY), LogPolicy::SINGLE))
}

impl RecoveredFile {
    /// Opens the log. Lines after the last complete page are cut off.
    pub fn open(self) -> Result<ReopenedSnapshot, ReopenError> {
        reopen(self.cut()?, &MemoryBudget::new(SINGLE_FILE_MEMORY), LogPolicy::SINGLE)
    }
}

fn reopen(
    recovered: Recovered<LogStorage>,
    memory: &MemoryBudget,
    policy: LogPolicy,
) -> Result<ReopenedSnapshot, ReopenError> {
    let Recovered { storage, birth, extent, end, notes, last, modified } = recovered;
    let records = extent.records;
    let pages = match &end {
        Some(Seal::Complete(verdict)) => verdict.pages,
        Some(Seal::Failed(_)) | None => notes.len() as u64,
    };
    let lines = StoredLines::new(storage.clone(), extent.bytes);
    let (writer, log) = log::reopen(storage, extent, end, memory, policy)?;
    let unfinished = writer.map(|writer| ResumableLog { writer, notes, last, records, lines });
    Ok(ReopenedSnapshot { birth, log, pages, unfinished, modified })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use bytes::Bytes;
    use parking_lot::Mutex;

    use super::*;
    use crate::batch::Batch;
    use crate::error::{Failure, Fault};
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::log::{LogExtent, ReaderEvent};
    use crate::snapshot::storage::journal::JournalPosition;
    use crate::snapshot::storage::{LogEntry, WriteError};

    fn settings(dir: Option<&Path>, disk: u64) -> SnapshotSettings {
        let dir = dir.map(Path::to_owned);
        SnapshotSettings { dir, disk, ..SnapshotSettings::in_test() }
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count() - ["lock", "secret"].len()
    }

    /// Paths of a snapshot's lines and of its journal.
    fn paths(dir: &Path, id: SnapshotId) -> [PathBuf; 2] {
        ["ndjson", "journal"].map(|suffix| dir.join(format!("{id}.{suffix}")))
    }

    /// Creates a snapshot of one page.
    fn begin(store: &Store) -> (SnapshotId, LogStorage) {
        let id = store.new_id();
        let files = store.shared.storage.create(id, &Birth::in_test("/orders")).unwrap();
        files.write(0, &[Bytes::from_static(b"1\n2\n")]).unwrap();
        let note = RawValue::from_string("{}".to_owned()).unwrap();
        files.append(&LogEntry::Page { bytes: 4, records: 2, note: &note }).unwrap();
        (id, files)
    }

    #[test]
    fn a_restart_finds_the_stored_snapshots_under_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let parts = |part: &mut dyn FnMut(&[u8])| [b"a", b"b"].into_iter().for_each(|bytes| part(bytes));
        let key = store.key(parts);
        assert_ne!(key, store.key(|part| part(b"ab")));
        let (id, files) = begin(&store);
        files.write(4, &[Bytes::from_static(b"torn")]).unwrap();
        drop((store, files));
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        assert_eq!(store.key(parts), key);
        let [stored] = &store.stored()[..] else { panic!("{:?}", store.stored()) };
        assert_eq!((stored.id, stored.bytes, stored.records, stored.pages), (id, 4, 2, 1));
        assert_eq!((&stored.verdict, &stored.birth.facts), (&None, &Birth::in_test("/orders").facts));
        let recovered = store.shared.storage.reopen(id).unwrap();
        assert_eq!((recovered.extent.bytes, recovered.storage.replay_end()), (4, 8));
        let on_disk = paths(dir.path(), id).map(|path| path.metadata().unwrap().len());
        assert_eq!(store.on_disk(), on_disk.iter().sum::<u64>());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Store::open(settings(Some(other.path()), 1)).unwrap().key(parts), key);
    }

    #[test]
    fn a_removed_snapshot_gives_its_bytes_back_after_its_last_reader() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let (id, first) = begin(&store);
        let second = store.shared.storage.reopen(id).unwrap().storage;
        let taken = store.on_disk();
        assert!(taken > 4);
        store.remove(id);
        assert_eq!((files(dir.path()), second.read(0, 9).unwrap().as_ref()), (0, &b"1\n2\n"[..]));
        drop(first);
        assert_eq!(store.on_disk(), taken);
        drop(second);
        assert_eq!(store.on_disk(), 0);
        assert!(matches!(store.reopen(id), Err(ReopenError::Unknown)));
        // So does a snapshot without a reader.
        let (id, first) = begin(&store);
        drop(first);
        store.remove(id);
        assert_eq!((store.on_disk(), files(dir.path())), (0, 0));
    }

    #[test]
    fn a_crawl_whose_epoch_is_over_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let (id, before) = begin(&store);
        let now = store.shared.storage.reopen(id).unwrap().storage;
        assert!(matches!(before.write(4, &[Bytes::from_static(b"3\n")]), Err(WriteError::Changed)));
        let failure = Failure::new(Fault::Unproven, "what", "hint");
        assert!(matches!(before.append(&LogEntry::Failed(&failure)), Err(WriteError::Changed)));
        assert!(matches!(before.disown(), Err(WriteError::Changed)));
        assert_eq!(files(dir.path()), 2);
        now.write(4, &[Bytes::from_static(b"4\n")]).unwrap();
        assert_eq!(before.read(0, 9).unwrap(), "1\n2\n4\n");
    }

    #[test]
    fn a_full_disk_asks_for_finished_snapshots_to_be_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 2000)).unwrap();
        let (old, first) = begin(&store);
        drop(first);
        let (_, running) = begin(&store);
        let rest = Bytes::from(vec![b'x'; 2000 - usize::try_from(store.on_disk()).unwrap() + 1]);
        assert!(matches!(running.write(4, std::slice::from_ref(&rest)), Err(WriteError::NoRoom)));
        let (evicting, left) = (store.clone(), Mutex::new(vec![old]));
        store.on_full(move |missing| {
            assert_eq!(missing, 1);
            left.lock().pop().map(|id| evicting.remove(id)).is_some()
        });
        running.write(4, &[rest]).unwrap();
        assert!(matches!(store.reopen(old), Err(ReopenError::Unknown)));
    }

    #[test]
    fn without_files_a_log_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let mut birth = Birth::in_test("/orders");
        let none = Store::open(settings(Some(&dir.path().join("none")), 0)).unwrap();
        none.create(none.new_id(), &birth);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let path = dir.path().join("folder");
        let store = Store::open(settings(Some(&path), 1000)).unwrap();
        store.create(store.new_id(), &birth);
        assert_eq!(files(&path), 2);
        birth.facts.storage = FileStorage::Forbidden;
        store.create(store.new_id(), &birth);
        assert_eq!(files(&path), 2);
        // A full or missing folder is no failure, and leaves no files.
        birth.facts.storage = FileStorage::Allowed;
        birth.facts.etag = Some("x".repeat(1000));
        store.create(store.new_id(), &birth);
        assert_eq!(files(&path), 2);
        fs::remove_dir_all(&path).unwrap();
        store.create(store.new_id(), &birth);
        assert!(!path.exists());
    }

    #[test]
    fn a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let id = store.new_id();
        let [lines, journal] = paths(dir.path(), id);
        fs::write(journal, JournalPosition::of_version(7)).unwrap();
        fs::write(lines, "1\n").unwrap();
        drop(store);
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        assert!(store.stored().is_empty());
        assert!(matches!(store.reopen(id), Err(ReopenError::Newer(7))));
        assert_eq!(files(dir.path()), 2);
    }

    /// Without a runtime the files are written at once.
    #[test]
    fn a_lost_page_is_published_only_once_it_is_known_to_be_identical() {
        let batch = |text: &'static str| Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64);
        let note = RawValue::from_string("{\"next\":2}".to_owned()).unwrap();
        for (came, is_same) in [("[4]\n", true), ("[5]\n", false)] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
            let id = store.new_id();
            let (mut writer, log) = store.create(id, &Birth::in_test("/orders"));
            for text in ["[1]\n[2]\n", "[3]\n[4]\n"] {
                writer.append(batch(text));
                writer.note(&note);
            }
            drop((writer, log));
            let [lines, _] = paths(dir.path(), id);
            fs::File::options().write(true).open(lines).unwrap().set_len(10).unwrap();
            // A new store has verified nothing: this one would not read its own bytes again.
            drop(store);
            let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
            let ReopenedSnapshot { log, unfinished, .. } = store.reopen(id).unwrap();
            let mut writer = unfinished.unwrap().writer;
            writer.append(batch("[3]\n"));
            writer.append(batch(came));
            assert_eq!((log.extent().visible, log.extent().bytes), (6, 16));
            writer.note(&note);
            let LogExtent { visible, seal, .. } = log.extent();
            assert_eq!((visible, seal.is_none()), (if is_same { 14 } else { 6 }, is_same));
        }
    }

    #[tokio::test]
    async fn an_interrupted_log_is_resumed_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let id = store.new_id();
        let batch = |text: &'static str| Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64);
        let note = RawValue::from_string("{\"next\":2}".to_owned()).unwrap();
        let (mut writer, log) = store.create(id, &Birth::in_test("/orders"));
        let mut early = log.reader(0, None).unwrap();
        writer.append(batch("[1]\n[2]\n"));
        writer.note(&note);
        writer.append(batch("[3]\n[4]\n"));
        drop(writer);
        let mut had = Vec::new();
        while let Ok(ReaderEvent::Bytes(bytes)) = early.next().await {
            had.extend_from_slice(&bytes);
        }
        assert_eq!(had, b"[1]\n[2]\n[3]\n[4");

        drop((log, early));
        let ReopenedSnapshot { log, unfinished, .. } = store.reopen(id).unwrap();
        let ResumableLog { mut writer, notes, last, records, .. } = unfinished.unwrap();
        assert_eq!((notes.len(), last.as_deref(), records), (1, Some(&b"[2]"[..]), 2));
        let mut late = log.reader(had.len() as u64, None).unwrap();
        writer.append(batch("[3]\n[4]\n[5]\n"));
        writer.note(&note);
        writer.seal(Seal::Complete(Verdict::in_test(5, 2)));
        while let ReaderEvent::Bytes(bytes) = late.next().await.unwrap() {
            had.extend_from_slice(&bytes);
        }
        assert_eq!(had, b"[1]\n[2]\n[3]\n[4]\n[5]\n");

        // A log keeps the folder locked, and so does a task that writes.
        store.written().await;
        drop((store, log, late));
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        assert_eq!(store.stored()[0].verdict.as_ref().unwrap().records, 5);
        let ReopenedSnapshot { log, unfinished, .. } = store.reopen(id).unwrap();
        let mut reader = log.reader(0, None).unwrap();
        assert!(unfinished.is_none());
        assert!(matches!(reader.next().await, Ok(ReaderEvent::Bytes(bytes)) if bytes == had));
        assert!(matches!(reader.next().await, Ok(ReaderEvent::Complete(_))));
    }
}
