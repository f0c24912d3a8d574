//! Activity of one connection, written where its bytes and bodies pass and read by its timer: no byte costs a timer of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection_state::ConnectionState;
use super::deadlines::{ConnectionFacts, ResponseKind, Stage};
use super::in_progress::InProgress;
use super::moment::Moment;
use super::response_activity::{ResponseActivity, ResponseCut};

#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    stage: AtomicU8,
    quiet: Moment,
    head: Moment,
    write_blocked: Moment,
    /// Writes that made progress, and reads of bytes that are dropped.
    moves: AtomicU64,
    requests: AtomicU64,
    last_response: ResponseActivity,
    /// Number of `responses`.
    in_progress: AtomicUsize,
    responses: Mutex<Vec<Arc<ResponseActivity>>>,
    finish: Moment,
    is_evicted: AtomicBool,
    cut: Moment,
    is_closed: AtomicBool,
    has_broken: AtomicBool,
    /// The end of the socket drops what was not sent.
    is_reset: AtomicBool,
    /// An order came, or the stage changed: the timer looks at once.
    is_changed: AtomicBool,
    timer: AtomicWaker,
    /// Reader of an upgraded connection.
    upgraded: AtomicWaker,
}

/// A request in progress, from its head to the end of its response's body.
#[derive(Debug)]
pub(super) struct RequestInProgress {
    connection: Arc<Activity>,
    response: Arc<ResponseActivity>,
}

impl Activity {
    pub(super) fn new() -> Self {
        let activity = Self {
            begun: Instant::now(),
            stage: AtomicU8::new(Stage::ProxyHeader as u8),
            quiet: Moment::default(),
            head: Moment::default(),
            write_blocked: Moment::default(),
            moves: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            last_response: ResponseActivity::default(),
            in_progress: AtomicUsize::new(0),
            responses: Mutex::default(),
            finish: Moment::default(),
            is_evicted: AtomicBool::new(false),
            cut: Moment::default(),
            is_closed: AtomicBool::new(false),
            has_broken: AtomicBool::new(false),
            is_reset: AtomicBool::new(false),
            is_changed: AtomicBool::new(true),
            timer: AtomicWaker::new(),
            upgraded: AtomicWaker::new(),
        };
        activity.quiet.set(Duration::ZERO);
        activity
    }

    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    pub(super) fn stage(&self) -> Stage {
        const STAGES: [Stage; 6] =
            [Stage::ProxyHeader, Stage::Handshake, Stage::FirstByte, Stage::Http1, Stage::Http2, Stage::Upgraded];
        STAGES.into_iter().find(|stage| *stage as u8 == self.stage.load(Ordering::Relaxed)).unwrap_or(Stage::Upgraded)
    }

    pub(super) fn begin(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        self.quiet.set(self.age());
        self.look();
    }

    /// Keeps the limit of the head whose first bytes told the version.
    pub(super) fn recognise(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        self.look();
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn has_read(&self) {
        if self.in_progress.load(Ordering::Relaxed) == 0 && !self.head.is_set() {
            self.head.set(self.age());
        }
    }

    pub(super) fn has_moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        if self.write_blocked.is_set() {
            self.write_blocked.clear();
        }
    }

    pub(super) fn waits_to_write(&self) {
        if !self.write_blocked.is_set() {
            self.write_blocked.set(self.age());
        }
    }

    pub(super) fn begin_request(self: &Arc<Self>) -> RequestInProgress {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        self.head.clear();
        let response = Arc::<ResponseActivity>::default();
        self.responses.lock().push(Arc::clone(&response));
        RequestInProgress { connection: Arc::clone(self), response }
    }

    fn end_request(&self, ended: &Arc<ResponseActivity>) {
        // Before the response is gone: the timer would take the connection for one that has long been idle.
        self.quiet.set(self.age());
        self.responses.lock().retain(|response| !Arc::ptr_eq(response, ended));
        if self.in_progress.fetch_sub(1, Ordering::Relaxed) == 1 && self.finish.is_set() {
            self.look();
        }
    }

