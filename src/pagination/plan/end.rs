//! Where a page leads: to the next one, or to an end that is proven.

use serde_json::Value;

use super::follow::{Aim, Follow, State};
use super::tally::Tally;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::proof::Proof;
use crate::pagination::styles::{Address, Start, StyleEnd};
use crate::pagination::{End, PageError, Source, detect};

/// A page that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came<'a> {
    pub(super) head: &'a Head,
    /// What stood around its records.
    pub(super) page: &'a Page,
    /// How many of its records no page before had.
    pub(super) new: u64,
    /// Whether it is shorter than a page before it.
    pub(super) short: bool,
}

impl Follow {
    /// Where the page leads: Asked ⇒ Ask, or Asked ⇒ Done.
    pub(super) fn advance(&mut self, came: Came<'_>, aim: Aim) -> Result<(), PageError> {
        if let Aim::Confirm(proof) = aim {
            return self.finish(proof);
        }
        let Came { head, page, .. } = came;
        let more = self.more(&page.fields)?;
        self.tally.flagged |= more.is_some();
        if self.pagination.style.is_pointed() {
            match (self.next_address(head, &page.fields)?, more) {
                (Some(_), Some(false)) => self.finish(Proof::Flag),
                (Some(_), _) if self.pagination.end == End::EmptyPage && came.new == 0 => self.finish(Proof::EmptyPage),
                (Some(next), _) => self.ask(next, Aim::Records),
                (None, Some(true)) => Err(self.more_without_next()),
                (None, _) => {
                    self.check_pointer_elsewhere(head, page)?;
                    self.finish(if more == Some(false) { Proof::Flag } else { Proof::NoNext })
                }
            }
        } else {
            match self.pagination.style.rules().end(self.answer(head, &page.fields))? {
                StyleEnd::Shared => self.advance_counted(came, more),
                StyleEnd::Whole => self.finish_single(came, None),
                StyleEnd::Proven(proof) => self.finish(proof),
                StyleEnd::Range { total, is_last } => {
                    self.tally.total = total.or(self.tally.total);
                    if let Some(total) = total.filter(|_| is_last) {
                        return self.finish(Proof::Total(total));
                    }
                    match self.next_address(head, &page.fields)? {
                        Some(next) => self.ask(next, Aim::Records),
                        None => self.finish(Proof::SinglePage),
                    }
                }
            }
        }
    }

    fn next_address(&self, head: &Head, fields: &PageFields) -> Result<Option<Address>, PageError> {
        self.pagination.style.rules().next(self.addresses(), self.answer(head, fields))
    }

    /// Numbers and keys: nothing in the page leads on, so what ends it must be proven.
    fn advance_counted(&mut self, came: Came<'_>, more: Option<bool>) -> Result<(), PageError> {
        if came.new == 0 && self.restore() {
            return Ok(());
        }
        if more == Some(false) {
            return self.finish(Proof::Flag);
        }
        // An empty page that says "more" goes on by its number; a key or offset could not advance.
        if came.new == 0 && !(more == Some(true) && self.pagination.style.counts_pages()) {
            return match more {
                Some(true) => Err(self.more_without_next()),
                _ => self.finish(Proof::EmptyPage),
            };
        }
        // Shorter than a page before it, not than what was asked for: that may be more than the upstream ever gives.
        if self.pagination.end == End::ShortPage && came.short {
            return self.finish(Proof::ShortPage);
        }
        let Some(next) = self.next_address(came.head, &came.page.fields)? else {
            return self.finish_single(came, more);
        };
        match self.agreeing(more)? {
            // Two signals agree: the count, and a page shorter than those before it.
            Some(proof) if came.short => self.finish(proof),
            Some(proof) => self.ask(next, Aim::Confirm(proof)),
            None => self.ask(next, Aim::Records),
        }
    }

