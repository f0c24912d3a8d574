//! Limits on what a client takes of the server, each reached over a socket.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, Version, get};
use super::proxy::{Proxy, collection};
use super::upstream::{Gate, Reply, Upstream, answer};

const ONE_PAGE: &str = "records = \"$\"\npagination = \"none\"";

/// A proxy with these limits; its upstream answers `/large` with 64 MiB, and holds `/held` back.
async fn limited(limits: &str) -> (Proxy, Upstream, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
        "/large" => Reply::Whole(answer(200, &[], "x".repeat(64 << 20))),
        "/held" => held.before(Reply::json("[1]")),
        _ => Reply::json("[1]"),
    })
    .await;
    let proxy = Proxy::start(&format!("[limits]\n{limits}\n{}", collection(&upstream.url(), ONE_PAGE))).await;
    (proxy, upstream, gate)
}

/// Asks as an ordinary client does, and is answered.
async fn ask_well(proxy: &Proxy) {
    assert_eq!(client::receive(Version::Http1, proxy.address, get("/", "*/*")).await.head.status, 200);
}

fn closed(proxy: &Proxy, limit: &str) -> u64 {
    proxy.monitor.closed().find(|(label, _)| *label == limit).unwrap().1
}

/// Connects, writes these bytes, and reads until the server closes the connection.
async fn until_closed(proxy: &Proxy, bytes: &str) -> String {
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    read_to_end(&mut socket).await
}

async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut received = Vec::new();
    // A reset is an end, too.
    let _ =
        tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut received)).await.expect("it stays open");
    String::from_utf8_lossy(&received).into_owned()
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let (proxy, _upstream, _gate) = limited("first_byte = \"100ms\"\nhead = \"150ms\"\nidle = \"200ms\"").await;
    for (limit, bytes) in [
        ("first_byte", ""),
        ("head", "G"),
        ("head", "GET / HTTP/1.1\r\nHost: p\r\n"),
        ("head", "PRI * HTTP/2.0\r\n"),
        ("idle", "GET / HTTP/1.1\r\nHost: p\r\n\r\n"),
        // The preface and SETTINGS, and nothing more; the answer to the PING that follows GOAWAY never comes.
        ("idle", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ] {
        let before = closed(&proxy, limit);
        until_closed(&proxy, bytes).await;
        assert_eq!(closed(&proxy, limit), before + 1, "{limit} {bytes:?}");
    }
    assert_eq!((proxy.monitor.accepted(), proxy.monitor.connections()), (6, 0));
    ask_well(&proxy).await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_to_go_away() {
    let (proxy, _upstream, _gate) = limited("idle = \"100ms\"").await;
    let io = TokioIo::new(TcpStream::connect(proxy.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let ended = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/", proxy.address)).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    // GOAWAY without an error: the client's connection ends cleanly.
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap().unwrap();
    assert_eq!(closed(&proxy, "idle"), 1);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let (proxy, _upstream, _gate) = limited("write = \"200ms\"").await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(b"GET /large HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
    // Nothing is read until the connection is gone.
    proxy.until(|monitor| monitor.accepted() == 1 && monitor.connections() == 0).await;
    assert!(read_to_end(&mut socket).await.len() < 64 << 20);
    assert_eq!(closed(&proxy, "write"), 1);
    // Over HTTP/2 the socket takes everything, and the stream's window nothing.
    let io = TokioIo::new(TcpStream::connect(proxy.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let ask = |path| Request::get(format!("http://{}{path}", proxy.address)).body(Full::<Bytes>::default()).unwrap();
    let unread = sender.send_request(ask("/large")).await.unwrap();
    proxy.until(|monitor| monitor.accepted() == 2 && monitor.connections() == 0).await;
    assert!(client::Received::read(unread).await.broken.is_some());
    assert_eq!(closed(&proxy, "write"), 2);
}

#[tokio::test]
async fn when_all_places_are_taken_the_longest_idle_connection_gives_way() {
    let (proxy, _upstream, gate) = limited("connections = 2").await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(b"HEAD / HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
        let mut byte = [0; 1];
        socket.read_exact(&mut byte).await.unwrap();
        idle.push(socket);
    }
    let mut held = TcpStream::connect(proxy.address).await.unwrap();
    held.write_all(b"GET /held HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
    gate.reached().await;
    read_to_end(&mut idle[0]).await;
    assert_eq!(closed(&proxy, "full"), 1);
    let mut second = TcpStream::connect(proxy.address).await.unwrap();
    second.write_all(b"GET /held HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
    gate.reached().await;
    read_to_end(&mut idle[1]).await;
    assert_eq!(closed(&proxy, "full"), 2);
    // Requests in progress keep their places: the next one waits for a second, and is closed.
    assert_eq!(until_closed(&proxy, "GET / HTTP/1.1\r\nHost: p\r\n\r\n").await, "");
    assert_eq!((closed(&proxy, "connections"), proxy.monitor.connections()), (1, 2));
}

#[tokio::test]
async fn an_address_has_a_share_of_the_connections() {
    let (proxy, _upstream, _gate) = limited("connections_per_address = 2").await;
    let open = [TcpStream::connect(proxy.address).await.unwrap(), TcpStream::connect(proxy.address).await.unwrap()];
    proxy.until(|monitor| monitor.connections() == 2).await;
    assert_eq!(until_closed(&proxy, "").await, "");
    assert_eq!(closed(&proxy, "connections_per_address"), 1);
    drop(open);
    proxy.until(|monitor| monitor.connections() == 0).await;
    ask_well(&proxy).await;
}

#[tokio::test]
async fn a_connection_has_a_number_of_requests_and_an_age() {
    let (proxy, _upstream, _gate) = limited("requests_per_connection = 2").await;
    let get = "GET / HTTP/1.1\r\nHost: p\r\n\r\n";
    let answers = until_closed(&proxy, &get.repeat(3)).await.to_ascii_lowercase();
    assert_eq!(answers.matches("http/1.1 200 ok").count(), 2, "{answers}");
    assert_eq!(answers.matches("connection: close").count(), 1, "{answers}");
    let (proxy, _upstream, _gate) = limited("connection_age = \"200ms\"").await;
    assert!(until_closed(&proxy, get).await.starts_with("HTTP/1.1 200 "));
    assert_eq!((closed(&proxy, "connection_age"), closed(&proxy, "idle")), (1, 0));
}

#[tokio::test]
async fn an_http2_client_is_told_its_limits() {
    let lines = "http2 = { streams = 7, stream_window = \"32KiB\", header_list = \"2KiB\" }";
    let (proxy, _upstream, _gate) = limited(lines).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut header = [0; 9];
    socket.read_exact(&mut header).await.unwrap();
    assert_eq!(header[3], 4, "no SETTINGS frame");
    let mut settings = vec![0; usize::from(header[2])];
    socket.read_exact(&mut settings).await.unwrap();
    let settings: Vec<_> =
        settings.chunks(6).map(|setting| (setting[1], u32::from_be_bytes(setting[2..].try_into().unwrap()))).collect();
    // MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE and MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2)
    for setting in [(3, 7), (4, 32 << 10), (6, 2 << 10)] {
        assert!(settings.contains(&setting), "{setting:?} not in {settings:?}");
    }
    ask_well(&proxy).await;
}
