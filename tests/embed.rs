//! unpage inside of another program: the layer, the client-side crawl and the gateway, over services of this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use unpage::{Body, BoxError, Config, Fault, Gateway, RecordStream, UnpageLayer};

const CONFIG: &str = r#"
    [snapshots]
    disk = "0"
    [[collection]]
    path = "/numbers"
    upstream = "http://legacy.test"
    records = "$.numbers"
    pagination = { type = "next_url", next = "$.next" }
    retry = { attempts = 1 }
"#;
const PAGES: usize = 5;

/// End of the last page's body.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Whole,
    /// Shorter than its Content-Length, without an error.
    Short,
    Error,
}

/// A page of three numbers; `?page=N` of `PAGES`.
fn page(number: usize, ending: Ending) -> Response<Body> {
    let numbers = number * 3..number * 3 + 3;
    let next = if number + 1 < PAGES { format!(r#""/numbers?page={}""#, number + 1) } else { "null".to_owned() };
    let text = format!(r#"{{"numbers":{:?},"next":{next}}}"#, numbers.collect::<Vec<_>>());
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    if number + 1 < PAGES || matches!(ending, Ending::Whole) {
        return response.body(Full::from(text).map_err(|never| match never {}).boxed_unsync()).unwrap();
    }
    let length = text.len();
    let half = Bytes::from(text).split_to(length / 2);
    let mut frames: Vec<Result<_, BoxError>> = vec![Ok(Frame::data(half))];
    if let Ending::Error = ending {
        frames.push(Err("the handler gave up".into()));
    }
    let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
    response.header(header::CONTENT_LENGTH, length).body(body).unwrap()
}

fn number_of(request: &Request<Body>) -> usize {
    request.uri().query().and_then(|query| query.strip_prefix("page=")?.parse().ok()).unwrap_or_default()
}

/// The legacy service; it counts what it was asked.
fn legacy(
    ending: Ending,
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync,
    Arc<AtomicUsize>,
) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { Ok(page(number_of(&request), ending)) }
    });
    (service, asked)
}

fn config() -> Config {
    Config::from_toml(CONFIG).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn get(target: &str, accept: &str) -> Request<Full<Bytes>> {
    Request::get(target).header(header::ACCEPT, accept).body(Full::default()).unwrap()
}

/// Reads a body; the text, and the error that ended it.
async fn read(mut body: Body) -> (String, Option<String>) {
    let mut text = String::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap()),
            Some(Err(error)) => return (text, Some(error.to_string())),
            None => return (text, None),
        }
    }
}

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

#[tokio::test]
async fn a_layer_streams_all_pages_of_the_inner_service() {
    let layer = UnpageLayer::new(config()).unwrap();
    let (service, asked) = legacy(Ending::Whole);
    let service = layer.layer(service);
    let response = service.clone().oneshot(get("/numbers", "application/x-ndjson")).await.unwrap();
    let vary = response.headers()[header::VARY].to_str().unwrap();
    assert_eq!((response.status(), vary), (StatusCode::OK, "accept, accept-encoding"));
    assert_eq!(read(response.into_body()).await, (numbers(3 * PAGES), None));
    assert_eq!(asked.load(Ordering::Relaxed), PAGES);
    // The snapshot is shared by the services of one layer.
    let again = layer.layer(legacy(Ending::Whole).0).oneshot(get("/numbers", "application/x-ndjson")).await.unwrap();
    assert_eq!(read(again.into_body()).await, (numbers(3 * PAGES), None));
    assert_eq!(asked.load(Ordering::Relaxed), PAGES);
    layer.shutdown().await;
}

