//! A scripted API on a socket.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fault::refusal;
use super::{Delivery, Reply, Scripted};

/// The most that a request's body may have.
const MAX_BODY: usize = 1 << 20;

/// Time that answers in progress may take once the server is to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// Wait when no connection can be accepted: the cause, mostly too many open files, doesn't pass at once.
const BREATH: Duration = Duration::from_millis(50);

/// Size of a piece of a slow body.
const PIECE: Duration = Duration::from_millis(20);

/// The body of an answer, which may break.
type Body = UnsyncBoxBody<Bytes, Broken>;

/// The script wants the connection to break here.
#[derive(Debug, thiserror::Error)]
#[error("the script ends the connection here")]
struct Broken;

/// A scripted API and the clock that it goes by.
#[derive(Clone, Debug)]
struct Clocked {
    scripted: Arc<Mutex<Scripted>>,
    start: Instant,
}

/// Serves over HTTP/1.1 and h2c, by the script and from its start on, until `shutdown`; then lets the answers under way
/// finish.
pub async fn serve(listener: TcpListener, scripted: Arc<Mutex<Scripted>>, shutdown: impl Future<Output = ()>) {
    let clocked = Clocked::started(scripted);
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
                    connections.spawn(connection(stream, clocked.clone(), &graceful));
                }
                Err(error) => {
                    tracing::warn!(%error, "the demo's upstream can't accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    drop(listener);
    // Connections that are not finished by then are cut with the set.
    if tokio::time::timeout(PATIENCE, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "the demo's upstream cuts connections that don't end");
    }
}

fn connection(stream: TcpStream, clocked: Clocked, graceful: &GracefulShutdown) -> impl Future<Output = ()> + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the demo's client is gone already");
    }
    let service = service_fn(move |request| answer(clocked.clone(), request));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service).into_owned());
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection to the demo's upstream broke");
        }
    }
}

async fn answer(clocked: Clocked, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let message = format!("send a whole body of at most {MAX_BODY} bytes: {error}");
            return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, &message).map(whole));
        }
    };
    let (reply, in_flight, asked) = clocked.ask(&Request::from_parts(head, body));
    let Reply { after, response, delivery, .. } = reply;
    tokio::time::sleep(after.saturating_sub(asked.elapsed())).await;
    let (mut head, body) = response.into_parts();
    // Told, so that half of it is seen to be half.
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let body = match delivery {
        Delivery::Close => return Err(Broken),
        Delivery::Whole => whole(body),
        Delivery::Paced(rate) => paced(body, rate),
        Delivery::Cut => half(&body, broken()),
        Delivery::Stall => half(&body, pending()),
    };
    Ok(Response::from_parts(head, in_flight.through(body)))
}

impl Clocked {
    fn started(scripted: Arc<Mutex<Scripted>>) -> Self {
        let clocked = Self { scripted, start: Instant::now() };
        // A clock before 1970 is as wrong as 1970 itself.
        clocked.scripted.lock().script_mut().epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        clocked
    }

    /// Asks now, and tells when that was: making the answer counts as part of the time that it takes.
    fn ask(&self, request: &Request<Bytes>) -> (Reply, InFlight, Instant) {
        let mut scripted = self.scripted.lock();
        let now = Instant::now();
        let reply = scripted.ask(now - self.start, request);
        let in_flight = InFlight { clocked: self.clone(), id: reply.id };
        (reply, in_flight, now)
    }
}

/// A request whose answer has not left; it ends with this value.
#[derive(Debug)]
struct InFlight {
    clocked: Clocked,
    id: u64,
}

