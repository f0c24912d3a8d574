//! Session: the snapshot for which a client's own name stands, `_snapshot=~NAME`.
//!
//! ```text
//!   free ── GET of all, HEAD ──▶ bound      to the newest complete snapshot that is fresh, else to one that grows
//!   free ── GET of a part ─────▶ refused    the client may have bytes of an earlier snapshot
//!   bound ── any request ──────▶ bound      to the same snapshot, while that is kept
//!   bound ── no-cache ─────────▶ bound      to another one, by a GET of all or a HEAD; also where its crawl broke for good
//! ```

use std::sync::Arc;

use super::ask::StreamRequest;
use super::fill::CacheFill;
use super::headers::CallerIdentity;
use crate::id::{CacheKey, SnapshotId};
use crate::request::{Reuse, SnapshotName, StreamOptions, View};
use crate::snapshot::{RequestKeys, Retention, Snapshot, SnapshotState};

/// Reason for which a session has no snapshot.
pub(super) const FREE: &str =
    "the session has no snapshot (any more), and only a request for the whole, or HEAD, gives it one";

/// A client's own name for a snapshot, and the snapshot that it stood for when the request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    key: CacheKey,
    before: Option<SnapshotId>,
}

impl Session {
    /// Returns the session that the request names. Its key contains the cache key, so that callers share it as they share snapshots.
    pub(super) fn of(request: &StreamRequest, keys: RequestKeys, fill: &CacheFill) -> Option<Self> {
        let Some(SnapshotName::Session(name)) = &request.options.named else { return None };
        let key = fill.registry.store().key(|part| {
            part(b"unpage session");
            part(keys.shared.to_string().as_bytes());
            part(name.as_str().as_bytes());
        });
        Some(Self { key, before: fill.registry.sessions().get(key) })
    }

    /// Returns `true` where the session had this snapshot.
    pub(super) fn has(&self, id: SnapshotId) -> bool {
        self.before == Some(id)
    }

    /// Returns the snapshot that answers a request with these options.
    pub(super) fn bound(&self, options: &StreamOptions) -> Option<SnapshotId> {
        let begins_anew = options.freshness.reuse == Reuse::Never && may_begin(options);
        self.before.filter(|_| !begins_anew)
    }

    /// Gives the session this snapshot. Returns the snapshot that it has then: another request may have been faster.
    pub(super) async fn bind(self, snapshot: &Snapshot, fill: &CacheFill) -> SnapshotId {
        let (registry, id) = (fill.registry.clone(), snapshot.id());
        let bound = tokio::task::spawn_blocking(move || registry.sessions().bind(self.key, self.before, id)).await;
        // Not bound where the process ends meanwhile.
        bound.unwrap_or(id)
    }
}

/// Returns `true` for a request that may give a session its snapshot: its client begins at the first byte, or says of which snapshot its bytes are.
pub(super) fn may_begin(options: &StreamOptions) -> bool {
    options.view == View::Records && (options.partial_range().is_none() || options.if_range.is_some())
}

/// Returns `true` where a request may give a session another snapshot, since this one broke and no crawl can resume
/// it, or its beginning was dropped.
pub(super) fn is_over(options: &StreamOptions, snapshot: &Snapshot) -> bool {
    let has_failed = matches!(snapshot.state(), SnapshotState::Broken(_) | SnapshotState::Stopped);
    let is_whole = snapshot.log().extent().from == 0;
    (has_failed && !snapshot.is_resumable() || !is_whole) && may_begin(options)
}

/// Returns `true` where a session may have this snapshot. One for its caller alone has no name that callers without credentials could guess.
pub(super) fn may_have(request: &StreamRequest, snapshot: &Arc<Snapshot>) -> bool {
    match snapshot.retention() {
        Retention::Shared => true,
        Retention::Private => request.caller.identity == CallerIdentity::Known,
        Retention::Transient => false,
    }
}
