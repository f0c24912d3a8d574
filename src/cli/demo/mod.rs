//! `unpage demo`: an embedded legacy API, the proxy in front of it, and a comparison of ways to read one collection.

mod changing;
mod compare;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use indicatif::HumanCount;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::stop_signals::stopped;
use super::{Exit, logging};
use crate::config::{Config, Machine};
use crate::demo::{DemoApi, Legacy, configuration};
use crate::gateway::Gateway;
use crate::server;

const EXAMPLES: &str = "Examples:
  unpage demo                                             read 100,000 orders in several ways, and keep serving
  unpage demo --once --latency 100ms --rate 20            the same with a slow and strict API, and stop
  unpage demo --changes 5/s                               verdicts on a list that changes while it is read
  unpage demo --api-only --api-listen 127.0.0.1:9000      only the API, for a proxy of your own";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct DemoArguments {
    /// Number of orders that the legacy API has
    #[arg(long, default_value_t = 100_000, value_name = "NUMBER")]
    records: u64,
    /// Time that the legacy API takes for a page
    #[arg(long, default_value = "30ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Requests a second that the legacy API allows; it answers 429 to those beyond
    #[arg(long, value_name = "NUMBER")]
    rate: Option<NonZeroU32>,
    /// Orders that come or go: `5/s`, `100/min`
    #[arg(long, value_name = "NUMBER/TIME", value_parser = time_between)]
    changes: Option<Duration>,
    /// Address of the proxy; a free port where this one is taken
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS", conflicts_with = "api_only")]
    listen: SocketAddr,
    /// Address of the legacy API; a free port by default
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    api_listen: SocketAddr,
    /// Start the legacy API and nothing else
    #[arg(long, conflicts_with = "once")]
    api_only: bool,
    /// Stop after the comparison
    #[arg(long)]
    once: bool,
}

/// A failure of the demo itself.
type DemoError = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn run(arguments: DemoArguments) -> Exit {
    // A connection without a request, as browsers open some, is of interest to an operator alone.
    logging::init("warn,unpage::server::closed_connections=off");
    match show(&arguments).await {
        Ok(()) => Exit::Complete,
        Err(error) => {
            eprintln!("error: the demo failed: {error}");
            Exit::Broken
        }
    }
}

async fn show(arguments: &DemoArguments) -> Result<(), DemoError> {
    let stop = CancellationToken::new();
    let listener = TcpListener::bind(arguments.api_listen).await?;
    let api_address = listener.local_addr()?;
    let legacy = Legacy::of(arguments.records);
    let api = match arguments.changes {
        Some(every) => DemoApi::changing(legacy.clone(), arguments.latency, arguments.rate, every),
        None => DemoApi::new(legacy.clone(), arguments.latency, arguments.rate),
    };
    let serving = tokio::spawn(server::serve(listener, api.clone(), stop.clone().cancelled_owned()));
    eprintln!(
        "A legacy API with {} orders answers at http://{api_address}/: {} a page, {} records a page at most.",
        HumanCount(arguments.records),
        humantime::format_duration(arguments.latency),
        HumanCount(legacy.max_page)
    );
    if arguments.api_only {
        eprintln!("Still serving; stop with Ctrl-C. Its collections: curl http://{api_address}/");
        stopped().await;
    } else {
        let mut config = configuration(&format!("http://{api_address}"));
        if arguments.changes.is_some() {
            config.push_str(&format!("{}upstream = \"http://{api_address}\"\n", changing::REPAIRED));
        }
        let config = Config::read(&config, "the demo's configuration", &Machine)?;
        let gateway = Gateway::builder(config).build()?;
        let proxy = match TcpListener::bind(arguments.listen).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(SocketAddr::from((arguments.listen.ip(), 0))).await?,
        };
        let proxy_address = proxy.local_addr()?;
        tracing::info!("listening on http://{proxy_address}");
        let proxying = tokio::spawn(server::serve(proxy, gateway, stop.clone().cancelled_owned()));
        eprintln!("unpage stands in front of it at http://{proxy_address}/.\n");
        match arguments.changes {
            Some(_) => changing::run(proxy_address).await?,
            None => compare::run(&api, &legacy, api_address, proxy_address).await?,
        }
        if !arguments.once {
            invite(proxy_address, api_address);
            stopped().await;
        }
        stop.cancel();
        proxying.await?;
    }
    stop.cancel();
    serving.await?;
    Ok(())
}

/// Time between two events of a rate.
fn time_between(rate: &str) -> Result<Duration, String> {
    let expected = || format!("expected a number and a time, like 5/s: {rate}");
    let (number, unit) = rate.split_once('/').ok_or_else(expected)?;
    let number: u32 = number.trim().parse().map_err(|_| expected())?;
    let unit = unit.trim();
    let period =
        if unit.starts_with(|char: char| char.is_ascii_digit()) { unit.to_owned() } else { format!("1{unit}") };
    let period = humantime::parse_duration(&period).map_err(|_| expected())?;
    period.checked_div(number).filter(|every| !every.is_zero()).ok_or_else(expected)
}

fn invite(proxy: SocketAddr, api: SocketAddr) {
    eprintln!("\nStill serving; stop with Ctrl-C. Try:\n");
    for line in [
        format!("curl -H 'Accept: application/x-ndjson' http://{proxy}/link/orders | head -3"),
        format!("curl 'http://{proxy}/offset/orders?_format=ndjson' | jq -s length"),
        format!("curl -d '{{}}' -H 'Accept: application/x-ndjson' http://{proxy}/search/orders | wc -l"),
        format!("curl http://{proxy}/page/orders   # without a wish for a stream: the API's own page"),
        format!("unpage fetch 'http://{api}/odata/orders?$maxpagesize=1000' --output orders.ndjson"),
        format!("unpage probe http://{api}/odata/orders"),
    ] {
        eprintln!("  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_time_between_two_events() {
        let times = ["5/s", "60/min", "2/10s", "1000000000/s"].map(time_between);
        let expected = [200_000_000, 1_000_000_000, 5_000_000_000, 1].map(|nanos| Ok(Duration::from_nanos(nanos)));
        assert_eq!(times, expected);
        for rate in ["", "5", "5/", "/s", "0/s", "-1/s", "5/parsec", "2000000000/s", "0.5/s"] {
            assert!(time_between(rate).is_err(), "{rate}");
        }
    }
}
