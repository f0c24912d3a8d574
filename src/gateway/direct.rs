//! Uses of the routes without a snapshot: a crawl that only its caller reads, and the kind of a request.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};

use super::headers::for_a_crawl;
use super::route::Routes;
use super::{Gateway, params_of, vary_of};
use crate::config::Config;
use crate::crawl::{Crawl, Crawls};
use crate::error::{Failure, Fault};
use crate::pagination::PageRequest;
use crate::pagination::request::RequestBody;
use crate::request::Ask;
use crate::upstream::{Governors, Transport};

/// How a service behind a gateway takes part in the answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// The gateway answers; the service gives the pages.
    Stream,
    /// The service answers for a path that has streams, too, and varies by these fields.
    Page(HeaderValue),
    /// The path belongs to no collection.
    Elsewhere,
}

/// Returns the crawl of the collection that has this path.
pub(crate) fn crawl_of(
    config: &Config,
    uri: &Uri,
    headers: &HeaderMap,
    since: Option<String>,
    transport: Option<&Transport>,
) -> Result<Crawl, Failure> {
    let routes = Routes::new(config, &Governors::default(), transport);
    let routes = routes.map_err(|bad| Failure::new(Fault::Configuration, bad.to_string(), bad.hint()))?;
    let route = routes.find(uri.path()).map_err(|_| {
        let message = format!("no collection is configured at {}", uri.path());
        Failure::new(Fault::Configuration, message, "name a path that a `path` of the configuration matches")
    })?;
    let collection = route.collection();
    let first = PageRequest {
        method: collection.method.clone(),
        url: route.upstream_url(uri, &params_of(config)),
        headers: for_a_crawl(headers, collection.sharing.scope),
        body: collection.body.clone().map(RequestBody::Json),
    };
    Ok(Crawl {
        client: route.client().clone(),
        pagination: collection.pagination.clone(),
        caps: collection.caps.clone(),
        first,
        since,
        valid_at: None,
        width: collection.upstream.pace.widest(),
        crawls: Crawls::default(),
    })
}

/// Returns the kind of the request with this head, which the gateway has not answered yet.
pub(crate) fn kind_of(gateway: &Gateway, head: &Parts) -> RequestKind {
    let Ok(route) = gateway.shared.routes.find(head.uri.path()) else { return RequestKind::Elsewhere };
    match Ask::read(head, route.collection(), &gateway.shared.params) {
        Ok(Ask::Forward) => RequestKind::Page(vary_of(&route.collection().pagination)),
        Ok(Ask::Stream(_)) | Err(_) => RequestKind::Stream,
    }
}
