//! A governor with the requests that wait for its permits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::member_refusal::MemberRefusal;
use super::traffic::Traffic;
use super::wait_log::{WaitLog, WaitingName};
use crate::config;
use crate::pace::budget_headers::BudgetReport;
use crate::pace::{CrawlId, Governor, GrantDecision, HoldReason, Pace, Prospect, Ticket};
use crate::trace::Span;

/// The governor of one upstream and credential, and the requests that wait for it.
#[derive(Debug)]
pub(super) struct SharedGovernor {
    origin: String,
    pace: Pace,
    /// Seconds of the pages of the origin.
    pages: Histogram,
    started: Instant,
    state: Mutex<GovernorState>,
    /// The time of the next permit, if nothing happens before: each waiting request watches it and hands out permits then.
    next: watch::Sender<Option<Instant>>,
}

#[derive(Debug)]
struct GovernorState {
    governor: Governor,
    /// Number of the pool's member whose credentials these are, in the present configuration.
    member: Option<usize>,
    refusal: MemberRefusal,
    waiting: HashMap<Ticket, oneshot::Sender<Permit>>,
    used: Instant,
    backing_off: usize,
    retries: u64,
    waited: Duration,
    log: WaitLog,
}

/// The right to send one request to the upstream; dropping it returns it.
#[derive(Debug)]
pub struct Permit {
    governor: Arc<SharedGovernor>,
    sent: Duration,
    is_answered: AtomicBool,
    /// Span of the request, which ends with the permit.
    span: Option<Span>,
}

/// A place in the queue for permits, left when this is dropped.
struct QueuePlace<'a> {
    governor: &'a Arc<SharedGovernor>,
    ticket: Ticket,
    since: Instant,
}

impl SharedGovernor {
    pub(super) fn new(origin: String, member: Option<usize>, upstream: &config::Upstream, pages: Histogram) -> Self {
        let now = Instant::now();
        let state = GovernorState {
            governor: Governor::new(&upstream.pace, upstream.retry.cap),
            member,
            refusal: MemberRefusal::default(),
            waiting: HashMap::new(),
            used: now,
            backing_off: 0,
            retries: 0,
            waited: Duration::ZERO,
            log: WaitLog::default(),
        };
        Self {
            origin,
            pace: upstream.pace.clone(),
            pages,
            started: now,
            state: Mutex::new(state),
            next: watch::Sender::default(),
        }
    }

    pub(super) fn has_pace(&self, upstream: &config::Upstream) -> bool {
        self.pace == upstream.pace
    }

    pub(super) async fn permit(self: &Arc<Self>, crawl: CrawlId) -> Permit {
        if let Some(permit) = self.permit_at_once(crawl) {
            return permit;
        }
        let since = Instant::now();
        let (turn, mut permit) = oneshot::channel();
        let mut next = self.next.subscribe();
        let _place = QueuePlace { governor: self, ticket: self.join(crawl, turn), since };
        self.pump();
        loop {
            let at = *next.borrow_and_update();
            tokio::select! {
                biased;
                permit = &mut permit => return permit.expect("the sender is kept until the permit is sent or its place is left"),
                _ = next.changed() => {}
                () = tokio::time::sleep_until(at.unwrap_or(since)), if at.is_some() => self.pump(),
            }
        }
    }

    /// Grants a permit where no request waits and none has to, without a place in the queue.
    fn permit_at_once(self: &Arc<Self>, crawl: CrawlId) -> Option<Permit> {
        let now = self.now();
        let mut state = self.state.lock();
        if !state.waiting.is_empty() {
            return None;
        }
        let ticket = state.governor.join(crawl);
        match state.governor.grant(now) {
            GrantDecision::Now(_) => Some(Permit::new(self, now)),
            GrantDecision::At(..) | GrantDecision::Idle => {
                state.governor.leave(ticket);
                None
            }
        }
    }

    /// Holds all requests for this time, for this reason.
    pub(super) fn pause(self: &Arc<Self>, wait: Duration, reason: HoldReason) {
        let now = self.now();
        self.state.lock().governor.pause(now, wait, reason);
        self.pump();
    }

    /// Notes that the credentials of this member of a pool were refused where another one's were not.
    pub(super) fn note_refusal(&self, member: usize) {
        self.state.lock().refusal.note(&self.origin, member);
    }