    /// The count that agrees with what the upstream says of itself, if one does.
    fn agreeing(&self, more: Option<bool>) -> Result<Option<Proof>, PageError> {
        let Tally { filled, records, .. } = self.tally;
        if more == Some(true) || self.position.start == Start::Midway {
            return Ok(None);
        }
        match (self.tally.total, self.tally.total_pages) {
            (Some(total), _) if records > total && self.pagination.style.is_numbered() => {
                Err(PageError::TotalDisagrees { records, total })
            }
            (Some(total), _) if records == total => Ok(Some(Proof::Total(total))),
            (None, Some(total_pages)) if filled >= total_pages => Ok(Some(Proof::TotalPages(total_pages))),
            _ => Ok(None),
        }
    }

    /// One page is all, unless its answer plainly says that there is more.
    fn finish_single(&mut self, came: Came<'_>, more: Option<bool>) -> Result<(), PageError> {
        let live = match more {
            Some(true) => self.pagination.more.as_ref().map(|more| format!("`{}` says that there is more", more.path)),
            _ => elsewhere(came.head, came.page),
        };
        match live {
            Some(live) => Err(PageError::MoreThanOnePage(live)),
            None => self.finish(Proof::SinglePage),
        }
    }

    /// ⇒ Done, unless what came contradicts the upstream's own numbers.
    pub(super) fn finish(&mut self, proof: Proof) -> Result<(), PageError> {
        let Tally { filled, records, total, most, total_pages, .. } = self.tally;
        if self.position.start == Start::Beginning {
            if let (Some(total), Some(most)) = (total, most) {
                // Records that were deleted after they were read make a cursor's count larger than the last total, but
                // not larger than every total.
                let too_many = records > if self.pagination.style.is_numbered() { total } else { most };
                if records < total || too_many {
                    return Err(PageError::TotalDisagrees { records, total });
                }
            }
            let empty = records == 0 && total_pages == Some(1);
            if let Some(total_pages) = total_pages.filter(|total_pages| filled < *total_pages && !empty) {
                return Err(PageError::PagesDisagree { pages: filled, total_pages });
            }
        }
        // One page may leave the flag out where it is false; of several, those before the last have it.
        if let Some(more) = self.pagination.more.as_ref().filter(|_| filled > 1 && !self.tally.flagged) {
            return Err(PageError::NeverSeen(more.path.clone()));
        }
        self.state = State::Done(proof);
        Ok(())
    }

    /// The upstream's flag, where it has one and the page holds it.
    pub(super) fn more(&self, fields: &PageFields) -> Result<Option<bool>, PageError> {
        let Some(more) = &self.pagination.more else { return Ok(None) };
        match (fields.get(&more.path), &more.while_) {
            (None | Some(Value::Null), _) => Ok(None),
            (Some(Value::Bool(found)), Value::Bool(wanted)) => Ok(Some(found == wanted)),
            (Some(Value::Number(found)), Value::Number(wanted)) => Ok(Some(found.as_f64() == wanted.as_f64())),
            // "true" or 1 where true was expected may mean either.
            (Some(_), Value::Bool(_) | Value::Number(_)) => Err(PageError::BadFlag(more.path.clone())),
            (Some(found), wanted) => Ok(Some(found == wanted)),
        }
    }

    fn more_without_next(&self) -> PageError {
        let path = self.pagination.more.as_ref().map(|more| more.path.clone()).unwrap_or_default();
        PageError::MoreWithoutNext { path }
    }

    /// A first page without the configured pointer ends the collection, unless it plainly has another one.
    fn check_pointer_elsewhere(&self, head: &Head, page: &Page) -> Result<(), PageError> {
        let Some(configured) = self.pagination.style.rules().pointer_name() else { return Ok(()) };
        let is_present = |source: &&Source| source.is_present(head, &page.fields);
        if self.tally.pages > 1 || self.pagination.pointers().iter().any(is_present) {
            return Ok(());
        }
        match elsewhere(head, page) {
            Some(live) => Err(PageError::PointerElsewhere { configured, live }),
            None => Ok(()),
        }
    }
}

/// What in the page plainly points to another one; where there is too much of it to be looked at, that may be anywhere.
fn elsewhere(head: &Head, page: &Page) -> Option<String> {
    if page.sketch.is_empty() {
        return Some("more stands around its records than is looked at".to_owned());
    }
    detect::live_pointer(&head.headers, &detect::outline(&page.sketch))
}
