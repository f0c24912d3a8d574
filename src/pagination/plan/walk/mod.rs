//! Walk through one part of a collection, page by page: each answer is proven against the ones before it.
//!
//! The walk owns the order of events; each part has its state in its own file, and is asked in [`Walk::records`] and [`Walk::arrived`].

mod keyset;
mod overlapping;
mod page_words;
mod transitions;

use std::sync::Arc;

use http::StatusCode;

use super::adaptive_page_size::PageSizing;
use super::addresses::Addresses;
use super::consistency::EndedWalk;
use super::end::PageLength;
use super::envelope_check::{ArrivedPage, EnvelopeCheck};
use super::key_trail::KeyTrail;
use super::notice::PlanNotice;
use super::page_overlap::PageOverlap;
use super::pinned_state::PinnedState;
use super::progress::WalkProgress;
use super::release::{RecordRelease, ReleasePolicy};
use super::walk_state::{Aim, WalkState, WalkStep};
use crate::batch::Batch;
use crate::caps::Caps;
use crate::pagination::error::PageError;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::proof::Proof;
use crate::pagination::request::PageRequest;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::PageAnswer;
use crate::pagination::verdict::ProvenEnd;
use overlapping::OverlappingWalk;
use page_words::PageWords;

/// State machine of one part of a crawl.
#[derive(Debug)]
pub struct Walk {
    pub(in crate::pagination::plan) pagination: Arc<Pagination>,
    caps: Caps,
    state: WalkState,
    /// Identity of the state's request.
    identity: u64,
    addresses: Addresses,
    pub(in crate::pagination::plan) progress: WalkProgress,
    pub(in crate::pagination::plan) release: RecordRelease,
    page_size: PageSizing,
    pub(in crate::pagination::plan) pinned: PinnedState,
    envelopes: EnvelopeCheck,
    overlap: PageOverlap,
    pub(in crate::pagination::plan) trail: KeyTrail,
}

impl Walk {
    /// Starts with `first`, to which the page size and the first number are added.
    pub fn new(
        pagination: Arc<Pagination>,
        caps: Caps,
        guard: LinkGuard,
        first: PageRequest,
    ) -> Result<Self, PageError> {
        let first = pagination.sized(first)?;
        let page_size = PageSizing::new(&pagination, &first)?;
        let mut walk = Self {
            overlap: PageOverlap::new(&pagination, caps.window_bytes),
            trail: KeyTrail::new(&pagination),
            release: RecordRelease::new(&pagination, caps.whole_page_bytes()),
            caps,
            pinned: PinnedState::new(&pagination, &first),
            addresses: Addresses::new(Arc::clone(&pagination), guard, first.clone(), page_size.size()),
            page_size,
            state: WalkState::Ask(Arc::new(first), Aim::Records),
            identity: 0,
            progress: WalkProgress::default(),
            envelopes: EnvelopeCheck::default(),
            pagination,
        };
        let opening = walk.addresses.open(walk.page_size.size())?;
        walk.ask(opening, Aim::Records)?;
        Ok(walk)
    }

    pub fn step(&mut self) -> WalkStep {
        match &self.state {
            // Ask ⇒ Asked, and Asked ⇒ Asked: an answer that was never reported is asked for once more
            WalkState::Ask(request, aim) | WalkState::Asked(request, aim) => {
                let (request, aim) = (Arc::clone(request), *aim);
                self.release.start_page();
                self.overlap.start_page();
                self.trail.start_page();
                self.state = WalkState::Asked(Arc::clone(&request), aim);
                WalkStep::Fetch(request)
            }
            WalkState::Done(proof) => WalkStep::Done(*proof),
        }
    }

    pub(in crate::pagination::plan) fn next(&self) -> Option<&PageRequest> {
        match &self.state {
            WalkState::Ask(request, _) => Some(request),
            WalkState::Asked(..) | WalkState::Done(_) => None,
        }
    }

    /// Returns true if the next request is for the page that has just come.
    pub(in crate::pagination::plan) fn asks_again(&self) -> bool {
        matches!(self.state, WalkState::Ask(_, Aim::Again))
    }

