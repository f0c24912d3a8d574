//! Costs of a proxy: processor time for each byte that leaves it, and its throughput with a fast upstream.

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Pace, drain};
use super::page::Collection;
use super::process::{Pinning, cpu_of};
use super::proxies::{Buffers, Proxy};
use super::upstream::{Dialect, Manner, STREAM, Sight, Upstream};
use super::{Setting, order};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

/// The page that the figures are for.
pub(super) const PAGE: usize = 45_000;

/// Streams that a proxy has under way at once. A crawl of an upstream that answers at once has one page in flight, since the
/// next address comes with the page: as many streams have as many.
pub(super) const AT_ONCE: usize = 6;

/// One proxy with what it is asked for, and what was measured of it.
pub(super) struct Contender {
    name: &'static str,
    path: &'static str,
    proxy: usize,
    at_once: usize,
    pub(super) cpu_per_gb: Vec<f64>,
    pub(super) gb_per_s: Vec<f64>,
    sight: Option<Sight>,
}

impl Contender {
    pub(super) fn new(name: &'static str, path: &'static str, proxy: usize, at_once: usize) -> Self {
        Self { name, path, proxy, at_once, cpu_per_gb: Vec::new(), gb_per_s: Vec::new(), sight: None }
    }
}

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((950, 9), (60, 3));
    let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, PAGE), Manner::AT_ONCE).await?;
    let (proxies, mut contenders) = contenders(setting, &upstream, pinning).await?;
    measure("proxy", &upstream, &proxies, &mut contenders, rounds).await?;
    print(&contenders);
    Ok((figures(&contenders, setting.nginx.is_some()), details(&contenders)))
}

/// Measures the contenders in turn, in an order that changes with each round.
pub(super) async fn measure(
    part: &str,
    upstream: &Upstream,
    proxies: &[Proxy],
    contenders: &mut [Contender],
    rounds: usize,
) -> anyhow::Result<()> {
    let expected = upstream.collection.output();
    let all = expected * AT_ONCE as u64;
    // The first round only warms connections and caches up.
    for round in 0..=rounds {
        eprintln!("{part}: round {round} of {rounds}, {} MB each", all / 1_000_000);
        for index in order(&(0..contenders.len()).collect::<Vec<_>>(), round) {
            let contender = &mut contenders[index];
            let proxy = &proxies[contender.proxy];
            let before = cpu_of(proxy.pid)?;
            upstream.sight();
            let start = Instant::now();
            for _ in 0..AT_ONCE / contender.at_once {
                let streams =
                    (0..contender.at_once).map(|_| drain(proxy.address, contender.path, Pace::Free, expected));
                try_join_all(streams).await?;
            }
            let took = start.elapsed();
            let cpu = cpu_of(proxy.pid)?.saturating_sub(before);
            if round > 0 {
                let gigabytes = all as f64 / 1e9;
                contender.cpu_per_gb.push(cpu.as_secs_f64() / gigabytes);
                contender.gb_per_s.push(gigabytes / took.as_secs_f64());
                contender.sight = Some(upstream.sight());
            }
        }
    }
    Ok(())
}

async fn contenders(
    setting: &Setting,
    upstream: &Upstream,
    pinning: Pinning,
) -> anyhow::Result<(Vec<Proxy>, Vec<Contender>)> {
    let address = upstream.address;
    let mut proxies =
        vec![Proxy::unpage(setting, address, pinning).await?, Proxy::passthrough(address, pinning).await?];
    let mut contenders = vec![
        Contender::new("unpage", Dialect::Link.path(), 0, AT_ONCE),
        Contender::new("hyper pass-through", STREAM, 1, AT_ONCE),
        Contender::new("unpage again (A/A)", Dialect::Link.path(), 0, AT_ONCE),
        Contender::new("unpage, next before data", Dialect::Before.path(), 0, AT_ONCE),
        Contender::new("unpage, offset", Dialect::Offset.path(), 0, AT_ONCE),
        Contender::new("unpage, one stream", Dialect::Link.path(), 0, 1),
        Contender::new("hyper pass-through, one stream", STREAM, 1, 1),
    ];
    if let Some(nginx) = &setting.nginx {
        proxies.push(Proxy::nginx(setting, nginx, Buffers::Tuned, address, pinning).await?);
        proxies.push(Proxy::nginx(setting, nginx, Buffers::Default, address, pinning).await?);
        contenders.push(Contender::new("nginx, 16 buffers of 128 KiB, no file", STREAM, 2, AT_ONCE));
        contenders.push(Contender::new("nginx, default buffers", STREAM, 3, AT_ONCE));
    }
    Ok((proxies, contenders))
}

fn figures(contenders: &[Contender], nginx: bool) -> Vec<Figure> {
    let of = |index: usize| &contenders[index];
    let cpu = |one: usize, other: usize| Spread::of_ratios(&of(one).cpu_per_gb, &of(other).cpu_per_gb);
    let sight = of(0).sight.map_or_else(String::new, |sight| {
        format!(
            "{AT_ONCE} streams, Link header, 45 KB pages, {} in flight on average, {} at most",
            short(sight.together),
            sight.most
        )
    });
    let throughput = Spread::of_ratios(&of(0).gb_per_s, &of(1).gb_per_s);
    let mut figures = vec![
        Figure::new("proxy CPU s/GB / hyper pass-through", Goal::AtMost(1.5, 1.0), cpu(0, 1), sight),
        Figure::new("throughput / hyper pass-through, 0 ms", Goal::AtLeast(0.85, 1.2), throughput, ""),
        Figure::new("proxy CPU s/GB, the same again (A/A)", Goal::None, cpu(2, 0), ""),
        Figure::new("proxy CPU s/GB / hyper pass-through, offset", Goal::AtMost(1.5, 1.0), cpu(4, 1), ""),
        Figure::new(
            "proxy CPU s/GB / hyper pass-through, one stream",
            Goal::AtMost(2.0, 1.2),
            cpu(5, 6),
            "one page in flight",
        ),
    ];
    if nginx {
        figures.insert(1, Figure::new("proxy CPU s/GB / nginx, tuned buffers", Goal::AtMost(2.0, 1.0), cpu(0, 7), ""));
        figures.insert(2, Figure::new("proxy CPU s/GB / nginx, default", Goal::AtMost(1.0, 0.5), cpu(0, 8), ""));
    }
    figures
}

pub(super) fn print(contenders: &[Contender]) {
    println!("\n| proxy | CPU s/GB | GB/s | in flight: mean, most |\n|---|---|---|---|");
    for contender in contenders {
        let (cpu, speed) = (Spread::of(contender.cpu_per_gb.clone()), Spread::of(contender.gb_per_s.clone()));
        let seen =
            contender.sight.map_or_else(String::new, |sight| format!("{}, {}", short(sight.together), sight.most));
        println!("| {} | {cpu} | {speed} | {seen} |", contender.name);
    }
}

pub(super) fn details(contenders: &[Contender]) -> Value {
    let row = |contender: &Contender| {
        json!({
            "proxy": contender.name,
            "cpu_s_per_gb": contender.cpu_per_gb,
            "gb_per_s": contender.gb_per_s,
            "in_flight": contender.sight.map(|sight| sight.together),
        })
    };
    contenders.iter().map(row).collect()
}
