//! `unpage init`: a configuration for a URL, each line of which says how it is known.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::crawl_args::CrawlArguments;
use super::failure_lines::tell;
use super::{Exit, logging};
use crate::config::{ChosenBy, Collection, Config, Credentials, Machine, written};
use crate::crawl::Opened;
use crate::pagination::{LonePage, Pagination};
use crate::snapshot::{self, ReaderEvent};

/// Bytes of records that are looked at for a key.
const LOOKED_AT: u64 = 1 << 20;

/// Usual names of a record's key.
const KEYS: [&str; 10] = ["id", "_id", "uuid", "uid", "guid", "sid", "gid", "key", "number", "name"];

const EXAMPLES: &str = "Examples:
  unpage init 'https://api.example.com/orders?limit=100' --bearer-env TOKEN > unpage.toml
  unpage init 127.0.0.1:9000/orders --output unpage.toml && unpage serve unpage.toml";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct InitArguments {
    #[command(flatten)]
    target: CrawlArguments,
    /// File for the configuration, which must not exist yet [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(arguments: InitArguments) -> Exit {
    logging::init("warn");
    let bearer = arguments.target.bearer_env().map(ToOwned::to_owned);
    let (mut crawl, collection) = match arguments.target.crawl() {
        Ok(crawl) => crawl,
        Err(what) => {
            eprintln!("error: {what}");
            return Exit::Usage;
        }
    };
    let pagination = std::sync::Arc::make_mut(&mut crawl.pagination);
    if pagination.style.is_auto() {
        pagination.single_page = LonePage::Accept;
    }
    let url = crawl.first.url.clone();
    let opened = match crawl.open().await {
        Ok(opened) => opened,
        Err(failure) => {
            tell(&failure);
            return Exit::not_opened(&failure);
        }
    };
    let evidence = Evidence::of(opened).await;
    let text = configuration(&url, bearer.as_deref(), &collection, &evidence);
    if let Err(mistakes) = Config::read(&text, "the configuration", &Machine) {
        eprintln!("{mistakes}");
        return Exit::Usage;
    }
    match write(arguments.output.as_deref(), &text) {
        Ok(()) if evidence.pagination.single_page == LonePage::Accept => {
            eprintln!("unproven: one page came, and nothing shows that it is the whole collection");
            Exit::Unproven
        }
        Ok(()) => Exit::Complete,
        Err(error) => {
            eprintln!("error: the configuration can't be written: {error}");
            Exit::Output
        }
    }
}

/// Findings of the first pages.
struct Evidence {
    pagination: Pagination,
    total: Option<u64>,
    /// True where the first page has a validator, so that it can be asked for under a condition.
    has_validator: bool,
    records: usize,
    /// Name of the first usual key that all records have, each with another value.
    key: Option<&'static str>,
}

impl Evidence {
    /// Reads the first records, and stops the crawl.
    async fn of(opened: Opened) -> Self {
        let pagination = opened.pagination().clone();
        let total = opened.total();
        let validators = [http::header::ETAG, http::header::LAST_MODIFIED];
        let has_validator =
            opened.head().is_some_and(|head| validators.iter().any(|name| head.headers.contains_key(name)));
        let (writer, log) = snapshot::transient_log(LOOKED_AT);
        let mut reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
        let crawling = tokio::spawn(opened.run(writer));
        let mut lines = Vec::new();
        while let Ok(ReaderEvent::Bytes(bytes)) = reader.next().await {
            lines.extend_from_slice(&bytes);
            if lines.len() as u64 >= LOOKED_AT / 4 {
                break;
            }
        }
        crawling.abort();
        let records: Vec<Value> =
            lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let key = KEYS.into_iter().find(|name| is_unique(name, &records));
        Self { pagination, total, has_validator, records: records.len(), key }
    }
}

fn is_unique(name: &str, records: &[Value]) -> bool {
    let values: Option<Vec<_>> = records.iter().map(|record| record.get(name)).collect();
    let texts = values.into_iter().flatten().filter(|value| value.is_string() || value.is_number());
    let mut texts: Vec<_> = texts.map(Value::to_string).collect();
    texts.sort_unstable();
    let count = texts.len();
    texts.dedup();
    count > 1 && texts.len() == count && count == records.len()
}

