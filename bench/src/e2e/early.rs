//! Slow pages, requested in turn or early, and the delay of the first record.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Duration, Instant};

use super::client::{Pace, Turn, crawl, drain};
use super::page::Collection;
use super::process::Pinning;
use super::proxies::Proxy;
use super::upstream::{Dialect, Manner, STREAM, Upstream};
use super::{Setting, order};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

/// The time to the head and the time for the body of the pages, in milliseconds.
const HEAD: u64 = 20;
const BODY: u64 = 80;

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, next) = next(setting).await?;
    let (more, first) = first_record(setting).await?;
    figures.extend(more);
    let (more, disk) = to_disk(setting).await?;
    figures.extend(more);
    Ok((figures, json!({ "early next": next, "first record": first, "to disk": disk })))
}

/// Gain of early requests over requests in turn.
async fn next(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((60, 5), (10, 2));
    let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, 45_000), Manner::slow(HEAD, BODY)).await?;
    let proxy = Proxy::unpage(setting, upstream.address, Pinning::Shared).await?;
    let expected = upstream.collection.output();
    let dialects = [Dialect::Link, Dialect::Before, Dialect::After];
    let (mut naive, mut again) = (Vec::new(), Vec::new());
    let mut early: [Vec<f64>; 3] = Default::default();
    let mut together = [0.0; 3];
    for round in 0..rounds {
        eprintln!("early: round {} of {rounds}", round + 1);
        for contender in order(&[0, 1, 2, 3, 4], round) {
            match contender {
                3 => naive.push(crawl(upstream.address, Dialect::Link.path(), Turn::AtEnd).await?.as_secs_f64()),
                4 => again.push(crawl(upstream.address, Dialect::Link.path(), Turn::AtEnd).await?.as_secs_f64()),
                dialect => {
                    upstream.sight();
                    let drained = drain(proxy.address, dialects[dialect].path(), Pace::Free, expected).await?;
                    early[dialect].push(drained.took.as_secs_f64());
                    together[dialect] = upstream.sight().together;
                }
            }
        }
    }
    let theory = theory(pages as f64);
    let figures = dialects.iter().enumerate().map(|(index, dialect)| {
        let gain = Spread::of_ratios(&naive, &early[index]);
        let share = Spread::of(naive.iter().zip(&early[index]).map(|(naive, early)| naive / early / theory).collect());
        let note = format!(
            "gain {} of {}; {} in flight on average",
            short(gain.median),
            short(theory),
            short(together[index])
        );
        match dialect {
            Dialect::After | Dialect::Offset => {
                Figure::new(format!("early next, {}: gain", dialect.name()), Goal::None, gain, note)
            }
            Dialect::Link | Dialect::Before => {
                Figure::new(format!("early next, {} / theory", dialect.name()), Goal::AtLeast(0.90, 0.98), share, note)
            }
        }
    });
    let mut figures: Vec<_> = figures.collect();
    let noise = Spread::of_ratios(&again, &naive);
    figures.push(Figure::new("asking in turn, again (A/A)", Goal::None, noise, ""));
    Ok((figures, json!({ "naive s": naive, "early s": early })))
}

/// The most that asking at each head gains: bodies then only cost time at the end.
fn theory(pages: f64) -> f64 {
    let (head, body) = (HEAD as f64, BODY as f64);
    pages * (head + body) / (pages * head + body)
}

/// Delay between the upstream's first byte and the client's first whole record.
async fn first_record(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let rounds = setting.effort.pick(11, 3);
    let upstream = Upstream::start(Collection::new(Corpus::Orders, 2, 450_000), Manner::slow(HEAD, BODY)).await?;
    let proxy = Proxy::unpage(setting, upstream.address, Pinning::Shared).await?;
    let expected = upstream.collection.output();
    let ways = [
        ("unpage, Link header", proxy.address, Dialect::Link.path()),
        ("unpage, next after data", proxy.address, Dialect::After.path()),
        ("no proxy", upstream.address, STREAM),
    ];
    let mut delays: [Vec<f64>; 3] = Default::default();
    for round in 0..rounds {
        for way in order(&[0, 1, 2], round) {
            upstream.sight();
            let (_, address, path) = ways[way];
            let drained = drain(address, path, Pace::Free, expected).await?;
            let sent = upstream.sight().first_byte.context("the upstream sent nothing")?;
            let seen = drained.first_line.context("no line came")?;
            delays[way].push(seen.saturating_duration_since(sent).as_secs_f64() * 1e3);
        }
    }
    let figures = ways.iter().zip(&delays).map(|((name, ..), delays)| {
        let goal = if *name == "no proxy" { Goal::None } else { Goal::AtMost(3.0, 0.3) };
        let name = format!("ms from the upstream's first body byte to the first record, {name}");
        Figure::new(name, goal, Spread::of(delays.clone()), "450 KB pages, 20 + 80 ms")
    });
    Ok((figures.collect(), json!(delays)))
}

/// A whole crawl to a file, beside one that throws the pages away.
async fn to_disk(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((250, 5), (25, 2));
    let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, 45_000), Manner::slow(HEAD, 0)).await?;
    let proxy = Proxy::unpage(setting, upstream.address, Pinning::Shared).await?;
    let file = setting.out.join("orders.ndjson");
    let (mut ours, mut raw, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        eprintln!("to disk: round {} of {rounds}", round + 1);
        for contender in order(&[0, 1, 2], round) {
            match contender {
                0 => ours.push(
                    curl(&format!("http://{}{}", proxy.address, Dialect::Link.path()), &file).await?.as_secs_f64(),
                ),
                1 => raw.push(crawl(upstream.address, Dialect::Link.path(), Turn::AtHead).await?.as_secs_f64()),
                _ => again.push(crawl(upstream.address, Dialect::Link.path(), Turn::AtHead).await?.as_secs_f64()),
            }
        }
        ensure!(std::fs::metadata(&file)?.len() == upstream.collection.output(), "the file is not what it should be");
    }
    let note = format!("{pages} pages of 45 KB, {HEAD} ms");
    let figures = vec![
        Figure::new(
            "wall, to disk with curl / raw fetch, Link header",
            Goal::AtMost(1.10, 1.01),
            Spread::of_ratios(&ours, &raw),
            note,
        ),
        Figure::new("raw fetch again (A/A)", Goal::None, Spread::of_ratios(&again, &raw), ""),
    ];
    Ok((figures, json!({ "unpage s": ours, "raw s": raw })))
}

/// The time that curl takes to write a stream to a file, its start included.
pub async fn curl(url: &str, file: &std::path::Path) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut command = Command::new("curl");
    command.args(["-sS", "-f", "-H", "Accept: application/x-ndjson", "-o"]).arg(file).arg(url).stdin(Stdio::null());
    let status = command.status().await.context("curl can't be started")?;
    ensure!(status.success(), "curl ended with {status}");
    Ok(start.elapsed())
}
