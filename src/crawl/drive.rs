//! The loop of a crawl: does what the plan wants, and tells the plan what comes of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use serde_json::value::to_raw_value;
use url::Url;

use super::attempts::PageFailure;
pub(super) use super::drive_step::{Checkpoints, CrawlProgress, CrawlStart, ReadLimit};
use super::failure_report::{self, on_page, wrong_page};
use super::in_flight::PagesInFlight;
use super::opened_state::OpenState;
use super::page_stream::PageEvent;
use super::reorder::ReorderBuffer;
use super::sharing::StreamSharing;
use super::spill::SpillStore;
use super::verification::Verification;
use super::withheld_read::{ReadEvidence, WholeRead, WithheldRead};
use super::{Crawl, key_spill};
use crate::error::Failure;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::{self, Checkpoint, CurrentPageEvent, PageId, PartId, Plan, ReleasedRecords, Step};
use crate::pagination::request::RedactedUrl;
use crate::pagination::splitter::PageShape;
use crate::pagination::{PageRequest, Pagination};
use crate::snapshot::UsedMemory;
use crate::upstream::Client;
use crate::upstream_usage::UpstreamUsage;

/// A crawl under way: plan, pages in flight, reorder buffer. It has no log yet when it is opened.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) client: Client,
    pub(super) pagination: Arc<Pagination>,
    pub(super) shape: Arc<PageShape>,
    pub(super) start: CrawlStart,
    pub(super) plan: Plan,
    /// State of the collection that is open for this crawl.
    pub(super) opened: Option<OpenState>,
    pages: PagesInFlight,
    key_memory: UsedMemory,
    /// The crawl's output, from which the log is written.
    pub(super) buffer: ReorderBuffer,
    pub(super) checkpoints: Checkpoints,
    /// Records that wait for another read of the collection.
    withheld: Option<WithheldRead>,
    pub(super) verification: Option<Verification>,
    /// Number of records that the plan has released.
    pub(super) records: u64,
    pub(super) asked: Url,
    pub(super) head: Option<Arc<Head>>,
    pub(super) sharing: StreamSharing,
}

impl Driver {
    /// A crawl with this pagination that has asked for nothing yet. It is boxed: the futures that it passes through would have a place
    /// for all of it in each of their states, and be copied with those.
    pub(super) fn new(crawl: &Crawl, pagination: Arc<Pagination>) -> Result<Box<Self>, Failure> {
        let Crawl { client, caps, first, width, since, memory, .. } = crawl;
        let url = first.url.clone();
        let guard = LinkGuard::new(&client.upstream().url, &client.upstream().aliases);
        let plan = Plan::new(Arc::clone(&pagination), caps.clone(), guard, first.clone(), *width, SystemTime::now());
        let mut plan = plan.map_err(|wrong| wrong_page(client, &wrong, &url))?;
        let begins_behind_record = pagination.since.is_some() && since.is_some();
        if begins_behind_record {
            plan.begin_midway();
        }
        plan.guess_at_most(client.upstream().pace.width_of_guesses());
        let shape = Arc::new(PageShape::reading(client.upstream().retry.wait_path(), &pagination, caps));
        let memory = memory.crawl();
        let spill = SpillStore::new(caps.window_bytes, caps.spool_bytes, memory.clone());
        if pagination.key.is_some() {
            plan.compare_keys_in(key_spill::key_set(caps, spill.clone()));
        }
        Ok(Box::new(Self {
            client: client.clone(),
            pagination,
            pages: PagesInFlight::new(client.clone(), Arc::clone(&shape)),
            shape,
            start: if begins_behind_record { CrawlStart::Since } else { CrawlStart::Request },
            plan,
            opened: None,
            key_memory: memory.in_use(),
            buffer: ReorderBuffer::new(spill, memory),
            checkpoints: Checkpoints::Kept,
            withheld: None,
            verification: None,
            records: 0,
            asked: url,
            head: None,
            sharing: StreamSharing::UNLIMITED,
        }))
    }

