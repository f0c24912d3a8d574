//! A stream: what is asked for is read, a snapshot of it is found or begun, and the client gets what it wishes of that.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use http_body_util::{BodyExt, Full, Limited};

use super::asked::Asked;
use super::crawling::{Crawling, Job};
use super::deliver::{self, Found, Said, Unnamed, deliver};
use super::obtain::{Obtained, Request, Whence, fresh_still};
use super::route::Route;
use super::{Shared, forward, problem};
use crate::config::{Resume, Scope};
use crate::crawl::Crawl;
use crate::pagination::{PageRequest, Style};
use crate::request::{Reuse, Wish};
use crate::response::{Body, BoxError};
use crate::snapshot::Snapshot;

/// The largest request body that is repeated with every page.
const MAX_REQUEST_BODY: usize = 1 << 20;

/// How long a request body that is repeated may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// Answers a wish for a stream.
pub(super) async fn answer<B>(route: &Route, head: Parts, body: B, wish: &Wish, shared: &Shared) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let collection = route.collection();
    let body = match whole(body).await {
        Ok(body) => body,
        Err(problem) => return problem,
    };
    let Crawling { registry, older_keys, .. } = &shared.crawling;
    let asked = match Asked::read(route, &head, &body, wish, &shared.params, registry, older_keys) {
        Ok(asked) => asked,
        Err(error) => return problem::not_json(&error, collection.pagination.body_kind()),
    };
    if wish.pinned.is_none() && names_a_page(&asked.first, &collection.pagination.style) {
        return forward::answer(route, head, Full::new(body), &shared.params).await;
    }
    let request = Request {
        wish,
        sharing: collection.sharing,
        peer: head.extensions.get::<IpAddr>().copied(),
        crawling: &shared.crawling,
        quota: &shared.quota,
        job: &|| job(route, &asked, wish, shared),
        asked: &asked,
    };
    match request.obtain().await {
        Obtained::Snapshot(snapshot, whence) => {
            let found = found(&snapshot, whence, wish, route);
            deliver(&snapshot, wish, &said(&asked, found, Unnamed::Refuse, route, shared)).await
        }
        Obtained::Page => forward::answer(route, head, Full::new(body), &shared.params).await,
        Obtained::Failed(failure) => problem::failed(&failure),
        Obtained::Gone => problem::gone(wish.pinned.and_then(|id| older_keys.reason(registry, id)).as_deref()),
        Obtained::Unnamed => unnamed(&asked, route, shared),
        Obtained::TooMany(wait) => problem::too_many(wait),
        Obtained::NotKept => problem::not_kept(),
    }
}

/// A request's body to its end.
async fn whole<B>(body: B) -> Result<Bytes, Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_REQUEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(problem::request_body(MAX_REQUEST_BODY)),
        Err(_) => Err(problem::slow_request_body(BODY_LIMIT)),
    }
}

/// As [`Ask::read`](crate::request::Ask::read) says of the query: who passes the collection's own page parameter in another
/// place wants that page, too.
fn names_a_page(first: &PageRequest, style: &Style) -> bool {
    let value = |param| first.value_at(param).filter(|value| !value.is_empty() && value != "null");
    style.page_params().into_iter().any(|param| value(param).is_some())
}

/// The crawl that this request would begin.
pub(super) fn job(route: &Route, asked: &Asked, wish: &Wish, shared: &Shared) -> Job {
    let collection = route.collection();
    let width = collection.upstream.pace.widest();
    let crawl = Crawl {
        client: route.client().clone(),
        pagination: asked.pagination.clone(),
        caps: collection.caps.clone(),
        first: asked.first.clone(),
        since: wish.since.clone(),
        valid_at: wish.accept_datetime,
        // Who only wants a head needs no page but the first.
        width: if wish.method == Method::HEAD { 1 } else { width },
        crawls: shared.crawls.clone(),
    };
    Job { crawl, asked: asked.clone(), collection: collection.clone(), storage: wish.freshness.storage, width }
}

/// How the answer calls the place where the snapshot comes from.
fn found(snapshot: &Snapshot, whence: Whence, wish: &Wish, route: &Route) -> Found {
    match whence {
        Whence::Kept if wish.pinned.is_some() => Found::Kept(None),
        Whence::Kept => Found::Kept(fresh_still(snapshot, route.collection().sharing)),
        Whence::Joined => Found::Joined,
        Whence::Renewed => Found::Stale,
        Whence::Begun if wish.freshness.reuse == Reuse::Never => Found::Unwanted,
        Whence::Begun => Found::Missed,
    }
}

fn said(asked: &Asked, found: Found, unnamed: Unnamed, route: &Route, shared: &Shared) -> Said {
    Said {
        params: shared.params.clone(),
        original: asked.original.clone(),
        found,
        applied: asked.applied.clone(),
        scope: match route.collection().sharing.scope {
            Scope::Caller => deliver::Scope::Caller,
            Scope::Public => deliver::Scope::Everyone,
        },
        unnamed,
    }
}

/// A part, and the request doesn't say of what: it is sent to the only one that it can be of, where that is wished for.
fn unnamed(asked: &Asked, route: &Route, shared: &Shared) -> Response<Body> {
    let registry = &shared.crawling.registry;
    let only = match shared.resume {
        Resume::Redirect => registry.only_of(asked.key),
        Resume::Refuse => None,
    };
    let (id, unnamed) = match (only, registry.newest_of(asked.key)) {
        (Some(only), _) => (only, Unnamed::Redirect),
        (None, Some(newest)) => (newest, Unnamed::Refuse),
        (None, None) => return problem::partial(None),
    };
    deliver::unnamed(id, &said(asked, Found::Kept(None), unnamed, route, shared))
}
