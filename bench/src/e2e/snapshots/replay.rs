//! A finished snapshot, from memory and from its file, beside nginx that serves the very same file.

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::download::{Download, Window};
use super::{Keeping, lines_of, unpage};
use crate::corpora::Corpus;
use crate::e2e::page::Collection;
use crate::e2e::process::{Pinning, cpu_of};
use crate::e2e::proxies::Proxy;
use crate::e2e::upstream::{Dialect, Manner, Upstream};
use crate::e2e::{Setting, order};
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

/// Downloads at once in the rows of many.
const AT_ONCE: usize = 4;

const CALLER: &str = "replay";

/// A server with what it is asked for, and what was measured of it.
struct Contender {
    name: String,
    server: usize,
    at_once: usize,
    gb_per_s: Vec<f64>,
    cpu_per_gb: Vec<f64>,
}

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((22_000, 9), (1_000, 2));
    let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, 45_000), Manner::AT_ONCE).await?;
    let expected = upstream.collection.output();
    let servers = servers(setting, &upstream, expected, pinning).await?;
    let mut contenders: Vec<_> = [1, AT_ONCE]
        .into_iter()
        .flat_map(|at_once| {
            servers.iter().enumerate().map(move |(server, (name, ..))| Contender {
                name: name.clone(),
                server,
                at_once,
                gb_per_s: Vec::new(),
                cpu_per_gb: Vec::new(),
            })
        })
        .collect();
    // The first round only warms up.
    for round in 0..=rounds {
        eprintln!("replay: round {round} of {rounds}, {} MB each", expected / 1_000_000);
        for index in order(&(0..contenders.len()).collect::<Vec<_>>(), round) {
            let contender = &mut contenders[index];
            let (_, proxy, path) = &servers[contender.server];
            let before = cpu_of(proxy.pid)?;
            let start = Instant::now();
            let downloads = (0..contender.at_once).map(async |_| {
                Download::begin(proxy.address, path, CALLER, Window::AsUsual).await?.finish(expected).await
            });
            try_join_all(downloads).await?;
            let gigabytes = (expected * contender.at_once as u64) as f64 / 1e9;
            let took = start.elapsed().as_secs_f64();
            let cpu = cpu_of(proxy.pid)?.saturating_sub(before).as_secs_f64();
            if round > 0 {
                contender.gb_per_s.push(gigabytes / took);
                contender.cpu_per_gb.push(cpu / gigabytes);
            }
        }
    }
    Ok((figures(&contenders, setting.nginx.is_some()), details(&contenders)))
}

/// Each server with its name and the path of the snapshot there.
async fn servers(
    setting: &Setting,
    upstream: &Upstream,
    expected: u64,
    pinning: Pinning,
) -> anyhow::Result<Vec<(String, Proxy, String)>> {
    let mut servers = Vec::new();
    let mut file = None;
    for (name, memory) in [("memory", "3GiB"), ("file", "1MiB")] {
        let lines = format!("memory = \"{memory}\"\nkeep_for = \"1h\"");
        let (proxy, folder) = unpage(setting, name, upstream, Keeping::Files, &lines, pinning).await?;
        let crawl = Download::begin(proxy.address, Dialect::Link.path(), CALLER, Window::AsUsual).await?;
        let path = crawl.field("content-location").unwrap_or_default().to_owned();
        crawl.finish(expected).await?;
        file = Some(lines_of(&folder)?);
        servers.push((format!("unpage, from {name}"), proxy, path));
    }
    if let (Some(nginx), Some(file)) = (&setting.nginx, file) {
        for name in ["nginx", "nginx again (A/A)"] {
            let (proxy, path) = Proxy::file_server(setting, nginx, &file, name.len(), pinning).await?;
            servers.push((name.to_owned(), proxy, path));
        }
    }
    Ok(servers)
}

fn figures(contenders: &[Contender], nginx: bool) -> Vec<Figure> {
    println!("\n| server | downloads at once | GB/s | CPU s/GB |\n|---|---|---|---|");
    for contender in contenders {
        let (speed, cpu) = (Spread::of(contender.gb_per_s.clone()), Spread::of(contender.cpu_per_gb.clone()));
        println!("| {} | {} | {speed} | {cpu} |", contender.name, contender.at_once);
    }
    if !nginx {
        return Vec::new();
    }
    let figures = contenders.chunks(4).flat_map(|servers| {
        let [memory, file, nginx, again] = servers else { return Vec::new() };
        let note = format!("{} at once", nginx.at_once);
        let speed = |of: &Contender| Spread::of_ratios(&of.gb_per_s, &nginx.gb_per_s);
        let cpu = |of: &Contender| Spread::of_ratios(&of.cpu_per_gb, &nginx.cpu_per_gb);
        let goal = Goal::AtLeast(0.7, 1.0);
        vec![
            Figure::new("replay from memory, GB/s / nginx with sendfile", goal, speed(memory), note.clone()),
            Figure::new("replay from the file, GB/s / nginx with sendfile", goal, speed(file), note.clone()),
            Figure::new("replay from memory, CPU s/GB / nginx", Goal::None, cpu(memory), note.clone()),
            Figure::new("replay from the file, CPU s/GB / nginx", Goal::None, cpu(file), note.clone()),
            Figure::new("nginx again, GB/s (A/A)", Goal::None, speed(again), note),
        ]
    });
    figures.collect()
}

fn details(contenders: &[Contender]) -> Value {
    let row = |contender: &Contender| {
        json!({
            "server": contender.name,
            "at_once": contender.at_once,
            "gb_per_s": contender.gb_per_s,
            "cpu_s_per_gb": contender.cpu_per_gb,
        })
    };
    contenders.iter().map(row).collect()
}
