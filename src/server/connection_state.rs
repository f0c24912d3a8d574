//! State of a connection for its operator.

use super::deadlines::Stage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// No byte of a request has come yet, or the TLS handshake is not done.
    Opening,
    Idle,
    Active,
    Websocket,
}

impl ConnectionState {
    /// Labels of the states, in their order.
    pub(super) const LABELS: [&str; 4] = ["opening", "idle", "active", "websocket"];

    /// Returns the state of a connection at this stage, with this number of requests in progress.
    pub(super) fn of(stage: Stage, requests: usize) -> Self {
        match stage {
            Stage::ProxyHeader | Stage::Handshake | Stage::FirstByte => Self::Opening,
            Stage::Upgraded => Self::Websocket,
            Stage::Http1 | Stage::Http2 if requests == 0 => Self::Idle,
            Stage::Http1 | Stage::Http2 => Self::Active,
        }
    }
}