    pub(in crate::pagination::plan) fn proof(&self) -> Option<Proof> {
        match &self.state {
            WalkState::Done(proof) => Some(*proof),
            WalkState::Ask(..) | WalkState::Asked(..) => None,
        }
    }

    /// End of the walk, if it has one, with what its pages say of their consistency.
    pub(in crate::pagination::plan) fn ending(&self) -> Option<ProvenEnd> {
        let proof = self.proof()?;
        let Self { pagination, progress, pinned, addresses, .. } = self;
        let (reach, drift) = (self.overlap.reach(), self.overlap.drift().or_else(|| self.trail.drift()));
        let drift = drift.map(|drift| drift.held_to(progress, reach));
        Some(self.trail.told_in(EndedWalk { pagination, progress, pinned, drift, reach, addresses }.ending(proof)))
    }

    pub(in crate::pagination::plan) fn notice(&self) -> Option<PlanNotice> {
        PlanNotice::of(&self.pagination, &self.pinned, self.addresses.lost(), &self.progress)
    }

    pub fn pages(&self) -> u64 {
        self.progress.pages()
    }

    pub fn starts_midway(&self) -> bool {
        self.addresses.is_midway()
    }

    /// Notes that the walk has, by intent, only what follows a record. Nothing has been asked for yet.
    pub(in crate::pagination::plan) fn begin_midway(&mut self) {
        self.addresses.begin_midway();
    }

    /// Returns true if pages lead to each other, and one without content (204) is not how they end.
    pub(in crate::pagination::plan) fn is_led(&self) -> bool {
        self.pagination.style.is_pointed() && !self.pagination.end.is_by(StatusCode::NO_CONTENT)
    }

    pub fn total(&self) -> Option<u64> {
        self.progress.total()
    }

    /// Total in a page that is still arriving.
    pub fn total_in(&self, head: &Head, fields: &PageFields) -> Option<u64> {
        self.pagination.total_source()?.number(head, fields).ok()?
    }

    /// Number of the earlier page whose records the current one repeats, as far as it has come.
    pub fn repeats(&self) -> Option<u64> {
        self.progress.repeated(self.release.page()).filter(|_| self.release.new_records() > 0)
    }

    /// Returns true if the current page, and those behind it, could be asked for with half as many records.
    pub(in crate::pagination::plan) fn may_halve(&self) -> bool {
        self.page_size.half().is_some()
    }

    pub(in crate::pagination::plan) fn number(&self) -> u64 {
        self.addresses.number()
    }

    pub(in crate::pagination::plan) fn stride(&self) -> Option<u64> {
        self.addresses.stride()
    }

    /// Notes the keys of records that left before the walk was interrupted, in their order.
    pub fn recall(&mut self, records: &Batch) -> Result<(), PageError> {
        self.trail.recall(records)?;
        let records = self.release.recall(records.clone())?;
        self.overlap.recall(&records);
        Ok(())
    }

    pub(in crate::pagination::plan) fn known_bytes(&self) -> usize {
        self.overlap.bytes()
    }

    /// Takes the head of an attempt that brings the page; an error says why none of its records may leave.
    pub fn begun(&mut self, head: &Head) -> Result<(), PageError> {
        self.pagination.check_content(head, self.pages())?;
        self.release.begin();
        self.pinned.check(&head.headers)?;
        let context = self.addresses.context(self.page_size.size());
        self.pagination.style.rules().check_head(context, head, self.progress.pages())
    }

    /// Takes the next records of the page, each once, and returns those that may leave now.
    pub fn records(&mut self, head: &Head, fields: &PageFields, batch: Batch) -> Result<Batch, PageError> {
        self.pinned.check_columns(fields)?;
        if batch.is_empty() {
            return Ok(batch);
        }
        let (batch, is_first) = self.release.add(batch)?;
        let known = OverlappingWalk(self).known(&batch, is_first)?;
        self.release.count_known(known.len());
        if is_first {
            self.release.set_policy(self.policy());
            if self.policy() == ReleasePolicy::Now && self.moves_unseen() {
                self.progress.check_total(&self.pagination, head, fields)?;
            }
        }
        self.release.pass(batch, known)
    }

