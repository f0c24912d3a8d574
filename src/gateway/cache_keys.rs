//! Key: the cache keys of a request for a stream.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use super::ask::StreamRequest;
use super::older_keys::OlderKeys;
use super::route::Route;
use crate::cache_key::{KeyedRequest, v1};
use crate::id::CacheKey;
use crate::snapshot::Registry;

/// Cache keys of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheKeys {
    pub(super) current: CacheKey,
    /// Key of version 1; none where no snapshot with such a key is kept.
    pub(super) first_version: Option<CacheKey>,
}

impl CacheKeys {
    pub(super) fn new(route: &Route, request: &StreamRequest, registry: &Registry, older: &OlderKeys) -> Self {
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
        let store = registry.store();
        let first_version =
            (!older.is_empty()).then(|| store.key(v1::shared(&keyed, collection, pagination, body).iter()));
        Self { current: store.key(keyed.shared(collection).iter()), first_version }
    }
}

/// Returns a hash of the credentials that go upstream, for the quota; none where there are none that are known to be credentials. Any other
/// field may be one, too, but need not.
pub(super) fn credentials(headers: &HeaderMap, registry: &Registry) -> Option<CacheKey> {
    let fields = [AUTHORIZATION, COOKIE].map(|name| {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        values.join(&b'\n')
    });
    let has_some = fields.iter().any(|field| !field.is_empty());
    has_some.then(|| registry.store().key(fields.iter().map(Vec::as_slice)))
}
