//! The pages in flight, in their order: the first streams, and those that it leads to come up behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::arriving::{Event, Fetch};
use crate::pagination::PageRequest;
use crate::pagination::page::{Fields, Head};
use crate::pagination::plan::{Follow, SoFar};
use crate::pagination::split::Shape;
use crate::upstream::Client;

/// How many bytes of a page are read before somebody takes its records. Beyond that TCP holds the upstream back.
const AHEAD: usize = 256 * 1024;

/// The pages that were asked for and are not whole or have not had their turn.
#[derive(Debug)]
pub(super) struct Flight {
    client: Client,
    shape: Arc<Shape>,
    width: usize,
    pages: VecDeque<InFlight>,
    turn: Turn,
}

/// Whether the first page in flight is one that the plan has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Taken,
    Open,
}

#[derive(Debug)]
struct InFlight {
    request: PageRequest,
    fetch: Fetch,
    head: Option<Arc<Head>>,
    fields: Fields,
    records: u64,
    /// What came before somebody took it, and how many bytes of records that is.
    waiting: VecDeque<Event>,
    held: usize,
    /// How many bytes were read of it without a record that could wait.
    kept: usize,
    looked: Looked,
}

/// Whether the next page's address has been looked for in all that has come of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    NotYet,
    Already,
}

impl Flight {
    pub(super) fn new(client: Client, shape: Arc<Shape>, width: usize) -> Self {
        Self { client, shape, width, pages: VecDeque::new(), turn: Turn::Open }
    }

    /// Whether a page has its turn.
    pub(super) fn is_under_way(&self) -> bool {
        self.turn == Turn::Taken
    }

    /// Lets so many pages be in flight from now on.
    pub(super) fn widen(&mut self, width: usize) {
        self.width = width;
    }

    /// It is this page's turn: the one that is next in flight, if that is the same; else none of them leads anywhere.
    pub(super) fn ask(&mut self, request: PageRequest) {
        if self.pages.front().is_none_or(|page| page.request != request) {
            self.pages.clear();
            self.start(request);
        }
        self.turn = Turn::Taken;
    }

    /// The head and the values so far of the page whose turn it is.
    pub(super) fn first(&self) -> Option<(&Arc<Head>, &Fields)> {
        self.pages.front().and_then(|page| Some((page.head.as_ref()?, &page.fields)))
    }

    /// The page whose turn it was is over.
    pub(super) fn pass(&mut self) {
        self.pages.pop_front();
        self.turn = Turn::Open;
    }

    /// The next event of the page whose turn it is; meanwhile the others go on, and lead to more.
    pub(super) fn poll_event(&mut self, plan: &Follow, context: &mut Context<'_>) -> Poll<Event> {
        let Some(first) = self.pages.front_mut() else { return Poll::Pending };
        let polled = first.poll_event(context);
        if matches!(&polled, Poll::Ready(event) if event.is_end()) {
            return polled;
        }
        let is_new = self.look_ahead(plan);
        if polled.is_ready() && !is_new {
            return polled;
        }
        loop {
            self.pages.iter_mut().skip(1).for_each(|page| page.fill(context));
            if !self.look_ahead(plan) {
                return polled;
            }
        }
    }

    /// Reads on as far as there is room, while nobody takes events.
    pub(super) fn poll_ahead(&mut self, plan: &Follow, context: &mut Context<'_>) {
        loop {
            self.pages.iter_mut().for_each(|page| page.fill(context));
            // Behind a page that had its turn only the plan knows whether the others are wanted.
            if !self.is_under_way() || !self.look_ahead(plan) {
                return;
            }
        }
    }

    /// Asks for the page that the last one in flight leads to, if that is known already.
    fn look_ahead(&mut self, plan: &Follow) -> bool {
        let in_flight = self.pages.len();
        let may_lead = |last: &&mut InFlight| in_flight < self.width && last.looked == Looked::NotYet;
        let Some(last) = self.pages.back_mut().filter(may_lead) else { return false };
        let Some(head) = &last.head else { return false };
        let so_far = SoFar { head, fields: &last.fields, records: last.records, in_flight: in_flight as u64 };
        let next = plan.early(so_far);
        last.looked = Looked::Already;
        let Some(next) = next else { return false };
        if self.pages.iter().any(|page| page.request == next) {
            return false;
        }
        self.start(next);
        true
    }

    fn start(&mut self, request: PageRequest) {
        let fetch = Fetch::new(self.client.clone(), request.clone(), Arc::clone(&self.shape));
        self.pages.push_back(InFlight {
            request,
            fetch,
            head: None,
            fields: Fields::default(),
            records: 0,
            waiting: VecDeque::new(),
            held: 0,
            kept: 0,
            looked: Looked::Already,
        });
    }
}

impl InFlight {
    /// The next event of a page that has its turn.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.waiting.pop_front() {
            if let Event::Records(batch) = &event {
                self.held -= batch.lines().len();
            }
            return Poll::Ready(event);
        }
        loop {
            if let Some(event) = ready!(self.poll_fetch(context)) {
                return Poll::Ready(event);
            }
        }
    }

    /// Reads on before anybody takes it, as far as there is room.
    fn fill(&mut self, context: &mut Context<'_>) {
        while self.held + self.kept < AHEAD && !self.waiting.back().is_some_and(Event::is_end) {
            match self.poll_fetch(context) {
                Poll::Pending => return,
                Poll::Ready(None) => {}
                Poll::Ready(Some(event)) => {
                    if let Event::Records(batch) = &event {
                        self.held += batch.lines().len();
                    }
                    self.waiting.push_back(event);
                }
            }
        }
    }

    /// What comes of the page, unless it is only a thing to be known.
    fn poll_fetch(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = ready!(self.fetch.poll_event(context));
        match &event {
            Event::Begun(head) => {
                self.head = Some(Arc::clone(head));
                self.fields = Fields::default();
            }
            Event::Fields(fields) => self.fields = fields.clone(),
            Event::Records(batch) => {
                let is_first = self.records == 0;
                self.records += batch.records();
                if !is_first {
                    return Poll::Ready(Some(event));
                }
            }
            Event::Kept(read) => {
                self.kept += read;
                return Poll::Ready(None);
            }
            Event::Page(page) => {
                self.fields = page.fields.clone();
                self.records += page.batch.records();
            }
            Event::Refused(..) | Event::Failed(_) => return Poll::Ready(Some(event)),
        }
        self.looked = Looked::NotYet;
        Poll::Ready(Some(event).filter(|event| !matches!(event, Event::Fields(_))))
    }
}
