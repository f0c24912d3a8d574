//! Plan of a crawl: the order of its pages over all parts, and its end.

use std::sync::Arc;
use std::time::SystemTime;

use super::checkpoint::Checkpoint;
use super::events::{CurrentPageEvent, PageId, PageName, PageNews, PageStanding, ReleasedRecords, Room, Step};
use super::notice::PlanNotice;
use super::part::{CollectionPart, Emission, PlaceInPart};
use super::parts::Parts;
use super::range_splitter::RangeSplitter;
use crate::batch::Batch;
use crate::caps::Caps;
use crate::pagination::error::PageError;
use crate::pagination::keys::KeySet;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::partition_settings::Partition;
use crate::pagination::request::PageRequest;
use crate::pagination::retry::{Halvable, NoContent, Overload, PagePlace, PageTraits, Resend};
use crate::pagination::settings::Pagination;
use crate::pagination::styles::Start;

/// State machine of a crawl: one part, or several side by side.
#[derive(Debug)]
pub struct Plan {
    parts: Parts,
    /// Largest number of pages in flight.
    width: usize,
    /// The same where no count of the upstream's says that they are there.
    guesses: usize,
    start: Start,
    next_page: u64,
    noticed: Vec<PlanNotice>,
}

/// Receiver of a page's events.
#[derive(Debug)]
enum Receiver<'a> {
    /// The search for the range's upper bound.
    Probe(&'a mut RangeSplitter),
    /// The part that waits for the page.
    Current(&'a mut CollectionPart),
    None,
}

impl Plan {
    /// Starts with `first`, and orders `width` pages at a time; `now` is the time that a partition's bounds may name.
    pub fn new(
        pagination: Arc<Pagination>,
        caps: Caps,
        guard: LinkGuard,
        first: PageRequest,
        width: usize,
        now: SystemTime,
    ) -> Result<Self, PageError> {
        let (queued, splitter) = match &pagination.partition {
            None => (vec![first], None),
            Some(Partition::Range(range)) => (Vec::new(), Some(RangeSplitter::new(range, &pagination, first, now))),
            // A client that names a part wants that one.
            Some(list) if list.params().iter().any(|param| first.value_at(param).is_some()) => (vec![first], None),
            Some(list) => (list.requests(&first)?, None),
        };
        let width = width.max(1);
        let parts = Parts::new(pagination, caps, guard, queued.into(), splitter, width)?;
        let is_midway = parts.list.iter().any(|part| part.walk.starts_midway());
        let start = if is_midway { Start::Midway } else { Start::Beginning };
        Ok(Self { parts, width, guesses: usize::MAX, start, next_page: 0, noticed: Vec::new() })
    }

    /// Notes that the crawl has, by intent, only what follows a record, so that the upstream's totals prove nothing. Nothing has been
    /// ordered yet.
    pub fn begin_midway(&mut self) {
        self.start = Start::Midway;
        self.parts.list.iter_mut().for_each(|part| part.walk.begin_midway());
    }

    /// Bounds the pages in flight where no count of the upstream's says that they are there. Nothing has been ordered yet.
    pub fn guess_at_most(&mut self, width: usize) {
        self.guesses = width;
    }

    /// Compares keys in this set. Nothing has been ordered yet.
    pub fn compare_keys_in(&mut self, keys: KeySet) {
        self.parts.keys().replace(keys);
    }

    /// Bytes in memory of the keys of records.
    pub fn key_bytes(&self) -> usize {
        self.parts.keys().bytes() + self.parts.list.iter().map(|part| part.walk.known_bytes()).sum::<usize>()
    }

    /// Takes what an operator should know of the crawl, each once.
    pub fn take_notice(&mut self) -> Option<PlanNotice> {
        let notice =
            self.parts.list.iter().find_map(|part| part.walk.notice()).filter(|notice| !self.noticed.contains(notice));
        self.noticed.extend(notice.clone());
        notice
    }

    /// Returns the state right after a whole page; `None` where the collection is cut into parts, which are not resumed.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.parts.only().map(|part| part.walk.checkpoint())
    }

    /// Resumes behind the pages of these checkpoints, of which `last` is the last record. Nothing has been ordered yet.
    pub fn resume(
        &mut self,
        past: impl IntoIterator<Item = Checkpoint>,
        last: Option<Vec<u8>>,
    ) -> Result<(), PageError> {
        match self.parts.only_mut() {
            Some(part) => part.walk.resume(past, last),
            None if last.is_none() && past.into_iter().next().is_none() => Ok(()),
            None => Err(PageError::BadCheckpoint("the collection is cut into parts".to_owned())),
        }
    }

    /// Notes the keys of records that left before a crawl was interrupted, in their order.
    pub fn recall(&mut self, records: &Batch) -> Result<(), PageError> {
        self.parts.only_mut().map_or(Ok(()), |part| part.walk.recall(records))
    }

    /// Returns the next order.
    pub fn step(&mut self, room: Room) -> Result<Step, PageError> {
        self.parts.retire()?;
        if self.parts.list.is_empty() {
            // The next part may leave at once, and needs no room.
            self.parts.begin_queued(self.width)?;
        }
        if let Some(part) = self.parts.emit() {
            return Ok(Step::Emit(part));
        }
        if self.parts.list.is_empty() {
            return self.parts.ending().map(Step::Done);
        }
        if self.start == Start::Beginning {
            self.parts.cut_before_limits(self.width)?;
        }
        // Pages ahead may wait for room, which only the page before them makes.
        let is_due_again = self.parts.list.iter().any(|part| part.walk.asks_again());
        if self.parts.in_flight() >= self.width && !is_due_again {
            return Ok(Step::Wait);
        }
        let page = PageId(self.next_page);
        let Some(request) = self.fetch(page, room)? else { return Ok(Step::Wait) };
        self.next_page += 1;
        Ok(Step::Fetch(page, request))
    }

    /// Orders a page: first the current ones of the parts, then those of new parts, then those ahead.
    fn fetch(&mut self, page: PageId, room: Room) -> Result<Option<Arc<PageRequest>>, PageError> {
        let may_leave = |part: &&mut CollectionPart| room == Room::Open || part.emission == Emission::Told;
        if let Some(current) = self.parts.list.iter_mut().filter(may_leave).find_map(|part| part.current(page)) {
            return Ok(Some(current));
        }
        if room == Room::Full {
            return Ok(None);
        }
        if let Some(splitter) = &mut self.parts.splitter {
            splitter.seen(&self.parts.list);
            if let Some(probe) = splitter.probe(page)? {
                return Ok(Some(probe));
            }
            if self.start == Start::Beginning
                && let Some((owner, cut)) = splitter.split(&mut self.parts.list)
            {
                self.parts.begin_cut(owner + 1, cut, self.width)?;
                return Ok(self.parts.list[owner + 1].current(page));
            }
        }
        if self.parts.begin_queued(self.width)? {
            return Ok(self.parts.list.last_mut().and_then(|part| part.current(page)));
        }
        let may_guess =
            |part: &&mut CollectionPart| part.in_flight() < part.walk.forecast().most_in_flight(self.guesses);
        Ok(self.parts.list.iter_mut().filter(may_guess).find_map(|part| part.ahead(page)))
    }

    pub fn standing(&self, page: PageId) -> PageStanding {
        if self.parts.splitter.as_ref().is_some_and(|splitter| splitter.is_probe(page)) {
            // A probe belongs to no part; the last part is the one whose bound it looks for.
            return self.parts.list.last().map_or(PageStanding::Unwanted, |part| PageStanding::Current(part.id));
        }
        let place = |part: &CollectionPart| part.place_of(page).map(|place| (part.id, place));
        match self.parts.list.iter().find_map(place) {
            Some((part, PlaceInPart::Current)) => PageStanding::Current(part),
            Some((_, PlaceInPart::Ahead)) => PageStanding::Ahead,
            None => PageStanding::Unwanted,
        }
    }

    /// Notes what has been read of a page, from which the pages behind it are guessed.
    pub fn note(&mut self, page: PageId, news: PageNews<'_>) {
        if let Some(part) = self.parts.list.iter_mut().find(|part| part.place_of(page).is_some()) {
            part.note(page, news);
        }
    }

    /// Takes an event of a current page, and returns the records that may leave now. An error says why no more of its
    /// records can be trusted; a refusal is none where it is how the part ends, or where a smaller page is ordered instead.
    pub fn accept(&mut self, page: PageId, event: CurrentPageEvent<'_>) -> Result<ReleasedRecords, PageError> {
        let is_whole = matches!(event, CurrentPageEvent::Whole(..));
        let part = match self.receiver(page) {
            Receiver::Probe(splitter) => return splitter.accept(event).map(|()| ReleasedRecords::default()),
            Receiver::Current(part) => part,
            Receiver::None => return Ok(ReleasedRecords::default()),
        };
        let (accepted, part) = (part.accept(event), part.id);
        // Parts that start alike have the same records: that says more than the double.
        if matches!(accepted, Ok(_) | Err(PageError::DoubleInParts { .. })) {
            self.parts.check_twin(part)?;
        }
        let released = accepted?;
        if is_whole {
            self.parts.check(part)?;
        }
        Ok(released)
    }

    /// Gives up a current page. Returns true if the plan does without it: it orders a smaller one, or the page was a probe.
    pub fn gave_up(&mut self, page: PageId, overload: Overload) -> bool {
        match self.receiver(page) {
            Receiver::Probe(splitter) => {
                splitter.give_up();
                true
            }
            Receiver::Current(part) => part.gave_up(overload),
            Receiver::None => false,
        }
    }

    fn receiver(&mut self, page: PageId) -> Receiver<'_> {
        match self.parts.splitter.as_mut().filter(|splitter| splitter.is_probe(page)) {
            Some(splitter) => Receiver::Probe(splitter),
            None => {
                let is_current = |part: &&mut CollectionPart| part.place_of(page) == Some(PlaceInPart::Current);
                self.parts.list.iter_mut().find(is_current).map_or(Receiver::None, Receiver::Current)
            }
        }
    }

    fn owner(&self, page: PageId) -> Option<&CollectionPart> {
        self.parts.list.iter().find(|part| part.place_of(page).is_some())
    }

    /// Answers, beside the page itself, that the plan can do with.
    pub fn traits_of(&self, page: PageId) -> PageTraits {
        let owner = self.owner(page);
        let may_halve = owner.is_some_and(|part| part.walk.may_halve());
        let is_led_to = owner.is_some_and(|part| part.is_led_to(page));
        let moves_on = is_led_to && owner.is_some_and(|part| part.walk.pagination.is_sent_once());
        let is_first =
            owner.is_some_and(|part| part.walk.pages() == 0 && part.place_of(page) == Some(PlaceInPart::Current));
        PageTraits {
            halvable: if may_halve { Halvable::Yes } else { Halvable::No },
            no_content: if is_led_to { NoContent::NotYet } else { NoContent::Page },
            place: if is_first { PagePlace::First } else { PagePlace::Later },
            resend: if moves_on { Resend::Unserved } else { Resend::Allowed },
            wait: owner.map(|part| part.walk.trail.wait()).unwrap_or_default(),
        }
    }

    /// Sets the largest number of pages in flight.
    pub fn widen(&mut self, width: usize) {
        self.width = width.max(1);
        self.parts.list.iter_mut().for_each(|part| part.widen(width));
    }

    pub fn name_of(&self, page: PageId) -> PageName {
        let owner = self.owner(page);
        let part = owner.filter(|_| self.parts.are_several()).map(|part| part.id);
        PageName { number: owner.map(|part| part.walk.pages() + 1), part }
    }

    /// Number of pages that came.
    pub fn pages(&self) -> u64 {
        self.parts.pages()
    }

    /// Returns true if the first request names a page behind the collection's beginning.
    pub fn starts_midway(&self) -> bool {
        self.start == Start::Midway
    }

    /// The upstream's own total, as far as it is known.
    pub fn total(&self) -> Option<u64> {
        self.parts.list.first().and_then(|part| part.walk.total())
    }

    /// Total in a page that is still arriving.
    pub fn total_in(&self, head: &Head, fields: &PageFields) -> Option<u64> {
        self.parts.list.first().and_then(|part| part.walk.total_in(head, fields))
    }

    /// Number of the earlier page whose records the current one repeats, as far as it has come.
    pub fn repeats(&self) -> Option<u64> {
        self.parts.list.first().and_then(|part| part.walk.repeats())
    }
}
