//! The PROXY protocol, versions 1 and 2: the header that a load balancer writes in front of a connection. Read to its last byte, and no farther.

use std::net::IpAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::client_address::TrustedPeers;

/// Longest header of version 1, with its line end.
const V1_LIMIT: usize = 107;

/// First bytes of version 2; its fixed part has four more, the last two of which are the length of the rest.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version and command of the balancer's own connections, whose addresses are ignored, and may be missing.
const V2_LOCAL: u8 = 0x20;

/// Longest rest of version 2: addresses of unix sockets, and some fields more.
const V2_LIMIT: usize = 536;

/// Peers that write the header, each time: one without it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    pub from: TrustedPeers,
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadProxyHeader;

/// Reads the header. Returns the client's address; none for the balancer's own connections, as its health checks are.
pub(super) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
    timeout: Duration,
) -> Result<Option<IpAddr>, BadProxyHeader> {
    match tokio::time::timeout(timeout, read(stream)).await {
        Ok(header) => address(&header?),
        Err(_) => Err(BadProxyHeader),
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, BadProxyHeader> {
    // No header is shorter.
    let mut header = vec![0; V2_SIGNATURE.len()];
    fill(stream, &mut header, 0).await?;
    if header == V2_SIGNATURE {
        header.resize(16, 0);
        fill(stream, &mut header, 12).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > V2_LIMIT {
            return Err(BadProxyHeader);
        }
        header.resize(16 + rest, 0);
        fill(stream, &mut header, 16).await?;
        return Ok(header);
    }
    // Byte by byte: what follows the line is not the header's, and only named peers cost these reads.
    while !header.ends_with(b"\r\n") {
        if header.len() == V1_LIMIT || !header.starts_with(b"PROXY ") {
            return Err(BadProxyHeader);
        }
        let at = header.len();
        header.push(0);
        fill(stream, &mut header, at).await?;
    }
    Ok(header)
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), header: &mut [u8], from: usize) -> Result<(), BadProxyHeader> {
    stream.read_exact(&mut header[from..]).await.map(drop).map_err(|_| BadProxyHeader)
}

/// Returns the client's address in a whole header.
fn address(header: &[u8]) -> Result<Option<IpAddr>, BadProxyHeader> {
    if header.starts_with(V2_SIGNATURE) {
        if header.get(V2_SIGNATURE.len()) == Some(&V2_LOCAL) {
            return Ok(None);
        }
        let header = v2::Header::try_from(header).map_err(|_| BadProxyHeader)?;
        return Ok(match header.addresses {
            v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
            v2::Addresses::IPv6(addresses) => Some(IpAddr::from(addresses.source_address).to_canonical()),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        });
    }
    let header = v1::Header::try_from(header).map_err(|_| BadProxyHeader)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(IpAddr::from(addresses.source_address).to_canonical()),
        v1::Addresses::Unknown => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// A header of version 2 for TCP over IPv4.
    fn v2(command: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[0x20 | command, 0x11], &length, addresses].concat()
    }

    const ADDRESSES: [u8; 12] = [1, 2, 3, 4, 10, 0, 0, 1, 0, 80, 0, 90];

    #[tokio::test(start_paused = true)]
    async fn a_header_is_read_to_its_last_byte() {
        let cases = [
            (b"PROXY TCP4 1.2.3.4 10.0.0.1 80 90\r\n".to_vec(), Some("1.2.3.4")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 80 90\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, &ADDRESSES), Some("1.2.3.4")),
            (v2(1, &[&ADDRESSES[..], &[4, 0, 2, 0, 0]].concat()), Some("1.2.3.4")),
            (v2(0, &[]), None),
        ];
        for (header, expected) in cases {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let mut stream = &bytes[..];
            let address = read_header(&mut stream, TIMEOUT).await.unwrap();
            assert_eq!(address, expected.map(|address| address.parse().unwrap()));
            assert_eq!(stream, b"GET / HTTP/1.1\r\n");
            // Cut at any byte it is none.
            for length in 0..header.len() {
                assert_eq!(read_header(&mut &header[..length], TIMEOUT).await, Err(BadProxyHeader));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn anything_else_is_refused() {
        let too_long = format!("PROXY TCP4 {}\r\n", "1".repeat(100));
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: p\r\n\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
            b"PROXY TCP4 1.2.3 10.0.0.1 80 90\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 80 90 91\r\n".to_vec(),
            too_long.into_bytes(),
            v2(1, &ADDRESSES[..4]),
            v2(1, &[0; V2_LIMIT + 1]),
            [&V2_SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat(),
        ] {
            assert_eq!(read_header(&mut &bytes[..], TIMEOUT).await, Err(BadProxyHeader), "{bytes:?}");
        }
        let (mut silent, _open) = tokio::io::duplex(64);
        let begun = tokio::time::Instant::now();
        assert_eq!(read_header(&mut silent, TIMEOUT).await, Err(BadProxyHeader));
        assert_eq!(begun.elapsed(), TIMEOUT);
    }
}
