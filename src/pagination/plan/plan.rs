//! The plan of a crawl: which pages are asked for, for which part, in which order, and when it is over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

use super::checkpoint::Checkpoint;
use super::events::{PageId, PageNews, PartId, Room, Standing, Step};
use super::part::{Emission, Part, Place};
use super::partition::Cut;
use super::range_splitter::RangeSplitter;
use super::walk::Walk;
use crate::batch::Batch;
use crate::caps::Caps;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::proof::Proof;
use crate::pagination::retry::{Halvable, Overload};
use crate::pagination::{PageError, PageRequest, Pagination, PartOrder, Partition};

/// A collection's walk: one part, or several side by side.
#[derive(Debug)]
pub struct Plan {
    pagination: Arc<Pagination>,
    caps: Caps,
    guard: LinkGuard,
    width: usize,
    /// In the order in which the collection lists them; those that are over and have left are gone.
    parts: Vec<Part>,
    /// The first requests of the parts that nobody walks yet.
    queued: VecDeque<PageRequest>,
    /// How parts are split, where the collection is cut by range.
    splits: Option<RangeSplitter>,
    /// The record that each part of a list starts with, as a hash.
    openings: HashMap<u64, PartId>,
    start: Start,
    next_page: u64,
    next_part: u64,
    gone: Gone,
}

/// How the walk begins, as the first request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Beginning,
    Midway,
}

