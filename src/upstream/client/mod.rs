//! The client of one upstream: credentials, time limits and pacing around its transport.

mod crawl_client;
mod page_request;
mod request_span;
mod signed_request;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Request, Response, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::connect::capture_connection;
use twox_hash::XxHash3_64;
use url::Url;

pub use self::signed_request::UncoveredBody;
use super::body::CodedBody;
use super::credential::{CredentialSources, RequestCredentials};
use super::error::{ConnectorError, UpstreamError, root_cause};
use super::pacing::{CrawlLine, Governors, Permit, RefusedUrls};
use super::transport::{OutgoingBody, Transport};
use super::{auth, origin_of, sent_body, watched_connection};
use crate::config::{self, HttpVersion, RetryPolicy};
use crate::pagination::PageRequest;
use crate::pagination::redirects::CrawlRedirects;
use crate::trace::CrawlTrace;

/// Client of one upstream; clones share its transport.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    upstream: Arc<config::Upstream>,
    credentials: CredentialSources,
    governors: Governors,
    refused_urls: Arc<RefusedUrls>,
    /// A crawl's place in the queue for permits.
    line: Option<CrawlLine>,
    /// Trace of a crawl.
    trace: Option<CrawlTrace>,
    /// Number of attempts at the page before the next one.
    resends: u32,
    /// Path of the crawl's first page, and its redirects.
    crawl: Arc<(String, CrawlRedirects)>,
}

/// Effect of a client's request at the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEffect {
    Reads,
    MayWrite,
}

impl Client {
    /// Makes a client that reaches the upstream over the network and whose crawls are paced by `governors`; reads the certificate
    /// authorities.
    pub fn new(upstream: Arc<config::Upstream>, governors: &Governors) -> Result<Self, ConnectorError> {
        let transport = Transport::hyper(&upstream)?;
        Self::with_transport(upstream, governors, transport)
    }

    /// Makes a client with this transport. A token is requested over the network all the same.
    pub fn with_transport(
        upstream: Arc<config::Upstream>,
        governors: &Governors,
        transport: Transport,
    ) -> Result<Self, ConnectorError> {
        let credentials = CredentialSources::new(&upstream, governors.token_renewals())?;
        let governors = governors.clone();
        let (refused_urls, crawl) = (Arc::default(), Arc::default());
        Ok(Self {
            transport,
            upstream,
            credentials,
            governors,
            refused_urls,
            line: None,
            trace: None,
            resends: 0,
            crawl,
        })
    }

    /// The same client with the tokens of an old one, as far as both request them by the same settings and on the same way: a refresh token that
    /// was rotated is known to its holder alone.
    pub fn with_tokens_of(self, old: &Self) -> Self {
        if !self.upstream.requests_tokens_as(&old.upstream) {
            return self;
        }
        let credentials = &self.upstream.credentials;
        let credentials = self.credentials.with_tokens_of(credentials, &old.credentials, &old.upstream.credentials);
        Self { credentials, ..self }
    }

    /// The same client with another transport.
    pub fn through(&self, transport: Transport) -> Self {
        Self { transport, ..self.clone() }
    }

    /// The same client without the configured credentials; those of a request itself go upstream.
    pub fn without_credentials(&self) -> Self {
        let upstream = config::Upstream { credentials: config::Credentials::default(), ..(*self.upstream).clone() };
        Self { upstream: Arc::new(upstream), credentials: CredentialSources::passed(), ..self.clone() }
    }

    /// The same client with another policy of retries, and a pace of its own.
    pub fn with_retries(&self, retry: RetryPolicy) -> Self {
        let upstream = Arc::new(config::Upstream { retry, ..(*self.upstream).clone() });
        Self { upstream, governors: Governors::default(), line: None, ..self.clone() }
    }

    /// The same client, but each request opens a connection of its own: where one from the pool was stale, the others may be, too.
    pub fn unpooled(&self) -> Self {
        Self { transport: self.transport.unpooled(), ..self.clone() }
    }

