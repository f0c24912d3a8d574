//! Session: the snapshot for which a client's own name stands, `_snapshot=~NAME`.
//!
//! ```text
//!   free ── GET of all, or of the last bytes, HEAD ──▶ answered   to the newest complete snapshot that is fresh, else to one that grows
//!   free ── the same that waits for the end ───────▶ awaited    to the same one, before the wait: a kill in between costs no crawl
//!   free ── GET of another part ───────────────────▶ free       410: the client may have bytes of an earlier snapshot
//!   awaited ── a request is answered ──────────────▶ answered   by the same snapshot
//!   awaited ── its snapshot can't be had whole ────▶ free       no client has a byte by this name
//!   answered ── any request ───────────────────────▶ answered   by the same snapshot; 410 where that is not kept, or can't be had whole for a request of all
//! ```
//!
//! A name is never answered by two snapshots. Clients ask for the rest of a download by `Range` alone, some after a HEAD or a GET of the whole, and append whatever they
//! get: none of these requests tells that an older snapshot is meant, nor of which format.

use std::sync::Arc;
use std::time::Duration;

use super::ask::StreamRequest;
use super::crawl_rate_limit;
use super::fill::CacheFill;
use crate::id::{CacheKey, SnapshotId};
use crate::request::{Range, RangeSpec, SnapshotName, StreamOptions, View};
use crate::response::Representation;
use crate::server::network_of;
use crate::snapshot::CallerIdentity;
use crate::snapshot::{BindingState, NewBinding, Retention, SessionBinding, Snapshot, SnapshotState, Store};

/// A client's own name for a snapshot, and what it stood for when the request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    key: CacheKey,
    /// Hash of the representation that the request asks for.
    form: u64,
    pub(super) bound: Option<SessionBinding>,
    /// Snapshot that the session awaits in vain.
    lost: Option<SnapshotId>,
}

/// Reason for which a session has no snapshot for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionRefusal {
    /// It has none, and the request is for a part.
    Free,
    /// Its snapshot is not kept any more.
    Over,
    /// The crawl of its snapshot broke, and can't be resumed, or its beginning is not kept; parts can be had.
    NotWhole,
    /// It was begun in another representation.
    OtherForm,
    /// There is no room for another name for this long.
    Full(Duration),
}

impl Session {
    /// Returns the session that the request names. Its key has what the client says and nothing of the configuration: after a reload a name
    /// still stands for the snapshot that it had.
    pub(super) fn of(request: &StreamRequest, fill: &CacheFill) -> Option<Self> {
        let Some(SnapshotName::Session(name)) = &request.options.named else { return None };
        let store = fill.registry.store();
        let identity = crawl_rate_limit::identity(&request.caller.fields, store);
        let key = store.key(|part| {
            part(b"unpage session of a request");
            part(identity.map(|key| key.to_string()).unwrap_or_default().as_bytes());
            part(if request.has_address() { "GET" } else { request.options.method.as_str() }.as_bytes());
            part(request.original.as_bytes());
            part(&request.body);
            part(name.as_str().as_bytes());
        });
        let form = Representation::new(&request.options).form();
        Some(Self { key, form, bound: fill.registry.sessions().get(key), lost: None })
    }

    /// Returns `true` where the session has been answered by this snapshot, and by no other one.
    pub(super) fn has(&self, id: SnapshotId) -> bool {
        self.bound.is_some_and(|bound| bound.snapshot == id && bound.state == BindingState::Answered)
    }

    /// Returns `true` while no client may have bytes by the session's name.
    pub(super) fn is_awaited(&self) -> bool {
        self.bound.is_some_and(|bound| bound.state == BindingState::Awaited)
    }

    /// Frees the session of its snapshot, which can't be had whole, for a request that may give it another one.
    pub(super) fn replace(&mut self, options: &StreamOptions) -> Result<(), SessionRefusal> {
        if !may_begin(options) {
            return Err(SessionRefusal::Free);
        }
        self.lost = self.bound.take().map(|bound| bound.snapshot);
        Ok(())
    }

