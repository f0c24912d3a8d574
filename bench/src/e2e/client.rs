//! A client that takes bytes as fast as they come, or as fast as it may, and only counts them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

/// Number of bodies that a crawl lets arrive at once.
const AHEAD: usize = 8;

/// Window of HTTP/2, as curl's.
const WINDOW: u32 = 10 << 20;

/// A body that was read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    pub bytes: u64,
    pub took: Duration,
    /// Time at which the first line was whole.
    pub first_line: Option<Instant>,
}

/// Speed of a client.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    Free,
    BytesPerSecond(f64),
}

/// Moment at which a crawl requests the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// After the whole page before it.
    AtEnd,
    /// After the head of the page before it.
    AtHead,
}

/// Version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http1,
    /// Without TLS, by prior knowledge.
    Http2,
}

/// Reads one response of NDJSON, which must be as long as it ought to be.
pub async fn drain(address: SocketAddr, path: &str, pace: Pace, expected: u64) -> anyhow::Result<Drained> {
    drain_over(Version::Http1, address, path, pace, expected).await
}

/// As [`drain`], over this version of HTTP.
pub async fn drain_over(
    version: Version,
    address: SocketAddr,
    path: &str,
    pace: Pace,
    expected: u64,
) -> anyhow::Result<Drained> {
    let start = Instant::now();
    let mut response = match version {
        Version::Http1 => connect(address).await?.send_request(request(path)?).await?,
        Version::Http2 => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
            let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let mut request = request(path)?;
            *request.uri_mut() = format!("http://{address}{path}").parse()?;
            request.headers_mut().remove(header::HOST);
            sender.send_request(request).await?
        }
    };
    ensure!(response.status() == StatusCode::OK, "{path} is answered with {}", response.status());
    let (mut bytes, mut first_line) = (0, None);
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(data) = frame.context("the stream broke")?.into_data() else { continue };
        bytes += data.len() as u64;
        if first_line.is_none() && data.contains(&b'\n') {
            first_line = Some(Instant::now());
        }
        if let Pace::BytesPerSecond(rate) = pace {
            tokio::time::sleep_until(start + Duration::from_secs_f64(bytes as f64 / rate)).await;
        }
    }
    ensure!(bytes == expected, "{path} gave {bytes} bytes, not {expected}");
    Ok(Drained { bytes, took: start.elapsed(), first_line })
}

/// Follows `Link` header fields from page to page, and throws the pages away.
pub async fn crawl(address: SocketAddr, path: &str, turn: Turn) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let ahead = std::sync::Arc::new(Semaphore::new(AHEAD));
    let mut idle = Vec::new();
    let mut bodies = JoinSet::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let permit = std::sync::Arc::clone(&ahead).acquire_owned().await?;
        while let Some(ended) = bodies.try_join_next() {
            idle.push(ended??);
        }
        let mut sender: SendRequest<Empty<Bytes>> = match idle.pop() {
            Some(sender) => sender,
            None => connect(address).await?,
        };
        sender.ready().await?;
        let response = sender.send_request(request(&path)?).await?;
        next = link(response.headers())?;
        let body = async move {
            discard(response).await?;
            drop(permit);
            anyhow::Ok(sender)
        };
        match turn {
            Turn::AtEnd => idle.push(body.await?),
            Turn::AtHead => drop(bodies.spawn(body)),
        }
    }
    while let Some(ended) = bodies.join_next().await {
        ended??;
    }
    Ok(start.elapsed())
}

async fn discard(mut response: Response<Incoming>) -> anyhow::Result<()> {
    while let Some(frame) = response.body_mut().frame().await {
        frame?;
    }
    Ok(())
}

pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, and what ends it otherwise the reader of the body sees.
    tokio::spawn(connection);
    Ok(sender)
}

/// Each request is another caller's: two that were the same would share one crawl.
pub(super) fn request(path: &str) -> anyhow::Result<Request<Empty<Bytes>>> {
    static CALLERS: AtomicU64 = AtomicU64::new(0);
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "application/x-ndjson")
        .header("x-caller", CALLERS.fetch_add(1, Ordering::Relaxed));
    Ok(request.body(Empty::new())?)
}

fn link(headers: &HeaderMap) -> anyhow::Result<Option<String>> {
    let Some(link) = headers.get(header::LINK) else { return Ok(None) };
    match link.to_str()?.split_once('>') {
        Some((target, _)) => Ok(Some(target.trim_start_matches('<').to_owned())),
        None => bail!("a link without a target"),
    }
}
