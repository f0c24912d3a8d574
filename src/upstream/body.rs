//! The body of an upstream's answer, which ends where its protocol says so and nowhere else.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::coding::Decoder;
use super::pace::{Permit, Release};

/// An answer's body.
///
/// hyper takes an HTTP/2 stream that is reset with NO_ERROR for one that has ended; here it is whole if its last frame or
/// all of its announced length has come, and broken otherwise.
#[derive(Debug)]
pub struct AnswerBody {
    incoming: Incoming,
    version: Version,
}

/// An answer's body on its way through the decoder of its content coding.
#[derive(Debug)]
pub struct DecodedBody {
    pub(super) coded: AnswerBody,
    pub(super) decoder: Decoder,
    /// What has come and is not decoded yet.
    pub(super) rest: Bytes,
    /// Given back at the end.
    pub(super) permit: Option<Permit>,
}

impl DecodedBody {
    /// The body that came with this head.
    pub fn of(headers: &HeaderMap, body: AnswerBody) -> Self {
        Self { coded: body, decoder: Decoder::of(headers), rest: Bytes::new(), permit: None }
    }

    /// The same, which gives this permit back at its end.
    pub fn under(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// What gives the permit back before the body is whole: others needn't wait for who reads it slowly.
    pub fn early(&self) -> Option<Release> {
        self.permit.as_ref().map(Permit::early)
    }
}

impl AnswerBody {
    /// The body of an answer that came over this version of HTTP.
    pub(super) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming, version }
    }

    fn is_whole(&self) -> bool {
        use http_body::Body;
        self.version != Version::HTTP_2 || self.incoming.is_end_stream() || self.incoming.size_hint().exact() == Some(0)
    }
}

impl http_body::Body for AnswerBody {
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
