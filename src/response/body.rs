//! The body of a stream: an error, unless the snapshot was sealed as complete.
//!
//! hyper ends a body cleanly when its producer is dropped or returns early. Here a body of open length ends cleanly only after
//! [`ReaderEvent::Complete`]; a body with a `Content-Length` ends cleanly when it has that length (a range, also of a snapshot that
//! still grows). On a failure, the bytes before it are flushed first: hyper writes when the body is pending, so the error follows a
//! short wait. hyper then drops an HTTP/1.1 connection without the last chunk and resets an HTTP/2 stream with INTERNAL_ERROR, and
//! no client takes either for a whole answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Sleep;
use tower::BoxError;

use super::formatted_log::RecordSource;
use super::stream_ending::StreamEnding;
use crate::error::Failure;
use crate::snapshot::ReaderEvent;

/// The body of any response.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Time for the bytes before a failure to be sent, until the connection is cut.
const FLUSH: Duration = Duration::from_millis(250);

/// A snapshot's records on their way to a client.
#[derive(Debug)]
pub struct StreamBody {
    reader: RecordSource,
    left: BodyLength,
    ending: StreamEnding,
    state: BodyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Up to the end of its snapshot.
    Open,
    /// Number of bytes that the head has promised.
    Exactly(u64),
}

#[derive(Debug)]
enum BodyState {
    Open,
    Complete,
    Flushing(Pin<Box<Sleep>>, Arc<Failure>),
    /// Reason, for the log.
    Aborted(&'static str),
}

impl StreamBody {
    /// Makes a body of this length, with this addition where the length is open.
    pub fn new(reader: RecordSource, length: BodyLength, ending: StreamEnding) -> Self {
        Self { reader, left: length, ending, state: BodyState::Open }
    }

    /// Open ⇒ Complete, or Aborted where the head has promised more: over HTTP/2 hyper would not notice.
    fn ended(&self, end: &ReaderEvent) -> BodyState {
        match (self.left, end) {
            (BodyLength::Open, ReaderEvent::Complete(_)) | (BodyLength::Exactly(0), _) => BodyState::Complete,
            (BodyLength::Open, _) => BodyState::Aborted("the stream stopped before its snapshot's end"),
            (BodyLength::Exactly(_), _) => BodyState::Aborted("the snapshot is shorter than the head has promised"),
        }
    }
}

impl BodyLength {
    /// Returns the length that is left after this number of bytes; none if they are too many.
    fn without(self, bytes: usize) -> Option<Self> {
        match self {
            Self::Open => Some(self),
            Self::Exactly(left) => left.checked_sub(bytes as u64).map(Self::Exactly),
        }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                BodyState::Open => match ready!(this.reader.poll_next(context)) {
                    Ok(ReaderEvent::Bytes(bytes)) => match this.left.without(bytes.len()) {
                        Some(left) => {
                            this.left = left;
                            this.ending.pass(&bytes);
                            return Poll::Ready(Some(Ok(Frame::data(bytes))));
                        }
                        // Open ⇒ Aborted
                        None => this.state = BodyState::Aborted("the snapshot is longer than the head has promised"),
                    },
                    // Open ⇒ Complete: the only way to `None`
                    Ok(end @ (ReaderEvent::Complete(_) | ReaderEvent::Stop)) => {
                        this.state = this.ended(&end);
                        if let (ReaderEvent::Complete(verdict), BodyLength::Open) = (&end, this.left)
                            && let Some(last) = this.ending.complete(verdict, this.reader.column_use())
                        {
                            return Poll::Ready(Some(Ok(last)));
                        }
                    }
                    // Open ⇒ Flushing
                    Err(failure) => {
                        let last = this.ending.broken(&failure);
                        this.state = BodyState::Flushing(Box::pin(tokio::time::sleep(FLUSH)), failure);
                        if let Some(last) = last {
                            return Poll::Ready(Some(Ok(last)));
                        }
                    }
                },
                BodyState::Complete => return Poll::Ready(None),
                // Flushing ⇒ Aborted
                BodyState::Flushing(sleep, failure) => {
                    ready!(sleep.as_mut().poll(context));
                    let failure = (**failure).clone();
                    this.state = BodyState::Aborted("the stream was broken before");
                    return Poll::Ready(Some(Err(failure.into())));
                }
                BodyState::Aborted(reason) => return Poll::Ready(Some(Err((*reason).into()))),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            BodyLength::Open => SizeHint::default(),
            BodyLength::Exactly(left) => SizeHint::with_exact(left),
        }
    }
}

/// Returns a body without bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn passed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::error::Fault;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::{Seal, transient_log};

    const LINES: &str = "[1]\n[2]\n";

    /// Returns the bytes of a log of two lines that ended like this, and the error of an end that is not clean.
    async fn body(seal: Seal, end: Option<u64>, length: BodyLength) -> (String, Result<(), String>) {
        let (mut writer, log) = transient_log(1 << 20);
        let mut body = StreamBody::new(RecordSource::Log(log.reader(0, end).unwrap()), length, StreamEnding::Plain);
        writer.append(Batch::new(Bytes::from_static(LINES.as_bytes()), 2));
        writer.seal(seal);
        let mut text = String::new();
        loop {
            match body.frame().await {
                Some(Ok(frame)) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
                Some(Err(error)) => {
                    assert!(body.frame().await.is_some_and(|again| again.is_err()), "an error is the last word");
                    return (text, Err(error.to_string()));
                }
                None => return (text, Ok(())),
            }
        }
    }

    fn complete() -> Seal {
        Seal::Complete(Verdict::in_test(2, 1))
    }

    #[tokio::test]
    async fn a_body_ends_well_where_its_head_says_and_nowhere_else() {
        let short = "the snapshot is shorter than the head has promised";
        let long = "the snapshot is longer than the head has promised";
        let stopped = "the stream stopped before its snapshot's end";
        for (end, length, text, ends) in [
            (None, BodyLength::Open, LINES, Ok(())),
            (None, BodyLength::Exactly(8), LINES, Ok(())),
            (Some(5), BodyLength::Exactly(5), "[1]\n[", Ok(())),
            (Some(8), BodyLength::Exactly(8), LINES, Ok(())),
            (None, BodyLength::Exactly(9), LINES, Err(short)),
            (Some(5), BodyLength::Exactly(6), "[1]\n[", Err(short)),
            (Some(9), BodyLength::Exactly(9), LINES, Err(short)),
            (Some(5), BodyLength::Open, "[1]\n[", Err(stopped)),
            (None, BodyLength::Exactly(7), "", Err(long)),
            (Some(5), BodyLength::Exactly(0), "", Err(long)),
        ] {
            let ends = ends.map_err(ToOwned::to_owned);
            assert_eq!(body(complete(), end, length).await, (text.to_owned(), ends), "{end:?} {length:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_snapshot_is_no_end_however_long_it_was_to_be() {
        for length in [BodyLength::Open, BodyLength::Exactly(8), BodyLength::Exactly(6)] {
            let failed = Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "page 3 broke", "")));
            assert_eq!(body(failed, None, length).await, ("[1]\n[2".to_owned(), Err("page 3 broke".to_owned())));
        }
    }
}
