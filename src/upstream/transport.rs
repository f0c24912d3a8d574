//! The carrier of requests to the upstream: any tower service, hyper's client by default.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use tokio::runtime::{self, Handle};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt, service_fn};
use url::Position;

use super::body::CodedBody;
use super::connect;
use super::dialler::UpstreamRoute;
use super::error::{ConnectorError, TransportError, cause, refuses_certificate, root_cause};
use super::resolver::{RefusedAddress, UnknownName};
use super::tunnel::ProxyFailure;
use super::watched_connection;
use crate::config::{HttpVersion, Upstream};

pub type OutgoingBody = UnsyncBoxBody<Bytes, BoxError>;

type Carrier = BoxCloneSyncService<Request<OutgoingBody>, Response<CodedBody>, TransportError>;
type Hyper = legacy::Client<connect::Connector, OutgoingBody>;

/// A service that carries requests to the upstream; clones share its connections.
///
/// Requests have the absolute form of their URI, HTTP/1.1 as version, and no Host.
#[derive(Clone, Debug)]
pub struct Transport {
    carrier: Carrier,
    /// The same transport with a new connection for each request; none where connections are the service's own affair.
    unpooled: Option<Carrier>,
    /// The same over HTTP/1.1 alone, for connections that another protocol gets; none where the upstream speaks only HTTP/2.
    upgrading: Option<Carrier>,
}

/// hyper's clients, with a pool for each runtime: the task of a connection belongs to the runtime that opened it, and a page that
/// comes through another thread's costs a wake-up of that thread for each of its pieces.
struct HyperPools {
    builder: legacy::Builder,
    connector: connect::Connector,
    http: HttpVersion,
    /// The field `Host`, which hyper would print for each request, where no connection is one of HTTP/2.
    host: Option<HeaderValue>,
    /// Credentials for a proxy that takes requests in the clear.
    proxy_authorization: Option<HeaderValue>,
    open: RwLock<Vec<(runtime::Id, Hyper)>>,
}

impl Transport {
    /// Wraps a service, in this process or behind a client of the caller's own.
    ///
    /// The body's contract is that of [`CodedBody::from_service`].
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<OutgoingBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let carrier = service_fn(move |request: Request<OutgoingBody>| {
            let method = request.method().clone();
            service.clone().oneshot(request).map(move |response| match response {
                Ok(response) => Ok(framed(&method, response)),
                Err(error) => Err(TransportError::Broken(root_cause(&*error.into()))),
            })
        });
        Self { carrier: Carrier::new(carrier), unpooled: None, upgrading: None }
    }

    /// Makes hyper's client for this upstream; reads the certificate authorities.
    pub(super) fn hyper(upstream: &Upstream) -> Result<Self, ConnectorError> {
        let route = UpstreamRoute::of(upstream)?;
        let proxy_authorization = route.proxy_authorization();
        let tls = connect::tls_config(upstream)?;
        let limit = upstream.timeouts.connect;
        let connector = connect::connector(tls.clone(), route.clone(), upstream.http, limit);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(Duration::from_secs(60));
        // hyper's read buffer grows to 400 KiB a connection if it may; 64 KiB costs no throughput.
        builder.http1_max_buf_size(64 * 1024);
        if upstream.http == HttpVersion::Http2 {
            builder.http2_only(true);
        }
        let carrier = HyperPools::carrier(builder.clone(), connector.clone(), upstream, proxy_authorization.clone());
        builder.pool_max_idle_per_host(0);
        let unpooled = HyperPools::carrier(builder.clone(), connector, upstream, proxy_authorization);
        let upgrading = (upstream.http != HttpVersion::Http2).then(|| {
            let connector = connect::connector(tls, route.for_upgrades(upstream), HttpVersion::Http1, limit);
            HyperPools::carrier(builder, connector, upstream, None)
        });
        Ok(Self { carrier, unpooled: Some(unpooled), upgrading })
    }

    /// The same transport, but each request opens a connection of its own.
    pub(super) fn unpooled(&self) -> Self {
        let carrier = self.unpooled.as_ref().unwrap_or(&self.carrier);
        Self { carrier: carrier.clone(), ..self.clone() }
    }

    /// The same transport for requests that ask for another protocol; none where the upstream can have none.
    pub(super) fn upgrading(&self) -> Option<Self> {
        Some(Self { carrier: self.upgrading.clone()?, ..self.clone() })
    }

    /// Sends a request without waiting for readiness: the carriers wait inside their future.
    pub(super) fn send(
        &self,
        request: Request<OutgoingBody>,
    ) -> BoxFuture<'static, Result<Response<CodedBody>, TransportError>> {
        self.carrier.clone().call(request)
    }
}

