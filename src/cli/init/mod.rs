//! `unpage init`: a configuration for a URL, or for the lists of an OpenAPI document, each line of which says how it is known.

mod openapi;
mod schema_sample;
mod written_file;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::crawl_args::CrawlArguments;
use super::failure_lines::tell;
use super::{Exit, logging};
use crate::config::{Config, Machine, toml_quoted};
use crate::crawl::{Crawl, Opened};
use crate::error::Failure;
use crate::pagination::LonePage;
use crate::pagination::request::RequestBody;
use crate::snapshot::{self, ReaderEvent};
use written_file::{Evidence, Given, GivenBody};

/// Bytes of records that are looked at.
const LOOKED_AT: u64 = 1 << 20;

/// Pages of records that are looked at, as far as they fit.
const PAGES: u64 = 2;

const EXAMPLES: &str = "Examples:
  unpage init 'https://api.example.com/orders?limit=100' --bearer-env TOKEN > unpage.toml
  unpage init 127.0.0.1:9000/orders --output unpage.toml && unpage serve unpage.toml
  unpage init --openapi https://api.example.com/openapi.json > unpage.toml";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct InitArguments {
    #[command(flatten)]
    target: CrawlArguments,
    /// The URL, or a file in its place, is an OpenAPI document in JSON: write a collection for each list in it, and ask for none of them
    #[arg(long)]
    openapi: bool,
    /// File for the configuration, which must not exist yet [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Text of a configuration, and whether its end is proven.
struct Written {
    text: String,
    exit: Exit,
}

pub(super) async fn run(InitArguments { target, openapi, output }: InitArguments) -> Exit {
    logging::init("warn");
    if let Some(file) = output.as_deref().filter(|file| file.exists()) {
        eprintln!(
            "error: {} exists, and is never replaced\nhint: name another --output, or delete the file",
            file.display()
        );
        return Exit::Output;
    }
    let written = if openapi { of_document(target).await } else { of_url(target).await };
    let Written { text, exit } = match written {
        Ok(written) => written,
        Err(exit) => return exit,
    };
    if let Err(mistakes) = Config::read(&text, "the configuration", &Machine) {
        eprintln!("error: what was found, with the options, makes no configuration that can be read:\n{mistakes}");
        return Exit::Usage;
    }
    match write(output.as_deref(), &text) {
        Ok(()) => exit,
        Err(error) => {
            eprintln!("error: the configuration can't be written: {error}");
            Exit::Output
        }
    }
}

/// Writes the collection of a URL.
async fn of_url(target: CrawlArguments) -> Result<Written, Exit> {
    let mut given = Given { options: target.lines(), fields: target.field_names(), body: GivenBody::None };
    let has_data = target.has_data();
    let (mut crawl, collection) = target.crawl().map_err(wrong_usage)?;
    match &crawl.first.body {
        Some(RequestBody::Json(body)) if has_data => {
            given.options.push(("body".to_owned(), toml_quoted(&body.to_string())));
        }
        Some(_) if has_data => given.body = GivenBody::Other,
        _ => {}
    }
    // Where nothing shows a pagination, the file leaves the decision to the operator.
    if crawl.pagination.style.is_auto() || collection.is_by_host() {
        Arc::make_mut(&mut crawl.pagination).single_page = LonePage::Accept;
    }
    // Pages ahead of the second one would be asked for in vain.
    crawl.width = 1;
    let opened = crawl.clone().open().await.map_err(|failure| not_opened(&failure))?;
    let evidence = evidence(&crawl, opened).await;
    let is_lone = evidence.is_lone();
    if is_lone {
        eprintln!("unproven: one page came, and nothing shows that it is the whole collection");
    }
    let text = written_file::text(&crawl.first.url, &given, &collection, &evidence);
    Ok(Written { text, exit: if is_lone { Exit::Unproven } else { Exit::Complete } })
}

/// Writes the lists of an OpenAPI document.
async fn of_document(target: CrawlArguments) -> Result<Written, Exit> {
    let options = target.lines();
    let preset = target.preset().map(ToOwned::to_owned);
    let (text, place) = match target.file() {
        Some(file) => match std::fs::read(file) {
            Ok(text) => (text, None),
            Err(error) => return Err(wrong_usage(format!("{}: {error}", file.display()))),
        },
        None if target.names_no_url() => {
            return Err(wrong_usage(format!("{}: no such file, and no URL", target.place())));
        }
        None => {
            let (crawl, _) = target.crawl().map_err(wrong_usage)?;
            let text = crawl.first_answer().await.map_err(|failure| not_opened(&failure))?;
            (text.to_vec(), Some(crawl.first.url))
        }
    };
    let text = openapi::text(&text, place.as_ref(), &options, preset.as_deref()).map_err(wrong_usage)?;
    Ok(Written { text, exit: Exit::Complete })
}

fn wrong_usage(what: impl std::fmt::Display) -> Exit {
    eprintln!("error: {what}");
    Exit::Usage
}

fn not_opened(failure: &Failure) -> Exit {
    tell::<InitArguments>(failure);
    Exit::not_opened(failure)
}

/// Reads the first records, stops the crawl, and makes experiments.
async fn evidence(crawl: &Crawl, opened: Opened) -> Evidence {
    let pagination = opened.pagination().clone();
    let total = opened.total();
    let usage = opened.usage();
    let (writer, log) = snapshot::transient_log(LOOKED_AT);
    let mut reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
    let crawling = tokio::spawn(opened.run(writer));
    let mut lines = Vec::new();
    while let Ok(ReaderEvent::Bytes(bytes)) = reader.next().await {
        lines.extend_from_slice(&bytes);
        if lines.len() as u64 >= LOOKED_AT / 4 || usage.counts().pages > PAGES {
            break;
        }
    }
    crawling.abort();
    let lines = lines.split(|byte| *byte == b'\n');
    let records: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let findings = crawl.experiment(&pagination, &records, total).await;
    Evidence { pagination, total, records: records.len(), findings }
}

fn write(file: Option<&Path>, text: &str) -> io::Result<()> {
    match file {
        Some(file) => std::fs::File::create_new(file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display()))),
        None => io::stdout().write_all(text.as_bytes()),
    }
}
