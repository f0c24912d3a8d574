//! Lookup: the snapshot that answers a request. One that is kept, one whose crawl is under way (single flight), or one that is filled for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ask::StreamRequest;
use super::crawl_rate_limit::{self, CrawlRateLimit};
use super::field_noise::FieldNoise;
use super::fill::CacheFill;
use super::session::SessionRefusal;
use crate::error::{Failure, Fault};
use crate::id::{CacheKey, SnapshotId};
use crate::request::{Freshness, IfRange, Otherwise, Reuse, StorePolicy, View};
use crate::response::{CacheStatus, Representation};
use crate::snapshot::{
    FlightLeader, FlightOutcome, LookupPurpose, LookupResult, Recency, RequestKeys, Snapshot, SnapshotState,
};

/// Number of times that one request may find a snapshot whose files are lost before it can be read.
const ATTEMPTS: usize = 3;

/// Reason for which an interrupted snapshot is not resumed.
const OTHER_FIELDS: &str = "its crawl was interrupted, and this request has other header fields than the one that began it; a field \
     that decides nothing is named in `ignore_fields`";

/// Reason for which no snapshot answers a request.
#[derive(Debug)]
pub(super) enum NoSnapshot {
    /// The request names a page, as the first answer shows.
    Page,
    /// The crawl failed before its first record.
    Failed(Arc<Failure>),
    /// The snapshot that the request names is not kept, or not for this caller. The reason is one that gives no caller away.
    Gone(Option<String>),
    /// The session that the request names has none for it.
    Session(SessionRefusal),
    /// A range that names no snapshot (RFC 9110 §14.2).
    UnnamedRange,
    /// The caller has begun as many crawls as it may; the duration is the wait until the next one.
    TooMany(Duration),
    /// No snapshot is kept, and the client wants no crawl.
    NotKept,
    /// The client waits for the end of a snapshot that may not be kept until then.
    NotKeptToItsEnd,
    /// The end of this snapshot has not come for as long as the client waits, or its crawl broke.
    NoEnd { snapshot: Arc<Snapshot>, failure: Option<Arc<Failure>> },
}

impl From<SessionRefusal> for NoSnapshot {
    fn from(refusal: SessionRefusal) -> Self {
        Self::Session(refusal)
    }
}

pub(super) type LookupOutcome = Result<(Arc<Snapshot>, CacheStatus), NoSnapshot>;

#[derive(Debug)]
pub(super) struct SnapshotLookup {
    pub(super) fill: CacheFill,
    pub(super) rate_limit: CrawlRateLimit,
    pub(super) noise: FieldNoise,
}

impl SnapshotLookup {
    /// Finds the snapshot of a request that names no session, or fills one.
    pub(super) async fn begun(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        let options = &request.options;
        if let Some(id) = options.pinned() {
            let gone = || NoSnapshot::Gone(self.fill.older_keys.reason(&self.fill.registry, id));
            return self.named(request, keys, id).await.unwrap_or_else(|| Err(gone()));
        }
        if options.has_unnamed_range() {
            return Err(NoSnapshot::UnnamedRange);
        }
        if let (Some(_), Some(IfRange::Tag(tag))) = (options.partial_range(), &options.if_range)
            && *tag == Representation::new(options).entity_tag(tag.snapshot)
            && let Some(found) = self.named(request, keys, tag.snapshot).await
        {
            return found;
        }
        // A client that has a part of another snapshot gets the whole of this one.
        match request.collection.sharing.refresh {
            Some(_) => self.ready(request, keys).await,
            None => self.shared(request, keys).await,
        }
    }

