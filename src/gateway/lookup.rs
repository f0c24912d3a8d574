//! Lookup: the snapshot that answers a request. One that is kept, one whose crawl is under way (single flight), or one that is filled for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ask::StreamRequest;
use super::cache_keys::{CacheKeys, credentials};
use super::fill::CacheFill;
use super::quota::Quota;
use crate::error::Failure;
use crate::id::SnapshotId;
use crate::request::{Freshness, IfRange, Otherwise, Range, RangeSpec, Reuse, StorePolicy, View};
use crate::response::{CacheStatus, Representation};
use crate::snapshot::{FlightOutcome, LookupPurpose, LookupResult, Recency, Snapshot, SnapshotState};

/// Number of times that one request may find a snapshot whose files are lost before it can be read.
const ATTEMPTS: usize = 3;

/// Reason for which no snapshot answers a request.
#[derive(Debug)]
pub(super) enum NoSnapshot {
    /// The request names a page, as the first answer shows.
    Page,
    /// The crawl failed before its first record.
    Failed(Arc<Failure>),
    /// The snapshot that the request names is not kept, or not for this caller. The reason is one that gives no caller away.
    Gone(Option<String>),
    /// A range that names no snapshot (RFC 9110 §14.2).
    UnnamedRange,
    /// The caller has begun as many crawls as it may; the duration is the wait until the next one.
    TooMany(Duration),
    /// No snapshot is kept, and the client wants no crawl.
    NotKept,
}

type LookupOutcome = Result<(Arc<Snapshot>, CacheStatus), NoSnapshot>;

/// The lookup of one request.
pub(super) struct SnapshotLookup<'a> {
    pub(super) request: &'a Arc<StreamRequest>,
    pub(super) keys: CacheKeys,
    pub(super) representation: Representation,
    pub(super) fill: &'a CacheFill,
    pub(super) quota: &'a Quota,
}

