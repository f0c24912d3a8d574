//! Key: the cache key of a request for a stream.

use super::ask::StreamRequest;
use super::fill::CacheFill;
use super::route::Route;
use crate::cache_key::{KeyedRequest, v1};
use crate::id::CacheKey;

/// Returns the key. Snapshots with an older version of it have it from now on, so that a lookup by this one finds them.
pub(super) fn key_of(request: &StreamRequest, route: &Route, fill: &CacheFill) -> CacheKey {
    let StreamRequest { options, collection, first, pagination, body, .. } = request;
    let keyed = KeyedRequest {
        pagination: route.canonical_pagination(),
        order: pagination.order,
        first,
        upstream: &collection.upstream,
        since: options.since.as_deref(),
        // A moment changes nothing where the upstream can't be asked for one.
        valid_at: options.accept_datetime.filter(|_| pagination.valid_at.is_some()),
    };
    let store = fill.registry.store();
    let key = store.key(|part| keyed.shared(collection, part));
    if !fill.older_keys.is_empty() {
        let first_version = store.key(|part| v1::shared(&keyed, collection, pagination, body, part));
        fill.older_keys.adopt(&fill.registry, first_version, key);
    }
    key
}
