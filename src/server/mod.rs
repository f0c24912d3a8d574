//! Server: accepts connections, serves HTTP/1.1 and h2c on them, and stops after the responses under way.

mod workers;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

pub use self::workers::Workers;

/// Time limit for the head of a request, from the end of the request before.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Interval of PING frames to an HTTP/2 client, and the time limit for its answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// First bytes of an HTTP/2 client (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Time limit for the responses under way after the signal to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Serves HTTP/1.1 and h2c on the listener until `shutdown` resolves; then responses under way may end, for at most 30 s.
///
/// Requests have the [`IpAddr`](std::net::IpAddr) of their peer as an extension.
pub async fn serve<S, B>(listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    serve_on(&Workers::current(), listener, service, shutdown).await;
}

/// The same with the connections spread over these threads.
#[doc(hidden)]
pub async fn serve_on<S, B>(workers: &Workers, listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let open = GracefulShutdown::new();
    let stopping = CancellationToken::new();
    tokio::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: the next connection that ends makes room.
                    tracing::warn!("a connection can't be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let (builder, watcher) = (builder.clone(), open.watcher());
        let service = service.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.ip());
            request
        });
        let (stopping, place) = (stopping.clone(), workers.place());
        let runtime = place.runtime.clone();
        runtime.spawn(async move {
            let _held = place;
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            tokio::select! {
                version = tokio::time::timeout(HEAD_LIMIT, read_version(&stream)) => match version {
                    Ok(Ok(FirstBytes::Version)) => {}
                    Ok(Ok(FirstBytes::None) | Err(_)) | Err(_) => return,
                },
                () = stopping.cancelled() => return,
            }
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            if let Err(error) = watcher.watch(connection.into_owned()).await {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
    drop(listener);
    stopping.cancel();
    tracing::info!("stopping: waiting up to {} s for {} connections", GRACE.as_secs(), open.count());
    tokio::select! {
        () = open.shutdown() => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("connections that are still open are cut"),
    }
}

/// Accepts a connection, which no runtime has yet.
async fn accept(listener: &TcpListener) -> std::io::Result<(std::net::TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    Ok((stream.into_std()?, peer))
}

/// First bytes of a connection.
enum FirstBytes {
    /// They tell the version of HTTP.
    Version,
    /// The client closed the connection without any.
    None,
}

/// Waits for the bytes that tell the version of HTTP, and leaves them where they are.
///
/// hyper's limits start after them: a client that never sends them would hold the connection for ever, and the stop with it.
async fn read_version(stream: &TcpStream) -> std::io::Result<FirstBytes> {
    let mut start = [0; PREFACE.len()];
    loop {
        // `readable` would not do, since it may resolve without a byte.
        match stream.peek(&mut start).await? {
            0 => return Ok(FirstBytes::None),
            // Bytes that were peeked at are there at once the next time: only time brings more.
            some if some < PREFACE.len() && PREFACE.starts_with(&start[..some]) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            _ => return Ok(FirstBytes::Version),
        }
    }
}
