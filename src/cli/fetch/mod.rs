//! `unpage fetch`: a collection without a server.

mod existing_files;
mod file_keys;
mod output_format;
mod part_file;
mod report;
mod since_file;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::io::AsyncWrite;

use super::crawl_args::CrawlArguments;
use super::progress_line::ProgressLine;
use super::stop_signals::stopped;
use super::{Exit, logging};
use crate::crawl::{Crawl, Opened};
use crate::error::Failure;
use crate::format::{ColumnNames, FieldNames, Format};
use crate::pagination::{LonePage, PaginationAuthor};
use crate::snapshot::{self, Reader, ReaderEvent};
use existing_files::HeaderPolicy;
use output_format::{OutputEncoder, OutputFormat};
use part_file::{Fetched, PartialFile};
use report::{FetchEnd, counted, report};
use since_file::SinceFile;

/// Bytes of records that may wait for the output.
const WINDOW: u64 = 1 << 20;

const EXAMPLES: &str = "Examples:
  unpage fetch 'https://api.github.com/repos/rust-lang/rust/issues?state=all' --bearer-env GITHUB_TOKEN --output issues.ndjson
  unpage fetch https://api.example.com/orders --records data --pagination '{ type = \"cursor\", next = \"next\", param = \"after\" }'
  unpage fetch --config unpage.toml '/orders?status=open' --columns id,customer.email,total --output orders.csv.gz";

