//! Operator's list of snapshots.

use std::time::{Duration, SystemTime};

use super::facts::ShownRequest;
use super::seal::Seal;
use super::snapshot::{Snapshot, SnapshotState};
use super::snapshot_index::{IdEntry, SnapshotIndex};
use super::storage::StoredSnapshot;
use crate::id::SnapshotId;
use crate::upstream_usage::UsageCounts;

#[derive(Clone, Debug)]
pub struct SnapshotListing {
    pub id: SnapshotId,
    /// Path of the collection, as it is configured.
    pub collection: String,
    /// `running`, `complete`, `broken` or `stopped`.
    pub state: &'static str,
    /// Word of the consistency, where it is complete.
    pub consistency: Option<&'static str>,
    /// Verdict of a complete snapshot, failure of a broken one.
    pub end: Option<String>,
    /// Request that the snapshot answers; `None` if no request has opened the snapshot since the start.
    pub request: Option<ShownRequest>,
    pub is_stored: bool,
    pub records: u64,
    pub bytes: u64,
    pub pages: u64,
    /// `None` if the snapshot has not been opened since the start.
    pub usage: Option<UsageCounts>,
    /// First byte that can still be read.
    pub from: u64,
    pub readers: usize,
    pub created: SystemTime,
    /// `None` while it is written or read.
    pub expires: Option<SystemTime>,
}

/// Lists all kept snapshots, the newest first.
pub(super) fn list(index: &SnapshotIndex) -> Vec<SnapshotListing> {
    let listed = |entry: IdEntry| match entry {
        IdEntry::Here(snapshot) => Some(listed_here(&snapshot)),
        IdEntry::Stored(stored) => Some(listed_stored(&stored, index.keep_for)),
        IdEntry::Opening { .. } => None,
    };
    let mut list: Vec<_> = index.by_id.iter().filter_map(|(_, entry)| listed(entry)).collect();
    list.sort_by_key(|listing| std::cmp::Reverse(listing.created));
    list
}

fn listed_here(snapshot: &Snapshot) -> SnapshotListing {
    let extent = snapshot.log().extent();
    let state = snapshot.state();
    let usage = snapshot.usage().counts();
    SnapshotListing {
        id: snapshot.id(),
        collection: snapshot.facts().collection.clone(),
        state: match state {
            SnapshotState::Running => "running",
            SnapshotState::Complete(_) => "complete",
            SnapshotState::Broken(_) => "broken",
            SnapshotState::Stopped => "stopped",
        },
        consistency: match &state {
            SnapshotState::Complete(verdict) => Some(verdict.consistency.word()),
            _ => None,
        },
        end: match &state {
            SnapshotState::Complete(verdict) => Some(verdict.to_string()),
            SnapshotState::Broken(failure) => Some(failure.message.clone()),
            SnapshotState::Stopped => stopped_by(extent.seal.as_ref()),
            SnapshotState::Running => None,
        },
        request: snapshot.request().cloned(),
        is_stored: snapshot.log().stored_bytes() > 0,
        records: extent.records,
        bytes: extent.bytes,
        pages: usage.pages,
        usage: Some(usage),
        from: extent.from,
        readers: extent.readers,
        created: snapshot.facts().created,
        expires: snapshot.expires(),
    }
}

fn stopped_by(seal: Option<&Seal>) -> Option<String> {
    match seal {
        Some(Seal::Failed(failure)) => Some(failure.message.clone()),
        Some(Seal::Complete(_)) | None => None,
    }
}

fn listed_stored(stored: &StoredSnapshot, keep_for: Duration) -> SnapshotListing {
    SnapshotListing {
        id: stored.id,
        collection: stored.birth.facts.collection.clone(),
        state: if stored.verdict.is_some() { "complete" } else { "stopped" },
        consistency: stored.verdict.as_ref().map(|verdict| verdict.consistency.word()),
        end: stored.verdict.as_ref().map(ToString::to_string),
        request: None,
        is_stored: true,
        records: stored.records,
        bytes: stored.bytes,
        pages: stored.verdict.as_ref().map_or(stored.pages, |verdict| verdict.pages),
        usage: None,
        from: 0,
        readers: 0,
        created: stored.birth.facts.created,
        expires: Some(stored.modified + keep_for),
    }
}
