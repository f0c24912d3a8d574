//! Words of a page about itself: that it failed, that it is partial, or that records are missing.

use std::sync::Arc;

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::Walk;
use crate::pagination::detect::last_place::CrawledExtent;
use crate::pagination::error::PageError;
use crate::pagination::page::{Head, Page};
use crate::pagination::page_envelope::is_hollow;
use crate::pagination::plan::envelope_check::{ArrivedPage, JudgedPage};
use crate::pagination::plan::missing_records::MissingRecords;
use crate::pagination::plan::numbers_in_links::behind;
use crate::pagination::plan::walk_state::{Aim, WalkState};
use crate::pagination::proof::Proof;
use crate::pagination::styles::Address;
use crate::pagination::value_source::Source;

/// Walk that reads what its pages say of themselves.
pub(super) struct PageWords<'a>(pub(super) &'a mut Walk);

impl PageWords<'_> {
    /// Reason for which a whole page can't be one of the collection, though its answer is a page.
    pub(super) fn doubt(&mut self, head: &Head, page: &Page, records: u64) -> Result<Option<PageError>, PageError> {
        self.0.pagination.records.check_last(self.0.release.page().last_record(), records, &page.sketch)?;
        if self.0.pages() == 0 || matches!(self.0.state.aim(), Some(Aim::Confirm(_))) {
            return Ok(None);
        }
        let answer = self.0.answer(head, &page.fields);
        let missing = MissingRecords { rules: self.0.end_rules(), answer, page };
        let is_gap = missing.is_gap()?;
        let leads_on = records == 0 && missing.says_more()? == Some(true);
        // Empty a second time, it is what the upstream has there.
        let is_new = records == 0 && matches!(self.0.state.aim(), Some(Aim::Records));
        let is_hollow = if is_new { missing.is_hollow() } else { Ok(false) };
        if records > 0 {
            // Some of its records may have left.
            return if is_gap { Err(PageError::NullRecords) } else { Ok(None) };
        }
        if head.headers.contains_key(RETRY_AFTER) {
            return Ok(Some(PageError::NotYet));
        }
        if let Err(failed) = self.check(head, page, if leads_on { JudgedPage::LeadsOn } else { JudgedPage::Last }) {
            return Ok(Some(failed));
        }
        if is_gap {
            return Ok(Some(PageError::NullRecords));
        }
        Ok(is_hollow?.then_some(PageError::NotYet))
    }

    /// Refuses a page without the array of its records, unless it is the last one.
    pub(super) fn check_array(&mut self, head: &Head, page: &mut Page) -> Result<(), PageError> {
        match page.missing.take() {
            Some(missing) if !self.is_last_without_array(head, page)? => Err(*missing),
            _ => Ok(()),
        }
    }

    /// Returns true for a page that shows that it is the last one. An answer without an array may as well be a failure, so that a word of the
    /// API's own has to say so: as many records came as it counts, or the page has the flag or the empty pointer of a last page. Nothing else may
    /// stand in it that could be a record, a number of records or a failure.
    fn is_last_without_array(&mut self, head: &Head, page: &Page) -> Result<bool, PageError> {
        let walk = &*self.0;
        if walk.progress.filled() == 0 || head.status != StatusCode::OK || walk.addresses.is_midway() {
            return Ok(false);
        }
        let answer = walk.answer(head, &page.fields);
        let missing = MissingRecords { rules: walk.end_rules(), answer, page };
        let (says_last, says_more) = (missing.says_last()?, missing.says_more()? == Some(true));
        let is_counted = walk.progress.counts_to_total();
        let WalkState::Asked(request, _) = &walk.state else { return Ok(false) };
        let outline = page.sketch.outline();
        let flag = walk.pagination.more.as_ref().and_then(|more| more.path.of_value(outline));
        // A total that has risen meanwhile counts other records.
        let total = walk.pagination.total.as_ref().and_then(Source::path).and_then(|path| path.of_value(outline));
        let total = total.filter(|total| total.as_u64() == Some(walk.progress.records()));
        let told: Vec<_> = flag.into_iter().chain(total).collect();
        let is_shown = (is_counted || says_last) && is_hollow(outline, request, &told);
        Ok(is_shown
            && !says_more
            && !head.headers.contains_key(RETRY_AFTER)
            && self.check(head, page, JudgedPage::Last).is_ok())
    }

    /// Asks for the page once more: Asked ⇒ Ask. A second time the doubt is an error.
    pub(super) fn ask_again(&mut self, doubt: PageError) -> Result<(), PageError> {
        let (WalkState::Asked(request, Aim::Records), false) = (&self.0.state, self.0.pagination.is_sent_once()) else {
            return Err(doubt);
        };
        self.0.state = WalkState::Ask(Arc::clone(request), Aim::Again);
        Ok(())
    }

    /// Asks for the page behind the one that would be the last, where the upstream names just that as its last, a number of records agrees, and
    /// pages are numbered: Asked ⇒ Ask. Elsewhere the word stands: without the number, it may be that of a window's limit.
    pub(super) fn look_behind(&mut self, head: &Head, page: &Page, refuted: PageError) -> Result<(), PageError> {
        let walk = &*self.0;
        let (WalkState::Asked(request, Aim::Records), PageError::NotTheLast(_)) = (&walk.state, &refuted) else {
            return Err(refuted);
        };
        let (records, addresses) = (walk.release.page().records(), &walk.addresses);
        // Neither parts nor pages of several sizes are compared with the number of the last page.
        let is_apart = walk.overlap.is_active() || walk.page_size.is_resized() || walk.pagination.partition.is_some();
        if records == 0 || !addresses.is_numbered() || addresses.is_midway() || is_apart {
            return Err(refuted);
        }
        let next = match walk.pagination.style.is_pointed() {
            true => behind(addresses.origin(), request, records)
                .map(|request| Address { request: Arc::new(request), number: 0 }),
            false => walk.end_rules().next(walk.answer(head, &page.fields))?,
        };
        let Some(next) = next else { return Err(refuted) };
        self.check(head, page, JudgedPage::Last)?;
        if !self.is_counted() || self.check_counts_of(self.0.pages() + 1, false).is_err() {
            return Err(refuted);
        }
        self.0.ask(next, Aim::Confirm(Proof::NamedPageEmpty))
    }

    /// Returns true if as many records came as a number of the first or the last page says.
    fn is_counted(&mut self) -> bool {
        let Walk { progress, envelopes, addresses, .. } = &mut *self.0;
        progress.counts_to_total() || envelopes.counts(addresses.origin(), progress.records())
    }

    /// Checks what a page at this place says of itself.
    pub(super) fn check(&mut self, head: &Head, page: &Page, place: JudgedPage) -> Result<(), PageError> {
        let asked = self.0.addresses.origin();
        let page = ArrivedPage { head, page, records: self.0.release.page().records(), asked };
        self.0.envelopes.check_words(&self.0.pagination, page, place)
    }

    /// Checks what a page says of itself that confirms a proof other than an empty page.
    pub(super) fn check_confirming(&self, head: &Head, page: &Page) -> Result<(), PageError> {
        let asked = self.0.addresses.origin();
        let page = ArrivedPage { head, page, records: self.0.release.page().records(), asked };
        page.check_confirming(&self.0.pagination)
    }

    /// Checks what came against numbers beside the records.
    pub(super) fn check_counts(&mut self) -> Result<(), PageError> {
        // A refusal in the place of an empty page counts as one.
        let is_behind = matches!(self.0.state.aim(), Some(Aim::Confirm(Proof::NamedPageEmpty)));
        let is_refused = is_behind && !self.0.release.has_begun();
        let has_total = self.0.progress.total().is_some() || self.0.progress.total_pages().is_some();
        self.check_counts_of(self.0.pages() + u64::from(is_refused), has_total)
    }

    /// As [`PageWords::check_counts`], for this number of pages; with `has_total` the configured total is held to instead.
    fn check_counts_of(&mut self, pages: u64, has_total: bool) -> Result<(), PageError> {
        let Walk { addresses, page_size, overlap, progress, pagination, envelopes, .. } = &mut *self.0;
        // An unnamed number of the first page counts a list that has moved since.
        if overlap.drift().is_some_and(|drift| drift.shifts > 0) {
            return Ok(());
        }
        let is_whole = !addresses.is_midway();
        let counts_pages = is_whole && !page_size.is_resized() && !overlap.is_active();
        let extent = CrawledExtent {
            records: is_whole.then(|| overlap.reach().unwrap_or_else(|| progress.records())),
            pages: counts_pages.then_some(pages),
        };
        envelopes.check_counts(pagination, addresses.origin(), extent, has_total)
    }

    /// Refuses an end, and a look behind one, under a flag that says that more follow. Only the record that such an answer stood behind is looked
    /// up without heeding its page's flag.
    pub(super) fn check_flag(&self, page: &Page) -> Result<(), PageError> {
        let is_end = match &self.0.state {
            WalkState::Done(proof) => *proof != Proof::Flag && !self.0.trail.reads_again(),
            WalkState::Ask(_, aim) => matches!(aim, Aim::Confirm(_)),
            WalkState::Asked(..) => false,
        };
        let more = self.0.pagination.more.as_ref().filter(|_| is_end);
        match more.map_or(Ok(None), |more| more.read(&page.fields))? {
            Some(true) => Err(self.0.end_rules().more_without_next()),
            Some(false) | None => Ok(()),
        }
    }
}
