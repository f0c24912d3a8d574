//! `unpage fetch`: a collection as NDJSON, without a server.

mod file;

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::progress::Progress;
use super::serve::stopped;
use super::target::Target;
use super::{Exit, logging};
use crate::crawl::Crawl;
use crate::error::Failure;
use crate::snapshot::{self, Reader, ReaderEvent, Verdict};
use file::{Fetched, Fields, Part};

/// How many bytes of records may wait for the output.
const WINDOW: u64 = 1 << 20;

/// What `--help` ends with: scripts act on the code.
const EXIT_CODES: &str = "Exit codes: 0 complete; 1 the output can't be written; 2 wrong arguments; 3 the first page was refused or is no page; \
4 the stream broke or was interrupted; 5 the end is not proven, or the pagination was not recognised; 6 --max-records was reached. \
After any code but 0 what was written is not the whole collection.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Write to this file instead of stdout; until it is complete it is FILE.part, where the same command goes on
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Stop after so many records; exits with 6 if there are more
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    max_records: Option<u64>,
    /// Go on with FILE.part although it was begun with other header fields, as where a token was renewed
    #[arg(long, requires = "output")]
    changed_headers: bool,
    /// Say on stderr what is asked and found
    #[arg(long, short)]
    verbose: bool,
}

/// How the copying ended.
enum Ended {
    /// Nothing came.
    Refused(Failure),
    /// The file that is there has another collection's records.
    Another(PathBuf),
    /// It was begun with other header fields.
    OtherFields(PathBuf),
    /// Its cache key has this version, which is newer than [`KEY_VERSION`](crate::cache_key::KEY_VERSION).
    NewerKey(PathBuf, u32),
    /// Nobody knows what it has.
    Foreign(PathBuf),
    Complete(Verdict),
    Capped(u64),
    Broken(Failure),
    Interrupted,
    Unwritable(io::Error),
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    // The end is told by the last line; what the crawl says of it would only repeat that.
    logging::init(if arguments.verbose { "info" } else { "warn,unpage::crawl=off,unpage::crawl::attempts=warn" });
    let mut crawl = match arguments.target.crawl() {
        Ok(crawl) => crawl,
        Err(what) => {
            eprintln!("error: {what}");
            return Exit::Usage;
        }
    };
    let part = arguments.output.as_deref().filter(|file| arguments.max_records.is_none() && may_be_renamed_to(file));
    if let Some(file) = part {
        let fields = if arguments.changed_headers { Fields::Changed } else { Fields::AsBegun };
        let Fetched { ended, records, left } = Part::of(file).fetch(crawl, fields).await;
        return report(&ended, records, &left);
    }
    if arguments.max_records.is_some() {
        // What is asked for early would most likely not be needed.
        crawl.width = 1;
    }
    let (ended, records) = stream(crawl, arguments.output.as_deref(), arguments.max_records).await;
    report(&ended, records, "what was written is incomplete, and the last of it is held back")
}

/// A device or a pipe keeps its name: nothing can take its place.
fn may_be_renamed_to(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |metadata| metadata.is_file())
}

/// Writes the records as they come; what was written is not gone on with.
async fn stream(crawl: Crawl, file: Option<&Path>, max_records: Option<u64>) -> (Ended, u64) {
    let opened = match crawl.open().await {
        Ok(opened) => opened,
        Err(failure) => return (Ended::Refused(failure), 0),
    };
    let mut output = match output(file).await {
        Ok(output) => output,
        Err(error) => return (Ended::Unwritable(error), 0),
    };
    let mut progress = Progress::new(opened.total(), 0, 0).of(opened.usage());
    let (writer, log) = snapshot::transient_log(WINDOW);
    let reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
    let crawling = tokio::spawn(opened.run(writer));
    let ended = tokio::select! {
        ended = copy(reader, &mut output, max_records, &mut progress) => ended,
        () = stopped() => Ended::Interrupted,
    };
    progress.clear();
    crawling.abort();
    let records = if matches!(ended, Ended::Broken(_)) { log.extent().records } else { progress.records() };
    (ended, records)
}

