//! The one writer of a snapshot: asks the plan what to do, fetches, and appends, until the end is proven or the crawl breaks.

mod arriving;
mod auto;
mod fetch;
mod flight;
mod sent;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::batch::Batch;
use crate::config::Caps;
use crate::pagination::guard::Guard;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::{Follow, Proof, Step};
use crate::pagination::split::Shape;
use crate::pagination::{PageRequest, Pagination, Style, Wrong};
use crate::snapshot::{self, Failure, NoReader, Reader, Seal, Verdict, Writer};
use crate::upstream::Client;
use arriving::Event;
use flight::Flight;

/// How many pages are asked for at a time, the one that streams included. Where a body takes four times as long as its head,
/// more gain nothing.
pub const WIDTH: usize = 8;

/// How many bytes of records may wait for their reader.
const WINDOW: usize = 1 << 20;

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
    /// How many pages may be in flight at a time; [`WIDTH`] where nothing speaks against it.
    pub width: usize,
}

/// A crawl whose first page is there, or its first records, and has been found good so far.
#[derive(Debug)]
pub struct Opened {
    client: Client,
    plan: Follow,
    shape: Arc<Shape>,
    pagination: Arc<Pagination>,
    flight: Flight,
    ready: VecDeque<Batch>,
    asked: u64,
    records: u64,
    url: Url,
}

impl Crawl {
    /// Fetches the first page or the start of one that is slow, and with `auto` two whole ones: until then every failure can
    /// still be told by a status.
    pub async fn open(self) -> Result<Opened, Failure> {
        if self.pagination.style == Style::Auto {
            return auto::open(self).await;
        }
        let mut opened = self.walk(Arc::clone(&self.pagination), self.first.clone())?;
        opened.begin().await?;
        Ok(opened)
    }

    fn walk(&self, pagination: Arc<Pagination>, first: PageRequest) -> Result<Opened, Failure> {
        let url = first.url.clone();
        let guard = Guard::new(&self.client.upstream().url, &self.client.upstream().aliases);
        let plan = Follow::new(Arc::clone(&pagination), self.caps.clone(), guard, first);
        let shape = Arc::new(Shape::of(&pagination, &self.caps));
        Ok(Opened {
            client: self.client.clone(),
            plan: plan.map_err(|wrong| fetch::wrong_page(&self.client, &wrong, &url))?,
            flight: Flight::new(self.client.clone(), Arc::clone(&shape), self.width),
            shape,
            pagination,
            ready: VecDeque::new(),
            asked: 0,
            records: 0,
            url,
        })
    }
}

impl Opened {
    /// The pagination that is walked: with `auto`, the one that was recognised and verified.
    pub fn pagination(&self) -> &Pagination {
        &self.pagination
    }

    /// Whether the request names a page behind the collection's beginning.
    pub fn starts_midway(&self) -> bool {
        self.plan.starts_midway()
    }

    /// How many records the collection has, as far as the upstream has said that yet.
    pub fn total(&self) -> Option<u64> {
        let first = || self.flight.first().and_then(|(head, fields)| self.plan.total_in(head, fields));
        self.plan.total().or_else(first)
    }

    /// Starts a snapshot and gives its reader and the rest of the crawl, which must be run for the reader to get anything.
    pub fn start(self) -> (Reader, impl Future<Output = ()> + Send) {
        let (writer, reader) = snapshot::log(WINDOW);
        (reader, self.run(writer))
    }

    async fn run(mut self, mut writer: Writer) {
        let started = tokio::time::Instant::now();
        let abandoned = writer.abandoned();
        let ended = tokio::select! {
            ended = self.write(&mut writer) => ended,
            () = abandoned => Err(Ended::Abandoned),
        };
        let elapsed = humantime::format_duration(Duration::from_millis(
            started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        ));
        let url = crate::pagination::request::Shown(&self.url);
        match ended {
            Ok(proof) => {
                let mut proof = proof.to_string();
                if self.plan.starts_midway() {
                    proof.push_str("; it starts at the page that the request names");
                }
                let verdict = Verdict { records: self.records, pages: self.plan.pages(), proof };
                tracing::info!("{url}: complete: {verdict} ({elapsed})");
                writer.seal(Seal::Complete(verdict));
            }
            Err(Ended::Abandoned) => {
                tracing::info!("{url}: stopped after {} records: the reader left ({elapsed})", self.records);
            }
            Err(Ended::Broken(failure)) => {
                tracing::error!("{url}: broken after {} records: {failure}; {}", self.records, failure.hint);
                writer.seal(Seal::Failed(Arc::new(failure)));
            }
        }
    }

