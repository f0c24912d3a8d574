//! A scripted upstream on a port of its own: the legacy API of the demo, with the faults that a test asks for.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use unpage::demo::Legacy;

/// A server that runs until it is dropped; a test that never sent it a request fails.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    /// Keeps the port reserved after the server has stopped.
    _port: TcpSocket,
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The how-many-th of the different requests this is, from 1.
    pub(super) page: usize,
    /// Number of requests so far, this one included.
    pub(super) attempt: usize,
    /// The how-many-th request of its connection this is, from 1; over HTTP/2 always 1.
    pub(super) turn: usize,
}

/// Answer to a request.
pub(super) enum Reply {
    /// This, framed by `Content-Length`.
    Whole(Response<Bytes>),
    /// Half of this, framed so that the other half is missed; over HTTP/2 a reset tells.
    Cut(Response<Bytes>, Framing),
    /// These bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, and then nothing until the client leaves.
    Stall(Vec<u8>),
    /// The other reply, once the gate is opened.
    Held(Gate, Box<Reply>),
    /// This answer, and then the server stops.
    Last(Response<Bytes>),
    /// These one after the other, and then the connection is closed.
    Parts(Vec<Part>),
}

/// A part of an answer on the wire.
#[derive(Clone)]
pub(super) enum Part {
    Send(String),
    /// Goes on when the gate is opened.
    Wait(Gate),
}

/// Framing of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Length,
    Chunked,
    /// By the end of the connection: the cut can only be told from what came.
    Close,
}

/// A place where a reply waits for its test.
#[derive(Clone, Default)]
pub(super) struct Gate {
    reached: CancellationToken,
    opened: CancellationToken,
    left: CancellationToken,
}

/// Decides what becomes of a request that the legacy API would give this answer to.
type Script = Box<dyn Fn(&Asked, Response<Bytes>) -> Reply + Send + Sync>;

struct Shared {
    legacy: Legacy,
    script: Script,
    asked: Mutex<Vec<Asked>>,
    ever_asked: AtomicBool,
    gone: CancellationToken,
}

impl Upstream {
    /// The legacy API with this many orders, in pages of 50 at most.
    pub(super) async fn of(records: u64) -> Self {
        Self::scripted(records, |_, answer| Reply::Whole(answer)).await
    }

    /// The same, where this script decides.
    pub(super) async fn scripted<S>(records: u64, script: S) -> Self
    where
        S: Fn(&Asked, Response<Bytes>) -> Reply + Send + Sync + 'static,
    {
        Self::start(records, script, None).await
    }

    /// The same over TLS, where there is some.
    pub(super) async fn start<S>(records: u64, script: S, tls: Option<TlsAcceptor>) -> Self
    where
        S: Fn(&Asked, Response<Bytes>) -> Reply + Send + Sync + 'static,
    {
        let mut legacy = Legacy::of(records);
        (legacy.max_page, legacy.default_page) = (50, 20);
        Self::serving(legacy, script, tls).await
    }

    /// This API, where this script decides.
    pub(super) async fn serving<S>(legacy: Legacy, script: S, tls: Option<TlsAcceptor>) -> Self
    where
        S: Fn(&Asked, Response<Bytes>) -> Reply + Send + Sync + 'static,
    {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), legacy, script, tls).await
    }

    /// The same at this address, of which there is one at a time.
    pub(super) async fn at<S>(address: SocketAddr, legacy: Legacy, script: S, tls: Option<TlsAcceptor>) -> Self
    where
        S: Fn(&Asked, Response<Bytes>) -> Reply + Send + Sync + 'static,
    {
        let port = held(address);
        let address = port.local_addr().unwrap();
        let listener = held(address).listen(64).unwrap();
        let gone = CancellationToken::new();
        let shared = Shared {
            legacy,
            script: Box::new(script),
            asked: Mutex::default(),
            ever_asked: AtomicBool::new(false),
            gone,
        };
        let shared = Arc::new(shared);
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared), tls));
        Self { address, shared, serving, _port: port }
    }

    /// Every request so far, in order.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Starts the record, its pages and its attempts anew, and gives the old one.
    pub(super) fn forget(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// Its origin, without TLS.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
        if !std::thread::panicking() {
            assert!(self.shared.ever_asked.load(Ordering::Relaxed), "nobody asked the upstream anything");
        }
    }
}

impl Gate {
    /// A reply that waits here.
    pub(super) fn before(&self, reply: Reply) -> Reply {
        Reply::Held(self.clone(), Box::new(reply))
    }

    /// Resolves when a reply waits.
    pub(super) async fn reached(&self) {
        self.reached.cancelled().await;
    }

    /// Resolves when the client has left while the reply waited.
    pub(super) async fn left(&self) {
        self.left.cancelled().await;
    }

