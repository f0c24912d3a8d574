//! Where logs are kept: in memory, and in the files of one folder.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::disk::{Claim, Disk};
use super::files::{Files, Unwritten};
use super::folder::{Folder, Found, SECRET, private};
use super::log::{self, Log, Memory, Writer};
use super::millis;
use super::recovery::{Recovered, recover};
use super::seal::Verdict;
use super::standing::Keeping;
use crate::config::SnapshotSettings;
use crate::id::{CacheKey, SnapshotId};

/// The logs of a process: clones are the same.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: SnapshotSettings,
    secret: hmac::Key,
    random: SystemRandom,
    memory: Memory,
    disk: Arc<Disk>,
    /// None where everything stays in memory.
    folder: Option<Folder>,
    stored: Vec<Stored>,
    /// The snapshots whose files somebody has open.
    open: Mutex<HashMap<SnapshotId, Weak<Claim>>>,
    /// Whether the operator knows that no file can be made.
    warned: AtomicBool,
}

/// What is known of a snapshot when it is begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Birth {
    /// What it is a snapshot of.
    pub key: CacheKey,
    /// What responses and lists say of it.
    pub facts: Facts,
    /// Who may ask for it again.
    pub keeping: Keeping,
    /// What the crawl needs to begin again, in the crawl's own words.
    pub begun: Begun,
}

/// JSON that the crawl has written and the crawl reads.
pub type Begun = Box<RawValue>;

/// What responses and lists say of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The path of the collection, as it is configured.
    pub collection: String,
    /// When the crawl was begun.
    #[serde(with = "millis")]
    pub created: SystemTime,
    /// The moment that the upstream was asked to answer for.
    #[serde(with = "millis::maybe")]
    pub valid_at: Option<SystemTime>,
    /// The entity tag of the collection, where the upstream gives one.
    pub etag: Option<String>,
    /// When the collection changed last, where the upstream says so.
    pub last_modified: Option<String>,
    /// How many records the upstream says there are.
    pub total: Option<u64>,
    /// Whether it may be written to a file.
    pub storage: FileStorage,
}

/// Whether a snapshot may be written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileStorage {
    Allowed,
    Forbidden,
}

/// A snapshot that the folder had when it was opened.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: SnapshotId,
    pub birth: Birth,
    /// Of whole pages.
    pub bytes: u64,
    pub records: u64,
    pub pages: u64,
    /// None where the crawl was interrupted, or broke so that asking again won't mend it: only [`Store::reopen`] tells.
    pub verdict: Option<Verdict>,
    /// When its files were written to last.
    pub modified: SystemTime,
}

/// A snapshot that is read from its files again.
#[derive(Debug)]
pub struct Reopened {
    pub birth: Birth,
    pub log: Log,
    /// How many whole pages it has; where it isn't complete, those that the crawl has noted.
    pub pages: u64,
    /// What is needed to go on, where the crawl was interrupted.
    pub unfinished: Option<Unfinished>,
    /// When its files were written to last.
    pub modified: SystemTime,
}

/// A log whose crawl was interrupted.
#[derive(Debug)]
pub struct Unfinished {
    pub writer: Writer,
    /// What the crawl noted after each whole page.
    pub notes: Vec<Box<RawValue>>,
    /// The line of the last record of those pages, if they have one.
    pub last: Option<Vec<u8>>,
    /// How many records they have.
    pub records: u64,
}

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadStore {
    #[error("another process keeps its snapshots in {}", .0.display())]
    Locked(PathBuf),
    #[error("{} belongs to another user: snapshots need a folder of their own", .0.display())]
    Foreign(PathBuf),
    #[error("other users may write to {}: snapshots need a folder of mode 0700", .0.display())]
    Open(PathBuf),
    #[error("snapshots can't be kept in {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

impl BadStore {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked(_) => "stop that process, or set `dir` in [snapshots] to another folder",
            Self::Foreign(_) | Self::Open(_) => "set `dir` in [snapshots] to a folder that is this user's alone",
            Self::Io(..) => {
                "set `dir` in [snapshots] to a folder that this user can write to, or `disk` to \"0\" for none"
            }
        }
    }
}

/// Why a snapshot can't be read again.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("no such snapshot is kept")]
    Unknown,
    #[error("the snapshot's files are damaged: {0}")]
    Damaged(String),
    #[error("the snapshot's files have version {0}, which a newer unpage has written")]
    Newer(u32),
    #[error("the snapshot's files can't be read: {0}")]
    Io(io::Error),
}

