//! Pages ahead of their turn where they are numbered: the next numbers follow from the last step, and a total says where they
//! end. Guesses, all of them; the walk proves what comes.

use super::follow::{Aim, Follow, State};
use super::tally::Tally;
use crate::pagination::styles::Address;

impl Follow {
    /// The page that most likely comes after the one at `position`.
    pub(super) fn predicted(&self, number: u64) -> Option<Address> {
        let number = number.checked_add(self.stride?)?;
        if self.may_grow() || self.is_confirming() || self.is_past_the_end(number) || self.is_capped_at(number) {
            return None;
        }
        self.pagination.style.rules().predict(self.addresses(), number)
    }

    /// Whether a limit may be reached before the page that is `ahead` pages after the one whose turn it is.
    pub(super) fn may_be_capped(&self, ahead: u64) -> bool {
        let asked = self.tally.pages.saturating_add(ahead);
        let limits = &self.pagination.limits;
        let records = self.tally.records.saturating_add(ahead.saturating_mul(self.tally.longest));
        limits.max_results.is_some_and(|most| records >= most)
            || limits.max_pages.is_some_and(|most| asked >= most)
            || asked >= self.caps.pages
    }

    /// How full a page is that is not short, as far as that is known.
    pub(super) fn full_page(&self) -> u64 {
        self.tally.longest
    }

    /// Whether a page of so many records is one behind which no guess holds: an empty one, and a short one where the number advances by
    /// what came. Elsewhere a page may be short because the upstream filters it.
    pub(super) fn may_end_with(&self, records: u64) -> bool {
        let is_short = self.pagination.style.rules().advances_by_records() && records < self.tally.longest;
        records == 0 || is_short
    }

    fn is_confirming(&self) -> bool {
        matches!(self.state, State::Ask(_, Aim::Confirm(_)) | State::Asked(_, Aim::Confirm(_)) | State::Done(_))
    }

    fn is_capped_at(&self, position: u64) -> bool {
        self.pagination.style.counts_records() && self.pagination.limits.max_offset.is_some_and(|most| position > most)
    }

    /// Whether the upstream's own numbers say that no page is there, nor one needed to confirm them: after a last page that is
    /// full, one more is.
    fn is_past_the_end(&self, position: u64) -> bool {
        let Tally { total, total_pages, longest, .. } = self.tally;
        let by_page = self.pagination.style.counts_pages();
        let (start, confirms) =
            (self.pagination.style.rules().start(), self.pagination.style.rules().confirms_totals());
        let index = position.saturating_sub(start);
        match (total, total_pages) {
            (Some(total), _) if longest > 0 => {
                let end = if by_page { total.div_ceil(longest) } else { total };
                index > end || index == end && !(confirms && total.is_multiple_of(longest))
            }
            (None, Some(pages)) if by_page => index >= pages,
            (None, Some(pages)) => index >= pages.saturating_mul(longest.max(1)),
            _ => false,
        }
    }
}
