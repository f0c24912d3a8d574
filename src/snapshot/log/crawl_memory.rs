//! Memory of running crawls in addition to their logs: records under way and records that wait, counted in the budget of all logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::memory_budget::MemoryBudget;

/// Number of bytes that each part of a crawl may hold without being counted: a read of a socket, and the records that end in it.
const UNCOUNTED: u64 = 128 * 1024;

/// Time after which a crawl that waits for memory before its first record is refused.
const PATIENCE: Duration = Duration::from_secs(30);

/// Account of the bytes that a running crawl holds in addition to its log; clones share it.
#[derive(Clone, Debug)]
pub struct CrawlMemory {
    account: Arc<CrawlAccount>,
}

#[derive(Debug)]
struct CrawlAccount {
    budget: MemoryBudget,
    /// Number of the crawl in its budget.
    number: u64,
    used: AtomicU64,
    /// Start of the wait for memory.
    waiting: Mutex<Option<Instant>>,
}

/// Bytes in use by a part of a crawl beyond the uncounted 128 KiB, given back when this is dropped.
#[derive(Debug)]
pub struct UsedMemory {
    memory: CrawlMemory,
    bytes: u64,
}

impl CrawlMemory {
    pub(super) fn new(budget: MemoryBudget, number: u64) -> Self {
        Self { account: Arc::new(CrawlAccount { budget, number, used: AtomicU64::new(0), waiting: Mutex::default() }) }
    }

    pub fn take(&self, bytes: u64) {
        self.account.used.fetch_add(bytes, Ordering::Relaxed);
        self.account.budget.take(bytes);
    }

    /// Gives bytes back. A crawl that holds none more has no need to exceed the budget: another one may.
    pub fn give(&self, bytes: u64) {
        self.account.budget.give(bytes);
        if bytes > 0 && self.account.used.fetch_sub(bytes, Ordering::Relaxed) == bytes {
            self.account.budget.end_overdraft(self.account.number);
        }
    }

    pub fn in_use(&self) -> UsedMemory {
        UsedMemory { memory: self.clone(), bytes: 0 }
    }

    /// Returns whether more may be read ahead. Makes room if it can.
    pub fn has_room(&self) -> bool {
        self.account.budget.relieve();
        self.account.budget.excess() == 0
    }

    /// Resolves when more may be read ahead.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.account.budget.relieve();
        self.account.budget.poll_room(self.account.number, context)
    }

    /// Resolves if the page at the head may be read on: one crawl may exceed the budget, so that crawls which fill it with parts of records don't
    /// wait for each other.
    pub fn poll_head_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let is_pending = self.poll_room(context).is_pending() && !self.account.budget.overdraw(self.account.number);
        let mut waiting = self.account.waiting.lock();
        if !is_pending {
            *waiting = None;
            return Poll::Ready(());
        }
        waiting.get_or_insert_with(Instant::now);
        Poll::Pending
    }

    /// Returns whether the page at the head waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.account.waiting.lock().is_some()
    }

    /// Resolves when the page at the head has waited for 30 s in a row.
    pub async fn starved(&self) {
        let mut until = Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep_until(until).await;
            let waiting = *self.account.waiting.lock();
            until = waiting.unwrap_or_else(Instant::now) + PATIENCE;
            if until <= Instant::now() {
                return;
            }
        }
    }
}

impl UsedMemory {
    pub fn set(&mut self, bytes: usize) {
        let bytes = (bytes as u64).saturating_sub(UNCOUNTED);
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.memory.take(more),
            None => self.memory.give(self.bytes - bytes),
        }
        self.bytes = bytes;
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for UsedMemory {
    fn drop(&mut self) {
        self.memory.give(self.bytes);
    }
}

impl Drop for CrawlAccount {
    fn drop(&mut self) {
        self.budget.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Debug, Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn one_crawl_at_a_time_exceeds_the_budget_and_the_next_one_when_it_is_gone() {
        let budget = MemoryBudget::new(100);
        let uncounted = usize::try_from(UNCOUNTED).unwrap();
        let (first, second) = (budget.crawl(), budget.crawl());
        let woken = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut used = first.in_use();
        used.set(uncounted + 100);
        assert!(!first.has_room() && first.poll_room(&mut context).is_pending());
        assert!(first.poll_head_room(&mut context).is_ready() && second.poll_head_room(&mut context).is_pending());
        used.set(uncounted + 140);
        assert_eq!((budget.held(), woken.0.load(Ordering::SeqCst)), (140, 0));
        drop(first);
        assert!(second.poll_head_room(&mut context).is_pending(), "its account is still in use");
        drop(used);
        assert!(woken.0.load(Ordering::SeqCst) > 0);
        assert!(budget.held() == 0 && second.poll_head_room(&mut context).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crawl_starves_that_waits_without_a_break() {
        let budget = MemoryBudget::new(100);
        let (first, second) = (budget.crawl(), budget.crawl());
        let mut context = Context::from_waker(Waker::noop());
        first.take(150);
        assert!(first.poll_head_room(&mut context).is_ready() && second.poll_head_room(&mut context).is_pending());
        assert_eq!(budget.waiting(), 2);
        let began = Instant::now();
        second.starved().await;
        assert_eq!(began.elapsed(), PATIENCE);
        first.give(150);
        assert!(second.poll_head_room(&mut context).is_ready());
        assert!(tokio::time::timeout(10 * PATIENCE, second.starved()).await.is_err());
    }

    #[test]
    fn no_crawl_exceeds_the_budget_while_unread_records_exceed_it_by_a_quarter() {
        let budget = MemoryBudget::new(100);
        let (first, second) = (budget.crawl(), budget.crawl());
        let woken = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        // Parts of records alone.
        first.take(200);
        assert!(first.poll_head_room(&mut context).is_ready());
        first.give(100);
        // The record is whole.
        first.give(100);
        budget.take_for_log(100);
        second.take(20);
        assert!(
            second.poll_head_room(&mut context).is_ready(),
            "a log that fills the budget leaves room for one record"
        );
        second.give(20);
        budget.take_for_log(35);
        first.take(10);
        assert!(first.poll_head_room(&mut context).is_pending() && second.poll_head_room(&mut context).is_pending());
        let before = woken.0.load(Ordering::SeqCst);
        budget.give_from_log(15);
        assert_eq!(woken.0.load(Ordering::SeqCst), before);
        budget.give_from_log(10);
        assert_eq!(woken.0.load(Ordering::SeqCst), before + 2);
        assert!(second.poll_head_room(&mut context).is_ready() && first.poll_head_room(&mut context).is_pending());
        first.give(10);
    }

    #[test]
    fn room_ends_the_overdraft() {
        let budget = MemoryBudget::new(100);
        let (first, second) = (budget.crawl(), budget.crawl());
        let mut context = Context::from_waker(Waker::noop());
        first.take(150);
        assert!(first.poll_head_room(&mut context).is_ready() && second.poll_head_room(&mut context).is_pending());
        first.give(60);
        assert!(second.poll_head_room(&mut context).is_ready() && second.has_room());
        second.take(60);
        assert!(second.poll_head_room(&mut context).is_ready() && first.poll_head_room(&mut context).is_pending());
        first.give(90);
        second.give(60);
    }
}
