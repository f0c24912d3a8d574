//! Memory, places and files under clients that don't read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::client::{self, Version};
use super::metrics::{self, Samples};
use super::proxy::{Proxy, collection};
use super::upstream::{Asked, Reply, Upstream};

/// Bytes of a page, which is one record.
const LARGE: usize = 4 << 20;

const RESIDENT: &str = "process_resident_memory_bytes";

const LINKS: &str = "records = \"$\"\npagination = { type = \"link_header\" }";

/// An endless collection of pages of one record, and a permit for each of its requests.
async fn endless(bytes: usize) -> (Upstream, Arc<Semaphore>) {
    let requests = Arc::new(Semaphore::new(0));
    let counted = Arc::clone(&requests);
    let upstream = Upstream::scripted(1, move |asked: &Asked, _| {
        counted.add_permits(1);
        let page = asked.target.split_once("page=").map_or(1, |(_, page)| page.parse::<u64>().unwrap());
        let mut answer = Response::new(Bytes::from(format!("[{{\"id\":{page},\"text\":\"{}\"}}]", "x".repeat(bytes))));
        let path = asked.target.split('?').next().unwrap_or_default();
        let link = HeaderValue::try_from(format!("<{path}?page={}>; rel=\"next\"", page + 1)).unwrap();
        answer.headers_mut().insert(header::LINK, link);
        Reply::Whole(answer)
    });
    (upstream.await, requests)
}

/// A client that asks for a stream of its own and reads no more than its status.
async fn stalled(address: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn status(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    Ok(String::from_utf8_lossy(&line[9..]).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_records_of_clients_that_do_not_read_stay_within_the_budget() {
    const CLIENTS: usize = 24;
    let (upstream, requests) = endless(LARGE).await;
    let snapshots = "[snapshots]\ndisk = \"0\"\nmemory = \"8MiB\"\nlinger = \"0\"\nopens = \"1000/s\"";
    let one_page = format!("{LINKS}\nwidth = 1");
    let (proxy, admin) = metrics::serve_with(&upstream, snapshots, &one_page).await;
    let before = metrics::samples(admin).await[RESIDENT];
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(stalled(proxy.address, number).await);
    }
    // Each record needs half of the budget, which all streams fill with the beginnings of theirs: one at a time goes on.
    requests.acquire_many(8).await.unwrap().forget();
    for _ in 0..3 {
        let mut waiting: Vec<_> = clients.iter_mut().map(|client| Box::pin(status(client))).collect();
        let (first, at, _) = futures_util::future::select_all(&mut waiting).await;
        assert_eq!(first.unwrap(), "200");
        drop(waiting);
        drop(clients.remove(at));
    }
    // Whole records may exceed the budget by a quarter: the other crawls wait for the clients that have them. What growing records have
    // freed goes back to the system within a second, or later where the machine is busy.
    let crawls = clients.len() as f64;
    let is_steady = |counts: &Samples| {
        counts["unpage_memory_waiting"] >= crawls && counts[RESIDENT] - before < 48.0 * f64::from(1 << 20)
    };
    let steady = metrics::until(admin, is_steady);
    let counts = tokio::time::timeout(Duration::from_secs(60), steady)
        .await
        .expect("the crawls wait, and use less than 48 MiB for a budget of 8 MiB");
    let held = counts["unpage_snapshot_bytes{tier=\"memory\"}"] as u64;
    assert!(held < 24 << 20, "{} MiB for a budget of 8 MiB", held >> 20);
}

#[tokio::test]
async fn a_crawl_without_a_place_waits_for_one_before_its_first_request() {
    let (upstream, _) = endless(1000).await;
    let snapshots = "[snapshots]\ndisk = \"0\"\nmemory = \"1MiB\"\ncrawls = 1\nlinger = \"0\"";
    let proxy = Proxy::start(&format!("{snapshots}\n{}", collection(&upstream.url(), LINKS))).await;
    let mut first = stalled(proxy.address, 1).await;
    assert_eq!(status(&mut first).await.unwrap(), "200");
    let mut second = stalled(proxy.address, 2).await;
    // A request that came later is answered.
    assert_eq!(client::receive(Version::Http1, proxy.address, client::get("/3", "*/*")).await.head.status, 200);
    assert!(upstream.asked().iter().all(|asked| !asked.target.starts_with("/2")));
    drop(first);
    assert_eq!(status(&mut second).await.unwrap(), "200");
}

#[tokio::test]
async fn a_client_that_stands_still_is_dropped_for_a_crawl_that_waits_for_its_memory() {
    let (upstream, _) = endless(LARGE).await;
    let snapshots =
        "[snapshots]\ndisk = \"0\"\nmemory = \"1MiB\"\nlinger = \"0\"\nslow_reader = \"drop\"\nstall = \"100ms\"";
    let one_page = format!("{LINKS}\nwidth = 1");
    let proxy = Proxy::start(&format!("{snapshots}\n{}", collection(&upstream.url(), &one_page))).await;
    let mut first = stalled(proxy.address, 1).await;
    assert_eq!(status(&mut first).await.unwrap(), "200");
    // The record of the first one is not read, and its crawl waits for memory for the next one.
    let mut second = stalled(proxy.address, 2).await;
    assert_eq!(status(&mut second).await.unwrap(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_large_records_leave_no_memory_to_wait_for() {
    const PAGES: u64 = 4;
    let upstream = Upstream::scripted(1, |asked: &Asked, _| {
        let (path, page) = asked.target.split_once("?page=").unwrap_or((&asked.target, "1"));
        let page: u64 = page.parse().unwrap();
        let mut answer = Response::new(Bytes::from(format!("[{{\"id\":{page},\"text\":\"{}\"}}]", "x".repeat(LARGE))));
        if page < PAGES {
            let link = HeaderValue::try_from(format!("<{path}?page={}>; rel=\"next\"", page + 1)).unwrap();
            answer.headers_mut().insert(header::LINK, link);
        }
        Reply::Whole(answer)
    });
    let upstream = upstream.await;
    let snapshots = "[snapshots]\ndisk = \"0\"\nmemory = \"8MiB\"\nlinger = \"0\"\nopens = \"1000/s\"";
    let proxy = Proxy::start(&format!("{snapshots}\n{}", collection(&upstream.url(), LINKS))).await;
    let read = |number: usize| client::receive(Version::Http1, proxy.address, client::stream(&format!("/{number}")));
    for received in futures_util::future::join_all((0..6).map(read)).await {
        assert!(received.broken.is_none() && received.body.len() > PAGES as usize * LARGE, "{:?}", received.broken);
    }
}
