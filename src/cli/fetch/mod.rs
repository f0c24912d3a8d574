//! `unpage fetch`: a collection as NDJSON, without a server.

mod file_keys;
mod part_file;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::crawl_args::CrawlArguments;
use super::failure_lines::tell;
use super::progress_line::ProgressLine;
use super::stop_signals::stopped;
use super::{Exit, logging};
use crate::crawl::{Crawl, Opened};
use crate::error::{Failure, Fault};
use crate::pagination::verdict::{Consistency, Verdict};
use crate::pagination::{LonePage, PaginationAuthor};
use crate::snapshot::{self, Reader, ReaderEvent};
use part_file::{Fetched, HeaderPolicy, PartialFile};

/// Bytes of records that may wait for the output.
const WINDOW: u64 = 1 << 20;

const EXAMPLES: &str = "Examples:
  unpage fetch 'https://api.github.com/repos/rust-lang/rust/issues?state=all' --bearer-env GITHUB_TOKEN --output issues.ndjson
  unpage fetch https://api.example.com/orders --records data --pagination '{ type = \"cursor\", next = \"next\", param = \"after\" }'
  unpage fetch --config unpage.toml '/orders?status=open' --output orders.ndjson";

const AFTER_HELP: &str = "Exit codes: 0 complete; 1 the output can't be written; 2 wrong arguments; 3 the first page was refused or is no page; \
4 the stream broke or was interrupted; 5 the end is not proven, or the pagination was not recognised; 6 --max-records was reached; \
7 records moved while they were read, and some may be missing. After any code but 0 what was written is not the whole collection.";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER_HELP)]
pub(super) struct FetchArguments {
    #[command(flatten)]
    target: CrawlArguments,
    /// Write to this file instead of stdout; until it is complete it is FILE.part, which the same command resumes
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Stop after this number of records; exits with 6 if there are more
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    max_records: Option<u64>,
    /// Resume FILE.part although it was begun with other header fields, as after a renewed token
    #[arg(long, requires = "output")]
    changed_headers: bool,
    /// Begin anew, and delete FILE.part of an earlier run
    #[arg(long, requires = "output")]
    restart: bool,
    /// A page without a sign of pagination: `break` writes its records and exits with 5, `accept` takes it for the whole collection and exits
    /// with 0, `refuse` writes nothing [default: break]
    #[arg(long, value_name = "refuse|break|accept", value_parser = lone_page)]
    single_page: Option<LonePage>,
    /// Log requests and findings on stderr
    #[arg(long, short)]
    verbose: bool,
}

enum FetchEnd {
    /// The crawl could not start.
    Refused(Failure),
    /// The partial file has another collection's records.
    Another(PathBuf),
    /// The partial file was begun with other header fields.
    OtherFields(PathBuf),
    /// Its cache key has this version, which is newer than [`KEY_VERSION`](crate::cache_key::KEY_VERSION).
    NewerKey(PathBuf, u32),
    /// The partial file has no journal.
    Foreign(PathBuf),
    Complete(Verdict),
    Capped(u64),
    Broken(Failure),
    Interrupted,
    Unwritable(io::Error),
}

