//! WebSockets that are passed on, between bare sockets: both handshakes, the bytes after them, and every end.

use std::net::SocketAddr;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client;
use super::metrics::samples;
use super::proxy::{Process, Proxy, collection};
use super::tls::secured_by;
use super::upstream::{Reply, Upstream};

const LINES: &str = "records = \"$\"\npagination = \"none\"";

/// Key and answer of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client's handshake with these lines more.
fn handshake(lines: &str) -> String {
    format!(
        "GET /ws?room=1 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

fn agreed() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\
         Sec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

/// Reads a head to its end, and nothing behind it.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn read(socket: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads to the end of the connection, which may be a reset.
async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// Connects, and writes.
async fn write(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    socket
}

/// A listener in the place of the upstream, and the proxy before it.
async fn pair(head: &str, lines: &str) -> (TcpListener, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Proxy::start(&format!("{head}{}", collection(&url, &format!("{lines}\n{LINES}")))).await;
    (listener, proxy)
}

/// Both ends of a WebSocket that is open.
async fn open(listener: &TcpListener, address: SocketAddr) -> (TcpStream, TcpStream) {
    let mut client = write(address, &handshake("")).await;
    let mut upstream = listener.accept().await.unwrap().0;
    read_head(&mut upstream).await;
    upstream.write_all(agreed().as_bytes()).await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101 "));
    (client, upstream)
}

fn lines_of(head: &str) -> Vec<String> {
    let mut lines: Vec<_> = head.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_ascii_lowercase).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn both_handshakes_are_passed_on_and_then_the_bytes() {
    let (listener, proxy) = pair("", "").await;
    let early = handshake("Origin: https://page.example\r\nSec-WebSocket-Protocol: chat\r\n") + "early";
    let mut client = write(proxy.address, &early).await;
    let mut upstream = listener.accept().await.unwrap().0;
    let head = read_head(&mut upstream).await;
    assert!(head.starts_with("GET /ws?room=1 HTTP/1.1\r\n"), "{head}");
    let mut expected = [
        "connection: upgrade".to_owned(),
        format!("host: {}", listener.local_addr().unwrap()),
        "origin: https://page.example".to_owned(),
        format!("sec-websocket-key: {}", KEY.to_ascii_lowercase()),
        "sec-websocket-protocol: chat".to_owned(),
        "sec-websocket-version: 13".to_owned(),
        "upgrade: websocket".to_owned(),
        concat!("user-agent: unpage/", env!("CARGO_PKG_VERSION")).to_owned(),
        "via: 1.1 unpage".to_owned(),
    ];
    expected.sort();
    assert_eq!(lines_of(&head), expected);
    upstream.write_all((agreed() + "first").as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    let fields = [
        "connection: upgrade",
        &format!("sec-websocket-accept: {}", ACCEPT.to_ascii_lowercase()),
        "sec-websocket-protocol: chat",
        "upgrade: websocket",
        "via: 1.1 unpage",
    ]
    .map(ToOwned::to_owned);
    let got: Vec<_> =
        lines_of(&head).into_iter().filter(|line| !line.starts_with("date:") && !line.starts_with("vary:")).collect();
    assert_eq!(got, fields);
    assert_eq!((read(&mut client, 5).await.as_str(), read(&mut upstream, 5).await.as_str()), ("first", "early"));
    assert_eq!((proxy.monitor.in_progress().websockets, proxy.monitor.upgraded()), (1, 1));
    // Each direction ends by itself.
    client.write_all(b"bye").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut upstream).await, "bye");
    upstream.write_all(b"good bye").await.unwrap();
    drop(upstream);
    assert_eq!(read_to_end(&mut client).await, "good bye");
    proxy.until(|monitor| monitor.connections() == 0).await;
    assert_eq!((proxy.monitor.in_progress().websockets, proxy.monitor.upgraded()), (0, 1));
}

#[tokio::test]
async fn no_byte_goes_upstream_where_the_upstream_does_not_agree() {
    let (listener, proxy) = pair("", "").await;
    for (answer, status) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_owned(), 403),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_owned(), 200),
        (agreed().replace(ACCEPT, KEY), 502),
        (agreed().replace("Sec-WebSocket-Accept", "X-Accept"), 502),
        (agreed().replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n")), 502),
        (agreed().replace("Upgrade: websocket", "Upgrade: h2c"), 502),
        (agreed().replace("Upgrade: websocket\r\n", ""), 502),
        (agreed().replace("Connection: Upgrade", "Connection: close"), 502),
    ] {
        let early = handshake("") + "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut client = write(proxy.address, &early).await;
        let mut upstream = listener.accept().await.unwrap().0;
        read_head(&mut upstream).await;
        upstream.write_all(answer.as_bytes()).await.unwrap();
        // What follows may be no request: the connection ends behind the answer.
        let received = read_to_end(&mut client).await;
        assert!(received.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}: {received}");
        assert!(received.contains("connection: close\r\n") && !received.contains("\r\nsec-websocket"), "{received}");
        assert_eq!(received.matches("HTTP/1.1 ").count(), 1, "{received}");
        assert_eq!(read_to_end(&mut upstream).await, "", "{answer}");
    }
    assert_eq!(proxy.monitor.upgraded(), 0);
}

