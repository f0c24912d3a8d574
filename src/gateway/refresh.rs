//! Refresh: a complete snapshot of each collection with `refresh` is kept ready, by a crawl in each period. Clients join such a crawl as any other.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use super::ask::{StreamRequest, UnattendedRequest};
use super::auto_resume::request_again;
use super::fill::CacheFill;
use super::routing::Routing;
use crate::config::Config;
use crate::snapshot::{FlightOutcome, LookupResult, Recency, RequestKeys, Retention, Snapshot, SnapshotState};

/// Number of crawls that are opened at a time: a start would else begin all of them at once.
const AT_A_TIME: usize = 4;

/// Longest time until a crawl that failed is begun again, after a tenth of the period.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Shortest time between two crawls, also where one takes longer than the period.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// A collection whose snapshot is kept ready.
struct Refreshed {
    request: Arc<StreamRequest>,
    keys: RequestKeys,
    period: Duration,
}

/// Starts a task for each collection that has a period.
pub(super) fn start(config: &Config, routing: &Routing, fill: &CacheFill) {
    let Routing { routes, names, refreshing, .. } = routing;
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    for collection in &config.collections {
        let Some(period) = collection.sharing.refresh else { continue };
        let unattended = UnattendedRequest { target: collection.path.clone(), body: String::new() };
        let Some((request, keys)) = request_again(unattended, routes, names, fill) else {
            tracing::warn!("{}: is not refreshed: a request without a query asks for no stream", collection.path);
            continue;
        };
        let refreshed = Refreshed { request: Arc::new(request), keys, period };
        let (places, crawls) = (Arc::clone(&places), fill.clone());
        let work = async move {
            loop {
                let pause = refreshed.refresh(&crawls, &places).await;
                tokio::time::sleep(pause).await;
            }
        };
        let replaced = refreshing.clone();
        fill.spawn(async move {
            tokio::select! {
                () = work => {}
                () = replaced.cancelled() => {}
            }
        });
    }
}

impl Refreshed {
    /// Completes a snapshot, where none of this period is there. Returns the time until the next one.
    async fn refresh(&self, fill: &CacheFill, places: &Semaphore) -> Duration {
        let begun = SystemTime::now();
        let recency = Recency::Within { fresh_for: self.request.collection.sharing.fresh_for, max_age: self.period };
        // An earlier process or a client may have made one.
        if let Some((created, _)) = fill.registry.newest_complete(self.keys.shared, recency) {
            return self.rest_of(created);
        }
        let opened = {
            let _place = places.acquire().await;
            self.open(fill, recency).await
        };
        // Its failure is logged by the crawl.
        let Some(snapshot) = opened else { return self.pause() };
        snapshot.read_to_end().await;
        if snapshot.retention() != Retention::Shared {
            tracing::warn!(
                "{}: `refresh` has no use: the upstream forbids to share its answers",
                self.request.collection.path
            );
        }
        match snapshot.state() {
            // One that the upstream has revalidated was created long ago.
            SnapshotState::Complete(_) => self.rest_of(begun),
            SnapshotState::Broken(failure) => {
                tracing::warn!("{}: is refreshed again later: {failure}", self.request.collection.path);
                self.pause()
            }
            SnapshotState::Running | SnapshotState::Stopped => self.pause(),
        }
    }

    /// Joins the crawl that is under way, or begins one.
    async fn open(&self, fill: &CacheFill, recency: Recency) -> Option<Arc<Snapshot>> {
        let Ok(found) = fill.registry.open(self.keys.shared, recency, || Ok::<_, Infallible>(()));
        let subscription = match found {
            LookupResult::Found(snapshot) => return Some(snapshot),
            LookupResult::Follow(subscription) => subscription,
            LookupResult::Lead(lead) => {
                let subscription = lead.subscription();
                fill.begin(lead, &self.request, self.keys);
                subscription
            }
            // Complete snapshots were looked for before.
            LookupResult::Stored(_) | LookupResult::OtherFields => return None,
        };
        match subscription.outcome().await {
            FlightOutcome::Open(snapshot) => Some(snapshot),
            FlightOutcome::Apart | FlightOutcome::Page | FlightOutcome::Failed(_) | FlightOutcome::Lost => None,
        }
    }

    /// Returns the rest of the period that began at this time, and a moment at least.
    fn rest_of(&self, begun: SystemTime) -> Duration {
        let passed = SystemTime::now().duration_since(begun).unwrap_or_default();
        self.period.saturating_sub(passed).max(SHORTEST_PAUSE)
    }

    fn pause(&self) -> Duration {
        (self.period / 10).min(LONGEST_PAUSE)
    }
}
