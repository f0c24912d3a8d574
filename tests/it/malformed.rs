//! Requests that two parsers may read differently, requests for other names than the server's, and what HTTP/1.0 clients get.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::{self, BOTH, Version};
use super::head_agreement::check;
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Framing, Reply, Upstream, answer};

const LINES: &str = "records = \"$\"\npagination = \"link_header\"";

/// A request that must not be served after a refused one.
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Heads, and the first statuses that may answer them.
const MALFORMED: [(&str, &[u16]); 31] = [
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000000000000000000000000000000000000000000000000000000000000000000000000\
         00000000000000000000000000000000000000000000000000000000000000000000018\r\n\r\n",
        &[400],
    ),
    ("GET / HTTP/1.1\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", &[400]),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("GET http://b/ HTTP/1.1\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\nHost: a\n\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\nX-B: 2\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", &[400]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", &[501]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", &[501]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", &[501]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[501]),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", &[400]),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", &[501]),
    ("CONNECT /c HTTP/1.1\r\nHost: a\r\n\r\n", &[400, 501]),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n folded\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", &[400]),
];

/// Sends these bytes, and reads until the proxy closes the connection.
async fn until_closed(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    // A reset is as good an end as any: bytes behind the refused request are not read.
    while let Ok(read @ 1..) = socket.read(&mut piece).await {
        received.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_malformed_request_reaches_no_upstream_and_nothing_behind_it_is_served() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINES)).await;
    for (request, statuses) in MALFORMED {
        for accept in ["*/*", "application/x-ndjson"] {
            let request = request.replacen("\r\n", &format!("\r\nAccept: {accept}\r\n"), 1);
            let received = until_closed(&proxy, format!("{request}{BEHIND}").as_bytes()).await;
            let answers: Vec<&str> = received.split("HTTP/1.").skip(1).map(|answer| &answer[2..5]).collect();
            let is_refused = statuses.iter().any(|status| answers == [status.to_string()]);
            assert!(is_refused, "{request:?}: {received}");
        }
    }
    // A request before it is one of its own.
    let received =
        until_closed(&proxy, format!("GET /first HTTP/1.1\r\nHost: a\r\n\r\n{}{BEHIND}", MALFORMED[15].0).as_bytes())
            .await;
    assert!(received.starts_with("HTTP/1.1 200 ") && received.contains("HTTP/1.1 400 "), "{received}");
    assert_eq!(upstream.asked().iter().map(|asked| &*asked.target).collect::<Vec<_>>(), ["/first"]);
}

#[tokio::test]
async fn requests_with_bodies_follow_each_other_on_one_connection() {
    let upstream = Upstream::scripted(1, |asked, _| Reply::json(asked.body.clone())).await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINES)).await;
    let requests = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n\n\n\nGET /\n\
        GET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x\r\n\r\n\n\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";
    for piece in [1, 3, 1000] {
        upstream.forget();
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        for piece in format!("{requests}{BEHIND}").as_bytes().chunks(piece) {
            socket.write_all(piece).await.unwrap();
        }
        let mut received = Vec::new();
        // A chunked request is the last one of its connection: bytes behind it are not read, and reset it.
        let _ = socket.read_to_end(&mut received).await;
        let received = String::from_utf8(received).unwrap();
        assert_eq!(received.matches("HTTP/1.1 200 OK").count(), 3, "{received}");
        assert_eq!(received.matches("connection: close").count(), 1, "{received}");
        let asked: Vec<_> = upstream.asked().into_iter().map(|asked| (asked.target, asked.body)).collect();
        let expected = [("/1", "\n\n\nGET /\n"), ("/2", ""), ("/3", "\r\n\n0123456789")];
        assert_eq!(asked, expected.map(|(target, body)| (target.to_owned(), Bytes::from_static(body.as_bytes()))));
    }
}

