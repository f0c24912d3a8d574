//! The proxy's client: HTTP/1.1 and HTTP/2 by hyper, and bare TCP for what hyper would not send or would not show.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header, response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Protocol between client and proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

pub(super) const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

/// A response to its end, clean or broken.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: response::Parts,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    pub(super) broken: Option<hyper::Error>,
}

/// A GET that asks for a stream.
pub(super) fn stream(target: &str) -> Request<Full<Bytes>> {
    get(target, "application/x-ndjson")
}

/// A GET that accepts this.
pub(super) fn get(target: &str, accept: &str) -> Request<Full<Bytes>> {
    Request::get(target).header(header::ACCEPT, accept).body(Full::default()).unwrap()
}

/// Sends a request on a connection of its own, and gives the response when its head has come.
pub(super) async fn send(
    version: Version,
    address: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    match version {
        Version::Http1 => {
            let authority = address.to_string().parse().unwrap();
            request.headers_mut().entry(header::HOST).or_insert(authority);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
        Version::Http2 => {
            let target = format!("http://{address}{}", request.uri());
            *request.uri_mut() = target.parse().unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    }
}

/// Sends a request, and reads the response to its end.
pub(super) async fn receive(version: Version, address: SocketAddr, request: Request<Full<Bytes>>) -> Received {
    Received::read(send(version, address, request).await).await
}

/// Writes these bytes, and reads to the end of the connection, which must be a clean one.
pub(super) async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_ref()).await.unwrap();
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.unwrap();
    received
}

/// Reads a body until this many whole lines are there.
pub(super) async fn lines(body: &mut Incoming, count: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.iter().filter(|byte| **byte == b'\n').count() < count {
        let frame = body.frame().await.expect("the stream ended early").unwrap();
        received.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    received
}

impl Received {
    /// Reads a response to its end.
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
        loop {
            match incoming.frame().await.transpose() {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
                },
                Ok(None) => return Self { head, body, trailers, broken: None },
                Err(error) => return Self { head, body, trailers, broken: Some(error) },
            }
        }
    }

    /// The body of a response that ended well.
    pub(super) fn whole(&self) -> &str {
        assert!(self.broken.is_none(), "broken: {:?} after {}", self.broken, String::from_utf8_lossy(&self.body));
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header field's value, where it came once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.headers.get_all(name).into_iter();
        let value = values.next()?.to_str().unwrap();
        assert!(values.next().is_none(), "{name} came more than once");
        Some(value)
    }

    /// Returns true if an HTTP/1.1 body ended with its connection, before its last chunk.
    pub(super) fn cut(&self) -> bool {
        let cause = self.broken.as_ref().and_then(|broken| broken.source()?.downcast_ref());
        cause.is_some_and(|cause: &std::io::Error| cause.kind() == std::io::ErrorKind::UnexpectedEof)
    }

    /// The code of the reset that ended an HTTP/2 stream.
    pub(super) fn reset(&self) -> Option<h2::Reason> {
        let error: &h2::Error = self.broken.as_ref()?.source()?.downcast_ref()?;
        error.reason()
    }
}
