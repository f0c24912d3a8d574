//! Crawls under way, as the operator sees and cancels them, and the facts that stay of crawls that have ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::ask::StreamRequest;
use super::failure_log::{FailureLog, ListedFailure};
use crate::config::{Collection, written};
use crate::error::{Failure, Fault};
use crate::pagination::Pagination;
use crate::snapshot::{ShownRequest, Snapshot, SnapshotState, StopReason};
use crate::upstream::origin_of;

/// Crawls of a gateway; clones share them.
#[derive(Clone, Debug, Default)]
pub struct CrawlTable {
    shared: Arc<TableState>,
}

#[derive(Debug, Default)]
struct TableState {
    numbers: AtomicU64,
    crawls: Mutex<BTreeMap<u64, Arc<ListedCrawl>>>,
    /// Number of crawls that the operator has cancelled.
    cancelled: AtomicU64,
    failures: FailureLog,
    /// Pagination that `auto` recognised last, by the path of the collection.
    recognised: Mutex<BTreeMap<String, RecognisedPagination>>,
}

/// Crawl from its request to its end.
#[derive(Debug)]
pub struct ListedCrawl {
    /// Number that no other crawl of the process has.
    pub number: u64,
    pub collection: Arc<Collection>,
    pub request: ShownRequest,
    pub since: SystemTime,
    admitted: AtomicBool,
    opened: OnceLock<OpenedCrawl>,
    cancelled: CancellationToken,
    stop_reason: StopReason,
}

/// Crawl whose first page has come.
#[derive(Debug)]
pub struct OpenedCrawl {
    pub snapshot: Arc<Snapshot>,
    /// Best word of consistency that the crawl can end with.
    pub best_consistency: &'static str,
}

/// Pagination that `auto` has recognised.
#[derive(Debug)]
struct RecognisedPagination {
    /// URL of the upstream that showed it: a reload may give the collection another one.
    upstream: Url,
    /// Keys of the pagination as TOML.
    keys: String,
}

/// Entry of a crawl, removed from the table when this is dropped.
#[derive(Debug)]
pub(super) struct CrawlEntry {
    table: CrawlTable,
    crawl: Arc<ListedCrawl>,
}

impl CrawlTable {
    /// Returns the crawls under way, the oldest first.
    pub fn crawls(&self) -> Vec<Arc<ListedCrawl>> {
        self.shared.crawls.lock().values().cloned().collect()
    }

    /// Returns the newest failures, the newest first.
    pub fn failures(&self) -> Vec<ListedFailure> {
        self.shared.failures.list()
    }

    /// Returns the keys of the pagination that `auto` has recognised for this collection, if it still is `auto` and has the same upstream.
    pub fn recognised(&self, collection: &Collection) -> Option<String> {
        let recognised = self.shared.recognised.lock();
        let found = recognised.get(&collection.path).filter(|found| found.upstream == collection.upstream.url);
        found.filter(|_| collection.pagination.style.is_auto()).map(|found| found.keys.clone())
    }

    /// Cancels a crawl: its readers see a broken stream, and what it has written can be resumed. Returns false if it has ended.
    pub fn cancel(&self, number: u64) -> bool {
        let crawl = self.shared.crawls.lock().get(&number).cloned();
        if let Some(crawl) = crawl.as_ref().filter(|crawl| !crawl.cancelled.is_cancelled()) {
            let trace = crawl.opened().and_then(|opened| opened.snapshot.usage().trace_context());
            let trace_id = trace.map(|trace| trace.trace_id());
            let (path, target) = (&crawl.collection.path, &crawl.request.target);
            tracing::warn!(trace_id, "{path}: the operator cancels crawl {number} of {target}");
            let failure = Failure::new(Fault::Stopped, "the operator cancelled the crawl", "ask again");
            crawl.stop_reason.set(failure.clone());
            if let Some(opened) = crawl.opened() {
                opened.snapshot.log().stop_because(failure.clone());
            }
            self.shared.cancelled.fetch_add(1, Ordering::Relaxed);
            self.note(crawl, &failure);
            crawl.cancelled.cancel();
        }
        crawl.is_some()
    }

