//! Transitions of a walk: to the next page, to the end, to another page size, and from a checkpoint.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::Walk;
use crate::pagination::end_settings::{End, SameToken};
use crate::pagination::error::PageError;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::checkpoint::{Checkpoint, WalkLead};
use crate::pagination::plan::end::{EndRules, PageLead, PageLength, WholePage, refusal};
use crate::pagination::plan::events::PageSoFar;
use crate::pagination::plan::forecast::Forecast;
use crate::pagination::plan::page_accounts::ArrivedPage;
use crate::pagination::plan::page_size::SizeChange;
use crate::pagination::plan::walk_state::{Aim, WalkState};
use crate::pagination::proof::Proof;
use crate::pagination::request::PageRequest;
use crate::pagination::styles::{Address, PageAnswer, StyleEnd};

impl Walk {
    /// Takes a refusal of the page that was asked for; `Ok` where that is how the collection ends.
    pub fn refused(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), PageError> {
        if status == StatusCode::PRECONDITION_FAILED && self.has_condition() {
            return Err(PageError::CollectionChanged);
        }
        match self.end_rules().by_refusal(status, headers, self.state.aim())? {
            None => Err(refusal(status, headers, body)),
            // A page that was there a moment ago is not past the last.
            Some(_) if self.release.has_begun() => Err(PageError::Gone(status)),
            Some(_) if self.restore() => Ok(()),
            Some(proof) => {
                if let Proof::Total(total) = proof {
                    let shrank = self.progress.note_total(total);
                    self.check_shrunk(shrank)?;
                }
                self.finish(proof)
            }
        }
    }

    /// Moves behind a page that is good: Asked ⇒ Ask, or Asked ⇒ Done.
    pub(super) fn advance(
        &mut self,
        head: &Head,
        page: &Page,
        early: Option<Arc<PageRequest>>,
        length: PageLength,
        aim: Aim,
    ) -> Result<(), PageError> {
        if let Aim::Confirm(proof) = aim {
            return self.finish(proof);
        }
        let more = self.pagination.more.as_ref().map_or(Ok(None), |more| more.read(&page.fields))?;
        if more.is_some() {
            self.progress.note_flag();
        }
        let new = self.release.new_records();
        if new == 0 && self.restore() {
            return Ok(());
        }
        let style_end = self.pagination.style.rules().end(self.answer(head, &page.fields))?;
        if let StyleEnd::Range { total: Some(total), .. } = style_end {
            let shrank = self.progress.note_total(total);
            self.check_shrunk(shrank)?;
        }
        let whole = WholePage { answer: self.answer(head, &page.fields), page, early, new, length, more };
        match self.end_rules().lead(whole, style_end)? {
            PageLead::Next(next, aim) => self.ask(next, aim),
            PageLead::End(proof) => {
                self.check_words(head, page, self.pages() == 1)?;
                self.finish(proof)
            }
        }
    }

    /// Takes a page with the records of an earlier one.
    pub(super) fn end_by_repetition(&mut self, earlier: u64, aim: Aim) -> Result<(), PageError> {
        match aim {
            // The page that leads to itself.
            Aim::Confirm(proof @ Proof::SameToken) if earlier == self.pages() => self.finish(proof),
            // An upstream that clamps page numbers gives the last page once more, and one that wraps them the first. Where only one
            // page came before, it may as well be one that ignores the number.
            Aim::Confirm(proof) if proof != Proof::SameToken && (self.pages() > 1 || self.progress.counts_agree()) => {
                self.finish(proof)
            }
            _ => Err(PageError::Repeat(earlier)),
        }
    }

    /// Reason for which a whole page can't be one of the collection, though its answer is a page.
    pub(super) fn doubt(&mut self, head: &Head, page: &Page, records: u64) -> Result<Option<PageError>, PageError> {
        if records > 0 || self.pages() == 0 || matches!(self.state.aim(), Some(Aim::Confirm(_))) {
            return Ok(None);
        }
        if let Err(failed) = self.check_words(head, page, false) {
            return Ok(Some(failed));
        }
        let is_gap = self.end_rules().is_gap(self.answer(head, &page.fields), page)?;
        Ok(is_gap.then_some(PageError::NullRecords))
    }

    /// Checks what a page that may be the end says of itself.
    fn check_words(&mut self, head: &Head, page: &Page, is_first: bool) -> Result<(), PageError> {
        let asked = &self.addresses.origin().url;
        let page = ArrivedPage { head, page, records: self.release.page().records(), asked };
        self.accounts.check_words(&self.pagination, page, is_first)
    }