fn is_of_a_handshake(name: &str) -> bool {
    ["connection", "upgrade"].contains(&name) || name.starts_with("sec-websocket-")
}

#[tokio::test]
async fn a_bad_handshake_is_refused_and_another_protocol_is_not_asked_for() {
    let upstream = Upstream::scripted(1, |asked, _| match asked.target.as_str() {
        "/switches" => Reply::Raw(agreed().into()),
        _ => Reply::json("[1]"),
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINES)).await;
    for (from, to, status) in [
        (KEY, "c2hvcnQ=", "400"),
        (KEY, "no base64", "400"),
        ("Sec-WebSocket-Key", "X-Key", "400"),
        ("Version: 13", "Version: 8", "400"),
        ("Connection: keep-alive, Upgrade", "Connection: close", "200"),
        ("Upgrade: WebSocket", "Upgrade: h2c", "200"),
        ("Upgrade: WebSocket", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", "200"),
        ("GET /ws", "POST /ws", "200"),
        ("Upgrade: WebSocket", "Upgrade: websocket\r\nContent-Length: 2", "400"),
        // A switch of protocols that was not asked for, or not for WebSockets.
        ("GET /ws?room=1", "POST /switches", "502"),
    ] {
        let request = handshake("").replace(from, to).replace("keep-alive, Upgrade", "close, Upgrade");
        let received = String::from_utf8(client::raw(proxy.address, request + "{}").await).unwrap();
        assert!(received.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {received}");
        if let Some(asked) = upstream.forget().pop() {
            assert!(status != "400" && asked.headers.keys().all(|name| !is_of_a_handshake(name.as_str())), "{to}");
        }
    }
}

#[tokio::test]
async fn configured_credentials_go_where_passthrough_names_the_path() {
    let credentials = "credentials = { header = { name = \"X-Api-Key\", value = { env = \"CARGO_PKG_NAME\" } } }";
    for (passthrough, has) in
        [("", false), ("passthrough = [\"GET /ws\"]", true), ("passthrough = [\"POST /ws\", \"GET /ws/a\"]", false)]
    {
        let (listener, proxy) = pair("", &format!("{credentials}\n{passthrough}")).await;
        let mut client = write(proxy.address, &handshake("Authorization: Bearer own\r\n")).await;
        let mut upstream = listener.accept().await.unwrap().0;
        let head = read_head(&mut upstream).await;
        assert_eq!(head.contains("x-api-key: unpage"), has, "{head}");
        assert!(head.contains("authorization: Bearer own"), "{head}");
        drop(upstream);
        assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 502 "));
    }
}

#[tokio::test]
async fn a_page_of_another_host_opens_none() {
    let (listener, proxy) = pair("hosts = [\"localhost\", \"[::1]\", \"app.example\"]\n", "").await;
    for origin in
        ["https://evil.example", "null", "https://localhost.evil.example", "https://localhost@evil.example", ""]
    {
        let request = handshake(&format!("Origin: {origin}\r\n"));
        let received = String::from_utf8(client::raw(proxy.address, request).await).unwrap();
        assert!(received.starts_with("HTTP/1.1 403 "), "{origin}: {received}");
    }
    for origin in
        ["Origin: http://localhost:3000\r\n", "Origin: http://[::1]:3000\r\n", "Origin: https://app.example\r\n", ""]
    {
        let mut client = write(proxy.address, &handshake(origin)).await;
        let mut upstream = listener.accept().await.unwrap().0;
        read_head(&mut upstream).await;
        upstream.write_all(agreed().as_bytes()).await.unwrap();
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101 "), "{origin}");
    }
    assert_eq!(proxy.monitor.upgraded(), 4);
}

#[tokio::test]
async fn one_whose_bytes_stand_still_is_closed_on_both_sides() {
    let (listener, proxy) = pair("[limits]\nwebsocket_idle = \"200ms\"\n", "").await;
    let (mut client, mut upstream) = open(&listener, proxy.address).await;
    client.write_all(b"ping").await.unwrap();
    assert_eq!(read(&mut upstream, 4).await, "ping");
    assert_eq!((read_to_end(&mut client).await, read_to_end(&mut upstream).await), (String::new(), String::new()));
    let closed = proxy.monitor.closed().find(|(limit, _)| *limit == "websocket_idle").unwrap();
    assert_eq!((closed.1, proxy.monitor.connections()), (1, 0));
}

#[tokio::test]
async fn a_peer_that_fails_ends_the_other_one() {
    let (listener, proxy) = pair("", "").await;
    let (mut client, upstream) = open(&listener, proxy.address).await;
    upstream.set_zero_linger().unwrap();
    drop(upstream);
    assert_eq!(read_to_end(&mut client).await, "");
    let (client, mut upstream) = open(&listener, proxy.address).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut upstream).await, "");
    proxy.until(|monitor| monitor.connections() == 0).await;
}