#[tokio::test]
async fn a_layer_recognises_the_pagination_where_none_is_configured() {
    let layer = UnpageLayer::new(Config::for_upstream("http://localhost").unwrap()).unwrap();
    let (service, asked) = legacy(Ending::Whole);
    let service = layer.layer(service);
    let response = service.clone().oneshot(get("/numbers", "application/x-ndjson")).await.unwrap();
    assert_eq!(read(response.into_body()).await, (numbers(3 * PAGES), None));
    assert_eq!(asked.load(Ordering::Relaxed), PAGES);
    let page = service.oneshot(get("/numbers", "application/json")).await.unwrap();
    assert_eq!(read(page.into_body()).await.0, r#"{"numbers":[0, 1, 2],"next":"/numbers?page=1"}"#);
}

#[tokio::test]
async fn a_layer_passes_on_requests_for_no_stream() {
    #[derive(Clone)]
    struct User(&'static str);
    let echo = service_fn(async |request: Request<Body>| {
        let user = request.extensions().get::<User>().map_or("none", |user| user.0);
        let text = format!("{} {} {user} ", request.method(), request.uri());
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::new(Full::from([text.as_bytes(), &body].concat())))
    });
    let layer = UnpageLayer::new(config()).unwrap();
    for (target, vary) in [("/numbers?page=2", Some("accept")), ("/other", None)] {
        let mut request = Request::post(target).body(Full::<Bytes>::from("body")).unwrap();
        request.extensions_mut().insert(User("ada"));
        let response = layer.layer(echo).oneshot(request).await.unwrap();
        let said = response.headers().get(header::VARY).map(|vary| vary.to_str().unwrap().to_owned());
        assert_eq!(said.as_deref(), vary, "{target}");
        assert_eq!(read(response.into_body()).await, (format!("POST {target} ada body"), None));
    }
}

#[tokio::test]
async fn an_inner_service_gets_a_page_as_a_server_does() {
    let seen = service_fn(async |request: Request<Body>| {
        let host = request.headers()[header::HOST].to_str()?;
        let text = format!(r#"{{"numbers":["{host} {}"]}}"#, request.uri());
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(text)))
    });
    let layer = UnpageLayer::new(config()).unwrap();
    let response = layer.layer(seen).oneshot(get("/numbers?a=b", "application/x-ndjson")).await.unwrap();
    assert_eq!(read(response.into_body()).await, ("\"legacy.test /numbers?a=b\"\n".to_owned(), None));
}

