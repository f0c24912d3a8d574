//! Commands of curl that download a snapshot, or the rest of it.

use std::fmt::Write as _;

use crate::id::SnapshotId;
use crate::snapshot::{RequestSender, ShownRequest};

/// Maker of commands for the proxy.
#[derive(Clone, Debug)]
pub(super) struct CurlCommands {
    /// `http://127.0.0.1:8080`, or `unix:PATH`.
    pub(super) proxy: String,
    /// Name of the query parameter that names a snapshot.
    pub(super) param: String,
}

impl CurlCommands {
    /// Returns the command that downloads a snapshot and resumes a part of it; none where no GET asks for it. Values of the query, and
    /// credentials, are for the operator to fill in: `…` stands for each.
    pub(super) fn resume(&self, id: SnapshotId, request: &ShownRequest) -> Option<String> {
        if !request.has_address {
            return None;
        }
        let mark = if request.target.contains('?') { '&' } else { '?' };
        let field = match request.sender {
            RequestSender::Anyone => "",
            RequestSender::Identified => " -H 'Authorization: …'",
        };
        let file = file_name(&request.target);
        let url = self.url(&format!("{}{mark}{}={id}", request.target, self.param));
        Some(format!("curl -g -C - -o {file}{field} {url}"))
    }

    /// Returns the command that asks for the stream of a collection; `…` stands for what its path leaves open.
    pub(super) fn stream(&self, path: &str) -> String {
        let (path, open) = path.split_once('{').map_or((path, ""), |(fixed, _)| (fixed, "…"));
        format!("curl -g -H 'Accept: application/x-ndjson' {}", self.url(&format!("{path}{open}")))
    }

    /// Returns the options of curl for a path and query of the proxy.
    fn url(&self, target: &str) -> String {
        let target = encoded(target);
        match self.proxy.strip_prefix("unix:") {
            Some(socket) => {
                format!("--unix-socket {} {}", quoted(socket), quoted(&format!("http://localhost{target}")))
            }
            None => quoted(&format!("{}{target}", self.proxy)),
        }
    }
}

/// Returns a name for the file, of the last segment of the path.
fn file_name(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    let name = name.trim_start_matches('-');
    format!("{}.ndjson", if name.is_empty() { "records" } else { name })
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
        let proxy = |proxy: &str| CurlCommands { proxy: proxy.to_owned(), param: "_snapshot".to_owned() };
        let request = |target: &str, sender| ShownRequest { target: target.to_owned(), has_address: true, sender };
        let command = proxy("http://127.0.0.1:8080")
            .resume(id, &request("/a/x';$(rm)\u{202e}\u{7}é?q=…", RequestSender::Identified));
        let expected = format!(
            r"curl -g -C - -o xrm.ndjson -H 'Authorization: …' 'http://127.0.0.1:8080/a/x'\'';$(rm)%E2%80%AE%07%C3%A9?q=…&_snapshot={id}'"
        );
        assert_eq!(command, Some(expected));
        let command = proxy("unix:/run/it's.sock").resume(id, &request("/", RequestSender::Anyone));
        let expected = format!(
            r"curl -g -C - -o records.ndjson --unix-socket '/run/it'\''s.sock' 'http://localhost/?_snapshot={id}'"
        );
        assert_eq!(command, Some(expected));
        let unnamed = ShownRequest { has_address: false, ..request("/", RequestSender::Anyone) };
        assert_eq!(proxy("http://a").resume(id, &unnamed), None);
    }
}
