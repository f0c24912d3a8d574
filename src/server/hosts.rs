//! Names by which clients may reach a server (`hosts`).
//!
//! A web page whose name resolves to a loopback address reaches a server there with the browser of somebody who may use it (DNS rebinding).
//! Its requests carry the page's own name in `Host`.

use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList {
    names: Vec<String>,
    loopback: LoopbackNames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoopbackNames {
    Allowed,
    Listed,
}

impl HostList {
    /// Names of this machine alone: loopback addresses, `localhost` and what ends in `.localhost` (RFC 6761 §6.3).
    pub fn of_loopback() -> Self {
        Self { names: Vec::new(), loopback: LoopbackNames::Allowed }
    }

    /// Names in lower case without ports; `*.NAME` for those that end in it, and `*` for all.
    pub fn of(names: Vec<String>) -> Self {
        Self { names, loopback: LoopbackNames::Listed }
    }

    /// Returns the first name that stands for itself alone.
    pub fn first_name(&self) -> Option<&str> {
        self.names.iter().map(String::as_str).find(|name| !name.starts_with('*'))
    }

    /// Returns `true` for a host, without its port, that clients may ask for.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_listed = |name: &String| match name.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => *name == host,
        };
        self.names.iter().any(is_listed) || (self.loopback == LoopbackNames::Allowed && is_loopback(&host))
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_name_is_not_let_in() {
        let loopback = HostList::of_loopback();
        for host in [
            "localhost",
            "LOCALHOST",
            "api.localhost",
            "localhost.",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(loopback.allows(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "[fe80::1]",
            "",
            "notlocalhost",
            "0.0.0.0",
        ] {
            assert!(!loopback.allows(host), "{host}");
        }
        let listed = HostList::of(["api.example.com", "*.internal"].map(ToOwned::to_owned).into());
        for (host, allowed) in [
            ("API.example.com", true),
            ("a.b.internal", true),
            ("internal", false),
            ("localhost", false),
            ("xapi.example.com", false),
        ] {
            assert_eq!(listed.allows(host), allowed, "{host}");
        }
        assert!(HostList::of(vec!["*".to_owned()]).allows("anything"));
    }
}
