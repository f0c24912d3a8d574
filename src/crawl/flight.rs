//! The pages in flight: those that have their turn stream, and those that were asked for ahead of it wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::attempts::GivenUp;
use super::failure;
use super::page_stream::{Event, Fetch};
use super::reorder::Backlog;
use super::spill::Room;
use crate::pagination::PageRequest;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::plan::{Came, PageId, PartId, Plan, SoFar, Standing};
use crate::pagination::retry::{Halvable, Overload, RetryBudget};
use crate::pagination::split::PageShape;
use crate::upstream::Client;

/// How many bytes of a page are read ahead of its turn while no record ends in them that may wait.
const AHEAD: usize = 256 * 1024;

/// The pages that were asked for and are not whole or have not had their turn.
#[derive(Debug)]
pub(super) struct Flight {
    client: Client,
    shape: Arc<PageShape>,
    budget: RetryBudget,
    room: Room,
    pages: VecDeque<InFlight>,
}

#[derive(Debug)]
struct InFlight {
    id: PageId,
    /// None behind its end: a page that waits keeps nothing of how it came.
    fetch: Option<Fetch>,
    progress: Progress,
    head: Option<Arc<Head>>,
    fields: PageFields,
    records: u64,
    /// What came before its turn.
    heads: VecDeque<Arc<Head>>,
    waiting: Backlog,
    /// The last batch of a page that is whole, which must not be joined with those before: it leaves when the page has been found
    /// good. For a page that came at once it is all of it.
    last: Backlog,
    end: Option<Event>,
    /// How many bytes were read without a record that could wait.
    kept: usize,
}

/// Whether a page must go on when it is polled next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It waits to be asked on, however long that takes.
    Resting,
    /// It waits for the upstream, with a time limit that goes on.
    Underway,
}

impl Flight {
    pub(super) fn new(client: Client, shape: Arc<PageShape>, room: Room) -> Self {
        let budget = RetryBudget::new(&client.upstream().retry);
        Self { client, shape, budget, room, pages: VecDeque::new() }
    }

    /// Asks for a page, when it is polled for the first time.
    pub(super) fn ask(&mut self, id: PageId, request: PageRequest, halvable: Halvable) {
        let fetch = Fetch::new(self.client.clone(), request, Arc::clone(&self.shape), self.budget.clone(), halvable);
        self.pages.push_back(InFlight {
            id,
            fetch: Some(fetch),
            progress: Progress::Underway,
            head: None,
            fields: PageFields::default(),
            records: 0,
            heads: VecDeque::new(),
            waiting: Backlog::new(&self.room),
            last: Backlog::new(&self.room),
            end: None,
            kept: 0,
        });
    }

    /// The head and the values so far of a page.
    pub(super) fn of(&self, id: PageId) -> Option<(&Arc<Head>, &PageFields)> {
        self.pages.iter().find(|page| page.id == id).and_then(|page| Some((page.head.as_ref()?, &page.fields)))
    }

    /// The head and the values so far of the page that was asked for first.
    pub(super) fn first(&self) -> Option<(&Arc<Head>, &PageFields)> {
        self.of(self.pages.front()?.id)
    }

    /// A page is over.
    pub(super) fn pass(&mut self, id: PageId) {
        self.pages.retain(|page| page.id != id);
    }

