//! Memory of a crowd: clients that read nothing, of records of 12 MB, beside the configured budget; and after they have left.

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::Setting;
use super::page::Collection;
use super::process::{Pinning, peak_mib, resident_mib};
use super::proxies::Proxy;
use super::snapshots::{Download, Window};
use super::upstream::{Dialect, Manner, Upstream};
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

const RECORD: usize = 12_000_000;

/// The configured budget, in MiB.
const MEMORY: f64 = 64.0;

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (clients, after) = setting.effort.pick((100, 60), (20, 5));
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for (place, disk) in [("in memory alone", "disk = \"0\""), ("with files", "disk = \"8GiB\"")] {
        eprintln!("crowd: {clients} clients, {place}");
        let upstream = Upstream::start(Collection::large(4, RECORD), Manner::AT_ONCE).await?;
        let folder = std::path::absolute(setting.out.join("crowd"))?;
        let dir = if disk.contains("\"0\"") { String::new() } else { format!("dir = \"{}\"\n", folder.display()) };
        let configuration = format!(
            "listen = \"127.0.0.1:0\"\n\n[snapshots]\n{disk}\n{dir}memory = \"{MEMORY}MiB\"\nfresh_for = \"0\"\nkeep_for = \"1s\"\nopens = \"1000000/s\"\n
[[collection]]\npath = \"{}\"\nupstream = \"http://{}\"\nrecords = \"data\"\npagination = {{ type = \"link_header\" }}\n",
            Dialect::Link.path(),
            upstream.address,
        );
        let proxy = Proxy::configured(setting, &configuration, Pinning::Shared).await?;
        // Those that wait for memory have no head yet.
        let begin = (0..clients).map(async |caller: u32| {
            let caller = caller.to_string();
            let begin = Download::begin(proxy.address, Dialect::Link.path(), &caller, Window::Smallest);
            tokio::time::timeout(Duration::from_secs(10), begin).await.ok().transpose()
        });
        let stalled = try_join_all(begin).await?;
        let begun = stalled.iter().flatten().count();
        let peak = peak_mib(proxy.pid)? - MEMORY;
        drop(stalled);
        sleep(Duration::from_secs(after)).await;
        let left = resident_mib(proxy.pid)?;
        let note = format!("{begun} of {clients} have a head after 10 s");
        let name = format!("peak RSS − memory in MiB, {clients} clients that don't read 12 MB records, {place}");
        figures.push(Figure::new(name, Goal::AtMost(128.0, 64.0), Spread::of(vec![peak]), note));
        let name = format!("RSS in MiB, {after} s after they left, {place}");
        figures.push(Figure::new(name, Goal::AtMost(64.0, 32.0), Spread::of(vec![left]), ""));
        details.push(json!({ "place": place, "clients": clients, "heads": begun, "beside": peak, "after": left }));
        drop(proxy);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
    }
    Ok((figures, details.into()))
}
