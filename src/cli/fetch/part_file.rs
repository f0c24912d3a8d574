//! Fetch to a file: records go to `FILE.part`, which is renamed when it is complete and resumed after a break.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::time::SystemTime;
use std::{fs, io};

use serde_json::value::to_raw_value;

use super::existing_files::{ExistingFiles, HeaderPolicy};
use super::file_keys::{CrawlOrigin, FileKeys};
use super::output_format::OutputFormat;
use super::since_file::SinceFile;
use super::{FetchEnd, counted, unless_stopped};
use crate::cache_key::KEY_VERSION;
use crate::cli::progress_line::ProgressLine;
use crate::cli::stop_signals::stopped;
use crate::crawl::{Crawl, Opened, ResumePoint};
use crate::format::{ColumnUse, RecordOffset};
use crate::id::CacheKey;
use crate::snapshot::{
    self, Birth, FileStorage, Log, Reader, ReaderEvent, ResumableLog, Retention, Seal, SnapshotFacts, Writer,
};

/// Target file, and the files that exist until it is complete.
#[derive(Debug)]
pub(super) struct PartialFile {
    pub(super) to: PathBuf,
    lines: PathBuf,
    journal: PathBuf,
    /// Records in another format than that of the log. They are encoded when all are there: a kill before costs no request, and one while they
    /// are encoded costs the encoding.
    encoded: PathBuf,
}

/// Result of a fetch to a file.
pub(super) struct Fetched {
    pub(super) ended: FetchEnd,
    pub(super) records: u64,
    /// State of the partial file, for the message.
    pub(super) left: String,
}

/// Checkpoints of the crawl: one with several parts side by side has none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckpointPolicy {
    Made,
    None,
}

