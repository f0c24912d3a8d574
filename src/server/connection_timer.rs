//! Timer of a connection: the one clock that all of its deadlines share.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use super::activity::Activity;
use super::closed_connections::CloseReason;
use super::deadlines::NextStep;
use super::limits::ServerLimits;

/// Instruction to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerOrder {
    /// Take no further request, for this reason.
    Finish(CloseReason),
    Close(CloseReason),
    /// The socket is closed already.
    Ended,
}

#[derive(Debug)]
pub(super) struct ConnectionTimer {
    activity: Arc<Activity>,
    limits: Arc<ServerLimits>,
    sleep: Pin<Box<Sleep>>,
    moves: u64,
    last_age: Option<Duration>,
    is_finishing: bool,
}

impl ConnectionTimer {
    pub(super) fn new(activity: Arc<Activity>, limits: Arc<ServerLimits>) -> Self {
        // Connections that began together should not end together.
        let last_age = limits.connection_age.map(|age| age.mul_f64(1.0 - 0.1 * fastrand::f64()));
        let sleep = Box::pin(tokio::time::sleep_until(activity.begun()));
        Self { activity, limits, sleep, moves: 0, last_age, is_finishing: false }
    }

    /// Resolves when the connection has something to do. Each poll costs a comparison, and the facts are read when the time has come or an
    /// order came.
    pub(super) async fn order(&mut self) -> TimerOrder {
        poll_fn(|context| self.poll_order(context)).await
    }

    /// Repeats the order to finish for the next holder of the connection.
    pub(super) fn repeat(&mut self) {
        self.is_finishing = false;
    }

    fn poll_order(&mut self, context: &mut Context<'_>) -> Poll<TimerOrder> {
        if !self.activity.watch(context.waker()) {
            ready!(self.sleep.as_mut().poll(context));
        }
        loop {
            if self.activity.is_closed() {
                return Poll::Ready(TimerOrder::Ended);
            }
            let facts = self.activity.facts(&mut self.moves, self.last_age);
            let step = facts.next_step(&self.limits);
            match step {
                NextStep::Close(reason) => return Poll::Ready(TimerOrder::Close(reason)),
                NextStep::Finish(reason) => {
                    self.activity.finish();
                    self.is_finishing = true;
                    return Poll::Ready(TimerOrder::Finish(reason));
                }
                NextStep::Wait(until) => {
                    self.sleep.as_mut().reset(self.activity.begun() + until);
                    if self.activity.is_finishing() && !self.is_finishing {
                        self.is_finishing = true;
                        return Poll::Ready(TimerOrder::Finish(CloseReason::Drain));
                    }
                }
            }
            ready!(self.sleep.as_mut().poll(context));
        }
    }
}
