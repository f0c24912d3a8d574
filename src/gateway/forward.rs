//! Forward: requests that ask for no stream get the upstream's own answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;

use super::answer_length::LengthBuffers;
use super::client_body::ClientBody;
use super::client_links::{self, ClientOrigin};
use super::headers::{for_the_upstream, strip_hop_by_hop, via};
use super::route::{ConfiguredCredentials, Route, Routes};
use super::{forward_problem, problem};
use crate::config::RewriteLinks;
use crate::request::ParamNames;
use crate::response::{self, Body, BoxError};
use crate::upstream::UpstreamError;

/// Forwarding of a gateway's requests.
#[derive(Debug)]
pub(super) struct Forwarding {
    routes: Arc<Routes>,
    names: ParamNames,
    /// Time for the next piece of a client's body.
    body_limit: Duration,
    lengths: LengthBuffers,
}

impl Forwarding {
    pub(super) fn new(routes: &Arc<Routes>, names: ParamNames, body_limit: Duration) -> Self {
        Self { routes: Arc::clone(routes), names, body_limit, lengths: LengthBuffers::new() }
    }

    /// Passes a request on and its answer back.
    pub(super) async fn answer<B>(&self, route: &Route, head: Parts, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let version = head.version;
        let (body, fault) = ClientBody::new(body, self.body_limit);
        match self.send(route, head, body).await {
            Ok(answer) => match self.lengths.with_length(version, answer).await {
                Ok(answer) => answer,
                Err(no_length) => forward_problem::no_length(&no_length),
            },
            Err(error) => match fault.get() {
                Some(fault) => closing(version, forward_problem::client_body(fault)),
                None => problem::unreachable(&error),
            },
        }
    }

    async fn send<B>(&self, route: &Route, head: Parts, body: B) -> Result<Response<Body>, UpstreamError>
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let url = route.upstream_url(&head.uri, &self.names);
        let origin = ClientOrigin::of(&head);
        let mut request = Request::new(body.boxed_unsync());
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.headers;
        for_the_upstream(request.headers_mut());
        request.headers_mut().append(header::VIA, via(head.version));
        let (client, credentials) = route.client_for(&head.method, head.uri.path());
        let answer = client.forward(&url, request).await?;
        if credentials == ConfiguredCredentials::Withheld && is_refusal(answer.status()) {
            tracing::info!(
                "{} {}: refused by the upstream; it had no configured credentials, since `passthrough` doesn't name it",
                head.method,
                route.collection().path
            );
        }
        let (mut head, body) = answer.into_parts();
        strip_hop_by_hop(&mut head.headers);
        client_links::rewrite(&mut head.headers, |link| self.client_link(route, origin.as_ref(), link));
        head.headers.append(header::VIA, via(head.version));
        head.version = Version::HTTP_11;
        Ok(Response::from_parts(head, response::passed(body)))
    }
}

impl Forwarding {
    /// Returns the link that a client gets instead of this one of the upstream's; none where it is the same.
    fn client_link(&self, route: &Route, origin: Option<&ClientOrigin>, link: &str) -> Option<String> {
        let upstream = &route.collection().upstream;
        let clean = client_links::without_secret(link, &upstream.credentials);
        let origin = origin.filter(|_| upstream.rewrite_links == RewriteLinks::Headers);
        let target = || self.routes.client_target(route, clean.as_deref().unwrap_or(link), &self.names);
        match origin.and_then(|origin| Some(origin.url(&target()?))) {
            Some(own) => Some(own),
            None => clean,
        }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Closes an HTTP/1.1 connection after this answer: the rest of a body is still to come.
fn closing(version: Version, mut answer: Response<Body>) -> Response<Body> {
    if version < Version::HTTP_2 {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
