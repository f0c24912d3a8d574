//! Bounded memory for records that wait: one page takes a hundred times as long as the others.

use serde_json::{Value, json};
use tokio::time::Duration;
use unpage::demo::Legacy;
use unpage_upstream::{Latency, On, Script};

use super::super::Setting;
use super::super::process::peak_mib;
use super::api::{Api, Style, Walk};
use super::stream::{Promised, whole};
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

const PAGE: u64 = 1_000;

/// Memory of a process beside its window, in MiB.
const BESIDE: f64 = 16.0;

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let pages = setting.effort.pick(1_000, 200);
    let records = pages * PAGE;
    let latency = Latency { slow: vec![(On::Page(20), 100.0)], ..Latency::fixed(Duration::from_millis(30)) };
    let api = Api::start(Legacy::of(records), Script { latency, ..Script::default() }).await?;
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for (width, window, spool) in [(6, 4, "0"), (6, 16, "0"), (6, 64, "0"), (6, 16, "1GiB"), (32, 16, "1GiB")] {
        eprintln!("plans: width {width}, a window of {window} MiB, a spool of {spool}");
        let (mut beside, mut seconds) = (Vec::new(), Vec::new());
        for _ in 0..setting.effort.pick(3, 1) {
            let collection = format!("caps = {{ window = \"{window}MiB\", spool = \"{spool}\" }}");
            let upstream = format!("width = {width}\nmax_width = {width}");
            let walk = Walk { style: Style::Offset, page: PAGE, upstream, collection };
            let proxy = api.behind(setting, &walk).await?;
            let took = whole(proxy.address, walk.style.path(), records, Promised::ByNumber).await?;
            beside.push(peak_mib(proxy.pid)? - f64::from(window));
            seconds.push(took.as_secs_f64());
            api.log();
        }
        let note = format!(
            "{pages} pages of 280 KB, {width} at a time, 30 ms, one of them 3 s; {} s in all",
            Spread::of(seconds.clone())
        );
        let name = format!("peak RSS − window in MiB, width {width}, window {window} MiB, spool {spool}");
        figures.push(Figure::new(name, Goal::AtMost(BESIDE, 8.0), Spread::of(beside.clone()), note));
        details
            .push(json!({ "width": width, "window": window, "spool": spool, "peak - window": beside, "s": seconds }));
    }
    Ok((figures, json!(details)))
}
