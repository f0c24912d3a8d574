//! Listeners of `serve`: bound, or inherited, with their certificates.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::inherited_sockets::InheritedSockets;
use crate::config::Config;
use crate::server::{Certificates, ListenAddress, Listener, socket_address};

/// Listeners of the proxy and of the operator.
pub(super) struct Listeners {
    pub(super) proxy: Vec<Listener>,
    pub(super) admin: Option<Listener>,
    pub(super) certificates: Option<Arc<Certificates>>,
}

/// Binds the proxy's addresses and, where there is one, the operator's. The error is for the user.
pub(super) async fn bind(config: &Config) -> Result<Listeners, String> {
    let certificates = match &config.tls {
        Some(settings) => Some(Arc::new(
            Certificates::load(settings.clone()).map_err(|error| format!("error: {error}\nhint: {}", error.hint()))?,
        )),
        None => None,
    };
    let mut inherited = InheritedSockets::from_env();
    let mut proxy = Vec::new();
    for address in &config.listen {
        let listener = listener(address, config.socket_mode, &mut inherited).await;
        let listener = listener.map_err(|error| taken(address, "`listen`, or --listen,", &error))?;
        let is_plain = matches!(address, ListenAddress::PlainTcp(_));
        proxy.push(listener.with_tls(certificates.clone().filter(|_| !is_plain)));
    }
    let admin = match config.admin {
        Some(address) => {
            let listener = Listener::tcp(address).await;
            Some(listener.map_err(|error| taken(&ListenAddress::Tcp(address), "`admin`, or --admin,", &error))?)
        }
        None => None,
    };
    Ok(Listeners { proxy, admin, certificates })
}

/// Parses the value of `--listen`. Errors: no address, with examples of one.
pub(super) fn listen_argument(text: &str) -> Result<ListenAddress, String> {
    let hint = "write 127.0.0.1:8080, 0.0.0.0:8080 for every interface, unix:PATH or fd:NAME";
    text.parse().map_err(|error| format!("{error}; {hint}"))
}

/// Parses the value of `--admin`. Errors: no address, with an example of one.
pub(super) fn admin_argument(text: &str) -> Result<SocketAddr, String> {
    socket_address(text).map_err(|_| "not an address and port; write 127.0.0.1:9090".to_owned())
}

async fn listener(address: &ListenAddress, mode: u32, inherited: &mut InheritedSockets) -> io::Result<Listener> {
    match address {
        ListenAddress::Tcp(address) | ListenAddress::PlainTcp(address) => Listener::tcp(*address).await,
        ListenAddress::Unix(path) => Listener::unix(path.clone(), mode),
        ListenAddress::Inherited(name) => inherited.take(name),
    }
}

fn taken(address: &ListenAddress, key: &str, error: &io::Error) -> String {
    let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
    let remedy = match address {
        ListenAddress::Tcp(_) | ListenAddress::PlainTcp(_) if is_refused => {
            "a port from 1024 on, or let unpage open lower ones (CAP_NET_BIND_SERVICE, or a socket of systemd)"
        }
        ListenAddress::Tcp(_) | ListenAddress::PlainTcp(_) => "a free address",
        ListenAddress::Unix(_) => "a path in a folder that unpage may write, on which no process listens",
        ListenAddress::Inherited(_) => "a socket of the unit's FileDescriptorName",
    };
    format!("error: can't listen on {address}: {error}\nhint: set {key} to {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_port_is_no_taken_one() {
        let address = "127.0.0.1:80".parse().unwrap();
        for (kind, remedy) in [
            (io::ErrorKind::AddrInUse, "to a free address"),
            (io::ErrorKind::PermissionDenied, "to a port from 1024 on, "),
        ] {
            let said = taken(&address, "`listen`", &kind.into());
            assert!(said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn an_argument_that_is_no_address_is_told_what_one_looks_like() {
        assert!(listen_argument("127.0.0.1:8080").is_ok() && admin_argument("[::1]:9090").is_ok());
        assert_eq!(admin_argument("localhost:9090"), admin_argument("127.0.0.1:9090"));
        assert!(listen_argument("8080").unwrap_err().contains("write 127.0.0.1:8080"));
        assert!(admin_argument("9090").unwrap_err().contains("write 127.0.0.1:9090"));
    }
}
