//! Memory, places and files under clients that don't read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::client::{self, Version};
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Asked, Reply, Upstream};

/// Bytes of a page, which is one record.
const LARGE: usize = 4 << 20;

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
    let proxy = Process::serve(&format!("{snapshots}\n{}", collection(&upstream.url(), LINKS))).await;
    let before = proxy.peak_memory();
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
    let grown = proxy.peak_memory() - before;
    assert!(grown < 48 << 20, "{} MiB for a budget of 8 MiB", grown >> 20);
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
