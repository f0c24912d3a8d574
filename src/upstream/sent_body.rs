//! A client's body on its way upstream, and the time that the upstream has to take it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
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
    body: OutgoingBody,
    awaited: watch::Sender<Awaited>,
}

/// View of a body that is being sent.
#[derive(Debug)]
pub(super) struct Sending(watch::Receiver<Awaited>);

/// Returns the body, and a view of how far it is sent.
pub(super) fn watched(body: OutgoingBody) -> (OutgoingBody, Sending) {
    let (awaited, sending) = watch::channel(Awaited::Upstream);
    (SentBody { body, awaited }.boxed_unsync(), Sending(sending))
}

impl Sending {
    /// Waits for the end of the body. Returns false as soon as the upstream takes nothing for `idle`; it has `connect` more for the first frame.
    pub(super) async fn wait_until_taken(mut self, connect: Duration, idle: Duration) -> bool {
        let mut limit = connect.saturating_add(idle);
        loop {
            let awaited = *self.0.borrow_and_update();
            let moved = match awaited {
                Awaited::Client => self.0.changed().await,
                Awaited::Upstream => match tokio::time::timeout(limit, self.0.changed()).await {
                    Ok(moved) => moved,
                    Err(_) => return false,
                },
            };
            if moved.is_err() {
                return true;
            }
            limit = idle;
        }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.awaited.send_replace(if frame.is_pending() { Awaited::Client } else { Awaited::Upstream });
        frame
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
                while body.frame().await.is_some() {
                    pause(upstream).await;
                }
            };
            let (taken, ()) = tokio::join!(sending.wait_until_taken(CONNECT, IDLE), sent);
            assert_eq!(taken, is_taken, "{connect} s to connect, {client} s and {upstream} s for each frame");
        }
    }
}
