//! Addresses to listen on, as the configuration and the command line write them.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `127.0.0.1:8080`: with TLS where that is configured.
    Tcp(SocketAddr),
    /// `plain:127.0.0.1:8080`: without TLS in any case.
    PlainTcp(SocketAddr),
    /// `unix:/run/unpage/http.sock`.
    Unix(PathBuf),
    /// `fd:NAME`: a socket that the service manager has opened, by its name or number.
    Inherited(String),
}

impl ListenAddress {
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::PlainTcp(address) => Some(*address),
            Self::Unix(_) | Self::Inherited(_) => None,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", path)) => Err(format!("not an absolute path: {path:?}")),
            Some(("fd", name)) if !name.is_empty() => Ok(Self::Inherited(name.to_owned())),
            Some(("fd", _)) => Err("no name of an inherited socket".to_owned()),
            Some(("plain", text)) => socket_address(text).map(Self::PlainTcp),
            _ => socket_address(text).map(Self::Tcp),
        }
    }
}

/// Parses `ADDRESS:PORT`, `localhost:PORT` as 127.0.0.1, and `:PORT` as every interface of IPv4. No name is looked up. Errors: anything else.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let address = match text.split_once(':') {
        Some(("localhost", port)) => format!("127.0.0.1:{port}").parse(),
        Some(("", port)) => format!("0.0.0.0:{port}").parse(),
        _ => text.parse(),
    };
    address.map_err(|_| format!("not an address and port: {text:?}"))
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::PlainTcp(address) => write!(f, "plain:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(name) => write!(f, "fd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_and_written() {
        for text in ["127.0.0.1:8080", "[::1]:0", "plain:0.0.0.0:80", "unix:/run/a:b.sock", "fd:http"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for (text, address) in
            [("localhost:80", "127.0.0.1:80"), (":80", "0.0.0.0:80"), ("plain::80", "plain:0.0.0.0:80")]
        {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), address);
        }
        for text in [
            "",
            ":",
            "8080",
            "::80",
            ":+80",
            "localhost",
            "localhost:65536",
            "example.com:80",
            "unix:",
            "unix:a",
            "fd:",
            "plain:unix:/a",
            "tls:127.0.0.1:1",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
