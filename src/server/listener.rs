//! Listeners: TCP and unix sockets, accepted from as one.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, UnixListener};

use super::accepted::{Accepted, AcceptedSocket};
use super::certificates::Certificates;
use super::unix_socket::UnixSocketFile;

#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    tls: Option<Arc<Certificates>>,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    /// A file that this process made is removed with it.
    Unix {
        listener: UnixListener,
        file: Option<UnixSocketFile>,
    },
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self { socket: ListenerSocket::Tcp(listener), tls: None }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self { socket: ListenerSocket::Unix { listener, file: None }, tls: None }
    }
}

impl Listener {
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Into::into)
    }

    /// Binds a unix socket of this mode. A socket file on which no process listens is replaced.
    ///
    /// # Errors
    /// Fails where a process listens on it, the file is no socket, or the system fails.
    pub fn unix(path: PathBuf, mode: u32) -> io::Result<Self> {
        let (listener, file) = UnixSocketFile::bind(path, mode)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self { socket: ListenerSocket::Unix { listener, file: Some(file) }, tls: None })
    }

    /// Speaks TLS with these certificates; a unix socket never does.
    #[must_use]
    pub fn with_tls(self, certificates: Option<Arc<Certificates>>) -> Self {
        Self { tls: certificates.filter(|_| matches!(self.socket, ListenerSocket::Tcp(_))), ..self }
    }

    pub(super) fn certificates(&self) -> Option<Arc<Certificates>> {
        self.tls.clone()
    }

    /// Returns true where only processes of this machine can connect. An inherited socket is asked for its address.
    pub fn is_loopback(&self) -> bool {
        match &self.socket {
            ListenerSocket::Tcp(listener) => {
                listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
            }
            ListenerSocket::Unix { .. } => true,
        }
    }

    /// Returns the address as clients write it.
    pub fn url(&self) -> String {
        match &self.socket {
            ListenerSocket::Tcp(listener) => match listener.local_addr() {
                Ok(address) if self.tls.is_some() => format!("https://{address}"),
                Ok(address) => format!("http://{address}"),
                Err(error) => format!("an address that can't be read: {error}"),
            },
            // Its address is the name that it was made under.
            ListenerSocket::Unix { file: Some(file), .. } => format!("unix:{}", file.path().display()),
            ListenerSocket::Unix { listener, file: None } => match listener.local_addr() {
                Ok(address) => format!("unix:{}", address.as_pathname().unwrap_or("?".as_ref()).display()),
                Err(error) => format!("a unix socket that can't be read: {error}"),
            },
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let accepted = match &self.socket {
            ListenerSocket::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(context))?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("TCP_NODELAY: {error}");
                }
                let tls = self.tls.as_ref().map(|certificates| certificates.acceptor());
                let socket = AcceptedSocket::Tcp(stream.into_std()?);
                Accepted { socket, peer: Some(peer.ip().to_canonical()), tls }
            }
            ListenerSocket::Unix { listener, .. } => {
                let (stream, _) = ready!(listener.poll_accept(context))?;
                Accepted { socket: AcceptedSocket::Unix(stream.into_std()?), peer: None, tls: None }
            }
        };
        Poll::Ready(Ok(accepted))
    }
}

/// Accepts a connection of any of the listeners; `first` moves on, so that a busy one doesn't starve the others.
pub(super) async fn accept(listeners: &[Listener], first: &mut usize) -> io::Result<Accepted> {
    poll_fn(|context| {
        for at in 0..listeners.len() {
            let at = (*first + at) % listeners.len();
            if let Poll::Ready(accepted) = listeners[at].poll_accept(context) {
                *first = at + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
