//! Lookup of a request that may name a session, and the wait for the end of what is found.

use std::sync::Arc;

use super::ask::StreamRequest;
use super::lookup::{LookupOutcome, NoSnapshot, SnapshotLookup, recency};
use super::session::{self, Session, SessionRefusal};
use crate::id::SnapshotId;
use crate::request::{StorePolicy, View};
use crate::response::CacheStatus;
use crate::snapshot::{BindingState, LogExtent, RequestKeys, Retention, Seal, Snapshot, in_memory};

impl SnapshotLookup {
    /// Finds the snapshot for a request with these keys, or fills one, and waits for its end where the client does.
    pub(super) async fn find(&self, request: &Arc<StreamRequest>, keys: RequestKeys) -> LookupOutcome {
        let Some(mut session) = Session::of(request, &self.fill) else {
            let found = self.begun(request, keys).await?;
            return waited(request, &found.0).await.map(|()| found);
        };
        let mut found = self.of_session(request, keys, &mut session).await?;
        if request.options.wait.is_some() {
            // Before the wait: after a kill in it, the same request finds the crawl.
            found = self.bound(request, keys, &mut session, found, BindingState::Awaited).await?;
            waited(request, &found.0).await?;
        }
        let id = found.0.id();
        found = self.bound(request, keys, &mut session, found, BindingState::Answered).await?;
        if found.0.id() != id {
            // The snapshot of the faster request is answered, so that its end is waited for, too.
            waited(request, &found.0).await?;
        }
        Ok(found)
    }

    /// Binds a session to the snapshot that was found for it, where it may have it. Returns the one of a faster request, where there was one.
    async fn bound(
        &self,
        request: &Arc<StreamRequest>,
        keys: RequestKeys,
        session: &mut Session,
        found: (Arc<Snapshot>, CacheStatus),
        state: BindingState,
    ) -> LookupOutcome {
        let is_bound = session.bound.is_some_and(|bound| [state, BindingState::Answered].contains(&bound.state));
        if is_bound || request.options.view != View::Records || !session::may_have(request, &found.0) {
            return Ok(found);
        }
        let bound = session.bind(found.0.id(), state, request, &self.fill).await?;
        if bound == found.0.id() {
            return Ok(found);
        }
        self.named(request, keys, bound).await.unwrap_or(Err(SessionRefusal::Over.into()))
    }

    /// Returns `true` where the URL names the snapshot, by its id or by a session.
    pub(super) fn is_named(&self, request: &StreamRequest, id: SnapshotId) -> bool {
        request.options.pinned() == Some(id) || Session::of(request, &self.fill).is_some_and(|session| session.has(id))
    }

    /// Finds the snapshot that a session has, or one for it.
    async fn of_session(
        &self,
        request: &Arc<StreamRequest>,
        keys: RequestKeys,
        session: &mut Session,
    ) -> LookupOutcome {
        let Some(bound) = session.admit(request, &self.fill)? else { return self.ready(request, keys).await };
        let (options, is_awaited) = (&request.options, session.is_awaited());
        let needs_all = session::wants_all(options) || is_awaited && options.view == View::Records;
        let refusal = match self.named(request, keys, bound).await {
            Some(Ok((snapshot, _))) if needs_all && session::is_lost(&snapshot) => SessionRefusal::NotWhole,
            Some(Err(NoSnapshot::Gone(_))) if is_awaited => SessionRefusal::Over,
            Some(found) => {
                session.check_form(options)?;
                return found;
            }
            None => SessionRefusal::Over,
        };
        if !is_awaited {
            return Err(refusal.into());
        }
        session.replace(options)?;
        self.ready(request, keys).await
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