    /// The same client for requests that ask for another protocol; none where the upstream speaks only HTTP/2, or is no network's.
    pub fn upgrading(&self) -> Option<Self> {
        Some(Self { transport: self.transport.upgrading()?, ..self.clone() })
    }

    pub fn upstream(&self) -> &Arc<config::Upstream> {
        &self.upstream
    }

    /// Requests a page when that is permitted, and waits for the head of its response. A page that is refused for its credentials is requested
    /// once more where there are others by now, and once with each other member of the pool where the crawl is bound to none.
    pub async fn send_page(&self, page: &PageRequest) -> Result<(Permit, Response<CodedBody>), UpstreamError> {
        let (member, permit) = self.permit(page, None).await;
        let answered = self.send_page_as(member, permit, page).await?;
        let Some(line) = &self.line else { return Ok(answered) };
        let (mut refused, at) = (Vec::new(), (&page.url, &*self.refused_urls));
        let other = line.after_answer(&mut refused, member, answered.1.status(), at);
        let Some(mut other) = other else { return Ok(answered) };
        drop(answered);
        // Boxed: few pages are refused, and the futures around each have the room.
        Box::pin(async {
            loop {
                let (_, permit) = self.permit(page, Some(other)).await;
                let answered = self.send_page_as(other, permit, page).await?;
                match line.after_answer(&mut refused, other, answered.1.status(), at) {
                    Some(next) => other = next,
                    None => return Ok(answered),
                }
            }
        })
        .await
    }

    /// Requests a page with this permit of this member.
    async fn send_page_as(
        &self,
        member: usize,
        mut permit: Permit,
        page: &PageRequest,
    ) -> Result<(Permit, Response<CodedBody>), UpstreamError> {
        let credentials = self.credentials.current(member).await?;
        let (request, span) = page_request::new(page, &self.upstream, self.trace.as_ref(), self.resends);
        let answer = self.send(&page.url, request, &credentials).await;
        let answer = request_span::answered(span, &mut permit, answer)?;
        permit.answered(answer.status(), answer.headers());
        let path = page.url.path();
        let renewed = self.credentials.after(&credentials, answer.status(), path).await?;
        let Some(renewed) = renewed else { return Ok((permit, answer)) };
        drop((permit, answer));
        let (_, mut permit) = self.permit(page, Some(member)).await;
        let (request, span) = page_request::new(page, &self.upstream, self.trace.as_ref(), self.resends);
        let answer = self.send(&page.url, request, &renewed).await;
        let answer = request_span::answered(span, &mut permit, answer)?;
        permit.answered(answer.status(), answer.headers());
        self.credentials.answered(&renewed, answer.status(), path);
        Ok((permit, answer))
    }

    /// Sends a request to this URL of the upstream, and waits for the head of its response.
    ///
    /// Fields of the connection (`Host`, hop-by-hop fields) are not taken from the request.
    async fn send(
        &self,
        url: &Url,
        request: Request<OutgoingBody>,
        credentials: &RequestCredentials,
    ) -> Result<Response<CodedBody>, UpstreamError> {
        let limit = self.limit();
        match tokio::time::timeout(limit, self.request(url, request, credentials)).await {
            Ok(answered) => answered,
            Err(_) => Err(self.timeout(limit)),
        }
    }