impl Store {
    /// Opens the folder, where there is one, and takes it for this process alone.
    pub fn open(settings: SnapshotSettings) -> Result<Self, BadStore> {
        let memory = Memory::new(settings.memory);
        Self::open_with(settings, memory)
    }

    pub(super) fn open_with(settings: SnapshotSettings, memory: Memory) -> Result<Self, BadStore> {
        let random = SystemRandom::new();
        let mut secret = [0; SECRET];
        random.fill(&mut secret).expect("the system has random numbers");
        let disk = Arc::new(Disk::new(settings.disk));
        let (mut folder, mut found) = (None, Found::default());
        if let Some(dir) = settings.dir.as_deref().filter(|_| settings.disk > 0) {
            let io = |error| BadStore::Io(dir.to_owned(), error);
            let opened = Folder::open(dir)?;
            secret = opened.secret(secret).map_err(io)?;
            found = opened.scan().map_err(io)?;
            folder = Some(opened);
        }
        disk.count(found.bytes);
        Ok(Self {
            shared: Arc::new(Shared {
                memory,
                settings,
                secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
                random,
                disk,
                folder,
                stored: found.stored,
                open: Mutex::default(),
                warned: AtomicBool::new(false),
            }),
        })
    }

    /// The snapshots that the folder had when it was opened.
    pub fn stored(&self) -> Vec<Stored> {
        self.shared.stored.clone()
    }

    /// A name that no snapshot has.
    pub fn new_id(&self) -> SnapshotId {
        let mut id = [0; 16];
        self.shared.random.fill(&mut id).expect("the system has random numbers");
        SnapshotId::from_bytes(id)
    }

    /// The key of what these parts say, which nobody without the folder's secret can tell from it.
    pub fn key<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> CacheKey {
        let mut context = hmac::Context::with_key(&self.shared.secret);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        CacheKey::from_bytes(key)
    }

    /// Who is to delete finished snapshots when the files have used up their room: told how many bytes are missing, it says whether it has deleted
    /// one. It is called again until there is room, from whatever thread writes, and may call [`Store::remove`].
    pub fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.shared.disk.on_full(evict);
    }

    /// What of all logs together is in memory.
    pub fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    /// How many bytes the files of all snapshots have, those included that were deleted and are still read.
    pub fn on_disk(&self) -> u64 {
        self.shared.disk.taken()
    }

    /// Begins a log; where no file can be made, in memory alone.
    pub fn create(&self, id: SnapshotId, birth: &Birth) -> (Writer, Log) {
        let shared = &self.shared;
        let Some(folder) = shared.folder.as_ref().filter(|_| birth.facts.storage == FileStorage::Allowed) else {
            return self.in_memory();
        };
        match shared.begin(folder, id, birth) {
            Ok(files) => {
                shared.warned.store(false, Ordering::Relaxed);
                log::kept(Arc::new(files), &shared.memory, shared.settings.slow_reader, shared.settings.linger)
            }
            Err(error) => {
                if !shared.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!("new snapshots are kept in memory alone until files can be made again: {error}");
                }
                self.in_memory()
            }
        }
    }

    /// Reads a snapshot's files again. Blocks: all of their bytes are checked. Where it goes on, the log before must be sealed: a crawl that still
    /// writes to that one breaks.
    pub fn reopen(&self, id: SnapshotId) -> Result<Reopened, Unusable> {
        let Shared { memory, settings, .. } = &*self.shared;
        self.shared.recover(id)?.reopen(memory, settings.slow_reader, settings.linger)
    }

    /// Deletes a snapshot's files. Who reads it still goes on.
    pub fn remove(&self, id: SnapshotId) {
        let Some(folder) = &self.shared.folder else { return };
        let claim = self.shared.claim(id, || Claim::counted(Arc::clone(&self.shared.disk), folder.place(id)));
        if let Err(error) = claim.delete() {
            tracing::warn!(%id, %error, "a snapshot's files can't be deleted");
        }
        self.shared.lock().remove(&id);
    }

    fn in_memory(&self) -> (Writer, Log) {
        let Shared { memory, settings, .. } = &*self.shared;
        log::in_memory(memory, settings.slow_reader, settings.linger)
    }
}

impl Shared {
    fn begin(&self, folder: &Folder, id: SnapshotId, birth: &Birth) -> Result<Files, Unwritten> {
        let claim = self.claim(id, || Claim::new(Arc::clone(&self.disk), folder.place(id)));
        let make = |path: &Path| private().create_new(true).open(path);
        let files = make(&claim.place().lines).and_then(|lines| Ok((lines, make(&claim.place().journal)?)));
        let files = files.map_err(Unwritten::Io);
        let begun =
            files.and_then(|(lines, journal)| Files::begin(lines, journal, Arc::clone(&claim), Some(id), birth));
        begun.inspect_err(|_| {
            if let Err(error) = claim.delete() {
                tracing::debug!(%id, %error, "what was made of a snapshot's files is deleted with the next start");
            }
        })
    }

