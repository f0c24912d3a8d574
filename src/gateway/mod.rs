//! One request up to the head of its response, in five steps: route, ask, forward or crawl, respond, and the problem report
//! where one of them fails.

mod forward;
mod headers;
mod problem;
mod route;
mod stream;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::config::Config;
use crate::crawl::Crawls;
use crate::request::Ask;
use crate::response::{Body, BoxError};
use crate::upstream::{BadTrust, Governors};
use route::Routes;

/// The proxy as a [`tower::Service`]: a Rust program can mount it where it likes.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    routes: Routes,
    format_param: String,
    tasks: TaskTracker,
    governors: Governors,
    crawls: Crawls,
}

impl Gateway {
    /// A gateway for this configuration, whose crawls run in `tasks`.
    pub fn new(config: &Config, tasks: TaskTracker) -> Result<Self, BadTrust> {
        let governors = Governors::default();
        let routes = Routes::new(config, &governors)?;
        let (format_param, crawls) = (config.format_param.clone(), Crawls::default());
        Ok(Self { shared: Arc::new(Shared { routes, format_param, tasks, governors, crawls }) })
    }

    /// Those who pace what its upstreams are asked.
    pub fn governors(&self) -> &Governors {
        &self.shared.governors
    }

    /// What has become of its crawls.
    pub fn crawls(&self) -> &Crawls {
        &self.shared.crawls
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let route = match self.shared.routes.find(head.uri.path()) {
            Ok(route) => route,
            Err(no_route) => return problem::no_route(no_route, head.uri.path()),
        };
        let ask = Ask::read(&head, route.collection(), &self.shared.format_param);
        let mut response = match ask {
            Ok(Ask::Forward) => forward::answer(&route, head, body, &self.shared.format_param).await,
            Ok(Ask::Stream { media_type, order }) => {
                stream::answer(&route, head, body, media_type, order, &self.shared).await
            }
            Err(bad) => problem::bad_ask(&bad),
        };
        // The same URL has a stream and a page, and one with parts has them in two orders: a cache in front must tell them apart.
        let has_parts = route.collection().pagination.partition.is_some();
        let vary = HeaderValue::from_static(if has_parts { "accept, prefer" } else { "accept" });
        response.headers_mut().append(header::VARY, vary);
        response
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
