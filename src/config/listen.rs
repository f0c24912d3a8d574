//! `listen`, `socket_mode` and `admin`: the addresses of the proxy and of its operator.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use super::Secret;
use super::keywords::Flag;
use super::toml_node::TomlNode;
use crate::server::{AccessLog, ListenAddress, TrustedPeers, UnixPeers, socket_address};

/// Mode of unix sockets: for the user of the process alone.
pub(super) const SOCKET_MODE: u32 = 0o600;

/// Returns the default of `listen`.
pub(super) fn usual() -> Vec<ListenAddress> {
    vec![ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
}

pub(super) fn read(node: &TomlNode<'_>) -> Option<Vec<ListenAddress>> {
    let hint = "write listen = \"127.0.0.1:8080\", \"0.0.0.0:8080\" for every interface, \"unix:/run/unpage/http.sock\" or \
                \"fd:NAME\", or a list of them";
    let read = |node: &TomlNode<'_>| match node.text()?.parse::<ListenAddress>() {
        Ok(address) => Some(address),
        Err(what) => node.refuse(what, hint),
    };
    let addresses = node.each(read)?;
    for (at, address) in addresses.iter().enumerate() {
        let is_free = address.tcp().is_some_and(|address| address.port() == 0);
        if !is_free && addresses[..at].contains(address) {
            return node.refuse(format!("listed twice: {address}"), "list each address once");
        }
    }
    Some(addresses)
}

pub(super) fn socket_mode(node: &TomlNode<'_>) -> Option<u32> {
    let text = node.text()?;
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Some(mode),
        Ok(_) | Err(_) => {
            node.refuse(format!("not a mode: {text:?}"), "write socket_mode = \"0660\": octal, as for chmod")
        }
    }
}

/// Access to the operator's address from other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAccess {
    /// With a token alone.
    Guarded,
    /// Without one, too.
    Open,
}

impl AdminAccess {
    /// Returns true where the operator's address may be served without further words.
    pub fn suffices(self, admin: SocketAddr, token: Option<&Secret>) -> bool {
        self == Self::Open || token.is_some() || admin.ip().to_canonical().is_loopback()
    }
}

/// Changes that requests to the operator's address may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminActions {
    Refused,
    /// Crawls may be cancelled, and snapshots dropped.
    Allowed,
}

impl AdminActions {
    /// Returns true where the operator's address may be served with these actions: off loopback, a web page that a browser takes for one of this
    /// address could do them, unless they need a token.
    pub fn are_safe(self, admin: SocketAddr, token: Option<&Secret>) -> bool {
        self == Self::Refused || token.is_some() || admin.ip().to_canonical().is_loopback()
    }
}

pub(super) static ADMIN_ACTIONS: Flag<AdminActions> = Flag([AdminActions::Refused, AdminActions::Allowed]);

pub(super) static ADMIN_ACCESS: Flag<AdminAccess> = Flag([AdminAccess::Guarded, AdminAccess::Open]);

pub(super) static ACCESS_LOG: Flag<AccessLog> = Flag([AccessLog::Off, AccessLog::On]);

pub(super) const ADMIN_HINT: &str =
    "write admin_token = { file = \"PATH\" }, which clients send as a bearer token, or admin_open = true";

/// Reads networks, addresses, and `unix` for the peers of unix sockets.
pub(super) fn peers(node: &TomlNode<'_>) -> Option<TrustedPeers> {
    let read = |node: &TomlNode<'_>| {
        let text = node.text()?;
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match (text, network) {
            ("unix", _) => Some(None),
            (_, Some(network)) => Some(Some(network)),
            (_, None) => {
                node.refuse(format!("not a network: {text:?}"), "write \"10.0.0.0/8\", \"10.0.0.1\" or \"unix\"")
            }
        }
    };
    let peers = node.each(read)?;
    let unix = if peers.contains(&None) { UnixPeers::Trusted } else { UnixPeers::Strangers };
    Some(TrustedPeers { networks: peers.into_iter().flatten().collect(), unix })
}

pub(super) fn admin(node: &TomlNode<'_>, listen: &[ListenAddress]) -> Option<SocketAddr> {
    let hint = "write admin = \"127.0.0.1:9090\": any client that can connect reads it without credentials";
    let text = node.text()?;
    let admin = match socket_address(text) {
        Ok(admin) => admin,
        Err(what) => return node.refuse(what, hint),
    };
    for listen in listen.iter().filter_map(ListenAddress::tcp) {
        // Each port 0 is another free one.
        let is_shared = admin.port() == listen.port() && admin.port() != 0;
        if is_shared && (admin.ip() == listen.ip() || admin.ip().is_unspecified() || listen.ip().is_unspecified()) {
            return node.refuse(
                format!("listen has this port already: {listen}"),
                "give one of them another port: clients of the proxy are not meant to reach admin",
            );
        }
    }
    Some(admin)
}
