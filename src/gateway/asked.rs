//! What a client asks of the snapshots: its first page's request, and the key by which it is known who asks for the same.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use url::Url;

use super::headers::{for_a_crawl, say_who};
use super::older_keys::OlderKeys;
use super::route::Route;
use super::unattended::Unattended;
use crate::cache_key::{self, KeyedRequest};
use crate::config::Scope;
use crate::id::CacheKey;
use crate::pagination::request::{RequestBody, decoded_name};
use crate::pagination::{PageRequest, Pagination, PartOrder};
use crate::request::{Params, Wish};
use crate::snapshot::Registry;

/// One request for a stream.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The first page's request.
    pub(super) first: PageRequest,
    /// How its pages are walked, in the order that is wished for.
    pub(super) pagination: Arc<Pagination>,
    /// What the answer says of that wish (RFC 7240 §3).
    pub(super) applied: Option<HeaderValue>,
    /// Path and query as they name the same stream: what is unpage's own is left out, but for where it begins.
    pub(super) original: String,
    /// Whether it says who asks.
    pub(super) caller: Caller,
    /// What it asks for, and for whom.
    pub(super) key: CacheKey,
    /// The same in version 1, where snapshots with such keys are kept.
    pub(super) first_key: Option<CacheKey>,
    /// The same without the client, where nothing of it is needed but that.
    pub(super) unattended: Option<Unattended>,
}

/// Whether a request says who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// It does, and so nobody else has its key.
    Known,
    /// It doesn't, or it doesn't matter.
    Anybody,
}

impl Asked {
    /// What is asked for by this head and body.
    pub(super) fn read(
        route: &Route,
        head: &Parts,
        body: &Bytes,
        wish: &Wish,
        params: &Params,
        registry: &Registry,
        older: &OlderKeys,
    ) -> Result<Self, serde_json::Error> {
        let collection = route.collection();
        let scope = collection.sharing.scope;
        let headers = for_a_crawl(&head.headers, scope);
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        let read = RequestBody::read(content_type, body.clone(), collection.pagination.body_kind())?;
        // Who goes on with a crawl may spell its URL in another order than who began it.
        let url = canonical(route.upstream_url(&head.uri, params));
        let first = PageRequest { method: collection.method.clone(), url, headers, body: read };
        let first =
            PageRequest { body: first.body.or_else(|| collection.body.clone().map(RequestBody::Json)), ..first };
        let (pagination, applied) = ordered(&collection.pagination, wish.order);
        let caller = if scope == Scope::Caller && say_who(&first.headers) { Caller::Known } else { Caller::Anybody };
        let request = KeyedRequest {
            pagination: route.canonical_pagination(),
            order: pagination.order,
            first: &first,
            upstream: &collection.upstream,
            since: wish.since.as_deref(),
            // A wish for a moment changes nothing where the upstream can't be asked for one.
            valid_at: wish.accept_datetime.filter(|_| pagination.valid_at.is_some()),
        };
        let store = registry.store();
        let key = store.key(request.shared(collection).iter());
        let first_key = (!older.is_empty())
            .then(|| store.key(cache_key::v1::shared(&request, collection, &pagination, body).iter()));
        let original = original(&head.uri, params);
        let alone = first.headers.is_empty() && wish.accept_datetime.is_none() && applied.is_none();
        let unattended = alone.then(|| Unattended::of(&original, body)).flatten();
        Ok(Self { first, pagination, applied, original, caller, key, first_key, unattended })
    }

    /// The credentials that go upstream with it, where there are any that are known to be such: of another field nobody knows whether it
    /// says who asks.
    pub(super) fn credentials(&self, registry: &Registry) -> Option<CacheKey> {
        let fields = [AUTHORIZATION, COOKIE].map(|name| {
            let values: Vec<&[u8]> = self.first.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            values.join(&b'\n')
        });
        let has_some = fields.iter().any(|field| !field.is_empty());
        has_some.then(|| registry.store().key(fields.iter().map(Vec::as_slice)))
    }
}

