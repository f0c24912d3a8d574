//! The one writer of a snapshot: asks the plan what to do, fetches, and appends, until the end is proven or the crawl breaks.

mod attempts;
mod detect;
mod drive;
mod emit;
mod exchange;
mod failure;
mod in_flight;
mod metrics;
mod page_stream;
mod prefix_check;
mod reorder;
mod resume;
mod revalidate;
mod spill;
mod spill_budget;
mod spill_queue;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use url::Url;

use crate::config::Caps;
use crate::error::{Failure, Fault};
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::Head;
use crate::pagination::plan::Plan;
use crate::pagination::request::BadPlace;
use crate::pagination::split::PageShape;
use crate::pagination::{Encode, PageRequest, Pagination, Since, ValidAt, VersionSource};
use crate::upstream::Client;
use crate::usage::UpstreamUsage;
use drive::{Appetite, Turn};
use in_flight::PagesInFlight;
use metrics::{Counted, End};
pub use metrics::{Crawls, Totals};
use reorder::ReorderBuffer;
use resume::Beginning;
use spill::SpillStore;

/// How long the first page may take to become whole once it has a record: most do, and of a page that turns out to be none a
/// status says more than a broken stream. Nobody sees such a delay.
const GRACE: Duration = Duration::from_millis(2);

/// A collection to be crawled.
#[derive(Clone, Debug)]
pub struct Crawl {
    /// Who answers.
    pub client: Client,
    /// How its pages are walked.
    pub pagination: Arc<Pagination>,
    /// unpage's own caps.
    pub caps: Caps,
    /// The first page's request, before page size and number are added.
    pub first: PageRequest,
    /// The value of the record behind which it begins, where the collection has a `since`.
    pub since: Option<String>,
    /// The moment that the upstream is asked for, where it can be; none is now.
    pub valid_at: Option<SystemTime>,
    /// How many pages may be in flight at a time; at least 1.
    pub width: usize,
    /// Where it is counted.
    pub crawls: Crawls,
}

/// A crawl whose first page is there, or its first records, and has been found good so far.
#[derive(Debug)]
pub struct Opened {
    client: Client,
    plan: Plan,
    shape: Arc<PageShape>,
    pagination: Arc<Pagination>,
    pages: PagesInFlight,
    buffer: ReorderBuffer,
    records: u64,
    url: Url,
    start: Start,
    /// The head of the first page.
    head: Option<Arc<Head>>,
    beginning: Beginning,
    /// None in an attempt at a guess.
    counted: Option<Counted>,
}

/// Where a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Where the request says.
    AsAsked,
    /// Behind a record, by intent.
    Since,
}

impl Start {
    /// A first page that is refused where the client named a record is no end, and nothing is wrong with what is configured.
    fn explain(self, failure: Failure) -> Failure {
        match (self, failure.fault) {
            (Self::Since, Fault::Refused(status)) if matches!(status.as_u16(), 400 | 404 | 409 | 410 | 416 | 422) => {
                let hint =
                    "name a record that the upstream has, by its value for `since`, or ask for the whole collection";
                Failure { hint: hint.to_owned(), ..failure }
            }
            _ => failure,
        }
    }
}

impl Crawl {
    /// Fetches the first page or the start of one that is slow, and with `auto` two whole ones: until then every failure can
    /// still be told by a status.
    pub async fn open(mut self) -> Result<Opened, Failure> {
        self.client = self.client.for_crawl(&self.first);
        let mut counted = self.crawls.start();
        let beginning = self.prepare().inspect_err(|_| counted.end(End::Unopened))?;
        let configured = Arc::clone(&self.pagination);
        match self.opened().await {
            Ok(opened) => {
                let beginning = beginning.with(&configured, &opened.pagination);
                Ok(Opened { counted: Some(counted), beginning, ..opened })
            }
            Err(failure) => {
                counted.end(End::Unopened);
                Err(failure)
            }
        }
    }

    async fn opened(self) -> Result<Opened, Failure> {
        if self.pagination.style.is_auto() {
            return detect::open(self).await;
        }
        let mut opened = self.walk(Arc::clone(&self.pagination), self.first.clone())?;
        opened.begin().await.map_err(|failure| opened.start.explain(failure))?;
        Ok(opened)
    }

