//! The way to the upstream: its host, its unix socket, or the proxy in front of it.

use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tower::{BoxError, Service};
use url::{Host, Position, Url};

use super::error::{ConnectorError, root_cause};
use super::resolver::CheckedResolver;
use super::tunnel::{self, ProxyFailure};
use crate::config::{HttpVersion, PrivateAddresses, Proxy, Upstream};

/// Way to an upstream.
#[derive(Clone, Debug)]
pub(super) enum UpstreamRoute {
    /// The host and port of its URL, whose addresses are checked.
    Host(PrivateAddresses),
    Socket(Arc<Path>),
    /// A proxy that takes requests in the clear, with the whole URL (RFC 9112 §3.2.2).
    Forwarding(Intercept),
    /// A tunnel through a proxy, to this host and port (RFC 9110 §9.3.6).
    Tunnel(Intercept, Uri),
}

/// Opens connections on a route.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    route: UpstreamRoute,
    tcp: HttpConnector<CheckedResolver<GaiResolver>>,
    limit: Duration,
}

/// A connection to the upstream or its proxy.
#[derive(Debug)]
pub(super) enum DialledStream {
    Tcp(TcpStream),
    /// To a proxy that takes requests with the whole URL.
    Proxied(TcpStream),
    Unix(UnixStream),
}

impl UpstreamRoute {
    /// Reads the environment, where the configuration says so.
    pub(super) fn of(upstream: &Upstream) -> Result<Self, ConnectorError> {
        let url = &upstream.url;
        if let Some(socket) = &upstream.socket {
            return Ok(Self::Socket(Arc::from(socket.as_path())));
        }
        let matcher = match &upstream.proxy {
            // As Go does: a proxy can't reach this machine by these names.
            Proxy::Environment if is_this_machine(url) => None,
            Proxy::None => None,
            Proxy::Environment => Some(Matcher::from_env()),
            Proxy::At(url) => Some(Matcher::builder().all(url.expose()).build()),
        };
        let proxy = matcher.zip(url.as_str().parse().ok()).and_then(|(matcher, uri): (_, Uri)| matcher.intercept(&uri));
        let Some(proxy) = proxy else { return Ok(Self::Host(upstream.private_addresses)) };
        if let Some(scheme) = proxy.uri().scheme_str().filter(|scheme| *scheme != "http") {
            return Err(ConnectorError::Proxy(scheme.to_owned()));
        }
        if url.scheme() == "http" && upstream.http != HttpVersion::Http2 {
            return Ok(Self::Forwarding(proxy));
        }
        Ok(Self::Tunnel(proxy, target_of(url)))
    }

    /// The same route for an upgraded connection, of which a proxy sees only host and port (RFC 6455 §4.1).
    pub(super) fn for_upgrades(self, upstream: &Upstream) -> Self {
        match self {
            Self::Forwarding(proxy) => Self::Tunnel(proxy, target_of(&upstream.url)),
            route => route,
        }
    }

    /// Value of `Proxy-Authorization` that each request has.
    pub(super) fn proxy_authorization(&self) -> Option<HeaderValue> {
        let Self::Forwarding(proxy) = self else { return None };
        let mut value = proxy.basic_auth()?.clone();
        value.set_sensitive(true);
        Some(value)
    }
}

/// Returns the host and port of a tunnel.
fn target_of(url: &Url) -> Uri {
    let host = &url[Position::BeforeHost..Position::AfterHost];
    let target = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    target.parse().expect("the host and port of a URL are an authority")
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

impl Dialler {
    pub(super) fn new(route: UpstreamRoute, limit: Duration) -> Self {
        let private = match &route {
            UpstreamRoute::Host(private) => *private,
            // The operator has named the proxy, which is mostly inside the network.
            UpstreamRoute::Socket(_) | UpstreamRoute::Forwarding(_) | UpstreamRoute::Tunnel(..) => {
                PrivateAddresses::Allow
            }
        };
        let mut tcp = HttpConnector::new_with_resolver(CheckedResolver::new(GaiResolver::new(), private));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limit));
        Self { route, tcp, limit }
    }
}

impl Service<Uri> for Dialler {
    type Response = TokioIo<DialledStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match &self.route {
            UpstreamRoute::Host(_) => {
                let dialled = self.tcp.call(uri);
                Box::pin(async { Ok(TokioIo::new(DialledStream::Tcp(dialled.await?.into_inner()))) })
            }
            UpstreamRoute::Socket(path) => {
                let (path, limit) = (Arc::clone(path), self.limit);
                Box::pin(async move {
                    let connected = tokio::time::timeout(limit, UnixStream::connect(path)).await;
                    Ok(TokioIo::new(DialledStream::Unix(connected.map_err(io::Error::from)??)))
                })
            }
            UpstreamRoute::Forwarding(proxy) => {
                let dialled = self.tcp.call(proxy.uri().clone());
                Box::pin(async {
                    let stream = dialled.await.map_err(|error| ProxyFailure(root_cause(&error)))?;
                    Ok(TokioIo::new(DialledStream::Proxied(stream.into_inner())))
                })
            }
            UpstreamRoute::Tunnel(proxy, target) => {
                let dialled = self.tcp.call(proxy.uri().clone());
                let (target, credentials) = (target.clone(), proxy.basic_auth().cloned());
                Box::pin(async {
                    let stream = dialled.await.map_err(|error| ProxyFailure(root_cause(&error)))?;
                    let tunnel = tunnel::open(stream.into_inner(), target, credentials).await?;
                    Ok(TokioIo::new(DialledStream::Tcp(tunnel)))
                })
            }
        }
    }
}

impl Connection for DialledStream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tcp(stream) => stream.connected(),
            Self::Proxied(stream) => stream.connected().proxy(true),
            Self::Unix(stream) => stream.connected(),
        }
    }
}

/// Calls a method of the stream inside.
macro_rules! delegate {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            DialledStream::Tcp(stream) | DialledStream::Proxied(stream) => Pin::new(stream).$method($($argument),*),
            DialledStream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for DialledStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for DialledStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(context))
    }
}