const AFTER_HELP: &str = "Exit codes: 0 complete; 1 the output can't be written; 2 wrong arguments; 3 the first page was refused or is no page; \
4 the stream broke or was interrupted; 5 the end is not proven, or the pagination was not recognised; 6 --max-records was reached; \
7 records moved while they were read, and some may be missing. After any code but 0 what was written is not the whole collection.";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER_HELP)]
#[command(group = clap::ArgGroup::new("kept").args(["output", "since_from"]).multiple(true))]
pub(super) struct FetchArguments {
    #[command(flatten)]
    target: CrawlArguments,
    /// Write to this file instead of stdout; until it is complete its records are in FILE.part, which the same command resumes. A name that ends
    /// with `.csv`, `.tsv`, `.json`, `.geojson` or `.parquet` says the format, and `.gz` or `.zst` behind it the compression
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format of the output: `ndjson`, `json`, `geojson`, `json-seq`, `geojson-seq`, `csv`, `csv-excel`, `tsv`, `arrow` or `parquet` [default: by the name of the
    /// file, or ndjson]
    #[arg(long, value_name = "NAME", value_parser = format)]
    format: Option<Format>,
    /// Columns of a table: paths, separated by commas; `_more` as the last one keeps all other values [default: those of the first records]
    #[arg(long, value_name = "PATH,PATH")]
    columns: Option<ColumnNames>,
    /// Members of each record that are written, of a format without columns: paths, separated by commas [default: all]
    #[arg(long, value_name = "PATH,PATH")]
    fields: Option<FieldNames>,
    /// Stop after this number of records; exits with 6 if there are more
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    max_records: Option<u64>,
    /// Resume FILE.part, and take the file of --since-from, although they are of other header fields, as after a renewed token
    #[arg(long, requires = "kept")]
    changed_headers: bool,
    /// Begin anew, and delete FILE.part of an earlier run
    #[arg(long, requires = "output")]
    restart: bool,
    /// Begin behind the greatest value of the `since` field that earlier runs have seen: FILE keeps it after each complete run, and the first one reads
    /// all
    #[arg(long, value_name = "FILE", conflicts_with = "max_records")]
    since_from: Option<PathBuf>,
    /// A page without a sign of pagination: `break` writes its records and exits with 5, `accept` takes it for the whole collection and exits
    /// with 0, `refuse` writes nothing [default: break]
    #[arg(long, value_name = "refuse|break|accept", value_parser = lone_page)]
    single_page: Option<LonePage>,
    /// Log requests and findings on stderr
    #[arg(long, short)]
    verbose: bool,
}

pub(super) async fn run(mut arguments: FetchArguments) -> Exit {
    arguments.output = arguments.output.filter(|file| file != Path::new("-"));
    // The last line tells the end; the crawl's own log line would repeat it.
    logging::init(if arguments.verbose { "info" } else { "warn,unpage::crawl::run_into_log=off" });
    let crawl = arguments.target.crawl().and_then(|(crawl, collection)| {
        let file = arguments.output.as_deref();
        Ok((
            crawl,
            OutputFormat::new(
                arguments.format,
                file,
                arguments.columns,
                arguments.fields,
                collection.columns.as_ref(),
            )?,
        ))
    });
    let (mut crawl, format) = match crawl {
        Ok(crawl) => crawl,
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
    let fields = if arguments.changed_headers { HeaderPolicy::Changed } else { HeaderPolicy::AsBegun };
    let file = arguments.output.as_deref();
    let outputs = PartialFile::of(file.unwrap_or_else(|| Path::new("/dev/stdout")));
    let since = arguments.since_from.as_deref();
    let since = since.map(|since| SinceFile::begin(since, &outputs.files(), fields, &mut crawl));
    let mut since = match since.transpose() {
        Ok(since) => since,
        Err(what) => {
            eprintln!("error: --since-from: {what}");
            return Exit::Usage;
        }
    };
    if let Some(file) = file.filter(|file| arguments.max_records.is_some() && has_content(file)) {
        eprintln!("error: {} exists, and --max-records would replace it with a part of the collection", file.display());
        eprintln!("hint: name another --output, or delete the file");
        return Exit::Usage;
    }
    let part = file.filter(|file| arguments.max_records.is_none() && may_be_renamed_to(file));
    if part.is_none() && format.needs_all() {
        eprintln!("error: parquet is written when all records are there, and they wait in a file");
        eprintln!("hint: name a file with --output, without --max-records");
        return Exit::Usage;
    }
    if let Some(file) = file.filter(|_| arguments.restart)
        && let Err(error) = PartialFile::of(file).discard()
    {
        return report(&FetchEnd::Unwritable(error), 0, "nothing was deleted");
    }
    if let Some(file) = part {
        let Fetched { ended, records, left } = PartialFile::of(file).fetch(crawl, fields, &format, &mut since).await;
        return report(&SinceFile::kept(since, ended), records, &left);
    }
    if arguments.max_records.is_some() {
        // Pages that are requested ahead would most likely not be needed.
        crawl.width = 1;
    }
    let (ended, records) =
        stream(crawl, arguments.output.as_deref(), &format, arguments.max_records, since.as_mut()).await;
    report(
        &SinceFile::kept(since, ended),
        records,
        "what was written is incomplete, and its last records are held back",
    )
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

fn format(name: &str) -> Result<Format, String> {
    let names = || Format::ALL.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
    Format::of_name(name)
        .map(|(format, _)| format)
        .ok_or_else(|| format!("unknown format {name:?}: one of {}", names()))
}

/// Returns true for a regular file that is not empty.
fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

/// Writes the records as they come, to an output that can't be resumed.
async fn stream(
    crawl: Crawl,
    file: Option<&Path>,
    format: &OutputFormat,
    max_records: Option<u64>,
    since: Option<&mut SinceFile>,
) -> (FetchEnd, u64) {
    let mut stop = pin!(stopped());
    let opened = match unless_stopped(crawl.open(), stop.as_mut()).await {
        Ok(opened) => opened,
        Err(ended) => return (ended, 0),
    };
    let mut output = match output(file).await {
        Ok(file) => Output { file, encoder: format.encoder(), max_records },
        Err(error) => return (FetchEnd::Unwritable(error), 0),
    };
    let mut progress = ProgressLine::new(opened.total(), 0, 0).of(opened.usage());
    let (writer, log) = snapshot::transient_log(WINDOW);
    let reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
    let crawling = tokio::spawn(opened.run(writer));
    let ended = tokio::select! {
        ended = output.copy(reader, &mut progress, since) => ended,
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

/// Output that can't be resumed.
struct Output {
    file: Box<dyn AsyncWrite + Unpin>,
    encoder: OutputEncoder,
    max_records: Option<u64>,
}

impl Output {
    async fn copy(
        &mut self,
        mut reader: Reader,
        progress: &mut ProgressLine,
        mut since: Option<&mut SinceFile>,
    ) -> FetchEnd {
        loop {
            let bytes = match reader.next().await {
                Ok(ReaderEvent::Bytes(bytes)) => bytes,
                Ok(ReaderEvent::Complete(verdict)) => {
                    let finished = self.finish().await;
                    return finished.map_or_else(
                        |ended| ended,
                        |()| FetchEnd::Complete(verdict, self.encoder.column_use().map(Box::new)),
                    );
                }
                Ok(ReaderEvent::Stop) => return FetchEnd::Interrupted,
                Err(failure) => return FetchEnd::Broken((*failure).clone()),
            };
            if let Some(Err(ended)) = since.as_mut().map(|since| since.add(&bytes)) {
                return ended;
            }
            let left = self.max_records.map_or(u64::MAX, |most| most - progress.records());
            // The first byte of a further record proves that there is more.
            let wanted = lines(&bytes, left);
            if let Err(ended) = self.encoder.write(&bytes[..wanted], &mut self.file).await {
                return ended;
            }
            progress.add(memchr::memchr_iter(b'\n', &bytes[..wanted]).count() as u64, wanted as u64);
            if wanted < bytes.len() {
                // So many records were asked for: they are whole in each format, and the exit status says that there are more.
                return self.finish().await.map_or_else(|ended| ended, |()| FetchEnd::Capped(progress.records()));
            }
        }
    }

    async fn finish(&mut self) -> Result<(), FetchEnd> {
        self.encoder.finish(&mut self.file).await
    }
}

/// Returns the number of bytes up to and with the newline of the line number `most`.
fn lines(bytes: &[u8], most: u64) -> usize {
    let Some(before_last) = most.checked_sub(1) else { return 0 };
    let newline = usize::try_from(before_last).ok().and_then(|nth| memchr::memchr_iter(b'\n', bytes).nth(nth));
    newline.map_or(bytes.len(), |at| at + 1)
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