impl SnapshotLookup<'_> {
    /// Finds the snapshot, or fills one.
    pub(super) async fn find(&self) -> LookupOutcome {
        if let Some(first_version) = self.keys.first_version {
            self.fill.older_keys.adopt(&self.fill.registry, first_version, self.keys.current);
        }
        let options = &self.request.options;
        if let Some(id) = options.pinned {
            let gone = || NoSnapshot::Gone(self.fill.older_keys.reason(&self.fill.registry, id));
            return self.named(id).await.unwrap_or_else(|| Err(gone()));
        }
        // A range from the first byte on is the whole.
        let is_part = options.range.is_some_and(|range| range != Range::Bytes(RangeSpec::From(0)));
        match (is_part, &options.if_range) {
            (true, None) => Err(NoSnapshot::UnnamedRange),
            (true, Some(IfRange::Tag(tag))) if *tag == self.representation.entity_tag(tag.snapshot) => {
                match self.named(tag.snapshot).await {
                    Some(found) => found,
                    // The client has a part of another snapshot: it gets the whole of this one.
                    None => self.shared().await,
                }
            }
            (true, Some(IfRange::Tag(_) | IfRange::Never)) | (false, _) => self.shared().await,
        }
    }

    /// Finds the snapshot with this name; none where it isn't kept for this caller.
    async fn named(&self, id: SnapshotId) -> Option<LookupOutcome> {
        let options = &self.request.options;
        let reads = options.view == View::Records && options.method != http::Method::HEAD;
        let purpose = if reads { LookupPurpose::Read } else { LookupPurpose::Look };
        for _ in 0..ATTEMPTS {
            let (subscription, is_follower) = match self.fill.registry.find(id, self.keys.current, purpose) {
                Some(LookupResult::Stored(_)) | None => return None,
                Some(LookupResult::Found(snapshot)) => return Some(Ok(self.hit(snapshot))),
                Some(LookupResult::Follow(subscription)) => (subscription, true),
                Some(LookupResult::Lead(lead)) => {
                    let subscription = lead.subscription();
                    self.fill.resume(lead, id, purpose, self.request, self.keys.current);
                    (subscription, false)
                }
            };
            match subscription.outcome().await {
                // It was opened for a request that only wanted its state.
                FlightOutcome::Open(snapshot)
                    if is_follower
                        && purpose == LookupPurpose::Read
                        && matches!(snapshot.state(), SnapshotState::Stopped) => {}
                FlightOutcome::Open(snapshot) if is_follower => return Some(Ok((snapshot, CacheStatus::Collapsed))),
                FlightOutcome::Open(snapshot) => return Some(Ok(self.hit(snapshot))),
                FlightOutcome::Failed(failure) => return Some(Err(NoSnapshot::Failed(failure))),
                FlightOutcome::Page | FlightOutcome::Apart | FlightOutcome::Lost => return None,
            }
        }
        None
    }

    /// Finds or fills a snapshot that other requests may share.
    async fn shared(&self) -> LookupOutcome {
        if self.request.options.freshness.storage == StorePolicy::Forbidden {
            return self.alone().await;
        }
        for _ in 0..ATTEMPTS {
            let mut stale = None;
            let role = self.fill.registry.open(self.keys.current, self.recency(), || self.admit())?;
            let (subscription, cache_status) = match role {
                LookupResult::Found(snapshot) if matches!(snapshot.state(), SnapshotState::Running) => {
                    return Ok((snapshot, CacheStatus::Collapsed));
                }
                LookupResult::Found(snapshot) => return Ok(self.hit(snapshot)),
                LookupResult::Stored(id) => match self.named(id).await {
                    Some(found) => return found,
                    None => continue,
                },
                LookupResult::Follow(subscription) => (subscription, CacheStatus::Collapsed),
                LookupResult::Lead(lead) => {
                    let subscription = lead.subscription();
                    stale = lead.stale().map(|stale| stale.id());
                    let cache_status = if stale.is_some() { CacheStatus::Stale } else { self.miss() };
                    self.fill.begin(lead, self.request, self.keys.current);
                    (subscription, cache_status)
                }
            };
            match subscription.outcome().await {
                FlightOutcome::Open(snapshot) => {
                    if stale == Some(snapshot.id()) {
                        self.give_back();
                    }
                    return Ok((snapshot, cache_status));
                }
                FlightOutcome::Lost => {}
                FlightOutcome::Apart => break,
                FlightOutcome::Page => {
                    if cache_status != CacheStatus::Collapsed {
                        self.give_back();
                    }
                    return Err(NoSnapshot::Page);
                }
                FlightOutcome::Failed(failure) => return Err(NoSnapshot::Failed(failure)),
            }
        }
        self.alone().await
    }

    /// Fills a snapshot that no other request shares.
    async fn alone(&self) -> LookupOutcome {
        let lead = self.fill.registry.open_alone(self.keys.current, || self.admit())?;
        let subscription = lead.subscription();
        self.fill.begin(lead, self.request, self.keys.current);
        match subscription.outcome().await {
            FlightOutcome::Open(snapshot) => Ok((snapshot, self.miss())),
            FlightOutcome::Page => {
                self.give_back();
                Err(NoSnapshot::Page)
            }
            FlightOutcome::Failed(failure) => Err(NoSnapshot::Failed(failure)),
            FlightOutcome::Apart | FlightOutcome::Lost => Err(NoSnapshot::Gone(None)),
        }
    }

    /// Called before a crawl begins, and for nothing else.
    fn admit(&self) -> Result<(), NoSnapshot> {
        if self.request.options.freshness.otherwise == Otherwise::Refuse {
            return Err(NoSnapshot::NotKept);
        }
        let credentials = credentials(&self.request.first.headers, &self.fill.registry);
        self.quota.take(credentials, self.request.peer).map_err(NoSnapshot::TooMany)
    }

    /// Called where no crawl came of an admission: the upstream has nothing newer, or the request names a page.
    fn give_back(&self) {
        self.quota.give_back(credentials(&self.request.first.headers, &self.fill.registry), self.request.peer);
    }

    fn recency(&self) -> Recency {
        let fresh_for = self.request.collection.sharing.fresh_for;
        match self.request.options.freshness {
            Freshness { reuse: Reuse::Fresh, .. } => Recency::Within { fresh_for, max_age: Duration::MAX },
            Freshness { reuse: Reuse::Within(max_age), .. } => Recency::Within { fresh_for, max_age },
            Freshness { reuse: Reuse::Never, .. } => Recency::New,
        }
    }

    fn hit(&self, snapshot: Arc<Snapshot>) -> (Arc<Snapshot>, CacheStatus) {
        let ttl = match self.request.options.pinned {
            Some(_) => None,
            None => snapshot.fresh_at().map(|at| {
                let until = at + self.request.collection.sharing.fresh_for;
                until.duration_since(SystemTime::now()).unwrap_or_default()
            }),
        };
        (snapshot, CacheStatus::Hit { ttl })
    }

    fn miss(&self) -> CacheStatus {
        if self.request.options.freshness.reuse == Reuse::Never { CacheStatus::Bypass } else { CacheStatus::Miss }
    }
}
