//! A layer by which a paginated service learns to stream in its own process.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{HOST, VARY};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};

use crate::config::{Config, OnStart};
use crate::gateway::{Gateway, GatewayError, RequestKind};
use crate::response::{Body, BoxError};
use crate::upstream::Transport;

/// A [`Layer`] that wraps a paginated service as the upstream, without a network between them.
///
/// A request that accepts `application/x-ndjson` is answered with all records of all pages, which are requested of the inner
/// service one after the other or several at a time, as the configuration says. Every other request passes through
/// unchanged, but for a `Vary` on the paths of collections. A request for a stream that turns out to name one page (in its
/// body, in a header field, or by the rules of `auto`) is forwarded as by the proxy: without extensions, and with `Via`.
///
/// The `upstream` of a collection is then only the name by which the inner service is called: the `Host` of the pages'
/// requests, and the origin that their links may have. `http://localhost` will do.
///
/// A page's request has the header fields of the client's request that a crawl passes on (credentials, cookies, the API's own
/// fields), and none of its extensions. Who may have which records must therefore follow from header fields: put
/// authentication inside of this layer, not around it. An inner service that relies on an extension set outside refuses
/// the pages, and with them the stream.
///
/// Clones, and the services made from them, share one snapshot store.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response, header};
/// use http_body_util::{BodyExt, Empty, Full};
/// use tower::{Layer, ServiceExt};
/// use unpage::{Body, BoxError, Config, UnpageLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let legacy = tower::service_fn(async |request: Request<Body>| {
///     let page = match request.uri().query() {
///         Some("page=2") => r#"{"orders": [3]}"#,
///         _ => r#"{"orders": [1, 2], "next": "/orders?page=2"}"#,
///     };
///     Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(page)))
/// });
/// let layer = UnpageLayer::new(Config::from_toml(
///     r#"
///     [[collection]]
///     path = "/orders"
///     upstream = "http://localhost"
///     records = "$.orders"
///     pagination = { type = "next_url", next = "$.next" }
///     "#,
/// )?)?;
/// let request = Request::get("/orders").header(header::ACCEPT, "application/x-ndjson");
/// let stream = layer.layer(legacy).oneshot(request.body(Empty::<Bytes>::new())?).await?;
/// assert_eq!(stream.into_body().collect().await?.to_bytes(), "1\n2\n3\n");
/// layer.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UnpageLayer {
    gateway: Gateway,
}

/// The [`Service`] of [`UnpageLayer`].
///
/// The inner service takes the body type [`Body`]; axum's routers and routes take any.
#[derive(Clone, Debug)]
pub struct UnpageService<S> {
    gateway: Gateway,
    inner: S,
}

impl UnpageLayer {
    /// Makes a layer, inside a tokio runtime.
    ///
    /// Interrupted snapshots are resumed when a client asks for them; `resume_on_start` has no effect, since there is no
    /// inner service yet.
    ///
    /// # Errors
    /// Fails where the snapshot folder can't be used, or outside a tokio runtime.
    pub fn new(mut config: Config) -> Result<Self, GatewayError> {
        config.snapshots.on_start = OnStart::Wait;
        let gateway = Gateway::builder(config).transport(tower::service_fn(unreached)).build()?;
        Ok(Self { gateway })
    }

    /// Stops all crawls and waits for their tasks to end, as [`Gateway::shutdown`] does.
    pub async fn shutdown(&self) {
        self.gateway.shutdown().await;
    }
}

/// The transport of requests that bring none: there are none, since each comes through a service of the layer.
async fn unreached(_: Request<Body>) -> Result<Response<Body>, BoxError> {
    Err("no service is wrapped".into())
}

impl<S> Layer<S> for UnpageLayer {
    type Service = UnpageService<S>;

    fn layer(&self, inner: S) -> UnpageService<S> {
        UnpageService { gateway: self.gateway.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for UnpageService<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let vary = match self.gateway.kind_of(&head) {
            RequestKind::Stream => {
                head.extensions.insert(Transport::new(self.inner.clone().map_request(to_origin_form)));
                let answer = self.gateway.call(Request::from_parts(head, body));
                return Box::pin(answer.map(|response| response.map_err(|never| match never {})));
            }
            RequestKind::Page(vary) => Some(vary),
            RequestKind::Elsewhere => None,
        };
        let request = Request::from_parts(head, body.map_err(Into::into).boxed_unsync());
        Box::pin(self.inner.call(request).map(|response| {
            let mut response = response?.map(|body| body.map_err(Into::into).boxed_unsync());
            if let Some(vary) = vary {
                response.headers_mut().append(VARY, vary);
            }
            Ok(response)
        }))
    }
}

/// Turns the absolute form of the URI into the origin form and a `Host`, as servers get them over HTTP/1.1 (RFC 9112 §3.2.1).
fn to_origin_form(mut request: Request<Body>) -> Request<Body> {
    let host = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or(PathAndQuery::from_static("/")).into();
    request
}