fn configuration(url: &url::Url, bearer: Option<&str>, collection: &Collection, evidence: &Evidence) -> String {
    let mut text = String::new();
    let mut line = |line: &str, known: &str| {
        let comment = if known.is_empty() { String::new() } else { format!("    # {known}") };
        writeln!(text, "{line}{comment}").expect("writing to a String never fails");
    };
    line(
        "# Written by `unpage init`; each line says how it is known. `unpage check` reads it, `unpage serve` serves it.",
        "",
    );
    line("[[collection]]", "");
    line(&format!("path = {:?}", url.path()), "the URL's; {name} stands for a segment that clients choose");
    line(&format!("upstream = {:?}", url.origin().ascii_serialization()), "the URL's");
    match (&collection.upstream.credentials, bearer) {
        (_, Some(name)) => line(&format!("credentials = {{ bearer = {{ env = {name:?} }} }}"), "as given"),
        (Credentials::Passed, None) => {
            line("# credentials = { bearer = { env = \"NAME\" } }", "else each client sends its own");
        }
        _ => line("# credentials: as in the configuration that this one was made by", ""),
    }
    let Evidence { pagination, total, has_validator, records, key } = evidence;
    let is_lone = pagination.single_page == LonePage::Accept;
    if let Some(choice) = &collection.preset {
        let by = if choice.by == ChosenBy::Host { "by the URL's host" } else { "as given" };
        let known = format!("{by}; {}: {}; page 1 agrees", choice.preset.verified.name(), choice.preset.source);
        line(&format!("preset = {:?}", choice.preset.name), &known);
    } else {
        for written in written(pagination).lines() {
            let name = written.split(" = ").next().unwrap_or_default();
            // Only the operator may say that one page is all: the list may have more of them tomorrow.
            let is_for_the_operator = is_lone && matches!(name, "pagination" | "single_page");
            let off = if is_for_the_operator { "# " } else { "" };
            line(&format!("{off}{written}"), &known(name, evidence));
        }
    }
    if pagination.key.is_none()
        && let Some(key) = key
    {
        line(&format!("key = {key:?}"), &format!("unproven: differs in each of the first {records} records"));
    }
    line("", "");
    match total {
        Some(total) => line(&format!("# The upstream says that there are {total} records."), ""),
        None => line("# The upstream names no total.", ""),
    }
    let validator = if *has_validator { "has" } else { "has no" };
    line(&format!("# Page 1 {validator} ETag or Last-Modified: match = true needs one."), "");
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        let names: Vec<_> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
        line(&format!("# Clients send these parameters themselves: {}.", names.join(", ")), "");
    }
    if is_lone {
        line(
            "# Verdict: none. Without the two lines that are commented out, each crawl recognises the pagination, and breaks where it can't.",
            "",
        );
    } else {
        line(&format!("# Verdict: {}.", pagination.best_verdict()), "");
    }
    line("# Not tried: a larger page, another order, the last page, a range filter for partitions.", "");
    text
}

/// Says how the value of a key is known.
fn known(name: &str, Evidence { pagination, total, records, .. }: &Evidence) -> String {
    match name {
        "records" => "found on page 1".to_owned(),
        "pagination" if !pagination.style.is_computed() && !pagination.style.is_pointed() => {
            "page 1 says that it is all, or says nothing".to_owned()
        }
        "pagination" => "recognised on page 1; page 2 has other records".to_owned(),
        "total" => total.map_or("named on page 1".to_owned(), |total| format!("{total} on page 1")),
        "single_page" => {
            format!("unproven: one page of {records} records; remove both # if one page is always all there is")
        }
        _ => "as given, or found on page 1".to_owned(),
    }
}

fn write(file: Option<&Path>, text: &str) -> io::Result<()> {
    match file {
        Some(file) => std::fs::File::create_new(file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display()))),
        None => io::stdout().write_all(text.as_bytes()),
    }
}