/// What a page that something came of is asked for.
#[derive(Debug)]
enum Role<'a> {
    /// To look for the end of the range.
    Probe(&'a mut RangeSplitter),
    /// It is the one that this part waits for.
    Turn(&'a mut Part),
    /// Nothing now.
    None,
}

/// What is left of the parts that are over.
#[derive(Debug, Default)]
struct Gone {
    parts: u64,
    pages: u64,
    proof: Option<Proof>,
    cuts: Vec<Cut>,
}

impl Plan {
    /// A plan that starts with `first` and asks for `width` pages at a time; `now` is what a partition's bounds may say.
    pub fn new(
        pagination: Arc<Pagination>,
        caps: Caps,
        guard: LinkGuard,
        first: PageRequest,
        width: usize,
        now: SystemTime,
    ) -> Result<Self, PageError> {
        let (queued, splits) = match &pagination.partition {
            None => (vec![first], None),
            Some(Partition::Range(range)) => (Vec::new(), Some(RangeSplitter::new(range, &pagination, first, now))),
            // Who names a part wants that one.
            Some(list) if list.params().iter().any(|param| first.value_at(param).is_some()) => (vec![first], None),
            Some(list) => (list.requests(&first)?, None),
        };
        let mut plan = Self {
            pagination,
            caps,
            guard,
            width: width.max(1),
            parts: Vec::new(),
            queued: queued.into(),
            splits,
            openings: HashMap::new(),
            start: Start::Beginning,
            next_page: 0,
            next_part: 0,
            gone: Gone::default(),
        };
        match plan.splits.as_ref().map(RangeSplitter::whole) {
            Some(cut) => plan.begin_cut(0, cut)?,
            None => drop(plan.begin_queued()?),
        }
        if plan.parts.iter().any(|part| part.walk.starts_midway()) {
            plan.start = Start::Midway;
        }
        Ok(plan)
    }

    /// Makes it one that holds what follows a record, by intent, so that the upstream's totals prove nothing. Nothing has been asked
    /// for yet.
    pub fn begin_midway(&mut self) {
        self.start = Start::Midway;
        self.parts.iter_mut().for_each(|part| part.walk.begin_midway());
    }

    /// Whether later pages are asked for under the condition that the collection is the first page's.
    pub fn has_condition(&self) -> bool {
        self.parts.iter().any(|part| part.walk.has_condition())
    }

    /// What it knows, right after [`Plan::arrived`]; none where the collection is cut into parts, which are not gone on with.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let only = self.parts.first().filter(|_| self.pagination.partition.is_none());
        only.map(|part| part.walk.checkpoint())
    }

    /// Goes on behind the pages that `past` tells of, of which `last` is the last record. Nothing has been asked for yet.
    pub fn resume(
        &mut self,
        past: impl IntoIterator<Item = Checkpoint>,
        last: Option<Vec<u8>>,
    ) -> Result<(), PageError> {
        match self.parts.first_mut().filter(|_| self.pagination.partition.is_none()) {
            Some(part) => part.walk.resume(past, last),
            None if last.is_none() && past.into_iter().next().is_none() => Ok(()),
            None => Err(PageError::BadCheckpoint("the collection is cut into parts".to_owned())),
        }
    }

    /// What to do now.
    pub fn step(&mut self, room: Room) -> Result<Step, PageError> {
        self.retire()?;
        if self.parts.is_empty() {
            // The next one may leave at once, and needs no room.
            self.begin_queued()?;
        }
        if let Some(part) = self.emission() {
            return Ok(Step::Emit(part));
        }
        if self.parts.is_empty() {
            return self.proof().map(Step::Done);
        }
        if self.in_flight() >= self.width {
            return Ok(Step::Wait);
        }
        let page = PageId(self.next_page);
        let Some(request) = self.fetch(page, room)? else { return Ok(Step::Wait) };
        self.next_page += 1;
        Ok(Step::Fetch(page, request))
    }

    /// The page to be asked for now: those whose turn it is first, then those of new parts, then those ahead.
    fn fetch(&mut self, page: PageId, room: Room) -> Result<Option<Box<PageRequest>>, PageError> {
        let may_leave = |part: &&mut Part| room == Room::Open || part.emission == Emission::Told;
        if let Some(turn) = self.parts.iter_mut().filter(may_leave).find_map(|part| part.turn(page)) {
            return Ok(Some(turn));
        }
        if room == Room::Full {
            return Ok(None);
        }
        if let Some(splits) = &mut self.splits {
            splits.seen(&self.parts);
            if let Some(probe) = splits.probe(page)? {
                return Ok(Some(probe));
            }
            if self.start == Start::Beginning
                && let Some((owner, cut)) = splits.split(&mut self.parts)
            {
                self.begin_cut(owner + 1, cut)?;
                return Ok(self.parts[owner + 1].turn(page));
            }
        }
        if self.begin_queued()? {
            return Ok(self.parts.last_mut().and_then(|part| part.turn(page)));
        }
        Ok(self.parts.iter_mut().find_map(|part| part.ahead(page)))
    }

    /// Where a page stands.
    pub fn standing(&self, page: PageId) -> Standing {
        if self.splits.as_ref().is_some_and(|splits| splits.is_probe(page)) {
            // It belongs to none; the last is the one whose end it looks for.
            return self.parts.last().map_or(Standing::Unwanted, |part| Standing::Turn(part.id));
        }
        let place = |part: &Part| part.place_of(page).map(|place| (part.id, place));
        match self.parts.iter().find_map(place) {
            Some((part, Place::Turn)) => Standing::Turn(part),
            Some((_, Place::Ahead)) => Standing::Ahead,
            None => Standing::Unwanted,
        }
    }

    /// Notes what has come of a page; of one that has its turn, too, before it is shown.
    pub fn note(&mut self, page: PageId, news: PageNews<'_>) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.place_of(page).is_some()) {
            part.note(page, news);
        }
    }

    /// The head of a page that has its turn, once for each attempt at it: why none of its records may leave, if so.
    pub fn begun(&mut self, page: PageId, head: &Head) -> Result<(), PageError> {
        match self.role(page) {
            Role::Turn(part) => part.begun(head),
            Role::Probe(_) | Role::None => Ok(()),
        }
    }

    /// The next records of a page that has its turn: which of them may leave now, or why no more of them can be trusted. Each is
    /// shown once.
    pub fn records(
        &mut self,
        page: PageId,
        head: &Head,
        fields: &PageFields,
        batch: Batch,
    ) -> Result<Batch, PageError> {
        match self.role(page) {
            Role::Probe(splits) => {
                splits.probe_has(&batch);
                Ok(Batch::default())
            }
            Role::Turn(part) => part.records(head, fields, batch),
            Role::None => Ok(Batch::default()),
        }
    }

    /// A page that has its turn is whole: which of its last records, and of those that waited, may leave now.
    pub fn arrived(&mut self, page: PageId, head: &Head, rest: Page) -> Result<Vec<Batch>, PageError> {
        let part = match self.role(page) {
            Role::Probe(splits) => {
                splits.probe_has(&rest.batch);
                return splits.probed().map(|()| Vec::new());
            }
            Role::Turn(part) => part,
            Role::None => return Ok(Vec::new()),
        };
        let batches = part.arrived(head, rest)?;
        let (part, opening) = (part.id, part.walk.opening());
        self.look_for_twin(part, opening)?;
        self.check_whole(part)?;
        Ok(batches)
    }

    /// A page that has its turn was refused; `Ok` where that is how its part ends.
    pub fn refused(
        &mut self,
        page: PageId,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), PageError> {
        match self.role(page) {
            Role::Probe(splits) => splits.give_up(),
            Role::Turn(part) => part.refused(status, headers, body)?,
            Role::None => {}
        }
        Ok(())
    }

    /// A page that has its turn was given up. Says whether the plan goes on without it: it asks for a smaller one, or the page was a
    /// probe.
    pub fn gave_up(&mut self, page: PageId, overload: Overload) -> bool {
        match self.role(page) {
            Role::Probe(splits) => {
                splits.give_up();
                true
            }
            Role::Turn(part) => overload == Overload::Likely && part.too_large(),
            Role::None => false,
        }
    }

    /// Whether a smaller page could be asked for in the place of this one.
    pub fn halvable(&self, page: PageId) -> Halvable {
        let part = self.parts.iter().find(|part| part.place_of(page).is_some());
        if part.is_some_and(|part| part.walk.may_halve()) { Halvable::Yes } else { Halvable::No }
    }

    /// Lets so many pages be asked for at a time from now on.
    pub fn widen(&mut self, width: usize) {
        self.width = width.max(1);
        self.parts.iter_mut().for_each(|part| part.widen(width));
    }

    /// What a message calls a page that has its turn.
    pub fn name_of(&self, page: PageId) -> String {
        let Some(part) = self.parts.iter().find(|part| part.place_of(page).is_some()) else {
            return "a page".to_owned();
        };
        let number = part.walk.pages() + 1;
        if self.next_part > 1 { format!("page {number} of part {}", part.id.0 + 1) } else { format!("page {number}") }
    }

    /// Pages that came.
    pub fn pages(&self) -> u64 {
        self.gone.pages + self.parts.iter().map(|part| part.walk.pages()).sum::<u64>()
    }

    /// Whether the first request names a page behind the collection's beginning.
    pub fn starts_midway(&self) -> bool {
        self.start == Start::Midway
    }

    /// The upstream's own total, as far as it is known.
    pub fn total(&self) -> Option<u64> {
        self.parts.first().and_then(|part| part.walk.total())
    }

    /// The total that a page tells that is still arriving.
    pub fn total_in(&self, head: &Head, fields: &PageFields) -> Option<u64> {
        self.parts.first().and_then(|part| part.walk.total_in(head, fields))
    }

    /// The earlier page whose records the current one repeats, as far as it has come.
    pub fn repeats(&self) -> Option<u64> {
        self.parts.first().and_then(|part| part.walk.repeats())
    }

    fn role(&mut self, page: PageId) -> Role<'_> {
        match self.splits.as_mut().filter(|splits| splits.is_probe(page)) {
            Some(splits) => Role::Probe(splits),
            None => {
                let turn = self.parts.iter_mut().find(|part| part.place_of(page) == Some(Place::Turn));
                turn.map_or(Role::None, Role::Turn)
            }
        }
    }

    /// Two parts of a list that start alike are one: whatever the upstream is asked for, it gives the same.
    fn look_for_twin(&mut self, part: PartId, opening: Option<u64>) -> Result<(), PageError> {
        // Those of a range overlap where they meet.
        let Some(opening) = opening.filter(|_| self.splits.is_none()) else { return Ok(()) };
        match *self.openings.entry(opening).or_insert(part) {
            twin if twin == part => Ok(()),
            twin => Err(PageError::PartsAlike { part: part.0 + 1, twin: twin.0 + 1 }),
        }
    }

    /// What a part that is over, or a crawl that goes on, must not be.
    fn check_whole(&self, id: PartId) -> Result<(), PageError> {
        let parts = self.parts.iter().skip_while(|part| part.id != id);
        let mut parts = parts.filter_map(|part| Some((part, part.cut.as_ref()?)));
        if let Some((part, cut)) = parts.next()
            && part.walk.proof().is_some()
            && !cut.is_over()
            && parts.any(|(_, later)| later.has_read())
        {
            return Err(cut.ended_too_early());
        }
        let is_over = self.queued.is_empty() && self.parts.iter().all(Part::is_over);
        if self.pages() >= self.caps.pages && !is_over {
            return Err(PageError::Limit { name: "caps.pages", value: self.caps.pages });
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        let probes = usize::from(self.splits.as_ref().is_some_and(RangeSplitter::is_probing));
        self.parts.iter().map(Part::in_flight).sum::<usize>() + probes
    }

    /// Begins the next of the parts that nobody walks; says whether there was one.
    fn begin_queued(&mut self) -> Result<bool, PageError> {
        let Some(first) = self.queued.pop_front() else { return Ok(false) };
        self.begin(self.parts.len(), Arc::clone(&self.pagination), first, None)?;
        Ok(true)
    }

    /// Begins a part of the range, at this place among the others.
    fn begin_cut(&mut self, at: usize, cut: Cut) -> Result<(), PageError> {
        let Some(splits) = &self.splits else { return Ok(()) };
        // What a part's pages say of totals may be the part's or the collection's: only the first one's are sure to be the latter.
        let pagination = if self.next_part == 0 { &self.pagination } else { splits.of_parts() };
        let (pagination, first) = (Arc::clone(pagination), splits.request(&cut)?);
        self.begin(at, pagination, first, Some(cut))
    }

    fn begin(
        &mut self,
        at: usize,
        pagination: Arc<Pagination>,
        first: PageRequest,
        cut: Option<Cut>,
    ) -> Result<(), PageError> {
        let walk = Walk::new(pagination, self.caps.clone(), self.guard.clone(), first)?;
        self.parts.insert(at, Part::new(PartId(self.next_part), walk, cut, self.width));
        self.next_part += 1;
        Ok(())
    }

    /// Forgets the parts that are over and have left, if what follows them is where they end.
    fn retire(&mut self) -> Result<(), PageError> {
        while let Some(first) = self.parts.first().filter(|part| part.is_over() && part.emission == Emission::Told) {
            if let Some(cut) = &first.cut {
                self.gone.cuts.iter().try_for_each(|before| before.meets(cut))?;
            }
            let part = self.parts.remove(0);
            self.gone.parts += 1;
            self.gone.pages += part.walk.pages();
            self.gone.proof = part.walk.proof();
            if let Some(splits) = &mut self.splits {
                splits.retired(&part);
            }
            self.gone.cuts.extend(part.cut);
        }
        Ok(())
    }

    /// The part that may leave next and has not been told to: the first, or any.
    fn emission(&mut self) -> Option<PartId> {
        let most = if self.pagination.order == PartOrder::Any { usize::MAX } else { 1 };
        let part = self.parts.iter_mut().take(most).find(|part| part.emission == Emission::NotYet)?;
        part.emission = Emission::Told;
        Some(part.id)
    }

    fn proof(&self) -> Result<Proof, PageError> {
        match (self.gone.parts, self.gone.proof) {
            (1, Some(proof)) => Ok(proof),
            (parts, _) => {
                self.splits.as_ref().map_or(Ok(()), RangeSplitter::check_total)?;
                Ok(Proof::Parts(parts))
            }
        }
    }
}
