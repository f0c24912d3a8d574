//! Birth of a snapshot: the first entry of its journal.

use std::sync::LazyLock;
use std::time::SystemTime;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ask::{StreamRequest, UnattendedRequest};
use crate::cache_key::{KEY_VERSION, first_version};
use crate::crawl::Opened;
use crate::request::StorePolicy;
use crate::snapshot::cache_control::StorageDemand;
use crate::snapshot::{Birth, FileStorage, RequestKeys, Retention, SnapshotFacts};

/// Part of the journal's first line that belongs to the gateway.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FillRecord {
    /// Version of the snapshot's cache key.
    #[serde(default = "first_version")]
    key_version: u32,
    /// Request with which the crawl can be resumed without a client; none where it needs something of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unattended: Option<UnattendedRequest>,
    /// The crawl's own part.
    pub(super) crawl: Box<RawValue>,
}

/// Returns the first entry of a new snapshot's journal.
pub(super) fn birth(opened: &Opened, request: &StreamRequest, keys: RequestKeys) -> Birth {
    let retention = match request.options.freshness.storage {
        StorePolicy::Forbidden => Retention::Transient,
        StorePolicy::Allowed => {
            let caller = request.caller.identity;
            let first = opened.heads().into_iter().map(|head| StorageDemand::of(&head.headers).of_first(caller));
            first.fold(opened.demand().of_later(caller), Retention::max)
        }
    };
    let record = FillRecord { key_version: KEY_VERSION, unattended: request.unattended(), crawl: opened.saved() };
    let begun = serde_json::value::to_raw_value(&record).expect("its keys are texts");
    let text = |name| first_answer(opened).get(name)?.to_str().ok().map(ToOwned::to_owned);
    let facts = SnapshotFacts {
        collection: request.collection.path.clone(),
        created: SystemTime::now(),
        valid_at: opened.valid_at(),
        etag: text(http::header::ETAG),
        last_modified: text(http::header::LAST_MODIFIED),
        total: opened.total(),
        storage: if retention == Retention::Transient { FileStorage::Forbidden } else { FileStorage::Allowed },
        reader: Some(keys.reader),
    };
    Birth { key: keys.shared, facts, retention, begun }
}

fn first_answer(opened: &Opened) -> &HeaderMap {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    opened.head().map_or(&NONE, |head| &head.headers)
}
