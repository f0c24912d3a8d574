//! One snapshot: its id, its facts, its log, and its state.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::derivation::{Derivations, DerivedBytes};
use super::digest::{self, Digest, PendingDigest};
use super::facts::{FileStorage, Retention, ShownRequest, SnapshotFacts};
use super::log::{Log, LogExtent, ReaderEvent};
use super::seal::Seal;
use crate::error::{Failure, Fault};
use crate::format::{ColumnNames, Format};
use crate::id::{CacheKey, SnapshotId};
use crate::pagination::verdict::Verdict;
use crate::upstream_usage::UpstreamUsage;

#[derive(Debug)]
pub struct Snapshot {
    id: SnapshotId,
    key: CacheKey,
    facts: SnapshotFacts,
    /// None before a request has opened the snapshot in this process.
    request: Option<ShownRequest>,
    log: Log,
    usage: UpstreamUsage,
    retention: Retention,
    keep_for: Duration,
    ended: OnceLock<SystemTime>,
    /// Set if its storage has its end, or can't be read any more: no crawl resumes it.
    closed: OnceLock<()>,
    /// Last successful revalidation after the end (RFC 9111 §4.3).
    fresh_at: Mutex<Option<SystemTime>>,
    /// Last request or read.
    used: Mutex<SystemTime>,
    /// Started at the first request; `None` if it can't be computed.
    digest: OnceLock<Option<PendingDigest>>,
    derivations: Derivations,
}

/// State of a snapshot's crawl.
#[derive(Clone, Debug)]
pub enum SnapshotState {
    Running,
    Complete(Verdict),
    Broken(Arc<Failure>),
    /// Stopped by unpage, or for want of readers.
    Stopped,
}

impl Snapshot {
    /// Creates a snapshot that is kept for `keep_for` after its last use.
    pub fn new(
        id: SnapshotId,
        key: CacheKey,
        facts: SnapshotFacts,
        log: Log,
        retention: Retention,
        keep_for: Duration,
    ) -> Self {
        let used = Mutex::new(SystemTime::now());
        let (ended, closed, fresh_at, digest) = (OnceLock::new(), OnceLock::new(), Mutex::default(), OnceLock::new());
        let (usage, derivations) = (UpstreamUsage::default(), Derivations::default());
        Self {
            id,
            key,
            facts,
            request: None,
            log,
            usage,
            retention,
            keep_for,
            ended,
            closed,
            fresh_at,
            used,
            digest,
            derivations,
        }
    }

    /// Sets the end of a snapshot whose storage has it.
    pub fn with_end(self, ended: SystemTime) -> Self {
        Self { ended: OnceLock::from(ended), closed: OnceLock::from(()), ..self }
    }

    /// Excludes that a crawl resumes it.
    pub(super) fn close(&self) {
        self.closed.get_or_init(|| ());
    }

    /// Returns true if a crawl can resume it from files.
    pub fn is_resumable(&self) -> bool {
        let passes = match self.state() {
            SnapshotState::Stopped => true,
            SnapshotState::Broken(failure) => failure.fault.is_transient(),
            SnapshotState::Running | SnapshotState::Complete(_) => false,
        };
        let in_files = self.retention != Retention::Transient && self.facts.storage == FileStorage::Allowed;
        passes && in_files && self.closed.get().is_none()
    }

    pub fn with_usage(self, usage: UpstreamUsage) -> Self {
        Self { usage, ..self }
    }

    /// Sets the request that the snapshot answers.
    pub fn with_request(self, request: ShownRequest) -> Self {
        Self { request: Some(request), ..self }
    }

    pub fn request(&self) -> Option<&ShownRequest> {
        self.request.as_ref()
    }

    pub fn id(&self) -> SnapshotId {
        self.id
    }

    pub fn key(&self) -> CacheKey {
        self.key
    }

    pub fn facts(&self) -> &SnapshotFacts {
        &self.facts
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Reads the rest of the snapshot and drops it, for as long as its beginning is kept: a crawl without a reader stops.
    pub async fn read_to_end(&self) {
        let Ok(mut reader) = self.log.reader(self.log.extent().visible, None) else { return };
        while self.log.extent().from == 0
            && let Ok(ReaderEvent::Bytes(_)) = reader.next().await
        {}
    }

    pub fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// Computes the digest of a complete snapshot, at the first call. Returns `None` if it is not complete or not all of it is kept.
    pub async fn digest(&self) -> Option<Digest> {
        if self.retention == Retention::Transient || !matches!(self.state(), SnapshotState::Complete(_)) {
            return None;
        }
        let mut pending = self.digest.get_or_init(|| digest::start(&self.log)).clone()?;
        *pending.wait_for(Option::is_some).await.ok()?
    }

    /// Returns the digest if it has been computed.
    pub fn known_digest(&self) -> Option<Digest> {
        *self.digest.get()?.as_ref()?.borrow()
    }

    /// Makes the bytes of a complete snapshot in a format of several passes, at the first call.
    ///
    /// # Errors
    /// Fails where the format can't express the records, where there is no room, and where the snapshot is not kept in files.
    pub async fn derived(&self, format: Format, columns: Option<&ColumnNames>) -> Result<DerivedBytes, Arc<Failure>> {
        let file = self.derivations.get(&self.log, format, columns).await?;
        Ok(DerivedBytes::new(file, &self.log))
    }

    pub fn retention(&self) -> Retention {
        self.retention
    }

    pub(super) fn keep_for(&self) -> Duration {
        self.keep_for
    }

    pub fn state(&self) -> SnapshotState {
        match self.log.extent().seal {
            None => SnapshotState::Running,
            Some(Seal::Complete(verdict)) => SnapshotState::Complete(verdict),
            Some(Seal::Failed(failure)) if failure.fault == Fault::Stopped => SnapshotState::Stopped,
            Some(Seal::Failed(failure)) => SnapshotState::Broken(failure),
        }
    }

    /// Returns the end of the crawl.
    pub fn ended(&self) -> Option<SystemTime> {
        self.log.extent().seal.map(|_| *self.ended.get_or_init(SystemTime::now))
    }

    /// Notes the end of the crawl. The seal may still be on its way to the storage.
    pub(super) fn end(&self) {
        self.ended.get_or_init(SystemTime::now);
    }

    /// Returns the last moment at which it was known to be what the upstream has: its end, or a later revalidation. A moment that lies ahead of a
    /// clock that was set back becomes now.
    pub fn fresh_at(&self) -> Option<SystemTime> {
        let mut fresh_at = self.fresh_at.lock();
        let known = fresh_at.or_else(|| self.ended())?;
        let now = SystemTime::now();
        if known > now {
            *fresh_at = Some(now);
        }
        Some(known.min(now))
    }

    /// Notes a successful revalidation.
    pub(super) fn refresh(&self) {
        *self.fresh_at.lock() = Some(SystemTime::now());
    }

    /// Returns the time of the last request or read.
    pub fn used(&self) -> SystemTime {
        *self.used.lock()
    }

    /// Notes a request or a read.
    pub(super) fn touch(&self) {
        *self.used.lock() = SystemTime::now();
    }

    /// Returns the time until which it is kept without another request; `None` while it is written or read.
    pub fn expires(&self) -> Option<SystemTime> {
        let ended = self.ended()?;
        (self.log.extent().readers == 0).then(|| ended.max(self.used()) + self.keep_for)
    }

    /// Returns true if it has ended and has no reader.
    pub(super) fn is_idle(&self) -> bool {
        let LogExtent { seal, readers, .. } = self.log.extent();
        seal.is_some() && readers == 0
    }
}
