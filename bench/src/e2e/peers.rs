//! Costs of a record for other clients that page.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::early::curl;
use super::page::Collection;
use super::process::{Pinning, cpu_of, cpu_of_ended_children};
use super::proxies::Proxy;
use super::upstream::{Dialect, Manner, Upstream};
use super::{Setting, order};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

/// Programs that fetch all records into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Unpage,
    UnpageAgain,
    AiohttpOrjson,
    AiohttpJson,
    Dlt,
    CurlJq,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Unpage => "unpage and curl",
            Self::UnpageAgain => "unpage and curl again (A/A)",
            Self::AiohttpOrjson => "aiohttp and orjson",
            Self::AiohttpJson => "aiohttp and json",
            Self::Dlt => "dlt RESTClient",
            Self::CurlJq => "curl and jq in a loop",
        }
    }

    /// True if its start is not counted: a longer run has it only once, too.
    fn is_python(self) -> bool {
        matches!(self, Self::AiohttpOrjson | Self::AiohttpJson | Self::Dlt)
    }
}

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((1_200, 5), (200, 2));
    let all = Upstream::start(Collection::new(Corpus::Orders, pages, 45_000), Manner::AT_ONCE).await?;
    let one = Upstream::start(Collection::new(Corpus::Orders, 1, 45_000), Manner::AT_ONCE).await?;
    // A loop of processes is a hundred times as slow, and starts anew for each page anyway.
    let some = Upstream::start(Collection::new(Corpus::Orders, pages / 40, 45_000), Manner::AT_ONCE).await?;
    let proxy = Proxy::unpage(setting, all.address, Pinning::Shared).await?;
    let mut peers = vec![Peer::Unpage, Peer::UnpageAgain, Peer::CurlJq];
    if setting.python.is_some() {
        peers.extend([Peer::AiohttpOrjson, Peer::AiohttpJson, Peer::Dlt]);
    }
    let mut seconds = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        eprintln!("peers: round {} of {rounds}", round + 1);
        for index in order(&(0..peers.len()).collect::<Vec<_>>(), round) {
            let peer = peers[index];
            let upstream = if peer == Peer::CurlJq { &some } else { &all };
            let mut cpu = cost(setting, peer, &proxy, upstream).await?;
            let mut records = upstream.collection.records();
            if peer.is_python() {
                cpu -= cost(setting, peer, &proxy, &one).await?;
                records -= one.collection.records();
            }
            seconds[index].push(cpu * 1e5 / records as f64);
        }
    }
    let details = peers.iter().zip(&seconds).map(|(peer, seconds)| (peer.name().to_owned(), json!(seconds)));
    Ok((figures(&peers, &seconds), Value::Object(details.collect())))
}

/// The processor time of one peer for one collection, its start included.
async fn cost(setting: &Setting, peer: Peer, proxy: &Proxy, upstream: &Upstream) -> anyhow::Result<f64> {
    let file = setting.out.join("peer.ndjson");
    let path = Dialect::After.path();
    let url = format!("http://{}{path}", upstream.address);
    let (server, children) = (cpu_of(proxy.pid)?, cpu_of_ended_children()?);
    match peer {
        Peer::Unpage | Peer::UnpageAgain => {
            curl(&format!("http://{}{path}", proxy.address), &file).await?;
        }
        Peer::AiohttpOrjson => python(setting, "aiohttp_loop.py", &[&url, "orjson"], &file).await?,
        Peer::AiohttpJson => python(setting, "aiohttp_loop.py", &[&url, "json"], &file).await?,
        Peer::Dlt => python(setting, "dlt_client.py", &[&url], &file).await?,
        Peer::CurlJq => {
            let mut command = Command::new("bash");
            command.arg(setting.scripts.join("curl_jq.sh")).arg(&url);
            into(command, &file).await?;
        }
    }
    let cpu = (cpu_of(proxy.pid)? - server) + (cpu_of_ended_children()? - children);
    let lines = memchr::memchr_iter(b'\n', &std::fs::read(&file)?).count();
    ensure!(lines == upstream.collection.records(), "{} wrote {lines} records", peer.name());
    Ok(cpu.as_secs_f64())
}

async fn python(setting: &Setting, script: &str, arguments: &[&str], file: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(setting.python.as_ref().context("no Python")?);
    command.arg(setting.scripts.join(script)).args(arguments);
    into(command, file).await
}

async fn into(mut command: Command, file: &Path) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(std::fs::File::create(file)?).status().await?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn figures(peers: &[Peer], seconds: &[Vec<f64>]) -> Vec<Figure> {
    println!("\n| who | CPU s per 100,000 records |\n|---|---|");
    for (peer, seconds) in peers.iter().zip(seconds) {
        println!("| {} | {} |", peer.name(), Spread::of(seconds.clone()));
    }
    let others = peers.iter().zip(seconds).skip(1);
    let figure = |(peer, theirs): (&Peer, &Vec<f64>)| {
        let ratio = Spread::of_ratios(&seconds[0], theirs);
        let goal = if *peer == Peer::AiohttpOrjson { Goal::AtMost(0.10, 0.05) } else { Goal::None };
        let note = format!("1/{}", short(1.0 / ratio.median));
        Figure::new(format!("CPU per record, unpage and curl / {}", peer.name()), goal, ratio, note)
    };
    others.map(figure).collect()
}
