//! Ways to read one collection of the demo, each measured: by hand with small and with large pages, and through unpage.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::{HumanBytes, HumanCount};

use super::DemoError;
use crate::cli::progress_line::ProgressLine;
use crate::demo::{DemoApi, Legacy};

/// A collection whose pages have numbers, so that unpage asks for several at a time.
const NUMBERED: &str = "/offset/orders";

/// A collection whose pages hold the token of the next one, so that there is one request at a time.
const CHAINED: &str = "/cursor/orders";

/// Pages that are read by hand; the time of all is estimated from them.
const SAMPLE: u64 = 10;

/// Sleep of the loop by hand after a 429.
const AFTER_TOO_MANY: Duration = Duration::from_secs(1);

/// One way to read the collection.
struct Way {
    name: String,
    pages: u64,
    time: Duration,
    remark: String,
}

/// A stream through the proxy.
struct Streamed {
    pages: u64,
    records: u64,
    bytes: u64,
    first: Duration,
    whole: Duration,
}

/// Reads the collection in each way, and prints a row for each.
pub(super) async fn run(
    api: &DemoApi,
    legacy: &Legacy,
    api_address: SocketAddr,
    proxy_address: SocketAddr,
) -> Result<(), DemoError> {
    let small = by_hand(api_address, legacy.records, legacy.default_page).await?;
    let mut large = by_hand(api_address, legacy.records, legacy.max_page).await?;
    large.remark = format!("{}; larger page: {}", large.remark, gain(small.time, large.time));
    let numbered = stream(api, proxy_address, NUMBERED, legacy.records).await?;
    let chained = stream(api, proxy_address, CHAINED, legacy.records).await?;
    eprintln!(
        "streamed {} records, {}; the first one came after {}\n",
        HumanCount(numbered.records),
        HumanBytes(numbered.bytes),
        seconds(numbered.first)
    );
    let size = HumanCount(legacy.max_page);
    let fan_out = Way {
        name: format!("unpage, {size} a page, several pages at a time"),
        pages: numbered.pages,
        time: numbered.whole,
        remark: format!("fan-out: {}", gain(large.time, numbered.whole)),
    };
    let early = Way {
        name: format!("unpage, {size} a page, each names the next one"),
        pages: chained.pages,
        time: chained.whole,
        remark: format!("asking early: {}", gain(large.time, chained.whole)),
    };
    for way in [small, large, fan_out, early] {
        let pages = HumanCount(way.pages).to_string();
        eprintln!("{:<48}{pages:>7} pages {:>9}   {}", way.name, seconds(way.time), way.remark);
    }
    Ok(())
}

/// The usual loop: one page after the other, each parsed before the next is asked for.
async fn by_hand(api: SocketAddr, records: u64, size: u64) -> Result<Way, DemoError> {
    let client = client();
    let pages = records.div_ceil(size).max(1);
    let sample = SAMPLE.min(pages);
    let begun = Instant::now();
    for page in 0..sample {
        let uri: http::Uri = format!("http://{api}{NUMBERED}?limit={size}&offset={}", page * size).parse()?;
        let mut response = client.get(uri.clone()).await?;
        while response.status() == StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(AFTER_TOO_MANY).await;
            response = client.get(uri.clone()).await?;
        }
        let _parsed: serde_json::Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    }
    Ok(Way {
        name: format!("by hand, {} a page, one after the other", HumanCount(size)),
        pages,
        time: begun.elapsed().mul_f64(pages as f64 / sample as f64),
        remark: format!("estimated from {sample} page{}", if sample == 1 { "" } else { "s" }),
    })
}

async fn stream(api: &DemoApi, proxy: SocketAddr, path: &str, records: u64) -> Result<Streamed, DemoError> {
    let requests = api.requests();
    let begun = Instant::now();
    let request = Request::get(format!("http://{proxy}{path}"))
        .header(header::ACCEPT, "application/x-ndjson")
        .body(Empty::<Bytes>::new())?;
    let response = client().request(request).await?;
    if !response.status().is_success() {
        return Err(format!("the proxy answered {} to {path}", response.status()).into());
    }
    let mut body = response.into_body();
    let mut progress = ProgressLine::new(Some(records), 0, 0);
    let mut first = None;
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        first.get_or_insert_with(|| begun.elapsed());
        bytes += data.len() as u64;
        progress.add(memchr::memchr_iter(b'\n', &data).count() as u64, data.len() as u64);
    }
    progress.clear();
    let whole = begun.elapsed();
    let pages = (api.requests() - requests) as u64;
    Ok(Streamed { pages, records: progress.records(), bytes, first: first.unwrap_or(whole), whole })
}

/// Ratio of two times, as text.
fn gain(before: Duration, after: Duration) -> String {
    format!("{:.1} times as fast", before.as_secs_f64() / after.as_secs_f64().max(1e-6))
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub(super) fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}
