//! URLs of a snapshot and of its state, as paths with a query.

use std::borrow::Cow;

use crate::id::SnapshotId;
use crate::request::ParamNames;

/// Returns the URL of a snapshot of the collection at `original`, a path and query without the parameters of unpage.
pub(super) fn pinned_url(id: SnapshotId, original: &str, names: &ParamNames) -> String {
    let separator = if original.contains('?') { '&' } else { '?' };
    format!("{}{separator}{}={id}", relative(original), names.snapshot)
}

pub(super) fn status_url(id: SnapshotId, original: &str, names: &ParamNames) -> String {
    format!("{}&{}=status", pinned_url(id, original, names), names.format)
}

/// Returns the path of a collection as a reference that names no host: one that begins with two slashes would (RFC 3986 §4.2).
pub(super) fn relative(original: &str) -> Cow<'_, str> {
    if original.starts_with("//") { format!("/.{original}").into() } else { original.into() }
}
