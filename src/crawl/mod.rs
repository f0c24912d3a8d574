//! The one writer of a snapshot: opens a collection, drives its plan until the end is proven or the crawl breaks, and emits its
//! records to the log.

mod abnormal_end;
mod attempts;
mod children;
mod crawl_span;
mod crawl_work;
mod drive;
mod drive_in_state;
mod drive_step;
mod equal_reads;
mod exchange;
#[cfg(feature = "cli")]
mod experiments;
mod failure_report;
mod in_flight;
mod key_spill;
mod known_place;
mod linked_origins;
mod lone_page;
mod metrics;
mod open;
mod opened_state;
mod page_notes;
mod page_stream;
mod prefix_check;
mod recognise_pagination;
mod reorder;
mod resume;
mod revalidate;
mod run_into_log;
mod second_look;
mod sharing;
mod spill;
mod spill_budget;
mod spill_file;
mod spill_queue;
mod verdict;
mod verification;
mod whole_page;
mod withheld_read;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::to_raw_value;

use crate::config::Caps;
use crate::error::Failure;
use crate::pagination::page::Head;
use crate::pagination::{ConsistencyLevel, PageRequest, Pagination};
use crate::snapshot::cache_control::{SharingLimit, StorageDemand};
use crate::snapshot::{MemoryBudget, SavedCrawl, Writer};
use crate::upstream::Client;
use crate::upstream_usage::UpstreamUsage;
pub use children::Parents;
use crawl_span::CrawlSpan;
use crawl_work::CrawlWork;
#[cfg(feature = "cli")]
pub(crate) use experiments::{ExperimentOutcome, Findings, MAX_REQUESTS};
use metrics::CountedCrawl;
pub use metrics::{Crawls, Totals};
use open::ResumeState;
pub use resume::ResumePoint;
use run_into_log::CrawlRun;

/// A collection to be crawled.
#[derive(Clone, Debug)]
pub struct Crawl {
    /// The upstream's client.
    pub client: Client,
    /// The pagination of the collection.
    pub pagination: Arc<Pagination>,
    /// unpage's own caps.
    pub caps: Caps,
    /// The first page's request, before page size and number are added.
    pub first: PageRequest,
    /// The value of the record after which the crawl begins, if the collection has a `since`.
    pub since: Option<String>,
    /// The moment that the upstream is asked for, if it can be; none means now.
    pub valid_at: Option<SystemTime>,
    /// Most pages in flight at a time; at least 1.
    pub width: usize,
    /// Budget that this crawl shares with others and with their snapshots.
    pub memory: MemoryBudget,
    /// The counts that this crawl is part of.
    pub crawls: Crawls,
    /// Parents whose lists it crawls; none for one list.
    pub parents: Option<Arc<Parents>>,
}

/// A crawl whose first page has come, or its first records, and is good so far.
#[derive(Debug)]
pub struct Opened {
    work: CrawlWork,
    state: ResumeState,
    counted: CountedCrawl,
    span: CrawlSpan,
}

impl Crawl {
    /// Fetches the first page, or the start of a slow one, and with `auto` two whole ones. Until then, a failure can still become
    /// a status.
    pub async fn open(mut self) -> Result<Opened, Failure> {
        let (counted, span) = (self.crawls.start(), CrawlSpan::of(self.client.trace()));
        let level = self.pagination.consistency;
        let opened = match self.has_lists() {
            false => open::open(self).await.map(|(driver, state)| (CrawlWork::List(driver), state)),
            true => {
                // Boxed: few crawls have parents or windows.
                let opened = Box::pin(children::open(self)).await;
                opened.map(|(children, state)| (CrawlWork::Children(children), state))
            }
        };
        Opened::new(opened, counted, span, level)
    }

