//! Commands of curl that download a snapshot, or the rest of it.

use std::fmt::Write as _;

use crate::id::SnapshotId;
use crate::server::HostList;
use crate::snapshot::CallerIdentity;
use crate::snapshot::ShownRequest;

/// Maker of commands for the proxy.
#[derive(Clone, Debug)]
pub(super) struct CurlCommands {
    /// `http://127.0.0.1:8080`, or `unix:PATH`.
    pub(super) proxy: String,
    /// Names that the proxy answers to; none where it answers to all.
    pub(super) hosts: Option<HostList>,
    /// Host by which the operator has reached this machine last.
    pub(super) asked_host: Option<String>,
    /// Name of the query parameter that names a snapshot.
    pub(super) param: String,
}

impl CurlCommands {
    /// Returns the command that downloads a snapshot and resumes a part of it; none where no GET asks for it. Values of the query, and
    /// credentials, are for the operator to fill in: `…` stands for each. A refusal leaves the file as it is (`-f`), and no two snapshots
    /// have one file.
    pub(super) fn resume(&self, id: SnapshotId, request: &ShownRequest) -> Option<String> {
        if !request.has_address {
            return None;
        }
        let mark = if request.target.contains('?') { '&' } else { '?' };
        let field = match request.sender {
            CallerIdentity::Unknown => "",
            CallerIdentity::Known => " -H 'Authorization: …'",
        };
        let file = file_name(&request.target, id);
        let url = self.url(&format!("{}{mark}{}={id}", request.target, self.param));
        Some(format!("curl -f -g -C - -o {file}{field} {url}"))
    }

    /// Returns the command that asks for the stream of a collection; `…` stands for each placeholder of its path.
    pub(super) fn stream(&self, path: &str) -> String {
        let (path, open) = path.split_once('{').map_or((path, ""), |(fixed, _)| (fixed, "…"));
        format!("curl -g -H 'Accept: application/x-ndjson' {}", self.url(&format!("{path}{open}")))
    }

    /// Returns the options of curl for a path and query of the proxy: its address, under a name that it answers to.
    fn url(&self, target: &str) -> String {
        let target = encoded(target);
        if let Some(socket) = self.proxy.strip_prefix("unix:") {
            let url = quoted(&format!("http://{}{target}", self.name_for("localhost")));
            return format!("--unix-socket {} {url}", quoted(socket));
        }
        let Some((scheme, address)) = self.proxy.split_once("://") else { return quoted(&self.proxy) };
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let host = match host {
            "0.0.0.0" | "[::]" => self.asked_host.as_deref().unwrap_or("localhost"),
            _ => host,
        };
        let name = self.name_for(host);
        let url = quoted(&format!("{scheme}://{name}:{port}{target}"));
        if name == host { url } else { format!("--connect-to {} {url}", quoted(&format!("::{host}:{port}"))) }
    }

    /// Returns this host if the proxy answers to it, else the first name of `hosts`.
    fn name_for<'a>(&'a self, host: &'a str) -> &'a str {
        let others = self.hosts.as_ref().filter(|hosts| !hosts.allows(host));
        others.and_then(HostList::first_name).unwrap_or(host)
    }
}

/// Returns a name for the file, of the last segment of the path and the snapshot's id.
fn file_name(target: &str, id: SnapshotId) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    let name = name.trim_start_matches('-');
    let name = if name.is_empty() { "records" } else { name };
    format!("{name}-{:.8}.ndjson", id.to_string())
}

/// Returns a target without bytes that a terminal could take for something else.
fn encoded(target: &str) -> String {
    let mut encoded = String::with_capacity(target.len());
    for c in target.chars() {
        if c.is_ascii_graphic() || c == '…' {
            encoded.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                write!(encoded, "%{byte:02X}").expect("writing to a String never fails");
            }
        }
    }
    encoded
}

/// Returns a word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SnapshotSettings;
    use crate::snapshot::Store;

    #[test]
    fn a_hostile_path_stays_inside_its_quotes() {
        let id = Store::open(SnapshotSettings::in_test()).unwrap().new_id();
        let mark = id.to_string()[..8].to_owned();
        let proxy = |proxy: &str| CurlCommands {
            proxy: proxy.to_owned(),
            hosts: None,
            asked_host: None,
            param: "_snapshot".to_owned(),
        };
        let request = |target: &str, sender| ShownRequest { target: target.to_owned(), has_address: true, sender };
        let command =
            proxy("http://127.0.0.1:8080").resume(id, &request("/a/x';$(rm)\u{202e}\u{7}é?q=…", CallerIdentity::Known));
        let expected = format!(
            r"curl -f -g -C - -o xrm-{mark}.ndjson -H 'Authorization: …' 'http://127.0.0.1:8080/a/x'\'';$(rm)%E2%80%AE%07%C3%A9?q=…&_snapshot={id}'"
        );
        assert_eq!(command, Some(expected));
        let command = proxy("unix:/run/it's.sock").resume(id, &request("/", CallerIdentity::Unknown));
        let expected = format!(
            r"curl -f -g -C - -o records-{mark}.ndjson --unix-socket '/run/it'\''s.sock' 'http://localhost/?_snapshot={id}'"
        );
        assert_eq!(command, Some(expected));
        let unnamed = ShownRequest { has_address: false, ..request("/", CallerIdentity::Unknown) };
        assert_eq!(proxy("http://a").resume(id, &unnamed), None);
    }

    #[test]
    fn the_proxy_is_asked_at_its_address_by_a_name_that_it_answers_to() {
        let listed = |names: &[&str]| Some(HostList::of(names.iter().map(ToString::to_string).collect()));
        for (proxy, hosts, asked_host, expected) in [
            ("http://127.0.0.1:80", Some(HostList::of_loopback()), None, "'http://127.0.0.1:80/a'"),
            ("https://127.0.0.1:80", listed(&["*.b", "c"]), None, "--connect-to '::127.0.0.1:80' 'https://c:80/a'"),
            ("http://[::1]:80", listed(&["localhost", "[::1]"]), None, "'http://[::1]:80/a'"),
            ("http://0.0.0.0:80", None, Some("10.0.0.5"), "'http://10.0.0.5:80/a'"),
            ("http://[::]:80", None, None, "'http://localhost:80/a'"),
            ("http://[::]:80", listed(&["c"]), Some("c"), "'http://c:80/a'"),
            ("http://0.0.0.0:80", listed(&["c"]), Some("it's"), r"--connect-to '::it'\''s:80' 'http://c:80/a'"),
            ("unix:/s", listed(&["c"]), None, "--unix-socket '/s' 'http://c/a'"),
        ] {
            let asked_host = asked_host.map(ToOwned::to_owned);
            let commands = CurlCommands { proxy: proxy.to_owned(), hosts, asked_host, param: String::new() };
            assert_eq!(commands.url("/a"), expected, "{proxy}");
        }
    }
}