    /// Lets the reply go.
    pub(super) fn open(&self) {
        self.opened.cancel();
    }
}

impl Reply {
    /// An error with nothing to say.
    pub(super) fn status(status: u16) -> Self {
        Self::Whole(answer(status, &[], ""))
    }

    /// A page of the test's own.
    pub(super) fn json(text: impl Into<Bytes>) -> Self {
        Self::Whole(answer(200, &[("content-type", "application/json")], text))
    }
}

impl Part {
    /// The parts of an answer: its head, and a body that is announced to be so long.
    pub(super) fn answer(headers: &str, length: usize, body: impl IntoIterator<Item = Self>) -> Reply {
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n");
        Reply::Parts([Self::Send(head)].into_iter().chain(body).collect())
    }
}

impl Asked {
    /// A header field's value, where it came once and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).into_iter();
        let value = values.next()?.to_str().unwrap();
        assert!(values.next().is_none(), "{name} came more than once");
        Some(value)
    }
}

/// A response of the test's own.
pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    response
}

/// A reserved port without a listener.
pub(super) fn held(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    let gone = shared.gone.clone();
    while let Some(Ok((stream, _))) = gone.run_until_cancelled(listener.accept()).await {
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(async move {
            match tls {
                Some(tls) => {
                    let stream = tls.accept(stream).await?;
                    match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => http2(stream, shared).await,
                        _ => http1(stream, &shared).await,
                    }
                }
                None => {
                    let mut start = [0; 4];
                    while (1..start.len()).contains(&stream.peek(&mut start).await?) {
                        tokio::task::yield_now().await;
                    }
                    if start == *b"PRI " { http2(stream, shared).await } else { http1(stream, &shared).await }
                }
            }
        });
    }
    drop(listener);
    // A client with an open connection could continue on it.
    while connections.join_next().await.is_some() {}
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: Arc<Shared>) -> io::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let mut headers = head.headers;
            if let Some(authority) = head.uri.authority() {
                headers.entry(header::HOST).or_insert(HeaderValue::from_str(authority.as_str()).unwrap());
            }
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
            let mut reply = shared.reply(head.method, target, headers, body, 1);
            while let Reply::Held(gate, then) = reply {
                gate.reached.cancel();
                gate.opened.cancelled().await;
                reply = *then;
            }
            let pieces = |response: Response<Bytes>, cut: Option<usize>| {
                let (head, body) = response.into_parts();
                let pieces = match cut {
                    Some(at) => vec![Ok(Frame::data(body.slice(..at))), Err(io::Error::other("cut"))],
                    None => vec![Ok(Frame::data(body))],
                };
                Response::from_parts(head, StreamBody::new(stream::iter(pieces)))
            };
            Ok::<_, io::Error>(match reply {
                Reply::Whole(response) => pieces(response, None),
                Reply::Cut(response, _) => {
                    let half = response.body().len() / 2;
                    pieces(response, Some(half))
                }
                _ => panic!("HTTP/2 has no bytes of its own"),
            })
        }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    connection.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

/// HTTP/1.1 by hand: a library would not send what tests want to be sent.
async fn http1<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: &Shared) -> io::Result<()> {
    let mut buffer = Vec::new();
    for turn in 1.. {
        let read = shared.gone.run_until_cancelled(read_request(&mut stream, &mut buffer)).await;
        let Some(Some((method, target, headers, body))) = read.transpose()? else {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        };
        let head_only = method == Method::HEAD;
        let mut reply = shared.reply(method, target, headers, body, turn);
        while let Reply::Held(gate, then) = reply {
            gate.reached.cancel();
            tokio::select! {
                () = gate.opened.cancelled() => reply = *then,
                _ = stream.read_u8() => {
                    gate.left.cancel();
                    return Ok(());
                }
            }
        }
        match reply {
            Reply::Whole(response) => stream.write_all(&whole(&response, head_only)).await?,
            Reply::Last(response) => {
                shared.gone.cancel();
                stream.write_all(&whole(&response, head_only)).await?;
                return stream.shutdown().await;
            }
            Reply::Cut(response, framing) => {
                stream.write_all(&cut(&response, framing)).await?;
                return stream.shutdown().await;
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Reply::Stall(bytes) => {
                stream.write_all(&bytes).await?;
                stream.read_u8().await?;
            }
            Reply::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Send(text) => stream.write_all(text.as_bytes()).await?,
                        Part::Wait(gate) => {
                            gate.reached.cancel();
                            tokio::select! {
                                () = gate.opened.cancelled() => {}
                                _ = stream.read_u8() => {
                                    gate.left.cancel();
                                    return Ok(());
                                }
                            }
                        }
                    }
                }
                return stream.shutdown().await;
            }
            Reply::Held(..) => unreachable!("a held reply was waited for"),
        }
    }
    Ok(())
}

