//! Forecast of the pages behind the current one: guesses from the last step and the upstream's totals, which prove nothing.

use std::sync::Arc;

use super::adaptive_page_size::PageSizing;
use super::addresses::Addresses;
use super::events::PageSoFar;
use super::expected_overlap::ExpectedOverlap;
use super::page_overlap::PageOverlap;
use super::pinned_state::PinnedState;
use super::progress::WalkProgress;
use super::walk_state::{Aim, WalkState};
use crate::caps::Caps;
use crate::pagination::end_settings::End;
use crate::pagination::request::PageRequest;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::{Address, PageAnswer};

/// View of a walk for guesses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast<'a> {
    pub(super) pagination: &'a Pagination,
    pub(super) caps: &'a Caps,
    pub(super) state: &'a WalkState,
    pub(super) addresses: &'a Addresses,
    pub(super) page_size: &'a PageSizing,
    pub(super) progress: &'a WalkProgress,
    pub(super) pinned: &'a PinnedState,
    pub(super) overlap: &'a PageOverlap,
}

impl Forecast<'_> {
    /// Request that the page will most likely lead to, where pages point to each other.
    pub(super) fn early(&self, page: PageSoFar<'_>) -> Option<Arc<PageRequest>> {
        let goes_on = match &self.pagination.more {
            Some(more) => page.fields.get(&more.path).is_some() && more.read(page.fields).ok()? == Some(true),
            None => true,
        };
        // A request that moves the upstream's place on has to wait until the page before it is whole.
        let may_be_last = self.pagination.is_sent_once() || self.pagination.end == End::EmptyPage && page.records == 0;
        let needs_first_page = self.progress.pages() == 0 && self.pinned.needs_first_page();
        if needs_first_page || !goes_on || may_be_last || self.pinned.may_be_renamed_in(page.fields) {
            return None;
        }
        let answer = PageAnswer { head: page.head, fields: page.fields, records: page.records, last_record: &[] };
        let mut next = self.addresses.early(self.page_size.size(), answer)?;
        self.pinned.apply(&mut next).ok()?;
        (!self.progress.knows_request(self.addresses.identity(self.page_size, &next))).then_some(next)
    }

    /// Address of the page that most likely comes after the one with this number.
    pub(super) fn after(&self, number: u64) -> Option<Address> {
        let longest = self.progress.longest();
        let number = self.addresses.after(number, longest, self.progress.total())?;
        // When larger pages are due, a guess would ask for a smaller one.
        let is_growing = self.page_size.double().is_some();
        let is_over = match self.overlap.drift().filter(|_| self.addresses.has_grid()) {
            // Before a page has met the first one, the sizes may be others than those that are asked for.
            Some(drift) => !drift.has_met || !self.overlap.is_active(),
            None => self.is_past_the_end(number),
        };
        if is_growing || self.is_confirming() || is_over || self.is_capped_at(number) {
            return None;
        }
        self.addresses.at(self.page_size.size(), number, longest)
    }

    /// Returns true if a limit may be reached before the page that is `ahead` pages behind the current one.
    pub(super) fn may_be_capped(&self, ahead: u64) -> bool {
        let asked = self.progress.pages().saturating_add(ahead);
        let limits = &self.pagination.limits;
        let records = self.progress.records().saturating_add(ahead.saturating_mul(self.progress.longest()));
        limits.max_results.is_some_and(|most| records >= most)
            || limits.max_pages.is_some_and(|most| asked >= most)
            || asked >= self.caps.pages
    }

    /// Returns true if a limit of the upstream's may be reached behind the next page.
    pub(super) fn is_near_a_limit(&self) -> bool {
        const PAGES: u64 = 2;
        let limits = &self.pagination.limits;
        let ahead = self.progress.longest().saturating_mul(PAGES);
        limits.max_results.is_some_and(|most| self.progress.records().saturating_add(ahead) >= most)
            || limits.max_pages.is_some_and(|most| self.progress.pages() + PAGES >= most)
            || self.is_capped_at(self.addresses.number().saturating_add(ahead))
    }

    /// Returns true if no guess holds behind a page of `records`: an empty one, and a short one where the number advances by
    /// the records that came. Elsewhere a page may be short because the upstream filters it.
    pub(super) fn may_end_with(&self, records: u64) -> bool {
        records == 0 || records < self.progress.longest() && self.pagination.style.rules().advances_by_records()
    }

    /// Most pages in flight: where no count of the upstream's names the end, those past it are in vain. In a long list one in 16 may be.
    pub(super) fn most_in_flight(&self, guesses: usize) -> usize {
        let pages = usize::try_from(self.progress.pages()).unwrap_or(usize::MAX);
        let is_known = self.pagination.style.is_pointed()
            || self.progress.total().is_some()
            || self.progress.total_pages().is_some();
        if is_known { usize::MAX } else { guesses.max(pages / 16) }
    }

    fn is_confirming(&self) -> bool {
        !matches!(self.state.aim(), Some(Aim::Records))
    }

    fn is_capped_at(&self, number: u64) -> bool {
        self.pagination.style.counts_records() && self.pagination.limits.max_offset.is_some_and(|most| number > most)
    }

    /// Returns true if the upstream's own numbers say that no page is there, nor one needed to confirm them: after a last page
    /// that is full, one more is.
    fn is_past_the_end(&self, number: u64) -> bool {
        let (by_page, rules) = (self.pagination.style.counts_pages(), self.pagination.style.rules());
        let index = number.saturating_sub(rules.start());
        let longest = self.progress.longest();
        match (self.progress.total(), self.progress.total_pages()) {
            (Some(total), _) if longest > 0 => {
                let end = if by_page { total.div_ceil(longest) } else { total };
                // Pages that share records begin in front of the end of the page before.
                let shared = if self.overlap.is_active() { ExpectedOverlap::shared_with(longest, longest) } else { 0 };
                let reach = index.saturating_add(shared);
                let is_even = total.saturating_sub(shared).is_multiple_of(longest - shared);
                reach > end || reach == end && !(rules.confirms_totals() && is_even)
            }
            (None, Some(pages)) if by_page => index >= pages,
            (None, Some(pages)) => index >= pages.saturating_mul(longest.max(1)),
            _ => false,
        }
    }
}
