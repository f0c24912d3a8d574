//! Costs of stalled readers: the time of the other readers, with and without them.

use anyhow::ensure;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::download::{Download, Window};
use super::{Keeping, unpage};
use crate::corpora::Corpus;
use crate::e2e::page::Collection;
use crate::e2e::process::{Pinning, peak_mib};
use crate::e2e::upstream::{Dialect, Manner, Upstream};
use crate::e2e::{Setting, order};
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

const STALLED: usize = 10;

/// Number of readers, and of pages of 45 KB for each.
const CROWDS: [(usize, usize); 2] = [(100, 240), (1000, 60)];

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for (readers, pages) in CROWDS {
        let (readers, rounds) = setting.effort.pick((readers, 9), (readers / 10, 2));
        let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, 45_000), Manner::slow(2, 0)).await?;
        let (seconds, peaks) = rounds_of(setting, &upstream, readers, rounds, pinning).await?;
        let gigabytes = upstream.collection.output() as f64 * readers as f64 / 1e9;
        let speed = Spread::of(seconds[0].iter().map(|seconds| gigabytes / seconds).collect());
        let note = format!(
            "{STALLED} stalled; {} MB, {} GB/s together; peak RSS {} MiB without, {} with them",
            upstream.collection.output() / 1_000_000,
            short(speed.median),
            short(peaks[0]),
            short(peaks[1])
        );
        let name = format!("speed of {readers} readers, with stalled ones / without");
        // Those with stalled ones are always between two without: a drift of the machine hits both sides.
        let without: Vec<_> =
            std::iter::zip(&seconds[0], &seconds[2]).map(|(one, other)| (one + other) / 2.0).collect();
        figures.push(Figure::new(name, Goal::AtLeast(0.95, 1.0), Spread::of_ratios(&without, &seconds[1]), note));
        let noise = Spread::of_ratios(&seconds[0], &seconds[2]);
        figures.push(Figure::new(format!("{readers} readers without, again (A/A)"), Goal::None, noise, ""));
        details.push(json!({ "readers": readers, "seconds": seconds, "peak MiB": peaks }));
    }
    Ok((figures, details.into()))
}

/// The seconds of each round without, with, and again without; and the peaks of their processes.
async fn rounds_of(
    setting: &Setting,
    upstream: &Upstream,
    readers: usize,
    rounds: usize,
    pinning: Pinning,
) -> anyhow::Result<([Vec<f64>; 3], [f64; 3])> {
    let mut proxies = Vec::new();
    for name in ["without", "with", "again"] {
        let lines = "memory = \"16MiB\"\nfresh_for = \"1h\"\nkeep_for = \"1h\"";
        proxies.push(unpage(setting, &format!("readers-{name}"), upstream, Keeping::Files, lines, pinning).await?.0);
    }
    let (mut seconds, mut peaks): ([Vec<f64>; 3], [f64; 3]) = Default::default();
    for round in 0..=rounds {
        eprintln!("readers: {readers}, round {round} of {rounds}");
        for way in order(&[0, 1, 2], round) {
            let stalled = if way == 1 { STALLED } else { 0 };
            let took = crowd(proxies[way].address, upstream, readers, stalled, &round.to_string()).await?;
            if round > 0 {
                seconds[way].push(took);
            }
        }
    }
    for (peak, proxy) in std::iter::zip(&mut peaks, &proxies) {
        *peak = peak_mib(proxy.pid)?;
    }
    Ok((seconds, peaks))
}

/// Time until all active readers have finished.
async fn crowd(
    address: std::net::SocketAddr,
    upstream: &Upstream,
    readers: usize,
    stalled: usize,
    caller: &str,
) -> anyhow::Result<f64> {
    upstream.sight();
    let expected = upstream.collection.output();
    let path = Dialect::Link.path();
    // They have their heads and some bytes in their sockets, and read no more.
    let stall = (0..stalled).map(|_| Download::begin(address, path, caller, Window::Smallest));
    let stall = try_join_all(stall).await?;
    let start = Instant::now();
    let read = (0..readers)
        .map(async |_| Download::begin(address, path, caller, Window::AsUsual).await?.finish(expected).await);
    try_join_all(read).await?;
    let took = start.elapsed().as_secs_f64();
    let requests = upstream.sight().requests;
    ensure!(requests == upstream.collection.pages(), "{requests} requests are more than one crawl");
    drop(stall);
    Ok(took)
}
