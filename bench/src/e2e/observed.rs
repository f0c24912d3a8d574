//! Cost of observation: processor time and memory of a proxy with a log in JSON and metrics that are read each second, beside the same proxy with
//! neither.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use tokio::time::interval;

use super::client::{Pace, connect, drain};
use super::page::Collection;
use super::process::{Pinning, cpu_of, peak_mib};
use super::proxies::Proxy;
use super::proxy::{AT_ONCE, Contender, PAGE, details, measure, print};
use super::upstream::{Dialect, Manner, Upstream};
use super::{Setting, order};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

/// About 100 records of 250 bytes.
const SMALL_PAGE: usize = 25_000;

/// Interval of the reads of `/metrics`.
const SCRAPES: Duration = Duration::from_secs(1);

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let goal = Goal::AtMost(1.03, 1.0);
    let (pages, rounds) = setting.effort.pick((950, 9), (60, 3));
    let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, PAGE), Manner::AT_ONCE).await?;
    let proxies = pair(setting, &upstream, pinning).await?;
    let link = Dialect::Link.path();
    let mut contenders = [
        Contender::new("unpage", link, 0, AT_ONCE),
        Contender::new("unpage, JSON log, scraped", link, 1, AT_ONCE),
        Contender::new("unpage again (A/A)", link, 0, AT_ONCE),
    ];
    measure("observed", &upstream, &proxies, &mut contenders, rounds).await?;
    print(&contenders);
    let cpu = |one: usize, other: usize| Spread::of_ratios(&contenders[one].cpu_per_gb, &contenders[other].cpu_per_gb);
    let peaks = [peak_mib(proxies[0].pid)?, peak_mib(proxies[1].pid)?];
    let mut figures = vec![
        Figure::new("CPU s/GB, observed / not", goal, cpu(1, 0), ""),
        Figure::new("CPU s/GB, the same again (A/A)", Goal::None, cpu(2, 0), ""),
        Figure::new("peak RSS, observed / not", goal, Spread::of(vec![peaks[1] / peaks[0]]), "of these streams"),
    ];
    let small = streams_of_a_page(setting, pinning).await?;
    let ratio = |one: usize, other: usize| Spread::of_ratios(&small[one], &small[other]);
    figures.push(Figure::new("CPU of a stream of 100 records, observed / not", goal, ratio(1, 0), ""));
    figures.push(Figure::new("CPU of a stream of 100 records, the same again (A/A)", Goal::None, ratio(2, 0), ""));
    let details =
        json!({ "streams": details(&contenders), "MiB": peaks, "microseconds of CPU a stream of 100 records": small });
    Ok((figures, details))
}

/// A proxy that nobody observes, and an observed one.
async fn pair(setting: &Setting, upstream: &Upstream, pinning: Pinning) -> anyhow::Result<[Proxy; 2]> {
    let (observed, admin) = Proxy::observed(setting, upstream.address, pinning).await?;
    tokio::spawn(async move {
        if let Err(error) = scrape(admin).await {
            eprintln!("observed: /metrics can't be read: {error:#}");
            std::process::exit(1);
        }
    });
    Ok([Proxy::unpage(setting, upstream.address, pinning).await?, observed])
}

/// Microseconds of streams one after the other: not observed, observed, not observed again.
async fn streams_of_a_page(setting: &Setting, pinning: Pinning) -> anyhow::Result<[Vec<f64>; 3]> {
    let (streams, rounds) = setting.effort.pick((2_000, 9), (200, 2));
    let upstream = Upstream::start(Collection::new(Corpus::Orders, 1, SMALL_PAGE), Manner::AT_ONCE).await?;
    let proxies = pair(setting, &upstream, pinning).await?;
    let mut micros: [Vec<f64>; 3] = Default::default();
    for round in 0..=rounds {
        eprintln!("observed, small: round {round} of {rounds}");
        for contender in order(&[0, 1, 2], round) {
            let proxy = &proxies[contender % 2];
            let before = cpu_of(proxy.pid)?;
            for _ in 0..streams {
                drain(proxy.address, Dialect::Link.path(), Pace::Free, upstream.collection.output()).await?;
            }
            // The first round warms.
            if round > 0 {
                micros[contender].push((cpu_of(proxy.pid)? - before).as_secs_f64() * 1e6 / f64::from(streams));
            }
        }
    }
    Ok(micros)
}

/// Reads the metrics each second, on one connection.
async fn scrape(admin: SocketAddr) -> anyhow::Result<()> {
    let (mut sender, mut ticks) = (connect(admin).await?, interval(SCRAPES));
    loop {
        ticks.tick().await;
        sender.ready().await?;
        let request = Request::get("/metrics").header(header::HOST, "localhost").body(Empty::new())?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == StatusCode::OK, "answered with {}", answer.status());
        answer.into_body().collect().await?;
    }
}
