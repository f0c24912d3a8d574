//! The only door to the network: one client per upstream, with its connections, credentials and time limits.

mod auth;
mod body;
pub mod coding;
mod connect;
mod pace;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{self, HttpVersion};
use crate::pagination::PageRequest;
use crate::usage::UpstreamUsage;

pub use body::{AnswerBody, DecodedBody};
pub use connect::BadTrust;
use pace::Line;
pub use pace::{Governors, Permit, Release, Traffic};

/// A body on its way to the upstream.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The door to one upstream; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<connect::Connector, RequestBody>,
    /// The same without a pool.
    unpooled: legacy::Client<connect::Connector, RequestBody>,
    upstream: Arc<config::Upstream>,
    governors: Governors,
    /// Where a crawl waits for its turns.
    line: Option<Line>,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    #[error("no TLS connection to {0}: {1}")]
    Tls(String, rustls::Error),
    #[error("{0} did not answer within {1}")]
    Timeout(String, humantime::Duration),
    #[error("the connection to {0} broke: {1}")]
    Broken(String, String),
    /// The same of a connection that had answered before: it was being closed when the request came, as far as can be known.
    #[error("the connection to {0} broke: {1}")]
    Stale(String, String),
    #[error(transparent)]
    Coding(#[from] coding::BadCoding),
}

impl Error {
    /// Whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Coding(bad) => bad.is_transient(),
            Self::Connect(..) | Self::Tls(..) | Self::Timeout(..) | Self::Broken(..) | Self::Stale(..) => true,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Connect(..) => "check that the upstream is running and that its address is right",
            Self::Tls(_, rustls::Error::InvalidMessage(_)) => {
                "what answers there doesn't speak TLS: check the port, or write http:// if that is meant"
            }
            Self::Tls(_, rustls::Error::InvalidCertificate(_)) => {
                "if its certificate comes from an authority of your own, name that in `ca` (fetch: --cacert); else don't trust it"
            }
            Self::Tls(..) => "check that the upstream's address is right and that it speaks TLS 1.2 or 1.3",
            Self::Timeout(..) => "check that the upstream is well, or raise the limit in `timeouts`",
            Self::Broken(..) | Self::Stale(..) => {
                "the upstream, or something in front of it, cut the connection: its log may say why"
            }
            Self::Coding(bad) => bad.hint(),
        }
    }
}

impl Client {
    /// A client for this upstream, whose crawls are paced by `governors`; the certificate authorities are read now.
    pub fn new(upstream: Arc<config::Upstream>, governors: &Governors) -> Result<Self, BadTrust> {
        let connector = connect::connector(&upstream)?;
        let mut builder = legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
        builder.pool_timer(hyper_util::rt::TokioTimer::new());
        builder.pool_idle_timeout(Duration::from_secs(60));
        // hyper's read buffer grows to 400 KiB a connection if it may; 64 KiB costs no throughput.
        builder.http1_max_buf_size(64 * 1024);
        if upstream.http == HttpVersion::Http2 {
            builder.http2_only(true);
        }
        let http = builder.build(connector.clone());
        builder.pool_max_idle_per_host(0);
        let unpooled = builder.build(connector);
        Ok(Self { http, unpooled, upstream, governors: governors.clone(), line: None })
    }

    /// The same door, but each request goes to a connection of its own: where one from the pool was stale, the others may be, too.
    pub fn unpooled(&self) -> Self {
        Self { http: self.unpooled.clone(), ..self.clone() }
    }

    /// The same client for one crawl: its pages, of which this is the first, are asked for with the same credentials, in
    /// turn with those of other crawls, and counted from now on.
    pub fn for_crawl(&self, first: &PageRequest) -> Self {
        Self { line: Some(self.line_of(&first.url, &first.headers)), ..self.clone() }
    }

    /// What its crawl has cost; nothing where it has none.
    pub fn usage(&self) -> UpstreamUsage {
        self.line.as_ref().map(|line| line.usage().clone()).unwrap_or_default()
    }

    /// Waits until the upstream may be asked for a page.
    pub async fn permit(&self, page: &PageRequest) -> Permit {
        match &self.line {
            Some(line) => line.permit().await,
            None => self.line_of(&page.url, &page.headers).permit().await,
        }
    }

