//! One part of a collection: its walk, and the pages that were asked for on its behalf.

use std::collections::VecDeque;

use http::{HeaderMap, StatusCode};

use super::events::{PageId, PageNews, PartId};
use super::partition::Cut;
use super::walk::Walk;
use super::walk_state::WalkStep;
use crate::batch::Batch;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::proof::Proof;
use crate::pagination::{PageError, PageRequest};

/// How many pages may be asked for ahead of the one whose turn it is, those that wait included: each of them is looked at whenever
/// something comes.
const MOST_AHEAD: u64 = 256;

/// A part: what comes of its pages is shown to its walk in order.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: PartId,
    pub(super) walk: Walk,
    /// What of the walk's records belong to the part, where it is one of a range.
    pub(super) cut: Option<Cut>,
    /// How many records it has let through.
    pub(super) records: u64,
    /// The pages in flight and those that wait for their turn, in order. The first has its turn if the walk waits for it.
    pages: VecDeque<Asked>,
    /// How many pages may be asked for ahead, as the last guesses went.
    trust: usize,
    width: usize,
    bound: Bound,
    pub(super) emission: Emission,
}

/// Whether the walk has been ended by the part's bound, with the page in which it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Ahead,
    Passed,
}

/// Whether the crawl has been told that the part's records may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emission {
    NotYet,
    Told,
}

/// Where a page stands in its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the one that the walk waits for.
    Turn,
    /// It comes later.
    Ahead,
}

#[derive(Debug)]
struct Asked {
    id: PageId,
    request: PageRequest,
    position: u64,
    arrival: Arrival,
    /// Where it leads, if it has said that itself.
    leads: Option<PageRequest>,
}

/// How far a page has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// It may go on.
    OnItsWay,
    /// It is whole, and has so many records.
    Whole(u64),
    /// It looks like one behind which nothing is where it was guessed: empty, refused or lost, or so short that the next number is
    /// another one.
    Last,
}

impl Part {
    pub(super) fn new(id: PartId, walk: Walk, cut: Option<Cut>, width: usize) -> Self {
        Self {
            id,
            walk,
            cut,
            records: 0,
            pages: VecDeque::new(),
            trust: width,
            width,
            bound: Bound::Ahead,
            emission: Emission::NotYet,
        }
    }

    /// Whether nothing more of it is wanted.
    pub(super) fn is_over(&self) -> bool {
        self.walk.proof().is_some() || self.bound == Bound::Passed
    }

    /// Whether a record behind the part's end has come: the page that has it is wanted to its end, since that may show that the page is
    /// no good, and no other.
    fn is_closing(&self) -> bool {
        self.cut.as_ref().is_some_and(Cut::is_over)
    }

    /// Lets so many pages be asked for from now on.
    pub(super) fn widen(&mut self, width: usize) {
        (self.width, self.trust) = (width, width);
    }