    /// Restores an unstarted crawl from its checkpoints, which end with this record.
    pub(super) fn resume(&mut self, past: Vec<Checkpoint>, last: Option<Vec<u8>>, records: u64) -> Result<(), Failure> {
        self.usage().continue_from(past.last().map_or(0, Checkpoint::requests));
        let resumed = self.plan.resume(past, last);
        resumed.map_err(|error| self.crawl_failure(&error))?;
        self.records = records;
        self.usage().set_pages(self.plan.pages());
        Ok(())
    }

    /// Keeps all records until [`Driver::release`]. Their pages have no checkpoints: an interrupted crawl starts again.
    pub(super) fn withhold(&mut self, evidence: ReadEvidence) {
        self.withheld = Some(WithheldRead::new(evidence));
        self.checkpoints = Checkpoints::Unused;
    }

    /// Lets the records leave, and returns the evidence of them.
    pub(super) fn release(&mut self) -> WholeRead {
        let withheld = self.withheld.take().expect("records are released once, of a driver that withheld them");
        let (parts, read) = withheld.finish();
        parts.into_iter().for_each(|part| self.buffer.open(part));
        read
    }

    /// The first page that the plan asks for, and its part, whose records may leave. The caller fetches it.
    pub(super) fn first_request(&mut self) -> Option<(PageId, PartId, Arc<PageRequest>)> {
        let mut first = None;
        loop {
            match self.plan.step(plan::Room::Open).ok()? {
                Step::Emit(part) => {
                    self.buffer.open(part);
                    first = Some(part);
                }
                Step::Fetch(page, request) => return first.map(|part| (page, part, request)),
                Step::Wait | Step::Done(_) => return None,
            }
        }
    }

    /// Waits for the next event. Nothing is lost if this future is dropped.
    pub(super) async fn progress(&mut self) -> Result<CrawlProgress, Failure> {
        poll_fn(|context| self.poll_progress(ReadLimit::None, context)).await
    }

    /// Does what the plan wants, and waits for the next event.
    pub(super) fn poll_progress(
        &mut self,
        limit: ReadLimit,
        context: &mut Context<'_>,
    ) -> Poll<Result<CrawlProgress, Failure>> {
        let mut opened = false;
        loop {
            let room = if self.buffer.poll_room(context).is_ready() { plan::Room::Open } else { plan::Room::Full };
            match self.plan.step(room).map_err(|error| self.crawl_failure(&error))? {
                Step::Fetch(page, request) => {
                    if let Some(pages) = self.withheld.as_mut().and_then(WithheldRead::pages) {
                        pages.begin(page, &request);
                    }
                    let traits = self.plan.traits_of(page);
                    self.pages.ask(page, request, traits, self.buffer.memory().in_use());
                }
                Step::Emit(part) => match &mut self.withheld {
                    Some(withheld) => withheld.open(part),
                    None => {
                        self.buffer.open(part);
                        opened = true;
                    }
                },
                Step::Done(end) => {
                    let unproven = self.client.redirects().empty_elsewhere(self.records);
                    let end = Ok(CrawlProgress::Done(end));
                    return Poll::Ready(unproven.map_or(end, |error| Err(self.crawl_failure(&error))));
                }
                Step::Wait => break,
            }
        }
        if opened && !self.buffer.is_drained() {
            return Poll::Ready(Ok(CrawlProgress::Underway));
        }
        let accepts = |buffer: &ReorderBuffer, part: PartId| limit == ReadLimit::None || buffer.accepts(part);
        match self.pages.poll_event(&mut self.plan, &mut self.buffer, accepts, context) {
            Poll::Ready(Some((page, event))) => Poll::Ready(self.accept(page, event)),
            Poll::Ready(None) => Poll::Ready(Ok(CrawlProgress::Underway)),
            // The pages may have filled the buffer just now: the task must be woken when it has room again.
            Poll::Pending => {
                let _is_open = self.buffer.poll_room(context);
                Poll::Pending
            }
        }
    }