    /// Sends a client's request in the same way, without a body also a second time, and with each other member of the pool where it only reads. Its body takes
    /// the client's own time, so the limit holds from the end of the body on; until then the upstream has `timeouts.idle` to take more of it.
    pub async fn forward(
        &self,
        url: &Url,
        request: Request<OutgoingBody>,
        effect: RequestEffect,
    ) -> Result<Response<CodedBody>, UpstreamError> {
        // The next pages of a client that follows links itself stay with the member.
        let hash = || XxHash3_64::oneshot(url.path().as_bytes());
        let is_pooled = self.upstream.credentials.are_pooled();
        let line = is_pooled.then(|| self.line_of(request.method(), url, request.headers()).kept_to(hash()));
        let member = line.as_ref().map_or(0, CrawlLine::member);
        let (head, body) = request.into_parts();
        if body.is_end_stream() {
            let mut answer = self.forward_bodiless(url, &head, member).await?;
            let Some(line) = line.filter(|_| effect == RequestEffect::Reads) else { return Ok(answer) };
            let (mut refused, mut asked, at) = (Vec::new(), member, (url, &*self.refused_urls));
            while let Some(other) = line.after_answer(&mut refused, asked, answer.status(), at) {
                drop(answer);
                answer = self.forward_bodiless(url, &head, other).await?;
                asked = other;
            }
            return Ok(answer);
        }
        let credentials = self.credentials.current(member).await?;
        let (body, sending) = sent_body::watched(body);
        let mut request = Request::from_parts(head, body);
        let connection = capture_connection(&mut request);
        let (limit, idle) = (self.limit(), self.upstream.timeouts.idle);
        let waited = async {
            if sending.wait_until_taken(self.upstream.timeouts.connect, idle).await.is_err() {
                // It can carry no other request of HTTP/1.1; a stream of HTTP/2 is reset when its request is dropped.
                if self.upstream.http != HttpVersion::Http2 {
                    connection.connection_metadata().as_ref().map(watched_connection::abort);
                }
                return UpstreamError::NotTaken(origin_of(&self.upstream), idle.into());
            }
            tokio::time::sleep(limit).await;
            self.timeout(limit)
        };
        tokio::select! {
            answered = self.request(url, request, &credentials) => answered,
            error = waited => Err(error),
        }
    }

    /// Sends a client's request without a body, and once more where there are other credentials of this member after a refusal.
    async fn forward_bodiless(
        &self,
        url: &Url,
        head: &Parts,
        member: usize,
    ) -> Result<Response<CodedBody>, UpstreamError> {
        let none = || Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = || Request::from_parts(head.clone(), none());
        let credentials = self.credentials.current(member).await?;
        let answer = self.send(url, request(), &credentials).await?;
        let Some(renewed) = self.credentials.after(&credentials, answer.status(), url.path()).await? else {
            return Ok(answer);
        };
        let answer = self.send(url, request(), &renewed).await?;
        self.credentials.answered(&renewed, answer.status(), url.path());
        Ok(answer)
    }

    async fn request(
        &self,
        url: &Url,
        mut request: Request<OutgoingBody>,
        credentials: &RequestCredentials,
    ) -> Result<Response<CodedBody>, UpstreamError> {
        let mut url = Cow::Borrowed(url);
        auth::authenticate(&self.upstream, credentials, &mut url, request.headers_mut());
        request.headers_mut().remove(header::HOST);
        credentials.spell(&mut url);
        *request.uri_mut() = url.as_str().parse().map_err(|error: http::uri::InvalidUri| {
            UpstreamError::Broken(origin_of(&self.upstream), error.to_string())
        })?;
        *request.version_mut() = http::Version::HTTP_11;
        if credentials.are_signatures() {
            // Boxed: few requests are signed, and the futures around each have the room.
            let signed = Box::pin(signed_request::signed(request, credentials)).await;
            request = signed.map_err(|error| UpstreamError::Broken(origin_of(&self.upstream), root_cause(&*error)))?;
        }
        self.transport.send(request).await.map_err(|error| error.at(origin_of(&self.upstream)))
    }

    /// Longest time from the start of a request to the head of its response, connection included.
    fn limit(&self) -> Duration {
        self.upstream.timeouts.connect.saturating_add(self.upstream.timeouts.head)
    }

    fn timeout(&self, limit: Duration) -> UpstreamError {
        UpstreamError::Timeout(origin_of(&self.upstream), limit.into())
    }

    /// Returns true for a secret of the configured credentials.
    pub fn has_secret(&self, text: &str) -> bool {
        self.credentials.secrets().iter().any(|secret| secret == text)
    }

    /// Removes the credentials of the request from a text of the upstream's that is to be shown or logged.
    pub fn redact(&self, url: &Url, headers: &HeaderMap, text: &str) -> String {
        auth::redact(&self.upstream, self.credentials.secrets(), url, headers, text)
    }
}
