//! To a file: records go to `FILE.part`, which gets its name when it is complete, and goes on where it was broken off.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{Ended, counted};
use crate::cache_key::{CanonicalPagination, KEY_VERSION, KeyParts, KeyedRequest, first_version, v1};
use crate::cli::progress::Progress;
use crate::cli::serve::stopped;
use crate::crawl::{Crawl, Opened, ResumePoint};
use crate::id::CacheKey;
use crate::snapshot::{
    self, Birth, FileStorage, Log, Reader, ReaderEvent, ReopenError, ResumableLog, Retention, Seal, SnapshotFacts,
    Writer,
};

/// The file that is wanted, and the two that are there until it is complete.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) to: PathBuf,
    lines: PathBuf,
    journal: PathBuf,
}

/// How it went.
pub(super) struct Fetched {
    pub(super) ended: Ended,
    /// How many records the file has.
    pub(super) records: u64,
    /// What it is worth where it isn't complete.
    pub(super) left: String,
}

/// Whether the crawl notes where it is: one that walks several parts side by side doesn't.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notes {
    Made,
    None,
}

/// Whether a file may be gone on with that was begun with other header fields, and so perhaps as somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    AsBegun,
    Changed,
}

/// What the journal has of a file's beginning.
#[derive(Serialize, Deserialize)]
struct Begun {
    /// Version of the file's cache keys.
    #[serde(default = "first_version")]
    key_version: u32,
    /// The header fields of its requests, as a hash.
    fields: CacheKey,
    /// In the crawl's own words.
    crawl: Box<RawValue>,
}

/// What the files have of the collection.
enum Found {
    Nothing,
    /// So much that a crawl can go on behind it.
    Some(Begun, Log, ResumableLog),
    /// All of it: only the name is missing.
    All(Log),
}

