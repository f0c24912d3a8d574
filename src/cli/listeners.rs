//! Listeners of `serve`: bound, or inherited, with their certificates.

use std::io;
use std::sync::Arc;

use super::inherited_sockets::InheritedSockets;
use crate::config::Config;
use crate::server::{Certificates, ListenAddress, Listener};

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

async fn listener(address: &ListenAddress, mode: u32, inherited: &mut InheritedSockets) -> io::Result<Listener> {
    match address {
        ListenAddress::Tcp(address) | ListenAddress::PlainTcp(address) => Listener::tcp(*address).await,
        ListenAddress::Unix(path) => Listener::unix(path.clone(), mode),
        ListenAddress::Inherited(name) => inherited.take(name),
    }
}

fn taken(address: &ListenAddress, key: &str, error: &io::Error) -> String {
    let remedy = match address {
        ListenAddress::Tcp(_) | ListenAddress::PlainTcp(_) => "a free address",
        ListenAddress::Unix(_) => "a path in a folder that unpage may write, on which no process listens",
        ListenAddress::Inherited(_) => "a socket of the unit's FileDescriptorName",
    };
    format!("error: can't listen on {address}: {error}\nhint: set {key} to {remedy}")
}
