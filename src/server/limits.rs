//! Limits of a server: time for each step of a connection, and numbers of what may be open at once.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Most connections without a limit of one's own.
const MAX_CONNECTIONS: u64 = 4096;

/// Descriptors that connections leave to snapshots, upstreams and the program.
const RESERVED_DESCRIPTORS: u64 = 512;

/// Limits that keep a client from holding the server up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections; `None`: half of the descriptors, 4,096 at most.
    pub connections: Option<NonZeroUsize>,
    /// Open connections of one client address; `None`: no limit.
    pub connections_per_address: Option<NonZeroUsize>,
    /// For both halves of the TLS handshake.
    pub handshake: Duration,
    /// From the connection, or its handshake, to the first byte of HTTP.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// For a write of a passed-through answer without progress.
    pub write: Duration,
    /// For a write of a stream without progress: its client may pause, and resumes at its byte.
    pub stream_write: Duration,
    /// For a WebSocket on which no byte moves in either direction.
    pub websocket_idle: Duration,
    /// For the next piece of a request's body that is passed on; the gateway's, which answers 408.
    pub request_body: Duration,
    /// Requests of one connection, which then ends; `None`: no limit.
    pub requests_per_connection: Option<NonZeroU64>,
    /// Age at which a connection takes no further request, up to a tenth less; `None`: no limit.
    pub connection_age: Option<Duration>,
    pub http2: Http2Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    pub streams: u32,
    /// Bytes of a request's body that may arrive unread.
    pub stream_window: u32,
    /// The same for all streams of a connection.
    pub connection_window: u32,
    /// Bytes of an answer that wait for a client's window.
    pub send_buffer: u32,
    pub header_list: u32,
    /// Streams that the client reset before they were looked at.
    pub pending_resets: u32,
    /// Streams that were reset because of the client's mistakes.
    pub local_resets: u32,
    /// Interval of PING frames, and the time for their answer.
    pub ping: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_address: None,
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(60),
            stream_write: Duration::from_secs(5 * 60),
            websocket_idle: Duration::from_secs(5 * 60),
            request_body: Duration::from_secs(30),
            requests_per_connection: None,
            connection_age: None,
            http2: Http2Limits::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            send_buffer: 64 << 10,
            header_list: 16 << 10,
            pending_resets: 20,
            local_resets: 1024,
            ping: Duration::from_secs(20),
        }
    }
}

impl ServerLimits {
    pub(super) fn capacity(&self) -> usize {
        match self.connections {
            Some(connections) => connections.get(),
            None => capacity_within(getrlimit(Resource::Nofile).current),
        }
    }

    /// Returns the limit of open files where `connections` is more than half of it: each may need another one, towards the upstream.
    pub fn scarce_descriptors(&self) -> Option<u64> {
        scarce(self.connections?, getrlimit(Resource::Nofile).current?)
    }

    /// Returns the shortest limit that a connection's timer watches: a limit that begins later is over later.
    pub(super) fn shortest(&self) -> Duration {
        let connection = [self.handshake, self.first_byte, self.head, self.idle];
        let all = connection.into_iter().chain([self.write, self.stream_write, self.websocket_idle]);
        all.min().unwrap_or_default()
    }
}

/// Returns the number of connections for this limit of open files.
fn capacity_within(descriptors: Option<u64>) -> usize {
    let half = descriptors.map_or(MAX_CONNECTIONS, |limit| limit.saturating_sub(RESERVED_DESCRIPTORS) / 2);
    // A limit so low that nothing is left still has to let some clients in.
    let floor = descriptors.map_or(1, |limit| limit / 4);
    usize::try_from(half.clamp(floor.clamp(1, 64), MAX_CONNECTIONS)).unwrap_or(usize::MAX)
}

fn scarce(connections: NonZeroUsize, descriptors: u64) -> Option<u64> {
    (connections.get() as u64 > descriptors / 2).then_some(descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_half_of_the_descriptors_are_scarce() {
        let of = |connections| scarce(NonZeroUsize::new(connections).unwrap(), 1024);
        assert_eq!((of(512), of(513)), (None, Some(1024)));
    }

    #[test]
    fn connections_get_half_of_the_descriptors() {
        for (descriptors, capacity) in [
            (None, 4096),
            (Some(1_048_576), 4096),
            (Some(8704), 4096),
            (Some(1024), 256),
            (Some(600), 64),
            (Some(64), 16),
            (Some(1), 1),
        ] {
            assert_eq!(capacity_within(descriptors), capacity, "{descriptors:?}");
        }
    }
}
