//! `unpage serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, logging, serve_gateway};
use crate::config::{Config, Mistakes};
use crate::server::{self, Workers};
use crate::telemetry::Admin;

/// Time for crawls to end after the last connection.
const LAST_CRAWLS: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "Examples:
  unpage serve --upstream https://api.example.com
  unpage serve --config unpage.toml --admin 127.0.0.1:9090";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group(clap::ArgGroup::new("source").required(true).args(["config", "upstream"])))]
pub(super) struct ServeArguments {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL of an API to stand in front of without a configuration; its pagination is recognised
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Address to listen on; overrides the configuration [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address of /metrics, /snapshots and /healthz, open to everyone who reaches it; overrides the configuration [default: none]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

pub(super) async fn run(arguments: ServeArguments) -> Exit {
    logging::init("info");
    raise_limit();
    let mut config = match configuration(&arguments) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Exit::Usage;
        }
    };
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.admin = arguments.admin.or(config.admin);
    let gateway = match serve_gateway::build(config.clone()).await {
        Ok(gateway) => gateway,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint());
            return Exit::Usage;
        }
    };
    let (listener, admin) = match bind(&config).await {
        Ok(listeners) => listeners,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Usage;
        }
    };
    let workers = match Workers::start(available_parallelism().unwrap_or(NonZeroUsize::MIN)) {
        Ok(workers) => workers,
        Err(error) => {
            eprintln!(
                "error: the threads of the server can't be started: {error}\nhint: raise the limits of processes and open files"
            );
            return Exit::Output;
        }
    };
    let stop = stopped();
    announce(&listener);
    let says = Admin::new(gateway.crawls().clone(), gateway.governors().clone(), gateway.registry().clone());
    // The operator's address stays up while the last streams end, and delays nothing.
    tokio::select! {
        () = server::serve_on(&workers, listener, gateway.clone(), stop) => {}
        () = serve_admin(admin, says) => {}
    }
    // Their snapshots stay, and the next start resumes them.
    if tokio::time::timeout(LAST_CRAWLS, gateway.shutdown()).await.is_err() {
        tracing::warn!(
            "{} crawls did not end in time and are stopped; the next start can resume them",
            gateway.tasks()
        );
    }
    Exit::Complete
}

/// Raises the limit of open files to the system's maximum: each connection is one, and the files of snapshots
/// get a share.
fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!("the limit of open files stays at {current:?}: {error}");
    }
}

/// Binds the proxy's address and, where there is one, the operator's.
async fn bind(config: &Config) -> Result<(TcpListener, Option<TcpListener>), String> {
    let taken = |key: &str, address: SocketAddr, error: std::io::Error| {
        format!("error: can't listen on {address}: {error}\nhint: set {key} to a free address")
    };
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|error| taken("`listen`, or --listen,", config.listen, error))?;
    let Some(address) = config.admin else { return Ok((listener, None)) };
    let admin = TcpListener::bind(address).await.map_err(|error| taken("`admin`, or --admin,", address, error))?;
    Ok((listener, Some(admin)))
}

/// Serves the operator's address; never returns.
async fn serve_admin(listener: Option<TcpListener>, admin: Admin) {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.local_addr() {
        Ok(address) => tracing::info!("metrics at http://{address}/metrics"),
        Err(error) => tracing::warn!("metrics, at an address that can't be read: {error}"),
    }
    server::serve(listener, admin, std::future::pending()).await;
}

/// Logs the address, last on its line, for scripts that start with port 0.
pub(super) fn announce(listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) => tracing::info!("listening on http://{address}"),
        Err(error) => tracing::warn!("listening on an address that can't be read: {error}"),
    }
}

/// Resolves on SIGINT or SIGTERM. They are caught from the call on, because a script may stop unpage as soon as it listens.
pub(super) fn stopped() -> impl Future<Output = ()> + Send + use<> {
    let caught = [("SIGINT", SignalKind::interrupt()), ("SIGTERM", SignalKind::terminate())]
        .map(|(name, kind)| signal(kind).inspect_err(|error| tracing::warn!("{name} can't be caught: {error}")).ok());
    async move {
        let [interrupt, terminate] = caught.map(|signal| async move {
            match signal {
                Some(mut signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            () = interrupt => {}
            () = terminate => {}
        }
    }
}

fn configuration(arguments: &ServeArguments) -> Result<Config, Mistakes> {
    match (&arguments.config, &arguments.upstream) {
        (Some(file), _) => Config::load(file),
        (None, upstream) => {
            let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
            Config::transparent(listen, upstream.as_deref().unwrap_or_default())
        }
    }
}
