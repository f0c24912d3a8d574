//! Transitions of a walk: to the next page, to the end, to another page size, and from a checkpoint.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::Walk;
use super::keyset::KeysetWalk;
use super::overlapping::OverlappingWalk;
use super::page_words::PageWords;
use crate::pagination::end_settings::SameToken;
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::adaptive_page_size::Resizing;
use crate::pagination::plan::checkpoint::{Checkpoint, NotedParts, ResumedParts, WalkLead};
use crate::pagination::plan::confirmation::Refusal;
use crate::pagination::plan::end::{EndRules, PageLead, PageLength, WholePage};
use crate::pagination::plan::envelope_check::JudgedPage;
use crate::pagination::plan::events::PageSoFar;
use crate::pagination::plan::forecast::Forecast;
use crate::pagination::plan::key_trail::Conclusion;
use crate::pagination::plan::observed_overlap::PageStart;
use crate::pagination::plan::settling_tail::SettlingTail;
use crate::pagination::plan::walk_state::{Aim, WalkState};
use crate::pagination::proof::Proof;
use crate::pagination::request::PageRequest;
use crate::pagination::styles::{Address, StyleEnd};

impl Walk {
    /// Takes a refusal of the page that was asked for; `Ok` where that is how the collection ends.
    pub fn refused(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), PageError> {
        if status == StatusCode::PRECONDITION_FAILED && self.pinned.has_condition() {
            return Err(PageError::CollectionChanged);
        }
        if matches!(status.as_u16(), 404 | 410) && self.pages() > 0 && self.pagination.opened_state().is_some() {
            return Err(PageError::StateGone(status));
        }
        match self.end_rules().by_refusal(Refusal { status, headers, body }, self.state.aim())? {
            None if matches!(status.as_u16(), 400 | 422) && self.overlap.may_be_unaligned() => {
                let shared = self.overlap.give_up_sharing();
                OverlappingWalk(self).ask_after(shared)
            }
            None if self.overlap.is_beyond() && matches!(status.as_u16(), 400 | 404 | 410 | 416 | 422) => {
                OverlappingWalk(self).refused_beyond(status)
            }
            None if self.page_start() == PageStart::Shared && self.overlap.is_active() => {
                Err(PageError::SharedRefused { status, excerpt: excerpt(&String::from_utf8_lossy(body)) })
            }
            None if matches!(self.state.aim(), Some(Aim::Confirm(Proof::NamedPageEmpty))) => {
                Err(PageError::NotTheLast(format!("the page behind it is refused with status {}", status.as_u16())))
            }
            None if !self.release.has_begun() && matches!(status.as_u16(), 400 | 404 | 410 | 422) => {
                KeysetWalk(self).hold(Err(PageError::of_refusal(status, headers, body)))
            }
            None => Err(PageError::of_refusal(status, headers, body)),
            // A page that was there a moment ago is not past the last, nor one that should begin with a known record.
            Some(_) if self.release.has_begun() => Err(PageError::Gone(status)),
            Some(_) if OverlappingWalk(self).step_back()? => Ok(()),
            Some(_) if self.resizing().restore() => Ok(()),
            Some(proof) => {
                self.pinned.check(headers)?;
                if let Proof::Total(total) = proof {
                    let shrank = self.progress.note_total(total);
                    self.check_shrunk(shrank)?;
                }
                KeysetWalk(self).hold(Ok(proof))
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
        let records = self.release.page().records();
        if let Aim::Confirm(proof) = aim
            && (!self.overlap.is_active() || records == 0 || self.overlap.has_ended())
        {
            match proof {
                Proof::EmptyPage | Proof::NamedPageEmpty => PageWords(self).check(head, page, JudgedPage::Last)?,
                _ => PageWords(self).check_confirming(head, page)?,
            }
            return KeysetWalk(self).hold(Ok(proof));
        }
        let more = self.pagination.more.as_ref().map_or(Ok(None), |more| more.read(&page.fields))?;
        if more.is_some() {
            self.progress.note_flag();
        }
        // A page of records that are all known is no empty one.
        let mut new = if self.overlap.drift().is_some() { records } else { self.release.new_records() };
        let came = if self.trail.is_back() { records } else { new };
        if came == 0 && self.resizing().restore() {
            return Ok(());
        }
        let is_first = self.progress.opening() == Some(self.release.page().start());
        match self.trail.conclude(records, new, length, is_first) {
            Conclusion::Ordinary => {}
            Conclusion::GoesOn => new = records,
            // The page says itself that the held end is none. More may follow behind its last record, if the upstream finds that.
            Conclusion::Proven(_) if more == Some(true) && self.trail.refutes_anew() => new = records,
            Conclusion::Proven(_) if more == Some(true) => return Err(self.end_rules().more_without_next()),
            Conclusion::Proven(proof) => return self.finish(proof),
            Conclusion::Refuted(error) => return Err(error),
            Conclusion::Absent => return KeysetWalk(self).hold(Ok(Proof::EmptyPage)),
        }
        if self.trail.reads_again() {
            return KeysetWalk(self).read_on(records, length, more);
        }
        // The first page may be short of what the upstream ever gives, so that it proves nothing.
        let is_short =
            length == PageLength::Short || self.pages() == 1 && records > 1 && self.page_size.is_above(records);
        let may_be_last = is_short && more.is_none() && self.progress.total().is_none();
        let style_end = self.pagination.style.rules().end(self.answer(head, &page.fields))?;
        if let StyleEnd::Range { total: Some(total), .. } = style_end {
            let shrank = self.progress.note_total(total);
            self.check_shrunk(shrank)?;
        }
        let asked = self.asked().or(self.page_size.size());
        let whole = WholePage { answer: self.answer(head, &page.fields), page, early, new, length, asked, more };
        match self.end_rules().lead(whole, style_end)? {
            PageLead::Next(_, Aim::Records) if may_be_last && self.trail.overlap() => KeysetWalk(self).ask_behind(),
            PageLead::Next(next, aim) => self.ask(next, aim),
            PageLead::End(proof) => {
                let place = if self.pages() == 1 { JudgedPage::Only } else { JudgedPage::Last };
                PageWords(self).check(head, page, place)?;
                KeysetWalk(self).end(proof, records, asked)
            }
        }
    }

    /// Takes a page whose records must be new, or one that shares some with those before it. Returns false where nothing of it is used.
    pub(super) fn take(&mut self, aim: Aim, new: u64) -> Result<bool, PageError> {
        if self.overlap.is_active() {
            return OverlappingWalk(self).take(aim);
        }
        let starts_again = self.progress.started(self.release.page().start());
        if !matches!(aim, Aim::Confirm(_)) && self.trail.keeps_keys() {
            let restart = starts_again.filter(|_| new > 0 && !self.trail.knows_first());
            if let Some(earlier) = restart.or(self.trail.is_apart().then_some(1)) {
                let repeated = self.pagination.style.repeated(earlier);
                return KeysetWalk(self).hold(Err(repeated)).map(|()| false);
            }
            if self.trail.is_back() || self.trail.reads_again() {
                return Ok(true);
            }
        }
        if let Some(earlier) = self.repeats() {
            let proof = self.end_rules().by_repetition(earlier, aim)?;
            return self.finish(proof).map(|()| false);
        }
        if let (Aim::Confirm(proof), 1..) = (aim, new) {
            return Err(self.end_rules().refuted(proof, new));
        }
        let suspects = new > 0 && self.page_size.suspects_repetition(self.pagination.key.is_some());
        starts_again.filter(|_| suspects).map_or(Ok(true), |earlier| Err(self.pagination.style.repeated(earlier)))
    }

    /// Number of records that the current page was asked for, where its place depends on it.
    pub(super) fn asked(&self) -> Option<u64> {
        self.state.request().and_then(|request| self.addresses.asked(request))
    }

    pub(super) fn page_start(&self) -> PageStart {
        PageStart::of(self.state.aim(), self.addresses.before(), self.overlap.shared())
    }

    /// Returns true if a removed record moves others past the pages unseen.
    pub(super) fn moves_unseen(&self) -> bool {
        self.addresses.is_numbered() && !self.overlap.is_active()
    }

    /// Asked ⇒ Done, unless what came contradicts the upstream's own numbers, or Asked ⇒ Ask for a look behind the end.
    pub(super) fn finish(&mut self, proof: Proof) -> Result<(), PageError> {
        if self.progress.totals().own().is_none() && self.overlap.may_be_cut(proof) {
            return OverlappingWalk(self).look_beyond();
        }
        if let Some(first) = self.trail.tail().and_then(SettlingTail::end) {
            self.state = WalkState::Done(first);
            return Ok(());
        }
        self.end_rules().check()?;
        PageWords(self).check_counts()?;
        if self.trail.read_again(proof)? {
            return KeysetWalk(self).ask_behind();
        }
        self.state = WalkState::Done(proof);
        Ok(())
    }

    pub(super) fn end_rules(&self) -> EndRules<'_> {
        let Self { pagination, addresses, page_size, progress, overlap, .. } = self;
        EndRules { pagination, addresses, page_size, progress, overlap }
    }

    pub(in crate::pagination::plan) fn forecast(&self) -> Forecast<'_> {
        let Self { pagination, caps, state, addresses, page_size, progress, pinned, overlap, .. } = self;
        Forecast { pagination, caps, state, addresses, page_size, progress, pinned, overlap }
    }