    /// Number of crawls that the operator has cancelled.
    pub fn cancelled(&self) -> u64 {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    fn note(&self, crawl: &ListedCrawl, failure: &Failure) {
        let ListedCrawl { collection, request, opened, .. } = crawl;
        self.shared.failures.add(ListedFailure {
            at: SystemTime::now(),
            count: 1,
            collection: collection.path.clone(),
            address: request.target.clone(),
            origin: origin_of(&collection.upstream),
            records: opened.get().map_or(0, |opened| opened.snapshot.log().extent().records),
            failure: failure.clone(),
        });
    }

    /// Enters a crawl for this request; its work is dropped where the token is cancelled, and its opening fails with the stop reason.
    pub(super) fn enter(
        &self,
        request: &StreamRequest,
        cancelled: CancellationToken,
        stop_reason: StopReason,
    ) -> CrawlEntry {
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let crawl = Arc::new(ListedCrawl {
            number,
            collection: Arc::clone(&request.collection),
            request: request.shown(),
            since: SystemTime::now(),
            admitted: AtomicBool::new(false),
            opened: OnceLock::new(),
            cancelled,
            stop_reason,
        });
        self.shared.crawls.lock().insert(number, Arc::clone(&crawl));
        CrawlEntry { table: self.clone(), crawl }
    }
}

impl ListedCrawl {
    /// Returns false while the crawl waits for one of the places of crawls.
    pub fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Returns the crawl's snapshot and its prospects; none until its first page has come.
    pub fn opened(&self) -> Option<&OpenedCrawl> {
        self.opened.get()
    }
}

impl CrawlEntry {
    /// Removes the entry when the seal, which names a failure, has been stored. The wait is a task of its own: the future of the crawl's work
    /// is large, and would live as long.
    pub(super) fn end(self, tasks: &TaskTracker) {
        let snapshot = self.crawl.opened().map(|opened| Arc::clone(&opened.snapshot));
        if let Some(snapshot) = snapshot.filter(|snapshot| matches!(snapshot.state(), SnapshotState::Running)) {
            tasks.spawn(async move {
                snapshot.log().ended().await;
                drop(self);
            });
        }
    }

    /// Notes that the crawl has a place.
    pub(super) fn admit(&self) {
        self.crawl.admitted.store(true, Ordering::Relaxed);
    }

    /// Notes the snapshot of the crawl, and the pagination that it has.
    pub(super) fn open(&self, snapshot: &Arc<Snapshot>, pagination: &Pagination) {
        let Collection { path, upstream, pagination: configured, .. } = &*self.crawl.collection;
        let best_consistency = pagination.best_verdict().words();
        self.crawl.opened.get_or_init(|| OpenedCrawl { snapshot: Arc::clone(snapshot), best_consistency });
        // Cancelled while its snapshot was created.
        if let Some(failure) = self.crawl.stop_reason.failure() {
            snapshot.log().stop_because(failure);
        }
        if configured.style.is_auto() {
            let found = RecognisedPagination { upstream: upstream.url.clone(), keys: written(pagination) };
            self.table.shared.recognised.lock().insert(path.clone(), found);
        }
    }

    /// Notes the failure of the crawl.
    pub(super) fn fail(&self, failure: &Failure) {
        self.table.note(&self.crawl, failure);
    }
}

impl Drop for CrawlEntry {
    fn drop(&mut self) {
        self.table.shared.crawls.lock().remove(&self.crawl.number);
        let state = self.crawl.opened().map(|opened| opened.snapshot.state());
        if let Some(SnapshotState::Broken(failure)) = state {
            self.fail(&failure);
        }
    }
}
