//! Resumed downloads: ranges, conditions and states of a snapshot whose log the test writes itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{Service, service_fn};
use unpage::batch::Batch;
use unpage::config::Config;
use unpage::config::{Resume, Scope};
use unpage::config::{SlowReader, SnapshotSettings};
use unpage::error::{Failure, Fault};
use unpage::gateway::respond;
use unpage::pagination::verdict::{Consistency, Verdict};
use unpage::request::{ParamNames, StreamOptions};
use unpage::response::{Body, CacheStatus, Representation, StreamResponse, TableIndexes};
use unpage::snapshot::{Birth, FileStorage, Retention, Seal, Snapshot, SnapshotFacts, Store, Writer};

use super::client::{self, BOTH, Received, Version};

/// A server whose every answer is this snapshot's, and the snapshot's writer.
pub(super) struct Kept {
    pub(super) address: SocketAddr,
    pub(super) snapshot: Arc<Snapshot>,
    writer: Option<Writer>,
    stop: CancellationToken,
}

/// Retention of the snapshot, and its description.
#[derive(Clone)]
pub(super) struct As {
    retention: Retention,
    storage: FileStorage,
    scope: Scope,
    unnamed: Resume,
    cache_status: CacheStatus,
    valid_at: Option<SystemTime>,
}

pub(super) const PLAIN: As = As {
    retention: Retention::Shared,
    storage: FileStorage::Allowed,
    scope: Scope::Caller,
    unnamed: Resume::Refuse,
    cache_status: CacheStatus::Miss,
    valid_at: None,
};

/// URL of the tests, without the snapshot.
const ORIGINAL: &str = "/orders?x=1";

impl Kept {
    pub(super) async fn serve(how: As) -> Self {
        Self::serve_from(how, None).await
    }

    /// A snapshot in the files of this folder, or in memory.
    async fn serve_from(how: As, dir: Option<&Path>) -> Self {
        let settings = SnapshotSettings {
            dir: dir.map(Path::to_owned),
            memory: 64 << 20,
            disk: 64 << 20,
            slow_reader: SlowReader::Wait,
            linger: Duration::from_secs(600),
            ahead: u64::MAX,
        };
        let store = Store::open(settings).unwrap();
        let facts = SnapshotFacts {
            collection: "/orders".to_owned(),
            created: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            valid_at: how.valid_at,
            etag: None,
            last_modified: Some("Sat, 05 Nov 1994 08:49:37 GMT".to_owned()),
            total: Some(8),
            storage: how.storage,
            reader: None,
        };
        let (id, key) = (store.new_id(), store.key(|part| part(b"a test")));
        let begun = serde_json::value::to_raw_value("").unwrap();
        let (writer, log) = store.create(id, &Birth { key, facts: facts.clone(), retention: how.retention, begun });
        let snapshot = Snapshot::new(id, key, facts, log, how.retention, Duration::from_secs(900));
        let snapshot = Arc::new(snapshot);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let service = answering(Arc::clone(&snapshot), how);
        tokio::spawn(unpage::server::serve(listener, service, stop.clone().cancelled_owned()));
        Self { address, snapshot, writer: Some(writer), stop }
    }

    /// A complete snapshot of these lines.
    pub(super) async fn complete(lines: &str) -> Self {
        Self::complete_as(PLAIN, lines).await
    }

    /// A complete snapshot of these lines in the files of this folder.
    pub(super) async fn complete_in(dir: &Path, lines: &str) -> Self {
        let mut kept = Self::serve_from(PLAIN, Some(dir)).await;
        kept.append(lines);
        kept.seal(complete(lines));
        kept.snapshot.log().ended().await;
        kept
    }

    async fn complete_as(how: As, lines: &str) -> Self {
        let mut kept = Self::serve(how).await;
        kept.append(lines);
        kept.seal(complete(lines));
        kept
    }

    pub(super) fn append(&mut self, lines: &str) {
        let batch = Batch::new(Bytes::copy_from_slice(lines.as_bytes()), lines.lines().count() as u64);
        self.writer.as_mut().unwrap().append(batch);
    }

    pub(super) fn seal(&mut self, seal: Seal) {
        self.writer.take().unwrap().seal(seal);
    }

