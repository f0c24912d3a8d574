//! Pages ahead of their turn where they are numbered: the next numbers follow from the last step, and a total says where they
//! end. Guesses, all of them; the walk proves what comes.

use super::address::Computed;
use super::follow::{Aim, Follow, State};
use super::range;
use super::tally::Tally;
use crate::pagination::{Advance, Style};

impl Follow {
    /// The page that most likely comes after the one at `position`.
    pub(super) fn predicted(&self, position: u64) -> Option<Computed> {
        let position = position.checked_add(self.stride?)?;
        if self.may_grow() || self.is_confirming() || self.is_past_the_end(position) || self.is_capped_at(position) {
            return None;
        }
        match &self.pagination.style {
            Style::Page { param, template, .. } => {
                self.addresses().numbered(param, template.as_ref(), position, "page").ok()
            }
            Style::Offset { param, template, .. } => {
                self.addresses().numbered(param, template.as_ref(), position, "offset").ok()
            }
            Style::Range { unit, size } => {
                let mut request = self.first.clone();
                request.headers.insert(http::header::RANGE, range::wanted(unit, position, *size).ok()?);
                Some(Computed { request, position })
            }
            _ => None,
        }
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
        let by_what_came = matches!(
            self.pagination.style,
            Style::Offset { step: Advance::Returned | Advance::Body(_), .. } | Style::Range { .. }
        );
        records == 0 || by_what_came && records < self.tally.longest
    }

    fn is_confirming(&self) -> bool {
        matches!(self.state, State::Ask(_, Aim::Confirm(_)) | State::Asked(_, Aim::Confirm(_)) | State::Done(_))
    }

    fn is_capped_at(&self, position: u64) -> bool {
        let is_offset = !matches!(self.pagination.style, Style::Page { .. });
        is_offset && self.pagination.limits.max_offset.is_some_and(|most| position > most)
    }

    /// Whether the upstream's own numbers say that no page is there, nor one needed to confirm them: after a last page that is
    /// full, one more is.
    fn is_past_the_end(&self, position: u64) -> bool {
        let Tally { total, total_pages, longest, .. } = self.tally;
        let by_page = matches!(self.pagination.style, Style::Page { .. });
        let start = match self.pagination.style {
            Style::Page { start, .. } | Style::Offset { start, .. } => start,
            _ => 0,
        };
        let confirms = !matches!(self.pagination.style, Style::Range { .. });
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