    /// Time since which no request needs the connection; none while one does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.in_progress.load(Ordering::Relaxed) == 0
            && !self.write_blocked.is_set()
            && self.stage() != Stage::Upgraded
            && !self.is_evicted.load(Ordering::Relaxed);
        is_idle.then(|| self.begun + self.quiet.get().unwrap_or_default())
    }

    pub(super) fn state(&self) -> ConnectionState {
        ConnectionState::of(self.stage(), self.in_progress.load(Ordering::Relaxed))
    }

    pub(super) fn in_progress(&self) -> InProgress {
        let responses = self.responses.lock();
        let streams = responses.iter().filter(|response| response.kind() == ResponseKind::Stream).count();
        let websockets = usize::from(self.stage() == Stage::Upgraded);
        InProgress { all: responses.len() + websockets, streams, websockets }
    }

    /// Orders the connection to take no further request.
    pub(super) fn finish(&self) {
        if !self.finish.is_set() {
            self.finish.set(self.age());
        }
        self.look();
    }

    /// Orders the connection to close if no request needs it.
    pub(super) fn evict(&self) {
        self.is_evicted.store(true, Ordering::Relaxed);
        self.look();
    }

    /// Orders the bodies to break now, and the connection to close behind them.
    pub(super) fn cut(&self) {
        if !self.cut.is_set() {
            self.cut.set(self.age());
        }
        self.look();
        self.upgraded.wake();
        for response in &*self.responses.lock() {
            response.wake();
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_set()
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finish.is_set()
    }

    /// Returns true for an HTTP/2 connection on which a stream was reset.
    pub(super) fn holds_broken_stream(&self) -> bool {
        self.stage() == Stage::Http2 && self.has_broken.load(Ordering::Relaxed)
    }

    /// Orders the socket to drop what was not sent when it is closed.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_reset(&self) -> bool {
        self.is_reset.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.look();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Fails for an upgraded connection that is cut, and wakes its reader when it will be. Until then hyper's connection is cut by its
    /// bodies, so that its last frames still leave.
    pub(super) fn check_upgraded(&self, context: &Context<'_>) -> Result<(), ResponseCut> {
        if self.stage() != Stage::Upgraded {
            return Ok(());
        }
        self.upgraded.register(context.waker());
        if self.is_cut() { Err(ResponseCut) } else { Ok(()) }
    }

    fn look(&self) {
        self.is_changed.store(true, Ordering::Release);
        self.timer.wake();
    }

    /// Registers the timer's task; true where it has to look before its time.
    pub(super) fn watch(&self, timer: &Waker) -> bool {
        self.timer.register(timer);
        self.is_changed.swap(false, Ordering::AcqRel)
    }

    /// Returns the facts of this moment; `moves` is their number at the moment before.
    pub(super) fn facts(&self, moves: &mut u64, last_age: Option<Duration>) -> ConnectionFacts {
        let moved = self.moves.load(Ordering::Relaxed);
        let has_moved = std::mem::replace(moves, moved) != moved;
        // Reads and writes note no time: a look that finds some is the time of the last ones.
        if self.stage() == Stage::Upgraded && (self.head.take() | has_moved) {
            self.quiet.set(self.age());
        }
        let responses = self.responses.lock();
        ConnectionFacts {
            now: self.age(),
            stage: self.stage(),
            quiet_since: self.quiet.get().unwrap_or_default(),
            head_since: self.head.get(),
            write_blocked_since: self.write_blocked.get(),
            last_kind: self.last_response.kind(),
            responses: responses.iter().map(|response| (response.kind(), response.blocked_since())).collect(),
            has_moved,
            finishing_since: self.finish.get(),
            is_evicted: self.is_evicted.swap(false, Ordering::Relaxed),
            cut_since: self.cut.get(),
            last_age,
        }
    }
}

impl RequestInProgress {
    pub(super) fn respond(&self, kind: ResponseKind) {
        self.response.set_kind(kind);
        self.connection.last_response.set_kind(kind);
    }

    /// The client takes bytes: the body is asked for more. Fails where the body has to break.
    pub(super) fn is_asked(&self, context: &Context<'_>) -> Result<(), ResponseCut> {
        self.response.is_asked(context);
        if self.connection.is_cut() { Err(ResponseCut) } else { Ok(()) }
    }

    pub(super) fn has_broken(&self) {
        self.connection.has_broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_sent(&self) {
        self.response.has_sent(self.connection.age());
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.connection.end_request(&self.response);
    }
}
