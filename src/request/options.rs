//! Options of a request for a stream.

use std::time::SystemTime;

use http::{Method, Version};

use super::{Freshness, IfNoneMatch, IfRange, MediaType, Range, Trailers, WantDigest};
use crate::id::SnapshotId;
use crate::pagination::PartOrder;

/// Options of a request for a stream, read from its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// GET, HEAD, or the method of the collection.
    pub method: Method,
    /// Version of HTTP; over HTTP/1.0 only a body with a known length can be told from a broken one.
    pub version: Version,
    pub media_type: MediaType,
    /// Preferred order of the collection's parts.
    pub order: Option<PartOrder>,
    pub view: View,
    /// Snapshot that the URL names.
    pub pinned: Option<SnapshotId>,
    /// Range of a GET.
    pub range: Option<Range>,
    /// Condition of the range.
    pub if_range: Option<IfRange>,
    /// Snapshots that the client has; only for GET and HEAD.
    pub if_none_match: Option<IfNoneMatch>,
    pub freshness: Freshness,
    /// Digest of the whole that the client wants.
    pub digest: WantDigest,
    pub trailers: Trailers,
    /// Moment that the stream shall be of.
    pub accept_datetime: Option<SystemTime>,
    /// Key of the record after which the stream begins.
    pub since: Option<String>,
}

/// View of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Records,
    Status,
}
