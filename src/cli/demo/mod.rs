//! `unpage demo`: an embedded legacy API, the proxy in front of it, and a comparison of ways to read one collection.

mod compare;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use indicatif::HumanCount;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::serve::{announce, stopped};
use super::{Exit, logging};
use crate::config::{Config, Machine};
use crate::demo::{DemoApi, Legacy, configuration};
use crate::gateway::Gateway;
use crate::server;

const EXAMPLES: &str = "Examples:
  unpage demo                                             read 100,000 orders in several ways, and keep serving
  unpage demo --once --latency 100ms --rate 20            the same with a slow and strict API, and stop
  unpage demo --api-only --api-listen 127.0.0.1:9000      only the API, for a proxy of your own";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
    logging::init("warn");
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
    let api = DemoApi::new(legacy.clone(), arguments.latency, arguments.rate);
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
        let config = configuration(&format!("http://{api_address}"));
        let config = Config::read(&config, "the demo's configuration", &Machine)?;
        let gateway = Gateway::builder(config).build()?;
        let proxy = match TcpListener::bind(arguments.listen).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(SocketAddr::from((arguments.listen.ip(), 0))).await?,
        };
        let proxy_address = proxy.local_addr()?;
        announce(&proxy);
        let proxying = tokio::spawn(server::serve(proxy, gateway, stop.clone().cancelled_owned()));
        eprintln!("unpage stands in front of it at http://{proxy_address}/.\n");
        compare::run(&api, &legacy, api_address, proxy_address).await?;
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