    /// Puts into the first request where the walk begins and which state of the collection is asked for.
    fn prepare(&mut self) -> Result<Beginning, Failure> {
        let pagination = Arc::clone(&self.pagination);
        let mut first = self.first.clone();
        let bad = |bad: BadPlace| failure::wrong_page(&self.client, &bad.into(), &self.first.url);
        if let (Some(Since { param, .. }), Some(value)) = (&pagination.since, &self.since) {
            first.set(param, &Value::from(value.as_str()), Encode::Plain).map_err(bad)?;
        }
        let beginning = Beginning::of(&first);
        let Some(ValidAt { param, from: VersionSource::Clock(format) }) = &pagination.valid_at else {
            self.first = first;
            return Ok(beginning);
        };
        // Who names the time in the request wants that one.
        let valid_at = match first.value_at(param) {
            Some(_) => None,
            None => Some(format.moment(self.valid_at.unwrap_or_else(SystemTime::now))),
        };
        if let Some(time) = valid_at {
            first.set(param, &format.value(time), Encode::Plain).map_err(bad)?;
        }
        self.first = first;
        Ok(beginning.at(valid_at))
    }

    fn walk(&self, pagination: Arc<Pagination>, first: PageRequest) -> Result<Opened, Failure> {
        let url = first.url.clone();
        let guard = LinkGuard::new(&self.client.upstream().url, &self.client.upstream().aliases);
        let now = SystemTime::now();
        let plan = Plan::new(Arc::clone(&pagination), self.caps.clone(), guard, first, self.width, now);
        let shape = Arc::new(PageShape::new(&pagination, &self.caps));
        let store = SpillStore::new(self.caps.window_bytes, self.caps.spool_bytes);
        let mut plan = plan.map_err(|wrong| failure::wrong_page(&self.client, &wrong, &url))?;
        let start = match (&pagination.since, &self.since) {
            (Some(_), Some(_)) => Start::Since,
            _ => Start::AsAsked,
        };
        if start == Start::Since {
            plan.begin_midway();
        }
        Ok(Opened {
            client: self.client.clone(),
            plan,
            start,
            pages: PagesInFlight::new(self.client.clone(), Arc::clone(&shape)),
            buffer: ReorderBuffer::new(store),
            shape,
            pagination,
            records: 0,
            url,
            head: None,
            beginning: Beginning::of(&self.first),
            counted: None,
        })
    }
}

impl Opened {
    /// The pagination that is walked: with `auto`, the one that was recognised and verified.
    pub fn pagination(&self) -> &Pagination {
        &self.pagination
    }

    /// Whether the request names a page behind the collection's beginning, and not only the record that it begins behind.
    pub fn starts_midway(&self) -> bool {
        self.start == Start::AsAsked && self.plan.starts_midway()
    }

    /// What it has cost so far, and will.
    pub fn usage(&self) -> UpstreamUsage {
        self.client.usage()
    }

    /// The moment that the upstream is asked for, where it can be.
    pub fn valid_at(&self) -> Option<SystemTime> {
        self.beginning.valid_at
    }

    /// How many records the collection has, as far as the upstream has said that yet.
    pub fn total(&self) -> Option<u64> {
        let first = || self.pages.first().and_then(|(head, fields)| self.plan.total_in(head, fields));
        self.plan.total().or_else(first)
    }

    /// The first page's head, if it is known: a crawl that goes on does not ask for that page again.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_deref()
    }

    /// So many pages may be in flight from now on.
    pub fn widen(&mut self, width: usize) {
        self.plan.widen(width);
    }

    /// Goes on until the first page is whole, or takes longer than its first records and a moment.
    async fn begin(&mut self) -> Result<(), Failure> {
        while self.buffer.ready_bytes() == 0 {
            if self.turn().await? != Turn::Going {
                return Ok(());
            }
        }
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                biased;
                turn = self.turn() => if turn? != Turn::Going { return Ok(()) },
                () = &mut grace => return Ok(()),
            }
        }
    }

    /// Waits for the next thing that happens. Nothing is lost where the wait is given up.
    async fn turn(&mut self) -> Result<Turn, Failure> {
        poll_fn(|context| self.poll_turn(Appetite::Everything, context)).await
    }
}
