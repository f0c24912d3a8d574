//! Costs of files for a crawl: the same crawl with a folder and in memory alone.

use anyhow::ensure;
use serde_json::{Value, json};

use super::download::{Download, Window};
use super::{Keeping, unpage};
use crate::corpora::Corpus;
use crate::e2e::page::Collection;
use crate::e2e::process::{Pinning, cpu_of};
use crate::e2e::upstream::{Dialect, Manner, Upstream};
use crate::e2e::{Setting, order};
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

/// Measurements of a round.
const WAYS: [(&str, Keeping); 3] =
    [("files", Keeping::Files), ("memory", Keeping::Memory), ("memory-again", Keeping::Memory)];

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    // An upstream that answers at once shows what files cost at the worst; one that takes its time, what they cost mostly.
    for (what, manner, scale) in [("0 ms a page", Manner::AT_ONCE, 8), ("5 ms a page", Manner::slow(5, 0), 1)] {
        let (pages, rounds) = setting.effort.pick((600 * scale, 11), (100, 2));
        let upstream = Upstream::start(Collection::new(Corpus::Orders, pages, 45_000), manner).await?;
        let (more, detail) = compare(setting, &upstream, what, rounds, pinning).await?;
        figures.extend(more);
        details.push(detail);
    }
    Ok((figures, details.into()))
}

async fn compare(
    setting: &Setting,
    upstream: &Upstream,
    what: &str,
    rounds: usize,
    pinning: Pinning,
) -> anyhow::Result<(Vec<Figure>, Value)> {
    let expected = upstream.collection.output();
    let mut proxies = Vec::new();
    for (name, keeping) in WAYS {
        // What is done with goes soon, so that the disk isn't what is measured.
        let lines = "fresh_for = \"0\"\nkeep_for = \"1s\"";
        proxies.push(unpage(setting, &format!("journal-{name}"), upstream, keeping, lines, pinning).await?.0);
    }
    let (mut speeds, mut costs) = (vec![Vec::new(); WAYS.len()], vec![Vec::new(); WAYS.len()]);
    for round in 0..=rounds {
        eprintln!("journal: {what}, round {round} of {rounds}, {} MB each", expected / 1_000_000);
        for way in order(&[0, 1, 2], round) {
            let proxy = &proxies[way];
            upstream.sight();
            let before = cpu_of(proxy.pid)?;
            let crawl =
                Download::begin(proxy.address, Dialect::Link.path(), &round.to_string(), Window::AsUsual).await?;
            let took = crawl.finish(expected).await?.as_secs_f64();
            let cpu = cpu_of(proxy.pid)?.saturating_sub(before).as_secs_f64();
            ensure!(upstream.sight().requests == upstream.collection.pages(), "the crawl was another's");
            if round > 0 {
                speeds[way].push(expected as f64 / 1e9 / took);
                costs[way].push(cpu / (expected as f64 / 1e9));
            }
        }
    }
    let cpu = format!("CPU × {}; one stream, {what}", short(Spread::of_ratios(&costs[0], &costs[1]).median));
    let seen = Spread::of_ratios(&speeds[0], &speeds[1]);
    let figures = vec![
        Figure::new("crawl into files, GB/s / in memory alone", Goal::AtLeast(0.9, 1.0), seen, cpu),
        Figure::new("in memory alone, again (A/A)", Goal::None, Spread::of_ratios(&speeds[2], &speeds[1]), what),
    ];
    Ok((figures, json!({ "what": what, "gb_per_s": speeds, "cpu_s_per_gb": costs })))
}
