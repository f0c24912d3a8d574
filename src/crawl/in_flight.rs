//! The pages in flight: those at the head of their parts stream, and those that were asked for ahead wait in the reorder buffer.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::StreamExt;

use super::attempts::{Attempts, PageFailure};
use super::failure_report;
use super::page_stream::{PageEvent, PageStream};
use super::reorder::{Lane, ReorderBuffer};
use crate::pagination::PageRequest;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::plan::{PageId, PageNews, PageSoFar, PageStanding, PartId, Plan};
use crate::pagination::retry::{Overload, PageTraits, RetryBudget};
use crate::pagination::splitter::PageShape;
use crate::snapshot::UsedMemory;
use crate::upstream::Client;

/// Max bytes of a page that are read ahead without a complete record.
const MAX_AHEAD: usize = 256 * 1024;

/// The pages that were asked for and are not whole, or wait for the pages before them.
#[derive(Debug)]
pub(super) struct PagesInFlight {
    client: Client,
    shape: Arc<PageShape>,
    budget: RetryBudget,
    pages: VecDeque<PageInFlight>,
}

#[derive(Debug)]
struct PageInFlight {
    id: PageId,
    /// None after the page's end, so that a page that waits keeps no connection and no buffers.
    stream: Option<Box<PageStream>>,
    /// The fields of a page whose stream has ended.
    fields: PageFields,
    poll_state: PollState,
    head: Option<Arc<Head>>,
    /// Number of fields that the plan knows of this attempt.
    known_fields: usize,
    records: u64,
    /// Heads that came while the page was not at the head of its part.
    heads: VecDeque<Arc<Head>>,
    end: Option<Result<Page, PageFailure>>,
    /// Number of bytes that were read ahead without a complete record.
    read_ahead: usize,
    /// The bytes of the record that is being read.
    memory: UsedMemory,
}

/// State of a page's stream between two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PollState {
    /// The last poll had an event: the stream may rest for as long as there is no use for more.
    Idle,
    /// The stream waits under a time limit, and must be polled.
    AwaitingUpstream,
}

/// The receivers of a page's events.
struct PageSinks<'a> {
    plan: &'a mut Plan,
    /// The plan was told something that it may act on.
    plan_changed: bool,
    buffer: &'a mut ReorderBuffer,
}

impl PagesInFlight {
    pub(super) fn new(client: Client, shape: Arc<PageShape>) -> Self {
        let budget = RetryBudget::new(&client.upstream().retry);
        Self { client, shape, budget, pages: VecDeque::new() }
    }

    /// Adds a page, which is asked for when it is polled for the first time.
    pub(super) fn ask(&mut self, id: PageId, request: Arc<PageRequest>, traits: PageTraits, memory: UsedMemory) {
        let attempts = Attempts::new(self.client.clone(), request, self.budget.clone(), traits);
        self.pages.push_back(PageInFlight {
            id,
            stream: Some(Box::new(PageStream::new(attempts, Arc::clone(&self.shape)))),
            fields: PageFields::default(),
            poll_state: PollState::AwaitingUpstream,
            head: None,
            known_fields: 0,
            records: 0,
            heads: VecDeque::new(),
            end: None,
            read_ahead: 0,
            memory,
        });
    }

    /// The head and the fields so far of a page, if its head has come.
    pub(super) fn head_and_fields(&self, id: PageId) -> Option<(&Arc<Head>, &PageFields)> {
        let page = self.pages.iter().find(|page| page.id == id)?;
        Some((page.head.as_ref()?, page.fields()))
    }

    /// The head and the fields so far of the page that was asked for first.
    pub(super) fn first(&self) -> Option<(&Arc<Head>, &PageFields)> {
        self.head_and_fields(self.pages.front()?.id)
    }

    /// Removes a page whose last event was taken.
    pub(super) fn remove(&mut self, id: PageId) {
        self.pages.retain(|page| page.id != id);
    }

    /// The next event of a page at the head of a part that `accepts` more; none if the plan has only been told of other pages.
    pub(super) fn poll_event(
        &mut self,
        plan: &mut Plan,
        buffer: &mut ReorderBuffer,
        accepts: impl Fn(&ReorderBuffer, PartId) -> bool,
        context: &mut Context<'_>,
    ) -> Poll<Option<(PageId, PageEvent)>> {
        let mut sinks = PageSinks { plan, plan_changed: false, buffer };
        let mut taken = None;
        self.pages.retain_mut(|page| {
            match sinks.plan.standing(page.id) {
                PageStanding::Current(part) => {
                    page.stream.iter_mut().for_each(|stream| stream.set_at_head());
                    // One event at a time, but every page is polled each time: their time limits don't wait.
                    if !accepts(sinks.buffer, part) {
                        page.read_if_awaiting(&mut sinks, context);
                        page.release_if_idle();
                    } else if taken.is_some() {
                        page.read_if_awaiting(&mut sinks, context);
                    } else if let Poll::Ready(event) = page.poll_event(&mut sinks, context) {
                        taken = Some((page.id, event));
                    }
                }
                PageStanding::Ahead => page.read_ahead(&mut sinks, context),
                PageStanding::Unwanted => {
                    sinks.buffer.discard(page.id);
                    return false;
                }
            }
            true
        });
        let Some((id, event)) = taken else {
            return if sinks.plan_changed { Poll::Ready(None) } else { Poll::Pending };
        };
        // The others come first the next time.
        let at = self.pages.iter().position(|page| page.id == id);
        self.pages.rotate_left(at.map_or(0, |at| at + 1));
        Poll::Ready(Some((id, event)))
    }
}

impl PageInFlight {
    fn fields(&self) -> &PageFields {
        match (&self.stream, &self.end) {
            (Some(stream), _) => stream.fields(),
            (None, Some(Ok(page))) => &page.fields,
            (None, _) => &self.fields,
        }
    }

