//! Facts that are known of a snapshot when its crawl begins, as responses, lists and the journal show them.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::serde_millis;
use crate::id::CacheKey;

/// First entry of a snapshot's journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Birth {
    pub key: CacheKey,
    pub facts: SnapshotFacts,
    #[serde(rename = "keeping")]
    pub retention: Retention,
    /// Request that starts the crawl again after an interruption.
    pub begun: SavedCrawl,
}

/// JSON that the crawl writes and only the crawl reads.
pub type SavedCrawl = Box<RawValue>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// Path of the collection, as it is configured.
    pub collection: String,
    /// Start of the crawl.
    #[serde(with = "serde_millis")]
    pub created: SystemTime,
    /// Moment that the upstream was asked to answer for (RFC 7089).
    #[serde(with = "serde_millis::maybe")]
    pub valid_at: Option<SystemTime>,
    /// Entity tag of the collection at the upstream.
    pub etag: Option<String>,
    /// `Last-Modified` of the collection at the upstream.
    pub last_modified: Option<String>,
    /// Number of records, as the upstream reports it.
    pub total: Option<u64>,
    pub storage: FileStorage,
    /// Key of the callers that may read it by its name; none in journals of older versions, where the cache key is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<CacheKey>,
}

/// Request of a snapshot as an operator may see it: without credentials, and without the values of its query, which can be secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRequest {
    /// Path and query without unpage's parameters; `…` stands for each value.
    pub target: String,
    /// True where a GET can ask for the snapshot by its id.
    pub has_address: bool,
    pub sender: CallerIdentity,
}

/// Identity of a caller, as the fields of its request tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerIdentity {
    /// A field may identify the caller, so that no other caller has its cache key: any that is not known to have another purpose.
    Known,
    /// No field does, or the collection is public.
    Unknown,
}

/// Permission to write a snapshot to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileStorage {
    Allowed,
    Forbidden,
}

/// Lifetime of a snapshot after the response that it was made for; the greater, the shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Retention {
    /// Every request with the same cache key may get it.
    #[serde(rename = "shared")]
    Shared,
    /// Only a request that names its id may get it.
    #[serde(rename = "named")]
    Private,
    /// Ends with its last reader.
    #[serde(rename = "unkept")]
    Transient,
}

#[cfg(test)]
impl Birth {
    pub(super) fn in_test(collection: &str) -> Self {
        let created = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        let facts = SnapshotFacts {
            collection: collection.to_owned(),
            created,
            valid_at: None,
            etag: None,
            last_modified: None,
            total: Some(3),
            storage: FileStorage::Allowed,
            reader: None,
        };
        let begun = RawValue::from_string("{ \"page\":\n1}".to_owned()).expect("JSON");
        Self { key: CacheKey::from_bytes([7; 32]), facts, retention: Retention::Shared, begun }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Journals of older versions have these words.
    #[test]
    fn a_birth_is_written_in_the_words_of_version_1() {
        let text = serde_json::to_string(&Birth::in_test("/orders")).unwrap();
        assert!(text.contains("\"keeping\":\"shared\"") && text.contains("\"storage\":\"Allowed\""), "{text}");
        let words = [Retention::Shared, Retention::Private, Retention::Transient];
        assert_eq!(serde_json::to_string(&words).unwrap(), "[\"shared\",\"named\",\"unkept\"]");
    }
}
