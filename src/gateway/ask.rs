//! Ask: a request for a stream, with the request of the first page that it stands for.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use url::Url;

use super::client_body::{BODY_LIMIT, MAX_REQUEST_BODY};
use super::headers::{CrawlCaller, for_a_crawl};
use super::parents;
use super::route::Route;
use crate::config::Collection;
use crate::crawl::{Crawl, Crawls, Parents};
use crate::pagination::first_value::is_first_value;
use crate::pagination::request::{RequestBody, decoded_name};
use crate::pagination::{PageRequest, Pagination, Param, PartOrder};
use crate::request::{EndWait, ParamNames, StreamOptions};
use crate::response::BoxError;
use crate::snapshot::{MemoryBudget, ShownRequest};
use crate::trace::{CrawlTrace, TraceContext};
use crate::upstream::Client;

/// A client's request for a stream, as far as it decides which crawl answers it.
#[derive(Debug)]
pub(super) struct StreamRequest {
    pub(super) options: StreamOptions,
    pub(super) collection: Arc<Collection>,
    client: Client,
    /// Context of the request in its client's trace, which the traces of its crawls link.
    trace: Option<TraceContext>,
    /// Request of the first page. Its URL has sorted parameters: a client that resumes may spell them in another order.
    pub(super) first: PageRequest,
    /// Parents, of a request for the lists of all. Their segments are open in `first`.
    pub(super) parents: Option<Arc<Parents>>,
    pub(super) caller: CrawlCaller,
    /// Pagination of the collection, with the order of parts that the client prefers.
    pub(super) pagination: Arc<Pagination>,
    /// Preferred order of parts that applies, as `Preference-Applied` says it (RFC 7240 §3).
    pub(super) applied: Option<HeaderValue>,
    /// Path and query without unpage's parameters, but for the one that says where the stream begins.
    pub(super) original: String,
    pub(super) peer: Option<IpAddr>,
    /// The client's body, as it came.
    pub(super) body: Bytes,
}

/// A request for a stream that a crawl can be resumed with while no client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnattendedRequest {
    /// Path and query.
    pub(super) target: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Larger than [`MAX_REQUEST_BODY`], or broken off.
    TooLarge,
    /// Not complete within [`BODY_LIMIT`].
    TooSlow,
}

pub(super) async fn read_body<B>(body: B) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_REQUEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::TooSlow),
    }
}

impl StreamRequest {
    /// Reads the rest of a request whose head asks for a stream.
    ///
    /// # Errors
    /// Fails where the body is not the JSON that it is labelled as, or that the pages' requests must have.
    pub(super) fn new(
        route: &Route,
        head: &Parts,
        body: Bytes,
        options: StreamOptions,
        names: &ParamNames,
    ) -> Result<Self, serde_json::Error> {
        let collection = Arc::clone(route.collection());
        let scope = collection.sharing.scope;
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        let read = RequestBody::read(content_type, body.clone(), collection.pagination.body_kind())?;
        let (sent, caller) = for_a_crawl(&head.headers, scope, &collection.upstream.fields);
        let (url, parents) = url_and_parents(route, &head.uri, names, &sent);
        let first = PageRequest {
            method: collection.method.clone(),
            url: canonical(url),
            headers: sent,
            body: read.or_else(|| collection.body.clone().map(RequestBody::Json)),
        };
        let (pagination, applied) = in_order(&collection.pagination, options.order);
        let original = original(&head.uri, names);
        Ok(Self {
            client: route.client().clone(),
            trace: TraceContext::of(&head.headers),
            peer: head.extensions.get::<IpAddr>().copied(),
            options,
            collection,
            first,
            parents,
            caller,
            pagination,
            applied,
            original,
            body,
        })
    }

    /// Returns `true` where the request names a later page by the collection's own parameter, in its body or a header field. The query was
    /// looked at by [`StreamOptions::read`]; such a request is forwarded, too.
    pub(super) fn names_a_page(&self) -> bool {
        self.options.pinned().is_none() && later_page(&self.pagination, &self.first).is_some()
    }

    /// Returns `true` where a GET can ask for the request's snapshot by its id.
    pub(super) fn has_address(&self) -> bool {
        matches!(self.options.method, Method::GET | Method::HEAD)
    }

    /// Returns the value of `Preference-Applied` (RFC 7240 §3).
    pub(super) fn applied_preferences(&self) -> Option<HeaderValue> {
        match (&self.applied, self.options.wait) {
            (Some(order), Some(EndWait::Preferred(seconds))) => {
                let order = order.to_str().unwrap_or_default();
                HeaderValue::try_from(format!("{order}, wait={seconds}")).ok()
            }
            (None, Some(EndWait::Preferred(seconds))) => HeaderValue::try_from(format!("wait={seconds}")).ok(),
            (order, _) => order.clone(),
        }
    }

    /// Returns the same request without its client; none where the crawl needs the client's header fields, or the body is not text.
    pub(super) fn unattended(&self) -> Option<UnattendedRequest> {
        let needs_client =
            !self.first.headers.is_empty() || self.options.accept_datetime.is_some() || self.applied.is_some();
        let body = std::str::from_utf8(&self.body).ok().filter(|_| !needs_client)?;
        Some(UnattendedRequest { target: self.original.clone(), body: body.to_owned() })
    }

