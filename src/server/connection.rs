//! One connection from the accepted socket to its end: its version, its requests, and the orders of its timer.

use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower::{BoxError, Service, ServiceExt};

use super::RequestSettings;
use super::accepted::{self, Accepted};
use super::activity::{Activity, RequestInProgress};
use super::client_address::network_of;
use super::closed_connections::CloseReason;
use super::connection_context::ConnectionContext;
use super::connection_table::{ConnectionPermit, ConnectionTable, TableEntry};
use super::connection_timer::{ConnectionTimer, TimerOrder};
use super::deadlines::{ResponseKind, Stage};
use super::head_scanner::{HeadFlaw, LARGEST_HEAD, ScannedHeads};
use super::limits::ServerLimits;
use super::peer_settings::PeerSettings;
use super::proxy_protocol;
use super::request_check;
use super::response_body::{ResponseBody, Resumable};
use super::response_observers::ResponseObservers;
use super::timed_io::{FirstBytes, Timed};

pub(super) async fn serve<S, B>(
    accepted: Accepted,
    permit: ConnectionPermit,
    table: Arc<ConnectionTable>,
    limits: Arc<ServerLimits>,
    peers: Arc<PeerSettings>,
    requests: Arc<RequestSettings>,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let entry = table.enter(permit, &activity);
    let mut timer = ConnectionTimer::new(Arc::clone(&activity), Arc::clone(&limits));
    let mut peer = accepted.peer;
    let scheme = if accepted.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let opened = {
        let mut opening = pin!(open(accepted, entry, &activity, (&limits, &peers), &mut peer));
        loop {
            tokio::select! {
                biased;
                opened = &mut opening => break opened,
                order = timer.order() => match order {
                    TimerOrder::Finish(_) | TimerOrder::Ended => {}
                    TimerOrder::Close(reason) => break Err(reason),
                },
            }
        }
    };
    let context = Arc::new(ConnectionContext { limits, peers, requests, table, activity, peer, scheme });
    let closed = match opened {
        Ok(Some((stream, version))) => http(stream, version, &context, &mut timer, service).await,
        Ok(None) => None,
        Err(reason) => Some(reason),
    };
    if let Some(reason) = closed {
        context.note(reason);
    }
}

/// Reads until the version of HTTP is known; none where the client left before.
async fn open(
    accepted: Accepted,
    mut entry: TableEntry,
    activity: &Arc<Activity>,
    (limits, peers): (&ServerLimits, &PeerSettings),
    peer: &mut Option<IpAddr>,
) -> Result<Option<(Timed, FirstBytes)>, CloseReason> {
    let Ok((mut stream, tls)) = accepted.into_stream(limits) else { return Ok(None) };
    if let Some(protocol) = peers.proxy_protocol.as_ref().filter(|protocol| protocol.from.contains(*peer)) {
        let header = proxy_protocol::read_header(&mut stream, protocol.timeout).await;
        *peer = header.map_err(|_| CloseReason::ProxyHeader)?.or(*peer);
    }
    // The connections of a trusted proxy are those of many clients.
    if !peers.trusted_proxies.contains(*peer) {
        entry.count_to(peer.map(network_of))?;
    }
    activity.begin(Stage::Handshake);
    let stream = match accepted::secured(stream, tls).await {
        Ok(stream) => stream,
        Err(error) => {
            // Others are the end of a client that left, as health checks of load balancers do.
            if error.kind() == io::ErrorKind::InvalidData {
                entry.note_failed_handshake(&error, *peer);
            }
            return Ok(None);
        }
    };
    activity.begin(Stage::FirstByte);
    let mut stream = Timed::new(stream, Arc::clone(activity), entry);
    match stream.read_version().await {
        Ok(FirstBytes::None) | Err(_) => Ok(None),
        Ok(version) => Ok(Some((stream, version))),
    }
}

