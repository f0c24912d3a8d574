//! Table of the open connections: their permits, the one that gives way when all are taken, and the phase of the server.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;
use super::closed_connections::{CloseReason, ClosedConnections};
use super::connection_state::ConnectionState;
use super::in_progress::InProgress;
use super::limits::ServerLimits;
use super::stream_metrics::StreamMetrics;

const PATIENCE: Duration = Duration::from_secs(1);

/// Connections that wait for a permit at a time: more are closed at once, or their descriptors would have no bound.
const MAX_WAITING: usize = 64;

/// Phase of a server. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// It still accepts, but keeps no connection: others are to stop sending clients.
    Leaving,
    /// It accepts nothing, and responses in progress may end.
    Draining,
    Cut,
}

#[derive(Debug)]
pub(super) struct ConnectionTable {
    permits: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    per_address: Option<NonZeroUsize>,
    open: Mutex<OpenConnections>,
    closed: Notify,
    pub(super) accepted: AtomicU64,
    /// Connections that another protocol has got.
    pub(super) upgraded: AtomicU64,
    pub(super) closed_connections: ClosedConnections,
    pub(super) streams: Arc<StreamMetrics>,
}

#[derive(Debug)]
struct OpenConnections {
    phase: Phase,
    next: u64,
    by_number: HashMap<u64, Arc<Activity>>,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
pub(super) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
}

/// Entry of a connection in the table, which leaves it when it is dropped.
#[derive(Debug)]
pub(super) struct TableEntry {
    table: Arc<ConnectionTable>,
    number: u64,
    address: Option<IpAddr>,
    _permit: ConnectionPermit,
}

impl ConnectionTable {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.capacity().min(Semaphore::MAX_PERMITS))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            per_address: limits.connections_per_address,
            open: Mutex::new(OpenConnections {
                phase: Phase::Serving,
                next: 0,
                by_number: HashMap::new(),
                by_address: HashMap::new(),
            }),
            closed: Notify::new(),
            accepted: AtomicU64::new(0),
            upgraded: AtomicU64::new(0),
            closed_connections: ClosedConnections::default(),
            streams: Arc::default(),
        }
    }

    /// Waits for a permit where all are taken; none if no connection gives way within a second.
    pub(super) async fn permit(&self) -> Option<ConnectionPermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(ConnectionPermit { _permit: permit });
        }
        self.make_room();
        let _waiting = self.waiting.try_acquire().ok()?;
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Some(ConnectionPermit { _permit: permit }),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Closes the connection that has been idle the longest.
    pub(super) fn make_room(&self) {
        let open = self.open.lock();
        let idle = open.by_number.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        if let Some((_, activity)) = idle.min_by_key(|(since, _)| *since) {
            activity.evict();
        }
    }

    pub(super) fn enter(self: &Arc<Self>, permit: ConnectionPermit, activity: &Arc<Activity>) -> TableEntry {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, Arc::clone(activity));
        match open.phase {
            Phase::Serving | Phase::Leaving => {}
            Phase::Draining => activity.finish(),
            Phase::Cut => activity.cut(),
        }
        TableEntry { table: Arc::clone(self), number, address: None, _permit: permit }
    }

    pub(super) fn phase(&self) -> Phase {
        self.open.lock().phase
    }

    pub(super) fn begin(&self, phase: Phase) {
        let mut open = self.open.lock();
        open.phase = open.phase.max(phase);
        for activity in open.by_number.values() {
            match phase {
                Phase::Serving | Phase::Leaving => {}
                Phase::Draining => activity.finish(),
                Phase::Cut => activity.cut(),
            }
        }
    }

    pub(super) fn in_progress(&self) -> InProgress {
        let mut sum = InProgress::default();
        for activity in self.open.lock().by_number.values() {
            let InProgress { all, streams, websockets } = activity.in_progress();
            sum.all += all;
            sum.streams += streams;
            sum.websockets += websockets;
        }
        sum
    }

    /// Resolves when no connection is open.
    pub(super) async fn closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.open.lock().by_number.len()
    }

    /// Returns the number of connections in each state.
    pub(super) fn states(&self) -> [usize; ConnectionState::LABELS.len()] {
        let mut counts = [0; ConnectionState::LABELS.len()];
        for activity in self.open.lock().by_number.values() {
            counts[activity.state() as usize] += 1;
        }
        counts
    }
}

impl TableEntry {
    pub(super) fn note_failed_handshake(&self, error: &io::Error, peer: Option<IpAddr>) {
        self.table.closed_connections.note_failed_handshake(error, peer);
    }

    /// Counts the connection to a client's address; fails where that has all that it may have.
    pub(super) fn count_to(&mut self, address: Option<IpAddr>) -> Result<(), CloseReason> {
        let (Some(most), Some(address)) = (self.table.per_address, address) else { return Ok(()) };
        let mut open = self.table.open.lock();
        let count = open.by_address.entry(address).or_default();
        if *count >= most.get() {
            return Err(CloseReason::Address);
        }
        *count += 1;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        let mut open = self.table.open.lock();
        open.by_number.remove(&self.number);
        if let Some(address) = self.address
            && let Some(count) = open.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
        if open.by_number.is_empty() {
            self.table.closed.notify_waiters();
        }
    }
}
