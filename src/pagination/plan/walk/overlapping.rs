//! Pages that share records with those before them, and the ways back from one that does not.

use http::StatusCode;

use super::Walk;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::plan::walk_state::{Aim, WalkState};
use crate::pagination::proof::Proof;
use crate::pagination::styles::Address;

/// Walk whose pages may share records.
pub(super) struct OverlappingWalk<'a>(pub(super) &'a mut Walk);

impl OverlappingWalk<'_> {
    /// Indexes of the records of a batch that pages before held, as far as pages are meant to share some.
    pub(super) fn known(&mut self, batch: &Batch, is_first: bool) -> Result<Vec<usize>, PageError> {
        let overlap_key = self.0.pagination.style.rules().overlap_key();
        if is_first && !self.0.trail.goes_back() && self.0.release.begins_with_last(batch, overlap_key)? {
            let known = self.0.trail.join(batch)?;
            return Ok(if known.first() == Some(&0) { known } else { [vec![0], known].concat() });
        }
        let mut known = self.0.overlap.find_known(batch);
        self.0.release.compare(batch, &mut known)?;
        self.0.overlap.join(batch.records(), &known);
        let behind_key = self.0.trail.join(batch).map_err(|error| self.or_repeats(error))?;
        Ok(known.iter().map(|record| record.at).chain(behind_key).collect())
    }

    /// Error for a page whose keys fall, which is the first one again where the upstream ignores its key.
    fn or_repeats(&self, error: PageError) -> PageError {
        let Walk { progress, release, pagination, .. } = &*self.0;
        match (&error, progress.started(release.page().start())) {
            (PageError::KeyFalls { .. }, Some(earlier)) => pagination.style.repeated(earlier),
            _ => error,
        }
    }

    /// Number of records that make the current page a full one.
    pub(super) fn full_length(&self) -> u64 {
        self.0.asked().map_or(self.0.progress.longest(), |asked| asked.min(self.0.progress.longest()))
    }

    /// Compares the number of a page's records with its own place and total, which are of one moment.
    pub(super) fn look_for_lacks(&mut self, records: u64) {
        let before = self.0.addresses.reach(self.0.number(), 0);
        let left = self.0.progress.totals().own().map(|total| total.saturating_sub(before));
        if left.is_some_and(|left| records > 0 && records < left.min(self.full_length())) {
            self.0.overlap.note_lack();
        }
    }

    /// Takes a page that must share a record with those before it, or steps back.
    pub(super) fn take(&mut self, aim: Aim) -> Result<bool, PageError> {
        if self.0.overlap.is_rounded(self.0.page_start(), self.0.asked(), self.0.release.page(), &self.0.progress) {
            let shared = self.0.overlap.probe_rounding();
            return self.ask_after(shared).map(|()| false);
        }
        let total = self.0.progress.totals().own().filter(|total| self.0.overlap.reach() == Some(*total));
        let repeated = self.0.progress.repeated(self.0.release.page());
        let proof = match (repeated, total) {
            // The number is ignored. In a list that moves, just as many records would have to come in front as the first page has.
            (Some(1), _) if self.0.pages() == 1 => self.0.end_rules().by_repetition(1, aim)?,
            // An upstream that clamps numbers gives its last page again.
            (Some(last), Some(total)) if last == self.0.pages() => Proof::Total(total),
            _ => {
                let pages = self.0.pages();
                self.0.overlap.count_echo(repeated == Some(pages), pages)?;
                return self.step_back().map(|goes_back| !goes_back);
            }
        };
        self.0.finish(proof).map(|()| false)
    }

    /// Steps back from a page that does not meet those before it: Asked ⇒ Ask. Returns false if it does.
    pub(super) fn step_back(&mut self) -> Result<bool, PageError> {
        let (start, before) = (self.0.page_start(), self.0.addresses.before());
        let Some(step) = self.0.overlap.step_back(start, before, self.0.release.page(), &self.0.progress)? else {
            return Ok(false);
        };
        let (from, to) = (self.0.addresses.number(), self.0.addresses.back_by(step, self.0.progress.longest()));
        self.0.overlap.begin_earlier(from - to);
        self.ask_at(to, Aim::Records).map(|()| true)
    }

    /// Asks for the page that begins one record behind the end: Asked ⇒ Ask.
    pub(super) fn look_beyond(&mut self) -> Result<(), PageError> {
        self.0.overlap.look_beyond();
        let beyond = self.0.number() + self.0.release.page().records() + 1;
        match self.0.pagination.limits.max_offset {
            Some(most) if beyond > most => self.refused_beyond(StatusCode::UNPROCESSABLE_ENTITY),
            Some(_) | None => self.ask_at(beyond, Aim::Confirm(Proof::EmptyPage)),
        }
    }

    /// Takes a refusal of the place behind the end, where no record is then.
    pub(super) fn refused_beyond(&mut self, status: StatusCode) -> Result<(), PageError> {
        // These also mean a window that is too deep, which shows nothing.
        if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) {
            self.0.overlap.note_lack();
        }
        self.0.finish(Proof::EmptyPage)
    }

    /// Asks for the page that begins `records` later than the current one: Asked ⇒ Ask.
    pub(super) fn ask_after(&mut self, records: u64) -> Result<(), PageError> {
        self.ask_at(self.0.addresses.number() + records, Aim::Records)
    }

    /// Asks for the page of another number in the place of the current one: Asked ⇒ Ask.
    fn ask_at(&mut self, number: u64, aim: Aim) -> Result<(), PageError> {
        let address = self.0.addresses.at(self.0.page_size.size(), number, self.0.progress.longest());
        let Address { mut request, number } = address.ok_or_else(|| self.0.end_rules().more_without_next())?;
        self.0.pinned.apply(&mut request)?;
        self.0.addresses.advance_to(number);
        self.0.addresses.forget_stride();
        self.0.identity = self.0.addresses.identity(&self.0.page_size, &request);
        self.0.state = WalkState::Ask(request, aim);
        Ok(())
    }
}
