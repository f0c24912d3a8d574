//! Sockets that the service manager has opened (systemd's socket activation): it keeps their backlog across a restart.

use std::io;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use crate::server::Listener;

/// Variable with the names of the inherited sockets, separated by colons.
const NAMES: &str = "LISTEN_FDNAMES";

/// Inherited sockets, each of which is taken once.
pub(super) struct InheritedSockets {
    sockets: ListenFd,
    names: Vec<String>,
}

impl InheritedSockets {
    /// Takes the sockets that the environment announces to this process.
    pub(super) fn from_env() -> Self {
        // Read before `listenfd` removes the announcement.
        let names = std::env::var(NAMES).unwrap_or_default();
        Self { sockets: ListenFd::from_env(), names: names.split(':').map(ToOwned::to_owned).collect() }
    }

    /// Returns a listener on the socket of this name or number.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Listener> {
        let named = self.names.iter().position(|known| known == name).or_else(|| name.parse().ok());
        let number = named.filter(|number| *number < self.sockets.len());
        let number = number.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, self.unknown()))?;
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(number) {
            listener.set_nonblocking(true)?;
            return TcpListener::from_std(listener).map(Into::into);
        }
        let listener = self.sockets.take_unix_listener(number)?;
        let listener = listener.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it was taken already"))?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Into::into)
    }

    fn unknown(&self) -> String {
        match self.sockets.len() {
            0 => "the service manager has passed no socket".to_owned(),
            count => format!("the service manager has passed {count} sockets, named {:?}", self.names),
        }
    }
}
