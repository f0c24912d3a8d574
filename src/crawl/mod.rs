//! The one writer of a snapshot: asks the plan what to do, fetches, and appends, until the end is proven or the crawl breaks.

mod arriving;
mod auto;
mod backlog;
mod counted;
mod fetch;
mod flight;
mod ledger;
mod outbox;
mod sent;
mod spool;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use url::Url;

use crate::batch::Batch;
use crate::config::Caps;
use crate::pagination::guard::Guard;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::{self, PageId, PartId, Plan, Proof, Step};
use crate::pagination::split::Shape;
use crate::pagination::{PageRequest, Pagination, Style, Wrong};
use crate::snapshot::{Failure, Fault, Refused, Seal, Verdict, Writer};
use crate::upstream::Client;
use arriving::Event;
use counted::{Counted, End};
pub use counted::{Crawls, Totals};
use fetch::GivenUp;
use flight::Flight;
use outbox::Outbox;
use spool::Room;

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
    shape: Arc<Shape>,
    pagination: Arc<Pagination>,
    room: Room,
    flight: Flight,
    outbox: Outbox,
    records: u64,
    url: Url,
    /// None in an attempt at a guess.
    counted: Option<Counted>,
}

impl Crawl {
    /// Fetches the first page or the start of one that is slow, and with `auto` two whole ones: until then every failure can
    /// still be told by a status.
    pub async fn open(mut self) -> Result<Opened, Failure> {
        self.client = self.client.for_crawl(&self.first);
        let mut counted = self.crawls.start();
        match self.opened().await {
            Ok(opened) => Ok(Opened { counted: Some(counted), ..opened }),
            Err(failure) => {
                counted.end(End::Unopened);
                Err(failure)
            }
        }
    }

