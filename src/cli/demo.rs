//! `unpage demo`: an embedded legacy API, the proxy in front of it, and one collection streamed through both.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::{HumanBytes, HumanCount};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::serve::{announce, stopped};
use super::{Exit, logging};
use crate::config::{Config, Machine};
use crate::demo::{Counted, Latency, Legacy, RateLimit, Reset, Says, Script, Scripted, configuration, serve};
use crate::gateway::Gateway;
use crate::server;

/// The collection that the demo streams.
const COLLECTION: &str = "/cursor/orders";

/// How many pages are read by hand to measure what one takes.
const BY_HAND: u64 = 10;

/// How long the loop that everyone writes sleeps when it was too fast.
const ONE_WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How many orders the legacy API has
    #[arg(long, default_value_t = 100_000, value_name = "NUMBER")]
    records: u64,
    /// How long the legacy API takes for a page
    #[arg(long, default_value = "30ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// How many requests a second the legacy API allows; what is beyond gets 429
    #[arg(long, value_name = "NUMBER")]
    rate: Option<NonZeroU32>,
    /// Where the proxy listens; a free port where this one is taken
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the legacy API listens; a free port by default
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    api_listen: SocketAddr,
    /// End after the stream instead of serving on
    #[arg(long)]
    once: bool,
}

/// What went wrong with the demo itself.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn run(arguments: Arguments) -> Exit {
    logging::init("warn");
    match show(&arguments).await {
        Ok(()) => Exit::Complete,
        Err(trouble) => {
            eprintln!("error: the demo broke: {trouble}");
            Exit::Broken
        }
    }
}

async fn show(arguments: &Arguments) -> Result<(), Trouble> {
    let stop = CancellationToken::new();
    let api = TcpListener::bind(arguments.api_listen).await?;
    let api_address = api.local_addr()?;
    let legacy = Legacy::of(arguments.records);
    let scripted = Arc::new(Mutex::new(Scripted::new(legacy.clone(), arguments.script())));
    tokio::spawn(serve(api, Arc::clone(&scripted), stop.clone().cancelled_owned()));
    let proxy = match TcpListener::bind(arguments.listen).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(SocketAddr::from((arguments.listen.ip(), 0))).await?,
    };
    let proxy_address = proxy.local_addr()?;
    let config = Config::read(&configuration(&format!("http://{api_address}")), "the demo's configuration", &Machine)?;
    let gateway = Gateway::builder(config).build()?;
    announce(&proxy);
    let proxying = tokio::spawn(server::serve(proxy, gateway, stop.clone().cancelled_owned()));

    eprintln!(
        "A legacy API with {} orders answers at http://{api_address}{COLLECTION}, {} a page, {} records at most.",
        HumanCount(arguments.records),
        humantime::format_duration(arguments.latency),
        legacy.max_page
    );
    eprintln!("unpage stands in front of it at http://{proxy_address}{COLLECTION}.\n");
    let by_hand = page_by_hand(api_address, &legacy).await?;
    let asked_before = asked(&scripted);
    let streamed = stream(proxy_address, arguments.records).await?;
    tell(&streamed, by_hand, &legacy, asked(&scripted) - asked_before);
    if !arguments.once {
        invite(proxy_address, api_address);
        stopped().await;
    }
    stop.cancel();
    proxying.await?;
    Ok(())
}

impl Arguments {
    fn script(&self) -> Script {
        let limit = self.rate.map(|rate| RateLimit {
            counted: Counted::FixedWindow,
            says: vec![Says::RetryAfter, Says::XRateLimit(Reset::Delta)],
            ..RateLimit::per_second(rate.get())
        });
        Script { latency: Latency::fixed(self.latency), limit, ..Script::default() }
    }
}

/// How many requests the legacy API has had.
fn asked(scripted: &Mutex<Scripted>) -> usize {
    scripted.lock().unwrap_or_else(PoisonError::into_inner).log().count()
}

