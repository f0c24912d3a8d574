//! Single flight: one caller opens a snapshot, and all others wait for the result.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::error::{Failure, Fault};
use crate::id::CacheKey;

/// An opening under way, as the index has it.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) key: CacheKey,
    pub(super) serial: u64,
    /// No receiver: receivers are counted, and each is a caller that waits.
    results: watch::Sender<Option<FlightResults>>,
}

/// Result of an opening, for one caller that waits.
#[derive(Clone, Debug)]
pub enum FlightOutcome {
    /// The snapshot can be read.
    Open(Arc<Snapshot>),
    /// There is a snapshot, but only for the leader.
    Apart,
    /// The upstream's response is a page, and no collection.
    Page,
    Failed(Arc<Failure>),
    /// The snapshot's files have changed, or the opening was given up: a caller that asks again gets another.
    Lost,
}

/// Wait for the result of an opening; clones wait for the same.
#[derive(Clone, Debug)]
pub struct Subscription {
    results: watch::Receiver<Option<FlightResults>>,
    role: FlightRole,
}

#[derive(Clone, Debug)]
struct FlightResults {
    leader: FlightOutcome,
    followers: FlightOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlightRole {
    Leader,
    Follower,
}

/// Reason for which an opening is about to be dropped, told to all that wait for it; clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopReason(Arc<OnceLock<Failure>>);

impl StopReason {
    /// Sets the reason; later ones have no effect.
    pub fn set(&self, failure: Failure) {
        self.0.get_or_init(|| failure);
    }

    pub fn failure(&self) -> Option<Failure> {
        self.0.get().cloned()
    }
}

impl Flight {
    pub(super) fn new(key: CacheKey, serial: u64) -> Self {
        Self { key, serial, results: watch::Sender::new(None) }
    }

    pub(super) fn subscribe(&self, role: FlightRole) -> Subscription {
        Subscription { results: self.results.subscribe(), role }
    }

    /// Ends the opening. Callers that have left meanwhile are no error.
    pub(super) fn land(&self, leader: FlightOutcome, followers: FlightOutcome) {
        self.results.send_replace(Some(FlightResults { leader, followers }));
    }

    pub(super) fn has_landed(&self) -> bool {
        self.results.borrow().is_some()
    }

    /// Resolves when no caller waits any more.
    pub(super) async fn left(&self) {
        self.results.closed().await;
    }

    pub(super) fn is_left(&self) -> bool {
        self.results.is_closed()
    }
}

impl Subscription {
    /// Waits for the result of the opening.
    pub async fn outcome(mut self) -> FlightOutcome {
        let role = self.role;
        match self.results.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(FlightResults { leader, .. })) if role == FlightRole::Leader => leader.clone(),
            Ok(Some(FlightResults { followers, .. })) => followers.clone(),
            Ok(None) | Err(_) => FlightOutcome::Failed(Arc::new(dropped())),
        }
    }
}

/// Returns the failure of an opening whose leader is gone.
pub(super) fn dropped() -> Failure {
    Failure::new(Fault::Stopped, "the crawl stopped before its first page", "ask again")
}