    async fn opened(self) -> Result<Opened, Failure> {
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
        let now = std::time::SystemTime::now();
        let plan = Plan::new(Arc::clone(&pagination), self.caps.clone(), guard, first, self.width, now);
        let shape = Arc::new(Shape::of(&pagination, &self.caps));
        let room = Room::new(self.caps.window_bytes, self.caps.spool_bytes);
        Ok(Opened {
            client: self.client.clone(),
            plan: plan.map_err(|wrong| fetch::wrong_page(&self.client, &wrong, &url))?,
            flight: Flight::new(self.client.clone(), Arc::clone(&shape), room.clone()),
            outbox: Outbox::new(room.clone()),
            room,
            shape,
            pagination,
            records: 0,
            url,
            counted: None,
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

    /// Writes the records to a log, to its seal.
    pub async fn run(mut self, mut writer: Writer) {
        let started = tokio::time::Instant::now();
        let abandoned = writer.abandoned();
        let ended = tokio::select! {
            ended = self.write(&mut writer) => ended,
            () = abandoned => Err(Ended::Abandoned),
        };
        self.count(match &ended {
            Ok(_) => End::Complete,
            Err(Ended::Abandoned) => End::Abandoned,
            Err(Ended::Broken(_)) => End::Broken,
        });
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

    /// Counts the end, before anybody can learn of it in another way.
    fn count(&mut self, end: End) {
        if let Some(counted) = &mut self.counted {
            counted.end(end);
        }
    }

    async fn write(&mut self, writer: &mut Writer) -> Result<Proof, Ended> {
        loop {
            match poll_fn(|context| self.poll_written(writer, context)).await? {
                Turn::Done(proof) => return Ok(proof),
                Turn::Going | Turn::Page => {}
            }
        }
    }

    /// Goes on until the first page is whole, or takes longer than its first records and a moment.
    async fn begin(&mut self) -> Result<(), Failure> {
        while self.outbox.ready() == 0 {
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

    /// What may leave is written as far as the reader has room for it; meanwhile, the pages go on.
    fn poll_written(&mut self, writer: &mut Writer, context: &mut Context<'_>) -> Poll<Result<Turn, Ended>> {
        loop {
            let left = self.poll_left(writer, context)?;
            match self.poll_turn(Appetite::AsItLeaves, context).map_err(Ended::Broken)? {
                // The end has been read, and what may leave before it hasn't left yet.
                Poll::Ready(Turn::Done(_)) if left.is_pending() => return Poll::Pending,
                Poll::Ready(Turn::Done(_)) if !self.outbox.is_empty() => {}
                turn => return turn.map(Ok),
            }
        }
    }

    /// Writes until nothing may leave any more, or the reader or the disk has to be waited for.
    fn poll_left(&mut self, writer: &mut Writer, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        while !self.outbox.is_empty() {
            ready!(writer.poll_room(context))?;
            match ready!(self.outbox.poll_next(context)) {
                Ok(Some(batch)) => {
                    if let Some(counted) = &self.counted {
                        counted.records(batch.records());
                    }
                    writer.append(batch);
                }
                Ok(None) => break,
                Err(error) => return Poll::Ready(Err(fetch::unreadable_spool(&error).into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Does what the plan wants, and waits for what comes of it.
    fn poll_turn(&mut self, appetite: Appetite, context: &mut Context<'_>) -> Poll<Result<Turn, Failure>> {
        let mut opened = false;
        loop {
            let room = match self.room.poll_open(context) {
                Poll::Ready(()) => plan::Room::Open,
                Poll::Pending => plan::Room::Full,
            };
            match self.plan.step(room).map_err(|wrong| fetch::wrong_page(&self.client, &wrong, &self.url))? {
                Step::Fetch(page, request) => {
                    let halvable = self.plan.halvable(page);
                    self.flight.ask(page, *request, halvable);
                }
                Step::Emit(part) => {
                    self.outbox.open(part);
                    opened = true;
                }
                Step::Done(proof) => return Poll::Ready(Ok(Turn::Done(proof))),
                Step::Wait => break,
            }
        }
        if opened && !self.outbox.is_empty() {
            return Poll::Ready(Ok(Turn::Going));
        }
        let takes = |part: PartId| appetite == Appetite::Everything || self.outbox.takes(part);
        match self.flight.poll_event(&mut self.plan, takes, context) {
            Poll::Ready(Some((page, event))) => Poll::Ready(self.take(page, event)),
            Poll::Ready(None) => Poll::Ready(Ok(Turn::Going)),
            // The pages may have filled the room just now: who waits for it must be told when it opens.
            Poll::Pending => {
                let _is_open = self.room.poll_open(context);
                Poll::Pending
            }
        }
    }

    /// Shows the plan what came of a page that has its turn.
    fn take(&mut self, page: PageId, event: Event) -> Result<Turn, Failure> {
        let plan::Standing::Turn(part) = self.plan.standing(page) else { return Ok(Turn::Going) };
        let name = || self.plan.name_of(page);
        match event {
            Event::Begun(head) => {
                let name = name();
                self.plan.begun(page, &head).map_err(|wrong| self.wrong(&wrong, &head, &name))?;
            }
            // The flight has noted them.
            Event::Fields(_) | Event::Kept(_) | Event::Stumbled => {}
            Event::Records(batch) => {
                let (head, fields) = self.flight.of(page).expect("records come after their head");
                let passed = self.plan.records(page, head, fields, batch);
                let batch = passed.map_err(|wrong| self.wrong(&wrong, head, &self.plan.name_of(page)))?;
                self.emit(part, batch);
            }
            Event::Page(rest) => {
                let (head, _) = self.flight.of(page).expect("a page comes after its head");
                let head = Arc::clone(head);
                self.flight.pass(page);
                self.arrived(page, part, &head, rest)?;
                return Ok(if self.outbox.is_open(part) { Turn::Page } else { Turn::Going });
            }
            Event::Refused(head, body, overload) => {
                let name = name();
                self.flight.pass(page);
                if let Err(failure) = self.refuse(page, &head, &body, &name)
                    && !self.plan.gave_up(page, overload)
                {
                    return Err(failure);
                }
            }
            Event::Failed(GivenUp { failure, overload }) => {
                let name = name();
                self.flight.pass(page);
                if !self.plan.gave_up(page, overload) {
                    return Err(on_page(&name, failure));
                }
            }
        }
        Ok(Turn::Going)
    }

    fn arrived(&mut self, page: PageId, part: PartId, head: &Head, rest: Page) -> Result<(), Failure> {
        let name = self.plan.name_of(page);
        let batches = self.plan.arrived(page, head, rest).map_err(|wrong| self.wrong(&wrong, head, &name))?;
        batches.into_iter().for_each(|batch| self.emit(part, batch));
        Ok(())
    }

    fn emit(&mut self, part: PartId, batch: Batch) {
        self.records += batch.records();
        self.outbox.put(part, batch);
    }

    fn refuse(&mut self, page: PageId, head: &Head, body: &[u8], name: &str) -> Result<(), Failure> {
        self.plan.refused(page, head.status, &head.headers, body).map_err(|wrong| {
            let mut failure = self.wrong(&wrong, head, name);
            failure.headers = fetch::kept_headers(head);
            failure
        })
    }

    fn wrong(&self, wrong: &Wrong, head: &Head, name: &str) -> Failure {
        on_page(name, fetch::wrong_page(&self.client, wrong, &head.url))
    }
}

/// Says which page it was.
fn on_page(name: &str, failure: Failure) -> Failure {
    Failure { message: format!("{name} of {}", failure.message), ..failure }
}

/// How much is taken of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Appetite {
    /// All that comes, while nothing leaves yet.
    Everything,
    /// What can leave soon.
    AsItLeaves,
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

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoReader => Self::Abandoned,
            Refused::Changed => {
                let hint = "ask again, for a snapshot of its own";
                Self::Broken(Failure::new(Fault::Upstream, refused.to_string(), hint))
            }
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}
