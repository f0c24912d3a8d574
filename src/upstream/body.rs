//! Bodies of the upstream's responses, which end where their protocol and their coding say so and nowhere else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use super::coding::Decoder;
use super::pace::{Permit, Release};
use super::{Error, origin_of, root_cause};
use crate::config;

/// A response body as the upstream codes it.
///
/// hyper takes an HTTP/2 stream that is reset with NO_ERROR for one that has ended. Here a body is whole if its last frame or
/// all of its announced length has come, and broken otherwise.
#[derive(Debug)]
pub struct AnswerBody {
    incoming: Incoming,
    version: Version,
}

/// A response body, decoded by its content coding: a stream of pieces that are never empty.
///
/// `None` is its whole end, as its framing and its coding define it. Each piece must come within `timeouts.idle` of the moment
/// when it is first waited for.
#[derive(Debug)]
pub struct DecodedBody {
    coded: AnswerBody,
    decoder: Decoder,
    /// Bytes that have come and are not decoded yet.
    rest: Bytes,
    upstream: Arc<config::Upstream>,
    /// The limit of the frame that is waited for. It is kept from one frame to the next, since moving a registered timer back
    /// takes no lock.
    idle: Pin<Box<Sleep>>,
    is_armed: bool,
    /// Released at the end.
    permit: Option<Permit>,
}

impl DecodedBody {
    pub fn new(upstream: &Arc<config::Upstream>, headers: &HeaderMap, coded: AnswerBody) -> Self {
        let upstream = Arc::clone(upstream);
        let idle = Box::pin(tokio::time::sleep(upstream.timeouts.idle));
        let decoder = Decoder::new(headers);
        Self { coded, decoder, rest: Bytes::new(), upstream, idle, is_armed: false, permit: None }
    }

    /// The same body, which holds this permit until its end.
    pub fn with_permit(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// Handle that releases the permit before the end: other requests need not wait for a slow reader of this body.
    pub fn early(&self) -> Option<Release> {
        self.permit.as_ref().map(Permit::early)
    }

    fn poll_coded(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.coded).poll_frame(context) else {
                let limit = self.upstream.timeouts.idle;
                if !std::mem::replace(&mut self.is_armed, true) {
                    self.idle.as_mut().reset(Instant::now() + limit);
                }
                ready!(self.idle.as_mut().poll(context));
                return Poll::Ready(Some(Err(Error::Timeout(origin_of(&self.upstream), limit.into()))));
            };
            self.is_armed = false;
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let error = Error::Broken(origin_of(&self.upstream), root_cause(error.as_ref()));
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

impl Stream for DecodedBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = &mut *self;
        // A small body may decode to many pieces, and none of them waits for the network.
        let budget = ready!(coop::poll_proceed(context));
        loop {
            if let Some(piece) = body.decoder.next(&mut body.rest)? {
                budget.made_progress();
                return Poll::Ready(Some(Ok(piece)));
            }
            match ready!(body.poll_coded(context)?) {
                Some(coded) => body.rest = coded,
                None => {
                    body.permit = None;
                    body.decoder.finish()?;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl AnswerBody {
    /// The body of an answer that came over this version of HTTP.
    pub(super) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming, version }
    }

    fn is_whole(&self) -> bool {
        self.version != Version::HTTP_2 || self.incoming.is_end_stream() || self.incoming.size_hint().exact() == Some(0)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
            Some(frame) => Some(frame.map_err(Into::into)),
            None if self.is_whole() => None,
            None => Some(Err("the stream was reset before its end".into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