pub(super) async fn run(arguments: FetchArguments) -> Exit {
    // The last line tells the end; the crawl's own log line would repeat it.
    logging::init(if arguments.verbose { "info" } else { "warn,unpage::crawl::run_into_log=off" });
    let mut crawl = match arguments.target.crawl() {
        Ok((crawl, _)) => crawl,
        Err(what) => {
            eprintln!("error: {what}");
            return Exit::Usage;
        }
    };
    let pagination = Arc::make_mut(&mut crawl.pagination);
    let may_be_recognised = pagination.style.is_auto() || pagination.author == PaginationAuthor::HostPreset;
    if let Some(policy) = arguments.single_page {
        pagination.single_page = policy;
    } else if may_be_recognised && pagination.single_page == LonePage::Refuse {
        pagination.single_page = LonePage::Break;
    }
    let file = arguments.output.as_deref();
    if let Some(file) = file.filter(|file| arguments.max_records.is_some() && has_content(file)) {
        eprintln!("error: {} exists, and --max-records would replace it with a part of the collection", file.display());
        eprintln!("hint: name another --output, or delete the file");
        return Exit::Usage;
    }
    if let Some(file) = file.filter(|_| arguments.restart)
        && let Err(error) = PartialFile::of(file).discard()
    {
        return report(&FetchEnd::Unwritable(error), 0, "nothing was deleted");
    }
    let part = file.filter(|file| arguments.max_records.is_none() && may_be_renamed_to(file));
    if let Some(file) = part {
        let fields = if arguments.changed_headers { HeaderPolicy::Changed } else { HeaderPolicy::AsBegun };
        let Fetched { ended, records, left } = PartialFile::of(file).fetch(crawl, fields).await;
        return report(&ended, records, &left);
    }
    if arguments.max_records.is_some() {
        // Pages that are requested ahead would most likely not be needed.
        crawl.width = 1;
    }
    let (ended, records) = stream(crawl, arguments.output.as_deref(), arguments.max_records).await;
    report(&ended, records, "what was written is incomplete, and its last records are held back")
}

/// Returns false for a device or a pipe, which no file can replace.
fn may_be_renamed_to(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |metadata| metadata.is_file())
}

fn lone_page(word: &str) -> Result<LonePage, String> {
    match word {
        "refuse" => Ok(LonePage::Refuse),
        "break" => Ok(LonePage::Break),
        "accept" => Ok(LonePage::Accept),
        _ => Err(format!("unknown single page {word:?}: one of refuse, break, accept")),
    }
}

/// Returns true for a regular file that is not empty.
fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

/// Writes the records as they come, to an output that can't be resumed.
async fn stream(crawl: Crawl, file: Option<&Path>, max_records: Option<u64>) -> (FetchEnd, u64) {
    let mut stop = pin!(stopped());
    let opened = match unless_stopped(crawl.open(), stop.as_mut()).await {
        Ok(opened) => opened,
        Err(ended) => return (ended, 0),
    };
    let mut output = match output(file).await {
        Ok(output) => output,
        Err(error) => return (FetchEnd::Unwritable(error), 0),
    };
    let mut progress = ProgressLine::new(opened.total(), 0, 0).of(opened.usage());
    let (writer, log) = snapshot::transient_log(WINDOW);
    let reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
    let crawling = tokio::spawn(opened.run(writer));
    let ended = tokio::select! {
        ended = copy(reader, &mut output, max_records, &mut progress) => ended,
        () = stop => FetchEnd::Interrupted,
    };
    progress.clear();
    crawling.abort();
    let records = if matches!(ended, FetchEnd::Broken(_)) { log.extent().records } else { progress.records() };
    (ended, records)
}

/// Waits for a crawl to be opened, which takes whole reads where it is verified.
async fn unless_stopped(
    opening: impl Future<Output = Result<Opened, Failure>>,
    stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Opened, FetchEnd> {
    tokio::select! {
        opened = opening => opened.map_err(FetchEnd::Refused),
        () = stop => Err(FetchEnd::Interrupted),
    }
}

async fn copy(
    mut reader: Reader,
    output: &mut (impl AsyncWrite + Unpin),
    max_records: Option<u64>,
    progress: &mut ProgressLine,
) -> FetchEnd {
    loop {
        let bytes = match reader.next().await {
            Ok(ReaderEvent::Bytes(bytes)) => bytes,
            Ok(ReaderEvent::Complete(verdict)) => return FetchEnd::Complete(verdict),
            Ok(ReaderEvent::Stop) => return FetchEnd::Interrupted,
            Err(failure) => return FetchEnd::Broken((*failure).clone()),
        };
        let left = max_records.map_or(u64::MAX, |most| most - progress.records());
        // The first byte of a further record proves that there is more.
        let wanted = lines(&bytes, left);
        if let Err(error) = write(output, &bytes[..wanted], progress).await {
            return FetchEnd::Unwritable(error);
        }
        if wanted < bytes.len() {
            return FetchEnd::Capped(progress.records());
        }
    }
}

/// Returns the number of bytes up to and with the newline of the line number `most`.
fn lines(bytes: &[u8], most: u64) -> usize {
    let Some(before_last) = most.checked_sub(1) else { return 0 };
    let newline = usize::try_from(before_last).ok().and_then(|nth| memchr::memchr_iter(b'\n', bytes).nth(nth));
    newline.map_or(bytes.len(), |at| at + 1)
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8], progress: &mut ProgressLine) -> io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await?;
    progress.add(memchr::memchr_iter(b'\n', bytes).count() as u64, bytes.len() as u64);
    Ok(())
}