    fn recover(&self, id: SnapshotId) -> Result<Recovered, Unusable> {
        let folder = self.folder.as_ref().ok_or(Unusable::Unknown)?;
        let claim = self.claim(id, || Claim::counted(Arc::clone(&self.disk), folder.place(id)));
        let journal = private().open(&claim.place().journal)?;
        let lines = private().open(&claim.place().lines)?;
        recover(lines, journal, claim, Some(id))
    }

    /// What the snapshot's files take, of which there is one account however often they are open.
    fn claim(&self, id: SnapshotId, new: impl FnOnce() -> Claim) -> Arc<Claim> {
        let mut open = self.lock();
        if let Some(claim) = open.get(&id).and_then(Weak::upgrade) {
            return claim;
        }
        if open.len() == open.capacity() {
            open.retain(|_, claim| claim.strong_count() > 0);
        }
        let claim = Arc::new(new());
        open.insert(id, Arc::downgrade(&claim));
        claim
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, HashMap<SnapshotId, Weak<Claim>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Unknown,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
impl Birth {
    pub(super) fn in_test(collection: &str) -> Self {
        let created = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        let facts = Facts {
            collection: collection.to_owned(),
            created,
            valid_at: None,
            etag: None,
            last_modified: None,
            total: Some(3),
            storage: FileStorage::Allowed,
        };
        let begun = RawValue::from_string("{ \"page\":\n1}".to_owned()).expect("JSON");
        Self { key: CacheKey::from_bytes([7; 32]), facts, keeping: Keeping::Shared, begun }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::batch::Batch;
    use crate::config::SlowReader;
    use crate::error::{Failure, Fault};
    use crate::snapshot::files::Entry;
    use crate::snapshot::journal::Mark;
    use crate::snapshot::{Extent, Next, Seal};

    fn settings(dir: Option<&Path>, disk: u64) -> SnapshotSettings {
        let dir = dir.map(Path::to_owned);
        SnapshotSettings { dir, memory: 1 << 20, disk, slow_reader: SlowReader::Wait, linger: Duration::ZERO }
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count() - ["lock", "secret"].len()
    }

    /// A snapshot of one page.
    fn begin(store: &Store) -> (SnapshotId, Files) {
        let id = store.new_id();
        let folder = store.shared.folder.as_ref().unwrap();
        let files = store.shared.begin(folder, id, &Birth::in_test("/orders")).unwrap();
        files.write(0, &[Bytes::from_static(b"1\n2\n")]).unwrap();
        let note = RawValue::from_string("{}".to_owned()).unwrap();
        files.append(&Entry::Page { bytes: 4, records: 2, note: &note }).unwrap();
        (id, files)
    }

    #[test]
    fn a_restart_finds_what_was_written_under_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let key = store.key([&b"a"[..], b"b"]);
        assert_ne!(key, store.key([&b"ab"[..]]));
        let (id, files) = begin(&store);
        files.write(4, &[Bytes::from_static(b"torn")]).unwrap();
        drop((store, files));
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        assert_eq!(store.key([&b"a"[..], b"b"]), key);
        let [stored] = &store.stored()[..] else { panic!("{:?}", store.stored()) };
        assert_eq!((stored.id, stored.bytes, stored.records, stored.pages), (id, 4, 2, 1));
        assert_eq!((&stored.verdict, &stored.birth.facts), (&None, &Birth::in_test("/orders").facts));
        let recovered = store.shared.recover(id).unwrap();
        assert_eq!((recovered.had.bytes, recovered.files.owed()), (4, 8));
        let place = store.shared.folder.as_ref().unwrap().place(id);
        assert_eq!(
            store.on_disk(),
            [place.lines, place.journal].map(|path| path.metadata().unwrap().len()).iter().sum::<u64>()
        );
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Store::open(settings(Some(other.path()), 1)).unwrap().key([&b"a"[..], b"b"]), key);
    }

    #[test]
    fn what_was_removed_gives_its_room_back_when_its_last_reader_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let (id, first) = begin(&store);
        let second = store.shared.recover(id).unwrap().files;
        let taken = store.on_disk();
        assert!(taken > 4);
        store.remove(id);
        assert_eq!((files(dir.path()), second.read(0, 9).unwrap().as_ref()), (0, &b"1\n2\n"[..]));
        drop(first);
        assert_eq!(store.on_disk(), taken);
        drop(second);
        assert_eq!(store.on_disk(), 0);
        assert!(matches!(store.reopen(id), Err(Unusable::Unknown)));
        // What nobody has open, too.
        let (id, first) = begin(&store);
        drop(first);
        store.remove(id);
        assert_eq!((store.on_disk(), files(dir.path())), (0, 0));
    }

