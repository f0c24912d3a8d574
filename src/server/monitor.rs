//! Figures of a server for its operator.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::histogram::Histogram;

use super::certificate_expiry::seconds_until;
use super::certificates::Certificates;
use super::connection_state::ConnectionState;
use super::connection_table::{ConnectionTable, Phase};
use super::in_progress::InProgress;

/// A server's figures, readable as long as any clone exists.
#[derive(Clone, Debug)]
pub struct ServerMonitor {
    table: Arc<ConnectionTable>,
    certificates: Option<Arc<Certificates>>,
}

impl ServerMonitor {
    pub(super) fn new(table: Arc<ConnectionTable>) -> Self {
        Self { table, certificates: None }
    }

    #[must_use]
    pub fn with_certificates(self, certificates: Option<Arc<Certificates>>) -> Self {
        Self { certificates, ..self }
    }

    /// Returns the files of the certificates in use, and the seconds until each of them expires.
    pub fn certificate_expiries(&self) -> Vec<(PathBuf, f64)> {
        let expiries = self.certificates.iter().flat_map(|certificates| certificates.expiries());
        expiries.map(|(file, end)| (file, seconds_until(end))).collect()
    }

    /// Returns false from the signal to stop on.
    pub fn is_ready(&self) -> bool {
        self.table.phase() == Phase::Serving
    }

    pub fn connections(&self) -> usize {
        self.table.count()
    }

    /// Returns the label of each state and its number of connections.
    pub fn connections_by_state(&self) -> impl Iterator<Item = (&'static str, usize)> {
        ConnectionState::LABELS.into_iter().zip(self.table.states())
    }

    pub fn accepted(&self) -> u64 {
        self.table.accepted.load(Ordering::Relaxed)
    }

    pub fn in_progress(&self) -> InProgress {
        self.table.in_progress()
    }

    pub fn upgraded(&self) -> u64 {
        self.table.upgraded.load(Ordering::Relaxed)
    }

    /// Seconds from a request to the first byte of its stream.
    pub fn first_record(&self) -> &Histogram {
        &self.table.streams.first_record
    }

    /// Seconds from a request to the end of its stream.
    pub fn stream_seconds(&self) -> &Histogram {
        &self.table.streams.seconds
    }

    /// Labels of the ends of streams, as their clients see them, and the streams that ended so.
    pub fn streams_ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.table.streams.ended()
    }

    /// TLS handshakes that the client or the server has refused.
    pub fn failed_handshakes(&self) -> u64 {
        self.table.closed_connections.failed_handshakes()
    }

    /// Labels of the limits, and the connections that each has closed.
    pub fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.table.closed_connections.counts()
    }
}
