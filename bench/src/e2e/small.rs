//! Small collections: what a stream of one page of 100 records costs, and how soon a new process has its first record.

use anyhow::Context;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Pace, drain};
use super::page::Collection;
use super::process::{Pinning, cpu_of};
use super::proxies::Proxy;
use super::upstream::{Dialect, Manner, STREAM, Upstream};
use super::{Setting, order};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

/// About 100 records of 250 bytes.
const PAGE_BYTES: usize = 25_000;

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let upstream = Upstream::start(Collection::new(Corpus::Orders, 1, PAGE_BYTES), Manner::AT_ONCE).await?;
    let (mut figures, streams) = streams(setting, &upstream).await?;
    let starts = starts(setting, &upstream).await?;
    let name = "ms from the start of the process to the first record";
    figures.push(Figure::new(name, Goal::None, Spread::of(starts.clone()), ""));
    Ok((figures, json!({ "microseconds of CPU a stream": streams, "ms to the first record": starts })))
}

/// Processor time of streams one after the other, each on a connection of its own: unpage, pass-through, unpage again.
async fn streams(setting: &Setting, upstream: &Upstream) -> anyhow::Result<(Vec<Figure>, [Vec<f64>; 3])> {
    let (streams, rounds) = setting.effort.pick((2_000, 9), (200, 2));
    let proxies = [
        Proxy::unpage(setting, upstream.address, Pinning::Shared).await?,
        Proxy::passthrough(upstream.address, Pinning::Shared).await?,
    ];
    let mut micros: [Vec<f64>; 3] = Default::default();
    let mut a_minute = Vec::new();
    for round in 0..=rounds {
        eprintln!("small: round {round} of {rounds}");
        for contender in order(&[0, 1, 2], round) {
            let (proxy, path) =
                if contender == 1 { (&proxies[1], STREAM) } else { (&proxies[0], Dialect::Link.path()) };
            let (before, start) = (cpu_of(proxy.pid)?, Instant::now());
            for _ in 0..streams {
                drain(proxy.address, path, Pace::Free, upstream.collection.output()).await?;
            }
            // The first round warms.
            if round > 0 {
                micros[contender].push((cpu_of(proxy.pid)? - before).as_secs_f64() * 1e6 / f64::from(streams));
                if contender == 0 {
                    a_minute.push(f64::from(streams) / start.elapsed().as_secs_f64() * 60.0);
                }
            }
        }
    }
    let note = format!(
        "{} µs a stream; {} a minute, one after the other",
        short(Spread::of(micros[0].clone()).median),
        short(Spread::of(a_minute).median)
    );
    let ratio = |one: usize, other: usize| Spread::of_ratios(&micros[one], &micros[other]);
    let figures = vec![
        Figure::new("CPU of a stream of 100 records / hyper pass-through", Goal::None, ratio(0, 1), note),
        Figure::new("CPU of a stream of 100 records, again (A/A)", Goal::None, ratio(2, 0), ""),
    ];
    Ok((figures, micros))
}

/// Milliseconds from the start of each process to its first record.
async fn starts(setting: &Setting, upstream: &Upstream) -> anyhow::Result<Vec<f64>> {
    let mut millis = Vec::new();
    for _ in 0..setting.effort.pick(11, 3) {
        let start = Instant::now();
        let proxy = Proxy::unpage(setting, upstream.address, Pinning::Shared).await?;
        let drained = drain(proxy.address, Dialect::Link.path(), Pace::Free, upstream.collection.output()).await?;
        let first = drained.first_line.context("no record")?;
        millis.push((first - start).as_secs_f64() * 1e3);
    }
    Ok(millis)
}