/// What a stream through the proxy showed.
struct Streamed {
    records: u64,
    bytes: u64,
    first: Duration,
    whole: Duration,
}

async fn stream(proxy: SocketAddr, records: u64) -> Result<Streamed, Trouble> {
    let begun = Instant::now();
    let request = Request::get(format!("http://{proxy}{COLLECTION}"))
        .header(header::ACCEPT, "application/x-ndjson")
        .body(Empty::<Bytes>::new())?;
    let response = client().request(request).await?;
    if !response.status().is_success() {
        return Err(format!("the proxy answered {}", response.status()).into());
    }
    let mut body = response.into_body();
    let mut progress = Progress::new(Some(records), 0, 0);
    let mut first = None;
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        first.get_or_insert_with(|| begun.elapsed());
        bytes += data.len() as u64;
        progress.add(data.iter().filter(|byte| **byte == b'\n').count() as u64, data.len() as u64);
    }
    progress.clear();
    let whole = begun.elapsed();
    Ok(Streamed { records: progress.records(), bytes, first: first.unwrap_or(whole), whole })
}

/// The loop that everyone writes: one page after the other, at the size that the API gives when it isn't asked.
async fn page_by_hand(api: SocketAddr, legacy: &Legacy) -> Result<Duration, Trouble> {
    let client = client();
    let mut cursor = String::new();
    let begun = Instant::now();
    let mut pages = 0;
    for _ in 0..BY_HAND {
        let mut response = client.get(format!("http://{api}{COLLECTION}{cursor}").parse()?).await?;
        while response.status() == StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(ONE_WINDOW).await;
            response = client.get(format!("http://{api}{COLLECTION}{cursor}").parse()?).await?;
        }
        let page: serde_json::Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
        pages += 1;
        match page["meta"]["next_cursor"].as_str() {
            Some(next) => {
                cursor =
                    format!("?cursor={}", url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>());
            }
            None => break,
        }
    }
    let all = legacy.records.div_ceil(legacy.default_page).max(1);
    Ok(begun.elapsed() / pages * u32::try_from(all).unwrap_or(u32::MAX))
}

fn tell(streamed: &Streamed, by_hand: Duration, legacy: &Legacy, asked: usize) {
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let Streamed { records, bytes, first, whole } = streamed;
    eprintln!("streamed      {} records, {} in {}", HumanCount(*records), HumanBytes(*bytes), seconds(*whole));
    eprintln!("first record  after {}", seconds(*first));
    eprintln!("requests      {} pages of up to {} records", asked, legacy.max_page);
    eprintln!(
        "by hand       {} for {} pages of {} records (reckoned from {} of them, just measured)",
        seconds(by_hand),
        legacy.records.div_ceil(legacy.default_page).max(1),
        legacy.default_page,
        BY_HAND.min(legacy.records.div_ceil(legacy.default_page).max(1))
    );
}

fn invite(proxy: SocketAddr, api: SocketAddr) {
    eprintln!("\nStill serving; stop with Ctrl-C. Try:\n");
    for line in [
        format!("curl -H 'Accept: application/x-ndjson' http://{proxy}/link/orders | head -3"),
        format!("curl 'http://{proxy}/offset/orders?_format=ndjson' | jq -s length"),
        format!("curl -d '{{}}' -H 'Accept: application/x-ndjson' http://{proxy}/search/orders | wc -l"),
        format!("curl http://{proxy}/page/orders   # no stream asked for: the API's own page"),
        format!(
            "unpage fetch http://{api}/keyset/orders --pagination '{{ type = \"keyset\", key = \"id\", param = \"starting_after\", more = {{ path = \"has_more\", while = true }} }}' --records data --page-size limit=1000 --output orders.ndjson"
        ),
        format!("unpage probe http://{api}/odata/orders"),
    ] {
        eprintln!("  {line}");
    }
}

fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}
