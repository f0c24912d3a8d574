//! Bodies of responses on their way through the server: what stands still is noticed, and what is cut breaks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::activity::RequestInProgress;
use super::response_observers::ResponseObservers;

/// Largest piece of an HTTP/2 response: hyper takes a piece as a whole, however little of it the client's window lets through.
const HTTP2_PIECE: usize = 64 << 10;

/// Extension of a response whose client can go on at its byte when it is cut: it has `stream_write` to pause, where others have `write`.
#[derive(Clone, Copy, Debug)]
pub struct Resumable;

/// Body of a response, which breaks when the server cuts it.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    /// First, so that an end is counted before it lets a crawl end.
    observers: ResponseObservers,
    body: Pin<Box<B>>,
    /// Rest of a piece that is too large for one frame.
    rest: Bytes,
    largest: usize,
    request: RequestInProgress,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(
        body: B,
        version: http::Version,
        request: RequestInProgress,
        observers: ResponseObservers,
    ) -> Self {
        let largest = if version == http::Version::HTTP_2 { HTTP2_PIECE } else { usize::MAX };
        Self { body: Box::pin(body), rest: Bytes::new(), largest, request, observers }
    }

    fn break_off(&mut self, error: impl Into<tower::BoxError>) -> tower::BoxError {
        let error = error.into();
        self.request.has_broken();
        self.observers.break_off(&error);
        error
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
{
    type Data = Bytes;
    type Error = tower::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tower::BoxError>>> {
        if let Err(cut) = self.request.is_asked(task) {
            return Poll::Ready(Some(Err(self.break_off(cut))));
        }
        if self.rest.is_empty() {
            let frame = match ready!(self.body.as_mut().poll_frame(task)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(self.break_off(error)))),
                None => {
                    self.observers.complete();
                    return Poll::Ready(None);
                }
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => {
                    // hyper asks for nothing behind them.
                    self.observers.complete();
                    return Poll::Ready(Some(Ok(trailers)));
                }
            }
        }
        let length = self.rest.len().min(self.largest);
        let piece = self.rest.split_to(length);
        self.request.has_sent();
        // hyper asks for nothing behind the last byte that the head has promised.
        let is_last = self.is_end_stream() || self.size_hint().exact() == Some(0);
        self.observers.pass(&piece, is_last);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        match hint.exact() {
            Some(length) => SizeHint::with_exact(length + self.rest.len() as u64),
            None => SizeHint::default(),
        }
    }
}