    /// Asked ⇒ Done, unless what came contradicts the upstream's own numbers.
    fn finish(&mut self, proof: Proof) -> Result<(), PageError> {
        self.end_rules().check()?;
        if !self.addresses.is_midway() {
            let (asked, records) = (&self.addresses.origin().url, self.progress.records());
            self.accounts.check_counts(&self.pagination, asked, records)?;
        }
        self.state = WalkState::Done(proof);
        Ok(())
    }

    fn end_rules(&self) -> EndRules<'_> {
        let Self { pagination, addresses, page_size, progress, .. } = self;
        EndRules { pagination, addresses, page_size, progress }
    }

    pub(in crate::pagination::plan) fn forecast(&self) -> Forecast<'_> {
        let Self { pagination, caps, state, addresses, page_size, progress, .. } = self;
        Forecast { pagination, caps, state, addresses, page_size, progress }
    }

    /// ⇒ Ask, unless a cap or a cycle is in the way.
    pub(super) fn ask(&mut self, mut next: Address, aim: Aim) -> Result<(), PageError> {
        self.pinned.apply(&mut next.request)?;
        let limits = &self.pagination.limits;
        self.progress.check_limits(limits, &self.caps)?;
        let counts_records = self.pagination.style.counts_records();
        if let Some(value) = limits.max_offset.filter(|limit| counts_records && next.number > *limit) {
            return Err(PageError::Limit { name: "max_offset", value });
        }
        self.progress.check_empty_pages(&self.caps)?;
        let identity = self.identity_of(&next.request);
        if matches!(self.state, WalkState::Asked(..)) && self.identity == identity {
            return match self.pagination.same_token {
                SameToken::End if self.release.new_records() == 0 => self.finish(Proof::SameToken),
                // A last page that leads to itself comes once more; behind a handle, for which the upstream keeps the place, other
                // records do.
                SameToken::End => {
                    self.state = WalkState::Ask(next.request, Aim::Confirm(Proof::SameToken));
                    Ok(())
                }
                SameToken::Error => Err(self.pagination.style.rules().repetition()),
            };
        }
        self.progress.add_request(identity).map_err(PageError::AddressRepeats)?;
        if let WalkState::Asked(request, _) = &self.state {
            self.addresses.note_lead(request, &next.request, self.release.page().records());
            self.release.set_numbered(self.addresses.is_numbered());
            self.addresses.advance_to(next.number);
        } else {
            self.addresses.start_at(next.number);
        }
        (self.state, self.identity) = (WalkState::Ask(next.request, aim), identity);
        self.page_size.went_well();
        Ok(())
    }

    /// Identity of a request; one for the same place in another size has the same.
    fn identity_of(&self, request: &PageRequest) -> u64 {
        self.addresses.delta(self.page_size.with_size(request, 0).as_ref().unwrap_or(request)).identity()
    }

    /// Request that the page will most likely lead to, where pages point to each other. A hint: [`Walk::step`] decides.
    pub fn early(&self, page: PageSoFar<'_>) -> Option<Arc<PageRequest>> {
        let goes_on = match &self.pagination.more {
            Some(more) => page.fields.get(&more.path).is_some() && more.read(page.fields).ok()? == Some(true),
            None => true,
        };
        let may_be_last = self.pagination.end == End::EmptyPage && page.records == 0;
        let needs_first_page = self.pages() == 0 && self.pinned.needs_first_page();
        if needs_first_page || !goes_on || may_be_last {
            return None;
        }
        let answer = PageAnswer { records: page.records, ..self.answer(page.head, page.fields) };
        let mut next = self.addresses.early(self.page_size.size(), answer)?;
        self.pinned.apply(&mut next).ok()?;
        (!self.progress.knows_request(self.identity_of(&next))).then_some(next)
    }

    /// Returns true if the current page, and those behind it, could be asked for with half as many records.
    pub(in crate::pagination::plan) fn may_halve(&self) -> bool {
        self.page_size.half().is_some()
    }

    /// Asks for the current page with half as many records, and for those behind it: Asked ⇒ Ask. Returns false if it can't.
    pub(in crate::pagination::plan) fn halve(&mut self) -> bool {
        // A later attempt must not make another page of one that has begun.
        let half = self.page_size.half().filter(|_| !self.release.has_begun());
        let is_smaller = half.is_some_and(|half| self.resize(half, SizeChange::Halved));
        if is_smaller {
            self.progress.forget_page_size();
        }
        is_smaller
    }

    /// Asks for the next page with twice as many records, where enough smaller ones have come; it must not be in flight.
    pub(in crate::pagination::plan) fn grow(&mut self) {
        if matches!(self.state, WalkState::Ask(_, Aim::Records))
            && let Some(size) = self.page_size.double()
        {
            self.resize(size, SizeChange::Doubled);
        }
    }

    /// Asks for a place where a smaller page had no records in the size of the beginning: Asked ⇒ Ask. Returns false if the page had
    /// that size.
    ///
    /// An upstream that rounds a size down to 0, or filters a page after cutting it, has no records for a small page and some for a
    /// large one.
    pub(super) fn restore(&mut self) -> bool {
        let whole = self.page_size.whole().filter(|_| matches!(self.state, WalkState::Asked(_, Aim::Records)));
        whole.is_some_and(|whole| self.resize(whole, SizeChange::Restored))
    }

    fn resize(&mut self, size: u64, change: SizeChange) -> bool {
        let (WalkState::Asked(request, aim) | WalkState::Ask(request, aim)) = &self.state else { return false };
        let resized = (self.page_size.with_size(request, size), self.page_size.with_size(self.addresses.first(), size));
        let (Some(request), Some(first)) = resized else { return false };
        self.state = WalkState::Ask(Arc::new(request), *aim);
        self.addresses.set_first(Arc::new(first));
        self.addresses.forget_stride();
        self.page_size.change_to(size, change);
        true
    }

    /// Returns the state right after [`Walk::arrived`].
    pub fn checkpoint(&self) -> Checkpoint {
        let leads = match &self.state {
            WalkState::Ask(request, aim) | WalkState::Asked(request, aim) => {
                WalkLead::On { request: self.addresses.delta(request), aim: *aim }
            }
            WalkState::Done(proof) => WalkLead::Over(*proof),
        };
        Checkpoint {
            leads,
            progress: self.progress.counts(),
            number: self.addresses.number(),
            stride: self.addresses.stride(),
            numbered: self.pagination.style.is_pointed() && self.addresses.is_numbered(),
            size: self.page_size.size(),
            resized: self.page_size.resized(),
            account: if self.pages() == 1 { self.accounts.first(&self.addresses.origin().url) } else { None },
            pins: self.pinned.pins().filter(|_| self.pages() == 1),
        }
    }

    /// Resumes behind the pages of these checkpoints, of which `last` is the last record: new ⇒ Ask or Done.
    pub fn resume(
        &mut self,
        past: impl IntoIterator<Item = Checkpoint>,
        last: Option<Vec<u8>>,
    ) -> Result<(), PageError> {
        let mut leads = None;
        for checkpoint in past {
            self.progress.fold(&checkpoint.progress)?;
            self.addresses.resume(checkpoint.number, checkpoint.stride, checkpoint.numbered);
            self.page_size.resume(checkpoint.size, checkpoint.resized);
            if let Some(account) = checkpoint.account {
                self.accounts.resume(account);
            }
            if let Some(pins) = checkpoint.pins {
                self.pinned.resume(pins);
            }
            leads = Some(checkpoint.leads);
        }
        if last.is_some() != (self.progress.records() > 0) {
            let what = "it tells of records that are not there, or of none that are";
            return Err(PageError::BadCheckpoint(what.to_owned()));
        }
        if let (true, Some(size)) = (self.page_size.is_resized(), self.page_size.size()) {
            let unfit = || PageError::BadCheckpoint("the collection's pages can't be of another size".to_owned());
            let first = self.page_size.with_size(self.addresses.origin(), size).ok_or_else(unfit)?;
            self.addresses.set_first(Arc::new(first));
        }
        self.pin_first()?;
        match leads {
            Some(WalkLead::On { request, aim }) => {
                let request = Arc::new(request.applied(self.addresses.origin())?);
                self.identity = self.identity_of(&request);
                self.state = WalkState::Ask(request, aim);
            }
            Some(WalkLead::Over(proof)) => self.state = WalkState::Done(proof),
            None => {}
        }
        self.release.set_numbered(self.addresses.is_numbered());
        self.release.resume(last, self.progress.pages());
        Ok(())
    }
}
