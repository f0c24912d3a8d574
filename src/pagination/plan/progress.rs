//! Progress of a walk: the counts that an end is proven against.

use serde::{Deserialize, Serialize};

use super::double_counts::Doubles;
use super::fingerprint::Fingerprint;
use super::known_pages::KnownPages;
use super::totals::{TotalAgreement, UpstreamTotals, WalkCount};
use crate::caps::Caps;
use crate::pagination::end_settings::Limits;
use crate::pagination::error::PageError;
use crate::pagination::page::{Head, PageFields, RecordHolder};
use crate::pagination::settings::Pagination;
use crate::pagination::value_source::Source;

/// Counts of one walk. A checkpoint has all but the sets, of which it has what the last page added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WalkProgress {
    /// Number of pages that came.
    pages: u64,
    /// Number of pages that came with records.
    filled: u64,
    /// Number of records that came, each once.
    records: u64,
    /// A page held the upstream's "more" flag.
    flagged: bool,
    /// Number of pages without a record that came in a row.
    empty_pages: u64,
    /// Largest number of records on a page before the current one.
    longest: u64,
    #[serde(flatten)]
    totals: UpstreamTotals,
    /// The upstream's number of pages, as last said by a page with records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_pages: Option<u64>,
    #[serde(default, skip_serializing_if = "Doubles::is_none")]
    doubles: Doubles,
    /// Hash of the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opening: Option<u64>,
    /// `Date` of the first page, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<u64>,
    /// A page came from a cache. Only a read that is never resumed asks for it.
    #[serde(skip)]
    from_cache: bool,
    /// Paths of the records, of several ones, at which a page has had an array: each is the bit of its place.
    #[serde(default, skip_serializing_if = "is_zero")]
    arrays: u64,
    #[serde(flatten)]
    known: KnownPages,
}

