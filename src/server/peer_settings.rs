//! Peers of a server that tell of other clients.

use super::client_address::TrustedPeers;
use super::proxy_protocol::ProxyProtocol;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSettings {
    /// Peers that write a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Peers that name their clients in `Forwarded` or `X-Forwarded-For`.
    pub trusted_proxies: TrustedPeers,
}