    /// The next event of a page that has its turn and whose part `takes` more; none where the plan has only learnt something of
    /// the others, which go on meanwhile.
    pub(super) fn poll_event(
        &mut self,
        plan: &mut Plan,
        takes: impl Fn(PartId) -> bool,
        context: &mut Context<'_>,
    ) -> Poll<Option<(PageId, Event)>> {
        self.pages.retain(|page| plan.standing(page.id) != Standing::Unwanted);
        let mut learnt = Learnt::Nothing;
        let mut taken = None;
        for (at, page) in self.pages.iter_mut().enumerate() {
            let standing = plan.standing(page.id);
            if let (Standing::Turn(_), Some(fetch)) = (standing, &page.fetch) {
                fetch.has_turn();
            }
            match standing {
                Standing::Turn(part) if takes(part) => {
                    // One event at a time, but every page is polled each time: their time limits don't wait.
                    if taken.is_some() {
                        page.go_on(plan, &mut learnt, context);
                    } else if let Poll::Ready(event) = page.poll_event(plan, &mut learnt, context) {
                        taken = Some((at, event));
                    }
                }
                Standing::Turn(_) => {
                    if page.go_on(plan, &mut learnt, context) == Progress::Resting {
                        page.release();
                    }
                }
                Standing::Ahead => page.fill(&self.room, plan, &mut learnt, context),
                Standing::Unwanted => {}
            }
        }
        match taken {
            Some((at, event)) => {
                let id = self.pages[at].id;
                // The others come first the next time.
                self.pages.rotate_left(at + 1);
                Poll::Ready(Some((id, event)))
            }
            None if learnt == Learnt::Something => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Whether the plan was told something that it may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learnt {
    Nothing,
    Something,
}

impl InFlight {
    /// The next event of a page that has its turn.
    fn poll_event(&mut self, plan: &mut Plan, learnt: &mut Learnt, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(head) = self.heads.pop_front() {
            return Poll::Ready(Event::Begun(head));
        }
        let unreadable =
            |error| Event::Failed(GivenUp { failure: failure::unreadable_spool(&error), overload: Overload::No });
        if !self.waiting.is_empty() {
            match ready!(self.waiting.poll_pop(context)).map_err(unreadable) {
                Ok(Some(batch)) => return Poll::Ready(Event::Records(batch)),
                Ok(None) => {}
                Err(failed) => return Poll::Ready(failed),
            }
        }
        if let Some(Event::Page(page)) = &mut self.end
            && !self.last.is_empty()
        {
            match ready!(self.last.poll_pop(context)).map_err(unreadable) {
                Ok(batch) => page.batch = batch.unwrap_or_default(),
                Err(failed) => return Poll::Ready(failed),
            }
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(end);
        }
        loop {
            if let Some(event) = ready!(self.poll_fetch(plan, learnt, context)) {
                return Poll::Ready(event);
            }
        }
    }

    /// Reads on before the page's turn, as far as there is room.
    fn fill(&mut self, room: &Room, plan: &mut Plan, learnt: &mut Learnt, context: &mut Context<'_>) {
        while self.progress == Progress::Underway || self.kept < AHEAD && room.is_open() {
            if !self.hold_next(plan, learnt, context) {
                return;
            }
        }
        self.release();
    }

    /// Reads on only as far as it must.
    fn go_on(&mut self, plan: &mut Plan, learnt: &mut Learnt, context: &mut Context<'_>) -> Progress {
        while self.progress == Progress::Underway && self.hold_next(plan, learnt, context) {}
        self.progress
    }

    /// Nobody reads on for now: another page may be asked for instead.
    fn release(&self) {
        if let Some(fetch) = &self.fetch {
            fetch.release();
        }
    }

    /// Keeps the next event until the page's turn; whether there was one, and more may follow.
    fn hold_next(&mut self, plan: &mut Plan, learnt: &mut Learnt, context: &mut Context<'_>) -> bool {
        if self.end.is_some() {
            self.progress = Progress::Resting;
            return false;
        }
        match self.poll_fetch(plan, learnt, context) {
            Poll::Pending => return false,
            Poll::Ready(None) => {}
            Poll::Ready(Some(Event::Begun(head))) => self.heads.push_back(head),
            Poll::Ready(Some(Event::Records(batch))) => self.waiting.push(batch),
            Poll::Ready(Some(mut end)) => {
                if let Event::Page(page) = &mut end {
                    self.last.push(std::mem::take(&mut page.batch));
                    page.sketch = Bytes::copy_from_slice(&page.sketch);
                }
                self.end = Some(end);
            }
        }
        true
    }

    /// What comes of the page, unless it is only a thing to be known.
    fn poll_fetch(&mut self, plan: &mut Plan, learnt: &mut Learnt, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let Some(fetch) = &mut self.fetch else { return Poll::Pending };
        self.progress = Progress::Underway;
        let event = ready!(fetch.poll_event(context));
        self.progress = Progress::Resting;
        if matches!(event, Event::Page(_) | Event::Refused(..) | Event::Failed(_)) {
            self.fetch = None;
        }
        match &event {
            Event::Begun(head) => {
                self.head = Some(Arc::clone(head));
                self.fields = PageFields::default();
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
            Event::Stumbled | Event::Refused(..) | Event::Failed(_) => {}
        }
        self.tell(plan, &event);
        *learnt = Learnt::Something;
        Poll::Ready(Some(event).filter(|event| !matches!(event, Event::Fields(_) | Event::Stumbled)))
    }

    /// Tells the plan what it may guess from.
    fn tell(&self, plan: &mut Plan, event: &Event) {
        if matches!(event, Event::Stumbled | Event::Refused(..) | Event::Failed(_)) {
            return plan.came(self.id, Came::Nothing);
        }
        if let Some(head) = &self.head {
            plan.came(self.id, Came::SoFar(SoFar { head, fields: &self.fields, records: self.records }));
        }
        if matches!(event, Event::Page(_)) {
            plan.came(self.id, Came::Whole { records: self.records });
        }
    }
}
