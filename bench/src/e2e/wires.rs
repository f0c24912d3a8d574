//! Costs of other connections and codings: processor time for each byte that leaves the proxy, beside HTTP/1.1 in the clear.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::client::{Pace, Version, drain_over};
use super::page::Collection;
use super::process::{Pinning, cpu_of};
use super::proxies::{Proxy, STREAMS_ALONE};
use super::upstream::{Dialect, Manner, Upstream};
use super::wire::{Coding, Wire};
use super::{Setting, order};
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

const AT_ONCE: usize = 6;

/// A proxy with an upstream of its own, and the client's version of HTTP.
struct Contender {
    name: &'static str,
    upstream: Upstream,
    proxy: Proxy,
    client: Version,
    cpu_per_gb: Vec<f64>,
}

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds) = setting.effort.pick((500, 7), (40, 2));
    let mut contenders = contenders(setting, pages, pinning).await?;
    for round in 0..=rounds {
        eprintln!("wires: round {round} of {rounds}");
        for index in order(&(0..contenders.len()).collect::<Vec<_>>(), round) {
            let Contender { upstream, proxy, client, cpu_per_gb, .. } = &mut contenders[index];
            let expected = upstream.collection.output();
            let before = cpu_of(proxy.pid)?;
            let path = Dialect::Link.path();
            try_join_all((0..AT_ONCE).map(|_| drain_over(*client, proxy.address, path, Pace::Free, expected))).await?;
            // The first round only warms connections and caches up.
            if round > 0 {
                let cpu = cpu_of(proxy.pid)?.saturating_sub(before);
                cpu_per_gb.push(cpu.as_secs_f64() / (expected * AT_ONCE as u64) as f64 * 1e9);
            }
        }
    }
    let plain = &contenders[0].cpu_per_gb;
    let figure = |contender: &Contender| {
        let note = format!("{} s/GB", short(Spread::of(contender.cpu_per_gb.clone()).median));
        let name = format!("CPU s/GB / HTTP/1.1 in the clear: {}", contender.name);
        Figure::new(name, Goal::None, Spread::of_ratios(&contender.cpu_per_gb, plain), note)
    };
    let detail = |contender: &Contender| json!({ "wire": contender.name, "cpu_s_per_gb": contender.cpu_per_gb });
    Ok((contenders.iter().skip(1).map(figure).collect(), contenders.iter().map(detail).collect()))
}

async fn contenders(setting: &Setting, pages: usize, pinning: Pinning) -> anyhow::Result<Vec<Contender>> {
    let plain = (Wire::Http1, "http", String::new());
    let tls = |protocol: &str, version: &str| {
        let (wire, authority) = Wire::tls(protocol, &setting.out)?;
        anyhow::Ok((wire, "https", format!("ca = \"{}\"\nhttp = \"{version}\"", authority.display())))
    };
    let h2c = (Wire::H2c, "http", "http = \"2\"".to_owned());
    let mut contenders = Vec::new();
    for (name, (wire, scheme, keys), coding, client) in [
        ("HTTP/1.1 in the clear", plain.clone(), None, Version::Http1),
        ("the same again (A/A)", plain.clone(), None, Version::Http1),
        ("client with HTTP/2", plain.clone(), None, Version::Http2),
        ("upstream with HTTP/2", h2c, None, Version::Http1),
        ("upstream with TLS, HTTP/1.1", tls("http/1.1", "1.1")?, None, Version::Http1),
        ("upstream with TLS, HTTP/2", tls("h2", "2")?, None, Version::Http1),
        ("pages in gzip", plain.clone(), Some(Coding::Gzip), Version::Http1),
        ("pages in br", plain.clone(), Some(Coding::Brotli), Version::Http1),
        ("pages in zstd", plain, Some(Coding::Zstd), Version::Http1),
    ] {
        let collection = Collection::new(Corpus::Orders, pages, 45_000);
        let upstream = Upstream::start_over(&wire, coding, collection, Manner::AT_ONCE).await?;
        let configuration = format!(
            "{STREAMS_ALONE}\n[upstream.bench]\nurl = \"{scheme}://localhost:{}\"\n{keys}\n
[[collection]]\npath = \"{}\"\nupstream = \"bench\"\nrecords = \"data\"\npagination = {{ type = \"link_header\" }}\n",
            upstream.address.port(),
            Dialect::Link.path(),
        );
        let proxy = Proxy::configured(setting, &configuration, pinning).await?;
        contenders.push(Contender { name, upstream, proxy, client, cpu_per_gb: Vec::new() });
    }
    Ok(contenders)
}
