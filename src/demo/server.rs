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
    use std::net::SocketAddr;
    use std::time::Instant;

    use http::{Method, Version};
    use hyper_util::client::legacy::{Client, connect::HttpConnector};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::demo::Order;

    const LATENCY: Duration = Duration::from_millis(20);

    struct Served {
        legacy: Arc<Legacy>,
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    async fn served() -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let legacy = Arc::new(Legacy::of(2));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let server = tokio::spawn(serve(listener, Arc::clone(&legacy), LATENCY, shutdown));
        Served { legacy, address, stop, server }
    }

    fn client() -> Client<HttpConnector, Full<Bytes>> {
        Client::builder(TokioExecutor::new()).build_http()
    }

    #[tokio::test]
    async fn answers_late_over_both_versions() {
        let Served { legacy, address, stop: _stop, .. } = served().await;
        let http2 = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        for (client, version) in [(client(), Version::HTTP_11), (http2, Version::HTTP_2)] {
            let begun = Instant::now();
            let uri = format!("http://{address}/next_url/orders?page_size=1").parse().unwrap();
            let response = client.get(uri).await.unwrap();
            assert!(begun.elapsed() >= LATENCY);
            assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let next = format!("http://{address}/next_url/orders?page_size=1&page=2");
            let page = format!(r#"{{"count":2,"next":"{next}","previous":null,"results":[{}]}}"#, Order(1));
            assert_eq!(body, page);
        }
        assert_eq!(legacy.asked(), 2);
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_before_the_stop() {
        let Served { legacy, address, stop, server } = served().await;
        let uri = format!("http://{address}/link/orders").parse().unwrap();
        let asked = tokio::spawn(client().get(uri));
        while legacy.asked() == 0 {
            tokio::task::yield_now().await;
        }
        stop.send(()).unwrap();
        assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::OK);
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_refused() {
        let Served { address, stop: _stop, .. } = served().await;
        let body = Full::from(vec![b' '; MAX_BODY + 1]);
        let request = Request::builder().method(Method::POST).uri(format!("http://{address}/search/orders")).body(body);
        let response = client().request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
