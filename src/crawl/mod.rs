//! The one writer of a snapshot: asks the plan what to do, fetches, and appends, until the end is proven or the crawl breaks.

mod auto;
mod fetch;

use std::collections::VecDeque;
use std::sync::Arc;

use url::Url;

use crate::batch::Batch;
use crate::config::Caps;
use crate::pagination::guard::Guard;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::{Emit, Follow, Proof, Step};
use crate::pagination::split::Shape;
use crate::pagination::{PageRequest, Pagination, Style};
use crate::snapshot::{self, Failure, NoReader, Reader, Seal, Verdict, Writer};
use crate::upstream::Client;
use fetch::Answer;

/// How many bytes of records may wait for their reader.
const WINDOW: usize = 1 << 20;

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
}

/// A crawl whose first page has come and been found good.
#[derive(Debug)]
pub struct Opened {
    client: Client,
    plan: Follow,
    shape: Arc<Shape>,
    pagination: Arc<Pagination>,
    ready: VecDeque<Batch>,
    asked: u64,
    records: u64,
    url: Url,
}

impl Crawl {
    /// Fetches the first page, and with `auto` the second: until then every failure can still be told by a status.
    pub async fn open(self) -> Result<Opened, Failure> {
        if self.pagination.style == Style::Auto {
            return auto::open(self).await;
        }
        let mut opened = self.walk(Arc::clone(&self.pagination), self.first.clone())?;
        let batch = opened.next().await?;
        opened.ready.extend(batch);
        Ok(opened)
    }

    fn walk(&self, pagination: Arc<Pagination>, first: PageRequest) -> Result<Opened, Failure> {
        let url = first.url.clone();
        let guard = Guard::new(&self.client.upstream().url, &self.client.upstream().aliases);
        let plan = Follow::new(Arc::clone(&pagination), self.caps.clone(), guard, first);
        Ok(Opened {
            client: self.client.clone(),
            plan: plan.map_err(|wrong| fetch::wrong_page(&self.client, &wrong, &url))?,
            shape: Arc::new(Shape::of(&pagination, &self.caps)),
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

    /// How many records the collection has, as the upstream says.
    pub fn total(&self) -> Option<u64> {
        self.plan.total()
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
        let elapsed = humantime::format_duration(std::time::Duration::from_millis(
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
                writer.append(batch).await?;
            }
            match self.next().await? {
                Some(batch) => self.ready.push_back(batch),
                None => match self.plan.step() {
                    Step::Done(proof) => return Ok(proof),
                    Step::Fetch(_) => {}
                },
            }
        }
    }

    /// The next page's records; none when the end is proven.
    async fn next(&mut self) -> Result<Option<Batch>, Failure> {
        while let Step::Fetch(request) = self.plan.step() {
            self.asked += 1;
            let answer = fetch::page(&self.client, &request, &self.shape).await;
            match answer.map_err(|failure| self.on_page(failure))? {
                Answer::Page(head, page) => return self.take(&head, page).map(Some),
                Answer::Refused(head, body) => self.refuse(&head, &body)?,
            }
        }
        Ok(None)
    }

    fn take(&mut self, head: &Head, page: Page) -> Result<Batch, Failure> {
        let emit = self.plan.arrived(head, &page);
        let batch = match emit.map_err(|wrong| self.on_page(fetch::wrong_page(&self.client, &wrong, &head.url)))? {
            Emit::From { skip } => page.batch.skip(skip),
            Emit::Nothing => Batch::default(),
        };
        self.records += batch.records();
        Ok(batch)
    }

    fn refuse(&mut self, head: &Head, body: &[u8]) -> Result<(), Failure> {
        self.plan.refused(head.status, &head.headers, body).map_err(|wrong| {
            let mut failure = self.on_page(fetch::wrong_page(&self.client, &wrong, &head.url));
            failure.headers = fetch::kept_headers(head);
            failure
        })
    }

    /// Says which page it was.
    fn on_page(&self, failure: Failure) -> Failure {
        Failure { message: format!("page {} of {}", self.asked, failure.message), ..failure }
    }
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