#[tokio::test]
async fn the_stop_cuts_them_and_says_how_many() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = format!("admin = \"127.0.0.1:0\"\n[drain]\ngrace = \"100ms\"\n{}", collection(&url, LINES));
    let mut process = Process::serve(&settings).await;
    let admin = process.admin().await;
    let (mut client, mut upstream) = open(&listener, process.address).await;
    let figures = samples(admin).await;
    assert_eq!(["unpage_websockets", "unpage_websockets_opened_total"].map(|name| figures[name]), [1.0, 1.0]);
    process.signal(Signal::TERM);
    process.wait_for("stopping").await;
    assert_eq!((read_to_end(&mut client).await, read_to_end(&mut upstream).await), (String::new(), String::new()));
    let (said, code) = process.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.trim_end().ends_with("stopped; streams cut: 0; WebSockets cut: 1; other responses cut: 0"), "{said}");
}

#[tokio::test]
async fn an_upstream_that_prefers_http2_is_asked_over_http1() {
    let (upstream, ca) = secured_by(&["h2", "http/1.1"], |_, _| Reply::Raw((agreed() + "over TLS").into())).await;
    let url = format!("https://localhost:{}", upstream.address.port());
    for (http, status) in [("auto", 101), ("1.1", 101), ("2", 501)] {
        let lines = format!("ca = \"{}\"\nhttp = \"{http}\"\n{LINES}", ca.path().display());
        let proxy = Proxy::start(&collection(&url, &lines)).await;
        let mut client = write(proxy.address, &handshake("")).await;
        let head = read_head(&mut client).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let rest = read_to_end(&mut client).await;
        assert_eq!(rest == "over TLS", status == 101, "{rest}");
    }
}

#[tokio::test]
async fn a_proxy_to_the_upstream_gives_a_tunnel() {
    let forward = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lines = format!("proxy = \"http://{}\"\n{LINES}", forward.local_addr().unwrap());
    let proxy = Proxy::start(&collection("http://api.example", &lines)).await;
    let mut client = write(proxy.address, &handshake("")).await;
    let mut upstream = forward.accept().await.unwrap().0;
    assert!(read_head(&mut upstream).await.starts_with("CONNECT api.example:80 HTTP/1.1\r\n"));
    upstream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    assert!(read_head(&mut upstream).await.starts_with("GET /ws?room=1 HTTP/1.1\r\n"));
    upstream.write_all(agreed().as_bytes()).await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101 "));
    client.write_all(b"through").await.unwrap();
    assert_eq!(read(&mut upstream, 7).await, "through");
}
