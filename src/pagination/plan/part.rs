//! One part of a collection: its walk, and the pages that were ordered for it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::double_filter::DoubleFilter;
use super::events::{CurrentPageEvent, PageId, PageNews, PartId, ReleasedRecords};
use super::ordered_page::{Arrival, Lead, OrderedPage};
use super::partition::Cut;
use super::walk::Walk;
use super::walk_state::WalkStep;
use crate::batch::Batch;
use crate::pagination::page::Head;
use crate::pagination::proof::Proof;
use crate::pagination::retry::Overload;
use crate::pagination::{PageError, PageRequest};

/// Largest number of pages ahead of the current one, those that wait included: each event looks at each of them.
const MAX_AHEAD: u64 = 256;

/// A part, whose walk takes the events of its pages in order.
#[derive(Debug)]
pub(super) struct CollectionPart {
    pub(super) id: PartId,
    pub(super) walk: Walk,
    /// Bounds of the part, where it is one of a range.
    pub(super) cut: Option<Cut>,
    pub(super) records: u64,
    /// Filter behind the cut: a record behind it belongs to the next part, too.
    pub(super) double_filter: Option<DoubleFilter>,
    /// The pages in flight and those that wait, in order. The first is the current one if the walk waits for it.
    pages: VecDeque<OrderedPage>,
    /// Number of pages that may be ordered ahead, which grows with right guesses.
    trust: usize,
    /// Number of pages since the last wrong guess that came where they were expected.
    hits: usize,
    /// Number of hits behind a wrong guess before the next guess.
    caution: usize,
    width: usize,
    bound: BoundState,
    pub(super) emission: Emission,
}

/// Position of the walk relative to the part's bound, which ends it with the page in which it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BoundState {
    Ahead,
    Passed,
}

/// Permission for the part's records to leave, which the crawl is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emission {
    NotYet,
    Told,
}

/// Place of a page among those of its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceInPart {
    /// The walk waits for it.
    Current,
    Ahead,
}

