//! `unpage fetch`: a collection as NDJSON, without a server.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Exit;
use super::progress::Progress;
use super::serve::stopped;
use super::target::Target;
use crate::snapshot::{self, Failure, Next, Reader, Verdict};
use crate::telemetry;

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
    /// Write to this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Stop after so many records; exits with 6 if there are more
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    max_records: Option<u64>,
    /// Say on stderr what is asked and found
    #[arg(long, short)]
    verbose: bool,
}

/// How the copying ended.
enum Ended {
    Complete(Verdict),
    Capped(u64),
    Broken(Failure),
    Interrupted,
    Unwritable(io::Error),
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    // The end is told by the last line; what the crawl says of it would only repeat that.
    telemetry::init(if arguments.verbose { "info" } else { "warn,unpage::crawl=off,unpage::crawl::fetch=warn" });
    let mut crawl = match arguments.target.crawl() {
        Ok(crawl) => crawl,
        Err(what) => {
            eprintln!("error: {what}");
            return Exit::Usage;
        }
    };
    if arguments.max_records.is_some() {
        // What is asked for early would most likely not be needed.
        crawl.width = 1;
    }
    let opened = match crawl.open().await {
        Ok(opened) => opened,
        Err(failure) => {
            tell(&failure);
            eprintln!("not started: no record was written");
            return Exit::not_opened(&failure);
        }
    };
    let mut output = match output(arguments.output.as_deref()).await {
        Ok(output) => output,
        Err(error) => {
            eprintln!("error: {}: {error}", arguments.output.unwrap_or_default().display());
            return Exit::Output;
        }
    };
    let mut progress = Progress::new(opened.total());
    let (writer, log) = snapshot::unkept(WINDOW);
    let reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
    let crawling = tokio::spawn(opened.run(writer));
    let ended = tokio::select! {
        ended = copy(reader, &mut output, arguments.max_records, &mut progress) => ended,
        () = stopped() => Ended::Interrupted,
    };
    progress.clear();
    crawling.abort();
    report(&ended, progress.records())
}

async fn copy(
    mut reader: Reader,
    output: &mut (impl AsyncWrite + Unpin),
    max_records: Option<u64>,
    progress: &mut Progress,
) -> Ended {
    loop {
        let bytes = match reader.next().await {
            Ok(Next::Bytes(bytes)) => bytes,
            Ok(Next::Complete(verdict)) => return Ended::Complete(verdict),
            Ok(Next::Stop) => return Ended::Interrupted,
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
        Some(file) => Box::new(tokio::fs::File::create(file).await?),
        None => Box::new(tokio::io::stdout()),
    })
}

fn report(ended: &Ended, records: u64) -> Exit {
    match ended {
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
            let records = counted(records);
            eprintln!("broken: after {records}; what was written is incomplete, and the last of it is held back");
            Exit::broken(failure)
        }
        Ended::Interrupted => {
            eprintln!("broken: interrupted after {}; what was written is incomplete", counted(records));
            Exit::Broken
        }
        // Whoever closed the pipe knows that they did.
        Ended::Unwritable(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Output,
        Ended::Unwritable(error) => {
            eprintln!("error: the output can't be written: {error}");
            eprintln!("broken: after {}; what was written is incomplete", counted(records));
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