#[tokio::test]
async fn a_web_page_of_another_name_reaches_nothing_on_loopback() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
    let with = |host: &str, target: &str, accept: &str| {
        Request::get(target).header("host", host).header("accept", accept).body(Full::<Bytes>::default()).unwrap()
    };
    let mut process = Process::serve(&format!("admin = \"127.0.0.1:0\"\n{}", collection(&upstream.url(), LINES))).await;
    let admin = process.admin().await;
    for (address, target) in [(process.address, "/orders"), (admin, "/metrics")] {
        for accept in ["*/*", "application/x-ndjson"] {
            for host in ["evil.example", "localhost.evil.example:8080", "10.0.0.1"] {
                let refused = client::receive(Version::Http1, address, with(host, target, accept)).await;
                assert_eq!(refused.head.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
                assert_eq!(refused.header("content-type"), Some("application/problem+json"));
                assert!(refused.whole().contains("`admin` on loopback answers to localhost"), "{}", refused.whole());
            }
            for host in ["localhost:8080", "127.0.0.1", "[::1]:9"] {
                let answered = client::receive(Version::Http1, address, with(host, target, accept)).await;
                assert_eq!(answered.head.status, StatusCode::OK, "{host}");
            }
        }
    }
    let toml = format!("hosts = [\"api.example\", \"*.internal\"]\n{}", collection(&upstream.url(), LINES));
    let process = Process::serve(&toml).await;
    // The operator's address has names of its own.
    for (host, status) in [("api.example", 200), ("a.internal:80", 200), ("localhost", 421)] {
        let answered = client::receive(Version::Http1, process.address, with(host, "/orders", "*/*")).await;
        assert_eq!(answered.head.status, status, "{host}");
    }
}

#[tokio::test]
async fn an_http10_client_gets_a_length_or_an_error_and_never_a_cut_answer() {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let large = format!("{:x}\r\n{}\r\n", 5 << 20, "x".repeat(5 << 20));
    let replies = [
        ("/whole", chunked("5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")),
        ("/cut", chunked("5\r\nhello\r\n")),
        ("/large", chunked(&large)),
    ];
    let upstream =
        Upstream::scripted(1, move |asked, _| match replies.iter().find(|(path, _)| *path == asked.target) {
            Some((_, reply)) => Reply::Raw(reply.clone().into()),
            None if asked.target == "/short" => Reply::Cut(answer(200, &[], "hello world!"), Framing::Length),
            None => Reply::Whole(answer(200, &[], "hello")),
        })
        .await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINES)).await;
    for (target, status, length, end) in [
        ("/whole", 200, Some("content-length: 5\r\n"), "\r\n\r\nhello"),
        ("/length", 200, Some("content-length: 5\r\n"), "\r\n\r\nhello"),
        ("/cut", 502, None, "}\n"),
        ("/large", 505, None, "}\n"),
        // The length tells that it was cut.
        ("/short", 200, Some("content-length: 12\r\n"), "hello "),
    ] {
        let received = until_closed(&proxy, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).await;
        assert!(
            received.starts_with(&format!("HTTP/1.0 {status} ")) && received.ends_with(end),
            "{target}: {received}"
        );
        assert!(length.is_none_or(|length| received.contains(length)) && !received.contains("chunked"), "{received}");
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut_and_its_fault_is_the_clients() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
    let proxy =
        Proxy::start(&format!("[limits]\nrequest_body = \"100ms\"\n{}", collection(&upstream.url(), LINES))).await;
    client::receive(Version::Http1, proxy.address, client::get("/", "*/*")).await;
    let begun = std::time::Instant::now();
    for (framing, body, status) in [
        ("Content-Length: 10", "hello", 408),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n", 408),
        ("Content-Length: 10", "", 408),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nxyz\r\n", 400),
    ] {
        let request = format!("PUT /orders HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}");
        let received = until_closed(&proxy, request.as_bytes()).await;
        assert!(received.starts_with(&format!("HTTP/1.1 {status} ")), "{framing} {body:?}: {received}");
        assert!(received.contains("\"fault\": \"client\""), "{received}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    for version in BOTH {
        let request = Request::put("/orders").body(Full::from("hello")).unwrap();
        assert_eq!(client::receive(version, proxy.address, request).await.head.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_still_sends_gets_its_refusal_and_no_reset() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINES)).await;
    for (framing, accept, status) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "*/*", 400),
        ("Transfer-Encoding: chunked", "application/x-ndjson", 413),
        ("Content-Length: 8000000", "application/x-ndjson", 413),
    ] {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n{framing}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        // More than the buffers of both sides hold, and no byte of the answer is read before.
        for _ in 0..100 {
            let piece = format!("{:x}\r\n{}\r\n", 70_000, "x".repeat(70_000));
            socket.write_all(piece.as_bytes()).await.unwrap_or_else(|error| panic!("{framing}: {error}"));
        }
        let mut received = String::new();
        socket.read_to_string(&mut received).await.unwrap_or_else(|error| panic!("{framing}: {error}"));
        assert!(received.starts_with(&format!("HTTP/1.1 {status} ")) && received.ends_with("}\n"), "{received}");
    }
    proxy.until(|monitor| monitor.connections() == 0).await;
    client::receive(Version::Http1, proxy.address, client::get("/", "*/*")).await;
}

/// A request on the wire, and whether a service may see it and any behind it.
#[derive(Clone, Debug)]
struct Sent {
    bytes: String,
    path: String,
    is_served: bool,
    ends_connection: bool,
}