    /// Returns the request as an operator may see it.
    pub(super) fn shown(&self) -> ShownRequest {
        let (path, query) = self.original.split_once('?').unwrap_or((&self.original, ""));
        let names = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
        let names: Vec<_> = names.map(|name| format!("{name}=…")).collect();
        let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
        let (target, sender) = (format!("{path}{query}"), self.caller.identity);
        ShownRequest { target, has_address: self.has_address(), sender }
    }

    /// Returns a crawl that fills a snapshot for this request, in a trace of its own: a refreshed collection has one request and any number of
    /// crawls.
    pub(super) fn crawl(&self, memory: &MemoryBudget, crawls: &Crawls) -> Crawl {
        Crawl {
            client: self.client.clone().in_trace(CrawlTrace::new(&self.collection.path, self.trace)),
            pagination: Arc::clone(&self.pagination),
            caps: self.collection.caps.clone(),
            first: self.first.clone(),
            since: self.options.since.clone(),
            valid_at: self.options.accept_datetime,
            // A client that only wants a head needs no page but the first.
            width: if self.options.method == Method::HEAD { 1 } else { self.width() },
            memory: memory.clone(),
            crawls: crawls.clone(),
            parents: self.parents.clone(),
        }
    }

    /// Returns the number of pages that may be in flight once the stream is read.
    pub(super) fn width(&self) -> usize {
        self.collection.upstream.pace.widest()
    }
}

/// Returns the URL of the first page, and the parents where the request is for the lists of all.
pub(super) fn url_and_parents(
    route: &Route,
    uri: &http::Uri,
    names: &ParamNames,
    sent: &HeaderMap,
) -> (Url, Option<Arc<Parents>>) {
    let url = route.upstream_url(uri, names);
    let open = parents::open_segments(route);
    match parents::parents(route, &open, sent) {
        Some(parents) => {
            let open: Vec<_> = open.iter().map(String::as_str).collect();
            (route.lists_url(&open, url.query()), Some(parents))
        }
        None => (url, None),
    }
}

/// Returns the parameter by which a request names a page behind the first.
pub(super) fn later_page<'a>(pagination: &'a Pagination, request: &PageRequest) -> Option<&'a Param> {
    let style = &pagination.style;
    let is_later = |param: &Param| {
        let value = request.value_at(param).filter(|value| !value.is_empty() && value != "null");
        value.is_some_and(|value| !is_first_value(style, param, &value))
    };
    style.page_params().into_iter().find(|param| is_later(param))
}

/// Returns the pagination with the order that the client prefers, and the value of `Preference-Applied`. A collection without parts has no
/// order to choose.
fn in_order(pagination: &Arc<Pagination>, order: Option<PartOrder>) -> (Arc<Pagination>, Option<HeaderValue>) {
    let Some(order) = order.filter(|_| pagination.partition.is_some()) else { return (Arc::clone(pagination), None) };
    let applied = HeaderValue::from_static(match order {
        PartOrder::Any => "order=any",
        PartOrder::Listed => "order=listed",
    });
    (Arc::new(Pagination { order, ..Pagination::clone(pagination) }), Some(applied))
}

/// Returns the URL with sorted parameters, and without a query where it has none.
fn canonical(mut url: Url) -> Url {
    let sorted = url.query().map(sorted).filter(|query| !query.is_empty());
    url.set_query(sorted.as_deref());
    url
}

/// Returns the parameters, each as it is spelled, sorted by their decoded names. Many APIs take the last of several parameters of one name,
/// so those keep their order.
fn sorted(query: &str) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_cached_key(|pair| decoded_name(pair));
    pairs.join("&")
}

/// Returns the client's path and query, without unpage's parameters but for the one that says where the stream begins.
fn original(uri: &http::Uri, names: &ParamNames) -> String {
    let query = uri.query().unwrap_or_default();
    let start = query.split('&').filter(|pair| decoded_name(pair) == names.since);
    let kept: Vec<&str> = names.foreign_pairs(query).into_iter().chain(start).collect();
    let query = sorted(&kept.join("&"));
    if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Names in several spellings, values, and pairs without a name or a value.
    fn queries() -> impl Strategy<Value = String> {
        let name =
            prop::sample::select(vec!["x", "%78", "X", "%58", "y", "%79", "", "a+b", "a%20b", "%", "é", "%C3%A9"]);
        let pair = (name, "(|=|=[0-3]|=%3[0-3]|=a=b)").prop_map(|(name, value)| format!("{name}{value}"));
        prop::collection::vec(pair, 0..8).prop_map(|pairs| pairs.join("&"))
    }

    /// Values of each name, in their order.
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
    fn the_address_of_a_stream_has_the_record_that_it_begins_behind_and_no_other_of_unpages_parameters() {
        let names = ParamNames::usual();
        for (target, kept) in [
            ("/a?_end=marker&_format=ndjson", "/a"),
            ("/a?_wait=complete&_snapshot=~x", "/a"),
            ("/a?x=1&_end=marker&_%73ince=5&_snapshot=0", "/a?_%73ince=5&x=1"),
            ("/a?_end=5&b&_format=ndjson", "/a?_end=5&b"),
        ] {
            assert_eq!(original(&target.parse().unwrap(), &names), kept, "{target}");
        }
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