    /// Notes a page that came with `records` and is not used.
    pub(in crate::pagination::plan) fn note_unused(&mut self, number: u64, records: u64) {
        self.overlap.note_unused(self.addresses.reach(number, records));
    }

    /// Request that the page will most likely lead to, where pages point to each other. A hint: [`Walk::step`] decides.
    pub fn early(&self, page: PageSoFar<'_>) -> Option<Arc<PageRequest>> {
        self.forecast().early(page)
    }

    /// ⇒ Ask, unless a cap or a cycle is in the way.
    pub(super) fn ask(&mut self, mut next: Address, aim: Aim) -> Result<(), PageError> {
        if self.pages() > 0 {
            self.pinned.check_named()?;
        }
        self.pinned.apply(&mut next.request)?;
        let limits = &self.pagination.limits;
        self.progress.check_limits(limits, &self.caps)?;
        let counts_records = self.pagination.style.counts_records();
        if let Some(value) = limits.max_offset.filter(|limit| counts_records && next.number > *limit) {
            return Err(PageError::Limit { name: "max_offset", value });
        }
        self.progress.check_empty_pages(&self.caps)?;
        let identity = self.addresses.identity(&self.page_size, &next.request);
        // An overlapping walk goes back and comes again, as often as its repairs allow.
        let comes_once = self.overlap.drift().is_none() && !self.trail.has_stepped();
        let is_same = comes_once && matches!(self.state, WalkState::Asked(..)) && self.identity == identity;
        match self.pagination.same_token {
            _ if !is_same => {}
            SameToken::End if self.release.new_records() == 0 => return self.finish(Proof::SameToken),
            // A last page that leads to itself comes once more; behind a handle other records do.
            SameToken::End => {
                self.state = WalkState::Ask(next.request, Aim::Confirm(Proof::SameToken));
                return Ok(());
            }
            SameToken::Again => {}
            SameToken::Error => return Err(self.pagination.style.rules().repetition()),
        }
        let known = self.progress.add_request(identity).map_err(PageError::AddressRepeats);
        known.or_else(|repeats| if comes_once && !is_same { Err(repeats) } else { Ok(()) })?;
        if let WalkState::Asked(request, _) = &self.state {
            let records = self.release.page().records();
            let shared = (self.addresses.number() + records).saturating_sub(next.number);
            self.overlap.expect(aim, shared, records, self.progress.longest());
            self.addresses.note_lead(request, &next.request, records);
            self.release.set_numbered(self.addresses.is_numbered());
            self.addresses.advance_to(next.number);
        } else {
            self.addresses.start_at(next.number);
        }
        (self.state, self.identity) = (WalkState::Ask(next.request, aim), identity);
        self.page_size.went_well();
        Ok(())
    }