    #[test]
    fn what_comes_late_from_the_crawl_before_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        let (id, before) = begin(&store);
        let now = store.shared.recover(id).unwrap().files;
        assert!(matches!(before.write(4, &[Bytes::from_static(b"3\n")]), Err(Unwritten::Changed)));
        let failure = Failure::new(Fault::Unproven, "what", "hint");
        assert!(matches!(before.append(&Entry::Failed(&failure)), Err(Unwritten::Changed)));
        assert!(matches!(before.disown(), Err(Unwritten::Changed)));
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
        assert!(matches!(running.write(4, std::slice::from_ref(&rest)), Err(Unwritten::NoRoom)));
        let (evicting, left) = (store.clone(), Mutex::new(vec![old]));
        store.on_full(move |missing| {
            assert_eq!(missing, 1);
            left.lock().unwrap().pop().map(|id| evicting.remove(id)).is_some()
        });
        running.write(4, &[rest]).unwrap();
        assert!(matches!(store.reopen(old), Err(Unusable::Unknown)));
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
        // Neither full nor gone is a failure, and nothing stays of what was begun.
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
        let place = store.shared.folder.as_ref().unwrap().place(id);
        fs::write(&place.journal, Mark::of_version(7)).unwrap();
        fs::write(&place.lines, "1\n").unwrap();
        drop(store);
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        assert!(store.stored().is_empty());
        assert!(matches!(store.reopen(id), Err(Unusable::Newer(7))));
        assert_eq!(files(dir.path()), 2);
    }

    /// Without a runtime the files are written at once.
    #[test]
    fn of_a_lost_page_nobody_gets_a_byte_before_it_is_known_to_be_the_same() {
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
            let lines = store.shared.folder.as_ref().unwrap().place(id).lines;
            fs::File::options().write(true).open(lines).unwrap().set_len(10).unwrap();
            // As after a start: what this process has written need not be looked at again.
            drop(store);
            let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
            let Reopened { log, unfinished, .. } = store.reopen(id).unwrap();
            let mut writer = unfinished.unwrap().writer;
            writer.append(batch("[3]\n"));
            writer.append(batch(came));
            assert_eq!((log.extent().visible, log.extent().bytes), (6, 16));
            writer.note(&note);
            let Extent { visible, seal, .. } = log.extent();
            assert_eq!((visible, seal.is_none()), (if is_same { 14 } else { 6 }, is_same));
        }
    }

    #[tokio::test]
    async fn a_log_that_was_interrupted_goes_on_to_the_same_bytes() {
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
        while let Ok(Next::Bytes(bytes)) = early.next().await {
            had.extend_from_slice(&bytes);
        }
        assert_eq!(had, b"[1]\n[2]\n[3]\n[4");

        let Reopened { log, unfinished, .. } = store.reopen(id).unwrap();
        let Unfinished { mut writer, notes, last, records } = unfinished.unwrap();
        assert_eq!((notes.len(), last.as_deref(), records), (1, Some(&b"[2]"[..]), 2));
        let mut late = log.reader(had.len() as u64, None).unwrap();
        writer.append(batch("[3]\n[4]\n[5]\n"));
        writer.note(&note);
        writer.seal(Seal::Complete(Verdict { records: 5, pages: 2, proof: "no next address".to_owned() }));
        while let Next::Bytes(bytes) = late.next().await.unwrap() {
            had.extend_from_slice(&bytes);
        }
        assert_eq!(had, b"[1]\n[2]\n[3]\n[4]\n[5]\n");

        drop((store, log, late, early));
        let store = Store::open(settings(Some(dir.path()), 1 << 20)).unwrap();
        assert_eq!(store.stored()[0].verdict.as_ref().unwrap().records, 5);
        let Reopened { log, unfinished, .. } = store.reopen(id).unwrap();
        let mut reader = log.reader(0, None).unwrap();
        assert!(unfinished.is_none());
        assert!(matches!(reader.next().await, Ok(Next::Bytes(bytes)) if bytes == had));
        assert!(matches!(reader.next().await, Ok(Next::Complete(_))));
    }
}