impl WalkProgress {
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    pub(super) fn filled(&self) -> u64 {
        self.filled
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn longest(&self) -> u64 {
        self.longest
    }

    /// The upstream's total, as last said by a page with records.
    pub(super) fn total(&self) -> Option<u64> {
        self.totals.last()
    }

    pub(super) fn totals(&self) -> UpstreamTotals {
        self.totals
    }

    pub(super) fn total_pages(&self) -> Option<u64> {
        self.total_pages
    }

    pub(super) fn opening(&self) -> Option<u64> {
        self.opening
    }

    pub(super) fn date(&self) -> Option<u64> {
        self.date
    }

    /// Number of different pages that were asked for.
    pub(super) fn requests(&self) -> usize {
        self.known.requests()
    }

    pub(super) fn is_from_cache(&self) -> bool {
        self.from_cache
    }

    /// Paths of the records, of several ones, at which a page has had an array, as bits.
    pub(super) fn arrays(&self) -> u64 {
        self.arrays
    }

    /// Notes the moment and the arrays of a page that was counted.
    pub(super) fn note_page(&mut self, head: &Head, holder: RecordHolder) {
        if let RecordHolder::Several { arrays, .. } = holder {
            self.arrays |= arrays;
        }
        self.date = if self.pages == 1 { head.date() } else { self.date };
        self.from_cache |= head.is_from_cache();
    }

    /// Notes the upstream's total; returns the error of one that shrank, which it is where pages are numbered.
    pub(super) fn note_total(&mut self, total: u64) -> Option<PageError> {
        self.totals.note(total).map(|before| PageError::TotalShrank { before, after: total })
    }

    /// Notes the upstream's number of pages, as [`WalkProgress::note_total`].
    fn note_total_pages(&mut self, pages: u64) -> Option<PageError> {
        let before = self.total_pages.replace(pages)?;
        (pages < before).then_some(PageError::PagesShrank { before, after: pages })
    }

    /// Notes that a page held the upstream's "more" flag.
    pub(super) fn note_flag(&mut self) {
        self.flagged = true;
    }

    pub(super) fn has_seen_flag(&self) -> bool {
        self.flagged
    }

    /// Notes the number of records of a page, after which a shorter one is short.
    pub(super) fn note_length(&mut self, records: u64) {
        self.longest = self.longest.max(records);
    }

    /// Forgets what only holds for pages of one size: the longest page, and the number of pages.
    pub(super) fn forget_page_size(&mut self) {
        self.longest = 0;
        self.total_pages = None;
    }

    /// Notes a request; `Err` is the number of the page that the same request has asked for before.
    pub(super) fn add_request(&mut self, identity: u64) -> Result<(), u64> {
        self.known.add_request(identity, self.pages + 1)
    }

    pub(super) fn knows_request(&self, identity: u64) -> bool {
        self.known.knows_request(identity)
    }

    /// Number of the earlier page with the same records.
    pub(super) fn repeated(&self, page: &Fingerprint) -> Option<u64> {
        self.known.with_digest(page.digest()).filter(|_| page.records() > 0)
    }

    /// Number of the earlier page that starts with this record.
    pub(super) fn started(&self, start: u64) -> Option<u64> {
        self.known.with_start(start)
    }

    pub(super) fn doubles(&self) -> Doubles {
        self.doubles
    }

    /// Counts a page with its number of records behind those that it shares with the page before, and the doubles among them.
    pub(super) fn count(&mut self, page: &Fingerprint, new: u64, doubles: Doubles) {
        self.pages += 1;
        self.records += new - doubles.dropped;
        self.doubles.add(doubles);
        self.empty_pages = if new == 0 { self.empty_pages + 1 } else { 0 };
        self.known.add_page(page, self.pages);
        if page.records() > 0 {
            self.filled += 1;
            self.opening.get_or_insert(page.start());
        }
    }

    /// Checks the total, where it is known before the records: numbered pages skip records when others are removed.
    pub(super) fn check_total(
        &self,
        pagination: &Pagination,
        head: &Head,
        fields: &PageFields,
    ) -> Result<(), PageError> {
        let (Some(source), Some(before)) = (pagination.total_source(), self.totals.last()) else { return Ok(()) };
        let after = source.number(head, fields)?.filter(|after| *after < before);
        after.map_or(Ok(()), |after| Err(PageError::TotalShrank { before, after }))
    }

    /// Reads the upstream's totals; past the end, where some upstreams make them up, they are not read. Returns the error of one
    /// that shrank, as [`WalkProgress::note_total`].
    pub(super) fn read_totals(
        &mut self,
        pagination: &Pagination,
        counts_pages: bool,
        head: &Head,
        fields: &PageFields,
        records: u64,
    ) -> Result<Option<PageError>, PageError> {
        if records == 0 && self.pages > 0 {
            return Ok(None);
        }
        let number = |source: Option<&Source>| source.map_or(Ok(None), |source| source.number(head, fields));
        let said = number(pagination.total_source())?;
        if said.is_none() {
            self.totals.note_none();
        }
        let total = said.and_then(|total| self.note_total(total));
        let pages = number(pagination.total_pages.as_ref().filter(|_| counts_pages))?;
        Ok(total.or(pages.and_then(|pages| self.note_total_pages(pages))))
    }

    /// Returns true if as many records came as the last total says, with or without doubles that it may count.
    pub(super) fn counts_to_total(&self) -> bool {
        self.totals.count(self.records, self.doubles)
    }

    /// Returns true if the upstream's total and its number of pages both say that all has come.
    pub(super) fn counts_agree(&self) -> bool {
        self.counts_to_total() && self.total_pages == Some(self.filled)
    }

    /// Number of records that came, to be held to the totals.
    pub(super) fn counted(&self, is_numbered: bool) -> WalkCount {
        let Self { records, doubles, .. } = *self;
        if is_numbered { WalkCount::Numbered(records, doubles) } else { WalkCount::Pointed(records, doubles) }
    }

    /// Checks the counts of a walk from the collection's beginning against the upstream's own, at its end.
    pub(super) fn check_totals(&self, is_numbered: bool) -> Result<(), PageError> {
        let Self { filled, records, total_pages, totals, .. } = *self;
        let agreement = totals.agreement(self.counted(is_numbered));
        if let (Some(total), Some(TotalAgreement::Contradicts)) = (totals.last(), agreement) {
            return Err(PageError::TotalDisagrees { records, total });
        }
        let empty = records == 0 && total_pages == Some(1);
        match total_pages.filter(|total_pages| filled < *total_pages && !empty) {
            Some(total_pages) => Err(PageError::PagesDisagree { pages: filled, total_pages }),
            None => Ok(()),
        }
    }

    /// Checks that one more page may be asked for.
    pub(super) fn check_limits(&self, limits: &Limits, caps: &Caps) -> Result<(), PageError> {
        limits.check(caps, self.pages, self.records)
    }

    /// Returns true if the last page has no record, and the one before had some.
    pub(super) fn is_first_empty(&self) -> bool {
        self.empty_pages == 1 && self.filled > 0
    }

    /// Returns true if a page without a record came before one that had some.
    pub(super) fn has_hole(&self) -> bool {
        self.pages - self.filled > self.empty_pages
    }

    pub(super) fn check_empty_pages(&self, caps: &Caps) -> Result<(), PageError> {
        if self.empty_pages > caps.empty_pages { Err(PageError::EmptyPages(self.empty_pages)) } else { Ok(()) }
    }

    /// Returns what a checkpoint has: all but the sets, of which it has the last page's additions.
    pub(super) fn counts(&self) -> Self {
        Self { known: self.known.additions(), ..*self }
    }

    /// Takes over [`WalkProgress::counts`] of one page later.
    pub(super) fn fold(&mut self, counts: &Self) -> Result<(), PageError> {
        // A last page that came twice is not counted twice.
        if !(self.pages..=self.pages + 1).contains(&counts.pages) || counts.records < self.records {
            return Err(PageError::BadCheckpoint("a page is missing".to_owned()));
        }
        let mut known = std::mem::take(&mut self.known);
        known.fold(&counts.known, counts.pages);
        *self = Self { known, ..*counts };
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(bits: &u64) -> bool {
    *bits == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_comes_again_names_its_page() {
        let mut progress = WalkProgress::default();
        assert_eq!(progress.add_request(7), Ok(()));
        progress.count(&Fingerprint::default(), 0, Doubles::default());
        assert_eq!((progress.add_request(8), progress.add_request(7)), (Ok(()), Err(1)));
    }

    #[test]
    fn counts_are_folded_in_their_order_only() {
        let mut progress = WalkProgress::default();
        let mut past = Vec::new();
        for _ in 0..3 {
            progress.count(&Fingerprint::default(), 2, Doubles::default());
            past.push(progress.counts());
        }
        let mut again = WalkProgress::default();
        past.iter().try_for_each(|counts| again.fold(counts)).unwrap();
        assert_eq!((again.pages(), again.records()), (3, 6));
        assert!(matches!(WalkProgress::default().fold(&past[1]), Err(PageError::BadCheckpoint(_))));
    }
}
