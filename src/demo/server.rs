//! The legacy API on a socket, as slow as legacy APIs are.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Legacy;
use super::answer::{Answer, Refusal};

/// The most that a request's body may have.
const MAX_BODY: usize = 1 << 20;

/// How long answers under way may take once the server is to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted: the cause, mostly too many open files, doesn't pass at once.
const BREATH: Duration = Duration::from_millis(50);

/// Serves over HTTP/1.1 and h2c, each answer `latency` after its request, until `shutdown`; then lets the answers under
/// way finish.
pub async fn serve(listener: TcpListener, legacy: Arc<Legacy>, latency: Duration, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // Reaps what has ended, so that the set holds only live connections.
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&legacy), latency, &graceful));
                }
                Err(error) => {
                    tracing::warn!(%error, "the demo's upstream can't accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    drop(listener);
    // Whoever is not done by then is cut off with the set.
    if tokio::time::timeout(PATIENCE, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "the demo's upstream cuts connections that don't end");
    }
}

fn connection(
    stream: TcpStream,
    legacy: Arc<Legacy>,
    latency: Duration,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the demo's client is gone already");
    }
    let service = service_fn(move |request| slowly(Arc::clone(&legacy), latency, request));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service).into_owned());
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection to the demo's upstream broke");
        }
    }
}

async fn slowly(
    legacy: Arc<Legacy>,
    latency: Duration,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    legacy.count();
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    tokio::time::sleep(latency).await;
    let response = match body {
        Ok(body) => legacy.answer(&head.method, &head.uri, &head.headers, &body.to_bytes()),
        Err(error) => {
            let message = format!("send a whole body of at most {MAX_BODY} bytes: {error}");
            Answer::from(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)).into_response()
        }
    };
    Ok(response.map(Full::new))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http_body_util::Empty;
    use hyper_util::client::legacy::Client;
    use tokio::sync::oneshot;

    use super::*;
    use crate::demo::Order;

    #[tokio::test]
    async fn answers_late_over_both_versions_and_stops_when_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let legacy = Arc::new(Legacy::of(2));
        let latency = Duration::from_millis(20);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let server = tokio::spawn(serve(listener, Arc::clone(&legacy), latency, shutdown));

        for (client, version) in [
            (Client::builder(TokioExecutor::new()).build_http(), http::Version::HTTP_11),
            (Client::builder(TokioExecutor::new()).http2_only(true).build_http(), http::Version::HTTP_2),
        ] {
            let begun = Instant::now();
            let uri = format!("http://{address}/next_url/orders?page_size=1").parse().unwrap();
            let response: Response<Incoming> = Client::<_, Empty<Bytes>>::get(&client, uri).await.unwrap();
            assert!(begun.elapsed() >= latency);
            assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let next = format!("http://{address}/next_url/orders?page_size=1&page=2");
            let page = format!(r#"{{"count":2,"next":"{next}","previous":null,"results":[{}]}}"#, Order(1));
            assert_eq!(body, page);
        }
        assert_eq!(legacy.asked(), 2);

        stop.send(()).unwrap();
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }
}
