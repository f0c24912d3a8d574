//! A snapshot that is being opened: one leads, all others wait for what comes of it.
//!
//! ```text
//!   Lead ── publish ──▶ Open        for all who may share it; Apart for the others
//!   Lead ── page ─────▶ Page
//!   Lead ── fail ─────▶ Failed
//!   Lead ── abandon ──▶ Lost        for who came in the same instant: it asks again
//!   Lead ── drop ─────▶ Failed      (a dead opening can't leave its followers waiting)
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::registry::{Entry, Registry};
use super::standing::{Keeping, Snapshot};
use crate::error::{Failure, Fault};
use crate::id::{CacheKey, SnapshotId};

/// The one who opens. Not `Clone`: its drop is the visible end of the opening.
#[derive(Debug)]
pub struct Lead {
    registry: Registry,
    place: Place,
    serial: u64,
    stale: Option<Arc<Snapshot>>,
    said: watch::Sender<Option<Said>>,
}

/// Where an opening stands, and so who follows it.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// All who ask for the same follow.
    Key(CacheKey),
    /// All who ask for the snapshot of this name follow, which stood like this before.
    Name(SnapshotId, Box<Entry>),
    /// Nobody follows.
    Nowhere,
}

/// Waits for what comes of an opening; clones wait for the same.
#[derive(Clone, Debug)]
pub struct Subscription {
    said: watch::Receiver<Option<Said>>,
    role: Role,
}

/// What comes of an opening, for one who waits for it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A snapshot that can be read.
    Open(Arc<Snapshot>),
    /// A snapshot, but only for the one who led.
    Apart,
    /// What is asked for is a page, and no collection.
    Page,
    /// Nothing.
    Failed(Arc<Failure>),
    /// The snapshot's files are no longer what they were, or its opening was given up: who asks again gets another.
    Lost,
}

/// An opening under way, as the registry has it.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) key: CacheKey,
    pub(super) serial: u64,
    /// Not a receiver: those are counted, and each is somebody who waits.
    said: watch::Sender<Option<Said>>,
}

/// What the one who leads has said, to itself and to its followers.
#[derive(Clone, Debug)]
struct Said {
    leader: Outcome,
    followers: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leader,
    Follower,
}

/// A lead that has no place yet, and the opening that its followers will find there.
pub(super) struct Unplaced {
    serial: u64,
    said: watch::Sender<Option<Said>>,
    pub(super) opening: Opening,
}

impl Unplaced {
    pub(super) fn new(key: CacheKey, serial: u64) -> Self {
        let said = watch::Sender::new(None);
        Self { serial, said: said.clone(), opening: Opening { key, serial, said } }
    }

    pub(super) fn at(self, registry: Registry, place: Place, stale: Option<Arc<Snapshot>>) -> Lead {
        Lead { registry, place, serial: self.serial, stale, said: self.said }
    }
}

impl Opening {
    pub(super) fn follow(&self) -> Subscription {
        Subscription { said: self.said.subscribe(), role: Role::Follower }
    }
}

impl Lead {
    /// Waits for what comes of it, as its followers do.
    pub fn subscription(&self) -> Subscription {
        Subscription { said: self.said.subscribe(), role: Role::Leader }
    }

    /// A complete snapshot of the same that was fresh once: the upstream may say that it still is.
    pub fn stale(&self) -> Option<&Arc<Snapshot>> {
        self.stale.as_ref()
    }

    /// The snapshot can be read, by those who may share it.
    pub fn publish(self, snapshot: &Arc<Snapshot>) {
        match &self.place {
            Place::Key(_) | Place::Nowhere => self.registry.begun(snapshot),
            // It was begun before, maybe by another process.
            Place::Name(..) => {}
        }
        self.show(snapshot);
    }

    fn show(self, snapshot: &Arc<Snapshot>) {
        let followers = match (&self.place, snapshot.keeping()) {
            (Place::Key(key), keeping) => {
                self.registry.publish(*key, self.serial, snapshot);
                if keeping == Keeping::Shared { Outcome::Open(Arc::clone(snapshot)) } else { Outcome::Apart }
            }
            (Place::Name(..), _) => {
                self.registry.republish(snapshot);
                Outcome::Open(Arc::clone(snapshot))
            }
            (Place::Nowhere, keeping) => {
                if keeping != Keeping::Unkept {
                    self.registry.keep(snapshot);
                }
                Outcome::Apart
            }
        };
        self.say(Outcome::Open(Arc::clone(snapshot)), followers);
    }

    /// The upstream has nothing newer than the stale snapshot.
    pub fn unchanged(self) {
        let Some(stale) = self.stale.clone() else { return };
        stale.refresh();
        self.show(&stale);
    }

    /// What is asked for is a page.
    pub fn page(self) {
        self.withdraw();
        self.say(Outcome::Page, Outcome::Page);
    }

    /// Nothing came of it. A snapshot that was to go on stands as it stood before.
    pub fn fail(self, failure: Failure) {
        self.withdraw();
        let failed = Outcome::Failed(Arc::new(failure));
        self.say(failed.clone(), failed);
    }

    /// Resolves when nobody has waited for it for this long.
    pub async fn left(&self, linger: Duration) {
        loop {
            self.said.closed().await;
            tokio::time::sleep(linger).await;
            if self.said.is_closed() {
                return;
            }
        }
    }

    /// Gives up, since nobody waits for it.
    pub fn abandon(self) {
        self.withdraw();
        self.say(Outcome::Lost, Outcome::Lost);
    }

    /// The snapshot can't be read from files: who has it in memory may read it there, else it is lost.
    pub fn unreadable(self) {
        let outcome = match &self.place {
            Place::Name(_, before) => match &**before {
                Entry::Here(snapshot) => {
                    // Who comes back finds it so without another look at the files.
                    snapshot.close();
                    self.withdraw();
                    Outcome::Open(Arc::clone(snapshot))
                }
                Entry::Stored(_) | Entry::Opening(_) => Outcome::Lost,
            },
            Place::Key(_) | Place::Nowhere => Outcome::Lost,
        };
        if let (Outcome::Lost, Place::Name(id, _)) = (&outcome, &self.place) {
            self.registry.forget(*id);
        }
        self.say(outcome.clone(), outcome);
    }

    fn withdraw(&self) {
        match &self.place {
            Place::Key(key) => self.registry.release(*key, self.serial),
            Place::Name(id, before) => self.registry.restore(*id, self.serial, before),
            Place::Nowhere => {}
        }
    }

    /// Nobody may listen: a follower's client may have left, and the leader's own.
    fn say(&self, leader: Outcome, followers: Outcome) {
        self.said.send_replace(Some(Said { leader, followers }));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.said.borrow().is_none() {
            self.withdraw();
            let failed = Outcome::Failed(Arc::new(dropped()));
            self.say(failed.clone(), failed);
        }
    }
}

impl Subscription {
    /// What came of the opening.
    pub async fn outcome(mut self) -> Outcome {
        let role = self.role;
        match self.said.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Said { leader, .. })) if role == Role::Leader => leader.clone(),
            Ok(Some(Said { followers, .. })) => followers.clone(),
            Ok(None) | Err(_) => Outcome::Failed(Arc::new(dropped())),
        }
    }
}

fn dropped() -> Failure {
    Failure::new(Fault::Stopped, "the crawl stopped before its first page", "ask again")
}
