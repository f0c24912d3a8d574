//! `unpage fetch`: a collection as NDJSON, without a server.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Exit;
use super::progress::Progress;
use super::serve::stopped;
use super::target::Target;
use crate::batch::Batch;
use crate::response::HoldBack;
use crate::snapshot::{Failure, Next, Reader, Verdict};
use crate::telemetry;

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
    let (reader, rest) = opened.start();
    let crawling = tokio::spawn(rest);
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
    let mut hold = HoldBack::default();
    loop {
        let written = match reader.next().await {
            Ok(Next::Batch(batch)) => {
                let left = max_records.map_or(u64::MAX, |most| most - progress.records());
                let capped = batch.records() > left;
                let batch = batch.take(left);
                let pieces = hold.push(&batch);
                let written = write(output, &pieces, &batch, progress).await;
                match written {
                    Ok(()) if capped => {
                        let last = write(output, &[hold.finish()], &Batch::default(), progress).await;
                        return last.map_or_else(Ended::Unwritable, |()| Ended::Capped(progress.records()));
                    }
                    written => written,
                }
            }
            Ok(Next::Complete(verdict)) => {
                let last = write(output, &[hold.finish()], &Batch::default(), progress).await;
                return last.map_or_else(Ended::Unwritable, |()| Ended::Complete(verdict));
            }
            Err(failure) => return Ended::Broken((*failure).clone()),
        };
        if let Err(error) = written {
            return Ended::Unwritable(error);
        }
    }
}

async fn write(
    output: &mut (impl AsyncWrite + Unpin),
    pieces: &[bytes::Bytes],
    batch: &Batch,
    progress: &mut Progress,
) -> io::Result<()> {
    for piece in pieces {
        output.write_all(piece).await?;
    }
    output.flush().await?;
    progress.add(batch.records(), batch.lines().len() as u64);
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