impl Part {
    pub(super) fn of(to: &Path) -> Self {
        // What a symbolic link names is replaced, and not the link.
        let to = to.canonicalize().unwrap_or_else(|_| to.to_owned());
        let beside = |suffix: &str| {
            let mut name = OsString::from(&to);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { lines: beside(".part"), journal: beside(".part.journal"), to }
    }

    /// Fetches what is missing.
    pub(super) async fn fetch(&self, crawl: Crawl, fields: Fields) -> Fetched {
        let (log, crawling) = match self.begin(crawl, fields).await {
            Ok(begun) => begun,
            Err(ended) => return Fetched { left: "nothing new was written".to_owned(), ended, records: 0 },
        };
        let has_parts = crawling.as_ref().is_some_and(|(opened, _)| opened.pagination().partition.is_some());
        let notes = if has_parts { Notes::None } else { Notes::Made };
        let had = log.extent();
        // Before the crawl runs: one that nobody reads stops.
        let reader = match log.reader(had.bytes, None) {
            Ok(reader) => reader,
            Err(gone) => {
                return Fetched {
                    left: "nothing new was written".to_owned(),
                    ended: Ended::Unwritable(io::Error::other(gone)),
                    records: 0,
                };
            }
        };
        let total = crawling.as_ref().and_then(|(opened, _)| opened.total());
        let mut progress = Progress::new(total, had.records, had.bytes);
        if let Some((opened, _)) = &crawling {
            progress = progress.of(opened.usage());
        }
        let crawling = crawling.map(|(opened, writer)| tokio::spawn(opened.run(writer)));
        let ended = tokio::select! {
            ended = self.follow(&log, reader, &mut progress) => ended,
            () = stopped() => Ended::Interrupted,
        };
        progress.clear();
        if let Some(crawling) = crawling {
            crawling.abort();
        }
        Fetched { left: self.left(&ended, notes), ended, records: log.extent().records }
    }

    /// The log, and the crawl that writes what it lacks.
    async fn begin(&self, crawl: Crawl, fields: Fields) -> Result<(Log, Option<(Opened, Writer)>), Ended> {
        match self.find(&crawl, fields)? {
            Found::All(log) => Ok((log, None)),
            Found::Some(begun, log, ResumableLog { writer, notes, last, records }) => {
                eprintln!("goes on behind {} in {}", counted(records), self.lines.display());
                let point = ResumePoint { begun: &begun.crawl, checkpoints: &notes, last_record: last, records };
                let opened = crawl.resume(point).map_err(Ended::Refused)?;
                Ok((log, Some((opened, writer))))
            }
            Found::Nothing => {
                let FileKeys { records: key, caller: fields } = FileKeys::current(&crawl);
                let opened = crawl.open().await.map_err(Ended::Refused)?;
                let created =
                    self.create(key, &Begun { key_version: KEY_VERSION, fields, crawl: opened.begun() }, &opened);
                let (writer, log) = created.map_err(|error| Ended::Unwritable(self.named(&error)))?;
                Ok((log, Some((opened, writer))))
            }
        }
    }

    fn find(&self, crawl: &Crawl, fields: Fields) -> Result<Found, Ended> {
        let mut reopened = match snapshot::reopen_single_file(self.lines.clone(), self.journal.clone()) {
            Ok(reopened) => reopened,
            Err(ReopenError::Unknown) if self.lines.exists() => return Err(Ended::Foreign(self.lines.clone())),
            Err(ReopenError::Unknown) => return Ok(Found::Nothing),
            Err(ReopenError::Io(error)) => return Err(Ended::Unwritable(self.named(&error))),
            Err(newer @ ReopenError::Newer(_)) => return Err(Ended::Unwritable(self.named(&io::Error::other(newer)))),
            Err(unusable) => {
                eprintln!("begins anew: {}: {unusable}", self.lines.display());
                return Ok(Found::Nothing);
            }
        };
        let Ok(begun) = serde_json::from_str::<Begun>(reopened.birth.begun.get()) else {
            return Err(Ended::Another(self.lines.clone()));
        };
        let Some(keys) = FileKeys::of_version(begun.key_version, crawl) else {
            return Err(Ended::NewerKey(self.lines.clone(), begun.key_version));
        };
        if reopened.birth.key != keys.records {
            return Err(Ended::Another(self.lines.clone()));
        }
        if fields == Fields::AsBegun && begun.fields != keys.caller {
            return Err(Ended::OtherFields(self.lines.clone()));
        }
        Ok(match (reopened.unfinished.take(), reopened.log.extent().seal) {
            (Some(unfinished), _) if !unfinished.notes.is_empty() => Found::Some(begun, reopened.log, unfinished),
            (None, Some(Seal::Complete(_))) => Found::All(reopened.log),
            _ => Found::Nothing,
        })
    }

    fn create(&self, key: CacheKey, begun: &Begun, opened: &Opened) -> io::Result<(Writer, Log)> {
        let begun = to_raw_value(begun)?;
        let facts = SnapshotFacts {
            collection: self.to.display().to_string(),
            created: SystemTime::now(),
            valid_at: opened.valid_at(),
            etag: None,
            last_modified: None,
            total: opened.total(),
            storage: FileStorage::Allowed,
        };
        let birth = Birth { key, facts, retention: Retention::Private, begun };
        snapshot::create_single_file(self.lines.clone(), self.journal.clone(), &birth)
    }

    /// Follows the log to its end, and gives the file its name.
    async fn follow(&self, log: &Log, mut reader: Reader, progress: &mut Progress) -> Ended {
        loop {
            match reader.next().await {
                Ok(ReaderEvent::Bytes(bytes)) => {
                    progress.add(memchr::memchr_iter(b'\n', &bytes).count() as u64, bytes.len() as u64);
                }
                Ok(ReaderEvent::Complete(verdict)) => {
                    return match self.finish(log) {
                        Ok(()) => Ended::Complete(verdict),
                        Err(error) => Ended::Unwritable(self.named(&error)),
                    };
                }
                Ok(ReaderEvent::Stop) => return Ended::Interrupted,
                Err(failure) if self.is_short(log) => {
                    return Ended::Unwritable(io::Error::other(failure.message.clone()));
                }
                Err(failure) => return Ended::Broken((*failure).clone()),
            }
        }
    }

    /// Whether what has come is not in the file.
    fn is_short(&self, log: &Log) -> bool {
        std::fs::metadata(&self.lines).map_or(true, |lines| lines.len() < log.extent().bytes)
    }

    /// What has all of its bytes gets its name.
    fn finish(&self, log: &Log) -> io::Result<()> {
        if std::fs::metadata(&self.lines)?.len() != log.extent().bytes {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "not all of the records could be written"));
        }
        if let Ok(before) = std::fs::metadata(&self.to) {
            std::fs::set_permissions(&self.lines, before.permissions())?;
        }
        snapshot::commit_single_file(&self.lines, &self.journal, &self.to)
    }

    /// What the files are worth where they are not complete.
    fn left(&self, ended: &Ended, notes: Notes) -> String {
        let part = self.lines.display();
        let is_transient = !matches!(ended, Ended::Broken(failure) if !failure.fault.is_transient());
        match notes {
            Notes::Made if is_transient => {
                format!("{part} keeps whole pages, and the same command goes on behind them")
            }
            Notes::Made | Notes::None => format!("{part} is incomplete, and the same command begins anew"),
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.lines.display()))
    }
}

/// Cache keys of what a crawl fetches.
struct FileKeys {
    /// Key of the records.
    records: CacheKey,
    /// Hash of what may tell callers apart: header fields and credentials.
    caller: CacheKey,
}

impl FileKeys {
    fn new(records: &KeyParts, caller: &KeyParts) -> Self {
        Self { records: CacheKey::from_parts(records.iter()), caller: CacheKey::from_parts(caller.iter()) }
    }

    fn current(crawl: &Crawl) -> Self {
        let request = KeyedRequest {
            pagination: &CanonicalPagination::new(&crawl.pagination),
            order: crawl.pagination.order,
            first: &crawl.first,
            upstream: crawl.client.upstream(),
            since: crawl.since.as_deref(),
            valid_at: crawl.valid_at,
        };
        Self::new(&request.records(), &request.caller())
    }

    /// Keys of an earlier version, or of this one; none for a newer version.
    fn of_version(version: u32, crawl: &Crawl) -> Option<Self> {
        match version {
            1 => {
                let (first, upstream) = (&crawl.first, crawl.client.upstream());
                Some(Self::new(&v1::file(first, &crawl.pagination), &v1::file_fields(first, upstream)))
            }
            KEY_VERSION => Some(Self::current(crawl)),
            _ => None,
        }
    }
}