impl InFlight {
    /// A body that keeps the request in flight until it has left.
    fn through(self, body: Body) -> Body {
        body.map_frame(move |frame| {
            let _held = &self;
            frame
        })
        .boxed_unsync()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.clocked.scripted.lock().finished(self.id);
    }
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// A body that leaves in pieces.
fn paced(body: Bytes, rate: u64) -> Body {
    let piece = (rate as f64 * PIECE.as_secs_f64()).ceil() as usize;
    let start = tokio::time::Instant::now();
    let pieces = stream::unfold((body, 0_u64), move |(mut body, sent)| async move {
        if body.is_empty() {
            return None;
        }
        let next = body.split_to(piece.min(body.len()));
        let sent = sent + next.len() as u64;
        tokio::time::sleep_until(start + Duration::from_secs_f64(sent as f64 / rate as f64)).await;
        Some((Ok(Frame::data(next)), (body, sent)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// An error, once hyper has had a turn to send what came before it.
async fn broken() -> Result<Frame<Bytes>, Broken> {
    tokio::task::yield_now().await;
    Err(Broken)
}

/// Half of a body, and then what comes of this.
fn half(body: &Bytes, then: impl Future<Output = Result<Frame<Bytes>, Broken>> + Send + 'static) -> Body {
    let half = body.slice(..body.len() / 2);
    let first = stream::once(async { Ok(Frame::data(half)) });
    StreamBody::new(first.chain(stream::once(then))).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::{Method, Version};
    use hyper_util::client::legacy::{Client, connect::HttpConnector};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use unpage::demo::{Legacy, Order};

    use crate::{Fault, Harm, Latency, Log, On, Script};

    const LATENCY: Duration = Duration::from_millis(20);

    struct Served {
        scripted: Arc<Mutex<Scripted>>,
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    impl Served {
        async fn with(script: Script) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let scripted = Arc::new(Mutex::new(Scripted::new(Legacy::of(2), script)));
            let (stop, stopped) = oneshot::channel::<()>();
            let shutdown = async { stopped.await.unwrap_or_default() };
            let server = tokio::spawn(serve(listener, Arc::clone(&scripted), shutdown));
            Self { scripted, address, stop, server }
        }

        fn log(&self) -> Log {
            self.scripted.lock().log().clone()
        }

        async fn get(&self, target: &str) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
            client().get(format!("http://{}{target}", self.address).parse().unwrap()).await
        }
    }

    fn client() -> Client<HttpConnector, Full<Bytes>> {
        Client::builder(TokioExecutor::new()).build_http()
    }

    #[tokio::test]
    async fn answers_late_over_both_versions() {
        let served = Served::with(Script { latency: Latency::fixed(LATENCY), ..Script::default() }).await;
        let address = served.address;
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
        assert_eq!((served.log().count(), served.log().most_in_flight()), (2, 1));
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_before_the_stop() {
        let served = Served::with(Script { latency: Latency::fixed(LATENCY), ..Script::default() }).await;
        let uri = format!("http://{}/link/orders", served.address).parse().unwrap();
        let asked = tokio::spawn(client().get(uri));
        while served.log().count() == 0 {
            tokio::task::yield_now().await;
        }
        served.stop.send(()).unwrap();
        assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::OK);
        served.server.await.unwrap();
        assert!(TcpStream::connect(served.address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_refused() {
        let served = Served::with(Script::default()).await;
        let body = Full::from(vec![b' '; MAX_BODY + 1]);
        let uri = format!("http://{}/search/orders", served.address);
        let request = Request::builder().method(Method::POST).uri(uri).body(body);
        let response = client().request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn each_harm_is_seen_and_the_next_attempt_is_good() {
        let harms = [Harm::Cut, Harm::Garbage, Harm::Stall, Harm::Close];
        let faults = harms.iter().enumerate().map(|(nth, harm)| Fault {
            on: On::Every,
            attempts: nth as u64 + 1..=nth as u64 + 1,
            harm: *harm,
        });
        let served = Served::with(Script { faults: faults.collect(), ..Script::default() }).await;
        let cut = served.get("/offset/orders").await.unwrap().into_body().collect().await;
        assert!(cut.is_err(), "half of a body is no body");
        let garbage = served.get("/offset/orders").await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(serde_json::from_slice::<serde_json::Value>(&garbage).is_err());
        let mut stalled = served.get("/offset/orders").await.unwrap().into_body();
        let first = stalled.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(stalled);
        assert!(served.get("/offset/orders").await.is_err(), "closed before the head");
        let whole = served.get("/offset/orders").await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(whole.starts_with(&first) && first.len() == whole.len() / 2);
        assert_eq!(served.log().count(), 5);
    }

    #[tokio::test]
    async fn a_slow_body_is_whole_in_the_end() {
        let served = Served::with(Script { bytes_per_second: Some(10_000), ..Script::default() }).await;
        let begun = Instant::now();
        let body = served.get("/offset/orders").await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(begun.elapsed() >= Duration::from_secs_f64(body.len() as f64 / 10_000.0));
        assert!(body.ends_with(b"\"total\":2}"), "{body:?}");
    }
}