impl CollectionPart {
    pub(super) fn new(id: PartId, mut walk: Walk, cut: Option<Cut>, width: usize) -> Self {
        Self {
            double_filter: cut.as_ref().and_then(|_| walk.release.take_double_filter()),
            id,
            walk,
            cut,
            records: 0,
            pages: VecDeque::new(),
            trust: width,
            hits: 0,
            caution: 1,
            width,
            bound: BoundState::Ahead,
            emission: Emission::NotYet,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.walk.proof().is_some() || self.bound == BoundState::Passed
    }

    /// Returns true if a record behind the part's bound has come. No page but the one that has it is needed, and that one to its end,
    /// which may show that the page is no good.
    fn is_closing(&self) -> bool {
        self.cut.as_ref().is_some_and(Cut::is_over)
    }

    pub(super) fn widen(&mut self, width: usize) {
        (self.width, self.trust) = (width, width);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.pages.iter().filter(|page| page.arrival == Arrival::OnItsWay).count()
    }

    /// Ends the part behind its last record where a limit of the upstream's is near, and returns the part that begins there.
    pub(super) fn cut_before_limit(&mut self) -> Option<Cut> {
        let is_near = !self.is_over() && !self.is_closing() && self.walk.forecast().is_near_a_limit();
        self.cut.as_mut().filter(|_| is_near)?.split_behind()
    }

    /// Place of a page, if it was ordered for this part and not dropped.
    pub(super) fn place_of(&self, page: PageId) -> Option<PlaceInPart> {
        let at = self.pages.iter().position(|asked| asked.id == page)?;
        Some(if at == 0 && self.walk.next().is_none() { PlaceInPart::Current } else { PlaceInPart::Ahead })
    }

    /// Returns true if a page was ordered because another one leads to it, so that it can't be without content.
    pub(super) fn is_led_to(&self, page: PageId) -> bool {
        self.walk.is_led() && (self.walk.pages() > 0 || self.place_of(page) == Some(PlaceInPart::Ahead))
    }

    /// Orders the current page, if it has not been ordered.
    pub(super) fn current(&mut self, id: PageId) -> Option<Arc<PageRequest>> {
        if self.is_over() || self.is_closing() || self.walk.next().is_none() {
            return None;
        }
        self.walk.resizing().grow();
        let WalkStep::Fetch(request) = self.walk.step() else { return None };
        // Behind a page that is requested again, those that were ordered ahead have stayed.
        self.pages.push_front(OrderedPage::new(id, Arc::clone(&request), self.walk.number()));
        Some(request)
    }

    /// Orders the page after those that were ordered, as far as it can be guessed.
    pub(super) fn ahead(&mut self, id: PageId) -> Option<Arc<PageRequest>> {
        let ahead = self.pages.len() as u64;
        let last = self.pages.back()?;
        // Nothing is ordered behind a page that may be the last, however many of those behind it are still in flight.
        let may_be_over = self.pages.iter().any(|page| matches!(page.arrival, Arrival::Last(_)));
        if may_be_over
            || ahead > MAX_AHEAD
            || self.is_over()
            || self.is_closing()
            || self.trust == 0
            || self.in_flight() > self.trust
            || self.walk.forecast().may_be_capped(ahead)
        {
            return None;
        }
        let (request, position) = match &last.lead {
            Some(lead) => (Arc::clone(&lead.next), 0),
            None => self.walk.forecast().after(last.position).map(|next| (next.request, next.number))?,
        };
        if self.pages.iter().any(|page| page.request == request) {
            return None;
        }
        self.pages.push_back(OrderedPage::new(id, Arc::clone(&request), position));
        Some(request)
    }

    /// Notes what has been read of a page.
    pub(super) fn note(&mut self, page: PageId, news: PageNews<'_>) {
        let Some(asked) = self.pages.iter_mut().find(|asked| asked.id == page) else { return };
        match news {
            PageNews::SoFar(so_far) => {
                if asked.lead.is_none() {
                    let next = self.walk.early(so_far);
                    asked.lead = next.map(|next| Lead { head: Arc::clone(so_far.head), next });
                }
            }
            PageNews::Whole { records } if self.walk.forecast().may_end_with(records) => {
                asked.arrival = Arrival::Last(records);
            }
            PageNews::Whole { records } => asked.arrival = Arrival::Whole(records),
            PageNews::Failed => asked.arrival = Arrival::Last(0),
        }
    }

    /// Takes an event of the current page, and returns those of the walk's records that belong to the part.
    pub(super) fn accept(&mut self, event: CurrentPageEvent<'_>) -> Result<ReleasedRecords, PageError> {
        match event {
            CurrentPageEvent::Begun(head) => self.walk.begun(head).map(|()| ReleasedRecords::default()),
            CurrentPageEvent::Records(head, fields, batch) => {
                let batch = self.walk.records(head, fields, batch)?;
                self.let_through(batch).map(ReleasedRecords::from)
            }
            CurrentPageEvent::Whole(head, page) => {
                let stride = self.walk.stride();
                // Another attempt at the page may have led elsewhere.
                let lead = self.pages.front_mut().and_then(|page| page.lead.take());
                let lead = lead.filter(|lead| Arc::ptr_eq(&lead.head, head));
                let batches = self.walk.arrived(head, page, lead.map(|lead| lead.next))?;
                self.check_end()?;
                let batches: Result<Vec<_>, _> = batches.into_iter().map(|batch| self.let_through(batch)).collect();
                self.double_filter.iter_mut().for_each(DoubleFilter::end_page);
                self.pass(stride);
                batches.map(ReleasedRecords::from)
            }
            CurrentPageEvent::Refused(head, body, overload) => {
                self.refused(head, body)
                    .or_else(|refusal| if self.gave_up(overload) { Ok(()) } else { Err(refusal) })?;
                Ok(ReleasedRecords::default())
            }
        }
    }

    fn refused(&mut self, head: &Head, body: &[u8]) -> Result<(), PageError> {
        self.walk.refused(head.status, &head.headers, body)?;
        self.check_end()?;
        self.pass(self.walk.stride());
        Ok(())
    }

    /// Gives up the current page; returns true if a smaller one is asked for instead.
    pub(super) fn gave_up(&mut self, overload: Overload) -> bool {
        let is_smaller = overload == Overload::Likely && self.walk.resizing().halve();
        if is_smaller {
            self.pages.clear();
        }
        is_smaller
    }

    /// Returns those of the walk's records that belong to the part. With the first that does not, the part is over.
    fn let_through(&mut self, batch: Batch) -> Result<Batch, PageError> {
        let batch = match (&mut self.cut, &mut self.double_filter) {
            (Some(cut), Some(filter)) => filter.pass(cut.pass(batch)?, &[], self.walk.release.is_numbered())?,
            (Some(cut), None) => cut.pass(batch)?,
            (None, _) => batch,
        };
        self.records += batch.records();
        if self.is_closing() {
            self.pages.truncate(1);
        }
        Ok(batch)
    }

    /// Refuses an end that only the lack of records proves, where a page behind it has some.
    fn check_end(&self) -> Result<(), PageError> {
        let by_lack = self.walk.proof().is_some_and(Proof::is_by_lack);
        let behind = self.pages.iter().skip(1).map(OrderedPage::records).find(|records| *records > 0);
        behind.filter(|_| by_lack).map_or(Ok(()), |records| Err(PageError::RecordsBehindTheEnd { records }))
    }

    /// Current ⇒ over, and Ahead ⇒ Current for the page that the walk asks for next. If another one was guessed, all guesses that build on
    /// it are dropped. Behind a page that is requested again they stay: their records refute an end.
    fn pass(&mut self, stride: Option<u64>) {
        self.pages.pop_front();
        if self.is_closing() {
            self.bound = BoundState::Passed;
        }
        let Some(next) = self.walk.next().filter(|_| !self.is_over()) else {
            self.pages.clear();
            return;
        };
        if self.walk.asks_again() {
            return;
        }
        let is_hit = match self.pages.front() {
            Some(guessed) => *guessed.request == *next,
            None => self.walk.stride().is_some() && self.walk.stride() == stride,
        };
        if is_hit {
            self.hits += 1;
            if self.hits >= self.caution {
                self.trust = self.width.min(2 * self.trust + 1);
            }
        } else if !self.pages.is_empty() {
            // A wrong guess is often the end: one page alone is ordered, and twice as many with each hit. Where the numbers of records
            // differ from page to page, one wrong guess follows another, and each costs requests that nothing comes of.
            self.caution = if self.hits > 4 * self.width { 1 } else { self.caution.saturating_mul(2) };
            (self.trust, self.hits) = (0, 0);
            for page in std::mem::take(&mut self.pages).iter().filter(|page| page.records() > 0) {
                self.walk.note_unused(page.position, page.records());
            }
        } else {
            self.hits = 0;
        }
        if !self.pages.is_empty() {
            self.walk.step();
        }
    }
}