    /// Takes the rest of the page, and returns its last records and those that waited, as far as they may leave. `early` is what
    /// [`Walk::early`] made of the same answer.
    pub fn arrived(
        &mut self,
        head: &Head,
        mut page: Page,
        early: Option<Arc<PageRequest>>,
    ) -> Result<Vec<Batch>, PageError> {
        PageWords(self).check_array(head, &mut page)?;
        let rest = self.records(head, &page.fields, std::mem::take(&mut page.batch))?;
        self.release.finish_page(page.hash);
        let aim = self.state.aim().unwrap_or(Aim::Records);
        let (records, new) = (self.release.page().records(), self.release.new_records());
        if !self.take(aim, new)? {
            return Ok(Vec::new());
        }
        if let Some(doubt) = PageWords(self).doubt(head, &page, records)? {
            return PageWords(self).ask_again(doubt).map(|()| Vec::new());
        }
        self.release.compare_withheld(self.pages())?;
        self.overlap.settle(self.page_start(), self.addresses.reach(self.number(), records), &self.progress)?;
        self.trail.settle(self.release.page().last_record(), head)?;
        self.read_totals(head, &page.fields, records)?;
        OverlappingWalk(self).look_for_lacks(records);
        let length = if records < OverlappingWalk(self).full_length() { PageLength::Short } else { PageLength::Full };
        self.progress.count(self.release.page(), new, self.release.doubles());
        self.progress.note_page(head, page.holder);
        self.pinned.rename(&page.fields);
        if self.pages() == 1 {
            self.pinned.learn(head, &page.fields, records)?;
            self.pin_first()?;
            self.envelopes.begin(ArrivedPage { head, page: &page, records, asked: self.addresses.origin() });
        }
        let advanced = self.advance(head, &page, early, length, aim);
        advanced.or_else(|refuted| PageWords(self).look_behind(head, &page, refuted))?;
        PageWords(self).check_flag(&page)?;
        self.progress.note_length(records);
        Ok(self.release.end_page(rest))
    }

    /// Policy for the records of a page whose first one has come.
    fn policy(&self) -> ReleasePolicy {
        match self.state {
            _ if self.trail.is_apart() || self.overlap.is_apart(self.page_start()) => ReleasePolicy::AtTheEnd,
            // A page of another size than was asked for is dropped at its end, with all its records.
            _ if self.overlap.may_be_unaligned() && self.asked().is_some() => ReleasePolicy::AtTheEnd,
            _ if self.overlap.is_active() => ReleasePolicy::Now,
            WalkState::Asked(_, Aim::Confirm(_)) => ReleasePolicy::Never,
            _ if self.progress.started(self.release.page().start()).is_some() => ReleasePolicy::AtTheEnd,
            _ if self.page_size.is_uneven() => ReleasePolicy::AtTheEnd,
            _ => ReleasePolicy::Now,
        }
    }

    fn read_totals(&mut self, head: &Head, fields: &PageFields, records: u64) -> Result<(), PageError> {
        let before = self.progress.total();
        // Numbers that came with the end are of its own moment.
        let records = if self.trail.reads_again() { 0 } else { records };
        let counts_pages = !self.page_size.is_resized() && self.overlap.drift().is_none();
        let shrank = self.progress.read_totals(&self.pagination, counts_pages, head, fields, records)?;
        self.check_shrunk(shrank)?;
        let grew = before.is_some() && self.progress.total() > before;
        self.release.check_moved(grew, self.pages())
    }

    /// Refuses a count that shrank, where pages are numbered: the records behind a deleted one moved up, and one was skipped.
    fn check_shrunk(&self, shrank: Option<PageError>) -> Result<(), PageError> {
        shrank.filter(|_| self.moves_unseen()).map_or(Ok(()), Err)
    }

    /// Answer to the current request, for the style.
    fn answer<'a>(&'a self, head: &'a Head, fields: &'a PageFields) -> PageAnswer<'a> {
        let page = self.release.page();
        PageAnswer { head, fields, records: page.records(), last_record: page.last_record() }
    }

    fn pin_first(&mut self) -> Result<(), PageError> {
        let mut first = self.addresses.first().clone();
        self.pinned.apply(&mut first)?;
        self.addresses.set_first(first);
        Ok(())
    }
}
