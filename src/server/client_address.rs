//! Address and origin of a client behind proxies: what a trusted peer says of it (RFC 7239, `X-Forwarded-…`). Pure.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Peers whose word about a client's address is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeers {
    pub networks: Vec<IpNet>,
    pub unix: UnixPeers,
}

/// Trust in the peers of unix sockets, which have no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnixPeers {
    #[default]
    Strangers,
    Trusted,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForwardedClient {
    pub(super) address: Option<IpAddr>,
    /// Scheme and authority of the URL that the client asked for; none where no trusted peer tells them.
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<Authority>,
}

impl TrustedPeers {
    /// Returns true for a peer's address, or for none, which is a unix socket's, if it is trusted.
    pub(super) fn contains(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(address) => self.networks.iter().any(|network| network.contains(&address.to_canonical())),
            None => self.unix == UnixPeers::Trusted,
        }
    }

    /// Returns the client behind a peer: the rightmost address that is not trusted, since clients can write everything left of it.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> ForwardedClient {
        if !self.contains(peer) {
            return ForwardedClient { address: peer, ..ForwardedClient::default() };
        }
        let elements = Element::all(headers);
        let mut address = peer;
        for element in elements.iter().rev() {
            // Behind an address that can't be read nothing is known.
            let Some(next) = element.address else { break };
            address = Some(next);
            if !self.contains(address) {
                break;
            }
        }
        // The last proxy is the trusted one: it saw what the client, or the proxy before, asked for.
        let last = elements.into_iter().next_back().unwrap_or_default();
        ForwardedClient { address, scheme: last.scheme, authority: last.authority }
    }
}

/// Words of one proxy about the peer before it.
#[derive(Clone, Debug, Default)]
struct Element {
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

impl Element {
    /// Returns what each proxy tells, the nearest one last; `Forwarded` replaces the older fields.
    fn all(headers: &HeaderMap) -> Vec<Self> {
        if headers.contains_key(header::FORWARDED) {
            return values(headers, &header::FORWARDED).map(Self::forwarded).collect();
        }
        let mut elements: Vec<_> = values(headers, &X_FORWARDED_FOR)
            .map(|value| Self { address: address(value), ..Self::default() })
            .collect();
        let scheme = values(headers, &X_FORWARDED_PROTO).last().and_then(scheme);
        let authority = values(headers, &X_FORWARDED_HOST).last().and_then(|value| value.parse().ok());
        if let Some(last) = elements.last_mut() {
            (last.scheme, last.authority) = (scheme, authority);
        }
        elements
    }

    fn forwarded(element: &str) -> Self {
        let mut read = Self::default();
        for pair in element.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => read.address = address(value),
                "proto" => read.scheme = scheme(value),
                "host" => read.authority = value.parse().ok(),
                _ => {}
            }
        }
        read
    }
}

/// Returns the members of a list in all fields of a name; a field that is no text is one member that says nothing.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().flat_map(|value| value.to_str().unwrap_or("?").split(',').map(str::trim))
}

fn scheme(text: &str) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some(Scheme::HTTPS),
        "http" => Some(Scheme::HTTP),
        _ => None,
    }
}

/// Parses an address with or without its port; IPv6 in brackets where one follows.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    IpAddr::from_str(bare).ok().map(|address| address.to_canonical())
}

/// Returns the network of an address: 2⁶⁴ addresses of IPv6 belong to one customer, and count as one.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and values of header fields.
    type Fields<'a> = &'a [(&'static str, &'a str)];

    fn trusted() -> TrustedPeers {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap()).to_vec();
        TrustedPeers { networks, unix: UnixPeers::Trusted }
    }

    fn client(peer: &str, fields: Fields<'_>) -> ForwardedClient {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        trusted().client(peer.parse().ok(), &headers)
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_clients() {
        const XFF: &str = "x-forwarded-for";
        let cases: [(&str, Fields<'_>, &str); 14] = [
            // Peers that are not trusted may say what they like.
            ("9.9.9.9", &[(XFF, "1.1.1.1")], "9.9.9.9"),
            ("9.9.9.9", &[("forwarded", "for=1.1.1.1")], "9.9.9.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "1.1.1.1")], "1.1.1.1"),
            ("10.0.0.1", &[(XFF, "6.6.6.6, 1.1.1.1, 10.2.2.2")], "1.1.1.1"),
            ("10.0.0.1", &[(XFF, "6.6.6.6"), (XFF, "1.1.1.1:80")], "1.1.1.1"),
            ("10.0.0.1", &[(XFF, "10.9.9.9, 10.2.2.2")], "10.9.9.9"),
            ("10.0.0.1", &[(XFF, "6.6.6.6, unknown, 10.2.2.2")], "10.2.2.2"),
            ("10.0.0.1", &[(XFF, "6.6.6.6, ")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "[2001:db9::1]:443")], "2001:db9::1"),
            ("2001:db8::1", &[("forwarded", "for=6.6.6.6, for=\"[2001:db9::1]:80\";proto=https")], "2001:db9::1"),
            ("10.0.0.1", &[("forwarded", "for=_hidden"), (XFF, "6.6.6.6")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "For=1.1.1.1;By=10.0.0.1"), (XFF, "6.6.6.6")], "1.1.1.1"),
            ("::ffff:10.0.0.1", &[(XFF, "::ffff:1.1.1.1")], "1.1.1.1"),
        ];
        for (peer, fields, expected) in cases {
            assert_eq!(client(peer, fields).address, expected.parse().ok(), "{peer} {fields:?}");
        }
        // A unix socket has no address.
        assert_eq!(client("", &[(XFF, "1.1.1.1")]).address, "1.1.1.1".parse().ok());
        assert_eq!(TrustedPeers::default().client(None, &HeaderMap::new()), ForwardedClient::default());
    }

    #[test]
    fn the_origin_is_that_of_the_nearest_proxy() {
        let origin = |client: ForwardedClient| (client.scheme, client.authority.map(|authority| authority.to_string()));
        let told = (Some(Scheme::HTTPS), Some("a.example:8443".to_owned()));
        let old = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "http, https"),
            ("x-forwarded-host", "evil.example, a.example:8443"),
        ];
        assert_eq!(origin(client("10.0.0.1", &old)), told);
        let new = [("forwarded", "for=6.6.6.6;host=evil.example, for=1.1.1.1;proto=HTTPS;host=\"a.example:8443\"")];
        assert_eq!(origin(client("10.0.0.1", &new)), told);
        for fields in [&old[..], &new] {
            assert_eq!(origin(client("9.9.9.9", fields)), (None, None));
        }
    }

    #[test]
    fn a_customers_network_counts_as_one() {
        for (address, network) in
            [("1.2.3.4", "1.2.3.4"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:1.2.3.4", "1.2.3.4")]
        {
            assert_eq!(network_of(address.parse().unwrap()), network.parse::<IpAddr>().unwrap());
        }
    }
}