    /// Finds the snapshot with this name; none where it isn't kept for this caller.
    pub(super) async fn named(
        &self,
        request: &Arc<StreamRequest>,
        keys: RequestKeys,
        id: SnapshotId,
    ) -> Option<LookupOutcome> {
        let options = &request.options;
        let reads = options.view == View::Records && (options.method != http::Method::HEAD || options.wait.is_some());
        let purpose = if reads { LookupPurpose::Read } else { LookupPurpose::Look };
        for _ in 0..ATTEMPTS {
            let (subscription, is_follower) = match self.fill.registry.find(id, keys, purpose) {
                Some(LookupResult::Stored(_)) | None => return None,
                Some(LookupResult::OtherFields) => return Some(Err(NoSnapshot::Gone(Some(OTHER_FIELDS.to_owned())))),
                Some(LookupResult::Found(snapshot)) => return Some(Ok(hit(request, snapshot))),
                Some(LookupResult::Follow(subscription)) => (subscription, true),
                Some(LookupResult::Lead(lead)) => {
                    let subscription = lead.subscription();
                    self.fill.resume(lead, id, purpose, request);
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
                FlightOutcome::Open(snapshot) => return Some(Ok(hit(request, snapshot))),
                FlightOutcome::Failed(failure) => return Some(Err(NoSnapshot::Failed(failure))),
                FlightOutcome::Page | FlightOutcome::Apart | FlightOutcome::Lost => return None,
            }
        }
        None
    }

    /// Finds or fills a snapshot that other requests may share.
    pub(super) async fn shared(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        if request.options.freshness.storage == StorePolicy::Forbidden {
            return self.alone(request, keys).await;
        }
        for _ in 0..ATTEMPTS {
            let mut stale = None;
            let role = self.fill.registry.open(keys.shared, recency(request), || self.admit(request))?;
            let (subscription, cache_status) = match role {
                LookupResult::Found(snapshot) if matches!(snapshot.state(), SnapshotState::Running) => {
                    return Ok((snapshot, CacheStatus::Collapsed));
                }
                LookupResult::Found(snapshot) => return Ok(hit(request, snapshot)),
                LookupResult::Stored(id) => match self.named(request, keys, id).await {
                    Some(found) => return found,
                    None => continue,
                },
                // Only of a lookup by id.
                LookupResult::OtherFields => break,
                LookupResult::Follow(subscription) => (subscription, CacheStatus::Collapsed),
                LookupResult::Lead(lead) => {
                    let subscription = lead.subscription();
                    stale = lead.stale().map(|stale| stale.id());
                    let cache_status = if stale.is_some() { CacheStatus::Stale } else { miss(request) };
                    self.begin(lead, request, keys);
                    (subscription, cache_status)
                }
            };
            match subscription.outcome().await {
                FlightOutcome::Open(snapshot) => {
                    if stale == Some(snapshot.id()) {
                        self.give_back(request);
                    }
                    return Ok((snapshot, cache_status));
                }
                FlightOutcome::Lost => {}
                FlightOutcome::Apart => break,
                FlightOutcome::Page => {
                    if cache_status != CacheStatus::Collapsed {
                        self.give_back(request);
                    }
                    return Err(NoSnapshot::Page);
                }
                FlightOutcome::Failed(failure) => {
                    // The upstream was not asked.
                    if cache_status != CacheStatus::Collapsed && failure.fault == Fault::Stopped {
                        self.give_back(request);
                    }
                    return Err(NoSnapshot::Failed(failure));
                }
            }
        }
        self.alone(request, keys).await
    }

    /// Fills a snapshot that no other request shares.
    async fn alone(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        let lead = self.fill.registry.open_alone(keys.shared, || self.admit(request))?;
        let subscription = lead.subscription();
        self.begin(lead, request, keys);
        match subscription.outcome().await {
            FlightOutcome::Open(snapshot) => Ok((snapshot, miss(request))),
            FlightOutcome::Page => {
                self.give_back(request);
                Err(NoSnapshot::Page)
            }
            FlightOutcome::Failed(failure) => Err(NoSnapshot::Failed(failure)),
            FlightOutcome::Apart | FlightOutcome::Lost => Err(NoSnapshot::Gone(None)),
        }
    }

    fn begin(&self, lead: FlightLeader, request: &Arc<StreamRequest>, keys: RequestKeys) {
        self.noise.note(keys.reader, request);
        self.fill.begin(lead, request, keys);
    }

    /// Called before a crawl begins, and for nothing else.
    fn admit(&self, request: &StreamRequest) -> Result<(), NoSnapshot> {
        if request.options.freshness.otherwise == Otherwise::Refuse {
            return Err(NoSnapshot::NotKept);
        }
        self.rate_limit.take(self.identity(request), request.peer).map_err(NoSnapshot::TooMany)
    }

    /// Called where no crawl came of an admission: the upstream has nothing newer, there is no place for it, or the request names a page.
    fn give_back(&self, request: &StreamRequest) {
        self.rate_limit.give_back(self.identity(request), request.peer);
    }

    fn identity(&self, request: &StreamRequest) -> Option<CacheKey> {
        crawl_rate_limit::identity(&request.caller.fields, self.fill.registry.store())
    }
}

pub(super) fn recency(request: &StreamRequest) -> Recency {
    let fresh_for = request.collection.sharing.fresh_for;
    match request.options.freshness {
        Freshness { reuse: Reuse::Fresh, .. } => Recency::Within { fresh_for, max_age: Duration::MAX },
        Freshness { reuse: Reuse::Within(max_age), .. } => Recency::Within { fresh_for, max_age },
        Freshness { reuse: Reuse::Never, .. } => Recency::New,
    }
}

fn hit(request: &StreamRequest, snapshot: Arc<Snapshot>) -> (Arc<Snapshot>, CacheStatus) {
    let ttl = match request.options.named {
        Some(_) => None,
        None => snapshot.fresh_at().map(|at| {
            let until = at + request.collection.sharing.fresh_for;
            until.duration_since(SystemTime::now()).unwrap_or_default()
        }),
    };
    (snapshot, CacheStatus::Hit { ttl })
}

fn miss(request: &StreamRequest) -> CacheStatus {
    if request.options.freshness.reuse == Reuse::Never { CacheStatus::Bypass } else { CacheStatus::Miss }
}
