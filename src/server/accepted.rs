//! An accepted socket on its way to the thread that serves it.

use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::client_stream::ClientStream;
use super::limits::ServerLimits;

/// A socket that no runtime has yet.
#[derive(Debug)]
pub(super) enum AcceptedSocket {
    Tcp(std::net::TcpStream),
    Unix(StdUnixStream),
}

pub(super) struct Accepted {
    pub(super) socket: AcceptedSocket,
    /// Address of the other end; none for a unix socket.
    pub(super) peer: Option<IpAddr>,
    /// Only for TCP.
    pub(super) tls: Option<TlsAcceptor>,
}

impl Accepted {
    /// Gives the socket to the current runtime.
    pub(super) fn into_stream(self, limits: &ServerLimits) -> io::Result<(ClientStream, Option<TlsAcceptor>)> {
        let stream = match self.socket {
            AcceptedSocket::Tcp(socket) => {
                let socket = TcpStream::from_std(socket)?;
                // Later than the connection's own timer, which counts and logs what it closes.
                ClientStream::bound_unsent(&socket, limits.stream_write.saturating_mul(3) / 2);
                ClientStream::Tcp(socket)
            }
            AcceptedSocket::Unix(socket) => ClientStream::Unix(UnixStream::from_std(socket)?),
        };
        Ok((stream, self.tls))
    }
}

/// Does the TLS handshake, where there is one to do.
pub(super) async fn secured(stream: ClientStream, tls: Option<TlsAcceptor>) -> io::Result<ClientStream> {
    match (stream, tls) {
        (ClientStream::Tcp(socket), Some(tls)) => Ok(ClientStream::Tls(Box::new(tls.accept(socket).await?))),
        (stream, _) => Ok(stream),
    }
}
