//! One request up to the head of its response, in five steps: route, ask, forward or crawl, respond, and the problem report
//! where one of them fails.

mod asked;
mod builder;
mod crawling;
mod deliver;
mod direct;
mod forward;
mod headers;
mod obtain;
mod older_keys;
mod part;
mod problem;
mod quota;
mod route;
mod sharing;
mod status;
mod stream;
mod unattended;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use tower::Service;

use crate::config::{Config, OnStart, Resume};
use crate::crawl::Crawls;
use crate::pagination::Pagination;
use crate::request::{Ask, Params};
use crate::response::{Body, BoxError};
use crate::snapshot::Registry;
use crate::upstream::{BadTrust, Governors, Transport};
pub use builder::{GatewayBuilder, GatewayError};
use crawling::Crawling;
pub use deliver::{Found, Said, Scope, Unnamed, deliver};
pub(crate) use direct::{RequestKind, crawl_of, kind_of};
use quota::Quota;
use route::Routes;

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
    routes: Routes,
    params: Params,
    resume: Resume,
    quota: Quota,
    crawling: Crawling,
    governors: Governors,
    crawls: Crawls,
}

impl Gateway {
    /// Starts the maintenance of snapshots and, where it is configured, the crawls that were interrupted.
    fn start(config: &Config, crawling: Crawling, transport: Option<&Transport>) -> Result<Self, BadTrust> {
        let governors = Governors::default();
        let routes = Routes::new(config, &governors, transport)?;
        let kept = &config.snapshots;
        crawling.maintain(config.collections.iter().map(|collection| collection.sharing.keep_for));
        let params = params_of(config);
        let quota = Quota::new(&kept.opens);
        let crawls = Crawls::default();
        let shared = Arc::new(Shared { routes, params, resume: kept.resume, quota, crawling, governors, crawls });
        if kept.on_start == OnStart::GoOn {
            shared.crawling.spawn(unattended::go_on(Arc::clone(&shared)));
        }
        Ok(Self { shared })
    }

    #[doc(hidden)]
    pub fn registry(&self) -> &Registry {
        &self.shared.crawling.registry
    }

    #[doc(hidden)]
    pub fn governors(&self) -> &Governors {
        &self.shared.governors
    }

    #[doc(hidden)]
    pub fn crawls(&self) -> &Crawls {
        &self.shared.crawls
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let route = match (self.shared.routes.find(head.uri.path()), head.extensions.remove::<Transport>()) {
            (Ok(route), Some(transport)) => route.through(transport),
            (Ok(route), None) => route,
            (Err(no_route), _) => return problem::no_route(no_route, head.uri.path()),
        };
        let ask = Ask::read(&head, route.collection(), &self.shared.params);
        let mut response = match ask {
            Ok(Ask::Forward) => forward::answer(&route, head, body, &self.shared.params).await,
            Ok(Ask::Stream(wish)) => stream::answer(&route, head, body, &wish, &self.shared).await,
            Err(bad) => problem::bad_ask(&bad),
        };
        let vary = vary_of(&route.collection().pagination);
        response.headers_mut().append(header::VARY, vary);
        response
    }
}

/// The request fields that tell the representations of one URL apart for a cache in front: a stream and a page, of a collection in
/// parts two orders, and of one with a moment as many as there are moments.
fn vary_of(pagination: &Pagination) -> HeaderValue {
    HeaderValue::from_static(match (&pagination.partition, &pagination.valid_at) {
        (None, None) => "accept",
        (Some(_), None) => "accept, prefer",
        (None, Some(_)) => "accept, accept-datetime",
        (Some(_), Some(_)) => "accept, prefer, accept-datetime",
    })
}

fn params_of(config: &Config) -> Params {
    Params {
        format: config.format_param.clone(),
        snapshot: config.snapshot_param.clone(),
        since: config.since_param.clone(),
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
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
