//! Everything that the requests of one connection share.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::Scheme;

use super::RequestSettings;
use super::access_log::{AccessEntry, AccessLog};
use super::activity::Activity;
use super::closed_connections::CloseReason;
use super::connection_table::{ConnectionTable, Phase};
use super::limits::ServerLimits;
use super::peer_settings::PeerSettings;
use super::response_span::{self, ResponseSpans};

#[derive(Debug)]
pub(super) struct ConnectionContext {
    pub(super) limits: Arc<ServerLimits>,
    pub(super) peers: Arc<PeerSettings>,
    pub(super) requests: Arc<RequestSettings>,
    pub(super) table: Arc<ConnectionTable>,
    pub(super) activity: Arc<Activity>,
    /// Address of the client, as far as the connection tells it.
    pub(super) peer: Option<IpAddr>,
    pub(super) scheme: Scheme,
}

impl ConnectionContext {
    pub(super) fn note(&self, reason: CloseReason) {
        self.table.closed_connections.note(reason, self.peer);
    }

    /// Begins the entry of a request, where it is logged or has a span.
    pub(super) fn begin_entry(&self, head: &mut Parts, client: Option<IpAddr>) -> Option<Box<AccessEntry>> {
        let RequestSettings { access_log, spans, .. } = *self.requests;
        let span = match spans {
            ResponseSpans::On => response_span::start(head, client, &self.scheme),
            ResponseSpans::Off => None,
        };
        let is_trusted = self.peers.trusted_proxies.contains(self.peer);
        let is_noted = access_log == AccessLog::On || span.is_some();
        is_noted.then(|| Box::new(AccessEntry::new(access_log, span, head, client, is_trusted)))
    }

    /// Returns true for a request behind which no further one is taken.
    pub(super) fn is_last_request(&self) -> bool {
        self.table.phase() >= Phase::Leaving
            || self.limits.requests_per_connection.is_some_and(|most| self.activity.requests() >= most.get())
    }
}