    async fn write(&mut self, writer: &mut Writer) -> Result<Proof, Ended> {
        loop {
            while let Some(batch) = self.ready.pop_front() {
                self.append(writer, batch).await?;
            }
            if let Turn::Done(proof) = self.turn().await? {
                return Ok(proof);
            }
        }
    }

    /// Waits for the batch's reader; meanwhile the pages in flight go on, since their time limits don't wait.
    async fn append(&mut self, writer: &mut Writer, batch: Batch) -> Result<(), NoReader> {
        let mut appended = pin!(writer.append(batch));
        poll_fn(|context| {
            let polled = appended.as_mut().poll(context);
            if polled.is_pending() {
                self.flight.poll_ahead(&self.plan, context);
            }
            polled
        })
        .await
    }

    /// Goes on until the first page is whole, or takes longer than its first records and a moment.
    async fn begin(&mut self) -> Result<(), Failure> {
        while self.ready.is_empty() {
            if self.turn().await? != Turn::Going {
                return Ok(());
            }
        }
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while self.ready.iter().map(|batch| batch.lines().len()).sum::<usize>() < WINDOW {
            tokio::select! {
                biased;
                turn = self.turn() => if turn? != Turn::Going { return Ok(()) },
                () = &mut grace => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits for the next thing that happens. Nothing is lost where the wait is given up.
    async fn turn(&mut self) -> Result<Turn, Failure> {
        if !self.flight.is_under_way() {
            match self.plan.step() {
                Step::Done(proof) => return Ok(Turn::Done(proof)),
                Step::Fetch(request) => {
                    self.asked += 1;
                    self.flight.ask(*request);
                }
            }
        }
        let event = poll_fn(|context| self.flight.poll_event(&self.plan, context)).await;
        self.take(event).map_err(|failure| self.on_page(failure))
    }

    fn take(&mut self, event: Event) -> Result<Turn, Failure> {
        match event {
            Event::Begun(head) => self.plan.begun(&head).map_err(|wrong| self.wrong(&wrong, &head))?,
            // The flight has noted them.
            Event::Fields(_) | Event::Kept(_) => {}
            Event::Records(batch) => {
                let (head, fields) = self.flight.first().expect("records come after their head");
                let batch = self.plan.records(head, fields, batch).map_err(|wrong| self.wrong(&wrong, head))?;
                self.emit(batch);
            }
            Event::Page(page) => {
                let (head, _) = self.flight.first().expect("a page comes after its head");
                let head = Arc::clone(head);
                self.flight.pass();
                self.arrived(&head, page)?;
                return Ok(Turn::Page);
            }
            Event::Refused(head, body) => {
                self.flight.pass();
                self.refuse(&head, &body)?;
            }
            Event::Failed(failure) => return Err(failure),
        }
        Ok(Turn::Going)
    }

    fn arrived(&mut self, head: &Head, page: Page) -> Result<(), Failure> {
        let batches = self.plan.arrived(head, page).map_err(|wrong| self.wrong(&wrong, head))?;
        batches.into_iter().for_each(|batch| self.emit(batch));
        Ok(())
    }

    fn emit(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.records += batch.records();
            self.ready.push_back(batch);
        }
    }

    fn refuse(&mut self, head: &Head, body: &[u8]) -> Result<(), Failure> {
        self.plan.refused(head.status, &head.headers, body).map_err(|wrong| {
            let mut failure = self.wrong(&wrong, head);
            failure.headers = fetch::kept_headers(head);
            failure
        })
    }

    fn wrong(&self, wrong: &Wrong, head: &Head) -> Failure {
        fetch::wrong_page(&self.client, wrong, &head.url)
    }

    /// Says which page it was.
    fn on_page(&self, failure: Failure) -> Failure {
        Failure { message: format!("page {} of {}", self.asked, failure.message), ..failure }
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// A page goes on, or one was refused as the plan had expected.
    Going,
    /// A page is whole, and good.
    Page,
    /// The end is proven.
    Done(Proof),
}

/// Why the loop ended without a proof.
enum Ended {
    Abandoned,
    Broken(Failure),
}

impl From<NoReader> for Ended {
    fn from(_: NoReader) -> Self {
        Self::Abandoned
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}