    /// How many of its pages are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.pages.iter().filter(|page| page.arrival == Arrival::OnItsWay).count()
    }

    /// Where a page stands, if it was asked for on behalf of this part and is wanted still.
    pub(super) fn place_of(&self, page: PageId) -> Option<Place> {
        let at = self.pages.iter().position(|asked| asked.id == page)?;
        Some(if at == 0 && self.walk.next().is_none() { Place::Turn } else { Place::Ahead })
    }

    /// The page whose turn it is, where nobody has asked for it yet.
    pub(super) fn turn(&mut self, id: PageId) -> Option<Box<PageRequest>> {
        if self.is_over() || self.is_closing() || self.walk.next().is_none() {
            return None;
        }
        self.walk.grow();
        let WalkStep::Fetch(request) = self.walk.step() else { return None };
        self.push(id, (*request).clone(), self.walk.number());
        Some(request)
    }

    /// The page after those that were asked for, as far as it can be guessed.
    pub(super) fn ahead(&mut self, id: PageId) -> Option<Box<PageRequest>> {
        let ahead = self.pages.len() as u64;
        let last = self.pages.back()?;
        // Behind one that may be the last nothing is asked for, however many of those behind it are still on their way.
        let may_be_over = self.pages.iter().any(|page| page.arrival == Arrival::Last);
        if may_be_over
            || ahead > MOST_AHEAD
            || self.is_over()
            || self.is_closing()
            || self.in_flight() > self.trust
            || self.walk.forecast().may_be_capped(ahead)
        {
            return None;
        }
        let (request, position) = match &last.leads {
            Some(request) => (request.clone(), 0),
            None => self.walk.forecast().after(last.position).map(|next| (next.request, next.number))?,
        };
        if self.pages.iter().any(|page| page.request == request) {
            return None;
        }
        self.push(id, request.clone(), position);
        Some(Box::new(request))
    }

    /// Notes what has come of a page so far, whether it has its turn or not.
    pub(super) fn note(&mut self, page: PageId, news: PageNews<'_>) {
        let Some(asked) = self.pages.iter_mut().find(|asked| asked.id == page) else { return };
        match news {
            PageNews::SoFar(so_far) => {
                if asked.leads.is_none() {
                    asked.leads = self.walk.early(so_far);
                }
            }
            PageNews::Whole { records } if self.walk.forecast().may_end_with(records) => asked.arrival = Arrival::Last,
            PageNews::Whole { records } => asked.arrival = Arrival::Whole(records),
            PageNews::Failed => asked.arrival = Arrival::Last,
        }
    }

    /// The head of the page whose turn it is.
    pub(super) fn begun(&mut self, head: &Head) -> Result<(), PageError> {
        self.walk.begun(head)
    }

    /// The next records of the page whose turn it is: which of them may leave.
    pub(super) fn records(&mut self, head: &Head, fields: &PageFields, batch: Batch) -> Result<Batch, PageError> {
        let batch = self.walk.records(head, fields, batch)?;
        self.let_through(batch)
    }

    /// The page whose turn it is is whole: what more of it may leave.
    pub(super) fn arrived(&mut self, head: &Head, page: Page) -> Result<Vec<Batch>, PageError> {
        let stride = self.walk.stride();
        let batches = self.walk.arrived(head, page)?;
        self.check_end()?;
        let batches = batches.into_iter().map(|batch| self.let_through(batch)).collect();
        self.pass(stride);
        batches
    }

    /// The page whose turn it is was refused, which may be how the collection ends.
    pub(super) fn refused(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), PageError> {
        self.walk.refused(status, headers, body)?;
        self.check_end()?;
        self.pass(self.walk.stride());
        Ok(())
    }

    /// The page whose turn it is was too much for the upstream: whether a smaller one is asked for instead.
    pub(super) fn too_large(&mut self) -> bool {
        let is_smaller = self.walk.halve();
        if is_smaller {
            self.pages.clear();
        }
        is_smaller
    }

    /// What of the walk's records is the part's own. With the first that isn't, the part is over.
    fn let_through(&mut self, batch: Batch) -> Result<Batch, PageError> {
        let batch = match &mut self.cut {
            Some(cut) => cut.pass(batch)?,
            None => batch,
        };
        self.records += batch.records();
        if self.is_closing() {
            self.pages.truncate(1);
        }
        Ok(batch)
    }

    /// An end that only the lack of records proves is none where a page behind it has come that has some.
    fn check_end(&self) -> Result<(), PageError> {
        let by_lack = matches!(self.walk.proof(), Some(Proof::EmptyPage | Proof::ShortPage | Proof::Status(_)));
        let behind = self.pages.iter().skip(1).find_map(|page| match page.arrival {
            Arrival::Whole(records) if by_lack => Some(records),
            _ => None,
        });
        behind.map_or(Ok(()), |records| Err(PageError::RecordsBehindTheEnd { records }))
    }

    /// Turn ⇒ over, and Ahead ⇒ Turn for the page that the walk asks for next; if another one was guessed, no guess that built on
    /// it is worth anything.
    fn pass(&mut self, stride: Option<u64>) {
        self.pages.pop_front();
        if self.is_closing() {
            self.bound = Bound::Passed;
        }
        let Some(next) = self.walk.next().filter(|_| !self.is_over()) else {
            self.pages.clear();
            return;
        };
        let is_hit = match self.pages.front() {
            Some(guessed) => guessed.request == *next,
            None => self.walk.stride().is_some() && self.walk.stride() == stride,
        };
        if is_hit {
            self.trust = self.width.min(2 * self.trust + 1);
        } else if !self.pages.is_empty() {
            // What was guessed wrong is often the end: one page alone, and twice as many with each hit.
            self.trust = 0;
            self.pages.clear();
        }
        if !self.pages.is_empty() {
            self.walk.step();
        }
    }

    fn push(&mut self, id: PageId, request: PageRequest, position: u64) {
        self.pages.push_back(Asked { id, request, position, arrival: Arrival::OnItsWay, leads: None });
    }
}
