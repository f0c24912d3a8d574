//! One request up to the head of its response. Each stage is a file, and [`Gateway`] calls them in this order:
//!
//! ```text
//! route ─▶ ask ─▶ key ─▶ lookup ─▶ respond          a request for a stream
//!            │              └─▶ fill                 a crawl in a task of its own, where no snapshot is kept
//!            └─▶ forward                             any other request
//! ```
//!
//! A stage that fails ends in a problem report (`problem`).

mod admission;
mod answer_length;
mod ask;
mod auto_resume;
mod aws_operation;
mod builder;
mod cache_key;
mod cache_key_upgrade;
mod client_body;
mod client_links;
mod crawl_rate_limit;
mod crawl_table;
mod failure_log;
mod field_noise;
mod fill;
mod forward;
mod forward_problem;
mod graphql_mutation;
mod headers;
mod hidden_write;
mod kept_document;
mod lookup;
mod lookup_problem;
mod parents;
mod path_template;
mod problem;
mod refresh;
mod respond;
mod route;
mod routing;
mod session;
mod session_lookup;
mod signed_body;
mod snapshot_birth;
mod snapshot_status;
mod uncached_crawl;
mod websocket;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use parking_lot::RwLock;
use tower::Service;

use crate::config::{Config, OnStart, Resume};
use crate::id::CacheKey;
use crate::request::{RequestError, StreamOptions};
use crate::response::{Body, BoxError, CodedStreams, Representation, StreamResponse, TableIndexes};
use crate::server::AccessNotes;
use crate::upstream::{ConnectorError, Governors, Transport};
use ask::{StreamRequest, read_body};
pub use builder::{GatewayBuilder, GatewayError};
use cache_key::keys_of;
use crawl_rate_limit::CrawlRateLimit;
pub use crawl_table::{CrawlTable, ListedCrawl};
pub use failure_log::ListedFailure;
use field_noise::FieldNoise;
use fill::CacheFill;
use lookup::{NoSnapshot, SnapshotLookup};
pub use respond::respond;
use route::Route;
use routing::Routing;
pub(crate) use uncached_crawl::crawl_of;

/// The proxy as a [`tower::Service`] that a Rust program can mount where it likes.
///
/// Clones are cheap and are the same gateway. A request may carry the [`IpAddr`](std::net::IpAddr) of its peer as an
/// extension: callers without credentials are then counted by address, where crawls are limited (`opens`). Without
/// one they count as one caller.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Replaced by a reload. A request keeps what it began with.
    routing: RwLock<Arc<Routing>>,
    lookup: SnapshotLookup,
    governors: Governors,
    coded_streams: CodedStreams,
    tables: TableIndexes,
    transport: Option<Transport>,
}

impl Gateway {
    /// Starts the maintenance of snapshots and, where it is configured, the crawls that were interrupted.
    fn start(config: &Config, fill: CacheFill, transport: Option<&Transport>) -> Result<Self, ConnectorError> {
        let governors = Governors::default();
        let routing = Routing::new(config, &governors, transport, None)?;
        fill.maintain(config.collections.iter().map(|collection| collection.sharing.keep_for));
        if config.snapshots.on_start == OnStart::GoOn {
            fill.spawn(auto_resume::resume_all(Arc::clone(&routing.routes), routing.names.clone(), fill.clone()));
        }
        refresh::start(config, &routing, &fill);
        let lookup =
            SnapshotLookup { fill, rate_limit: CrawlRateLimit::new(&config.snapshots.opens), noise: FieldNoise::new() };
        let (routing, coded_streams) = (RwLock::new(Arc::new(routing)), CodedStreams::new(&config.codings));
        let (transport, tables) = (transport.cloned(), TableIndexes::default());
        Ok(Self { shared: Arc::new(Shared { routing, lookup, governors, coded_streams, tables, transport }) })
    }

    fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.shared.routing.read())
    }

    /// Returns the kind of a request that the gateway has not answered yet.
    pub(crate) fn kind_of(&self, head: &Parts) -> RequestKind {
        let Routing { routes, names, .. } = &*self.routing();
        let Ok(route) = routes.find(head.uri.path()) else { return RequestKind::Elsewhere };
        match StreamOptions::read(head, route.collection(), names) {
            Ok(None) => RequestKind::Page(route.vary()),
            Ok(Some(_)) | Err(_) => RequestKind::Stream,
        }
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (routing, coded_streams) = (self.routing(), &self.shared.coded_streams);
        let Routing { routes, names, forwarding, .. } = &*routing;
        let (mut head, body) = request.into_parts();
        let route = match (routes.find(head.uri.path()), head.extensions.remove::<Transport>()) {
            (Ok(route), Some(transport)) => route.through(transport),
            (Ok(route), None) => route,
            (Err(no_route), _) => return problem::no_route(no_route, head.uri.path()),
        };
        if let Some(notes) = head.extensions.get::<AccessNotes>() {
            notes.collection(&route.collection().path);
        }
        if let Err(bad) = headers::check(&head, &route.collection().upstream.fields) {
            return problem::bad_field(&bad);
        }
        let (mut response, vary) = match StreamOptions::read(&head, route.collection(), names) {
            Ok(None) => (forwarding.answer(&route, head, body).await, route.vary()),
            Ok(Some(options)) => {
                let vary = if coded_streams.are_offered() { route.vary_of_a_stream() } else { route.vary() };
                (self.stream(&routing, &route, head, body, options).await, vary)
            }
            Err(error) => (problem::bad_request(&error), route.vary()),
        };
        response.headers_mut().append(header::VARY, vary);
        response
    }

    async fn stream<B>(
        &self,
        routing: &Routing,
        route: &Route,
        head: Parts,
        body: B,
        options: StreamOptions,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Shared { lookup, coded_streams, tables, .. } = &*self.shared;
        let Routing { names, forwarding, .. } = routing;
        if let Err(error) = coded_streams.check(&options) {
            return problem::bad_request(&error);
        }
        let body = match read_body(body).await {
            Ok(body) => body,
            Err(error) => return problem::request_body(error),
        };
        let request = match StreamRequest::new(route, &head, body, options, names) {
            Ok(request) => Arc::new(request),
            Err(error) => return problem::not_json(&error, route.collection().pagination.body_kind()),
        };
        if request.parents.is_some() && request.options.since.is_some() {
            return problem::bad_request(&RequestError::SinceOfAll { param: names.since.clone() });
        }
        if request.names_a_page() {
            return forwarding.answer(route, head, Full::new(request.body.clone())).await;
        }
        let finder = route.write_finder(&head.method, head.uri.path());
        if let Some(write) = finder.and_then(|finder| finder.find(&head, &request.body)) {
            return problem::hidden_write(&write);
        }
        let keys = keys_of(&request, &head.headers, route, &lookup.fill);
        let (snapshot, cache_status) = match lookup.find(&request, keys).await {
            Ok(found) => found,
            Err(NoSnapshot::Page) => return forwarding.answer(route, head, Full::new(request.body.clone())).await,
            Err(NoSnapshot::UnnamedRange) => return self.unnamed_range(&request, keys.shared, routing),
            Err(no_snapshot) => {
                let representation = Representation::new(&request.options);
                let url = |id| representation.pinned_url(id, &request.original, names);
                let pinned = |id| request.has_address().then(|| url(id));
                return lookup_problem::no_snapshot(&no_snapshot, pinned);
            }
        };
        if let Some(notes) = head.extensions.get::<AccessNotes>() {
            notes.snapshot(snapshot.id());
            notes.crawl(snapshot.usage().trace_context());
        }
        let coding = match coded_streams.enter(&request.options) {
            Ok(coding) => coding,
            Err(error) => return problem::bad_request(&error),
        };
        let representation = Representation::new(&request.options).indexed(snapshot.id(), tables);
        let applied = request.applied_preferences();
        let representation = representation.coded(coding.as_ref().map(|coding| coding.coding));
        let response = StreamResponse {
            snapshot: &snapshot,
            options: &request.options,
            representation: &representation,
            original: &request.original,
            names,
            cache_status,
            is_named: lookup.is_named(&request, snapshot.id()),
            applied: applied.as_ref(),
            scope: request.collection.sharing.scope,
            tables,
        };
        let response = respond(&response, Resume::Refuse).await;
        match coding {
            Some(coding) => coding.apply(response),
            None => response,
        }
    }

    /// Answers a range that names no snapshot. Where it is configured, the client is sent to the only snapshot that the range can be of.
    fn unnamed_range(&self, request: &StreamRequest, key: CacheKey, routing: &Routing) -> Response<Body> {
        let Routing { names, unnamed, .. } = routing;
        let representation = Representation::new(&request.options);
        let (registry, url) = (self.registry(), |id| representation.pinned_url(id, &request.original, names));
        let only = match unnamed {
            Resume::Redirect => registry.only_of(key),
            Resume::Refuse => None,
        };
        match (only, registry.newest_of(key)) {
            (Some(only), _) => respond::respond_to_unnamed_range(url(only), Resume::Redirect),
            (None, Some(newest)) => respond::respond_to_unnamed_range(url(newest), Resume::Refuse),
            (None, None) => problem::unnamed_range(None),
        }
    }
}

/// Part of a service behind a gateway in the answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// The gateway answers; the service gives the pages.
    Stream,
    /// The service answers for a path that has streams, too; the value is that of `Vary`.
    Page(HeaderValue),
    /// The path belongs to no collection.
    Elsewhere,
}

impl<B> Service<Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move { Ok(gateway.answer(request).await) })
    }
}
