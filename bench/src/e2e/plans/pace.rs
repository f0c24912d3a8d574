//! As much as an API allows and no more: its limit, told in headers or not at all, and the number of requests that it bears.

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Duration;
use unpage::demo::Legacy;
use unpage_upstream::{Counted, Latency, Log, RateLimit, Reset, Says, Script};

use super::super::Setting;
use super::api::{Api, Style, Walk};
use super::stream::{Promised, whole};
use crate::figure::{Figure, Goal};
use crate::spread::{Spread, short};

const PAGE: u64 = 100;

/// Requests a second that the API with a limit allows.
const ALLOWED: u32 = 20;

/// Requests in flight at the knee of the latency of the API without a limit.
const KNEE: u32 = 12;

/// An API that allows 20 requests a second, and what it says of that.
pub async fn rate(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let pages = setting.effort.pick(600, 60);
    let cases = [
        ("X-RateLimit-*", vec![Says::XRateLimit(Reset::Epoch), Says::RetryAfter]),
        ("RateLimit", vec![Says::RateLimit, Says::RetryAfter]),
        ("Retry-After", vec![Says::RetryAfter]),
        ("nothing", Vec::new()),
    ];
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for (name, says) in cases {
        for (counted, window) in [(Counted::FixedWindow, "windows of 1 s"), (Counted::Bucket(ALLOWED), "a bucket")] {
            eprintln!("plans: {ALLOWED} requests a second, {window}, told by {name}");
            let limit = RateLimit { counted, says: says.clone(), ..RateLimit::per_second(ALLOWED) };
            let latency = Latency::fixed(Duration::from_millis(30));
            let script = Script { latency, limit: Some(limit), ..Script::default() };
            let api = Api::start(Legacy::of(pages * PAGE), script).await?;
            let upstream = "retry = { attempts = 20 }".to_owned();
            let walk = Walk { style: Style::Offset, page: PAGE, upstream, collection: String::new() };
            let proxy = api.behind(setting, &walk).await?;
            let took = whole(proxy.address, walk.style.path(), pages * PAGE, Promised::ByNumber).await?;
            let log = api.log();
            let sustained = pages as f64 / took.as_secs_f64() / f64::from(ALLOWED);
            let refused = log.share(StatusCode::TOO_MANY_REQUESTS);
            let note = format!("{window}, {pages} pages");
            figures.push(Figure::new(
                format!("pages a second / {ALLOWED} allowed, told by {name}"),
                Goal::AtLeast(0.95, 0.99),
                Spread::of(vec![sustained]),
                note.clone(),
            ));
            figures.push(Figure::new(
                format!("share of 429, told by {name}"),
                Goal::AtMost(0.02, 0.002),
                Spread::of(vec![refused]),
                note,
            ));
            details.push(json!({ "told by": name, "counted": window, "s": took.as_secs_f64(), "429": refused }));
        }
    }
    Ok((figures, json!(details)))
}

/// An API that answers twelve requests as fast as one, and no more: found by itself, beside every fixed width.
pub async fn adaptive(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let latency = Latency { knee: Some(KNEE), ..Latency::fixed(Duration::from_millis(50)) };
    let (pages, least) = setting.effort.pick((3_000, 100), (240, 10));
    let mut sweep = Vec::new();
    for width in [1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 48, 64] {
        let pages = (least * width).min(pages / 2);
        let (rate, _) = paced(setting, &latency, &width.to_string(), pages).await?;
        sweep.push((width, rate));
    }
    let best = sweep.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let (mut shares, mut settled, mut details) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.effort.pick(3, 1) {
        let (rate, log) = paced(setting, &latency, "\"adaptive\"", pages).await?;
        let in_flight = settled_at(&log);
        shares.push(rate / best);
        settled.push(in_flight[1]);
        details.push(json!({ "pages a second": rate, "in flight, 10 %, 50 %, 90 %": in_flight }));
    }
    let swept: Vec<_> = sweep.iter().map(|(width, rate)| format!("{width}: {}", short(*rate))).collect();
    let spread: Vec<_> = details.iter().map(|run| run["in flight, 10 %, 50 %, 90 %"].to_string()).collect();
    let note = format!("10 %, 50 %, 90 % of the second half of each run: {}", spread.join(" "));
    let settled = Spread::of(settled);
    let figures = vec![
        Figure::new("adaptive, in flight when settled", Goal::AtLeast(8.0, 10.0), settled, note),
        Figure::new("the same, at most", Goal::AtMost(14.0, 13.0), settled, format!("the knee is at {KNEE}")),
        Figure::new(
            "pages a second, adaptive / the best fixed width",
            Goal::AtLeast(0.9, 0.98),
            Spread::of(shares),
            format!("pages a second by width: {}", swept.join(", ")),
        ),
    ];
    Ok((figures, json!({ "sweep": sweep, "adaptive": details })))
}

/// Pages a second at a width, and what the API was asked.
async fn paced(setting: &Setting, latency: &Latency, width: &str, pages: u64) -> anyhow::Result<(f64, Log)> {
    eprintln!("plans: knee at {KNEE}, width {width}");
    let script = Script { latency: latency.clone(), ..Script::default() };
    let api = Api::start(Legacy::of(pages * PAGE), script).await?;
    let upstream = format!("width = {width}\nmax_width = 64");
    let walk = Walk { style: Style::Offset, page: PAGE, upstream, collection: String::new() };
    let proxy = api.behind(setting, &walk).await?;
    let took = whole(proxy.address, walk.style.path(), pages * PAGE, Promised::ByNumber).await?;
    Ok((pages as f64 / took.as_secs_f64(), api.log()))
}

/// Requests in flight in the second half of a crawl: the 10th, 50th and 90th percentile.
fn settled_at(log: &Log) -> [f64; 3] {
    let mut in_flight: Vec<_> = log.requests()[log.count() / 2..].iter().map(|logged| logged.in_flight).collect();
    in_flight.sort_unstable();
    let last = in_flight.len().saturating_sub(1);
    [1, 5, 9].map(|tenths| in_flight.get(last * tenths / 10).map_or(0.0, |seen| *seen as f64))
}
