//! Server: accepts connections, serves HTTP/1.1 and HTTP/2 on them within limits, and stops after the responses in progress.

mod accepted;
mod access_log;
mod activity;
mod certificate_expiry;
mod certificates;
mod client_address;
mod client_stream;
mod closed_connections;
mod connection;
mod connection_context;
mod connection_state;
mod connection_table;
mod connection_timer;
mod deadlines;
mod drain;
#[doc(hidden)]
pub mod head_scanner;
mod hosts;
mod in_progress;
mod limits;
mod listen_address;
mod listener;
mod moment;
mod monitor;
mod peer_settings;
mod proxy_protocol;
mod request_check;
mod response_activity;
mod response_body;
mod response_observers;
mod response_span;
mod stream_metrics;
mod timed_io;
mod tls;
mod unix_socket;
mod workers;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{BoxError, Service};

use self::accepted::Accepted;
pub use self::access_log::{AccessLog, AccessNotes};
pub use self::certificate_expiry::seconds_to_expiry;
pub use self::certificates::Certificates;
pub use self::client_address::{TrustedPeers, UnixPeers, network_of};
use self::closed_connections::CloseReason;
use self::connection_table::{ConnectionTable, Phase};
pub use self::drain::DrainSettings;
pub use self::hosts::HostList;
pub use self::in_progress::InProgress;
pub use self::limits::{Http2Limits, ServerLimits};
pub use self::listen_address::{ListenAddress, socket_address};
pub use self::listener::Listener;
pub use self::monitor::ServerMonitor;
pub use self::peer_settings::PeerSettings;
pub use self::proxy_protocol::ProxyProtocol;
pub use self::response_body::Resumable;
pub use self::response_span::ResponseSpans;
pub use self::tls::{CertificatePair, ClientAuth, MinVersion, TlsError, TlsSettings};
pub use self::workers::Workers;

/// Wait after an error of `accept`, which is mostly a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time for the connections that the system accepted before the listeners close.
const LAST_ACCEPTS: Duration = Duration::from_millis(5);

const CUT_LIMIT: Duration = Duration::from_millis(900);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    pub limits: ServerLimits,
    pub drain: DrainSettings,
    pub peers: PeerSettings,
    /// Names that clients may ask for; none: all.
    pub hosts: Option<HostList>,
    pub access_log: AccessLog,
    pub spans: ResponseSpans,
}

#[derive(Debug)]
pub struct Server {
    limits: Arc<ServerLimits>,
    peers: Arc<PeerSettings>,
    requests: Arc<RequestSettings>,
    drain: DrainSettings,
    table: Arc<ConnectionTable>,
}

/// Settings of each request.
#[derive(Debug)]
struct RequestSettings {
    hosts: Option<HostList>,
    access_log: AccessLog,
    spans: ResponseSpans,
}

/// Serves HTTP/1.1 and h2c on the listener until `shutdown` resolves; then responses under way may end, for at most 30 s.
///
/// Requests have the [`IpAddr`](std::net::IpAddr) of their peer as an extension. Connections are bounded in number and time by the
/// defaults of `[limits]` in `config/unpage.toml`.
pub async fn serve<S, B>(listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let server = Server::new(ServerSettings::default());
    server.run(&Workers::current(), vec![listener.into()], service, shutdown, std::future::pending()).await;
}

impl Server {
    pub fn new(settings: ServerSettings) -> Self {
        let ServerSettings { limits, drain, peers, hosts, access_log, spans } = settings;
        let table = Arc::new(ConnectionTable::new(&limits));
        let requests = Arc::new(RequestSettings { hosts, access_log, spans });
        Self { limits: Arc::new(limits), peers: Arc::new(peers), requests, drain, table }
    }

    pub fn monitor(&self) -> ServerMonitor {
        ServerMonitor::new(Arc::clone(&self.table))
    }

    /// Serves the listeners, with the connections spread over the workers, until `stop` resolves and the responses in progress have
    /// ended. Those that have not when the grace is over, or `stop_now` resolves, are cut, and returned.
    pub async fn run<S, B>(
        &self,
        workers: &Workers,
        listeners: Vec<Listener>,
        service: S,
        stop: impl Future<Output = ()>,
        stop_now: impl Future<Output = ()>,
    ) -> InProgress
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut stop_now = pin!(stop_now);
        let mut followers = JoinSet::new();
        for certificates in listeners.iter().filter_map(Listener::certificates) {
            followers.spawn(certificates.follow());
        }
        let spawn = move |accepted| self.spawn(workers, accepted, service.clone());
        self.accept_until(&listeners, spawn, stop, stop_now.as_mut()).await;
        drop(listeners);
        self.end(stop_now).await
    }

    /// Accepts connections until the server stops and its delay is over.
    async fn accept_until(
        &self,
        listeners: &[Listener],
        spawn: impl Fn(Accepted),
        stop: impl Future<Output = ()>,
        stop_now: Pin<&mut impl Future<Output = ()>>,
    ) {
        let mut accepting = pin!(self.accept(listeners, spawn));
        tokio::select! {
            () = &mut accepting => {}
            () = stop => {}
        }
        self.table.begin(Phase::Leaving);
        if !self.drain.delay.is_zero() {
            tracing::info!("not ready: connections are still accepted for {} s", self.drain.delay.as_secs_f32());
            tokio::select! {
                () = &mut accepting => {}
                () = tokio::time::sleep(self.drain.delay) => {}
                () = stop_now => {}
            }
        }
        // Connections that the system has accepted already would be reset with the listeners.
        let _elapsed = tokio::time::timeout(LAST_ACCEPTS, accepting).await;
    }

    /// Waits for the responses in progress, and cuts the others.
    async fn end(&self, stop_now: Pin<&mut impl Future<Output = ()>>) -> InProgress {
        let grace = self.drain.grace();
        self.table.begin(Phase::Draining);
        tracing::info!(
            "stopping: waiting up to {} s for {} requests in progress",
            grace.as_secs(),
            self.table.in_progress().all
        );
        tokio::select! {
            () = self.table.closed() => return InProgress::default(),
            () = tokio::time::sleep(grace) => {}
            () = stop_now => {}
        }
        let cut = self.table.in_progress();
        self.table.begin(Phase::Cut);
        if tokio::time::timeout(CUT_LIMIT, self.table.closed()).await.is_err() {
            tracing::debug!("{} connections are still open", self.table.count());
        }
        cut
    }

    /// Accepts connections; never returns.
    async fn accept(&self, listeners: &[Listener], spawn: impl Fn(Accepted)) {
        let mut first = 0;
        loop {
            match listener::accept(listeners, &mut first).await {
                Ok(accepted) => spawn(accepted),
                Err(error) => {
                    tracing::warn!("a connection can't be accepted: {error}");
                    self.table.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection on one of the workers, once it has a permit.
    fn spawn<S, B>(&self, workers: &Workers, accepted: Accepted, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (table, limits, peers) = (Arc::clone(&self.table), Arc::clone(&self.limits), Arc::clone(&self.peers));
        let worker = workers.assign();
        let requests = Arc::clone(&self.requests);
        let runtime = worker.runtime.clone();
        runtime.spawn(async move {
            let _held = worker;
            match table.permit().await {
                Some(permit) => connection::serve(accepted, permit, table, limits, peers, requests, service).await,
                None => table.closed_connections.note(CloseReason::Refused, accepted.peer),
            }
        });
    }
}
