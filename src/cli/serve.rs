//! `unpage serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;

use super::crawl_target::with_scheme;
use super::listeners::{self, Listeners};
use super::logging::{self, LogFormat};
use super::notify::notify;
use super::reload::{self, ReloadOn, ReloadedFile};
use super::stop_signals::{self, HangUps, StopSignals};
use super::trace_export::TraceExport;
use super::{Exit, serve_gateway};
use crate::config::{AdminAccess, ChosenBy, Config, Mistakes};
use crate::server::{
    DrainSettings, HostList, InProgress, ListenAddress, Listener, ResponseSpans, Server, ServerLimits, ServerSettings,
    Workers,
};
use crate::telemetry::{Admin, Dashboard, Reloads};

/// Time for crawls to end after the last connection.
const LAST_CRAWLS: Duration = Duration::from_secs(1);

/// Connections of the operator's address.
const ADMIN_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(64).expect("it is more than none");

/// Variable by which a pod learns the time from its signal to stop to its end, in seconds.
const ORCHESTRATORS_GRACE: &str = "TERMINATION_GRACE_PERIOD_SECONDS";

const EXAMPLES: &str = "Examples:
  unpage serve --upstream https://api.example.com
  unpage serve --upstream https://odata.example.com/v4 --preset odata
  unpage serve unpage.toml --admin 127.0.0.1:9090";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, group(clap::ArgGroup::new("source").required(true).args(["file", "config", "upstream"])))]
pub(super) struct ServeArguments {
    /// Configuration file
    file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL of an API to stand in front of without a configuration; its pagination is recognised. `HOST:PORT` is http
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Preset of the API at --upstream, or `none` to recognise its pagination. `unpage presets` lists all [default: by the host]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "config"])]
    preset: Option<String>,
    /// Address to listen on, several times for several: 127.0.0.1:8080, unix:PATH, or fd:NAME for a socket of the service manager; overrides the configuration [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", value_parser = listeners::listen_argument)]
    listen: Vec<ListenAddress>,
    /// Address of the dashboard, /metrics, /snapshots, /healthz and /readyz; on other addresses than loopback it needs admin_token, or --admin-open; overrides the configuration [default: none]
    #[arg(long, value_name = "ADDRESS", value_parser = listeners::admin_argument)]
    admin: Option<SocketAddr>,
    /// Let every client that reaches --admin read /metrics, /healthz and /readyz, where it is not on loopback and the configuration has no admin_token
    #[arg(long)]
    admin_open: bool,
    /// Form of the log's lines on stderr
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Reload the configuration file when it changed, looked at every 5 s; SIGHUP always reloads it
    #[arg(long, conflicts_with = "upstream")]
    watch: bool,
}