/// Requests of every framing and with every flaw, whose bodies look like requests.
fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let framing = prop_oneof![
        Just(("", "", true, false)),
        Just(("", "", true, false)),
        Just(("Content-Length: 31\r\n", "GET /inside HTTP/1.1\r\nHost: p\r\n\r\n", true, false)),
        Just(("content-length:\t31 \r\n", "GET /inside HTTP/1.1\r\nHost: p\r\n\r\n", true, false)),
        Just(("Content-Length: 0\r\n", "\r\n", true, false)),
        Just((
            "Transfer-Encoding: chunked\r\n",
            "21\r\nGET /inside HTTP/1.1\r\nHost: p\r\n\r\n\r\n0\r\n\r\n",
            true,
            true
        )),
        Just(("X: GET /inside HTTP/1.1\r\n", "", true, false)),
        Just(("Content-Length: 2\r\nContent-Length: 2\r\n", "hi", false, true)),
        Just(("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", false, true)),
        Just(("Transfer-Encoding: chunked\r\nContent-Length : 3\r\n", "0\r\n\r\n", false, true)),
        Just(("X: 1\n", "", false, true)),
        Just(("X: 1\r\n\n", "GET /inside HTTP/1.1\r\nHost: p\r\n\r\n", false, true)),
    ];
    let request = (0..1000_u32, framing).prop_map(|(number, (fields, body, is_served, ends_connection))| {
        let path = format!("/{number}");
        let bytes = format!("POST {path} HTTP/1.1\r\nHost: p\r\n{fields}\r\n{body}");
        Sent { bytes, path, is_served, ends_connection }
    });
    prop::collection::vec(request, 1..6)
}

#[test]
fn a_service_sees_exactly_the_requests_in_front_of_a_flaw() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::clone(&seen));
        let service = tower::service_fn(move |request: Request<Incoming>| {
            seen.lock().unwrap().push(request.uri().path().to_owned());
            async {
                let whole = request.into_body().collect().await.is_ok();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(if whole { "whole" } else { "broken" }))))
            }
        });
        tokio::spawn(unpage::serve(listener, service, std::future::pending()));
        address
    });
    let requests = std::cell::Cell::new(0);
    proptest!(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }, |(sent in sent(), piece in 1..200_usize)| {
        let served = sent.iter().filter(|sent| sent.is_served).map(|sent| sent.path.as_str());
        let expected: Vec<_> = match sent.iter().position(|sent| sent.ends_connection) {
            Some(last) => served.take(last + usize::from(sent[last].is_served)).collect(),
            None => served.chain(["/end"]).collect(),
        };
        let end = "GET /end HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";
        let bytes: String = sent.iter().map(|sent| sent.bytes.as_str()).chain([end]).collect();
        runtime.block_on(async {
            let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
            let write = async {
                for piece in bytes.as_bytes().chunks(piece) {
                    // The server may have closed the connection.
                    if writer.write_all(piece).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let mut received = Vec::new();
            let _ = tokio::join!(write, reader.read_to_end(&mut received));
        });
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        requests.set(requests.get() + seen.len());
        prop_assert_eq!(seen, expected);
    });
    // About one of a sequence is in front of its first flaw.
    assert!(requests.get() > 128, "only {requests:?}");
}

/// Pieces of heads and bodies, put together to what is mostly no request.
const PIECES: [&str; 29] = [
    "GET /a HTTP/1.1\r\n",
    "GET /a HTTP/1.1\r\n\r\n",
    "POST /b HTTP/1.1\r\n",
    "POST /c HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    "POST /d HTTP/1.1\r\nHost: a\r\ncontent-length:3\r\n\r\nabc",
    "POST /e HTTP/1.1\r\nContent-Length: 40\r\n\r\n",
    "POST /f HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "GET http://a/x HTTP/1.1\r\n",
    "GET /a HTTP/1.1\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3\n",
    "content-length:\t03 \r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 00000000000000000000003\r\n",
    "Content-Length : 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: gzip\r\n",
    "X-A: Content-Length: 3\r\n",
    " folded\r\n",
    "\r\n",
    "\n",
    "\r",
    "abc",
    "0\r\n\r\n",
    "\r\n\r\n",
    "\0",
];

#[test]
fn the_scanner_of_heads_agrees_with_hypers_parser() {
    let agreed = std::cell::Cell::new(0);
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 1..24);
    let config = ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(pieces in pieces, piece in 1..64_usize)| {
        agreed.set(agreed.get() + check(pieces.concat().as_bytes(), piece));
    });
    assert!(agreed.get() > 512, "only {agreed:?}");
}
