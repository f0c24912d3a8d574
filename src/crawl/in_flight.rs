//! The pages in flight: those that have their turn stream, and those that were asked for ahead of it wait in the reorder buffer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::StreamExt;

use super::attempts::{Attempts, PageFailure};
use super::failure_report;
use super::page_stream::{PageEvent, PageStep, PageStream};
use super::reorder::{Lane, ReorderBuffer};
use crate::pagination::PageRequest;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::plan::{PageId, PageNews, PageSoFar, PartId, Plan, Standing};
use crate::pagination::retry::{Overload, PageTraits, RetryBudget};
use crate::pagination::splitter::PageShape;
use crate::snapshot::UsedMemory;
use crate::upstream::Client;

/// Number of bytes of a page that are read ahead of its turn while no record ends in them that may wait.
const AHEAD: usize = 256 * 1024;

/// The pages that were asked for and are not whole, or wait for their turn.
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
    /// None behind the page's end, so that a page that waits keeps no connection and no buffers.
    stream: Option<Box<PageStream>>,
    /// The fields of a page whose stream has ended.
    fields: PageFields,
    reading: Reading,
    /// The head of the current attempt.
    head: Option<Arc<Head>>,
    /// Number of fields that the plan knows of this attempt.
    known_fields: usize,
    records: u64,
    /// Heads that came before the page's turn.
    heads: VecDeque<Arc<Head>>,
    end: Option<Result<Page, PageFailure>>,
    /// Number of bytes that were read without a record that could wait.
    kept: usize,
    /// The bytes of the record that is being read.
    memory: UsedMemory,
}

/// The need to poll a page on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It had an event; it may rest for as long as there is no use for more.
    Paused,
    /// It waits for the upstream, under a time limit.
    Underway,
}

