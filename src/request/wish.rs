//! Everything that a client may wish of a stream.

use std::time::SystemTime;

use http::{Method, Version};

use super::{Freshness, IfNoneMatch, IfRange, MediaType, Range, WantDigest};
use crate::id::SnapshotId;
use crate::pagination::PartOrder;

/// What a client that asks for a stream says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// GET, HEAD, or the method of the collection.
    pub method: Method,
    /// What the client speaks; over HTTP/1.0 only a body whose length is known can be told from a broken one.
    pub version: Version,
    /// What the stream is labelled as.
    pub media_type: MediaType,
    /// In which order its parts may leave, where the client has a wish.
    pub order: Option<PartOrder>,
    /// The records, or what is known of them.
    pub view: View,
    /// The snapshot that the URL names.
    pub pinned: Option<SnapshotId>,
    /// The part that is wanted; only of a GET.
    pub range: Option<Range>,
    /// The snapshot that it has to be a part of.
    pub if_range: Option<IfRange>,
    /// The snapshots that the client has; only of a GET or HEAD.
    pub if_none_match: Option<IfNoneMatch>,
    /// How old it may be.
    pub freshness: Freshness,
    /// The digest that its client wants of the whole.
    pub digest: WantDigest,
    /// The moment that it shall be of.
    pub accept_datetime: Option<SystemTime>,
    /// The key of the record that it shall go on behind.
    pub since: Option<String>,
}

/// What of a snapshot is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Its records.
    Records,
    /// Its state.
    Status,
}
