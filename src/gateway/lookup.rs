//! Lookup: the snapshot that answers a request. One that is kept, one whose crawl is under way (single flight), or one that is filled for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ask::StreamRequest;
use super::crawl_rate_limit::{self, CrawlRateLimit};
use super::field_noise::FieldNoise;
use super::fill::CacheFill;
use super::session::{self, Session};
use crate::error::{Failure, Fault};
use crate::id::{CacheKey, SnapshotId};
use crate::request::{Freshness, IfRange, Otherwise, Reuse, StorePolicy, View};
use crate::response::{CacheStatus, Representation};
use crate::snapshot::{
    FlightLeader, FlightOutcome, LookupPurpose, LookupResult, Recency, RequestKeys, Retention, Seal, Snapshot,
    SnapshotState,
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

type LookupOutcome = Result<(Arc<Snapshot>, CacheStatus), NoSnapshot>;

#[derive(Debug)]
pub(super) struct SnapshotLookup {
    pub(super) fill: CacheFill,
    pub(super) rate_limit: CrawlRateLimit,
    pub(super) noise: FieldNoise,
}

impl SnapshotLookup {
    /// Finds the snapshot for a request with these keys, or fills one, and waits for its end where the client does.
    pub(super) async fn find(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        let Some(session) = Session::of(request, keys, &self.fill) else {
            let found = self.begun(request, keys).await?;
            return waited(request, &found.0).await.map(|()| found);
        };
        let found = self.of_session(request, keys, session).await?;
        let waited = waited(request, &found.0).await;
        // A client that has waited in vain has no bytes of a snapshot that can't be completed.
        let is_lost =
            matches!(&waited, Err(NoSnapshot::NoEnd { failure: Some(failure), .. }) if !failure.fault.is_transient());
        if is_lost || !session::may_have(request, &found.0) {
            return waited.map(|()| found);
        }
        let bound = session.bind(&found.0, &self.fill).await;
        if bound == found.0.id() {
            return waited.map(|()| found);
        }
        self.named(request, keys, bound).await.unwrap_or(Err(NoSnapshot::Gone(None)))
    }

    /// Returns `true` where the URL names the snapshot, by its id or by a session.
    pub(super) fn is_named(&self, request: &StreamRequest, keys: RequestKeys, id: SnapshotId) -> bool {
        request.options.pinned() == Some(id)
            || Session::of(request, keys, &self.fill).is_some_and(|session| session.has(id))
    }

    /// Finds the snapshot that a session has, or one for it.
    async fn of_session(&self, request: &Arc<StreamRequest>, keys: RequestKeys, session: Session) -> LookupOutcome {
        let options = &request.options;
        if let Some(bound) = session.bound(options)
            && let Some(found) = self.named(request, keys, bound).await
            && !matches!(&found, Ok((snapshot, _)) if session::is_over(options, snapshot))
        {
            return found;
        }
        if !session::may_begin(options) {
            return Err(NoSnapshot::Gone(Some(session::FREE.to_owned())));
        }
        self.ready(request, keys).await
    }

    /// Finds the newest complete snapshot that is fresh, also where another one grows, or fills one.
    async fn ready(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        if request.options.freshness.storage == StorePolicy::Allowed
            && let Some((_, complete)) = self.fill.registry.newest_complete(keys.shared, recency(request))
            && let Some(found) = self.named(request, keys, complete).await
        {
            return found;
        }
        self.shared(request, keys).await
    }

    /// Finds the snapshot of a request that names no session, or fills one.
    async fn begun(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        let options = &request.options;
        if let Some(id) = options.pinned() {
            let gone = || NoSnapshot::Gone(self.fill.older_keys.reason(&self.fill.registry, id));
            return self.named(request, keys, id).await.unwrap_or_else(|| Err(gone()));
        }
        if options.has_unnamed_range() {
            return Err(NoSnapshot::UnnamedRange);
        }
        if let (Some(_), Some(IfRange::Tag(tag))) = (options.partial_range(), &options.if_range)
            && *tag == Representation::new(options.media_type).entity_tag(tag.snapshot)
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
    async fn named(&self, request: &Arc<StreamRequest>, keys: RequestKeys, id: SnapshotId) -> Option<LookupOutcome> {
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
    async fn shared(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
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

/// Waits for the end of a snapshot, where the client does. The crawl goes on for its readers, of which this is one.
async fn waited(request: &StreamRequest, snapshot: &Arc<Snapshot>) -> Result<(), NoSnapshot> {
    let Some(wait) = request.options.wait else { return Ok(()) };
    if snapshot.retention() == Retention::Transient {
        return Err(NoSnapshot::NotKeptToItsEnd);
    }
    // A wait that is over is no failure: the state tells.
    drop(tokio::time::timeout(wait.longest(), snapshot.read_to_end()).await);
    let failure = match snapshot.log().extent().seal {
        Some(Seal::Complete(_)) => return Ok(()),
        Some(Seal::Failed(failure)) => Some(failure),
        None => None,
    };
    Err(NoSnapshot::NoEnd { snapshot: Arc::clone(snapshot), failure })
}

fn recency(request: &StreamRequest) -> Recency {
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
