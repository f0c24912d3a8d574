//! Chaos: every dialect at every width, coding (of the upstream, of the stream), format, framing and client, before an upstream that fails or lies; and a judge of its own.
//!
//! A case follows from its seed alone. `UNPAGE_SEED=17` runs one, `UNPAGE_SEED=2000..4000` a range of them, `UNPAGE_LONG=1` runs many.

#![allow(clippy::print_stdout, reason = "the numbers of outcomes are what the long form is read for")]

mod case;
mod form;
mod judge;
mod page;
mod trouble;

use std::ops::Range;
use std::sync::Arc;

use http::{Request, header};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use unpage::demo::{Legacy, Quirks};

use super::client::{self, Received};
use super::coded_streams::decoded;
use super::proxy::{Proxy, run};
use super::upstream::Upstream;
use case::{Case, Client};
use judge::{End, Tally};

/// Cases of the short and of the long form.
const CASES: [u64; 2] = [300, 12_000];

/// Cases that run at a time.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_clean_end_is_wrong_where_anything_contradicts() {
    let only = std::env::var("UNPAGE_SEED").ok().map(|seeds| seeds_of(&seeds));
    let count = CASES[usize::from(std::env::var_os("UNPAGE_LONG").is_some())];
    let seeds = only.clone().unwrap_or(0..count);
    let (permits, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for seed in seeds {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        running.spawn(async move {
            let _permit = permit;
            let case = Case::of(seed);
            let end = ended(&case).await;
            (case, end)
        });
    }
    let mut tally = Tally::default();
    while let Some(done) = running.join_next().await {
        let (case, end) = done.unwrap();
        tally.judge(&case, &end);
    }
    println!("{tally}");
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    assert!(only.is_some() || tally.has_seen_all(), "{tally}");
}

/// A seed, or a range of them.
fn seeds_of(text: &str) -> Range<u64> {
    let (first, end) = text.split_once("..").unwrap_or((text, ""));
    let first: u64 = first.parse().unwrap();
    first..if end.is_empty() { first + 1 } else { end.parse().unwrap() }
}

/// Runs a case to its end.
async fn ended(case: &Case) -> End {
    let (scripted, quirks) = (case.clone(), Quirks { total: case.total(), ..Quirks::default() });
    let legacy = Legacy { max_page: case.page, default_page: case.page, quirks, ..Legacy::of(case.records) };
    let upstream = Upstream::serving(legacy, move |asked, answer| scripted.reply(asked, answer), None).await;
    let form = case.form;
    if case.client == Client::Fetch {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders");
        let mut arguments = case.fetch_arguments(&upstream.url());
        arguments.extend(["--format".into(), form.name.into()]);
        if form.needs_all() {
            arguments.extend(["--output".into(), file.to_str().unwrap().into()]);
        }
        let output = run(arguments).await;
        let body = if form.needs_all() { std::fs::read(file).unwrap_or_default() } else { output.stdout.clone() };
        return End::of_fetch(form, &output, &body);
    }
    let folder = tempfile::tempdir().unwrap();
    // Parquet is made in a file.
    let snapshots =
        if form.needs_all() { format!("[snapshots]\ndir = {:?}\n\n", folder.path()) } else { String::new() };
    let proxy = Proxy::start(&(snapshots + &case.config(&upstream.url()))).await;
    let (path, accept) = match form.is_ndjson() {
        true => (case.dialect.path.to_owned(), "application/x-ndjson;end=marker"),
        false => (format!("{}?_format={}", case.dialect.path, form.name), "*/*"),
    };
    let coding = ["identity", "gzip", "zstd"][(case.seed % 3) as usize];
    let request = Request::builder().method(case.dialect.method.clone()).uri(path).header(header::ACCEPT, accept);
    let request = request.header(header::ACCEPT_ENCODING, coding).header(header::TE, "trailers").body(Full::default());
    let version = if case.client == Client::Http2 { client::Version::Http2 } else { client::Version::Http1 };
    let received = client::receive(version, proxy.address, request.unwrap()).await;
    let (body, end) = decoded(&received);
    let is_whole =
        received.broken.is_none() || received.body.is_empty() || received.header("content-encoding").is_none();
    assert_eq!(
        end.is_ok(),
        is_whole,
        "the end of the coding and that of the stream differ, seed {}: {end:?}",
        case.seed
    );
    End::of_stream(form, &Received { body, ..received })
}
