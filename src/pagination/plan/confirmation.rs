//! Answers to the request behind the last page: those that confirm an end, and those that refute it.

use http::{HeaderMap, StatusCode};

use super::end::EndRules;
use super::walk_state::Aim;
use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;

/// Totals that are multiples of it are often the most that an upstream counts to, and no total.
const ROUND: u64 = 100;

/// Words of a refusal by which a window is too deep or a parameter wrong, rather than a page past the last.
///
/// No list of words is whole, and no request shows which of the two a 400 means: one behind the end is refused for both. So words prove
/// nothing here, and only withdraw what counts have shown. A word that is missing costs a false end where all of these hold: the
/// upstream's own total is what it lets be read, rather than what there is; that is no multiple of [`ROUND`], as limits are; and the refusal
/// does not name the limit in digits. A word too many breaks a stream that is whole, visibly.
const OTHER_REASONS: [&str; 17] = [
    "window",
    "too large",
    "too deep",
    "too big",
    "exceed",
    "limit",
    "max",
    "first",
    "only",
    "between",
    "less than",
    "greater than",
    "at most",
    "up to",
    "unknown",
    "unrecogni",
    "support",
];

/// An answer that brings no page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// Start of its body.
    pub(super) body: &'a [u8],
}

impl EndRules<'_> {
    /// End that a page with the records of an earlier one proves.
    pub(super) fn by_repetition(&self, earlier: u64, aim: Aim) -> Result<Proof, PageError> {
        let has_several = self.progress.pages() > 1 || self.progress.counts_agree();
        match aim {
            // The page that leads to itself.
            Aim::Confirm(proof @ Proof::SameToken) if earlier == self.progress.pages() => Ok(proof),
            // An upstream that clamps page numbers gives the last page once more, and one that wraps them the first. Where only one
            // page came before, it may as well be one that ignores the number.
            Aim::Confirm(proof) if !matches!(proof, Proof::SameToken | Proof::NamedPageEmpty) && has_several => {
                Ok(proof)
            }
            // A page that names a later one has come again: it is no last page.
            Aim::Confirm(Proof::NamedPageEmpty) => {
                Err(PageError::NotTheLast(format!("the page behind it repeats page {earlier}")))
            }
            _ => Err(self.pagination.style.repeated(earlier)),
        }
    }

    /// Error for these records on a page that was to confirm this proof.
    pub(super) fn refuted(&self, proof: Proof, records: u64) -> PageError {
        match proof {
            Proof::EmptyPage => PageError::RecordsBehindTheEnd { records },
            Proof::NamedPageEmpty => PageError::NotTheLast(format!("the page behind it has {records} records")),
            Proof::SameToken => PageError::HandleRepeats(self.pagination.style.params().first().copied().cloned()),
            Proof::TotalPages(total_pages) => {
                PageError::PagesDisagree { pages: self.progress.pages() + 1, total_pages }
            }
            _ => PageError::TotalLied(self.progress.records()),
        }
    }

    /// End that a refusal of the next page proves.
    pub(super) fn by_refusal(&self, refusal: Refusal<'_>, aim: Option<Aim>) -> Result<Option<Proof>, PageError> {
        let Refusal { status, headers, .. } = refusal;
        let past_the_last = matches!(status.as_u16(), 404 | 410 | 416);
        match aim {
            // A page that leads to itself was there a moment ago.
            Some(Aim::Confirm(Proof::SameToken)) => Ok(None),
            // Of an opened state, a refusal may as well say that it is gone.
            Some(Aim::Confirm(_)) if self.pagination.opened_state().is_some() => Ok(None),
            // The page is named, so that its refusal may be that of a window.
            Some(Aim::Confirm(Proof::NamedPageEmpty)) if self.is_about_else(refusal, None) => Ok(None),
            Some(Aim::Confirm(proof))
                if past_the_last && (proof != Proof::EmptyPage || self.progress.is_first_empty()) =>
            {
                Ok(Some(proof))
            }
            Some(Aim::Confirm(Proof::Total(total))) if self.is_past_the_total(refusal, total) => {
                Ok(Some(Proof::Total(total)))
            }
            _ if self.pagination.end.is_by(status) && self.progress.pages() > 0 => Ok(Some(Proof::Status(status))),
            _ => self.pagination.style.rules().end_by_refusal(status, headers),
        }
    }

    /// Returns true where 400 or 422 says that the page is past the last. Both also mean that a parameter is unknown, or a window too deep, so
    /// that the total needs a second sign: pages that hold to the size that they were asked for. A refusal that names that size, the total
    /// or the number of pages states a limit, in whatever language.
    fn is_past_the_total(&self, refusal: Refusal<'_>, total: u64) -> bool {
        let Some(size) = self.page_size.size().filter(|_| matches!(refusal.status.as_u16(), 400 | 422)) else {
            return false;
        };
        let (pages, longest) = (self.progress.filled(), self.progress.longest());
        let holds_to_size = if pages == 1 { longest < size || self.progress.counts_agree() } else { longest == size };
        holds_to_size && !total.is_multiple_of(ROUND) && !self.is_about_else(refusal, Some(total))
    }

    /// Returns true where a refusal has words for a limit, or names the page size, the total, or the number of records or pages.
    fn is_about_else(&self, refusal: Refusal<'_>, total: Option<u64>) -> bool {
        let words = String::from_utf8_lossy(refusal.body).to_lowercase();
        let limits = [
            self.page_size.size(),
            total,
            Some(self.progress.pages()),
            total.is_none().then(|| self.progress.records()),
        ];
        let mut numbers =
            words.split(|character: char| !character.is_ascii_digit()).filter_map(|text| text.parse().ok());
        numbers.any(|number: u64| limits.contains(&Some(number)))
            || OTHER_REASONS.iter().any(|reason| words.contains(reason))
    }
}
