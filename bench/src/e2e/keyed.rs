//! Cost of the comparison of keys: processor time and throughput of streams whose records have a key, beside the same without one.

use serde_json::Value;

use super::Setting;
use super::page::Collection;
use super::process::Pinning;
use super::proxies::Proxy;
use super::proxy::{AT_ONCE, Contender, PAGE, details, measure, print};
use super::upstream::{Dialect, Manner, Upstream};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((950, 9), (60, 3));
    let upstream = Upstream::start(Collection::distinct(Corpus::Orders, pages, PAGE), Manner::AT_ONCE).await?;
    let address = upstream.address;
    let proxies = [Proxy::unpage(setting, address, pinning).await?, Proxy::keyed(setting, address, pinning).await?];
    let (link, offset) = (Dialect::Link.path(), Dialect::Offset.path());
    let mut contenders = [
        Contender::new("Link header", link, 0, AT_ONCE),
        Contender::new("Link header, key", link, 1, AT_ONCE),
        Contender::new("offset", offset, 0, AT_ONCE),
        Contender::new("offset, key", offset, 1, AT_ONCE),
    ];
    measure("keys", &upstream, &proxies, &mut contenders, rounds).await?;
    print(&contenders);
    let mut figures = Vec::new();
    for (name, [without, with]) in [("Link header", [0, 1]), ("offset", [2, 3])] {
        let [without, with] = [&contenders[without], &contenders[with]];
        let cpu = Spread::of_ratios(&with.cpu_per_gb, &without.cpu_per_gb);
        let speed = Spread::of_ratios(&with.gb_per_s, &without.gb_per_s);
        figures.push(Figure::new(format!("CPU with a key / without, {name}"), Goal::AtMost(1.05, 1.02), cpu, ""));
        figures.push(Figure::new(
            format!("throughput with a key / without, {name}"),
            Goal::AtLeast(0.95, 1.0),
            speed,
            "",
        ));
    }
    Ok((figures, details(&contenders)))
}
