//! Where logs are kept: in memory, and in the files of one folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::id::{Key, SnapshotId};
use super::log::{Log, Writer};
use super::seal::Verdict;

/// How much is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder; none keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// How many bytes of all logs together are in memory.
    pub memory: u64,
    /// How many bytes the files have together; 0 for no files.
    pub disk: u64,
    /// Who gives way where there is no room at all.
    pub slow_reader: SlowReader,
    /// How long a crawl goes on when nobody reads.
    pub linger: Duration,
}

/// What becomes of a reader that is so slow that its log has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// The crawl waits for it.
    Wait,
    /// It breaks when it has not moved for this long.
    Drop(Duration),
}

/// The logs of a process: clones are the same.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    secret: hmac::Key,
    random: SystemRandom,
}

/// What is known of a snapshot when it is begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Birth {
    /// What it is a snapshot of.
    pub key: Key,
    /// What responses and lists say of it.
    pub facts: Facts,
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
    pub created: SystemTime,
    /// The moment that the upstream was asked to answer for.
    pub valid_at: Option<SystemTime>,
    /// The entity tag of the collection, where the upstream gives one.
    pub etag: Option<String>,
    /// When the collection changed last, where the upstream says so.
    pub last_modified: Option<String>,
    /// How many records the upstream says there are.
    pub total: Option<u64>,
    /// Whether it may be written to a file.
    pub storage: Storage,
}

/// Whether a snapshot may be written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
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
    /// None where the crawl was interrupted.
    pub verdict: Option<Verdict>,
    /// When its files were written to last.
    pub modified: SystemTime,
}

/// A snapshot that is read from its files again.
#[derive(Debug)]
pub struct Reopened {
    pub birth: Birth,
    pub log: Log,
    /// What is needed to go on, where the crawl was interrupted.
    pub unfinished: Option<Unfinished>,
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
    #[error("snapshots can't be kept in {}: {}", .0.display(), .1)]
    Io(PathBuf, std::io::Error),
}

/// Why a snapshot can't be read again.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("no such snapshot is kept")]
    Unknown,
    #[error("the snapshot's files are damaged: {0}")]
    Damaged(String),
    #[error("the snapshot's files can't be read: {0}")]
    Io(std::io::Error),
}

impl Store {
    /// Opens the folder, where there is one, and takes it for this process alone.
    pub fn open(settings: Settings) -> Result<Self, BadStore> {
        let random = SystemRandom::new();
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        let secret = secret.expect("the system has random numbers");
        Ok(Self { shared: Arc::new(Shared { settings, secret, random }) })
    }

    /// The snapshots that the folder had when it was opened.
    pub fn stored(&self) -> Vec<Stored> {
        Vec::new()
    }

    /// A name that no snapshot has.
    pub fn new_id(&self) -> SnapshotId {
        let mut id = [0; 16];
        self.shared.random.fill(&mut id).expect("the system has random numbers");
        SnapshotId(id)
    }

    /// The key of what these parts say, which nobody without the folder's secret can tell from it.
    pub fn key<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let mut context = hmac::Context::with_key(&self.shared.secret);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        Key(key)
    }

    /// Begins a log; where no file can be made, in memory alone.
    pub fn create(&self, _id: SnapshotId, _birth: &Birth) -> (Writer, Log) {
        Writer::new(self.shared.settings.linger)
    }

    /// Reads a snapshot's files again. Blocks: all of their bytes are checked.
    pub fn reopen(&self, _id: SnapshotId) -> Result<Reopened, Unusable> {
        Err(Unusable::Unknown)
    }

    /// Deletes a snapshot's files. Who reads it still goes on.
    pub fn remove(&self, _id: SnapshotId) {}
}

/// A log that nobody keeps: of what its readers have read, `bytes` at most stay in memory, and its crawl ends with its last reader.
pub fn unkept(_bytes: u64) -> (Writer, Log) {
    Writer::new(Duration::ZERO)
}
