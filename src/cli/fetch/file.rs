//! To a file: records go to `FILE.part`, which gets its name when it is complete, and goes on where it was broken off.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Ended, counted};
use crate::cli::progress::Progress;
use crate::cli::serve::stopped;
use crate::config::written;
use crate::crawl::{Crawl, Opened};
use crate::pagination::request::RequestBody;
use crate::snapshot::{
    self, Birth, Facts, Keeping, Key, Log, Next, Reader, Reopened, Seal, Storage, Unfinished, Unusable, Writer,
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

/// What the files have of the collection.
enum Found {
    Nothing,
    /// So much that a crawl can go on behind it.
    Some(Box<Reopened>, Unfinished),
    /// All of it: only the name is missing.
    All(Log),
}

impl Part {
    pub(super) fn of(to: PathBuf) -> Self {
        let beside = |suffix: &str| {
            let mut name = OsString::from(&to);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { lines: beside(".part"), journal: beside(".part.journal"), to }
    }

    /// Fetches what is missing.
    pub(super) async fn fetch(&self, crawl: Crawl) -> Fetched {
        let (log, crawling) = match self.begin(crawl).await {
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
    async fn begin(&self, crawl: Crawl) -> Result<(Log, Option<(Opened, Writer)>), Ended> {
        let key = key_of(&crawl);
        match self.find(key)? {
            Found::All(log) => Ok((log, None)),
            Found::Some(reopened, Unfinished { writer, notes, last, records }) => {
                eprintln!("goes on behind {} in {}", counted(records), self.lines.display());
                let opened = crawl.resume(&reopened.birth.begun, &notes, last, records).map_err(Ended::Refused)?;
                Ok((reopened.log, Some((opened, writer))))
            }
            Found::Nothing => {
                let opened = crawl.open().await.map_err(Ended::Refused)?;
                let (writer, log) = self.create(key, &opened).map_err(|error| Ended::Unwritable(self.named(&error)))?;
                Ok((log, Some((opened, writer))))
            }
        }
    }

    fn find(&self, key: Key) -> Result<Found, Ended> {
        let mut reopened = match snapshot::reopen_at(self.lines.clone(), self.journal.clone()) {
            Ok(reopened) => reopened,
            Err(Unusable::Unknown) => return Ok(Found::Nothing),
            Err(Unusable::Io(error)) => return Err(Ended::Unwritable(self.named(&error))),
            Err(unusable) => {
                eprintln!("begins anew: {}: {unusable}", self.lines.display());
                return Ok(Found::Nothing);
            }
        };
        if reopened.birth.key != key {
            return Err(Ended::Another(self.lines.clone()));
        }
        Ok(match (reopened.unfinished.take(), reopened.log.extent().seal) {
            (Some(unfinished), _) if !unfinished.notes.is_empty() => Found::Some(Box::new(reopened), unfinished),
            (None, Some(Seal::Complete(_))) => Found::All(reopened.log),
            _ => Found::Nothing,
        })
    }

    fn create(&self, key: Key, opened: &Opened) -> io::Result<(Writer, Log)> {
        let facts = Facts {
            collection: self.to.display().to_string(),
            created: SystemTime::now(),
            valid_at: opened.valid_at(),
            etag: None,
            last_modified: None,
            total: opened.total(),
            storage: Storage::Allowed,
        };
        let birth = Birth { key, facts, keeping: Keeping::Named, begun: opened.begun() };
        snapshot::at(self.lines.clone(), self.journal.clone(), &birth)
    }

    /// Follows the log to its end, and gives the file its name.
    async fn follow(&self, log: &Log, mut reader: Reader, progress: &mut Progress) -> Ended {
        loop {
            match reader.next().await {
                Ok(Next::Bytes(bytes)) => {
                    progress.add(memchr::memchr_iter(b'\n', &bytes).count() as u64, bytes.len() as u64);
                }
                Ok(Next::Complete(verdict)) => {
                    return match self.finish(log) {
                        Ok(()) => Ended::Complete(verdict),
                        Err(error) => Ended::Unwritable(self.named(&error)),
                    };
                }
                Ok(Next::Stop) => return Ended::Interrupted,
                Err(failure) => return Ended::Broken((*failure).clone()),
            }
        }
    }

    /// A log goes on in memory where its file can't be written to; then the file lacks what came since.
    fn finish(&self, log: &Log) -> io::Result<()> {
        if std::fs::metadata(&self.lines)?.len() != log.extent().bytes {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "not all of the records could be written"));
        }
        snapshot::finish(&self.lines, &self.journal, &self.to)
    }

    /// What the files are worth where they are not complete.
    fn left(&self, ended: &Ended, notes: Notes) -> String {
        let part = self.lines.display();
        let may_pass = !matches!(ended, Ended::Broken(failure) if !failure.fault.may_pass());
        match notes {
            Notes::Made if may_pass => format!("{part} keeps whole pages, and the same command goes on behind them"),
            Notes::Made | Notes::None => format!("{part} is incomplete, and the same command begins anew"),
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.lines.display()))
    }
}

/// Which collection it is; header fields may change from one attempt to the next, as tokens do.
fn key_of(crawl: &Crawl) -> Key {
    let body = crawl.first.body.as_ref().map(RequestBody::to_bytes).unwrap_or_default();
    let walked = written(&crawl.pagination);
    Key::plain([crawl.first.method.as_str().as_bytes(), crawl.first.url.as_str().as_bytes(), &body, walked.as_bytes()])
}