/// The receivers of a page's events, before and at its turn.
struct PageSinks<'a> {
    plan: &'a mut Plan,
    /// The plan was told something that it may act on.
    plan_learnt: bool,
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
            reading: Reading::Underway,
            head: None,
            known_fields: 0,
            records: 0,
            heads: VecDeque::new(),
            end: None,
            kept: 0,
            memory,
        });
    }

    /// The head and the fields so far of a page, if its head has come.
    pub(super) fn of(&self, id: PageId) -> Option<(&Arc<Head>, &PageFields)> {
        let page = self.pages.iter().find(|page| page.id == id)?;
        Some((page.head.as_ref()?, page.fields()))
    }

    /// The same of the page that was asked for first.
    pub(super) fn first(&self) -> Option<(&Arc<Head>, &PageFields)> {
        self.of(self.pages.front()?.id)
    }

    /// Removes a page whose last event was taken.
    pub(super) fn remove(&mut self, id: PageId) {
        self.pages.retain(|page| page.id != id);
    }

    /// The next event of a page that has its turn and whose part `accepts` more; none where the plan has only learnt something
    /// of other pages, which move on meanwhile.
    pub(super) fn poll_event(
        &mut self,
        plan: &mut Plan,
        buffer: &mut ReorderBuffer,
        accepts: impl Fn(&ReorderBuffer, PartId) -> bool,
        context: &mut Context<'_>,
    ) -> Poll<Option<(PageId, PageEvent)>> {
        let mut sinks = PageSinks { plan, plan_learnt: false, buffer };
        let mut taken = None;
        self.pages.retain_mut(|page| {
            match sinks.plan.standing(page.id) {
                Standing::Turn(part) => {
                    page.stream.iter_mut().for_each(|stream| stream.set_turn());
                    // One event at a time, but every page is polled each time: their time limits don't wait.
                    if !accepts(sinks.buffer, part) {
                        page.read_if_underway(&mut sinks, context);
                        page.release_if_paused();
                    } else if taken.is_some() {
                        page.read_if_underway(&mut sinks, context);
                    } else if let Poll::Ready(event) = page.poll_event(&mut sinks, context) {
                        taken = Some((page.id, event));
                    }
                }
                Standing::Ahead => page.read_ahead(&mut sinks, context),
                Standing::Unwanted => {
                    sinks.buffer.discard(page.id);
                    return false;
                }
            }
            true
        });
        match taken {
            Some((id, event)) => {
                // The others come first the next time.
                let at = self.pages.iter().position(|page| page.id == id);
                self.pages.rotate_left(at.map_or(0, |at| at + 1));
                Poll::Ready(Some((id, event)))
            }
            None if sinks.plan_learnt => Poll::Ready(None),
            None => Poll::Pending,
        }
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

    /// The next event of a page that has its turn: first those that waited.
    fn poll_event(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) -> Poll<PageEvent> {
        if let Some(head) = self.heads.pop_front() {
            return Poll::Ready(PageEvent::Head(head));
        }
        match ready!(sinks.buffer.poll_pop(Lane::Page(self.id), context)) {
            Ok(Some(batch)) => return Poll::Ready(PageEvent::Records(batch)),
            Ok(None) => {}
            Err(error) => return Poll::Ready(unreadable(&error)),
        }
        if let Some(Ok(page)) = &mut self.end {
            match ready!(sinks.buffer.poll_pop(Lane::PageEnd(self.id), context)) {
                Ok(batch) => page.batch = batch.unwrap_or_default(),
                Err(error) => return Poll::Ready(unreadable(&error)),
            }
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(PageEvent::End(end));
        }
        loop {
            if let PageStep::Event(event) = ready!(self.poll_stream(sinks, context)) {
                return Poll::Ready(event);
            }
        }
    }

    /// Reads on before the page's turn, as far as there is room.
    fn read_ahead(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) {
        while self.reading == Reading::Underway || self.kept < AHEAD && sinks.buffer.has_room() {
            if !self.hold_next(sinks, context) {
                return;
            }
        }
        self.release_if_paused();
    }

    /// Reads on only as far as the time limit demands.
    fn read_if_underway(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) {
        while self.reading == Reading::Underway && self.hold_next(sinks, context) {}
    }

    /// Lets another page be asked for while this one isn't read on.
    fn release_if_paused(&mut self) {
        if self.reading == Reading::Paused
            && let Some(stream) = &mut self.stream
        {
            stream.release();
        }
    }

    /// Keeps the next event until the page's turn; returns whether there was one, and more may follow.
    fn hold_next(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) -> bool {
        if self.end.is_some() {
            self.reading = Reading::Paused;
            return false;
        }
        let Poll::Ready(step) = self.poll_stream(sinks, context) else { return false };
        match step {
            PageStep::Progress(read) => self.kept += read,
            PageStep::Stumbled => {}
            PageStep::Event(PageEvent::Head(head)) => self.heads.push_back(head),
            PageStep::Event(PageEvent::Records(batch)) => sinks.buffer.push(Lane::Page(self.id), batch),
            PageStep::Event(PageEvent::End(mut end)) => {
                if let Ok(page) = &mut end {
                    sinks.buffer.push(Lane::PageEnd(self.id), std::mem::take(&mut page.batch));
                    page.sketch = Bytes::copy_from_slice(&page.sketch).into();
                }
                self.end = Some(end);
            }
        }
        true
    }

    /// The next step as it is read, of which the plan learns at once what it may guess from.
    fn poll_stream(&mut self, sinks: &mut PageSinks<'_>, context: &mut Context<'_>) -> Poll<PageStep> {
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        if self.memory.bytes() > 0 && sinks.buffer.poll_memory(stream, context).is_pending() {
            // Other crawls need the permit meanwhile, which may be what this one waits for.
            stream.release();
            return Poll::Pending;
        }
        self.reading = Reading::Underway;
        let polled = stream.poll_next_unpin(context);
        self.memory.set(stream.held_bytes());
        let Some(step) = ready!(polled) else { return Poll::Pending };
        self.reading = Reading::Paused;
        let had_records = self.records > 0;
        let mut fields = stream.fields();
        let is_news = match &step {
            PageStep::Event(PageEvent::Head(head)) => {
                (self.head, self.known_fields) = (Some(Arc::clone(head)), 0);
                true
            }
            PageStep::Event(PageEvent::Records(batch)) => {
                self.records += batch.records();
                !had_records || fields.len() > self.known_fields
            }
            PageStep::Progress(_) => fields.len() > self.known_fields,
            PageStep::Event(PageEvent::End(Ok(page))) => {
                self.records += page.batch.records();
                fields = &page.fields;
                true
            }
            PageStep::Stumbled | PageStep::Event(PageEvent::End(Err(_))) => {
                sinks.tell(self.id, PageNews::Failed);
                false
            }
        };
        if let Some(head) = self.head.as_ref().filter(|_| is_news) {
            self.known_fields = fields.len();
            sinks.tell(self.id, PageNews::SoFar(PageSoFar { head, fields, records: self.records }));
        }
        if let PageStep::Event(PageEvent::End(end)) = &step {
            if end.is_ok() {
                sinks.tell(self.id, PageNews::Whole { records: self.records });
            }
            self.fields = self.stream.take().map(|stream| stream.into_fields()).unwrap_or_default();
            self.memory.set(0);
        }
        Poll::Ready(step)
    }
}

impl PageSinks<'_> {
    fn tell(&mut self, page: PageId, news: PageNews<'_>) {
        self.plan.note(page, news);
        self.plan_learnt = true;
    }
}

fn unreadable(error: &std::io::Error) -> PageEvent {
    PageEvent::End(Err(PageFailure::Lost(failure_report::unreadable_spill(error), Overload::No)))
}
