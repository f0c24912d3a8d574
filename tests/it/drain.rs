//! The stop: readiness, the drain's phases, streams that are cut, signals.

use std::time::Duration;

use http::StatusCode;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, BOTH, Received, Version, get, stream};
use super::proxy::{Process, demo, run};
use super::upstream::{Gate, Reply, Upstream};

/// A process whose upstream holds back every page but the first, and the gate that it waits at.
async fn held(settings: &str) -> (Process, Upstream, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(120, move |asked, answer| match asked.page {
        1 => Reply::Whole(answer),
        _ => held.before(Reply::Whole(answer)),
    })
    .await;
    let process = Process::serve(&format!("{settings}\n{}", demo(&upstream))).await;
    (process, upstream, gate)
}

async fn status(address: std::net::SocketAddr, path: &str) -> StatusCode {
    client::receive(Version::Http1, address, get(path, "*/*")).await.head.status
}

#[tokio::test]
async fn a_server_that_leaves_is_not_ready_and_still_accepts() {
    let upstream = Upstream::of(1).await;
    let settings = format!("admin = \"127.0.0.1:0\"\n[drain]\ndelay = \"2s\"\n{}", demo(&upstream));
    let mut process = Process::serve(&settings).await;
    let admin = process.admin().await;
    assert_eq!(status(admin, "/readyz").await, StatusCode::OK);
    process.signal(Signal::TERM);
    process.wait_for("not ready").await;
    assert_eq!(status(admin, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(admin, "/healthz").await, StatusCode::OK);
    for version in BOTH {
        let received = client::receive(version, process.address, get("/link/orders", "*/*")).await;
        assert_eq!(received.head.status, StatusCode::OK);
        let close = (version == Version::Http1).then_some("close");
        assert_eq!(received.header("connection"), close, "{version:?}");
    }
    process.wait_for("stopping").await;
    assert!(TcpStream::connect(process.address).await.is_err(), "it still accepts");
    let (said, code) = process.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.trim_end().ends_with("stopped; streams cut: 0; WebSockets cut: 0; other responses cut: 0"), "{said}");
}

#[tokio::test]
async fn a_stream_that_outlasts_the_grace_or_a_second_signal_breaks_visibly() {
    for (version, signals, grace) in [
        (Version::Http1, 1, "200ms"),
        (Version::Http2, 1, "200ms"),
        (Version::Http1, 2, "1h"),
        (Version::Http2, 2, "1h"),
    ] {
        let (mut process, _upstream, gate) = held(&format!("[drain]\ngrace = \"{grace}\"")).await;
        let mut response = client::send(version, process.address, stream("/next_url/orders?page_size=50")).await;
        client::lines(response.body_mut(), 40).await;
        gate.reached().await;
        process.signal(Signal::TERM);
        process.wait_for("stopping").await;
        if signals == 2 {
            process.signal(Signal::TERM);
        }
        let received = Received::read(response).await;
        match version {
            Version::Http1 => assert!(received.cut(), "{:?}", received.broken),
            Version::Http2 => assert_eq!(received.reset(), Some(h2::Reason::INTERNAL_ERROR)),
        }
        let (said, code) = process.end().await;
        assert_eq!(code, Some(0), "{said}");
        let last = said.trim_end().lines().last().unwrap();
        assert!(last.contains("streams cut: 1 (") && last.ends_with("other responses cut: 0"), "{said}");
    }
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_the_stop() {
    let (mut process, _upstream, _gate) = held("[drain]\ngrace = \"1h\"").await;
    let mut open = Vec::new();
    for bytes in ["", "G", "GET / HTTP/1.1\r\n", "PRI * ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut socket = TcpStream::connect(process.address).await.unwrap();
        socket.write_all(bytes.as_bytes()).await.unwrap();
        if bytes.ends_with('\0') {
            // SETTINGS have come: the connection is established.
            socket.read_u8().await.unwrap();
        }
        open.push(socket);
    }
    assert_eq!(status(process.address, "/next_url/orders?page=1").await, StatusCode::OK);
    process.signal(Signal::TERM);
    process.wait_for("stopping").await;
    let (said, code) = tokio::time::timeout(Duration::from_secs(6), process.end()).await.expect("they hold the stop");
    assert_eq!(code, Some(0), "{said}");
    drop(open);
}

#[tokio::test]
async fn other_signals_end_nothing() {
    let (mut process, _upstream, _gate) = held("").await;
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        process.signal(signal);
        process.wait_for(&format!("{name} changes nothing")).await;
        assert_eq!(status(process.address, "/next_url/orders?page=1").await, StatusCode::OK, "{name}");
    }
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.1, Some(0));
}

#[tokio::test]
async fn the_next_process_waits_for_the_folder_of_one_that_is_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("[drain]\ngrace = \"1h\"\n[snapshots]\ndir = {:?}", folder.path().join("snapshots"));
    let (mut first, upstream, gate) = held(&settings).await;
    let response = client::send(Version::Http1, first.address, stream("/next_url/orders?page_size=50")).await;
    gate.reached().await;
    // Beside a process that serves on, the start fails.
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), format!("{settings}\n{}", demo(&upstream))).unwrap();
    let arguments =
        ["serve".as_ref(), "--listen".as_ref(), "127.0.0.1:0".as_ref(), "--config".as_ref(), config.path().as_os_str()];
    assert_eq!(run(arguments).await.status.code(), Some(2));
    first.signal(Signal::TERM);
    first.wait_for("stopping").await;
    let mut next = Process::saying("waiting for ", &format!("{settings}\n{}", demo(&upstream))).await;
    gate.open();
    assert!(Received::read(response).await.broken.is_none());
    assert_eq!(first.end().await.1, Some(0));
    let address = next.address_in("listening on ").await;
    assert_eq!(status(address, "/next_url/orders?page=1").await, StatusCode::OK);
    next.signal(Signal::TERM);
    assert_eq!(next.end().await.1, Some(0));
    assert!(!folder.path().join("snapshots/leaving").exists());
}
