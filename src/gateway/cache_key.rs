//! Key: the keys of a request for a stream.

use std::borrow::Cow;

use http::HeaderMap;

use super::ask::StreamRequest;
use super::fill::CacheFill;
use super::headers::connection_options;
use super::route::Route;
use crate::cache_key::{KeyedRequest, of_sender, v1, v2};
use crate::pagination::PageRequest;
use crate::snapshot::RequestKeys;

/// Returns the keys of a request with these fields. Snapshots with an older version of them have them from now on, so that a lookup finds them.
pub(super) fn keys_of(request: &StreamRequest, headers: &HeaderMap, route: &Route, fill: &CacheFill) -> RequestKeys {
    let StreamRequest { options, collection, first, parents, caller, pagination, body, .. } = request;
    let keyed = KeyedRequest {
        pagination: route.canonical_pagination(),
        order: pagination.order,
        first,
        parents: parents.as_ref().map(|parents| parents.identity.as_str()),
        upstream: &collection.upstream,
        since: options.since.as_deref(),
        // A moment changes nothing where the upstream can't be asked for one.
        valid_at: options.accept_datetime.filter(|_| pagination.valid_at.is_some()),
    };
    let store = fill.registry.store();
    let common = store.keyed_hash(|part| keyed.common(part));
    let of = |fields| common.clone().key(|part| of_sender(collection, fields, part));
    let shared = of(&first.headers);
    let reader = if caller.fields.len() == first.headers.len() { shared } else { of(&caller.fields) };
    let keys = RequestKeys { shared, reader };
    if !fill.older_keys.is_empty()
        && let Some(first) = as_before(request, headers)
    {
        let older = KeyedRequest { first: &first, ..keyed };
        let first_version = store.key(|part| v1::shared(&older, collection, pagination, body, part));
        let second_version = store.key(|part| older.shared(collection, part));
        for (version, key) in [(1, first_version), (2, second_version)] {
            fill.older_keys.adopt(&fill.registry, version, key, keys);
        }
    }
    keys
}

/// Returns the first page's request with the fields that were sent before fields had classes; none where an identity was not: the records
/// that were kept then may be of another caller.
fn as_before<'a>(request: &'a StreamRequest, headers: &HeaderMap) -> Option<Cow<'a, PageRequest>> {
    let StreamRequest { collection, first, caller, .. } = request;
    let named: Vec<_> = connection_options(headers).collect();
    let mut sent = v2::sent(headers, &named, collection.sharing.scope);
    super::headers::join_cookies(&mut sent);
    if sent == first.headers {
        return Some(Cow::Borrowed(first));
    }
    let all_sent = caller.fields.keys().all(|name| sent.contains_key(name));
    all_sent.then(|| Cow::Owned(PageRequest { headers: sent, ..first.clone() }))
}
