//! Gain of several pages at a time, and the requests made in vain.

use serde_json::{Value, json};
use tokio::time::Duration;
use unpage::demo::{Legacy, Quirks, Total};
use unpage_upstream::{Jitter, Latency, Script};

use super::super::{Setting, order};
use super::api::{Api, Style, Walk};
use super::stream::{Promised, whole};
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

const PAGE: u64 = 100;

/// One page after the other, six and thirty-two at a time.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (pages, rounds, latency) = setting.effort.pick((961, 2, 100), (65, 1, 20));
    let latency = Duration::from_millis(latency);
    let script = Script { latency: Latency::fixed(latency), at_once: Some(32), ..Script::default() };
    let records = pages * PAGE;
    let api = Api::start(Legacy::of(records), script).await?;
    let widths = [1, 6, 32];
    let mut seconds: [Vec<f64>; 3] = Default::default();
    let mut most = [0; 3];
    for round in 0..rounds {
        for contender in order(&[0, 1, 2], round) {
            let width = widths[contender];
            eprintln!("plans: width {width}, round {} of {rounds}", round + 1);
            let upstream = format!("width = {width}\nmax_width = 32");
            let walk = Walk { style: Style::Offset, page: PAGE, upstream, collection: String::new() };
            let proxy = api.behind(setting, &walk).await?;
            let took = whole(proxy.address, walk.style.path(), records, Promised::ByNumber).await?;
            seconds[contender].push(took.as_secs_f64());
            most[contender] = api.log().most_in_flight();
        }
    }
    let figure = |contender: usize, least, aim| {
        let (width, most) = (widths[contender], most[contender]);
        let best = pages as f64 / (1 + (pages - 1).div_ceil(width)) as f64;
        let note = format!(
            "offset, {pages} pages of {PAGE}, {} ms each; {most} in flight at most; {} if the first page comes alone",
            latency.as_millis(),
            short(best)
        );
        let gain = Spread::of_ratios(&seconds[0], &seconds[contender]);
        Figure::new(format!("wall, width 1 / width {width}"), Goal::AtLeast(least, aim), gain, note)
    };
    let figures = vec![figure(1, 5.8, 5.95), figure(2, 29.0, 31.0)];
    Ok((figures, json!({ "widths": widths, "s": seconds })))
}

/// Number of requests beyond the last page, where the end can't be known.
pub async fn wasted(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let pages = setting.effort.pick(200, 40);
    let records = pages * PAGE - PAGE / 2;
    let jitter = Jitter::LogNormal { median: Duration::from_millis(30), sigma: 0.5 };
    let quirks = Quirks { total: Total::Absent, ..Quirks::default() };
    let legacy = Legacy { quirks, ..Legacy::of(records) };
    let api = Api::start(legacy, Script { latency: jitter.into(), ..Script::default() }).await?;
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for style in [Style::OffsetWithoutTotal, Style::PageWithoutTotal] {
        for width in [6, 32] {
            eprintln!("plans: wasted requests, {} at width {width}", style.path());
            let mut wasted = Vec::new();
            for _ in 0..setting.effort.pick(5, 1) {
                let walk = Walk { style, page: PAGE, upstream: format!("width = {width}"), collection: String::new() };
                let proxy = api.behind(setting, &walk).await?;
                whole(proxy.address, style.path(), records, Promised::ByNumber).await?;
                wasted.push(api.log().count() as f64 - pages as f64);
            }
            details.push(json!({ "path": style.path(), "width": width, "wasted": wasted }));
            let name = format!("requests beyond the last page, {}, width {width}", style.path());
            let note = format!("no total, {pages} pages, the last one short");
            figures.push(Figure::new(name, Goal::AtMost(f64::from(width), 1.0), Spread::of(wasted), note));
        }
    }
    Ok((figures, json!(details)))
}