/// One request; none where the client has no more.
async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<(Method, String, HeaderMap, Bytes)>> {
    let Some(head) = read_until(stream, buffer, b"\r\n\r\n").await? else { return Ok(None) };
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned());
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap());
    }
    let body = if headers.get(header::TRANSFER_ENCODING).is_some_and(|coding| coding == "chunked") {
        let mut body = Vec::new();
        loop {
            let size = read_until(stream, buffer, b"\r\n").await?.unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
            body.extend(read_exact(stream, buffer, size).await?);
            read_exact(stream, buffer, 2).await?;
            if size == 0 {
                break body;
            }
        }
    } else {
        let length = headers.get(header::CONTENT_LENGTH).map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        read_exact(stream, buffer, length).await?
    };
    Ok(Some((method, target, headers, body.into())))
}

async fn read_until<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    end: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Ok(Some(buffer.drain(..at + end.len()).collect()));
        }
        // A TLS handshake has no such end; servers refuse it as soon as they see what it is.
        if stream.read_buf(buffer).await? == 0 || buffer.first() == Some(&0x16) {
            return Ok(None);
        }
    }
}

async fn read_exact<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>, size: usize) -> io::Result<Vec<u8>> {
    while buffer.len() < size {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..size).collect())
}

fn head_of(response: &Response<Bytes>) -> String {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    head
}

fn whole(response: &Response<Bytes>, head_only: bool) -> Vec<u8> {
    let mut head = head_of(response);
    let bodiless = matches!(response.status().as_u16(), 204 | 304);
    if !bodiless && !response.headers().contains_key(header::CONTENT_LENGTH) {
        head.push_str(&format!("content-length: {}\r\n", response.body().len()));
    }
    let body = if bodiless || head_only { &[][..] } else { response.body() };
    [head.as_bytes(), b"\r\n", body].concat()
}

fn cut(response: &Response<Bytes>, framing: Framing) -> Vec<u8> {
    let (head, body) = (head_of(response), response.body());
    let half = &body[..body.len() / 2];
    match framing {
        Framing::Length => {
            [head.as_bytes(), format!("content-length: {}\r\n\r\n", body.len()).as_bytes(), half].concat()
        }
        Framing::Chunked => {
            let size = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", half.len());
            [head.as_bytes(), size.as_bytes(), half, b"\r\n"].concat()
        }
        Framing::Close => [head.as_bytes(), b"connection: close\r\n\r\n", half].concat(),
    }
}

impl Shared {
    fn reply(&self, method: Method, target: String, headers: HeaderMap, body: Bytes, turn: usize) -> Reply {
        let answer = self.legacy.answer(&method, &target.parse().unwrap(), &headers, &body);
        let mut record = self.asked.lock().unwrap();
        let mut asked = Asked { method, target, headers, body, page: 0, attempt: 1, turn };
        let mut pages = HashMap::new();
        for earlier in record.iter() {
            pages.insert(earlier.identity(), earlier.page);
            asked.attempt += usize::from(earlier.identity() == asked.identity());
        }
        asked.page = pages.get(&asked.identity()).copied().unwrap_or(pages.len() + 1);
        record.push(asked.clone());
        self.ever_asked.store(true, Ordering::Relaxed);
        drop(record);
        (self.script)(&asked, answer)
    }
}

impl Asked {
    /// Parameters that distinguish requests for different pages.
    fn identity(&self) -> (Method, String, Option<HeaderValue>, Bytes) {
        let range = self.headers.get(header::RANGE).cloned();
        (self.method.clone(), self.target.clone(), range, self.body.clone())
    }
}

/// An HTTP/2 upstream of one connection after the other that sends this much of each answer, and then resets its stream with
/// NO_ERROR, as if nothing were missing.
pub(super) async fn resetting(start: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut pings = connection.ping_pong().unwrap();
                let mut pending = Vec::new();
                loop {
                    tokio::select! {
                        accepted = connection.accept() => {
                            let Some(Ok((_, mut respond))) = accepted else { return };
                            let mut answer = respond.send_response(Response::new(()), false).unwrap();
                            answer.send_data(Bytes::from_static(start.as_bytes()), false).unwrap();
                            pending.push(answer);
                            pings.send_ping(h2::Ping::opaque()).unwrap();
                        }
                        // What was sent before a ping that is answered has arrived.
                        Ok(_) = std::future::poll_fn(|context| pings.poll_pong(context)) => {
                            pending.drain(..).for_each(|mut answer| answer.send_reset(h2::Reason::NO_ERROR));
                        }
                    }
                }
            });
        }
    });
    address
}