#[tokio::test]
async fn a_body_that_ends_too_early_in_this_process_is_no_end_of_a_stream() {
    for (ending, cause) in
        [(Ending::Short, "the body ended before its announced length"), (Ending::Error, "the handler gave up")]
    {
        let layer = UnpageLayer::new(config()).unwrap();
        let response = layer.layer(legacy(ending).0).oneshot(get("/numbers", "application/x-ndjson")).await.unwrap();
        let (text, error) = read(response.into_body()).await;
        assert!(numbers(3 * PAGES).starts_with(&text) && text.len() < numbers(3 * PAGES).len(), "{text}");
        assert!(error.as_ref().is_some_and(|error| error.contains(cause)), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_of_records_ends_only_behind_its_proof() {
    let builder = RecordStream::builder(&config(), "/numbers");
    let mut whole = builder.clone().transport(legacy(Ending::Whole).0).open().await.unwrap();
    for number in 0..3 * PAGES {
        assert!(whole.verdict().is_none());
        assert_eq!(whole.next().await.unwrap().unwrap().deserialize::<usize>().unwrap(), number);
    }
    assert!(whole.next().await.is_none() && whole.next().await.is_none());
    let verdict = whole.verdict().unwrap();
    assert_eq!((verdict.records, verdict.pages), (3 * PAGES as u64, PAGES as u64));

    for ending in [Ending::Short, Ending::Error] {
        let mut broken = builder.clone().transport(legacy(ending).0).open().await.unwrap();
        let mut records = 0;
        let failure = loop {
            match broken.next().await.expect("nothing is proven") {
                Ok(_) => records += 1,
                Err(failure) => break failure,
            }
        };
        assert_eq!(failure.fault, Fault::Unreachable, "{failure}");
        assert!(records < 3 * PAGES);
        assert!(broken.next().await.unwrap().is_err() && broken.verdict().is_none(), "an error is the last word");
    }
}

#[tokio::test]
async fn records_that_are_larger_than_a_read_come_whole() {
    let sizes = [1, 70_000, 300_000, 3];
    let service = service_fn(move |_: Request<Body>| async move {
        let records: Vec<String> = sizes.iter().map(|size| format!("\"{}\"", "x".repeat(*size))).collect();
        let text = format!(r#"{{"numbers":[{}],"next":null}}"#, records.join(","));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    });
    let records = RecordStream::builder(&config(), "/numbers").transport(service).open().await.unwrap();
    let lengths: Vec<usize> = records.map(|record| record.unwrap().into_bytes().len() - 2).collect().await;
    assert_eq!(lengths, sizes);
}

#[tokio::test]
async fn a_crawl_that_can_not_start_says_why() {
    let failure = RecordStream::builder(&config(), "/elsewhere").open().await.unwrap_err();
    assert_eq!(failure.fault, Fault::Configuration);
    assert!(failure.message.contains("/elsewhere"), "{failure}");
    let numbers = RecordStream::builder(&config(), "/numbers");
    let failure = numbers.since("3").open().await.unwrap_err();
    assert_eq!((failure.fault, failure.hint.as_str()), (Fault::Configuration, "set `since` in its configuration"));
    let by_number = Config::from_toml(
        &CONFIG.replace("{ type = \"next_url\", next = \"$.next\" }", "{ type = \"page\", param = \"page\" }"),
    );
    let by_number = by_number.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let failure = RecordStream::builder(&by_number, "/numbers?page=2").open().await.unwrap_err();
    assert_eq!((failure.fault, failure.hint.as_str()), (Fault::Configuration, "leave that parameter out"));
    let refuses = service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::builder().status(403).body(Full::<Bytes>::default()).unwrap())
    });
    let failure = RecordStream::builder(&config(), "/numbers").transport(refuses).open().await.unwrap_err();
    // The upstream has no credentials of the configuration.
    assert_eq!(failure.fault, Fault::RefusedClient(StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn a_gateway_needs_no_peer_address_and_its_shutdown_ends_its_crawls() {
    let hangs = service_fn(move |request: Request<Body>| async move {
        match number_of(&request) {
            0 => Ok::<_, Infallible>(page(0, Ending::Whole)),
            _ => std::future::pending().await,
        }
    });
    let gateway = Gateway::builder(config()).transport(hangs).build().unwrap();
    let response = gateway.clone().oneshot(get("/numbers", "application/x-ndjson")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    tokio::time::timeout(Duration::from_secs(10), gateway.shutdown()).await.expect("its crawls are stopped");
    assert_eq!(gateway.tasks(), 0);
    let (text, error) = read(response.into_body()).await;
    assert!(numbers(3).starts_with(&text) && error.is_some(), "{text} {error:?}");
}

#[tokio::test]
async fn what_a_shutdown_interrupts_is_resumed_by_the_next_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let files = format!("[snapshots]\ndir = {:?}", folder.path());
    let config = Config::from_toml(&CONFIG.replace("[snapshots]\n    disk = \"0\"", &files)).unwrap();
    let hangs = service_fn(async |request: Request<Body>| match number_of(&request) {
        number @ 0..3 => Ok::<_, Infallible>(page(number, Ending::Whole)),
        _ => std::future::pending().await,
    });
    let gateway = Gateway::builder(config.clone()).transport(hangs).build().unwrap();
    let response = gateway.clone().oneshot(get("/numbers", "application/x-ndjson")).await.unwrap();
    let pinned = response.headers()[header::CONTENT_LOCATION].to_str().unwrap().to_owned();
    let mut body = response.into_body();
    let mut came = String::new();
    while !came.starts_with(&numbers(8)) {
        let frame = body.frame().await.unwrap().unwrap();
        came.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    gateway.shutdown().await;
    drop((gateway, body));

    let (service, asked) = legacy(Ending::Whole);
    let gateway = Gateway::builder(config).transport(service).build().unwrap();
    let response = gateway.clone().oneshot(get(&pinned, "application/x-ndjson")).await.unwrap();
    assert_eq!(read(response.into_body()).await, (numbers(3 * PAGES), None));
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked <= PAGES - 2, "{asked} pages, and the first ones were there");
    gateway.shutdown().await;
}

#[test]
fn a_gateway_without_a_runtime_is_an_error_and_no_panic() {
    let error = Gateway::builder(config()).build().unwrap_err();
    assert_eq!(error.hint(), "build the gateway inside the runtime that serves it");
}
