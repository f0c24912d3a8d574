//! Snapshots of earlier processes whose keys have an older version: each gets its keys of now from the first request that has both.
//!
//! A snapshot of version 2 may have no reader's key: it is from the time before header fields had classes, and its cache key has other fields.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::Deserialize;

use crate::cache_key::{KEY_VERSION, first_version};
use crate::id::{CacheKey, SnapshotId};
use crate::snapshot::{Registry, RequestKeys, StoredSnapshot};

/// Snapshots that have another version than [`KEY_VERSION`] or no reader's key, and that no request has claimed, by version and key.
#[derive(Debug)]
pub(super) struct OlderKeys(Mutex<HashMap<(u32, CacheKey), Vec<SnapshotId>>>);

/// Version of a key, from what the journal has of a snapshot's beginning.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default = "first_version")]
    key_version: u32,
}

impl OlderKeys {
    pub(super) fn new(stored: &[StoredSnapshot]) -> Self {
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for StoredSnapshot { id, birth, .. } in stored {
            let version =
                serde_json::from_str(birth.begun.get()).map_or(KEY_VERSION, |Versioned { key_version }| key_version);
            if version > KEY_VERSION {
                tracing::warn!("snapshot {id}: can't be served: {}", explained(version));
            }
            if version != KEY_VERSION || birth.facts.reader.is_none() {
                by_key.entry((version, birth.key)).or_default().push(*id);
            }
        }
        Self(Mutex::new(by_key))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Gives the snapshots of this key of an older version their keys of now.
    pub(super) fn adopt(&self, registry: &Registry, version: u32, older: CacheKey, keys: RequestKeys) {
        // Held until all of them have their keys: a request that finds nothing to adopt must find them by the keys of now.
        let mut by_key = self.0.lock();
        let Some(adopted) = by_key.remove(&(version, older)) else { return };
        for id in adopted {
            tracing::info!(
                "snapshot {id}: its cache key of version {version} is replaced by one of version {KEY_VERSION}"
            );
            registry.rekey(id, older, keys);
        }
    }

    /// Reason for which no request finds a snapshot that is kept, if its key's version is one.
    pub(super) fn reason(&self, registry: &Registry, id: SnapshotId) -> Option<String> {
        let by_key = self.0.lock();
        if !registry.has(id) {
            return None;
        }
        let ((version, _), _) = by_key.iter().find(|(_, snapshots)| snapshots.contains(&id))?;
        Some(explained(*version))
    }
}

fn explained(version: u32) -> String {
    if version > KEY_VERSION {
        format!("its cache key has version {version}, which a newer unpage has written")
    } else {
        format!(
            "its cache key has version {version}, which an older unpage has written, and the configuration, the request or the \
             credentials are not those that it was made for"
        )
    }
}
