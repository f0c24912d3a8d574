//! From what is asked for to a snapshot of it: one that is there, one that another caller opens, or one of the caller's own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::asked::Asked;
use super::crawling::{Crawling, Job};
use super::quota::Quota;
use crate::config::Sharing;
use crate::error::Failure;
use crate::id::SnapshotId;
use crate::request::{Freshness, IfRange, Otherwise, Range, Reuse, Span, StorePolicy, View, Wish};
use crate::snapshot::{LeadOutcome, LookupPurpose, LookupResult, Recency, Snapshot, SnapshotState};

/// How often one request may find what is lost before it can have it.
const ATTEMPTS: usize = 3;

/// What a request has come to.
#[derive(Debug)]
pub(super) enum Obtained {
    /// This one, from there.
    Snapshot(Arc<Snapshot>, Whence),
    /// It asks for a page.
    Page,
    /// Nothing came.
    Failed(Arc<Failure>),
    /// The one that it names is not kept, or not for this caller.
    Gone,
    /// A part of nobody knows which.
    Unnamed,
    /// The caller has begun too many.
    TooMany(Duration),
    /// Nothing is kept, and no crawl is wanted.
    NotKept,
}

/// Where a snapshot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whence {
    /// It was kept.
    Kept,
    /// Its crawl was under way for somebody else.
    Joined,
    /// It was begun for this request.
    Begun,
    /// It was begun for this request, or found to be fresh still, since what is kept was too old.
    Renewed,
}

/// Why no crawl may be begun.
enum Refusal {
    TooMany(Duration),
    NotWanted,
}

/// One request on its way to a snapshot.
pub(super) struct Request<'a> {
    pub(super) asked: &'a Asked,
    pub(super) wish: &'a Wish,
    pub(super) sharing: Sharing,
    pub(super) peer: Option<IpAddr>,
    pub(super) crawling: &'a Crawling,
    pub(super) quota: &'a Quota,
    pub(super) job: &'a (dyn Fn() -> Job + Sync),
}

