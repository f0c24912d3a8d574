//! Activity of one response: its kind, and the time since which its client has taken nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::deadlines::ResponseKind;
use super::moment::Moment;

#[derive(Debug, Default)]
pub(super) struct ResponseActivity {
    /// Last piece that was taken, while the next one is not asked for.
    blocked: Moment,
    is_stream: AtomicBool,
    /// Task that writes the body, while the body has nothing for it.
    writer: AtomicWaker,
}

/// End of a response that the server cuts.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server stops, and the response is cut")]
pub(super) struct ResponseCut;

impl ResponseActivity {
    pub(super) fn kind(&self) -> ResponseKind {
        if self.is_stream.load(Ordering::Relaxed) { ResponseKind::Stream } else { ResponseKind::Passed }
    }

    pub(super) fn set_kind(&self, kind: ResponseKind) {
        self.is_stream.store(kind == ResponseKind::Stream, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self, context: &Context<'_>) {
        self.blocked.clear();
        self.writer.register(context.waker());
    }

    pub(super) fn has_sent(&self, now: Duration) {
        self.blocked.set(now);
    }

    pub(super) fn blocked_since(&self) -> Option<Duration> {
        self.blocked.get()
    }

    pub(super) fn wake(&self) {
        self.writer.wake();
    }
}
