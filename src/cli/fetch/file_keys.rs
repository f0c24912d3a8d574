//! Origin of a partial file: its cache keys, by which a later run finds that it has the same records of the same caller.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cache_key::{CanonicalPagination, KEY_VERSION, KeyedRequest, first_version, v1};
use crate::crawl::Crawl;
use crate::id::CacheKey;

/// Cache keys of what a crawl fetches.
#[derive(Debug)]
pub(super) struct FileKeys {
    /// Key of the records.
    pub(super) records: CacheKey,
    /// Hash of what may tell callers apart: header fields and credentials.
    pub(super) caller: CacheKey,
}

/// Beginning of a crawl, as the journal keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct CrawlOrigin {
    /// Version of the file's cache keys.
    #[serde(default = "first_version")]
    pub(super) key_version: u32,
    /// Hash of the header fields of its requests.
    pub(super) fields: CacheKey,
    /// Checkpoint of the crawl's first page.
    pub(super) crawl: Box<RawValue>,
}

impl FileKeys {
    pub(super) fn current(crawl: &Crawl) -> Self {
        let request = KeyedRequest {
            pagination: &CanonicalPagination::new(&crawl.pagination),
            order: crawl.pagination.order,
            first: &crawl.first,
            parents: crawl.parents.as_ref().map(|parents| parents.identity.as_str()),
            upstream: crawl.client.upstream(),
            since: crawl.since.as_deref(),
            valid_at: crawl.valid_at,
        };
        Self {
            records: CacheKey::from_parts(|part| request.records(part)),
            caller: CacheKey::from_parts(|part| request.caller(part)),
        }
    }

    /// Keys of an earlier version, or of this one; none for a newer version.
    pub(super) fn of_version(version: u32, crawl: &Crawl) -> Option<Self> {
        match version {
            1 => {
                let (first, upstream) = (&crawl.first, crawl.client.upstream());
                Some(Self {
                    records: CacheKey::from_parts(|part| v1::file(first, &crawl.pagination, part)),
                    caller: CacheKey::from_parts(|part| v1::file_fields(first, upstream, part)),
                })
            }
            KEY_VERSION => Some(Self::current(crawl)),
            _ => None,
        }
    }
}
