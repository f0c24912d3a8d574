//! Bodies of the upstream's responses, which end where their protocol and their coding say so and nowhere else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::task::coop;
use tokio::time::{Instant, Sleep};
use tower::BoxError;

use super::coding::Decoder;
use super::error::{UpstreamError, root_cause};
use super::origin_of;
use super::pacing::Permit;
use crate::config;

/// A response body as the upstream codes it, whose end is only an end where its protocol says so.
#[derive(Debug)]
pub struct CodedBody {
    source: BodySource,
}

#[derive(Debug)]
enum BodySource {
    /// hyper takes an HTTP/2 stream that is reset with NO_ERROR for one that has ended. Here a body is whole if its last frame or
    /// all of its announced length has come, and broken otherwise.
    Hyper(Incoming, Version),
    /// The bytes that are still to come, where the length was announced.
    Service(BoxedBody, Option<u64>),
}

type BoxedBody = UnsyncBoxBody<Bytes, BoxError>;

/// A response body, decoded by its content coding: a stream of pieces that are never empty.
///
/// `None` is its whole end, as its framing and its coding define it. Each piece must come within `timeouts.idle` of the moment
/// when it is first waited for.
#[derive(Debug)]
pub struct DecodedBody {
    coded: CodedBody,
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
    pub fn new(upstream: &Arc<config::Upstream>, headers: &HeaderMap, coded: CodedBody) -> Self {
        let upstream = Arc::clone(upstream);
        let idle = Box::pin(tokio::time::sleep(upstream.timeouts.idle));
        let decoder = Decoder::new(headers);
        Self { coded, decoder, rest: Bytes::new(), upstream, idle, is_armed: false, permit: None }
    }

    /// The same body, which holds this permit until its end.
    pub fn with_permit(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// Releases the permit before the end: other requests need not wait for a slow reader of this body.
    pub fn release(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.end_page();
        }
    }

    fn poll_coded(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.coded).poll_frame(context) else {
                let limit = self.upstream.timeouts.idle;
                if !std::mem::replace(&mut self.is_armed, true) {
                    self.idle.as_mut().reset(Instant::now() + limit);
                }
                ready!(self.idle.as_mut().poll(context));
                return Poll::Ready(Some(Err(UpstreamError::Timeout(origin_of(&self.upstream), limit.into()))));
            };
            self.is_armed = false;
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let error = UpstreamError::Broken(origin_of(&self.upstream), root_cause(error.as_ref()));
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
    type Item = Result<Bytes, UpstreamError>;

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
                    body.release();
                    body.decoder.finish()?;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl CodedBody {
    /// The body of a response that came over this version of HTTP.
    pub(super) fn from_hyper(incoming: Incoming, version: Version) -> Self {
        Self { source: BodySource::Hyper(incoming, version) }
    }

    /// The body of another service's response with this head.
    ///
    /// Contract: the service ends its body with `None` if and only if all of it has come, and with an error otherwise. There is
    /// no framing below that could tell a service that gave up from one that is done; a handler that drops its producer must
    /// turn that into an error. Where the head has a `Content-Length`, or the body an exact size, any other number of bytes
    /// is an error here, as it would be on a connection.
    pub(super) fn from_service(head: &Parts, body: BoxedBody) -> Self {
        let has_body = !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = head.headers.get(CONTENT_LENGTH).filter(|_| has_body);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let left = length.or_else(|| body.size_hint().exact());
        Self { source: BodySource::Service(body, left) }
    }

    pub(super) fn empty() -> Self {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self { source: BodySource::Service(body, None) }
    }
}

impl Body for CodedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.source {
            BodySource::Hyper(incoming, version) => {
                Poll::Ready(match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
                    Some(frame) => Some(frame.map_err(Into::into)),
                    None if is_whole(incoming, *version) => None,
                    None => Some(Err("the stream was reset before its end".into())),
                })
            }
            BodySource::Service(body, left) => Poll::Ready(match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => Some(count(left, &frame).map(|()| frame)),
                None if matches!(left, None | Some(0)) => None,
                None => Some(Err("the body ended before its announced length".into())),
                Some(Err(error)) => Some(Err(error)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            BodySource::Hyper(incoming, _) => incoming.is_end_stream(),
            BodySource::Service(body, left) => body.is_end_stream() && matches!(left, None | Some(0)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            BodySource::Hyper(incoming, _) => incoming.size_hint(),
            BodySource::Service(body, None) => body.size_hint(),
            BodySource::Service(_, Some(left)) => SizeHint::with_exact(*left),
        }
    }
}

fn is_whole(incoming: &Incoming, version: Version) -> bool {
    version != Version::HTTP_2 || incoming.is_end_stream() || incoming.size_hint().exact() == Some(0)
}

/// Takes a frame's bytes off the announced length.
fn count(left: &mut Option<u64>, frame: &Frame<Bytes>) -> Result<(), BoxError> {
    if let (Some(left), Some(data)) = (left, frame.data_ref()) {
        let fits = left.checked_sub(data.len() as u64);
        *left = fits.ok_or("the body is longer than its announced length")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::Response;
    use http_body_util::StreamBody;

    use super::*;

    /// Reads a service's body of these frames; returns the bytes and the error that ended it.
    async fn read(length: Option<&str>, frames: Vec<Result<&'static str, &'static str>>) -> (String, Option<String>) {
        let mut response = Response::new(());
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        }
        let frames = frames.into_iter().map(|frame| match frame {
            Ok(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            Err(error) => Err(BoxError::from(error)),
        });
        let mut body =
            CodedBody::from_service(&response.into_parts().0, StreamBody::new(stream::iter(frames)).boxed_unsync());
        let mut text = String::new();
        loop {
            match body.frame().await {
                Some(Ok(frame)) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
                Some(Err(error)) => return (text, Some(error.to_string())),
                None => return (text, None),
            }
        }
    }

    #[tokio::test]
    async fn a_services_body_is_whole_where_it_ends_without_an_error_at_its_announced_length() {
        let (short, long) =
            ("the body ended before its announced length", "the body is longer than its announced length");
        for (length, frames, text, error) in [
            (None, vec![Ok("ab"), Ok("c")], "abc", None),
            (Some("3"), vec![Ok("ab"), Ok("c")], "abc", None),
            (Some("0"), vec![], "", None),
            (Some("4"), vec![Ok("ab"), Ok("c")], "abc", Some(short)),
            (Some("2"), vec![Ok("ab"), Ok("c")], "ab", Some(long)),
            (Some("3"), vec![Ok("ab"), Err("gave up")], "ab", Some("gave up")),
            (None, vec![Ok("ab"), Err("gave up")], "ab", Some("gave up")),
        ] {
            let read = read(length, frames).await;
            assert_eq!((read.0.as_str(), read.1.as_deref()), (text, error), "{length:?}");
        }
    }
}
