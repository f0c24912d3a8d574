//! Result of a lookup, and the requirements of its caller.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::leader::FlightLeader;
use super::single_flight::Subscription;
use super::snapshot::Snapshot;
use crate::id::SnapshotId;

/// Required recency of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    /// Begun less than `max_age` ago and, if it has ended, fresh less than `fresh_for` ago.
    Within { fresh_for: Duration, max_age: Duration },
    /// Begun from now on.
    New,
}

/// Purpose of a lookup by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupPurpose {
    /// Reading to the end: the crawl of an interrupted snapshot is resumed.
    Read,
    /// Looking at the state.
    Look,
}

#[derive(Debug)]
pub enum LookupResult {
    /// The caller has to open the snapshot: to begin a crawl, or to read it from the storage.
    Lead(FlightLeader),
    /// Another caller is opening it.
    Follow(Subscription),
    /// It is in memory, complete or growing.
    Found(Arc<Snapshot>),
    /// It is in the storage, to be looked up by this id. Only of a lookup by key.
    Stored(SnapshotId),
    /// Its crawl was interrupted, and the request would resume it with other header fields than it began with. Only of a lookup by id.
    OtherFields,
}

impl Recency {
    /// Returns true if a growing snapshot is recent enough.
    pub(super) fn accepts_growing(self, snapshot: &Snapshot) -> bool {
        snapshot.log().extent().from == 0 && self.covers(snapshot.facts().created, None)
    }

    /// Returns true if a complete snapshot is recent enough.
    pub(super) fn accepts_complete(self, snapshot: &Snapshot) -> bool {
        snapshot.log().extent().from == 0 && self.covers(snapshot.facts().created, snapshot.fresh_at())
    }

    pub(super) fn covers(self, created: SystemTime, fresh_at: Option<SystemTime>) -> bool {
        let Self::Within { fresh_for, max_age } = self else { return false };
        let now = SystemTime::now();
        // A clock that was set back makes nothing old.
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        since(created) <= max_age && fresh_at.is_none_or(|fresh_at| since(fresh_at) < fresh_for)
    }
}
