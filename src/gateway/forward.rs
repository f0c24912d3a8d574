//! Forward: requests that ask for no stream get the upstream's own answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty};

use super::answer_length::LengthBuffers;
use super::client_body::{ClientBody, ClientBodyFault};
use super::client_links::{self, ClientOrigin};
use super::headers::{for_the_upstream, strip_hop_by_hop, via};
use super::route::{ConfiguredCredentials, Route, Routes};
use super::signed_body::{NotHeld, SignedBodies};
use super::websocket::{BadSwitch, Handshake};
use super::{forward_problem, parents, problem};
use crate::config::RewriteLinks;
use crate::request::ParamNames;
use crate::response::{self, Body, BoxError};
use crate::upstream::{Client, CodedBody, OutgoingBody, RequestEffect, UncoveredBody, UpstreamError};

#[derive(Debug)]
pub(super) struct Forwarding {
    routes: Arc<Routes>,
    names: ParamNames,
    /// Time for the next piece of a client's body.
    body_limit: Duration,
    lengths: LengthBuffers,
    signed_bodies: SignedBodies,
}

impl Forwarding {
    pub(super) fn new(routes: &Arc<Routes>, names: ParamNames, body_limit: Duration) -> Self {
        let (lengths, signed_bodies) = (LengthBuffers::new(), SignedBodies::new());
        Self { routes: Arc::clone(routes), names, body_limit, lengths, signed_bodies }
    }

    /// Passes a request on and its answer back.
    pub(super) async fn answer<B>(&self, route: &Route, mut head: Parts, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if route.is_for_pages(&head.method) && !parents::open_segments(route).is_empty() {
            return forward_problem::all_parents();
        }
        let (version, origin) = (head.version, ClientOrigin::of(&head));
        match Handshake::take(&mut head) {
            Some(Ok(handshake)) => return self.websocket(route, head, handshake).await,
            Some(Err(bad)) => return closing(version, forward_problem::bad_handshake(bad)),
            None => {}
        }
        let (body, fault) = ClientBody::new(body, self.body_limit);
        let (inspected, is_held) = match route.write_finder(&head.method, head.uri.path()) {
            Some(finder) => (finder.inspect(&head, body).await, true),
            None => (Ok((body.boxed_unsync(), None)), false),
        };
        let (body, write) = match inspected {
            Ok(inspected) => inspected,
            Err(error) => {
                let unseen = ClientBodyFault::Broken(error.to_string());
                return closing(version, forward_problem::client_body(fault.get().unwrap_or(&unseen)));
            }
        };
        for_the_upstream(&mut head.headers);
        Handshake::strip(&mut head.headers);
        let asked = route.client_for(&head.method, head.uri.path(), write.as_ref());
        // A body that was inspected is in memory already. Boxed: few requests are signed.
        let body = if !is_held && asked.1 == ConfiguredCredentials::Sent && route.signs_requests() {
            match Box::pin(self.signed_bodies.hold(&mut head.extensions, body)).await {
                Ok(body) => body,
                Err(NotHeld::NoPlace) => return closing(version, forward_problem::no_place_for_a_body()),
                Err(NotHeld::Body(error)) => {
                    let report = fault.get().map(forward_problem::client_body);
                    return closing(version, report.unwrap_or_else(|| problem::request_body(error)));
                }
            }
        } else {
            body
        };
        let is_read = is_held && write.is_none() && matches!(head.method, Method::GET | Method::HEAD);
        let effect = if is_read { RequestEffect::Reads } else { RequestEffect::MayWrite };
        match self.send(route, head, body, asked, effect).await {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                closing(version, forward_problem::bad_switch(BadSwitch("without being asked")))
            }
            Ok(answer) => {
                match self.lengths.with_length(version, self.passed_back(route, origin.as_ref(), answer)).await {
                    Ok(answer) => answer,
                    Err(no_length) => forward_problem::no_length(&no_length),
                }
            }
            Err(error) => match fault.get() {
                Some(fault) => closing(version, forward_problem::client_body(fault)),
                None if matches!(error, UpstreamError::NotTaken(..)) => closing(version, problem::unreachable(&error)),
                None => problem::unreachable(&error),
            },
        }
    }

    /// Passes the handshake of a WebSocket on. Any answer but the upgrade ends the client's connection: what follows may be no request.
    async fn websocket(&self, route: &Route, mut head: Parts, handshake: Handshake) -> Response<Body> {
        let (version, origin) = (head.version, ClientOrigin::of(&head));
        let Some(asked) = route.client_for_websocket(head.uri.path()) else {
            return closing(version, forward_problem::no_websocket());
        };
        for_the_upstream(&mut head.headers);
        Handshake::ask(&mut head.headers);
        let none = Empty::new().map_err(|never| match never {}).boxed_unsync();
        match self.send(route, head, none, asked, RequestEffect::MayWrite).await {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => match handshake.complete(answer) {
                Ok(answer) => self.passed_back(route, origin.as_ref(), answer),
                Err(bad) => closing(version, forward_problem::bad_switch(bad)),
            },
            Ok(answer) => closing(version, self.passed_back(route, origin.as_ref(), answer)),
            Err(error) => closing(version, problem::unreachable(&error)),
        }
    }

    async fn send(
        &self,
        route: &Route,
        head: Parts,
        body: OutgoingBody,
        (client, credentials): (Client, ConfiguredCredentials),
        effect: RequestEffect,
    ) -> Result<Response<CodedBody>, UpstreamError> {
        let url = route.upstream_url(&head.uri, &self.names);
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.headers;
        if let Some(note) = head.extensions.get::<UncoveredBody>() {
            request.extensions_mut().insert(*note);
        }
        request.headers_mut().append(header::VIA, via(head.version));
        let answer = client.forward(&url, request, effect).await?;
        if credentials == ConfiguredCredentials::Withheld && is_refusal(answer.status()) {
            tracing::info!(
                "{} {}: refused by the upstream; it had no configured credentials, since it may write, and `passthrough` doesn't name it",
                head.method,
                route.collection().path
            );
        }
        Ok(answer)
    }

    /// Returns the answer as the client gets it.
    fn passed_back(&self, route: &Route, origin: Option<&ClientOrigin>, answer: Response<CodedBody>) -> Response<Body> {
        let (mut head, body) = answer.into_parts();
        strip_hop_by_hop(&mut head.headers);
        client_links::rewrite(&mut head.headers, |link| self.client_link(route, origin, link));
        head.headers.append(header::VIA, via(head.version));
        head.version = Version::HTTP_11;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            Handshake::ask(&mut head.headers);
        }
        Response::from_parts(head, response::passed(body))
    }
}

impl Forwarding {
    /// Returns the link that a client gets instead of this one of the upstream's; none where it is the same.
    fn client_link(&self, route: &Route, origin: Option<&ClientOrigin>, link: &str) -> Option<String> {
        let upstream = &route.collection().upstream;
        let is_secret = |value: &str| route.client().has_secret(value);
        let names: Vec<_> = upstream.credentials.query_params().collect();
        let clean = client_links::without_secret(link, &names, is_secret);
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