    /// Waits before a page is asked for again, and is seen to wait from this call on.
    pub fn back_off(&self, wait: Duration) -> impl Future<Output = ()> + use<> {
        let seen = self.line.as_ref().map(Line::back_off);
        async move {
            tokio::time::sleep(wait).await;
            drop(seen);
        }
    }

    fn line_of(&self, url: &Url, headers: &HeaderMap) -> Line {
        self.governors.line(&self.upstream, &auth::identity(&self.upstream, url, headers))
    }

    /// Who answers.
    pub fn upstream(&self) -> &Arc<config::Upstream> {
        &self.upstream
    }

    /// Sends a request of unpage's own to the upstream that `url` leads to, and waits for the head of its answer.
    ///
    /// What belongs to the connection (`Host`, hop-by-hop fields) is not taken from the request.
    pub async fn send(&self, url: &Url, request: Request<RequestBody>) -> Result<Response<AnswerBody>, Error> {
        let limit = self.limit();
        match tokio::time::timeout(limit, self.request(url, request)).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::Timeout(self.origin(), limit.into())),
        }
    }

    /// Sends a client's request in the same way; the time that its body takes is the client's own, so that the limit holds
    /// from its end on.
    pub async fn forward(&self, url: &Url, request: Request<RequestBody>) -> Result<Response<AnswerBody>, Error> {
        if request.body().is_end_stream() {
            return self.send(url, request).await;
        }
        let sent = CancellationToken::new();
        let guard = sent.clone().drop_guard();
        // hyper drops a body when it has sent it. Its errors are only mapped so that it holds the guard: a mapped frame would
        // lose the body's length.
        let request = request.map(|body| {
            let guarded = body.map_err(move |error| {
                let _held = &guard;
                error
            });
            guarded.boxed_unsync()
        });
        let limit = self.limit();
        let waited = async {
            sent.cancelled().await;
            tokio::time::sleep(limit).await;
        };
        tokio::select! {
            answered = self.request(url, request) => answered,
            () = waited => Err(Error::Timeout(self.origin(), limit.into())),
        }
    }

    async fn request(&self, url: &Url, mut request: Request<RequestBody>) -> Result<Response<AnswerBody>, Error> {
        let mut url = url.clone();
        auth::prove(&self.upstream, &mut url, request.headers_mut());
        request.headers_mut().remove(header::HOST);
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| Error::Broken(self.origin(), error.to_string()))?;
        *request.version_mut() = http::Version::HTTP_11;
        let connection = capture_connection(&mut request);
        match self.http.request(request).await {
            Ok(response) => {
                let version = response.version();
                Ok(response.map(|incoming| AnswerBody::new(incoming, version)))
            }
            Err(error) if error.is_connect() => Err(match tls_cause(&error) {
                Some(tls) => Error::Tls(self.origin(), tls.clone()),
                None => Error::Connect(self.origin(), root_cause(&error)),
            }),
            Err(error) if self.upstream.http != HttpVersion::Http2 && watched::was_stale(&connection) => {
                Err(Error::Stale(self.origin(), root_cause(&error)))
            }
            Err(error) => Err(Error::Broken(self.origin(), root_cause(&error))),
        }
    }

    /// How long the head of an answer may take, from the connection on.
    fn limit(&self) -> Duration {
        self.upstream.timeouts.connect.saturating_add(self.upstream.timeouts.head)
    }

    fn origin(&self) -> String {
        origin_of(&self.upstream)
    }

    /// A text of the upstream's that is to be shown or logged, without what unpage asked it with in confidence.
    pub fn redact(&self, url: &Url, headers: &HeaderMap, text: &str) -> String {
        auth::redact(&self.upstream, url, headers, text)
    }
}

fn origin_of(upstream: &config::Upstream) -> String {
    upstream.url.origin().ascii_serialization()
}

/// What TLS has against a connection.
fn tls_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    // The source of an `io::Error` is that of the error inside it, which itself is passed over.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inside) => tls_cause(inside),
        None => tls_cause(error.source()?),
    }
}

/// The innermost error says what happened; those around it only where.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
