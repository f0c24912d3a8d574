//! The body of a stream: an error, unless the snapshot was sealed as complete.
//!
//! hyper ends a body cleanly when its producer is dropped or returns early; here the clean end exists only behind
//! [`Next::Complete`]. On a failure, what is whole is flushed first: hyper writes when the body is pending, so the error
//! follows a short wait. hyper then drops an HTTP/1.1 connection without the last chunk and resets an HTTP/2 stream with
//! INTERNAL_ERROR, and no client takes either for a whole answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Sleep;

use crate::snapshot::{Failure, Next, Reader};

/// Any error that a body can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of any response.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// How long what was written may take to leave before the connection is cut.
const FLUSH: Duration = Duration::from_millis(250);

/// A snapshot's records on their way to a client.
#[derive(Debug)]
pub struct StreamBody {
    reader: Reader,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    Complete,
    Flushing(Pin<Box<Sleep>>, Arc<Failure>),
    Aborted,
}

impl StreamBody {
    /// The body that this reader fills.
    pub fn new(reader: Reader) -> Self {
        Self { reader, state: State::Open }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Open => match ready!(this.reader.poll_next(context)) {
                    Ok(Next::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    // Open ⇒ Complete: the only way to `None`
                    Ok(Next::Complete(_) | Next::Stop) => this.state = State::Complete,
                    // Open ⇒ Flushing
                    Err(failure) => {
                        this.state = State::Flushing(Box::pin(tokio::time::sleep(FLUSH)), failure);
                    }
                },
                State::Complete => return Poll::Ready(None),
                // Flushing ⇒ Aborted
                State::Flushing(sleep, failure) => {
                    ready!(sleep.as_mut().poll(context));
                    let failure = (**failure).clone();
                    this.state = State::Aborted;
                    return Poll::Ready(Some(Err(failure.into())));
                }
                State::Aborted => return Poll::Ready(Some(Err("the stream was broken before".into()))),
            }
        }
    }
}

/// A body that is nothing.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is known.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is passed on.
pub fn passed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