pub(super) async fn run(arguments: ServeArguments) -> Exit {
    let log_level = logging::init_as(arguments.log_format, "info");
    raise_limit();
    let file = arguments.file.clone().or(arguments.config.clone());
    let text = file.as_deref().and_then(reload::text);
    let mut config = match configuration(&arguments) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Exit::Usage;
        }
    };
    let as_read = config.clone();
    if !arguments.listen.is_empty() {
        config.listen.clone_from(&arguments.listen);
    }
    for collection in &config.collections {
        if let Some(choice) = &collection.preset {
            let way = if choice.by == ChosenBy::Host {
                "; preset = \"none\" in its [[collection]] recognises the pagination instead"
            } else {
                ""
            };
            tracing::info!("{}: {choice}{way}", collection.path);
        }
    }
    if let (Some(connections), Some(descriptors)) =
        (config.server.limits.connections, config.server.limits.scarce_descriptors())
    {
        tracing::warn!(
            "`connections` of [limits] is {connections}, and this process may have {descriptors} open files, of which a connection may need two: raise that limit (ulimit -n, LimitNOFILE), or lower `connections`"
        );
    }
    config.admin = arguments.admin.or(config.admin);
    if arguments.admin_open {
        config.admin_access = AdminAccess::Open;
    }
    if let Some(admin) = config.admin
        && !config.admin_access.suffices(admin, config.admin_token.as_ref())
    {
        eprintln!(
            "error: {admin} is not this machine's alone, and its clients need no token\nhint: give --admin-open, or write admin_token = {{ file = \"PATH\" }} into the configuration"
        );
        return Exit::Usage;
    }
    if let Some(admin) = config.admin
        && !config.admin_actions.are_safe(admin, config.admin_token.as_ref())
    {
        eprintln!(
            "error: {admin} is not this machine's alone, and admin_actions = true needs a token there\nhint: write admin_token = {{ file = \"PATH\" }} into the configuration, or leave admin_actions out"
        );
        return Exit::Usage;
    }
    let Listeners { proxy, admin, certificates } = match listeners::bind(&config).await {
        Ok(listeners) => listeners,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Usage;
        }
    };
    // Before the gateway, which may resume crawls at once.
    let traces = TraceExport::begin();
    // The sockets first: connections wait in them while the folder of a process that is stopping is waited for.
    let (gateway, leaving) = match serve_gateway::build(config.clone()).await {
        Ok(built) => built,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint());
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
    let signals = StopSignals::catch();
    stop_signals::outlive_others();
    let hang_ups = HangUps::catch();
    let drain = drain(&config.server.drain);
    // `hosts` has the names of the proxy: probes ask the operator's address by others.
    let admin_hosts = hosts_of(admin.as_slice());
    let hosts = config.server.hosts.clone().or_else(|| hosts_of(&proxy));
    let server = Server::new(ServerSettings { drain, hosts: hosts.clone(), ..config.server.clone() });
    let reloads = file.is_some().then(Reloads::begin);
    let monitor = server.monitor().with_certificates(certificates);
    let url = proxy.first().map(Listener::url).unwrap_or_default();
    let dashboard = Dashboard::new(gateway.clone(), monitor.clone(), url, hosts, config.admin_actions, log_level);
    let says =
        Admin::new(gateway.clone(), monitor).with_reloads(reloads.clone()).with_token(config.admin_token.as_ref());
    let is_guarded =
        config.admin.is_some_and(|admin| AdminAccess::Guarded.suffices(admin, config.admin_token.as_ref()));
    let dashboard = is_guarded.then_some(dashboard);
    let says = match &dashboard {
        Some(dashboard) => says.with_dashboard(dashboard.clone()),
        None => says.for_anyone(),
    };
    for listener in &proxy {
        // Last on its line, for scripts that start with port 0.
        tracing::info!("listening on {}", listener.url());
    }
    notify(NotifyState::Ready);
    let (first, stop_now) = (signals.first.cancelled_owned(), signals.second.cancelled_owned());
    let stop = async {
        first.await;
        notify(NotifyState::Stopping);
        leaving.set();
    };
    let on = if arguments.watch { ReloadOn::Change } else { ReloadOn::HangUp };
    let reloading = async {
        match (file, reloads) {
            (Some(path), Some(counts)) => {
                let file =
                    ReloadedFile { path, running: as_read, gateway: gateway.clone(), counts, text, refused: None };
                file.follow(hang_ups, on).await;
            }
            _ => reload::refuse_all(hang_ups).await,
        }
    };
    // The operator's address stays up while the last streams end, and delays nothing.
    let cut = tokio::select! {
        cut = server.run(&workers, proxy, gateway.clone(), stop, stop_now) => cut,
        () = serve_admin(admin, admin_hosts, says, dashboard) => InProgress::default(),
        () = reloading => InProgress::default(),
    };
    // Their snapshots stay, and the next start resumes them.
    if tokio::time::timeout(LAST_CRAWLS, gateway.shutdown()).await.is_err() {
        tracing::warn!(
            "{} crawls did not end in time and are stopped; the next start can resume them",
            gateway.tasks()
        );
    }
    traces.end().await;
    let is_on_disk = gateway.registry().store().on_disk() > 0;
    report(cut, is_on_disk);
    Exit::Complete
}

/// Returns the names of this machine for listeners that no other machine reaches.
fn hosts_of(listeners: &[Listener]) -> Option<HostList> {
    listeners.iter().all(Listener::is_loopback).then(HostList::of_loopback)
}

/// Returns the times of the stop, within those of the orchestrator where it tells them.
fn drain(settings: &DrainSettings) -> DrainSettings {
    let told = std::env::var(ORCHESTRATORS_GRACE).ok();
    match told.as_deref().map(str::parse) {
        Some(Ok(seconds)) => settings.within(Duration::from_secs(seconds)),
        Some(Err(_)) => {
            tracing::warn!("{ORCHESTRATORS_GRACE} is no number of seconds: {told:?}");
            *settings
        }
        None => *settings,
    }
}

/// Logs the last line: which clients have to go on after the restart.
fn report(InProgress { all, streams, websockets }: InProgress, is_on_disk: bool) {
    let others = all - streams - websockets;
    let remedy = match (streams, is_on_disk) {
        (0, _) => "",
        (_, true) => " (each whose snapshot is in a file resumes at its byte after a restart)",
        (_, false) => " (their snapshots were in memory, and are lost)",
    };
    tracing::info!(
        "stopped; streams cut: {streams}{remedy}; WebSockets cut: {websockets}; other responses cut: {others}"
    );
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

/// Serves the operator's address; never returns.
async fn serve_admin(listener: Option<Listener>, hosts: Option<HostList>, admin: Admin, dashboard: Option<Dashboard>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let url = listener.url();
    match dashboard {
        Some(_) => tracing::info!("dashboard at {url}/ and metrics at {url}/metrics"),
        None => tracing::info!("metrics at {url}/metrics"),
    }
    let limits = ServerLimits { connections: Some(ADMIN_CONNECTIONS), ..ServerLimits::default() };
    let spans = ResponseSpans::Off;
    let server = Server::new(ServerSettings { limits, hosts, spans, ..ServerSettings::default() });
    let never = || std::future::pending();
    let workers = Workers::current();
    let sampling = async {
        if let Some(dashboard) = dashboard {
            dashboard.run().await;
        }
    };
    tokio::join!(server.run(&workers, vec![listener], admin, never(), never()), sampling);
}

fn configuration(arguments: &ServeArguments) -> Result<Config, Mistakes> {
    match (arguments.file.as_ref().or(arguments.config.as_ref()), &arguments.upstream) {
        (Some(file), _) => Config::load(file),
        (None, upstream) => {
            let url = with_scheme(upstream.as_deref().unwrap_or_default());
            Config::of_upstream(&url, arguments.preset.as_deref())
        }
    }
}
