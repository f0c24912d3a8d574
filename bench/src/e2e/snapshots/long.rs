//! A crawl of 20 million records, as of ten hours: growth of memory, size of the journal, and the start after a kill at nine tenths.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::download::{Download, Window};
use super::{Keeping, emptied, lines_of, started};
use crate::corpora::Corpus;
use crate::e2e::Setting;
use crate::e2e::page::Collection;
use crate::e2e::process::{Pinning, resident_mib};
use crate::e2e::upstream::{Dialect, Manner, Upstream};
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

/// About 100 records of 250 bytes.
const PAGE_BYTES: usize = 25_000;

/// A crawl remembers a digest of each page, of its first record and of its request, so that a page which comes again is found: three
/// entries of 17 bytes in tables that are at least 7/16 full.
const MEMORY_A_PAGE: Goal = Goal::AtMost(128.0, 64.0);

const CALLER: &str = "long";

const LINES: &str = "memory = \"8MiB\"\ndisk = \"16GiB\"\nfresh_for = \"1h\"\nkeep_for = \"1h\"";

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let pages = setting.effort.pick(200_000, 2_000);
    let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, PAGE_BYTES), Manner::AT_ONCE).await?;
    let (expected, records) = (upstream.collection.output(), upstream.collection.records());
    eprintln!("long: {records} records in {pages} pages, {} MB", expected / 1_000_000);
    let folder = emptied(setting, "long")?;
    let proxy = started(setting, &folder, &upstream, Keeping::Files, LINES, pinning).await?;
    let mut crawl = Download::begin(proxy.address, Dialect::Link.path(), CALLER, Window::AsUsual).await?;
    let address = crawl.field("content-location").context("the stream has no address")?.to_owned();
    crawl.read_to(expected / 10).await?;
    let early = resident_mib(proxy.pid)?;
    crawl.read_to(expected / 10 * 9).await?;
    let late = resident_mib(proxy.pid)?;
    let (lines, journal) = sizes(&folder)?;
    // The process is killed, and its client has lost its connection.
    drop((proxy, crawl));
    let killed = Instant::now();
    let proxy = started(setting, &folder, &upstream, Keeping::Files, LINES, pinning).await?;
    let listens = killed.elapsed().as_secs_f64() * 1e3;
    let crawl = Download::begin(proxy.address, &address, CALLER, Window::AsUsual).await?;
    let head = killed.elapsed().as_secs_f64() * 1e3;
    crawl.finish(expected).await?;
    let requests = upstream.sight().requests;
    ensure!(requests <= pages + 2, "{requests} requests for {pages} pages: the crawl was not resumed");
    let last = resident_mib(proxy.pid)?;
    let read = lines as f64 / expected as f64 * pages as f64;
    std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let one = |value: f64| Spread::of(vec![value]);
    let growth = (late - early) * 1024.0 * 1024.0 / (pages as f64 * 0.8);
    let note = format!("{records} records, {pages} pages; {early:.1} MiB at a tenth, {late:.1} at nine tenths");
    let kept = format!("{} MB kept", lines / 1_000_000);
    let figures = vec![
        Figure::new("bytes of memory for each page of a long crawl", MEMORY_A_PAGE, one(growth), note),
        Figure::new("bytes of the journal for each page", Goal::AtMost(512.0, 128.0), one(journal as f64 / read), ""),
        Figure::new("ms from the start after a kill until it listens", Goal::None, one(listens), kept),
        Figure::new("ms from the start after a kill to the head of the resumed stream", Goal::None, one(head), ""),
        Figure::new("pages that were asked for again", Goal::AtMost(2.0, 1.0), one((requests - pages) as f64), ""),
    ];
    let details = json!({
        "records": records, "pages": pages, "mib": [early, late, last], "lines": lines, "journal": journal,
        "ms": [listens, head], "requests": requests,
    });
    Ok((figures, details))
}

/// Sizes of the lines and of all other files in a folder of one snapshot, in bytes.
fn sizes(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let lines = lines_of(folder)?;
    let (mut of_lines, mut others) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        *(if entry.path() == lines { &mut of_lines } else { &mut others }) += entry.metadata()?.len();
    }
    Ok((of_lines, others))
}
