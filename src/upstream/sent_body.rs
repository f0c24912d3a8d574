//! A client's body on its way upstream, and the time that the upstream has to take it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::transport::OutgoingBody;
use crate::response::BoxError;

/// Side that a body waits for.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    Client,
    Upstream,
}

/// A body that tells which side it waits for, until it is sent: hyper asks for a frame only when it can write more, and drops a body at its end.
struct SentBody {
    body: SharedBody,
    awaited: watch::Sender<Awaited>,
}

/// A body that can be taken away from the task that sends it: that task may wait for the upstream for ever.
type SharedBody = Arc<Mutex<Option<OutgoingBody>>>;

/// View of a body that is being sent.
pub(super) struct Sending {
    body: SharedBody,
    awaited: watch::Receiver<Awaited>,
}

/// The upstream took nothing of the body for too long, and the body was dropped, so that the client's connection is free.
pub(super) struct BodyNotTaken;

/// Returns the body, and a view of how far it is sent.
pub(super) fn watched(body: OutgoingBody) -> (OutgoingBody, Sending) {
    let (sender, awaited) = watch::channel(Awaited::Upstream);
    let body = Arc::new(Mutex::new(Some(body)));
    (SentBody { body: Arc::clone(&body), awaited: sender }.boxed_unsync(), Sending { body, awaited })
}

impl Sending {
    /// Waits for the end of the body.
    ///
    /// # Errors
    /// Fails as soon as the upstream takes nothing for `idle`; it has `connect` more for the first frame.
    pub(super) async fn wait_until_taken(mut self, connect: Duration, idle: Duration) -> Result<(), BodyNotTaken> {
        let mut limit = connect.saturating_add(idle);
        loop {
            let awaited = *self.awaited.borrow_and_update();
            let moved = match awaited {
                Awaited::Client => self.awaited.changed().await,
                Awaited::Upstream => match tokio::time::timeout(limit, self.awaited.changed()).await {
                    Ok(moved) => moved,
                    Err(_) => {
                        drop(self.body.lock().take());
                        return Err(BodyNotTaken);
                    }
                },
            };
            if moved.is_err() {
                return Ok(());
            }
            limit = idle;
        }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut body = self.body.lock();
        let Some(body) = &mut *body else { return Poll::Ready(Some(Err("the body was given up".into()))) };
        let frame = Pin::new(body).poll_frame(context);
        self.awaited.send_replace(if frame.is_pending() { Awaited::Client } else { Awaited::Upstream });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    const CONNECT: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn each_frame_has_the_time_and_the_first_one_that_of_a_connection_more() {
        for (connect, client, upstream, is_taken) in
            [(39, 0, 29, true), (41, 0, 0, false), (0, 0, 31, false), (39, 600, 29, true), (0, 600, 31, false)]
        {
            let pause = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
            let frames = stream::unfold(0, move |at| async move {
                pause(client).await;
                (at < 10).then(|| (Ok(Frame::data(Bytes::from_static(b"x"))), at + 1))
            });
            let (mut body, sending) = watched(StreamBody::new(frames).boxed_unsync());
            let sent = async move {
                pause(connect).await;
                while let Some(Ok(_)) = body.frame().await {
                    pause(upstream).await;
                }
            };
            let (taken, ()) = tokio::join!(sending.wait_until_taken(CONNECT, IDLE), sent);
            assert_eq!(taken.is_ok(), is_taken, "{connect} s to connect, {client} s and {upstream} s for each frame");
        }
    }
}
