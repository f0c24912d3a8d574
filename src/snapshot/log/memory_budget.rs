//! Memory budget of all logs and running crawls, and the order in which they give memory back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::crawl_memory::CrawlMemory;
use super::log_state::LogShared;

/// Number of bytes that each running log may hold regardless of the budget, so that no log can starve another.
const FLOOR: u64 = 256 * 1024;

/// Budget of bytes that logs and crawls share; clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    budget: Arc<BudgetShared>,
    /// Account of all crawls that are opened with this handle; none where each has its own.
    account: Option<CrawlMemory>,
}

struct BudgetShared {
    limit: u64,
    floor: u64,
    state: Mutex<BudgetState>,
    logs: Mutex<Vec<Weak<LogShared>>>,
    evict: OnceLock<Box<dyn Fn(u64) -> bool + Send + Sync>>,
    /// Set if a finished snapshot may have become idle since `evict` last found none. `evict` lists all snapshots: asked at each batch at the
    /// limit, it took a quarter of a page's instructions.
    may_evict: AtomicBool,
    /// Number of reads of all logs. A log remembers it at its last read, so that logs can be ordered by that.
    reads: AtomicU64,
}

#[derive(Debug, Default)]
struct BudgetState {
    bytes: u64,
    /// Number of `bytes` that logs hold, which are free when their clients have read them, or the disk has them.
    in_logs: u64,
    /// Tasks that wait until the budget has room, by the number of their log or crawl.
    waiting: BTreeMap<u64, Waker>,
    /// Crawl that may exceed the budget. One at a time: its record ends, and its memory is free again, whatever the others hold.
    overdraft: Option<u64>,
    next: u64,
    /// Set after the warning that crawls wait, until half of the budget is free.
    is_full: bool,
}

impl MemoryBudget {
    /// Creates a budget for many logs. Each running log may hold 256 KiB regardless of it.
    pub fn new(limit: u64) -> Self {
        Self::with_floor(limit, FLOOR)
    }

    pub(super) fn for_one_log(limit: u64) -> Self {
        Self::with_floor(limit, 0)
    }

    pub(super) fn with_floor(limit: u64, floor: u64) -> Self {
        let budget = BudgetShared {
            limit,
            floor,
            state: Mutex::default(),
            logs: Mutex::default(),
            evict: OnceLock::new(),
            may_evict: AtomicBool::new(false),
            reads: AtomicU64::new(0),
        };
        Self { budget: Arc::new(budget), account: None }
    }

    /// Registers the function that drops finished snapshots. It is told the number of missing bytes and returns true if it has dropped one.
    /// It is called before bytes that readers have passed are dropped.
    pub fn on_full(&self, evict: impl Fn(u64) -> bool + Send + Sync + 'static) {
        // The first function stays: there is one registry.
        let _ = self.budget.evict.set(Box::new(evict));
    }

    /// Creates a budget without a limit.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// Opens the account of a crawl that begins.
    pub fn crawl(&self) -> CrawlMemory {
        self.account.clone().unwrap_or_else(|| CrawlMemory::new(self.clone(), self.number()))
    }

    /// The same budget for crawls that wait for each other: with one account, none waits for memory that another of them holds.
    #[must_use]
    pub fn of_one_account(&self) -> Self {
        Self { budget: Arc::clone(&self.budget), account: Some(self.crawl()) }
    }

    /// Number of crawls that wait for memory.
    pub fn waiting(&self) -> usize {
        self.budget.state.lock().waiting.len()
    }

    pub fn held(&self) -> u64 {
        self.budget.state.lock().bytes
    }

    pub(super) fn floor(&self) -> u64 {
        self.budget.floor
    }

    /// Returns the number of bytes to be freed before there is room.
    pub(super) fn excess(&self) -> u64 {
        self.held().saturating_add(1).saturating_sub(self.budget.limit)
    }

    /// Returns the number of bytes to free if there is no room, else 0: more than are missing, so that not every batch has to ask all logs.
    pub(super) fn wanted(&self) -> u64 {
        match self.excess() {
            0 => 0,
            missing => missing + self.budget.limit / 16,
        }
    }

    /// Notes that a log may have ended or lost its last reader, so that it can be evicted.
    pub(super) fn note_idle(&self) {
        self.budget.may_evict.store(true, Ordering::Release);
    }

    pub(super) fn number(&self) -> u64 {
        let mut state = self.budget.state.lock();
        state.next += 1;
        state.next
    }

