//! A collection that is skewed, walked by one cursor, in eight fixed parts, and in parts that are cut while they are walked.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};
use unpage::demo::{Calendar, Legacy, TimeSpan, Times};
use unpage_upstream::{Latency, Script};

use super::super::{Setting, order};
use super::api::{Api, Style, Walk};
use super::stream::{Promised, Roll, read, whole};
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

const PAGE: u64 = 1_000;
const WORKERS: u64 = 8;

/// The years that the fixed parts cut evenly.
const YEARS: (u64, u64) = (1_514_764_800, 1_609_459_200);

/// Configuration of a partition.
const PARTITION: &str = r#"partition = { from = "created[gte]", to = "created[lt]", kind = "unix", field = "created", order = "ascending" }"#;

/// Contender.
const CONTENDERS: [&str; 5] =
    ["one cursor", "one cursor again (A/A)", "partition", "partition, any order", "8 fixed parts"];

/// Result of a contender.
#[derive(Clone, Debug, Default)]
struct Seen {
    seconds: Vec<f64>,
    /// Number of requests for each of the fewest that suffice.
    requests: Vec<f64>,
    most: usize,
    /// Mean number of requests in flight at an arrival.
    mean: Vec<f64>,
}

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (in_last_year, latency, rounds) = setting.effort.pick((1_000_000, 50, 2), (60_000, 20, 1));
    let legacy = skewed(in_last_year);
    let records = legacy.records;
    let script = Script { latency: Latency::fixed(Duration::from_millis(latency)), ..Script::default() };
    let api = Api::start(legacy, script).await?;
    let fewest = records.div_ceil(PAGE) as f64;
    let mut seen = vec![Seen::default(); CONTENDERS.len()];
    for round in 0..rounds {
        for contender in order(&[0, 1, 2, 3, 4], round) {
            eprintln!("plans: {}, round {} of {rounds}", CONTENDERS[contender], round + 1);
            let took = walk(setting, &api, contender, records).await?;
            let log = api.log();
            let seen = &mut seen[contender];
            seen.seconds.push(took.as_secs_f64());
            seen.requests.push(log.count() as f64 / fewest);
            seen.most = seen.most.max(log.most_in_flight());
            let in_flight = log.requests().iter().map(|logged| logged.in_flight).sum::<usize>();
            seen.mean.push(in_flight as f64 / log.count().max(1) as f64);
        }
    }
    let details: Vec<_> = CONTENDERS
        .iter()
        .zip(&seen)
        .map(|(name, seen)| json!({ "who": name, "s": seen.seconds, "requests": seen.requests, "most": seen.most, "mean": seen.mean }))
        .collect();
    Ok((figures(&seen, in_last_year, latency), json!(details)))
}

fn figures(seen: &[Seen], in_last_year: u64, latency: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, one) in CONTENDERS.iter().zip(seen).skip(1) {
        let gain = Spread::of_ratios(&seen[0].seconds, &one.seconds);
        let (gain_goal, request_goal) = if name.starts_with("partition") {
            (Goal::AtLeast(7.0, 7.8), Goal::AtMost(1.1, 1.02))
        } else {
            (Goal::None, Goal::None)
        };
        let note = format!(
            "100, 1,000 and {in_last_year} records in three years, {latency} ms a page; in flight {} on average, {} at most",
            Spread::of(one.mean.clone()),
            one.most
        );
        figures.push(Figure::new(format!("wall, one cursor / {name}"), gain_goal, gain, note));
        let requests = Spread::of(one.requests.clone());
        figures.push(Figure::new(format!("requests / the fewest, {name}"), request_goal, requests, ""));
    }
    figures
}

/// 100 orders in 2018, 1,000 in 2019, and this many in 2020.
fn skewed(in_last_year: u64) -> Legacy {
    let mut calendar = Calendar::skewed();
    if let Times::Spans(spans) = &mut calendar.times
        && let Some(TimeSpan { orders, .. }) = spans.last_mut()
    {
        *orders = in_last_year;
    }
    Legacy { records: calendar.orders().unwrap_or_default(), calendar, ..Legacy::of(0) }
}

async fn walk(setting: &Setting, api: &Api, contender: usize, records: u64) -> anyhow::Result<Duration> {
    let (width, lines, promised) = match contender {
        2 => (WORKERS, PARTITION.to_owned(), Promised::ByNumber),
        3 => (WORKERS, format!("{PARTITION}\norder = \"any\""), Promised::Any),
        _ => (1, String::new(), Promised::ByNumber),
    };
    // A later part waits for its turn in memory and then on disk: the earlier ones are no slower for it.
    let collection = format!("{lines}\ncaps = {{ window = \"16MiB\", spool = \"1GiB\" }}");
    let upstream = format!("width = {width}\nmax_width = 32");
    let walk = Walk { style: Style::Cursor, page: PAGE, upstream, collection };
    let proxy = api.behind(setting, &walk).await?;
    if contender < 4 {
        return whole(proxy.address, walk.style.path(), records, promised).await;
    }
    let begun = Instant::now();
    let mut parts = JoinSet::new();
    let (from, to) = YEARS;
    let bound = |part: u64| from + (to - from) * part / WORKERS;
    for part in 0..WORKERS {
        let range = format!("created%5Bgte%5D={}&created%5Blt%5D={}", bound(part), bound(part + 1));
        let target = format!("{}?{range}", walk.style.path());
        let address = proxy.address;
        parts.spawn(async move {
            let mut roll = Roll::new(records, Promised::ByNumber);
            read(address, &target, &mut roll).await?;
            anyhow::Ok(roll.count())
        });
    }
    let mut count = 0;
    while let Some(part) = parts.join_next().await {
        count += part??;
    }
    anyhow::ensure!(count as u64 == records, "the fixed parts gave {count} of {records} orders");
    Ok(begun.elapsed())
}