/// Serves HTTP of this version. Returns the limit that ended it.
async fn http<S, B>(
    mut stream: Timed,
    version: FirstBytes,
    context: &Arc<ConnectionContext>,
    timer: &mut ConnectionTimer,
    service: S,
) -> Option<CloseReason>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (limits, activity) = (&context.limits, &context.activity);
    let answering = Arc::clone(context);
    let service = |heads: Option<ScannedHeads>| {
        service_fn(move |request: Request<Incoming>| {
            let verdict = heads.as_ref().map_or(Ok(()), |heads| heads.next(request.method(), request.uri()));
            answer(service.clone(), Arc::clone(&answering), request, verdict)
        })
    };
    match version {
        FirstBytes::Http2 => {
            activity.recognise(Stage::Http2);
            // An HTTP/1.1 connection that begins while the server drains ends after its request instead.
            timer.repeat();
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let of = &limits.http2;
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(of.streams)
                .initial_stream_window_size(of.stream_window)
                .initial_connection_window_size(of.connection_window)
                .max_send_buf_size(of.send_buffer as usize)
                .max_header_list_size(of.header_list)
                .max_pending_accept_reset_streams(of.pending_resets as usize)
                .max_local_error_reset_streams(of.local_resets as usize)
                .keep_alive_interval(of.ping)
                .keep_alive_timeout(of.ping);
            let connection = builder.serve_connection(TokioIo::new(stream), service(None));
            supervise(connection, http2::Connection::graceful_shutdown, context, timer).await
        }
        FirstBytes::Http1 | FirstBytes::None => {
            activity.recognise(Stage::Http1);
            let mut builder = http1::Builder::new();
            // The timer has the limit of the head; hyper's would count the time between two requests to it.
            builder.header_read_timeout(None::<Duration>).max_buf_size(LARGEST_HEAD);
            let heads = stream.scan_heads();
            let connection = builder.serve_connection(TokioIo::new(stream), service(Some(heads))).with_upgrades();
            let closed = supervise(connection, http1::UpgradeableConnection::graceful_shutdown, context, timer).await;
            if closed.is_none() && activity.stage() == Stage::Upgraded {
                return upgraded(activity, timer).await;
            }
            closed
        }
    }
}

/// Drives a connection and carries out the orders of its timer; `finish` tells it to take no further request. Returns the limit that ended it.
async fn supervise<C: Future>(
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    context: &ConnectionContext,
    timer: &mut ConnectionTimer,
) -> Option<CloseReason> {
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            biased;
            _ = &mut connection => return None,
            order = timer.order() => match order {
                TimerOrder::Finish(reason) => {
                    context.note(reason);
                    finish(connection.as_mut());
                }
                TimerOrder::Close(reason) => {
                    // Its answer is broken anyway, and the system would keep the rest for as long as the client answers.
                    if reason == CloseReason::Write {
                        context.activity.reset();
                    }
                    return Some(reason);
                }
                TimerOrder::Ended => return None,
            },
        }
    }
}

/// Keeps the deadlines of a connection whose stream another protocol has.
async fn upgraded(activity: &Activity, timer: &mut ConnectionTimer) -> Option<CloseReason> {
    loop {
        match timer.order().await {
            TimerOrder::Finish(_) => {}
            TimerOrder::Close(reason) => {
                activity.cut();
                return Some(reason);
            }
            TimerOrder::Ended => return None,
        }
    }
}

async fn answer<S, B>(
    service: S,
    context: Arc<ConnectionContext>,
    request: Request<Incoming>,
    verdict: Result<(), HeadFlaw>,
) -> Result<Response<ResponseBody<Either<B, Full<Bytes>>>>, S::Error>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let in_progress = context.activity.begin_request();
    let version = request.version();
    let asks_upgrade = version == Version::HTTP_11 && request.extensions().get::<OnUpgrade>().is_some();
    let (mut head, body) = request.into_parts();
    // Web pages reach no unix socket.
    let hosts = context.requests.hosts.as_ref().filter(|_| context.peer.is_some());
    let refused = request_check::check(&head, verdict, hosts);
    let client = context.peers.trusted_proxies.client(context.peer, &head.headers);
    let observers = ResponseObservers::new(&head.method.clone(), context.begin_entry(&mut head, client.address));
    if let Err(refused) = refused {
        return Ok(respond(refused.response(version).map(Either::Right), version, &context, in_progress, observers));
    }
    client.address.map(|address| head.extensions.insert(address));
    client.authority.map(|authority| head.extensions.insert(authority));
    head.extensions.insert(client.scheme.unwrap_or_else(|| context.scheme.clone()));
    let has_chunks = head.headers.contains_key(header::TRANSFER_ENCODING);
    let mut response = service.oneshot(Request::from_parts(head, body)).await?.map(Either::Left);
    if has_chunks {
        // No head is looked for behind them (`head_scanner.rs`).
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if asks_upgrade {
            context.activity.recognise(Stage::Upgraded);
            context.table.upgraded.fetch_add(1, Ordering::Relaxed);
        } else {
            // To a client that asked for nothing of the kind: the answer behind it would be another protocol's.
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
    }
    Ok(respond(response, version, &context, in_progress, observers))
}

/// Notes the kind of a response, and whether its connection goes on.
fn respond<B: http_body::Body>(
    mut response: Response<B>,
    version: Version,
    context: &ConnectionContext,
    in_progress: RequestInProgress,
    mut observers: ResponseObservers,
) -> Response<ResponseBody<B>> {
    let is_stream = response.extensions().get::<Resumable>().is_some();
    let kind = if is_stream { ResponseKind::Stream } else { ResponseKind::Passed };
    in_progress.respond(kind);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS && context.is_last_request() {
        match version {
            Version::HTTP_2 => context.activity.finish(),
            _ => drop(response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"))),
        }
    }
    observers.respond(&mut response, kind, &context.table.streams);
    response.map(|body| ResponseBody::new(body, version, in_progress, observers))
}
