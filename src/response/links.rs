//! Addresses of a snapshot, as paths with a query.

use crate::id::SnapshotId;
use crate::request::ParamNames;

#[derive(Clone, Debug)]
pub struct Links {
    /// Address of the collection.
    pub original: String,
    /// Address of the snapshot.
    pub pinned: String,
    /// Address of the snapshot's state.
    pub status: String,
}

impl Links {
    /// `original` is the path with the query of the collection, without the parameters of unpage.
    pub fn new(id: SnapshotId, original: &str, names: &ParamNames) -> Self {
        // A reference that begins with two slashes would name another host (RFC 3986 §4.2).
        let original = if original.starts_with("//") { format!("/.{original}") } else { original.to_owned() };
        let separator = if original.contains('?') { '&' } else { '?' };
        let pinned = format!("{original}{separator}{}={id}", names.snapshot);
        let status = format!("{pinned}&{}=status", names.format);
        Self { original, pinned, status }
    }
}
