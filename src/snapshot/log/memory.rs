//! How much of all logs together is in memory, and which of them gives way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use super::shared::Shared;

/// What each running log may hold, whatever the others hold: so none can starve another.
const FLOOR: u64 = 1 << 20;

/// A budget of bytes that logs share: clones are the same.
#[derive(Clone, Debug)]
pub struct Memory {
    budget: Arc<Budget>,
}

struct Budget {
    limit: u64,
    floor: u64,
    held: Mutex<Held>,
    logs: Mutex<Vec<Weak<Shared>>>,
    evict: OnceLock<Box<dyn Fn(u64) -> bool + Send + Sync>>,
    /// Counts the reads of all logs: whose last number is the lowest was read longest ago.
    reads: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    /// The writers that wait until the budget has room.
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

impl Memory {
    /// A budget for many logs. Each running log may hold 1 MiB beside it.
    pub fn new(limit: u64) -> Self {
        Self::with_floor(limit, FLOOR)
    }

    /// A budget for one log alone.
    pub(super) fn of_its_own(limit: u64) -> Self {
        Self::with_floor(limit, 0)
    }

    pub(super) fn with_floor(limit: u64, floor: u64) -> Self {
        let budget = Budget {
            limit,
            floor,
            held: Mutex::default(),
            logs: Mutex::default(),
            evict: OnceLock::new(),
            reads: AtomicU64::new(0),
        };
        Self { budget: Arc::new(budget) }
    }

    /// Who is asked to let go of finished snapshots, with the bytes that are missing; says whether it has. Asked before readers lose
    /// what they have passed.
    pub fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        // Whoever came first keeps the task: there is one registry.
        let _ = self.budget.evict.set(Box::new(evict));
    }

    /// How many bytes there are of all logs together.
    pub fn held(&self) -> u64 {
        self.lock().bytes
    }

    pub(super) fn floor(&self) -> u64 {
        self.budget.floor
    }

    /// How much is to be freed before there is room.
    pub(super) fn excess(&self) -> u64 {
        (self.held() + 1).saturating_sub(self.budget.limit)
    }

    /// A number for a log that is made now.
    pub(super) fn number(&self) -> u64 {
        let mut held = self.lock();
        held.next += 1;
        held.next
    }

    pub(super) fn enter(&self, log: &Arc<Shared>) {
        let mut logs = self.budget.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(log));
    }

    /// The number of a read that happens now.
    pub(super) fn tick(&self) -> u64 {
        self.budget.reads.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn take(&self, bytes: u64) {
        self.lock().bytes += bytes;
    }

    /// Gives bytes back, and wakes who waits for them. To be called without a log's lock.
    pub(super) fn give(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let mut held = self.lock();
        held.bytes -= bytes;
        let waiting = if held.bytes < self.budget.limit { std::mem::take(&mut held.waiting) } else { BTreeMap::new() };
        drop(held);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether the budget has room; the log's writer is woken when it has.
    pub(super) fn poll_room(&self, log: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        if held.bytes < self.budget.limit {
            return Poll::Ready(());
        }
        held.waiting.insert(log, context.waker().clone());
        Poll::Pending
    }

    /// A log's writer waits no more.
    pub(super) fn forget(&self, log: u64) {
        self.lock().waiting.remove(&log);
    }

    /// Makes room: copies of what a file has go first, the oldest of the logs that were read longest ago; then finished snapshots; then
    /// what every reader has passed. To be called without a log's lock.
    pub fn relieve(&self) {
        if self.excess() == 0 {
            return;
        }
        let logs = self.logs();
        // A little more than is missing, so that not every batch has to ask all logs.
        let some = self.budget.limit / 16;
        for log in &logs {
            match self.excess() {
                0 => return,
                missing => log.drop_copies(missing + some),
            }
        }
        let missing = self.excess();
        if missing > 0 && self.budget.evict.get().is_some_and(|evict| evict(missing)) && self.excess() == 0 {
            return;
        }
        logs.iter().take_while(|_| self.excess() > 0).for_each(|log| log.slide());
    }

    /// The logs there are, those first that were read longest ago.
    fn logs(&self) -> Vec<Arc<Shared>> {
        let logs = self.budget.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut logs: Vec<_> = logs.iter().filter_map(Weak::upgrade).collect();
        logs.sort_by_cached_key(|log| log.last_read());
        logs
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.budget.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit).field("held", &self.held).finish_non_exhaustive()
    }
}