/// The pagination with the order that the client prefers, and what the answer says of that. What has no parts has no order to
/// choose.
fn ordered(pagination: &Arc<Pagination>, order: Option<PartOrder>) -> (Arc<Pagination>, Option<HeaderValue>) {
    let Some(order) = order.filter(|_| pagination.partition.is_some()) else { return (Arc::clone(pagination), None) };
    let applied = HeaderValue::from_static(match order {
        PartOrder::Any => "order=any",
        PartOrder::Listed => "order=listed",
    });
    (Arc::new(Pagination { order, ..Pagination::clone(pagination) }), Some(applied))
}

/// A URL whose parameters are sorted; one that has none has no query.
fn canonical(mut url: Url) -> Url {
    let sorted = url.query().map(sorted).filter(|query| !query.is_empty());
    url.set_query(sorted.as_deref());
    url
}

/// The parameters, each as it is spelled, sorted by what their names mean: many an API takes the last of one name, so those keep their
/// order.
fn sorted(query: &str) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_cached_key(|pair| decoded_name(pair));
    pairs.join("&")
}

/// The client's path and query, without unpage's parameters but for the one that says where the stream begins.
fn original(uri: &http::Uri, params: &Params) -> String {
    let own = |pair: &&str| {
        let name = decoded_name(pair);
        name == params.format || name == params.snapshot
    };
    let query = uri.query().unwrap_or_default();
    let kept: Vec<&str> = query.split('&').filter(|pair| !own(pair)).collect();
    let query = sorted(&kept.join("&"));
    if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Names in several spellings, values, and pairs that are none.
    fn queries() -> impl Strategy<Value = String> {
        let name =
            prop::sample::select(vec!["x", "%78", "X", "%58", "y", "%79", "", "a+b", "a%20b", "%", "é", "%C3%A9"]);
        let pair = (name, "(|=|=[0-3]|=%3[0-3]|=a=b)").prop_map(|(name, value)| format!("{name}{value}"));
        prop::collection::vec(pair, 0..8).prop_map(|pairs| pairs.join("&"))
    }

    /// What the pairs of each name say, in their order.
    fn meaning(query: &str) -> BTreeMap<String, Vec<String>> {
        let mut meaning = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            meaning.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        meaning
    }

    proptest! {
        #[test]
        fn sorting_keeps_every_spelling_and_the_order_of_those_of_one_name(query in queries()) {
            let sorted = sorted(&query);
            prop_assert_eq!(meaning(&sorted), meaning(&query));
            let pairs = |query: &str| {
                let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
                pairs.sort();
                pairs
            };
            prop_assert_eq!(pairs(&sorted), pairs(&query));
            prop_assert_eq!(super::sorted(&sorted), sorted);
        }
    }

    #[test]
    fn a_query_without_parameters_is_none() {
        let read = |url: &str| canonical(url.parse().unwrap()).to_string();
        for url in ["http://a/list", "http://a/list?", "http://a/list?&&"] {
            assert_eq!(read(url), "http://a/list", "{url}");
        }
        assert_eq!(read("http://a/list?&b&&a=1&"), "http://a/list?a=1&b");
    }

    #[test]
    fn parameters_of_one_name_keep_their_order_however_they_are_spelled() {
        assert_eq!(sorted("x=1&n=1&%78=2"), "n=1&x=1&%78=2");
        assert_eq!(sorted("%78=2&n=1&x=1"), "n=1&%78=2&x=1");
    }

    #[test]
    fn a_query_is_the_same_in_any_order_of_its_names() {
        for (one, other) in [("b=2&a=1", "a=1&b=2"), ("a=1&b=2&a=0", "b=2&a=1&a=0"), ("", "&&"), ("a", "a")] {
            assert_eq!(sorted(one), sorted(other), "{one:?} and {other:?}");
        }
        for (one, other) in [("a=1&a=2", "a=2&a=1"), ("a=1", "A=1"), ("a=", "a"), ("a=%31", "a=1")] {
            assert_ne!(sorted(one), sorted(other), "{one:?} and {other:?}");
        }
    }
}
