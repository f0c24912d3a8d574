//! A page that arrives: what of it may leave as it comes, what waits for its end, and what its end proves.

use super::end::Came;
use super::follow::{Aim, Follow, State};
use super::gist::{Leave, first_line, holds};
use super::tally::Shrunk;
use crate::batch::Batch;
use crate::pagination::PageError;
use crate::pagination::error::excerpt;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::proof::Proof;
use crate::pagination::record::values_of;
use crate::pagination::source::says_none;

impl Follow {
    /// A head came that brings a page, or why none of its records may leave. Said of each attempt.
    pub fn begun(&mut self, head: &Head) -> Result<(), PageError> {
        self.page.began = true;
        self.pagination.style.rules().check_head(self.addresses(), head, self.tally.pages)
    }

    /// The next records of the page: which of them may leave now, or why no more of them can be trusted. Each is shown once.
    pub fn records(&mut self, head: &Head, fields: &PageFields, mut batch: Batch) -> Result<Batch, PageError> {
        self.check_error(fields)?;
        if batch.is_empty() {
            return Ok(batch);
        }
        let is_first = self.page.records == 0;
        self.page.add(&batch, &self.mark)?;
        if is_first {
            self.page.skip = self.overlapping(&batch)?;
            self.page.leave = self.leave();
            if self.page.leave == Leave::Now {
                self.check_total(head, fields)?;
            }
            batch = batch.skip(self.page.skip);
        }
        self.look_for_moved(&batch)?;
        match self.page.leave {
            Leave::Now => Ok(batch),
            Leave::AtTheEnd => {
                self.page.withheld.push(batch);
                Ok(Batch::default())
            }
            Leave::Never => Ok(Batch::default()),
        }
    }

    /// The page is whole: which of its last records, and of those that waited, may leave now.
    pub fn arrived(&mut self, head: &Head, mut page: Page) -> Result<Vec<Batch>, PageError> {
        let rest = self.records(head, &page.fields, std::mem::take(&mut page.batch))?;
        let aim = match self.state {
            State::Asked(_, aim) => aim,
            State::Ask(..) | State::Done(_) => Aim::Records,
        };
        let (records, new) = (self.page.records, self.page.new_records());
        if let Some(earlier) = self.repeats() {
            return match aim {
                // Asked ⇒ Done: an upstream that clamps page numbers gives the last page once more. Where only one page
                // came before, it may as well be one that ignores the number.
                Aim::Confirm(proof) if earlier == self.tally.pages && (earlier > 1 || self.counts_agree()) => {
                    self.finish(proof).map(|()| Vec::new())
                }
                _ => Err(PageError::Repeat(earlier)),
            };
        }
        if let Aim::Confirm(proof) = aim
            && new > 0
        {
            return Err(match proof {
                Proof::TotalPages(total_pages) => PageError::PagesDisagree { pages: self.tally.pages + 1, total_pages },
                _ => PageError::TotalLied(self.tally.records),
            });
        }
        if let Some(earlier) = self.starts_again() {
            return Err(PageError::Repeat(earlier));
        }
        self.read_totals(head, &page.fields)?;
        let short = records < self.tally.longest;
        self.tally.count(&self.page);
        if self.tally.pages == 1 {
            self.pin(head, &page.fields)?;
        }
        self.advance(Came { head, page: &page, new, short }, aim)?;
        self.tally.longest = self.tally.longest.max(records);
        if records > 0 {
            self.last = Some(std::mem::take(&mut self.page.last));
        }
        Ok(self.page.released(rest))
    }

    /// The earlier page whose records the current one repeats, as far as it has come.
    pub fn repeats(&self) -> Option<u64> {
        self.tally.repeated(&self.page).filter(|_| self.page.new_records() > 0)
    }

    pub(super) fn check_error(&self, fields: &PageFields) -> Result<(), PageError> {
        let Some(path) = &self.pagination.error else { return Ok(()) };
        match fields.get(path) {
            Some(value) if !says_none(value) => {
                Err(PageError::ErrorInPage { path: path.clone(), value: excerpt(&value.to_string()) })
            }
            _ => Ok(()),
        }
    }

    /// How many records at the page's start are the one that its key named.
    fn overlapping(&self, batch: &Batch) -> Result<u64, PageError> {
        let (Some(key), Some(last)) = (self.pagination.style.rules().overlap_key(), &self.last) else { return Ok(0) };
        let first = first_line(batch.lines());
        if values_of(first, key)? != values_of(last, key)? {
            return Ok(0);
        }
        if first.trim_ascii() == last.trim_ascii() { Ok(1) } else { Err(PageError::KeyIsShared) }
    }

    /// When the page's records may leave, as its first one says.
    fn leave(&self) -> Leave {
        match self.state {
            State::Asked(_, Aim::Confirm(_)) => Leave::Never,
            _ if self.tally.started(self.page.start).is_some() || self.is_uneven() => Leave::AtTheEnd,
            _ => Leave::Now,
        }
    }

    /// Whether the total, where it is known before the records, has shrunk.
    fn check_total(&self, head: &Head, fields: &PageFields) -> Result<(), PageError> {
        let (Some(source), Some(before)) = (&self.pagination.total, self.tally.total) else { return Ok(()) };
        match source.number(head, fields)?.filter(|_| self.pagination.style.is_numbered()) {
            Some(after) if after < before => Err(PageError::TotalShrank { before, after }),
            _ => Ok(()),
        }
    }

    /// Records that were inserted before the current page push the last ones of the page before into it.
    fn look_for_moved(&mut self, batch: &Batch) -> Result<(), PageError> {
        // Without keys, equal records may be different ones: only a total that grew tells.
        let may_tell = self.pagination.key.is_some() || self.pagination.total.is_some();
        let Some(last) = self.last.as_ref().filter(|_| may_tell && self.pagination.style.is_numbered()) else {
            return Ok(());
        };
        if self.page.moved || !holds(batch.lines(), last) {
            return Ok(());
        }
        if self.pagination.key.is_some() && self.page.leave == Leave::Now {
            return Err(PageError::Moved(self.tally.pages));
        }
        self.page.moved = true;
        if self.page.leave == Leave::Now {
            self.page.leave = Leave::AtTheEnd;
        }
        Ok(())
    }

    fn read_totals(&mut self, head: &Head, fields: &PageFields) -> Result<(), PageError> {
        let before = self.tally.total;
        let total = self.pagination.total.as_ref();
        let total_pages = self.pagination.total_pages.as_ref().filter(|_| self.resized.is_none());
        let shrunk = self.tally.read_totals(total, total_pages, head, fields, self.page.records)?;
        if let Shrunk::From(before) = shrunk
            && self.pagination.style.is_numbered()
        {
            return Err(PageError::TotalShrank { before, after: self.tally.total.unwrap_or_default() });
        }
        let grew = before.is_some() && self.tally.total > before;
        if self.page.moved && (grew || self.pagination.key.is_some()) {
            return Err(PageError::Moved(self.tally.pages));
        }
        Ok(())
    }
}