async fn copy(
    mut reader: Reader,
    output: &mut (impl AsyncWrite + Unpin),
    max_records: Option<u64>,
    progress: &mut Progress,
) -> Ended {
    loop {
        let bytes = match reader.next().await {
            Ok(ReaderEvent::Bytes(bytes)) => bytes,
            Ok(ReaderEvent::Complete(verdict)) => return Ended::Complete(verdict),
            Ok(ReaderEvent::Stop) => return Ended::Interrupted,
            Err(failure) => return Ended::Broken((*failure).clone()),
        };
        let left = max_records.map_or(u64::MAX, |most| most - progress.records());
        // Of a record that isn't wanted, the first byte tells that there is more.
        let wanted = lines(&bytes, left);
        if let Err(error) = write(output, &bytes[..wanted], progress).await {
            return Ended::Unwritable(error);
        }
        if wanted < bytes.len() {
            return Ended::Capped(progress.records());
        }
    }
}

/// How many of the bytes stand before the end of the line with this number, its newline included.
fn lines(bytes: &[u8], most: u64) -> usize {
    let Some(before_last) = most.checked_sub(1) else { return 0 };
    let newline = usize::try_from(before_last).ok().and_then(|nth| memchr::memchr_iter(b'\n', bytes).nth(nth));
    newline.map_or(bytes.len(), |at| at + 1)
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8], progress: &mut Progress) -> io::Result<()> {
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

/// Says on stderr how it ended, and what the output is worth.
fn report(ended: &Ended, records: u64, left: &str) -> Exit {
    match ended {
        Ended::Refused(failure) => {
            tell(failure);
            eprintln!("not started: no record was written");
            Exit::not_opened(failure)
        }
        Ended::Another(part) => {
            eprintln!("error: {} has the records of another collection, or of another way to walk it", part.display());
            eprintln!("hint: ask as it was begun, delete it, or name another --output");
            Exit::Usage
        }
        Ended::OtherFields(part) => {
            eprintln!(
                "error: {} was begun with other header fields, and may have what somebody else may see",
                part.display()
            );
            eprintln!(
                "hint: --changed-headers goes on all the same, as where a token was renewed; or delete it, or name another --output"
            );
            Exit::Usage
        }
        Ended::NewerKey(part, version) => {
            eprintln!("error: {} was begun by a newer unpage: its cache key has version {version}", part.display());
            eprintln!("hint: resume it with that unpage, delete it, or name another --output");
            Exit::Usage
        }
        Ended::Foreign(part) => {
            eprintln!("error: {} is there, and nothing beside it says what it has", part.display());
            eprintln!("hint: delete it, or name another --output");
            Exit::Usage
        }
        Ended::Complete(verdict) => {
            eprintln!("complete: {verdict}");
            Exit::Complete
        }
        Ended::Capped(most) => {
            eprintln!("stopped: {} as --max-records says; this is not the whole collection", counted(*most));
            Exit::Capped
        }
        Ended::Broken(failure) if records == 0 => {
            tell(failure);
            eprintln!("not started: no record was written");
            Exit::not_opened(failure)
        }
        Ended::Broken(failure) => {
            tell(failure);
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::broken(failure)
        }
        Ended::Interrupted => {
            eprintln!("broken: interrupted after {}; {left}", counted(records));
            Exit::Broken
        }
        // Whoever closed the pipe knows that they did.
        Ended::Unwritable(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Output,
        Ended::Unwritable(error) => {
            eprintln!("error: the output can't be written: {error}");
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::Output
        }
    }
}

fn counted(records: u64) -> String {
    format!("{records} record{}", if records == 1 { "" } else { "s" })
}

fn tell(failure: &Failure) {
    eprintln!("error: {failure}\nfault: {}\nhint: {}", failure.fault.name(), failure.hint);
}
