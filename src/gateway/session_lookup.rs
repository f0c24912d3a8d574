//! Lookup of a request that may name a session, and the wait for the end of what is found.

use std::sync::Arc;

use super::ask::StreamRequest;
use super::lookup::{LookupOutcome, NoSnapshot, SnapshotLookup, recency};
use super::session::{self, Session, SessionRefusal};
use crate::id::SnapshotId;
use crate::request::StorePolicy;
use crate::snapshot::{LogExtent, RequestKeys, Retention, Seal, Snapshot, in_memory};

impl SnapshotLookup {
    /// Finds the snapshot for a request with these keys, or fills one, and waits for its end where the client does.
    pub(super) async fn find(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        let Some(session) = Session::of(request, &self.fill) else {
            let found = self.begun(request, keys).await?;
            return waited(request, &found.0).await.map(|()| found);
        };
        let found = self.of_session(request, keys, session).await?;
        let end = waited(request, &found.0).await;
        // A client that has waited in vain has no bytes of a snapshot that can't be completed.
        let is_lost = end.is_err() && session::is_lost(&found.0);
        if session.bound.is_some() || is_lost || !session::may_have(request, &found.0) {
            return end.map(|()| found);
        }
        let bound = session.bind(&found.0, request, &self.fill).await?;
        if bound == found.0.id() {
            return end.map(|()| found);
        }
        // The snapshot of the faster request is answered, so that its end is waited for, too.
        let other = self.named(request, keys, bound).await.unwrap_or(Err(SessionRefusal::Over.into()))?;
        waited(request, &other.0).await.map(|()| other)
    }

    /// Returns `true` where the URL names the snapshot, by its id or by a session.
    pub(super) fn is_named(&self, request: &StreamRequest, id: SnapshotId) -> bool {
        request.options.pinned() == Some(id) || Session::of(request, &self.fill).is_some_and(|session| session.has(id))
    }

    /// Finds the snapshot that a session has, or one for it.
    async fn of_session(&self, request: &Arc<StreamRequest>, keys: RequestKeys, session: Session) -> LookupOutcome {
        let Some(bound) = session.admit(request, &self.fill)? else { return self.ready(request, keys).await };
        match self.named(request, keys, bound).await {
            Some(Ok((snapshot, _))) if session::wants_all(&request.options) && session::is_lost(&snapshot) => {
                Err(SessionRefusal::NotWhole.into())
            }
            Some(found) => found,
            None => Err(SessionRefusal::Over.into()),
        }
    }

    /// Finds the newest complete snapshot that is fresh, also where another one grows, or fills one.
    pub(super) async fn ready(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        if request.options.freshness.storage == StorePolicy::Allowed
            && let Some((_, complete)) = self.fill.registry.newest_complete(keys.shared, recency(request))
            && let Some(found) = self.named(request, keys, complete).await
        {
            return found;
        }
        self.shared(request, keys).await
    }
}

/// Waits for the end of a snapshot, where the client does. The crawl goes on for its readers, of which this is one.
async fn waited(request: &StreamRequest, snapshot: &Arc<Snapshot>) -> Result<(), NoSnapshot> {
    let Some(wait) = request.options.wait else { return Ok(()) };
    let format = request.options.media_type.format();
    if snapshot.retention() != Retention::Transient {
        // A wait that is over is no failure: the state tells.
        drop(tokio::time::timeout(wait.longest(), snapshot.read_to_end()).await);
    }
    let LogExtent { from, seal, .. } = snapshot.log().extent();
    let failure = match seal {
        _ if snapshot.retention() == Retention::Transient && format.passes() > 1 => {
            return Err(NoSnapshot::Failed(Arc::new(in_memory(format))));
        }
        _ if from > 0 || snapshot.retention() == Retention::Transient => return Err(NoSnapshot::NotKeptToItsEnd),
        Some(Seal::Complete(_)) => return Ok(()),
        Some(Seal::Failed(failure)) => Some(failure),
        None => None,
    };
    Err(NoSnapshot::NoEnd { snapshot: Arc::clone(snapshot), failure })
}