impl PartialFile {
    pub(super) fn of(to: &Path) -> Self {
        // The target of a symbolic link is replaced, and not the link.
        let to = to.canonicalize().unwrap_or_else(|_| to.to_owned());
        let beside = |suffix: &str| {
            let mut name = OsString::from(&to);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { lines: beside(".part"), journal: beside(".part.journal"), encoded: beside(".part.encoded"), to }
    }

    /// Returns the files that a fetch writes.
    pub(super) fn files(&self) -> [&Path; 4] {
        [&self.to, &self.lines, &self.journal, &self.encoded]
    }

    /// Deletes what an earlier run has left.
    pub(super) fn discard(&self) -> io::Result<()> {
        [&self.lines, &self.journal, &self.encoded].into_iter().try_for_each(|file| match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.named(&error)),
            _ => Ok(()),
        })
    }

    /// Fetches the missing records.
    pub(super) async fn fetch(
        &self,
        crawl: Crawl,
        fields: HeaderPolicy,
        format: &OutputFormat,
        since: &mut Option<SinceFile>,
    ) -> Fetched {
        let mut stop = pin!(stopped());
        let (log, crawling, begun) = match self.begin(crawl, fields, stop.as_mut()).await {
            Ok(begun) => begun,
            Err(ended) => return Fetched { left: "nothing new was written".to_owned(), ended, records: 0 },
        };
        let starts_again = crawling.as_ref().is_some_and(|(opened, _)| !opened.has_checkpoints());
        let notes = if starts_again { CheckpointPolicy::None } else { CheckpointPolicy::Made };
        let had = log.extent();
        if let Some(Err(ended)) = since.as_mut().map(|since| since.add_written(&self.lines, had.bytes, begun)) {
            return Fetched { left: "nothing new was written".to_owned(), ended, records: 0 };
        }
        // Before the crawl runs: one without a reader stops.
        let reader = match log.reader(had.bytes, None) {
            Ok(reader) => reader,
            Err(gone) => {
                return Fetched {
                    left: "nothing new was written".to_owned(),
                    ended: FetchEnd::Unwritable(io::Error::other(gone)),
                    records: 0,
                };
            }
        };
        let total = crawling.as_ref().and_then(|(opened, _)| opened.total());
        let mut progress = ProgressLine::new(total, had.records, had.bytes);
        if let Some((opened, _)) = &crawling {
            progress = progress.of(opened.usage());
        }
        let crawling = crawling.map(|(opened, writer)| tokio::spawn(opened.run(writer)));
        let ended = tokio::select! {
            ended = self.follow(&log, reader, format, &mut progress, since) => ended,
            () = stop => FetchEnd::Interrupted,
        };
        progress.clear();
        if let Some(crawling) = crawling {
            crawling.abort();
        }
        Fetched { left: self.left(&ended, notes, &log), ended, records: log.extent().records }
    }

    /// Returns the log, the crawl that completes it, and the time at which its first page was there.
    async fn begin(
        &self,
        crawl: Crawl,
        fields: HeaderPolicy,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(Log, Option<(Opened, Writer)>, SystemTime), FetchEnd> {
        match ExistingFiles::find(&self.lines, &self.journal, &crawl, fields)? {
            ExistingFiles::All(log, created) => Ok((log, None, created)),
            ExistingFiles::Some(begun, created, log, ResumableLog { writer, notes, last, records, lines }) => {
                eprintln!("resumes after {} in {}", counted(records), self.lines.display());
                let point = ResumePoint { state: &begun.crawl, checkpoints: &notes, last_record: last, records, lines };
                let opened = unless_stopped(crawl.resume(point), stop).await?;
                Ok((log, Some((opened, writer)), created))
            }
            ExistingFiles::Nothing => {
                let FileKeys { records: key, caller: fields } = FileKeys::current(&crawl);
                let opened = unless_stopped(crawl.open(), stop).await?;
                let created =
                    self.create(key, &CrawlOrigin { key_version: KEY_VERSION, fields, crawl: opened.saved() }, &opened);
                let (writer, log) = created.map_err(|error| FetchEnd::Unwritable(self.named(&error)))?;
                Ok((log, Some((opened, writer)), SystemTime::now()))
            }
        }
    }

    fn create(&self, key: CacheKey, begun: &CrawlOrigin, opened: &Opened) -> io::Result<(Writer, Log)> {
        let begun = to_raw_value(begun)?;
        let facts = SnapshotFacts {
            collection: self.to.display().to_string(),
            created: SystemTime::now(),
            valid_at: opened.valid_at(),
            etag: None,
            last_modified: None,
            total: opened.total(),
            storage: FileStorage::Allowed,
            reader: None,
        };
        let birth = Birth { key, facts, retention: Retention::Private, begun };
        snapshot::create_single_file(self.lines.clone(), self.journal.clone(), &birth)
    }

    /// Follows the log to its end, and gives the file its name.
    async fn follow(
        &self,
        log: &Log,
        mut reader: Reader,
        format: &OutputFormat,
        progress: &mut ProgressLine,
        since: &mut Option<SinceFile>,
    ) -> FetchEnd {
        let had = log.extent();
        let mut check = format.check(RecordOffset { record: had.records, byte: had.bytes });
        loop {
            match reader.next().await {
                Ok(ReaderEvent::Bytes(bytes)) => {
                    progress.add(memchr::memchr_iter(b'\n', &bytes).count() as u64, bytes.len() as u64);
                    if let Some(Err(ended)) = since.as_mut().map(|since| since.add(&bytes)) {
                        return ended;
                    }
                    if let Err(error) = check.pass(&bytes) {
                        return FetchEnd::Unencodable(error);
                    }
                }
                Ok(ReaderEvent::Complete(verdict)) => {
                    let finished = self.finish(log, format).await;
                    return finished.map_or_else(
                        |ended| ended,
                        |column_use| FetchEnd::Complete(verdict, column_use.map(Box::new)),
                    );
                }
                Ok(ReaderEvent::Stop) => return FetchEnd::Interrupted,
                Err(failure) if self.is_short(log) => {
                    return FetchEnd::Unwritable(io::Error::other(failure.message.clone()));
                }
                Err(failure) => return FetchEnd::Broken((*failure).clone()),
            }
        }
    }

    /// Returns true if records are missing in the file.
    fn is_short(&self, log: &Log) -> bool {
        fs::metadata(&self.lines).map_or(true, |lines| lines.len() < log.extent().bytes)
    }

    /// Gives the file its name, if the log has all bytes.
    async fn finish(&self, log: &Log, format: &OutputFormat) -> Result<Option<ColumnUse>, FetchEnd> {
        let commit = |whole, rest: &[&Path]| {
            if fs::metadata(&self.lines)?.len() != log.extent().bytes {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "not all of the records could be written"));
            }
            if let Ok(before) = fs::metadata(&self.to) {
                fs::set_permissions(whole, before.permissions())?;
            }
            snapshot::commit_single_file(whole, &self.to, rest)
        };
        let (committed, column_use) = if format.is_that_of_the_log() {
            (commit(&self.lines, &[&self.journal]), None)
        } else {
            let column_use = format.encode(log, &self.encoded).await?;
            // First the lines: without their journal they could not be told from a file of another program.
            (commit(&self.encoded, &[&self.lines, &self.journal]), column_use)
        };
        committed.map(|()| column_use).map_err(|error| FetchEnd::Unwritable(self.named(&error)))
    }

    /// Describes files that are not complete.
    fn left(&self, ended: &FetchEnd, notes: CheckpointPolicy, log: &Log) -> String {
        let part = self.lines.display();
        if matches!(ended, FetchEnd::Unencodable(_)) {
            return format!("{part} holds the records, and the same command goes on with another --format");
        }
        if matches!(log.extent().seal, Some(Seal::Complete(_))) {
            return format!("{part} holds all records, and the same command writes them without a request");
        }
        let is_transient = !matches!(ended, FetchEnd::Broken(failure) if !failure.fault.is_transient());
        match notes {
            CheckpointPolicy::Made if is_transient => {
                format!("{part} holds whole pages, and the same command resumes after them")
            }
            CheckpointPolicy::Made | CheckpointPolicy::None => {
                format!("{part} is incomplete, and the same command starts again from the first page")
            }
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.lines.display()))
    }
}
