//! Kinds of IP addresses, and the kinds that a name of an upstream may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Private addresses of an upstream, `private_addresses = "allow" | "refuse"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// The upstream may be in this machine or this network.
    Allow,
    /// It must be in the public Internet.
    Refuse,
}

/// Kind of an address that is not global, by IANA's special-purpose registries and the metadata services of cloud providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    Loopback,
    /// RFC 1918, unique local, RFC 6598 (carrier-grade NAT), benchmarking, local NAT64.
    Private,
    /// Link-local addresses, where most metadata services are, and the known ones elsewhere: they hand out credentials.
    Metadata,
    Multicast,
    /// Unspecified, documentation, discard, broadcast, and all that IANA has not assigned.
    Reserved,
}

/// Metadata and platform services outside of the link-local ranges: Azure, Alibaba, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// The same over IPv6: AWS (a prefix of services), Google, Scaleway.
const METADATA_V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];

impl PrivateAddresses {
    /// Checks an address that a look-up returned. No name of an API leads to a metadata service, a multicast group or a reserved
    /// address, so that an operator who means one has to write the address itself.
    pub fn check(self, address: IpAddr) -> Result<(), AddressKind> {
        match (AddressKind::of(address), self) {
            (None, _) | (Some(AddressKind::Loopback | AddressKind::Private), Self::Allow) => Ok(()),
            (Some(kind), _) => Err(kind),
        }
    }
}

impl AddressKind {
    /// Returns the kind of an address; `None` for a global one. IPv4 in IPv6 (mapped, compatible, NAT64, 6to4) counts as what it holds.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        if METADATA_V4.contains(&address) {
            return Some(Self::Metadata);
        }
        match address.octets() {
            [127, ..] => Some(Self::Loopback),
            [169, 254, ..] => Some(Self::Metadata),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] => {
                Some(Self::Private)
            }
            [224..=239, ..] => Some(Self::Multicast),
            [0 | 240..=255, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
                Some(Self::Reserved)
            }
            _ => None,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        let bits = address.to_bits();
        let starts = |prefix: &Ipv6Addr, length: u32| (bits ^ prefix.to_bits()).leading_zeros() >= length;
        if METADATA_V6.iter().any(|(prefix, length)| starts(prefix, *length)) {
            return Some(Self::Metadata);
        }
        let [a, b, c, d, e, f, g, h] = address.segments();
        let embedded = |high: u16, low: u16| Self::of_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
        match [a, b, c, d, e, f] {
            [0, 0, 0, 0, 0, 0] if g == 0 => (h == 1).then_some(Self::Loopback).or(Some(Self::Reserved)),
            [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
            [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(Self::Private),
            [0x2002, high, low, ..] => embedded(high, low),
            [0xfe80..=0xfebf, ..] => Some(Self::Metadata),
            [0xff00..=0xffff, ..] => Some(Self::Multicast),
            // Teredo and other protocols of IETF's own (2001::/23), documentation.
            [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some(Self::Reserved),
            [0x2000..=0x3fff, ..] => None,
            _ => Some(Self::Reserved),
        }
    }

    /// Name for messages, with its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Metadata => "a link-local address or a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_kind_in_every_spelling() {
        use AddressKind::{Loopback, Metadata, Multicast, Private, Reserved};
        let cases: [(Option<AddressKind>, &[&str]); 6] = [
            (
                None,
                &[
                    "1.1.1.1",
                    "9.255.255.255",
                    "11.0.0.0",
                    "100.63.255.255",
                    "100.128.0.0",
                    "128.0.0.1",
                    "169.253.255.255",
                    "172.15.0.1",
                    "172.32.0.1",
                    "192.0.1.1",
                    "192.167.0.1",
                    "198.17.0.1",
                    "198.20.0.1",
                    "223.255.255.255",
                    "2606:4700::1111",
                    "2a00:1450::1",
                    "2001:200::1",
                    "::ffff:1.1.1.1",
                    "64:ff9b::101:101",
                    "2002:101:101::1",
                ],
            ),
            (
                Some(Loopback),
                &[
                    "127.0.0.1",
                    "127.255.255.255",
                    "::1",
                    "::ffff:127.0.0.1",
                    "::127.0.0.1",
                    "64:ff9b::7f00:1",
                    "2002:7f00:1::",
                ],
            ),
            (
                Some(Private),
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.0.1",
                    "100.64.0.1",
                    "100.127.255.255",
                    "198.18.0.1",
                    "fc00::1",
                    "fdff::1",
                    "fec0::1",
                    "64:ff9b:1::1",
                    "::ffff:10.0.0.1",
                    "64:ff9b::a00:1",
                    "2002:c0a8:1::1",
                ],
            ),
            (
                Some(Metadata),
                &[
                    "169.254.169.254",
                    "169.254.170.2",
                    "169.254.0.1",
                    "168.63.129.16",
                    "100.100.100.200",
                    "192.0.0.192",
                    "fe80::1",
                    "febf::1",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                    "fd20:ce::254",
                    "fd00:42::42",
                    "::ffff:a9fe:a9fe",
                    "64:ff9b::a9fe:a9fe",
                    "::a9fe:a9fe",
                    "2002:a9fe:a9fe::1",
                ],
            ),
            (Some(Multicast), &["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"]),
            (
                Some(Reserved),
                &[
                    "0.0.0.0",
                    "0.1.2.3",
                    "::",
                    "::ffff:0.0.0.0",
                    "255.255.255.255",
                    "240.0.0.1",
                    "192.0.0.1",
                    "192.0.2.1",
                    "198.51.100.1",
                    "203.0.113.1",
                    "192.88.99.1",
                    "2001:db8::1",
                    "2001::1",
                    "3fff::1",
                    "100::1",
                    "4000::1",
                ],
            ),
        ];
        for (kind, addresses) in cases {
            for address in addresses {
                assert_eq!(AddressKind::of(address.parse().unwrap()), kind, "{address}");
            }
        }
    }

    #[test]
    fn only_local_kinds_are_the_operators_choice() {
        use PrivateAddresses::{Allow, Refuse};
        for (address, allowed, refused) in [
            ("1.1.1.1", true, true),
            ("127.0.0.1", true, false),
            ("10.0.0.1", true, false),
            ("169.254.169.254", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.1", false, false),
        ] {
            let is_ok = |policy: PrivateAddresses| policy.check(address.parse().unwrap()).is_ok();
            assert_eq!((is_ok(Allow), is_ok(Refuse)), (allowed, refused), "{address}");
        }
    }
}