    pub(super) fn enter(&self, log: &Arc<LogShared>) {
        let mut logs = self.budget.logs.lock();
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(log));
    }

    /// Counts a read and returns its number.
    pub(super) fn tick(&self) -> u64 {
        self.budget.reads.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts bytes of a crawl's account.
    pub(super) fn take(&self, bytes: u64) {
        self.budget.state.lock().bytes += bytes;
    }

    /// Counts bytes of a log.
    pub(super) fn take_for_log(&self, bytes: u64) {
        let mut state = self.budget.state.lock();
        state.bytes += bytes;
        state.in_logs += bytes;
    }

    /// Gives bytes of a crawl's account back and wakes those that wait for them. Must be called without a log's lock.
    pub(super) fn give(&self, bytes: u64) {
        self.give_back(bytes, 0);
    }

    /// Gives bytes of a log back and wakes those that wait for them. Must be called without a log's lock.
    pub(super) fn give_from_log(&self, bytes: u64) {
        self.give_back(bytes, bytes);
    }

    fn give_back(&self, bytes: u64, in_logs: u64) {
        if bytes == 0 {
            return;
        }
        let mut state = self.budget.state.lock();
        let was_overdrawn = state.is_overdrawn(self.budget.limit);
        state.bytes -= bytes;
        state.in_logs -= in_logs;
        let has_room = state.bytes < self.budget.limit;
        if has_room {
            state.overdraft = None;
            state.is_full &= state.bytes > self.budget.limit / 2;
        }
        if has_room || was_overdrawn && !state.is_overdrawn(self.budget.limit) {
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            waiting.into_values().for_each(Waker::wake);
        }
    }

    /// Resolves if the budget has room; the log's writer is woken when it has.
    pub(super) fn poll_room(&self, log: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.budget.state.lock();
        if state.bytes < self.budget.limit {
            return Poll::Ready(());
        }
        state.waiting.insert(log, context.waker().clone());
        Poll::Pending
    }

    /// Cancels the wait of a log's writer.
    pub(super) fn cancel_wait(&self, log: u64) {
        self.budget.state.lock().waiting.remove(&log);
    }

    /// Lets this crawl exceed the budget, if none does, and unless logs hold too many records that are neither read nor stored.
    pub(super) fn overdraw(&self, crawl: u64) -> bool {
        let mut state = self.budget.state.lock();
        if state.overdraft.is_none() && !state.is_overdrawn(self.budget.limit) {
            state.overdraft = Some(crawl);
        }
        let is_allowed = state.overdraft == Some(crawl);
        if !is_allowed && !std::mem::replace(&mut state.is_full, true) {
            tracing::warn!("large records wait for memory: `memory` of [snapshots] is used up");
        }
        is_allowed
    }

    pub(super) fn leave(&self, crawl: u64) {
        self.cancel_wait(crawl);
        self.end_overdraft(crawl);
    }

    /// Lets another crawl exceed the budget, if this one could.
    pub(super) fn end_overdraft(&self, crawl: u64) {
        let mut state = self.budget.state.lock();
        if state.overdraft.take_if(|owner| *owner == crawl).is_some() {
            drop(state);
            self.retry();
        }
    }

    /// Wakes all tasks that wait: snapshots that were read or written may give way now.
    pub fn retry(&self) {
        let waiting = std::mem::take(&mut self.budget.state.lock().waiting);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Makes room. Batches that are stored go first, the oldest of the logs that were read longest ago; then finished snapshots; then batches
    /// that every reader has passed. Must be called without a log's lock.
    pub fn relieve(&self) {
        if self.excess() == 0 {
            return;
        }
        let logs = self.logs();
        logs.iter().take_while(|_| self.excess() > 0).for_each(|log| log.drop_copies(self.wanted()));
        if self.excess() > 0 {
            self.evict();
        }
        logs.iter().take_while(|_| self.excess() > 0).for_each(|log| log.slide());
    }

    /// Drops finished snapshots. The flag is cleared first: one that becomes idle meanwhile is found the next time.
    fn evict(&self) {
        let evict = self.budget.evict.get().filter(|_| self.budget.may_evict.swap(false, Ordering::AcqRel));
        if evict.is_some_and(|evict| evict(self.wanted())) {
            self.note_idle();
        }
    }

    /// Returns all logs, those that were read longest ago first.
    fn logs(&self) -> Vec<Arc<LogShared>> {
        let logs = self.budget.logs.lock();
        let mut logs: Vec<_> = logs.iter().filter_map(Weak::upgrade).collect();
        logs.sort_by_cached_key(|log| log.last_read());
        logs
    }
}

impl BudgetState {
    /// Returns whether whole records exceed the budget by a quarter: clients have to read before the next crawl may exceed it. Parts of
    /// records alone never do: the crawls that have them would wait for each other.
    fn is_overdrawn(&self, limit: u64) -> bool {
        self.bytes >= limit.saturating_add(limit / 4) && self.in_logs > limit / 4
    }
}

impl fmt::Debug for BudgetShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetShared").field("limit", &self.limit).field("state", &self.state).finish_non_exhaustive()
    }
}
