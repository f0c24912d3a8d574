//! Bodies of responses on their way through the server: what stands still is noticed, and what is cut breaks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::access_log::AccessEntry;
use super::activity::RequestInProgress;

/// Largest piece of an HTTP/2 response: hyper takes a piece as a whole, however little of it the client's window lets through.
const HTTP2_PIECE: usize = 64 << 10;

/// Extension of a response whose client can go on at its byte when it is cut: it has `stream_write` to pause, where others have `write`.
#[derive(Clone, Copy, Debug)]
pub struct Resumable;

/// Body of a response, which breaks when the server cuts it.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    body: Pin<Box<B>>,
    /// Rest of a piece that is too large for one frame.
    rest: Bytes,
    largest: usize,
    request: RequestInProgress,
    entry: Option<Box<AccessEntry>>,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(
        body: B,
        version: http::Version,
        request: RequestInProgress,
        entry: Option<Box<AccessEntry>>,
    ) -> Self {
        let largest = if version == http::Version::HTTP_2 { HTTP2_PIECE } else { usize::MAX };
        Self { body: Box::pin(body), rest: Bytes::new(), largest, request, entry }
    }

    fn break_off(&mut self, error: impl Into<tower::BoxError>) -> tower::BoxError {
        let error = error.into();
        self.request.has_broken();
        if let Some(entry) = &mut self.entry {
            entry.break_off(&error);
        }
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
                    if let Some(entry) = &mut self.entry {
                        entry.complete();
                    }
                    return Poll::Ready(None);
                }
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => {
                    // hyper asks for nothing behind them.
                    if let Some(entry) = &mut self.entry {
                        entry.complete();
                    }
                    return Poll::Ready(Some(Ok(trailers)));
                }
            }
        }
        let length = self.rest.len().min(self.largest);
        let piece = self.rest.split_to(length);
        self.request.has_sent();
        if let Some(mut entry) = self.entry.take() {
            // hyper asks for nothing behind the last byte that the head has promised.
            entry.pass(&piece, self.is_end_stream() || self.size_hint().exact() == Some(0));
            self.entry = Some(entry);
        }
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
