//! Leader of a single flight: opens a snapshot and tells the result to all that wait.
//!
//! ```text
//!   Leader ── publish ──▶ Open        for all who may share it; Apart for the others
//!   Leader ── page ─────▶ Page
//!   Leader ── fail ─────▶ Failed
//!   Leader ── abandon ──▶ Lost        for callers that came in the same instant: they ask again
//!   Leader ── drop ─────▶ Failed      with the stop reason, if any (a dead opening can't leave its followers waiting)
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::facts::Retention;
use super::single_flight::{Flight, FlightOutcome, FlightRole, StopReason, Subscription, dropped};
use super::snapshot::Snapshot;
use super::snapshot_index::{IdEntry, SnapshotIndex};
use crate::error::Failure;
use crate::id::{CacheKey, SnapshotId};

/// Not `Clone`: dropping it ends the flight.
#[derive(Debug)]
pub struct FlightLeader {
    index: Arc<SnapshotIndex>,
    scope: FlightScope,
    flight: Flight,
    stale: Option<Arc<Snapshot>>,
    stop_reason: StopReason,
}

/// Requests that follow a flight.
#[derive(Clone, Debug)]
pub(super) enum FlightScope {
    /// All requests with this key.
    Key(CacheKey),
    /// All requests for this id, whose entry before the flight is kept.
    Id(SnapshotId, Box<IdEntry>),
    /// None.
    Alone,
}

impl FlightLeader {
    pub(super) fn new(index: &Arc<SnapshotIndex>, scope: FlightScope, flight: Flight) -> Self {
        Self { index: Arc::clone(index), scope, flight, stale: None, stop_reason: StopReason::default() }
    }

    pub(super) fn with_stale(mut self, stale: Option<Arc<Snapshot>>) -> Self {
        self.stale = stale;
        self
    }

    /// Waits for the result as the followers do.
    pub fn subscription(&self) -> Subscription {
        self.flight.subscribe(FlightRole::Leader)
    }

    /// Returns the cache key of the snapshot that is opened.
    pub fn key(&self) -> CacheKey {
        self.flight.key
    }

    /// Returns a complete snapshot with the same key that is no longer fresh: the upstream may revalidate it.
    pub fn stale(&self) -> Option<&Arc<Snapshot>> {
        self.stale.as_ref()
    }

    /// Returns the reason that the failure of a dropped leader has.
    pub fn stop_reason(&self) -> StopReason {
        self.stop_reason.clone()
    }

    /// Ends the flight with a snapshot.
    pub fn publish(self, snapshot: &Arc<Snapshot>) {
        match &self.scope {
            FlightScope::Key(_) | FlightScope::Alone => self.index.add_to_history(snapshot),
            // The crawl was begun before, maybe by another process.
            FlightScope::Id(..) => {}
        }
        self.land_with(snapshot);
    }

    /// Ends the flight with the stale snapshot, which the upstream has revalidated.
    pub fn unchanged(self) {
        let Some(stale) = self.stale.clone() else { return };
        stale.refresh();
        self.land_with(&stale);
    }

    fn land_with(self, snapshot: &Arc<Snapshot>) {
        let followers = match (&self.scope, snapshot.retention()) {
            (FlightScope::Key(key), retention) => {
                self.index.publish(*key, self.flight.serial, snapshot);
                if retention == Retention::Shared {
                    FlightOutcome::Open(Arc::clone(snapshot))
                } else {
                    FlightOutcome::Apart
                }
            }
            (FlightScope::Id(..), _) => {
                self.index.republish(snapshot);
                FlightOutcome::Open(Arc::clone(snapshot))
            }
            (FlightScope::Alone, retention) => {
                if retention != Retention::Transient {
                    self.index.keep(snapshot);
                }
                FlightOutcome::Apart
            }
        };
        self.flight.land(FlightOutcome::Open(Arc::clone(snapshot)), followers);
    }

    /// Ends the flight: the upstream's response is a page.
    pub fn page(self) {
        self.withdraw();
        self.flight.land(FlightOutcome::Page, FlightOutcome::Page);
    }

    /// Ends the flight without a snapshot. The entry of a snapshot that was to be resumed stays as before.
    pub fn fail(self, failure: Failure) {
        self.withdraw();
        let failed = FlightOutcome::Failed(Arc::new(failure));
        self.flight.land(failed.clone(), failed);
    }

    /// Resolves when no caller has waited for the `linger` time.
    pub async fn left(&self, linger: Duration) {
        loop {
            self.flight.left().await;
            tokio::time::sleep(linger).await;
            if self.flight.is_left() {
                return;
            }
        }
    }

    /// Gives the flight up, since no caller waits.
    pub fn abandon(self) {
        self.withdraw();
        self.flight.land(FlightOutcome::Lost, FlightOutcome::Lost);
    }

    /// Ends the flight of a snapshot that can't be read from the storage: if it is in memory it is read there, else it is lost.
    pub fn unreadable(self) {
        let outcome = match &self.scope {
            FlightScope::Id(_, before) => match &**before {
                IdEntry::Here(snapshot) => {
                    // Later lookups find it without another look at the storage.
                    snapshot.close();
                    self.withdraw();
                    FlightOutcome::Open(Arc::clone(snapshot))
                }
                IdEntry::Stored(_) | IdEntry::Opening { .. } => FlightOutcome::Lost,
            },
            FlightScope::Key(_) | FlightScope::Alone => FlightOutcome::Lost,
        };
        if let (FlightOutcome::Lost, FlightScope::Id(id, _)) = (&outcome, &self.scope) {
            self.index.forget(*id);
        }
        self.flight.land(outcome.clone(), outcome);
    }

    fn withdraw(&self) {
        match &self.scope {
            FlightScope::Key(key) => self.index.release(*key, self.flight.serial),
            FlightScope::Id(id, before) => self.index.restore(*id, self.flight.serial, before),
            FlightScope::Alone => {}
        }
    }
}

impl Drop for FlightLeader {
    fn drop(&mut self) {
        if !self.flight.has_landed() {
            self.withdraw();
            let failed = FlightOutcome::Failed(Arc::new(self.stop_reason.failure().unwrap_or_else(dropped)));
            self.flight.land(failed.clone(), failed);
        }
    }
}