    /// Tells the plan an event of a page at the head of its part.
    fn accept(&mut self, page: PageId, event: PageEvent) -> Result<CrawlProgress, Failure> {
        let plan::PageStanding::Current(part) = self.plan.standing(page) else { return Ok(CrawlProgress::Underway) };
        let name = self.plan.name_of(page);
        match event {
            PageEvent::Head(head) => {
                self.note_head(&head);
                self.sharing.check(|| self.url().to_string()).map_err(|failure| on_page(name, failure))?;
                let begun = self.plan.accept(page, CurrentPageEvent::Begun(&head));
                begun.map_err(|wrong| self.page_failure(&wrong, &head, name))?;
            }
            PageEvent::Records(batch) => {
                if let Some(withheld) = &mut self.withheld {
                    withheld.add(page, &batch);
                }
                let (head, fields) = self.pages.head_and_fields(page).expect("records come after their head");
                let released = self.plan.accept(page, CurrentPageEvent::Records(head, fields, batch));
                let released = released.map_err(|wrong| self.page_failure(&wrong, head, name))?;
                self.emit(part, released);
            }
            PageEvent::Progress(_) | PageEvent::Deferred => {}
            PageEvent::End(Ok(rest)) => {
                let (head, _) = self.pages.head_and_fields(page).expect("a page comes after its head");
                let head = Arc::clone(head);
                self.pages.remove(page);
                self.arrived(page, part, &head, rest)?;
                return Ok(if self.buffer.is_open(part) { CrawlProgress::Page } else { CrawlProgress::Underway });
            }
            PageEvent::End(Err(PageFailure::Refused(head, body, overload))) => {
                self.pages.remove(page);
                let refused = self.plan.accept(page, CurrentPageEvent::Refused(&head, &body, overload));
                refused.map_err(|wrong| {
                    let headers = failure_report::kept_headers(&head);
                    Failure { headers, ..self.page_failure(&wrong, &head, name) }
                })?;
                if let Some(withheld) = &mut self.withheld {
                    withheld.refused(page, head.status);
                }
            }
            PageEvent::End(Err(PageFailure::Lost(failure, overload))) => {
                self.pages.remove(page);
                if !self.plan.gave_up(page, overload) {
                    return Err(on_page(name, failure));
                }
            }
        }
        Ok(CrawlProgress::Underway)
    }

    pub(super) fn arrived(&mut self, page: PageId, part: PartId, head: &Arc<Head>, rest: Page) -> Result<(), Failure> {
        let name = self.plan.name_of(page);
        if let Some(withheld) = &mut self.withheld {
            withheld.arrived(page, head, &rest);
        }
        if let Some(opened) = &mut self.opened {
            opened.rename(&rest.fields);
        }
        let released = self.plan.accept(page, CurrentPageEvent::Whole(head, rest));
        let released = released.map_err(|wrong| self.page_failure(&wrong, head, name))?;
        self.emit(part, released);
        self.key_memory.set(self.plan.key_bytes());
        self.usage().set_pages(self.plan.pages());
        if let Some(notice) = self.plan.take_notice() {
            tracing::warn!("{}: {notice}", self.url());
        }
        if self.checkpoints == Checkpoints::Kept
            && let Some(checkpoint) = self.plan.checkpoint()
        {
            let checkpoint = checkpoint.with_requests(self.usage().counts().all_requests());
            self.buffer.checkpoint(to_raw_value(&checkpoint).expect("a checkpoint is texts and numbers"));
        }
        Ok(())
    }

    /// Notes the head of a page: until one is whole, it is the first page's.
    pub(super) fn note_head(&mut self, head: &Arc<Head>) {
        self.sharing.note(&head.headers);
        if self.plan.pages() == 0 {
            self.head = Some(Arc::clone(head));
        }
    }

    /// Closes the state that was opened for this crawl, if one was.
    pub(super) fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.opened.as_mut().map_or(Poll::Ready(()), |opened| opened.poll_closed(context))
    }

    fn emit(&mut self, part: PartId, released: ReleasedRecords) {
        for batch in released {
            self.records += batch.records();
            self.buffer.emit(part, batch.without_keys());
        }
    }

    pub(super) fn starts_midway(&self) -> bool {
        self.start == CrawlStart::Request && self.plan.starts_midway()
    }

    pub(super) fn total(&self) -> Option<u64> {
        let first = || self.pages.first().and_then(|(head, fields)| self.plan.total_in(head, fields));
        self.plan.total().or_else(first)
    }

    pub(super) fn usage(&self) -> UpstreamUsage {
        self.client.usage()
    }

    pub(super) fn url(&self) -> RedactedUrl<'_> {
        RedactedUrl(&self.asked)
    }
}