    pub(in crate::pagination::plan) fn resizing(&mut self) -> Resizing<'_> {
        let has_begun = self.release.has_begun();
        let Self { page_size, state, addresses, progress, .. } = self;
        Resizing { page_size, state, addresses, progress, has_begun }
    }

    /// Returns the state right after [`Walk::arrived`].
    pub fn checkpoint(&self) -> Checkpoint {
        let Self { pagination, state, progress, addresses, page_size, pinned, overlap, envelopes, trail, .. } = self;
        NotedParts { pagination, state, progress, addresses, page_size, pinned, overlap, envelopes, trail }.checkpoint()
    }

    /// Resumes behind the pages of these checkpoints, of which `last` is the last record: new ⇒ Ask or Done.
    pub fn resume(
        &mut self,
        past: impl IntoIterator<Item = Checkpoint>,
        last: Option<Vec<u8>>,
    ) -> Result<(), PageError> {
        let Self { progress, addresses, page_size, pinned, overlap, envelopes, trail, .. } = self;
        let mut parts = ResumedParts { progress, addresses, page_size, pinned, overlap, envelopes, trail };
        let leads = past.into_iter().try_fold(None, |_, checkpoint| parts.fold(checkpoint).map(Some))?;
        parts.check(last.is_some())?;
        self.pin_first()?;
        match leads {
            Some(WalkLead::On { request, aim }) => {
                let request = Arc::new(request.applied(self.addresses.origin())?);
                self.identity = self.addresses.identity(&self.page_size, &request);
                self.state = WalkState::Ask(request, aim);
            }
            Some(WalkLead::Over(proof)) => self.state = WalkState::Done(proof),
            None => {}
        }
        self.release.set_numbered(self.addresses.is_numbered());
        self.release.resume(last);
        Ok(())
    }
}
