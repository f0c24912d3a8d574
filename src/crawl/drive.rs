//! One turn of a crawl: what the plan wants is done, and what comes of it is shown to the plan.

use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::value::to_raw_value;

use super::Opened;
use super::attempts::PageFailure;
use super::failure;
use super::page_stream::PageEvent;
use super::reorder::ReorderBuffer;
use crate::batch::Batch;
use crate::error::Failure;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::{self, PageId, PartId, Proof, Step};
use crate::pagination::{PageError, Precondition};

impl Opened {
    /// Does what the plan wants, and waits for what comes of it.
    pub(super) fn poll_turn(&mut self, appetite: Appetite, context: &mut Context<'_>) -> Poll<Result<Turn, Failure>> {
        let mut opened = false;
        loop {
            let room = match self.buffer.poll_room(context) {
                Poll::Ready(()) => plan::Room::Open,
                Poll::Pending => plan::Room::Full,
            };
            match self.plan.step(room).map_err(|wrong| failure::wrong_page(&self.client, &wrong, &self.url))? {
                Step::Fetch(page, request) => {
                    let halvable = self.plan.halvable(page);
                    self.pages.ask(page, *request, halvable);
                }
                Step::Emit(part) => {
                    self.buffer.open(part);
                    opened = true;
                }
                Step::Done(proof) => return Poll::Ready(Ok(Turn::Done(proof))),
                Step::Wait => break,
            }
        }
        if opened && !self.buffer.is_drained() {
            return Poll::Ready(Ok(Turn::Going));
        }
        let accepts = |buffer: &ReorderBuffer, part: PartId| appetite == Appetite::Everything || buffer.accepts(part);
        match self.pages.poll_event(&mut self.plan, &mut self.buffer, accepts, context) {
            Poll::Ready(Some((page, event))) => Poll::Ready(self.take(page, event)),
            Poll::Ready(None) => Poll::Ready(Ok(Turn::Going)),
            // The pages may have filled the room just now: who waits for it must be told when it opens.
            Poll::Pending => {
                let _is_open = self.buffer.poll_room(context);
                Poll::Pending
            }
        }
    }

    /// Shows the plan what came of a page that has its turn.
    fn take(&mut self, page: PageId, event: PageEvent) -> Result<Turn, Failure> {
        let plan::Standing::Turn(part) = self.plan.standing(page) else { return Ok(Turn::Going) };
        let name = || self.plan.name_of(page);
        match event {
            PageEvent::Head(head) => {
                let name = name();
                self.heard(&head);
                self.plan.begun(page, &head).map_err(|wrong| self.wrong(&wrong, &head, &name))?;
            }
            PageEvent::Progress(_) | PageEvent::Stumbled => {}
            PageEvent::Records(batch) => {
                let (head, fields) = self.pages.of(page).expect("records come after their head");
                let passed = self.plan.records(page, head, fields, batch);
                let batch = passed.map_err(|wrong| self.wrong(&wrong, head, &self.plan.name_of(page)))?;
                self.emit(part, batch);
            }
            PageEvent::End(Ok(rest)) => {
                let (head, _) = self.pages.of(page).expect("a page comes after its head");
                let head = Arc::clone(head);
                self.pages.remove(page);
                self.arrived(page, part, &head, rest)?;
                return Ok(if self.buffer.is_open(part) { Turn::Page } else { Turn::Going });
            }
            PageEvent::End(Err(PageFailure::Refused(head, body, overload))) => {
                let name = name();
                self.pages.remove(page);
                if let Err(failure) = self.refuse(page, &head, &body, &name)
                    && !self.plan.gave_up(page, overload)
                {
                    return Err(failure);
                }
            }
            PageEvent::End(Err(PageFailure::Lost(failure, overload))) => {
                let name = name();
                self.pages.remove(page);
                if !self.plan.gave_up(page, overload) {
                    return Err(on_page(&name, failure));
                }
            }
        }
        Ok(Turn::Going)
    }

    pub(super) fn arrived(&mut self, page: PageId, part: PartId, head: &Head, rest: Page) -> Result<(), Failure> {
        let name = self.plan.name_of(page);
        let batches = self.plan.arrived(page, head, rest).map_err(|wrong| self.wrong(&wrong, head, &name))?;
        batches.into_iter().for_each(|batch| self.emit(part, batch));
        self.usage().set_pages(self.plan.pages());
        let is_wanted = self.pagination.precondition == Precondition::Match && self.plan.pages() == 1;
        if is_wanted && !self.plan.has_condition() {
            let url = crate::pagination::request::RedactedUrl(&self.url);
            tracing::warn!("{url}: match = true, but the first page has neither a strong ETag nor Last-Modified");
        }
        if let Some(checkpoint) = self.plan.checkpoint() {
            self.buffer.checkpoint(to_raw_value(&checkpoint).expect("a checkpoint is texts and numbers"));
        }
        Ok(())
    }

    /// A head came that begins a page: until one is whole, it is the first page's.
    pub(super) fn heard(&mut self, head: &Arc<Head>) {
        if self.plan.pages() == 0 {
            self.head = Some(Arc::clone(head));
        }
    }

    fn emit(&mut self, part: PartId, batch: Batch) {
        self.records += batch.records();
        self.buffer.emit(part, batch);
    }

    fn refuse(&mut self, page: PageId, head: &Head, body: &[u8], name: &str) -> Result<(), Failure> {
        self.plan.refused(page, head.status, &head.headers, body).map_err(|wrong| {
            let mut failure = self.wrong(&wrong, head, name);
            failure.headers = failure::kept_headers(head);
            failure
        })
    }

    pub(super) fn wrong(&self, wrong: &PageError, head: &Head, name: &str) -> Failure {
        on_page(name, failure::wrong_page(&self.client, wrong, &head.url))
    }
}

/// Says which page it was.
pub(super) fn on_page(name: &str, failure: Failure) -> Failure {
    Failure { message: format!("{name} of {}", failure.message), ..failure }
}

/// How much is taken of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appetite {
    /// All that comes, while nothing leaves yet.
    Everything,
    /// What can leave soon.
    AsItLeaves,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A page goes on, or one was refused as the plan had expected.
    Going,
    /// A page is whole, and good.
    Page,
    /// The end is proven.
    Done(Proof),
}