/// A service's response, with the announced length of its body enforced.
fn framed<B>(method: &Method, response: Response<B>) -> Response<CodedBody>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (head, body) = response.into_parts();
    let body = match *method {
        // The length in the head of such a response is that of a body that does not come (RFC 9110 §8.6).
        Method::HEAD => CodedBody::empty(),
        _ => CodedBody::from_service(&head, body.map_err(Into::into).boxed_unsync()),
    };
    Response::from_parts(head, body)
}

impl HyperPools {
    fn carrier(
        builder: legacy::Builder,
        connector: connect::Connector,
        upstream: &Upstream,
        proxy_authorization: Option<HeaderValue>,
    ) -> Carrier {
        let (http, host) = (upstream.http, host_of(upstream));
        let pools = Self { builder, connector, http, host, proxy_authorization, open: RwLock::default() };
        let pools = Arc::new(pools);
        Carrier::new(service_fn(move |request| pools.send(request)))
    }

    fn send(
        &self,
        mut request: Request<OutgoingBody>,
    ) -> impl Future<Output = Result<Response<CodedBody>, TransportError>> + use<> {
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        if let Some(credentials) = &self.proxy_authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        let runtime = Handle::current().id();
        if let Some((_, pool)) = self.open.read().iter().find(|(of, _)| *of == runtime) {
            return send_by_hyper(pool, self.http, request);
        }
        let pool = self.builder.build(self.connector.clone());
        let sent = send_by_hyper(&pool, self.http, request);
        self.open.write().push((runtime, pool));
        sent
    }
}

/// Returns the value of `Host` for an upstream that has only connections of HTTP/1.1.
fn host_of(upstream: &Upstream) -> Option<HeaderValue> {
    let is_http1 = match upstream.http {
        HttpVersion::Auto => upstream.url.scheme() == "http",
        HttpVersion::Http1 => true,
        HttpVersion::Http2 => false,
    };
    HeaderValue::from_str(&upstream.url[Position::BeforeHost..Position::AfterPort]).ok().filter(|_| is_http1)
}

fn send_by_hyper(
    client: &Hyper,
    http: HttpVersion,
    request: Request<OutgoingBody>,
) -> impl Future<Output = Result<Response<CodedBody>, TransportError>> + use<> {
    let response = client.request(request);
    async move { answered(response.await, http) }
}

fn answered(
    response: Result<Response<Incoming>, legacy::Error>,
    http: HttpVersion,
) -> Result<Response<CodedBody>, TransportError> {
    match response {
        // It is about the next hop of its receiver (RFC 9110 §11.7.1), and the client's is unpage: it must not send us its credentials for a proxy.
        Ok(response) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(TransportError::Proxy("it answered 407, and wants other credentials".to_owned()))
        }
        Ok(response) => {
            let version = response.version();
            Ok(response.map(|incoming| CodedBody::from_hyper(incoming, version)))
        }
        Err(error) if error.is_connect() => Err(connect_error(&error)),
        Err(error) if http != HttpVersion::Http2 && error.connect_info().is_some_and(watched_connection::was_stale) => {
            Err(TransportError::Stale(root_cause(&error)))
        }
        Err(error) => Err(match cause::<rustls::Error>(&error) {
            // By TLS 1.3 a client has its connection before its certificate is looked at.
            Some(tls) if refuses_certificate(tls) => TransportError::Tls(tls.clone()),
            _ => TransportError::Broken(root_cause(&error)),
        }),
    }
}

fn connect_error(error: &legacy::Error) -> TransportError {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return TransportError::Tls(tls.clone());
    }
    if let Some(refused) = cause::<RefusedAddress>(error) {
        return TransportError::Address(*refused);
    }
    if let Some(unknown) = cause::<UnknownName>(error) {
        return TransportError::Name(unknown.to_string());
    }
    match cause::<ProxyFailure>(error) {
        Some(failure) => TransportError::Proxy(failure.to_string()),
        None => TransportError::Connect(root_cause(error)),
    }
}