    /// The next event of a page at the head: first those that waited.
    fn poll_event(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) -> Poll<PageEvent> {
        let waiting = ready!(self.poll_waiting(sinks.buffer, context));
        let lost = |error| PageFailure::Lost(failure_report::unreadable_spill(&error), Overload::No);
        if let Some(event) = waiting.unwrap_or_else(|error| Some(PageEvent::End(Err(lost(error))))) {
            return Poll::Ready(event);
        }
        loop {
            match ready!(self.poll_stream(sinks, context)) {
                PageEvent::Progress(_) | PageEvent::Deferred => {}
                event => return Poll::Ready(event),
            }
        }
    }

    fn poll_waiting(
        &mut self,
        buffer: &mut ReorderBuffer,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<PageEvent>>> {
        if let Some(head) = self.heads.pop_front() {
            return Poll::Ready(Ok(Some(PageEvent::Head(head))));
        }
        if let Some(batch) = ready!(buffer.poll_pop(Lane::Page(self.id), context))? {
            return Poll::Ready(Ok(Some(PageEvent::Records(batch))));
        }
        if let Some(Ok(page)) = &mut self.end {
            page.batch = ready!(buffer.poll_pop(Lane::PageEnd(self.id), context))?.unwrap_or_default();
        }
        Poll::Ready(Ok(self.end.take().map(PageEvent::End)))
    }

    /// Reads on ahead of the pages before, as far as there is room.
    fn read_ahead(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) {
        while self.poll_state == PollState::AwaitingUpstream || self.read_ahead < MAX_AHEAD && sinks.buffer.has_room() {
            if !self.hold_next(sinks, context) {
                return;
            }
        }
        self.release_if_idle();
    }

    /// Reads on only as far as the time limit demands.
    fn read_if_awaiting(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) {
        while self.poll_state == PollState::AwaitingUpstream && self.hold_next(sinks, context) {}
    }

    /// Lets another page be asked for while this one isn't read on.
    fn release_if_idle(&mut self) {
        if self.poll_state == PollState::Idle
            && let Some(stream) = &mut self.stream
        {
            stream.release_permit();
        }
    }

    /// Holds the next event until the page is at the head; returns whether there was one, and more may follow.
    fn hold_next(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) -> bool {
        let Poll::Ready(event) = self.poll_stream(sinks, context) else { return false };
        match event {
            PageEvent::Progress(read) => self.read_ahead += read,
            PageEvent::Deferred => {}
            PageEvent::Head(head) => self.heads.push_back(head),
            PageEvent::Records(batch) => sinks.buffer.push(Lane::Page(self.id), batch),
            PageEvent::End(mut end) => {
                if let Ok(page) = &mut end {
                    sinks.buffer.push(Lane::PageEnd(self.id), std::mem::take(&mut page.batch));
                    page.sketch = Bytes::copy_from_slice(&page.sketch).into();
                }
                self.end = Some(end);
            }
        }
        true
    }

    /// The next event as it is read, of which the plan is told at once.
    fn poll_stream(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) -> Poll<PageEvent> {
        let event = ready!(self.poll_within_memory(sinks.buffer, context));
        self.tell(&event, sinks);
        if let PageEvent::End(_) = event {
            self.fields = self.stream.take().map(|stream| stream.into_fields()).unwrap_or_default();
            self.memory.set(0);
        }
        Poll::Ready(event)
    }

    /// Polls the stream, unless it holds a part of a record and there is no memory for more of it.
    fn poll_within_memory(&mut self, buffer: &ReorderBuffer, context: &mut Context<'_>) -> Poll<PageEvent> {
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        if self.memory.bytes() > 0 && buffer.poll_memory(stream, context).is_pending() {
            // Other crawls need the permit meanwhile, which may be what this one waits for.
            stream.release_permit();
            return Poll::Pending;
        }
        self.poll_state = PollState::AwaitingUpstream;
        let polled = stream.poll_next_unpin(context);
        self.memory.set(stream.held_bytes());
        let Some(event) = ready!(polled) else { return Poll::Pending };
        self.poll_state = PollState::Idle;
        Poll::Ready(event)
    }

    /// Tells the plan the news in an event from which it may predict other pages.
    fn tell(&mut self, event: &PageEvent, sinks: &mut PageSinks<'_>) {
        let had_records = self.records > 0;
        let read = self.stream.as_ref().map_or(&self.fields, |stream| stream.fields());
        if let PageEvent::Records(batch) | PageEvent::End(Ok(Page { batch, .. })) = event {
            self.records += batch.records();
        }
        let (fields, is_news) = match event {
            PageEvent::Head(head) => {
                (self.head, self.known_fields) = (Some(Arc::clone(head)), 0);
                (read, true)
            }
            PageEvent::Records(_) if !had_records => (read, true),
            PageEvent::Records(_) | PageEvent::Progress(_) => (read, read.len() > self.known_fields),
            PageEvent::End(Ok(page)) => (&page.fields, true),
            PageEvent::Deferred | PageEvent::End(Err(_)) => return sinks.tell(self.id, PageNews::Failed),
        };
        if let Some(head) = self.head.as_ref().filter(|_| is_news) {
            self.known_fields = fields.len();
            sinks.tell(self.id, PageNews::SoFar(PageSoFar { head, fields, records: self.records }));
        }
        if let PageEvent::End(_) = event {
            sinks.tell(self.id, PageNews::Whole { records: self.records });
        }
    }
}

impl PageSinks<'_> {
    fn tell(&mut self, page: PageId, news: PageNews<'_>) {
        self.plan.note(page, news);
        self.plan_changed = true;
    }
}
