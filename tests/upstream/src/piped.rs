//! Whole crawls without a socket, in one thread: an API of made pages, the gateway and a client, joined by pipes in memory.
//!
//! Nothing here depends on the network or on other threads, so that costs can be counted: instructions by callgrind, allocations by an
//! allocator. API and client count for nothing: they are polled by [`uncounted`] alone.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use unpage::{BoxError, Config, Gateway};

/// Read buffer of the proxy's connections, as `unpage serve` has it.
const BUFFER: usize = 64 * 1024;

/// Size of the pipe to the client, in bytes.
const CLIENT_PIPE: usize = 256 * 1024;

/// Number of pages that wait for those before them, at most.
const AHEAD: usize = 8;

/// End of a chunked body behind its last chunk.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// Streams that one client requests one after the other on one connection.
#[derive(Clone, Copy, Debug)]
pub struct PipedCrawl {
    pub style: PipedStyle,
    pub streams: usize,
    /// Number of pages of each stream.
    pub pages: usize,
    pub page_bytes: usize,
    pub record_bytes: usize,
    /// Size of the pipe from the API, in bytes: no piece of a page is larger.
    pub pipe: usize,
    /// Records are compared by their `id`.
    pub has_key: bool,
}

/// Pagination of a [`PipedCrawl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipedStyle {
    Link,
    Cursor,
    Offset,
    /// Pages begin behind a record's `id`; the last one is empty.
    Keyset,
}

impl PipedCrawl {
    /// One stream of pages of records of 250 bytes, which arrive in pieces as large as the proxy takes them.
    pub const fn new(style: PipedStyle, pages: usize, page_bytes: usize) -> Self {
        Self { style, streams: 1, pages, page_bytes, record_bytes: 250, pipe: BUFFER, has_key: false }
    }

    /// Number of records in a page.
    pub const fn records(&self) -> usize {
        self.page_bytes / self.record_bytes
    }

    /// Runs all streams to their proven ends, and calls `on_request` with the number of each upstream request, from 0.
    ///
    /// # Errors
    /// Fails if a stream breaks, or has not all records.
    pub fn run(self, on_request: impl Fn(usize) + Clone + Send + Sync + 'static) -> Result<(), BoxError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.run_streams(on_request))
    }

    async fn run_streams(self, on_request: impl Fn(usize) + Clone + Send + Sync + 'static) -> Result<(), BoxError> {
        let requests = Arc::new(AtomicUsize::new(0));
        let connector = tower::service_fn(move |_: Uri| {
            let (proxy, api) = duplex(self.pipe);
            let (requests, on_request) = (Arc::clone(&requests), on_request.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                on_request(requests.fetch_add(1, Ordering::Relaxed));
                let page = self.page(request.uri());
                async move { Ok::<_, Infallible>(page) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(api), service);
            tokio::spawn(Uncounted::new(connection));
            std::future::ready(Ok::<_, Infallible>(TokioIo::new(Pipe(proxy))))
        });
        let client = legacy::Client::builder(TokioExecutor::new()).http1_max_buf_size(BUFFER).build(connector);
        let config = Config::from_toml(&self.config())?;
        let gateway = Gateway::builder(config).transport(client).build()?;

        let (mut client, server) = duplex(CLIENT_PIPE);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).max_buf_size(BUFFER);
        let service = TowerToHyperService::new(gateway.clone());
        let connection = tokio::spawn(async move { builder.serve_connection(TokioIo::new(server), service).await });
        for stream in 0..self.streams {
            Uncounted::new(self.read_stream(&mut client, stream)).await?;
        }
        drop(client);
        connection.await??;
        gateway.shutdown().await;
        Ok(())
    }

