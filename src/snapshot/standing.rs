//! One snapshot as those see it who read it: its name, what is known of it, its log, and how it stands.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::{self, Digest, Hashing};
use super::log::{Extent, Log};
use super::seal::{Seal, Verdict};
use super::store::{Facts, FileStorage};
use crate::error::{Failure, Fault};
use crate::id::{CacheKey, SnapshotId};
use crate::usage::UpstreamUsage;

/// A log with its name and what is known of it.
#[derive(Debug)]
pub struct Snapshot {
    id: SnapshotId,
    key: CacheKey,
    facts: Facts,
    log: Log,
    usage: UpstreamUsage,
    keeping: Keeping,
    keep_for: Duration,
    ended: OnceLock<SystemTime>,
    /// Its files say how it ended, or can't be read any more: no crawl goes on with it.
    closed: OnceLock<()>,
    /// When the upstream was last known to have nothing newer, where that is later than the end.
    fresh_at: Mutex<Option<SystemTime>>,
    /// When it was last asked for or read.
    used: Mutex<SystemTime>,
    /// Begun when it is wanted for the first time; none where it can't be made.
    digest: OnceLock<Option<Hashing>>,
}

/// What becomes of a snapshot beside the response that it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// It can be asked for again by its name, and by all who ask for the same.
    Shared,
    /// It can be asked for again by its name, by who it was made for.
    Named,
    /// It is gone with its reader.
    Unkept,
}

/// How a snapshot stands.
#[derive(Clone, Debug)]
pub enum State {
    /// Its crawl is under way.
    Running,
    /// Every record is there.
    Complete(Verdict),
    /// Its crawl broke.
    Broken(Arc<Failure>),
    /// Its crawl was stopped, by unpage or because nobody read.
    Stopped,
}

impl Snapshot {
    /// A snapshot whose log is written from now on; it is kept for `keep_for` after its last use.
    pub fn new(id: SnapshotId, key: CacheKey, facts: Facts, log: Log, keeping: Keeping, keep_for: Duration) -> Self {
        let used = Mutex::new(SystemTime::now());
        let (ended, closed, fresh_at, digest) = (OnceLock::new(), OnceLock::new(), Mutex::default(), OnceLock::new());
        let usage = UpstreamUsage::default();
        Self { id, key, facts, log, usage, keeping, keep_for, ended, closed, fresh_at, used, digest }
    }

    /// The same, where its files say that the log ended before.
    pub fn ended_at(self, ended: SystemTime) -> Self {
        Self { ended: OnceLock::from(ended), closed: OnceLock::from(()), ..self }
    }

    /// No crawl can go on with it.
    pub(super) fn close(&self) {
        self.closed.get_or_init(|| ());
    }

    /// Whether a crawl can go on with it where it is in files.
    pub(super) fn may_go_on(&self) -> bool {
        let passes = match self.state() {
            State::Stopped => true,
            State::Broken(failure) => failure.fault.is_transient(),
            State::Running | State::Complete(_) => false,
        };
        let in_files = self.keeping != Keeping::Unkept && self.facts.storage == FileStorage::Allowed;
        passes && in_files && self.closed.get().is_none()
    }

    /// The same, whose crawl counts here.
    pub fn with_usage(self, usage: UpstreamUsage) -> Self {
        Self { usage, ..self }
    }

    /// Its name.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// What it is a snapshot of, for whom.
    pub fn key(&self) -> CacheKey {
        self.key
    }

    /// What was known when it was begun.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is read of it.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it has cost.
    pub fn usage(&self) -> &UpstreamUsage {
        &self.usage
    }

    /// The digest of all of it, once it is complete; made at the first call, and as long as that takes. None where not all of it is kept.
    pub async fn digest(&self) -> Option<Digest> {
        if self.keeping == Keeping::Unkept || !matches!(self.state(), State::Complete(_)) {
            return None;
        }
        let mut hashing = self.digest.get_or_init(|| digest::begin(&self.log)).clone()?;
        *hashing.wait_for(Option::is_some).await.ok()?
    }

    /// The digest, if somebody has wanted it.
    pub fn known_digest(&self) -> Option<Digest> {
        *self.digest.get()?.as_ref()?.borrow()
    }

    /// Whether it can be asked for again.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// How long it is kept when nobody wants it.
    pub(super) fn keep_for(&self) -> Duration {
        self.keep_for
    }

    /// How it stands.
    pub fn state(&self) -> State {
        match self.log.extent().seal {
            None => State::Running,
            Some(Seal::Complete(verdict)) => State::Complete(verdict),
            Some(Seal::Failed(failure)) if failure.fault == Fault::Stopped => State::Stopped,
            Some(Seal::Failed(failure)) => State::Broken(failure),
        }
    }

    /// When its crawl ended, if it has.
    pub fn ended(&self) -> Option<SystemTime> {
        self.log.extent().seal.map(|_| *self.ended.get_or_init(SystemTime::now))
    }

    /// Its crawl has ended; the seal may still be on its way to the file.
    pub(super) fn end(&self) {
        self.ended.get_or_init(SystemTime::now);
    }

    /// The last moment at which it is known to be what the upstream has: its end, or when the upstream said so later.
    pub fn fresh_at(&self) -> Option<SystemTime> {
        let fresh_at = *self.fresh_at.lock().unwrap_or_else(PoisonError::into_inner);
        fresh_at.or_else(|| self.ended())
    }

    /// The upstream has nothing newer.
    pub(super) fn refresh(&self) {
        *self.fresh_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
    }

    /// When it was last asked for or read.
    pub fn used(&self) -> SystemTime {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody wants it, or reads it still.
    pub(super) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = SystemTime::now();
    }

    /// Until when it is kept if nobody asks for it again; not said while it is written or read.
    pub fn expires(&self) -> Option<SystemTime> {
        let ended = self.ended()?;
        (self.log.extent().readers == 0).then(|| ended.max(self.used()) + self.keep_for)
    }

    /// Whether nobody would miss it: it has ended, and nobody reads it.
    pub(super) fn is_idle(&self) -> bool {
        let Extent { seal, readers, .. } = self.log.extent();
        seal.is_some() && readers == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SlowReader, SnapshotSettings};
    use crate::snapshot::store::Birth;
    use crate::snapshot::{Lookup, Purpose, Registry, Store, unkept};

    #[test]
    fn what_its_files_say_has_ended_is_never_gone_on_with_again() {
        let settings =
            SnapshotSettings { dir: None, memory: 0, disk: 0, slow_reader: SlowReader::Wait, linger: Duration::ZERO };
        let registry = Registry::new(Store::open(settings).unwrap(), Duration::from_secs(60));
        let Birth { key, facts, .. } = Birth::in_test("/orders");
        let broken = || {
            let (writer, log) = unkept(1);
            writer.seal(Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "what", "hint"))));
            Snapshot::new(registry.store().new_id(), key, facts.clone(), log, Keeping::Named, Duration::from_secs(60))
        };
        for (snapshot, leads) in [(broken(), true), (broken().ended_at(SystemTime::now()), false)] {
            let snapshot = Arc::new(snapshot);
            registry.keep(&snapshot);
            for _ in 0..2 {
                match registry.find(snapshot.id(), key, Purpose::Read) {
                    // Its files can't be read: that is looked at once.
                    Lookup::Lead(lead) => {
                        assert!(leads && snapshot.may_go_on());
                        lead.unreadable();
                        assert!(!snapshot.may_go_on());
                    }
                    Lookup::Reader(found) => assert!(Arc::ptr_eq(&found, &snapshot) && !snapshot.may_go_on()),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