impl Request<'_> {
    /// Finds or opens what is asked for.
    pub(super) async fn obtain(&self) -> Obtained {
        if let Some(first_key) = self.asked.first_key {
            self.crawling.older_keys.adopt(&self.crawling.registry, first_key, self.asked.key);
        }
        if let Some(id) = self.wish.pinned {
            return self.named(id).await.unwrap_or(Obtained::Gone);
        }
        if self.is_part() {
            return match self.wish.if_range {
                Some(IfRange::Snapshot(id)) => match self.named(id).await {
                    Some(obtained) => obtained,
                    // What the client has is of another one: it gets the whole of this one.
                    None => self.shared().await,
                },
                Some(IfRange::Never) => self.shared().await,
                None => Obtained::Unnamed,
            };
        }
        self.shared().await
    }

    /// Whether a part is asked for that the beginning doesn't do for.
    fn is_part(&self) -> bool {
        self.wish.range.is_some_and(|range| range != Range::Bytes(Span::From(0)))
    }

    /// The snapshot of this name; none where it isn't kept for this caller.
    async fn named(&self, id: SnapshotId) -> Option<Obtained> {
        let reads = self.wish.view == View::Records && self.wish.method != http::Method::HEAD;
        let purpose = if reads { LookupPurpose::Read } else { LookupPurpose::Look };
        for _ in 0..ATTEMPTS {
            let (subscription, whence) = match self.crawling.registry.find(id, self.asked.key, purpose) {
                Some(LookupResult::Stored(_)) | None => return None,
                Some(LookupResult::Found(snapshot)) => return Some(Obtained::Snapshot(snapshot, Whence::Kept)),
                Some(LookupResult::Follow(subscription)) => (subscription, Whence::Joined),
                Some(LookupResult::Lead(lead)) => {
                    let subscription = lead.subscription();
                    self.crawling.go_on(lead, id, purpose, (self.job)());
                    (subscription, Whence::Kept)
                }
            };
            match subscription.outcome().await {
                // It was opened for somebody who only looked.
                LeadOutcome::Open(snapshot)
                    if whence == Whence::Joined
                        && purpose == LookupPurpose::Read
                        && matches!(snapshot.state(), SnapshotState::Stopped) => {}
                LeadOutcome::Open(snapshot) => return Some(Obtained::Snapshot(snapshot, whence)),
                LeadOutcome::Failed(failure) => return Some(Obtained::Failed(failure)),
                LeadOutcome::Page | LeadOutcome::Apart | LeadOutcome::Lost => return None,
            }
        }
        None
    }

    /// A snapshot that others may share.
    async fn shared(&self) -> Obtained {
        if self.wish.freshness.storage == StorePolicy::Forbidden {
            return self.alone().await;
        }
        for _ in 0..ATTEMPTS {
            let mut stale = None;
            let (subscription, whence) =
                match self.crawling.registry.open(self.asked.key, self.recency(), || self.admit()) {
                    Err(refusal) => return refusal.into(),
                    Ok(LookupResult::Found(snapshot)) => {
                        let grows = matches!(snapshot.state(), SnapshotState::Running);
                        return Obtained::Snapshot(snapshot, if grows { Whence::Joined } else { Whence::Kept });
                    }
                    Ok(LookupResult::Stored(id)) => match self.named(id).await {
                        Some(obtained) => return obtained,
                        None => continue,
                    },
                    Ok(LookupResult::Follow(subscription)) => (subscription, Whence::Joined),
                    Ok(LookupResult::Lead(lead)) => {
                        let subscription = lead.subscription();
                        stale = lead.stale().map(|stale| stale.id());
                        let whence = if lead.stale().is_some() { Whence::Renewed } else { Whence::Begun };
                        self.crawling.begin(lead, (self.job)());
                        (subscription, whence)
                    }
                };
            match subscription.outcome().await {
                LeadOutcome::Open(snapshot) => {
                    if stale == Some(snapshot.id()) {
                        self.give_back();
                    }
                    return Obtained::Snapshot(snapshot, whence);
                }
                LeadOutcome::Lost => {}
                LeadOutcome::Apart => break,
                LeadOutcome::Page => {
                    if whence != Whence::Joined {
                        self.give_back();
                    }
                    return Obtained::Page;
                }
                LeadOutcome::Failed(failure) => return Obtained::Failed(failure),
            }
        }
        self.alone().await
    }

    /// A snapshot that nobody else has.
    async fn alone(&self) -> Obtained {
        let lead = match self.crawling.registry.open_alone(self.asked.key, || self.admit()) {
            Ok(lead) => lead,
            Err(refusal) => return refusal.into(),
        };
        let subscription = lead.subscription();
        self.crawling.begin(lead, (self.job)());
        match subscription.outcome().await {
            LeadOutcome::Open(snapshot) => Obtained::Snapshot(snapshot, Whence::Begun),
            LeadOutcome::Page => {
                self.give_back();
                Obtained::Page
            }
            LeadOutcome::Failed(failure) => Obtained::Failed(failure),
            LeadOutcome::Apart | LeadOutcome::Lost => Obtained::Gone,
        }
    }

    /// Asked before a crawl is begun, and for nothing else.
    fn admit(&self) -> Result<(), Refusal> {
        if self.wish.freshness.otherwise == Otherwise::Refuse {
            return Err(Refusal::NotWanted);
        }
        let credentials = self.asked.credentials(&self.crawling.registry);
        self.quota.take(credentials, self.peer).map_err(Refusal::TooMany)
    }

    /// What was admitted was no crawl: the upstream has nothing newer, or what is asked for is a page.
    fn give_back(&self) {
        self.quota.give_back(self.asked.credentials(&self.crawling.registry), self.peer);
    }

    fn recency(&self) -> Recency {
        let fresh_for = self.sharing.fresh_for;
        match self.wish.freshness {
            Freshness { reuse: Reuse::Fresh, .. } => Recency::Within { fresh_for, max_age: Duration::MAX },
            Freshness { reuse: Reuse::Within(max_age), .. } => Recency::Within { fresh_for, max_age },
            Freshness { reuse: Reuse::Never, .. } => Recency::New,
        }
    }
}

/// For how long a snapshot is handed out again without a crawl.
pub(super) fn fresh_still(snapshot: &Snapshot, sharing: Sharing) -> Option<Duration> {
    let until = snapshot.fresh_at()? + sharing.fresh_for;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

impl From<Refusal> for Obtained {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooMany(wait) => Self::TooMany(wait),
            Refusal::NotWanted => Self::NotKept,
        }
    }
}