    /// Resumes a crawl after its last whole page. Nothing is asked for yet, and no page twice. Where records have a key, their lines are read.
    pub async fn resume(mut self, point: ResumePoint<'_>) -> Result<Opened, Failure> {
        let (counted, span) = (self.crawls.start(), CrawlSpan::of(self.client.trace()));
        let level = self.pagination.consistency;
        let opened = match self.has_lists() {
            false => resume::resume(self, point).await.map(|(driver, state)| (CrawlWork::List(driver), state)),
            true => children::resume(self, &point).map(|(children, state)| (CrawlWork::Children(children), state)),
        };
        Opened::new(opened, counted, span, level)
    }

    /// Returns true if the stream has several lists: those of parents, or of windows.
    pub(crate) fn has_lists(&self) -> bool {
        self.parents.is_some() || self.pagination.windows.is_some()
    }

    /// Asks once for the first page, under the condition that it has changed; returns whether the upstream says that it has not
    /// (RFC 9111 §4.3). Its answer is dropped.
    pub async fn unchanged(&self, etag: Option<&str>, last_modified: Option<&str>) -> Result<bool, Failure> {
        if self.has_lists() {
            // No page's validator is one of all lists.
            return Ok(false);
        }
        // Boxed: few streams ask, and the futures around each have the room.
        Box::pin(revalidate::unchanged(self.clone(), etag, last_modified)).await
    }
}

impl Opened {
    fn new(
        opened: Result<(CrawlWork, ResumeState), Failure>,
        mut counted: CountedCrawl,
        span: CrawlSpan,
        level: Option<ConsistencyLevel>,
    ) -> Result<Self, Failure> {
        match opened {
            Ok((work, state)) => Ok(Self { work, state, counted, span }),
            Err(failure) => {
                span.fail_to_open(&failure);
                counted.fail_to_open(&failure, level);
                Err(failure)
            }
        }
    }

    /// Writes the records to a log, up to its seal: a verdict where the end is proven, else a failure.
    pub async fn run(self, writer: Writer) {
        CrawlRun::new(self.work, self.counted, self.span, writer).run().await;
    }

    /// The state that [`Crawl::resume`] needs.
    pub fn saved(&self) -> SavedCrawl {
        to_raw_value(&self.state).expect("a state is texts and numbers")
    }

    /// The pagination of the crawl: with `auto`, the one that was recognised and verified.
    pub fn pagination(&self) -> &Pagination {
        self.work.pagination()
    }

    /// Returns true if the crawl can be resumed after its last whole page.
    pub fn has_checkpoints(&self) -> bool {
        self.work.has_checkpoints()
    }

    /// Returns whether the request names a page after the collection's beginning, other than by a record to begin after.
    pub fn starts_midway(&self) -> bool {
        self.work.starts_midway()
    }

    /// Counters of the crawl's requests and waits.
    pub fn usage(&self) -> UpstreamUsage {
        self.work.usage()
    }

    /// The moment that the upstream is asked for, if it can be.
    pub fn valid_at(&self) -> Option<SystemTime> {
        self.state.valid_at
    }

    /// Number of records of the collection, as far as the upstream has named it yet.
    pub fn total(&self) -> Option<u64> {
        self.work.total()
    }

    /// The first page's head, if it is known: a resumed crawl does not ask for that page again. None where the lists of several parents have
    /// each their own.
    pub fn head(&self) -> Option<&Head> {
        match &self.work {
            CrawlWork::List(driver) => driver.head.as_deref(),
            CrawlWork::Children(_) => None,
        }
    }

    /// Heads of the first pages of all lists that were read so far.
    pub fn heads(&self) -> Vec<&Head> {
        self.work.heads()
    }

    /// Strictest demand of the answers so far on their storage.
    pub fn demand(&self) -> StorageDemand {
        self.work.sharing().demand
    }

    /// Breaks the stream in front of an answer that exceeds this limit.
    pub fn limit_sharing(&mut self, limit: SharingLimit) {
        self.work.limit_sharing(limit);
    }

    /// Sets the number of pages that may be in flight from now on.
    pub fn widen(&mut self, width: usize) {
        self.work.widen(width);
    }
}
