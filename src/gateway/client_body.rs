//! Body of a client's request on its way upstream: one that stands still is given up, and a fault of the client's is told from one of the upstream's.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::response::BoxError;

/// Size limit of a request body, which is sent again with every page.
pub(super) const MAX_REQUEST_BODY: usize = 1 << 20;

/// Time limit for such a body to arrive.
pub(super) const BODY_LIMIT: Duration = Duration::from_secs(30);

/// Delay of a poll behind its deadline that shows that the body was not waited for: the upstream takes no more bytes.
const LATE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClientBodyFault {
    #[error("no byte of the request's body has come for {}", humantime::Duration::from(*.0))]
    Stalled(Duration),
    #[error("the request's body broke: {0}")]
    Broken(String),
}

/// Place where the fault of a body is seen after the upstream's client has failed with it.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenFault(Arc<OnceLock<ClientBodyFault>>);

impl SeenFault {
    pub(super) fn get(&self) -> Option<&ClientBodyFault> {
        self.0.get()
    }
}

/// A body that has this time for each next frame.
#[derive(Debug)]
pub(super) struct ClientBody<B> {
    body: Pin<Box<B>>,
    limit: Duration,
    /// Set while the next frame is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    fault: SeenFault,
}

impl<B> ClientBody<B> {
    pub(super) fn new(body: B, limit: Duration) -> (Self, SeenFault) {
        let fault = SeenFault::default();
        (Self { body: Box::pin(body), limit, deadline: None, fault: fault.clone() }, fault)
    }

    fn fail(&self, fault: ClientBodyFault) -> BoxError {
        // The first one is the cause.
        self.fault.0.get_or_init(|| fault).clone().into()
    }

    /// Polls the deadline. A frame that could not be taken is no fault of the client's.
    fn is_stalled(&mut self, context: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        while deadline.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if now < deadline.deadline() + LATE {
                return true;
            }
            deadline.as_mut().reset(now + limit);
        }
        false
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.body.as_mut().poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                let error: BoxError = error.into();
                Poll::Ready(Some(Err(self.fail(ClientBodyFault::Broken(error.to_string())))))
            }
            Poll::Ready(frame) => {
                self.deadline = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if self.is_stalled(context) => {
                let limit = self.limit;
                Poll::Ready(Some(Err(self.fail(ClientBodyFault::Stalled(limit)))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_has_the_limit_for_each_piece_and_not_for_all_of_it() {
        let limit = Duration::from_secs(30);
        for (pause, pieces, fault) in [(29, 10, None), (31, 1, Some(ClientBodyFault::Stalled(limit)))] {
            let pieces = stream::unfold(0, move |at| async move {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                (at < pieces).then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), at + 1))
            });
            let (body, seen) = ClientBody::new(StreamBody::new(pieces), limit);
            let collected = body.collect().await;
            assert_eq!((collected.is_err(), seen.get()), (fault.is_some(), fault.as_ref()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_the_upstream_does_not_take_is_not_stalled() {
        let (mut body, seen) = ClientBody::new(
            StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()),
            Duration::from_secs(30),
        );
        let polled = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context).is_pending()));
        assert!(polled.await);
        tokio::time::advance(Duration::from_secs(300)).await;
        let begun = Instant::now();
        assert!(body.frame().await.is_some_and(|frame| frame.is_err()));
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
        assert!(seen.get().is_some());
    }
}