    /// Returns the snapshot that the session has, or checks that the request may give it one. The representation of one that is awaited is
    /// left to [`Session::check_form`]: it may be lost.
    pub(super) fn admit(
        &self,
        request: &StreamRequest,
        fill: &CacheFill,
    ) -> Result<Option<SnapshotId>, SessionRefusal> {
        let options = &request.options;
        match &self.bound {
            Some(bound) => {
                if !self.is_awaited() {
                    self.check_form(options)?;
                }
                Ok(Some(bound.snapshot))
            }
            None if !may_begin(options) => Err(SessionRefusal::Free),
            None => {
                let room = fill.registry.sessions().make_room(caller(request, fill.registry.store()));
                room.map(|()| None).map_err(SessionRefusal::Full)
            }
        }
    }

    /// Gives the session this snapshot. Returns the one that it has then: another request may have been faster.
    pub(super) async fn bind(
        &mut self,
        id: SnapshotId,
        state: BindingState,
        request: &StreamRequest,
        fill: &CacheFill,
    ) -> Result<SnapshotId, SessionRefusal> {
        let caller = caller(request, fill.registry.store());
        let wanted = NewBinding { session: self.key, snapshot: id, form: self.form, state, lost: self.lost.take() };
        let registry = fill.registry.clone();
        match tokio::task::spawn_blocking(move || registry.sessions().bind(wanted, caller)).await {
            Ok(bound) => {
                self.bound = Some(bound);
                self.check_form(&request.options).map(|()| bound.snapshot)
            }
            // Not bound where the process ends meanwhile.
            Err(_) => Ok(id),
        }
    }

    /// Checks that a request for records asks for the representation in which the session was begun.
    pub(super) fn check_form(&self, options: &StreamOptions) -> Result<(), SessionRefusal> {
        let is_other = self.bound.is_some_and(|bound| bound.form != self.form);
        if is_other && options.view == View::Records { Err(SessionRefusal::OtherForm) } else { Ok(()) }
    }
}

/// Returns `true` for a request that may give a session its snapshot: its client begins at the first byte, or says of which snapshot its bytes are.
/// No client that has bytes asks for the last ones: polars begins to read Parquet so.
fn may_begin(options: &StreamOptions) -> bool {
    let begins = match options.partial_range() {
        None | Some(Range::Bytes(RangeSpec::Last(_))) => true,
        Some(_) => options.if_range.is_some(),
    };
    options.view == View::Records && begins
}

/// Returns `true` for a request for the whole of a snapshot.
pub(super) fn wants_all(options: &StreamOptions) -> bool {
    options.view == View::Records && options.partial_range().is_none()
}

/// Returns `true` for a snapshot that will never be whole: its crawl has failed and can't be resumed, or its beginning is gone.
pub(super) fn is_lost(snapshot: &Snapshot) -> bool {
    let has_failed = matches!(snapshot.state(), SnapshotState::Broken(_) | SnapshotState::Stopped);
    let is_resumable = snapshot.is_resumable() && snapshot.log().stored_bytes() > 0;
    has_failed && !is_resumable || snapshot.log().extent().from > 0
}

/// Returns `true` where a session may have this snapshot. One for its caller alone has no name that callers without credentials could guess.
pub(super) fn may_have(request: &StreamRequest, snapshot: &Arc<Snapshot>) -> bool {
    match snapshot.retention() {
        Retention::Shared => true,
        Retention::Private => request.caller.identity == CallerIdentity::Known,
        Retention::Transient => false,
    }
}

/// Returns a hash of the caller, for its share of names: of the fields that identify it, else of its network.
fn caller(request: &StreamRequest, store: &Store) -> CacheKey {
    crawl_rate_limit::identity(&request.caller.fields, store).unwrap_or_else(|| {
        let network = request.peer.map(network_of);
        store.key(|part| part(format!("unpage network {network:?}").as_bytes()))
    })
}