    pub(super) fn start_back_off(&self) {
        let mut state = self.state.lock();
        state.backing_off += 1;
        state.retries += 1;
    }

    pub(super) fn end_back_off(&self, waited: Duration) {
        let mut state = self.state.lock();
        state.backing_off -= 1;
        state.waited += waited;
    }

    pub(super) fn traffic(&self) -> Traffic {
        let state = self.state.lock();
        Traffic {
            origin: self.origin.clone(),
            member: state.member,
            load: state.governor.load(self.now()),
            backing_off: state.backing_off,
            retries: state.retries,
            waited: state.waited,
            refused: state.refusal.left(),
        }
    }

    /// Returns true while a member's credentials count as refused, and the prospect of its next request: of several members, the least is asked.
    pub(super) fn prospect(&self) -> (bool, Prospect) {
        let state = self.state.lock();
        (!state.refusal.left().is_zero(), state.governor.prospect(self.now()))
    }

    /// Marks it as used now, for this member of a pool.
    pub(super) fn touch(&self, member: Option<usize>) {
        let mut state = self.state.lock();
        state.used = Instant::now();
        state.member = member;
    }

    /// Forgets the member's number until the next use.
    pub(super) fn leave_pool(&self) {
        self.state.lock().member = None;
    }

    /// Time of the last use; none while a crawl or a request holds it, or while it knows of a wait that the next crawl must
    /// respect.
    pub(super) fn unused_since(self: &Arc<Self>) -> Option<Instant> {
        if Arc::strong_count(self) > 1 {
            return None;
        }
        let state = self.state.lock();
        state.governor.is_idle(self.now()).then_some(state.used)
    }

    fn join(&self, crawl: CrawlId, turn: oneshot::Sender<Permit>) -> Ticket {
        let mut state = self.state.lock();
        let ticket = state.governor.join(crawl);
        state.waiting.insert(ticket, turn);
        ticket
    }

    /// Hands out all permits that are due.
    fn pump(self: &Arc<Self>) {
        let mut turns = Vec::new();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let now = self.now();
        let next = loop {
            match state.governor.grant(now) {
                GrantDecision::Now(ticket) => turns.extend(state.waiting.remove(&ticket)),
                GrantDecision::At(at, hold) => {
                    let name = WaitingName { origin: &self.origin, member: state.member };
                    state.log.log(name, &state.governor, now, at, hold);
                    break self.started.checked_add(at);
                }
                GrantDecision::Idle => break None,
            }
        };
        // Under the lock, so that the last value comes from the last state.
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
        drop(guard);
        for turn in turns {
            // A permit whose request no longer waits comes back here, and dropping it returns it.
            drop(turn.send(Permit::new(self, now)));
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Permit {
    fn new(governor: &Arc<SharedGovernor>, sent: Duration) -> Self {
        Self { governor: Arc::clone(governor), sent, is_answered: AtomicBool::new(false), span: None }
    }

    pub(in crate::upstream) fn hold(&mut self, span: Span) {
        self.span = Some(span);
    }

    /// Tells the governor of the head of the response. Later calls have no effect.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        if self.is_answered.swap(true, Ordering::Relaxed) {
            return;
        }
        let governor = &self.governor;
        let budget = BudgetReport::from_headers(&governor.pace.budget, headers, SystemTime::now());
        let now = governor.now();
        governor.state.lock().governor.answered(now, self.sent, status, &budget);
        governor.pump();
    }

    /// Counts a page whose body has come, or is put aside for now.
    pub(in crate::upstream) fn end_page(self) {
        let governor = &self.governor;
        governor.pages.observe((governor.now() - self.sent).as_secs_f64());
    }

    /// Number of the pool's member whose credentials the request has.
    pub fn member(&self) -> Option<usize> {
        self.governor.state.lock().member
    }

    /// Tells the governor of a wait that the response demands elsewhere than in its head.
    pub fn demanded(&self, wait: Duration) {
        self.governor.pause(wait, HoldReason::Demand);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.governor.state.lock();
        if !*self.is_answered.get_mut() {
            state.governor.lost(self.sent);
        }
        state.governor.released();
        state.used = Instant::now();
        drop(state);
        self.governor.pump();
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let mut state = self.governor.state.lock();
        state.waited += self.since.elapsed();
        if state.waiting.remove(&self.ticket).is_some() {
            state.governor.leave(self.ticket);
            drop(state);
            self.governor.pump();
        }
    }
}
