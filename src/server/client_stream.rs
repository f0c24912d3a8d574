//! Stream of a client: TCP, TLS over it, or a unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_tcp_user_timeout};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

#[derive(Debug)]
pub(super) enum ClientStream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl ClientStream {
    /// Bounds the time for which the system keeps bytes that the client does not take, also after the end of the connection.
    pub(super) fn bound_unsent(socket: &TcpStream, limit: Duration) {
        let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = set_tcp_user_timeout(socket, milliseconds) {
            tracing::debug!("TCP_USER_TIMEOUT: {error}");
        }
    }

    /// Makes the end of the connection a reset: what was not sent is dropped, and not kept for a client that takes nothing.
    pub(super) fn reset_when_closed(&self) {
        let socket = match self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Unix(_) => return,
        };
        if let Err(error) = set_socket_linger(socket, Some(Duration::ZERO)) {
            tracing::debug!("SO_LINGER: {error}");
        }
    }

    /// Returns the protocol that the TLS handshake has chosen; none without TLS.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => Some(stream.get_ref().1.alpn_protocol().unwrap_or(b"http/1.1")),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }
}

/// Calls the same function of each kind of stream.
macro_rules! each {
    ($this:ident, $stream:ident => $call:expr) => {
        match &mut *$this {
            ClientStream::Tcp($stream) => $call,
            ClientStream::Tls($stream) => $call,
            ClientStream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