    /// Each request is another caller's: two that are the same would share one crawl.
    async fn read_stream(self, client: &mut DuplexStream, stream: usize) -> Result<(), BoxError> {
        let request = format!(
            "GET /records HTTP/1.1\r\nhost: proxy.test\r\naccept: application/x-ndjson\r\nx-caller: {stream}\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await?;
        let mut buffer = vec![0; CLIENT_PIPE];
        let (mut kept, mut lines, mut head) = (0, 0, Vec::new());
        loop {
            let read = client.read(&mut buffer[kept..]).await?;
            if read == 0 {
                return Err(
                    format!("the stream broke after {lines} records: {}", String::from_utf8_lossy(&head)).into()
                );
            }
            if head.is_empty() {
                head = buffer[..read].to_vec();
            }
            let have = kept + read;
            lines += memchr::memmem::find_iter(&buffer[kept.saturating_sub(1)..have], "}\n").count();
            if buffer[..have].ends_with(END) {
                break;
            }
            // The last bytes stay in front of the next ones, in which they may be continued.
            kept = have.min(END.len());
            buffer.copy_within(have - kept..have, 0);
        }
        let expected = self.pages * self.records();
        if lines == expected { Ok(()) } else { Err(format!("{lines} records, not {expected}").into()) }
    }

    fn page(&self, uri: &Uri) -> Response<Full<Bytes>> {
        let value = uri.query().and_then(|query| query.split('&').find_map(|pair| Some(pair.split_once('=')?.1)));
        let number = value.and_then(|value| value.trim_start_matches("ord_").parse::<usize>().ok());
        let (records, all) = (self.records(), self.pages * self.records());
        let first = match (self.style, number) {
            (_, None) => 0,
            (PipedStyle::Link | PipedStyle::Cursor, Some(page)) => page * records,
            (PipedStyle::Offset, Some(before)) => before,
            (PipedStyle::Keyset, Some(last)) => last + 1,
        };
        let next = Some(first / records + 1).filter(|next| *next < self.pages);
        let mut body = match self.style {
            PipedStyle::Link => "[".to_owned(),
            PipedStyle::Cursor | PipedStyle::Keyset => r#"{"data":["#.to_owned(),
            PipedStyle::Offset => format!(r#"{{"total":{all},"data":["#),
        };
        for id in first..all.min(first + records) {
            body.push_str(if id == first { "" } else { "," });
            body.push_str(&self.record(id));
        }
        body.push_str(match self.style {
            PipedStyle::Link => "]",
            PipedStyle::Cursor => "],",
            PipedStyle::Offset | PipedStyle::Keyset => "]}",
        });
        let mut response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        match (self.style, next) {
            (PipedStyle::Link, Some(next)) => {
                response =
                    response.header(header::LINK, format!("<http://api.test/records?page={next}>; rel=\"next\""));
            }
            (PipedStyle::Cursor, Some(next)) => body.push_str(&format!(r#""meta":{{"next_cursor":"{next}"}}}}"#)),
            (PipedStyle::Cursor, None) => body.push_str(r#""meta":{"next_cursor":null}}"#),
            (PipedStyle::Link, None) | (PipedStyle::Offset | PipedStyle::Keyset, _) => {}
        }
        response.body(Full::from(body)).expect("the header fields are valid")
    }

    fn config(self) -> String {
        let pagination = match self.style {
            PipedStyle::Link => "records = \"$\"\npagination = { type = \"link_header\" }",
            PipedStyle::Cursor => {
                "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }"
            }
            PipedStyle::Offset => {
                "records = \"data\"\ntotal = \"total\"\npagination = { type = \"offset\", param = \"offset\" }"
            }
            PipedStyle::Keyset => {
                "records = \"data\"\npagination = { type = \"keyset\", key = \"id\", param = \"after\" }"
            }
        };
        let key = if self.has_key { "key = \"id\"\n" } else { "" };
        // Where pages are asked for ahead of the client, as many are soon taken as are asked for.
        let window = AHEAD * self.page_bytes;
        format!(
            "[snapshots]\ndisk = \"0\"\nmemory = \"8MiB\"\nfresh_for = \"0\"\nopens = \"1000000/s\"\n\
             [[collection]]\npath = \"/records\"\nupstream = \"http://api.test\"\n\
             caps = {{ window = \"{window}B\", spool = \"0\" }}\n{key}{pagination}\n"
        )
    }

    /// A record of exactly `record_bytes`, the comma behind it included.
    fn record(&self, id: usize) -> String {
        let mut record = format!(
            r#"{{"id":"ord_{id:010}","customer":{{"id":"cus_{:06}","country":"DE"}},"total":{:04}.00,"paid":true,"items":["a","b"],"note":""#,
            id * 7919 % 999_983,
            id % 9_000 + 1_000,
        );
        record.push_str(&"x".repeat((self.record_bytes - 3).saturating_sub(record.len())));
        record.push_str("\"}");
        record
    }
}

impl PipedStyle {
    pub const ALL: [Self; 4] = [Self::Link, Self::Cursor, Self::Offset, Self::Keyset];
}

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(true) };
}

/// Returns false while API or client are at work on this thread.
pub fn is_counted() -> bool {
    IS_COUNTED.get()
}

/// Does work of the API or the client. callgrind is told to leave this function out, by its name.
#[inline(never)]
fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    IS_COUNTED.set(false);
    let done = work();
    IS_COUNTED.set(true);
    done
}

/// A future whose polls are not counted.
struct Uncounted<F>(Pin<Box<F>>);

impl<F: Future> Uncounted<F> {
    fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for Uncounted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        uncounted(|| self.0.as_mut().poll(context))
    }
}

/// The proxy's end of the pipe from the API, as a connection of hyper's client.
struct Pipe(DuplexStream);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