    pub(super) fn pinned(&self) -> String {
        pinned(&self.snapshot)
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.snapshot.id())
    }

    pub(super) async fn get(&self, version: Version, target: &str, fields: &[(&'static str, &str)]) -> Received {
        client::receive(version, self.address, request(Method::GET, target, fields)).await
    }

    pub(super) async fn ask(&self, version: Version, method: Method, target: &str) -> Received {
        client::receive(version, self.address, request(method, target, &[])).await
    }

    /// A part of the pinned snapshot.
    async fn part(&self, version: Version, range: &str) -> Received {
        self.get(version, &self.pinned(), &[("range", range)]).await
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn request(method: Method, target: &str, fields: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let mut request = client::stream(target);
    *request.method_mut() = method;
    for (name, value) in fields {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn answering(
    snapshot: Arc<Snapshot>,
    how: As,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = BoxFuture<'static, Result<Response<Body>, Infallible>>,
> + Clone
+ Send
+ 'static {
    // Of this server alone: other tests would push its tables out.
    let tables = TableIndexes::default();
    service_fn(move |request: Request<Incoming>| {
        let (snapshot, options, how) = (Arc::clone(&snapshot), options(request), how.clone());
        let tables = tables.clone();
        let representation = Representation::new(&options).indexed(snapshot.id(), &tables);
        let answer: BoxFuture<'static, _> =
            Box::pin(async move { Ok(respond_as(&how, &snapshot, &options, &representation, &tables).await) });
        answer
    })
}

fn names() -> ParamNames {
    ParamNames::new(&Config::transparent("http://127.0.0.1:1").unwrap())
}

async fn respond_as(
    how: &As,
    snapshot: &Snapshot,
    options: &StreamOptions,
    representation: &Representation,
    tables: &TableIndexes,
) -> Response<Body> {
    let response = StreamResponse {
        snapshot,
        options,
        representation,
        original: ORIGINAL,
        names: &names(),
        cache_status: how.cache_status,
        is_named: options.named.is_some(),
        applied: None,
        scope: how.scope,
        tables,
    };
    respond(&response, how.unnamed).await
}

fn options<B>(request: Request<B>) -> StreamOptions {
    static COLLECTION: LazyLock<Config> = LazyLock::new(|| Config::transparent("http://127.0.0.1:1").unwrap());
    let options = StreamOptions::read(&request.into_parts().0, &COLLECTION.collections[0], &names());
    options.unwrap().expect("a stream is asked for")
}

fn pinned(snapshot: &Snapshot) -> String {
    format!("{ORIGINAL}&_snapshot={}", snapshot.id())
}

pub(super) fn complete(lines: &str) -> Seal {
    let records = lines.lines().count() as u64;
    let (proof, consistency) = ("a test".to_owned(), Consistency::Steady);
    Seal::Complete(Verdict {
        records,
        pages: 1,
        requests: 1,
        proof,
        consistency,
        order: None,
        doubles: 0,
        late: 0,
        lists: None,
    })
}

pub(super) fn failed(fault: Fault) -> Seal {
    Seal::Failed(Arc::new(Failure::new(fault, "page 3: it is broken", "mend it")))
}

/// Eight records of 9 bytes.
const EIGHT: &str =
    "{\"id\":10}\n{\"id\":11}\n{\"id\":12}\n{\"id\":13}\n{\"id\":14}\n{\"id\":15}\n{\"id\":16}\n{\"id\":17}\n";

/// This many bytes of records of many lengths.
pub(super) fn lines(bytes: usize) -> String {
    let mut lines = String::new();
    let mut id = 0;
    while lines.len() < bytes {
        lines.push_str(&format!("{{\"id\":{id},\"text\":\"{}\"}}\n", "x".repeat(id % 40)));
        id += 1;
    }
    lines
}

/// Asks for the rest from this byte on, without a socket: its status, and its body when the snapshot has ended.
async fn rest(snapshot: Arc<Snapshot>, at: usize) -> Response<Body> {
    let options = options(request(Method::GET, &pinned(&snapshot), &[("range", &format!("bytes={at}-"))]));
    respond_as(&PLAIN, &snapshot, &options, &Representation::new(&options), &TableIndexes::default()).await
}

/// The file must hold exactly these bytes.
async fn is_the_rest<B>(whole: &Bytes, at: usize, response: Response<B>)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    assert_eq!(response.status(), 206, "{at}");
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    assert!(rest == whole[at..], "from {at} on came {} bytes that are not the rest", rest.len());
}

#[tokio::test]
async fn a_download_resumes_at_every_byte_of_a_complete_snapshot() {
    let whole = lines(64 << 10);
    let kept = Kept::complete(&whole).await;
    let whole = Bytes::from(whole);
    for at in 0..whole.len() {
        let response = rest(Arc::clone(&kept.snapshot), at).await;
        let (length, range) = (&response.headers()["content-length"], &response.headers()["content-range"]);
        assert_eq!(*length, (whole.len() - at).to_string());
        assert_eq!(*range, format!("bytes {at}-{}/{}", whole.len() - 1, whole.len()));
        is_the_rest(&whole, at, response).await;
    }
}

#[tokio::test]
async fn a_download_resumes_at_every_byte_of_a_growing_snapshot() {
    const READERS: usize = 512;
    let whole = lines(64 << 10);
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
    let bytes = Bytes::from(whole.clone());
    for (turn, first) in (0..whole.len()).step_by(READERS).enumerate() {
        // It is cut elsewhere each time: before, between and behind the bytes that are asked for.
        let cut = ends[turn * 37 % ends.len()];
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(&whole[..cut]);
        let mut readings = Vec::new();
        for at in first..whole.len().min(first + READERS) {
            let (snapshot, bytes) = (Arc::clone(&kept.snapshot), bytes.clone());
            if (at as u64) < snapshot.log().extent().visible {
                // Whose byte is visible has its head before there is more.
                let response = rest(snapshot, at).await;
                assert_eq!(response.headers()["content-range"], format!("bytes {at}-9007199254740991/*"));
                readings.push(tokio::spawn(async move { is_the_rest(&bytes, at, response).await }));
            } else {
                readings.push(tokio::spawn(async move { is_the_rest(&bytes, at, rest(snapshot, at).await).await }));
                tokio::task::yield_now().await;
            }
        }
        kept.append(&whole[cut..]);
        kept.seal(complete(&whole));
        for reading in readings {
            reading.await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_rest_comes_over_sockets_too() {
    let whole = lines(64 << 10);
    let half = whole[..whole.len() / 2].rfind('\n').unwrap() + 1;
    let bytes = Bytes::from(whole.clone());
    for version in BOTH {
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(&whole[..half]);
        let ask = |at: usize| {
            let (address, pinned) = (kept.address, pinned(&kept.snapshot));
            let request = request(Method::GET, &pinned, &[("range", &format!("bytes={at}-"))]);
            tokio::spawn(async move { client::send(version, address, request).await })
        };
        let mut begun = Vec::new();
        for at in (0..half - 8).step_by(1237) {
            begun.push((at, ask(at).await.unwrap()));
        }
        let waiting: Vec<_> = (half..whole.len()).step_by(1237).map(|at| (at, ask(at))).collect();
        kept.append(&whole[half..]);
        kept.seal(complete(&whole));
        for (at, response) in begun {
            is_the_rest(&bytes, at, response).await;
        }
        for (at, response) in waiting {
            is_the_rest(&bytes, at, response.await.unwrap()).await;
        }
        for at in (0..whole.len()).step_by(1237) {
            let received = kept.part(version, &format!("bytes={at}-")).await;
            assert_eq!(received.whole().as_bytes(), &whole.as_bytes()[at..]);
        }
    }
}

/// One answer's status, the fields that say what it is, and its text.
fn told(received: &Received) -> (u16, Option<&str>, Option<&str>, &str) {
    let status = received.head.status.as_u16();
    (status, received.header("content-range"), received.header("content-length"), received.whole())
}

#[tokio::test]
async fn parts_of_a_complete_snapshot_are_exact() {
    let kept = Kept::complete(EIGHT).await;
    for (range, told_range, part) in [
        ("bytes=0-", "bytes 0-79/80", EIGHT),
        ("bytes=0-0", "bytes 0-0/80", "{"),
        ("bytes=79-", "bytes 79-79/80", "\n"),
        ("bytes=70-99", "bytes 70-79/80", &EIGHT[70..]),
        ("bytes=7-18446744073709551615", "bytes 7-79/80", &EIGHT[7..]),
        ("bytes=-5", "bytes 75-79/80", &EIGHT[75..]),
        ("bytes=-500", "bytes 0-79/80", EIGHT),
        ("BYTES= 3-4 ,", "bytes 3-4/80", &EIGHT[3..5]),
        ("records=0-0", "records 0-0/8", &EIGHT[..10]),
        ("records=2-4", "records 2-4/8", &EIGHT[20..50]),
        ("records=7-9", "records 7-7/8", &EIGHT[70..]),
        ("records=5-", "records 5-7/8", &EIGHT[50..]),
        ("records=-3", "records 5-7/8", &EIGHT[50..]),
        ("records=-30", "records 0-7/8", EIGHT),
    ] {
        for version in BOTH {
            let received = kept.part(version, range).await;
            let length = part.len().to_string();
            assert_eq!(told(&received), (206, Some(told_range), Some(length.as_str()), part), "{range}");
            assert_eq!(received.header("etag"), Some(kept.etag().as_str()));
            assert_eq!(received.header("accept-ranges"), Some("bytes"));
        }
    }
    for range in ["bytes=5-4", "bytes=x", "pages=1-2", "bytes", "records=1"] {
        assert_eq!(told(&kept.part(Version::Http1, range).await), (200, None, Some("80"), EIGHT), "{range}");
    }
}

#[tokio::test]
async fn only_a_complete_snapshot_has_an_end_to_be_behind() {
    let kept = Kept::complete(EIGHT).await;
    for (range, length) in [
        ("bytes=80-", "bytes */80"),
        ("bytes=80-90", "bytes */80"),
        ("bytes=99999999999999999999-", "bytes */80"),
        ("bytes=-0", "bytes */80"),
        ("records=8-8", "records */8"),
        ("records=-0", "records */8"),
    ] {
        let received = kept.part(Version::Http1, range).await;
        assert_eq!((received.head.status.as_u16(), received.header("content-range")), (416, Some(length)), "{range}");
        assert_eq!(received.header("content-type"), Some("application/problem+json"));
    }
    let nothing = Kept::complete("").await;
    assert_eq!(told(&nothing.get(Version::Http2, &nothing.pinned(), &[]).await), (200, None, Some("0"), ""));
    for range in ["bytes=0-", "bytes=-1", "records=0-0"] {
        assert_eq!(nothing.part(Version::Http1, range).await.head.status, 416, "{range}");
    }
}

#[tokio::test]
async fn a_part_is_only_given_of_the_snapshot_that_it_is_of() {
    let kept = Kept::complete(EIGHT).await;
    let (strong, weak, other) = (kept.etag(), format!("W/{}", kept.etag()), format!("\"{}\"", "0".repeat(32)));
    let date = "Sat, 05 Nov 1994 08:49:37 GMT";
    for (target, range, if_range, status) in [
        (kept.pinned(), "bytes=5-", None, 206),
        (kept.pinned(), "bytes=5-", Some(&strong[..]), 206),
        (kept.pinned(), "bytes=5-", Some(&other), 200),
        (kept.pinned(), "records=2-3", Some(&weak), 200),
        (kept.pinned(), "bytes=500-", Some(date), 200),
        (ORIGINAL.to_owned(), "bytes=5-", Some(&strong), 206),
        (ORIGINAL.to_owned(), "records=2-3", Some(&strong), 206),
        (ORIGINAL.to_owned(), "bytes=0-", Some(&strong), 206),
        (ORIGINAL.to_owned(), "bytes=500-", Some(&strong), 416),
        (ORIGINAL.to_owned(), "bytes=5-", Some(&other), 200),
        (ORIGINAL.to_owned(), "bytes=5-", Some(&weak), 200),
        (ORIGINAL.to_owned(), "bytes=5-", Some(date), 200),
        (ORIGINAL.to_owned(), "bytes=500-", Some(date), 200),
        (ORIGINAL.to_owned(), "bytes=0-", None, 200),
        (ORIGINAL.to_owned(), "pages=5-", None, 200),
        (ORIGINAL.to_owned(), "bytes=5-", None, 412),
        (ORIGINAL.to_owned(), "bytes=0-0", None, 412),
        (ORIGINAL.to_owned(), "bytes=-5", None, 412),
        (ORIGINAL.to_owned(), "bytes=500-", None, 412),
        (ORIGINAL.to_owned(), "records=2-3", None, 412),
    ] {
        let mut fields = vec![("range", range)];
        fields.extend(if_range.map(|tag| ("if-range", tag)));
        let received = kept.get(Version::Http1, &target, &fields).await;
        assert_eq!(received.head.status, status, "{target} {fields:?}");
        match status {
            200 => assert_eq!(received.whole(), EIGHT),
            206 => assert!(received.body.len() < 80 || range == "bytes=0-"),
            412 => {
                let problem: Value = serde_json::from_slice(&received.body).unwrap();
                assert_eq!(problem["snapshot"], kept.pinned());
                let link = format!("<{}>; rel=\"latest-version\"", kept.pinned());
                assert_eq!(received.header("link"), Some(&link[..]));
            }
            _ => {}
        }
    }
    let redirecting = Kept::complete_as(As { unnamed: Resume::Redirect, ..PLAIN }, EIGHT).await;
    let received = redirecting.get(Version::Http2, ORIGINAL, &[("range", "bytes=5-")]).await;
    assert_eq!((received.head.status.as_u16(), received.header("location")), (307, Some(&redirecting.pinned()[..])));
}

#[tokio::test]
async fn a_client_that_has_the_snapshot_already_gets_304() {
    let kept = Kept::complete(EIGHT).await;
    let (strong, weak) = (kept.etag(), format!("\"x\", W/{}", kept.etag()));
    for method in [Method::GET, Method::HEAD] {
        for known in [&strong[..], &weak, "*"] {
            for target in [ORIGINAL, &kept.pinned()] {
                let fields = [("if-none-match", known), ("range", "bytes=500-")];
                let request = request(method.clone(), target, &fields);
                let received = client::receive(Version::Http1, kept.address, request).await;
                assert_eq!((received.head.status.as_u16(), received.whole()), (304, ""), "{method} {known}");
                assert_eq!(received.header("etag"), Some(&strong[..]));
                assert_eq!(received.header("content-location"), Some(&kept.pinned()[..]));
                assert_eq!(received.header("cache-control"), Some("private, no-cache, no-transform"));
                assert_eq!(received.header("content-type"), None);
            }
        }
    }
    let received = kept.get(Version::Http1, ORIGINAL, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(told(&received), (200, None, Some("80"), EIGHT));

    // No client has all of an incomplete snapshot.
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(EIGHT);
    let head = async |kept: &Kept, known: &str| {
        let request = request(Method::HEAD, ORIGINAL, &[("if-none-match", known)]);
        client::receive(Version::Http1, kept.address, request).await.head.status
    };
    let etag = kept.etag();
    assert_eq!((head(&kept, &etag).await, head(&kept, "*").await), (http::StatusCode::OK, http::StatusCode::OK));
    kept.seal(failed(Fault::Stopped));
    assert_eq!(head(&kept, &etag).await, 200);
}

#[tokio::test]
async fn the_head_of_a_stream_says_what_it_is() {
    let kept = Kept::complete(EIGHT).await;
    let get = kept.get(Version::Http1, ORIGINAL, &[]).await;
    let (pinned, etag) = (kept.pinned(), kept.etag());
    let link = format!("<{pinned}&_format=status>; rel=\"status\"");
    for (name, value) in [
        ("content-type", "application/x-ndjson"),
        ("content-length", "80"),
        ("etag", &etag),
        ("content-location", &pinned),
        ("link", &link),
        ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT"),
        ("cache-status", "unpage; fwd=miss; stored"),
        ("cache-control", "private, no-cache, no-transform"),
        ("accept-ranges", "bytes"),
        ("x-accel-buffering", "no"),
        ("via", "1.1 unpage"),
    ] {
        assert_eq!(get.header(name), Some(value), "{name}");
    }
    assert!(get.header("age").unwrap().parse::<u64>().unwrap() > 900_000_000);
    assert_eq!(get.header("memento-datetime"), None, "when it was crawled is no moment that it is of");
    for version in BOTH {
        let get = kept.get(version, ORIGINAL, &[]).await;
        let head =
            client::receive(version, kept.address, request(Method::HEAD, ORIGINAL, &[("range", "bytes=5-")])).await;
        let fields = |received: &Received| {
            let fields = received.head.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "age"));
            fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
        };
        assert_eq!((head.head.status.as_u16(), head.whole()), (200, ""));
        // A length would make readers request ranges of a URL that names no snapshot.
        assert_eq!((head.header("content-length"), head.header("accept-ranges")), (None, Some("none")));
        let is_about_ranges = |name: &str| matches!(name, "content-length" | "accept-ranges");
        let mut others = fields(&get);
        others.retain(|(name, _)| !is_about_ranges(name.as_str()));
        let mut told = fields(&head);
        told.retain(|(name, _)| !is_about_ranges(name.as_str()));
        assert_eq!(told, others, "{version:?}");
        let get = kept.get(version, &kept.pinned(), &[]).await;
        let head = request(Method::HEAD, &kept.pinned(), &[("range", "bytes=5-")]);
        let head = client::receive(version, kept.address, head).await;
        assert_eq!(fields(&head), fields(&get), "{version:?}");
    }
}

#[tokio::test]
async fn a_snapshot_of_a_known_moment_says_which_and_leads_to_the_original() {
    let valid_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    let kept = Kept::complete_as(As { valid_at, ..PLAIN }, EIGHT).await;
    let get = kept.get(Version::Http1, ORIGINAL, &[]).await;
    assert_eq!(get.header("memento-datetime"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let link = format!("<{}&_format=status>; rel=\"status\", <{ORIGINAL}>; rel=\"original\"", kept.pinned());
    assert_eq!(get.header("link"), Some(link.as_str()));
}

#[tokio::test]
async fn a_snapshot_that_is_not_kept_or_not_complete_must_not_be_stored_and_promises_nothing() {
    let unkept = As { retention: Retention::Transient, ..PLAIN };
    let forbidden = As { retention: Retention::Private, storage: FileStorage::Forbidden, ..PLAIN };
    let everyone =
        As { scope: Scope::Public, cache_status: CacheStatus::Hit { ttl: Some(Duration::from_secs(7)) }, ..PLAIN };
    for (how, cache_control, ranges, location, cache_status) in [
        (unkept, "no-store, no-transform", "none", false, "unpage; fwd=miss"),
        (forbidden, "no-store, no-transform", "bytes", true, "unpage; fwd=miss; stored"),
        (everyone, "no-cache, no-transform", "bytes", true, "unpage; hit; ttl=7"),
        (
            As { cache_status: CacheStatus::Hit { ttl: None }, ..PLAIN },
            "private, no-cache, no-transform",
            "bytes",
            true,
            "unpage; hit",
        ),
        (
            As { cache_status: CacheStatus::Collapsed, ..PLAIN },
            "private, no-cache, no-transform",
            "bytes",
            true,
            "unpage; fwd=miss; collapsed",
        ),
        (
            As { cache_status: CacheStatus::Stale, ..PLAIN },
            "private, no-cache, no-transform",
            "bytes",
            true,
            "unpage; fwd=stale; stored",
        ),
        (
            As { cache_status: CacheStatus::Bypass, ..PLAIN },
            "private, no-cache, no-transform",
            "bytes",
            true,
            "unpage; fwd=request; stored",
        ),
    ] {
        let mut kept = Kept::serve(how).await;
        kept.append(EIGHT);
        let head = request(Method::HEAD, &kept.pinned(), &[]);
        let growing = client::receive(Version::Http1, kept.address, head).await;
        assert_eq!(growing.header("cache-control"), Some("no-store, no-transform"));
        assert_eq!((growing.header("content-length"), growing.header("accept-ranges")), (None, Some(ranges)));
        kept.seal(complete(EIGHT));
        let received = kept.get(Version::Http1, ORIGINAL, &[]).await;
        assert_eq!(received.header("cache-control"), Some(cache_control));
        assert_eq!(received.header("accept-ranges"), Some(ranges));
        assert_eq!(received.header("content-location").is_some(), location);
        assert_eq!(received.header("link").is_some(), location);
        assert_eq!(received.header("cache-status"), Some(cache_status));
    }
}

#[tokio::test]
async fn a_range_of_a_growing_snapshot_has_the_existing_bytes_and_waits_for_its_first() {
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(&EIGHT[..40]);
    // The brace and the newline of the fourth record are held back.
    for (range, told_range, part) in [
        ("bytes=5-9", "bytes 5-9/*", &EIGHT[5..10]),
        ("bytes=5-99", "bytes 5-37/*", &EIGHT[5..38]),
        ("bytes=37-37", "bytes 37-37/*", &EIGHT[37..38]),
        ("records=0-1", "records 0-1/*", &EIGHT[..20]),
        ("records=2-2", "records 2-2/*", &EIGHT[20..30]),
    ] {
        for version in BOTH {
            let received = kept.part(version, range).await;
            let length = part.len().to_string();
            assert_eq!(told(&received), (206, Some(told_range), Some(length.as_str()), part), "{range}");
        }
    }
    let waiting = ["bytes=38-45", "bytes=60-61", "bytes=79-", "bytes=80-", "records=3-4", "records=6-", "records=8-9"];
    let waiting = waiting.map(|range| {
        let (address, request) = (kept.address, request(Method::GET, &kept.pinned(), &[("range", range)]));
        tokio::spawn(async move { client::receive(Version::Http1, address, request).await })
    });
    // A suffix has no end to be counted from: it gets everything.
    let suffix =
        client::send(Version::Http1, kept.address, request(Method::GET, &kept.pinned(), &[("range", "bytes=-5")]));
    assert_eq!(suffix.await.status(), 200);
    while kept.snapshot.log().extent().readers < waiting.len() {
        tokio::task::yield_now().await;
    }
    assert!(waiting.iter().all(|part| !part.is_finished()));
    kept.append(&EIGHT[40..60]);
    let mut waiting = waiting.into_iter();
    let mut next = async || waiting.next().unwrap().await.unwrap();
    assert_eq!(told(&next().await), (206, Some("bytes 38-45/*"), Some("8"), &EIGHT[38..46]));
    kept.append(&EIGHT[60..]);
    assert_eq!(told(&next().await), (206, Some("bytes 60-61/*"), Some("2"), &EIGHT[60..62]));
    kept.seal(complete(EIGHT));
    assert_eq!(told(&next().await), (206, Some("bytes 79-79/80"), Some("1"), "\n"));
    let behind = next().await;
    assert_eq!((behind.head.status.as_u16(), behind.header("content-range")), (416, Some("bytes */80")));
    let records = next().await;
    assert_eq!((records.head.status.as_u16(), records.whole()), (206, &EIGHT[30..50]));
    assert_eq!(told(&next().await), (206, Some("records 6-7/8"), Some("20"), &EIGHT[60..]));
    let behind = next().await;
    assert_eq!((behind.head.status.as_u16(), behind.header("content-range")), (416, Some("records */8")));
}

#[tokio::test]
async fn a_broken_snapshot_has_its_bytes_and_never_a_clean_end() {
    for version in BOTH {
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(&EIGHT[..40]);
        let (address, asked) = (kept.address, request(Method::GET, &kept.pinned(), &[("range", "bytes=38-")]));
        let waiting = tokio::spawn(async move { client::receive(version, address, asked).await });
        let open =
            client::send(version, kept.address, request(Method::GET, &kept.pinned(), &[("range", "bytes=30-")])).await;
        while kept.snapshot.log().extent().readers < 2 {
            tokio::task::yield_now().await;
        }
        kept.seal(failed(Fault::Refused(http::StatusCode::RANGE_NOT_SATISFIABLE)));
        let open = Received::read(open).await;
        assert_eq!((open.head.status.as_u16(), &open.body[..]), (206, &EIGHT.as_bytes()[30..38]));
        assert!(open.cut() || open.reset() == Some(h2::Reason::INTERNAL_ERROR), "{:?}", open.broken);
        let refused = waiting.await.unwrap();
        assert_eq!(refused.head.status, 502);
        assert!(refused.whole().contains("page 3: it is broken"));
        for (range, status, part) in [
            ("bytes=38-", 502, None),
            ("bytes=38-40", 502, None),
            ("bytes=500-", 502, None),
            ("records=3-3", 502, None),
            ("records=9-9", 502, None),
            ("bytes=30-35", 206, Some(&EIGHT[30..36])),
            ("bytes=30-99", 206, Some(&EIGHT[30..38])),
            ("records=1-5", 206, Some(&EIGHT[10..30])),
        ] {
            let received = kept.part(version, range).await;
            assert_eq!(received.head.status, status, "{range}");
            if let Some(part) = part {
                assert_eq!(received.whole(), part, "{range}");
            }
        }
        let rest = kept.part(version, "bytes=7-").await;
        assert_eq!((rest.head.status.as_u16(), &rest.body[..]), (206, &EIGHT.as_bytes()[7..38]));
        assert_eq!(rest.header("content-range"), Some("bytes 7-9007199254740991/*"));
        assert!(rest.cut() || rest.reset() == Some(h2::Reason::INTERNAL_ERROR), "{:?}", rest.broken);
    }
}

#[tokio::test]
async fn http10_gets_a_complete_snapshot_with_its_length_and_no_growing_one() {
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(EIGHT);
    let ask = async |address: SocketAddr, line: String| {
        let received = client::raw(address, format!("{line}\r\n\r\n")).await;
        String::from_utf8(received).unwrap()
    };
    let get = format!("GET {} HTTP/1.0", kept.pinned());
    let growing = ask(kept.address, get.clone()).await;
    assert!(growing.starts_with("HTTP/1.0 505 "), "{growing}");
    let part = ask(kept.address, format!("{get}\r\nRange: bytes=2-4")).await;
    assert!(part.starts_with("HTTP/1.0 206 ") && part.ends_with("\r\n\r\nid\""), "{part}");
    kept.seal(complete(EIGHT));
    let whole = ask(kept.address, get).await;
    assert!(whole.starts_with("HTTP/1.0 200 "), "{whole}");
    assert!(whole.contains("\r\ncontent-length: 80\r\n") && whole.ends_with(&format!("\r\n\r\n{EIGHT}")), "{whole}");
    let head = ask(kept.address, format!("HEAD {} HTTP/1.0", kept.pinned())).await;
    assert!(head.contains("\r\ncontent-length: 80\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn records_far_from_the_first_are_found_by_their_numbers() {
    const HELD_BACK: usize = 5;
    let whole = lines(5 << 20);
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
    let begins: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    let mut kept = Kept::serve(PLAIN).await;
    let parts = async |kept: &Kept, records: usize, total: &str| {
        for first in (0..records - HELD_BACK).step_by(9973).chain([records - HELD_BACK - 1]) {
            let last = first + first % HELD_BACK;
            let received = kept.part(Version::Http2, &format!("records={first}-{last}")).await;
            let part = &whole[begins[first]..ends[last]];
            let content_range = format!("records {first}-{last}/{total}");
            assert_eq!(told(&received), (206, Some(&*content_range), Some(&*part.len().to_string()), part));
        }
    };
    let mut from = 0;
    for to in ends.iter().copied().step_by(1000) {
        kept.append(&whole[from..to]);
        from = to;
    }
    parts(&kept, begins.iter().position(|begin| *begin == from).unwrap(), "*").await;
    kept.append(&whole[from..]);
    kept.seal(complete(&whole));
    let total = ends.len().to_string();
    parts(&kept, ends.len(), &total).await;
    let rest = kept.part(Version::Http1, "records=-2").await;
    assert_eq!(rest.whole(), &whole[begins[ends.len() - 2]..]);
    let behind = kept.part(Version::Http1, &format!("records={total}-")).await;
    let content_range = format!("records */{total}");
    assert_eq!((behind.head.status.as_u16(), behind.header("content-range")), (416, Some(&*content_range)));
}

#[tokio::test]
async fn a_digest_is_of_the_whole_and_made_when_it_is_wanted() {
    const WANTED: (&str, &str) = ("want-repr-digest", "sha-512=9, sha-256=5");
    let whole = lines(300 << 10);
    let sha256 = ring::digest::digest(&ring::digest::SHA256, whole.as_bytes());
    let digest = format!("sha-256=:{}:", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, sha256));
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(&whole);
    let known = async |kept: &Kept| {
        let target = format!("{}&_format=status", kept.pinned());
        let received = kept.get(Version::Http1, &target, &[WANTED]).await;
        serde_json::from_slice::<Value>(&received.body).unwrap()["digest"].clone()
    };
    let growing = kept.get(Version::Http1, &kept.pinned(), &[WANTED, ("range", "bytes=5-9")]).await;
    assert_eq!((growing.head.status.as_u16(), growing.header("repr-digest")), (206, None));
    kept.seal(complete(&whole));
    let unasked = kept.get(Version::Http1, &kept.pinned(), &[("want-repr-digest", "sha-256=0")]).await;
    assert_eq!((unasked.whole(), unasked.header("repr-digest")), (&*whole, None));
    assert_eq!(known(&kept).await, Value::Null, "nobody has wanted it");
    for version in BOTH {
        let received = kept.get(version, &kept.pinned(), &[WANTED]).await;
        assert_eq!((received.whole(), received.header("repr-digest")), (&*whole, Some(&*digest)));
        let part = kept.get(version, &kept.pinned(), &[WANTED, ("range", "bytes=1000-")]).await;
        assert_eq!((part.whole(), part.header("repr-digest")), (&whole[1000..], Some(&*digest)));
        let head = client::receive(version, kept.address, request(Method::HEAD, &kept.pinned(), &[WANTED])).await;
        assert_eq!((head.whole(), head.header("repr-digest")), ("", Some(&*digest)));
    }
    assert_eq!(known(&kept).await, *digest);

    let mut broken = Kept::serve(PLAIN).await;
    broken.append(EIGHT);
    broken.seal(failed(Fault::Upstream));
    let part = broken.get(Version::Http1, &broken.pinned(), &[WANTED, ("range", "bytes=5-9")]).await;
    assert_eq!((part.head.status.as_u16(), part.header("repr-digest")), (206, None));
}

#[tokio::test]
async fn the_status_describes_the_snapshot() {
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(&EIGHT[..40]);
    let target = format!("{}&_format=status", kept.pinned());
    let read = async |kept: &Kept| {
        let received = kept.get(Version::Http2, &target, &[("range", "bytes=1-2"), ("if-none-match", "*")]).await;
        assert_eq!((received.head.status.as_u16(), received.header("content-type")), (200, Some("application/json")));
        assert_eq!(received.header("cache-control"), Some("no-store"));
        serde_json::from_slice::<Value>(&received.body).unwrap()
    };
    let status = read(&kept).await;
    assert_eq!(status["id"], kept.snapshot.id().to_string());
    assert_eq!(status["url"], kept.pinned());
    assert_eq!(status["created"], "1994-11-06T08:49:37.000Z");
    let counts = |status: &Value| ["state", "records", "bytes", "total"].map(|name| status[name].to_string());
    assert_eq!(counts(&status), ["\"running\"", "4", "38", "8"]);
    assert!(status["eta_seconds"].as_u64().unwrap() > 900_000_000);
    kept.append(&EIGHT[40..]);
    kept.seal(complete(EIGHT));
    let status = read(&kept).await;
    assert_eq!(counts(&status), ["\"complete\"", "8", "80", "8"]);
    let verdict = json!({ "records": 8, "pages": 1, "requests": 1, "proof": "a test", "consistency": "steady", "doubles": 0, "late": 0 });
    assert_eq!(status["verdict"], verdict);
    assert!(status["ended"].is_string() && status["expires"].is_string());

    let mut broken = Kept::serve(PLAIN).await;
    broken.seal(failed(Fault::Upstream));
    let target = format!("{}&_format=status", broken.pinned());
    let received = broken.get(Version::Http1, &target, &[]).await;
    let status: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(status["state"], "broken");
    assert_eq!(status["failure"]["message"], "page 3: it is broken");
    assert_eq!(status["failure"]["fault"], "upstream");
}