async fn output(file: Option<&Path>) -> io::Result<Box<dyn AsyncWrite + Unpin>> {
    Ok(match file {
        Some(file) => {
            let created = tokio::fs::File::create(file).await;
            Box::new(created.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?)
        }
        None => Box::new(tokio::io::stdout()),
    })
}

/// Prints the end on stderr, and the state of the output.
fn report(ended: &FetchEnd, records: u64, left: &str) -> Exit {
    match ended {
        FetchEnd::Refused(failure) => {
            tell::<FetchArguments>(failure);
            eprintln!("not started: no record was written");
            Exit::not_opened(failure)
        }
        FetchEnd::Another(part) => {
            eprintln!("error: {} holds another collection, or one with another pagination", part.display());
            eprintln!(
                "hint: use the URL and the options that it was begun with; or delete it by --restart, or name another --output"
            );
            Exit::Usage
        }
        FetchEnd::OtherFields(part) => {
            eprintln!(
                "error: {} was begun with other header fields, and may hold the records of another user",
                part.display()
            );
            eprintln!(
                "hint: --changed-headers resumes it nevertheless, as after a renewed token; or delete it by --restart, or name another --output"
            );
            Exit::Usage
        }
        FetchEnd::NewerKey(part, version) => {
            eprintln!("error: {} was begun by a newer unpage: its cache key has version {version}", part.display());
            eprintln!("hint: resume it with that unpage, delete it by --restart, or name another --output");
            Exit::Usage
        }
        FetchEnd::Foreign(part) => {
            eprintln!("error: {} exists, and no journal beside it says what it holds", part.display());
            eprintln!("hint: delete it by --restart, or name another --output");
            Exit::Usage
        }
        FetchEnd::Complete(verdict) => {
            if matches!(verdict.consistency, Consistency::Moved { .. }) {
                eprintln!("warning: --on-missed report accepts a list that may have lost records");
            }
            eprintln!("complete: {verdict}");
            Exit::Complete
        }
        FetchEnd::Capped(most) => {
            eprintln!("stopped: {} as --max-records says; this is not the whole collection", counted(*most));
            Exit::Capped
        }
        FetchEnd::Broken(failure) if records == 0 && failure.fault != Fault::Moved => {
            tell::<FetchArguments>(failure);
            eprintln!("not started: no record was written");
            Exit::not_opened(failure)
        }
        FetchEnd::Broken(failure) => {
            tell::<FetchArguments>(failure);
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::broken(failure)
        }
        FetchEnd::Interrupted => {
            eprintln!("broken: interrupted after {}; {left}", counted(records));
            Exit::Broken
        }
        // The reader closed the pipe itself.
        FetchEnd::Unwritable(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Output,
        FetchEnd::Unwritable(error) => {
            eprintln!("error: the output can't be written: {error}");
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::Output
        }
    }
}

fn counted(records: u64) -> String {
    format!("{records} record{}", if records == 1 { "" } else { "s" })
}
