//! Counts of the crawls of a process by their ends, for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::linked_origins::LinkedOrigins;
use crate::error::{Failure, Fault};
use crate::pagination::ConsistencyLevel;
use crate::pagination::verdict::Consistency;

/// Counts of all crawls of a process, and what one has learnt for others; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Crawls {
    shared: Arc<CrawlCounters>,
    pub(super) linked: LinkedOrigins,
}

#[derive(Debug, Default)]
struct CrawlCounters {
    started: AtomicU64,
    complete: AtomicU64,
    broken: AtomicU64,
    unopened: AtomicU64,
    abandoned: AtomicU64,
    verdicts: [AtomicU64; Consistency::WORDS.len()],
    records: AtomicU64,
    waiting: AtomicU64,
}

/// The counts at one time: `complete + broken + unopened + abandoned ≤ started`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Crawls that were started.
    pub started: u64,
    /// Crawls whose end was proven.
    pub complete: u64,
    /// Crawls that broke after their first records, or whose list moved while it was read.
    pub broken: u64,
    /// Crawls that failed before a record could be streamed.
    pub unopened: u64,
    /// Crawls whose reader left or wanted no more than the head, that the operator cancelled, or that ended with the process.
    pub abandoned: u64,
    /// Crawls whose end was proven, by the word of their consistency; with `on_missed = "fail"`, those that moved are broken.
    pub verdicts: [u64; Consistency::WORDS.len()],
    /// Records that were handed to readers.
    pub records: u64,
    /// Crawls that wait for a place and are not started.
    pub waiting: u64,
}

/// A crawl that waits for a place, until this is dropped.
#[derive(Debug)]
pub(crate) struct WaitingCrawl {
    crawls: Crawls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrawlEnd {
    Complete,
    Broken,
    Unopened,
    Abandoned,
}

/// The count of one crawl, which is abandoned if this is dropped before its end.
#[derive(Debug)]
pub(super) struct CountedCrawl {
    crawls: Crawls,
    is_running: bool,
}

impl Crawls {
    pub fn totals(&self) -> Totals {
        let CrawlCounters { started, complete, broken, unopened, abandoned, verdicts, records, waiting } =
            &*self.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let ended = Totals {
            complete: read(complete),
            broken: read(broken),
            unopened: read(unopened),
            abandoned: read(abandoned),
            verdicts: verdicts.each_ref().map(read),
            ..Totals::default()
        };
        // Last, so that no crawl is seen to have ended and not to have started.
        Totals { records: read(records), started: read(started), waiting: read(waiting), ..ended }
    }

    /// Counts a crawl that waits for a place.
    pub(crate) fn wait(&self) -> WaitingCrawl {
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        WaitingCrawl { crawls: self.clone() }
    }

    pub(super) fn start(&self) -> CountedCrawl {
        self.shared.started.fetch_add(1, Ordering::SeqCst);
        CountedCrawl { crawls: self.clone(), is_running: true }
    }
}

impl Totals {
    /// Verdicts with the words of their consistency.
    pub fn by_consistency(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Consistency::WORDS.into_iter().zip(self.verdicts)
    }

    /// Number of crawls under way.
    pub fn running(&self) -> u64 {
        self.started.saturating_sub(self.complete + self.broken + self.unopened + self.abandoned)
    }
}

impl CountedCrawl {
    /// Counts records that were handed to the reader.
    pub(super) fn records(&self, count: u64) {
        self.crawls.shared.records.fetch_add(count, Ordering::SeqCst);
    }

    pub(super) fn judge(&self, consistency: &Consistency) {
        self.crawls.shared.verdicts[consistency.rank()].fetch_add(1, Ordering::SeqCst);
    }

    /// Counts the end of a crawl that could not be opened. One whose list moved while it was verified was read, and is counted like one
    /// whose records were streamed.
    pub(super) fn fail_to_open(&mut self, failure: &Failure, level: Option<ConsistencyLevel>) {
        if failure.fault == Fault::Moved && level == Some(ConsistencyLevel::Verify) {
            self.judge(&Consistency::Moved { why: String::new() });
            self.end(CrawlEnd::Broken);
        } else {
            self.end(CrawlEnd::Unopened);
        }
    }

    /// Counts the end; only the first one counts.
    pub(super) fn end(&mut self, end: CrawlEnd) {
        if !std::mem::take(&mut self.is_running) {
            return;
        }
        let counters = &*self.crawls.shared;
        let counter = match end {
            CrawlEnd::Complete => &counters.complete,
            CrawlEnd::Broken => &counters.broken,
            CrawlEnd::Unopened => &counters.unopened,
            CrawlEnd::Abandoned => &counters.abandoned,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for WaitingCrawl {
    fn drop(&mut self) {
        self.crawls.shared.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for CountedCrawl {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { CrawlEnd::Broken } else { CrawlEnd::Abandoned });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crawl_ends_once_and_one_that_is_dropped_is_abandoned() {
        let crawls = Crawls::default();
        for end in [CrawlEnd::Complete, CrawlEnd::Broken, CrawlEnd::Unopened, CrawlEnd::Complete] {
            let mut crawl = crawls.start();
            crawl.records(2);
            crawl.judge(&Consistency::Moved { why: "a test".to_owned() });
            crawl.end(end);
            crawl.end(CrawlEnd::Abandoned);
        }
        let running = crawls.start();
        drop(crawls.start());
        let totals = crawls.totals();
        let verdicts = [0, 0, 4, 0, 0, 0];
        let expected =
            Totals { started: 6, complete: 2, broken: 1, unopened: 1, abandoned: 1, verdicts, records: 8, waiting: 0 };
        assert_eq!((totals, totals.running()), (expected, 1));
        drop(running);
        assert_eq!((crawls.totals().abandoned, crawls.totals().running()), (2, 0));
    }

    #[test]
    fn a_crawl_that_panics_is_broken() {
        let crawls = Crawls::default();
        let crawl = crawls.start();
        let panicked = std::thread::spawn(move || {
            let _crawl = crawl;
            panic!("this is wanted");
        });
        assert!(panicked.join().is_err());
        assert_eq!((crawls.totals().broken, crawls.totals().abandoned), (1, 0));
    }
}
