//! Connections that the server closed, counted by the limit that they reached, with one log line in ten seconds for each.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const QUIET: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    ProxyHeader,
    Handshake,
    FirstByte,
    Head,
    Idle,
    Write,
    /// An upgraded connection whose bytes stand still.
    Websocket,
    Age,
    /// It was idle for the longest time when all places were taken.
    Full,
    /// No place became free for it.
    Refused,
    /// Its address has all the connections that it may have.
    Address,
    Drain,
}

#[derive(Debug)]
pub(super) struct ClosedConnections {
    begun: Instant,
    limits: [LoggedCount; CloseReason::COUNTED.len()],
    failed_handshakes: LoggedCount,
}

/// Count of an event that gets one log line in ten seconds.
#[derive(Debug, Default)]
struct LoggedCount {
    count: AtomicU64,
    logged: AtomicU64,
    /// Milliseconds since the begin of the server; 0 for never.
    logged_at: AtomicU64,
}

impl CloseReason {
    /// Those that are counted, each with its label and description; `Drain` is not.
    const COUNTED: [(Self, &'static str, &'static str); 11] = [
        (Self::ProxyHeader, "proxy_header", "no valid PROXY header came in time (`timeout` of proxy_protocol)"),
        (Self::Handshake, "handshake", "the TLS handshake was not done in time (`handshake` in [limits])"),
        (Self::FirstByte, "first_byte", "no byte came in time (`first_byte` in [limits])"),
        (Self::Head, "head", "a request's head did not end in time (`head` in [limits])"),
        (Self::Idle, "idle", "no further request came in time (`idle` in [limits])"),
        (Self::Write, "write", "the client took none of its answer's bytes (`write` and `stream_write` in [limits])"),
        (Self::Websocket, "websocket_idle", "no byte of a WebSocket moved in time (`websocket_idle` in [limits])"),
        (Self::Age, "connection_age", "the connection is old (`connection_age` in [limits])"),
        (Self::Full, "full", "all places are taken, and it was idle the longest (`connections` in [limits])"),
        (Self::Refused, "connections", "all places are taken by requests in progress (`connections` in [limits])"),
        (
            Self::Address,
            "connections_per_address",
            "its address has too many connections (`connections_per_address` in [limits])",
        ),
    ];
}

impl Default for ClosedConnections {
    fn default() -> Self {
        Self { begun: Instant::now(), limits: Default::default(), failed_handshakes: LoggedCount::default() }
    }
}

impl ClosedConnections {
    pub(super) fn note(&self, reason: CloseReason, peer: Option<IpAddr>) {
        let Some(at) = CloseReason::COUNTED.iter().position(|(counted, ..)| *counted == reason) else { return };
        let count = &self.limits[at];
        count.add();
        let (_, _, text) = CloseReason::COUNTED[at];
        // Part of every client's ordinary life.
        if matches!(reason, CloseReason::Idle | CloseReason::Age | CloseReason::Websocket) {
            return tracing::debug!("a connection is closed: {text}");
        }
        if let Some(since) = count.line_due(self.begun) {
            tracing::warn!("a connection of {} is closed: {text}{since}", name_of(peer));
        }
    }

    /// Notes a TLS handshake that the client or the server has refused.
    pub(super) fn note_failed_handshake(&self, error: &io::Error, peer: Option<IpAddr>) {
        self.failed_handshakes.add();
        if let Some(since) = self.failed_handshakes.line_due(self.begun) {
            tracing::warn!("a TLS handshake with {} failed: {error}{since}", name_of(peer));
        }
    }

    pub(super) fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.count.load(Ordering::Relaxed)
    }

    /// Returns the label of each limit and the connections that it closed.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.limits.iter().map(|closed| closed.count.load(Ordering::Relaxed));
        CloseReason::COUNTED.iter().map(|(_, label, _)| *label).zip(counts)
    }
}

impl LoggedCount {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the end of a log line, if one is due; `begun` is the begin of the server.
    fn line_due(&self, begun: Instant) -> Option<String> {
        let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.logged_at.load(Ordering::Relaxed);
        let is_quiet = last != 0 && now < last + QUIET.as_millis() as u64;
        let take = || self.logged_at.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if is_quiet || take().is_err() {
            return None;
        }
        let count = self.count.load(Ordering::Relaxed);
        let more = count - self.logged.swap(count, Ordering::Relaxed);
        Some(if more > 1 { format!("; {more} since the last such line") } else { String::new() })
    }
}

fn name_of(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "a local client".to_owned(), |peer| peer.to_string())
}
