//! Where a page leads: to the next one, or to an end that is proven.

use http::StatusCode;

use super::Proof;
use super::address::Computed;
use super::follow::{Aim, Follow, Start, State};
use super::range::content_range;
use super::tally::Tally;
use crate::pagination::page::{Head, Page};
use crate::pagination::{End, PageSize, Source, Style, Wrong, detect};

/// What the plan knows of a page beside its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    /// How many of its records no page before had.
    pub(super) new: u64,
    /// Whether it is shorter than a page before it.
    pub(super) short: bool,
}

impl Follow {
    /// Where the page leads: Asked ⇒ Ask, or Asked ⇒ Done.
    pub(super) fn advance(&mut self, head: &Head, page: &Page, came: Came, aim: Aim) -> Result<(), Wrong> {
        if let Aim::Confirm(proof) = aim {
            return self.finish(proof);
        }
        let more = self.more(page);
        if self.pagination.style.is_pointed() {
            match (self.addresses().pointed(head, page)?, more) {
                (Some(_), Some(false)) => self.finish(Proof::Flag),
                (Some(_), _) if self.pagination.end == End::EmptyPage && came.new == 0 => self.finish(Proof::EmptyPage),
                (Some(next), _) => self.ask(Computed { request: next, position: 0 }, Aim::Records),
                (None, Some(true)) => Err(self.more_without_next()),
                (None, _) => {
                    self.check_pointer_elsewhere(head, page)?;
                    self.finish(if more == Some(false) { Proof::Flag } else { Proof::NoNext })
                }
            }
        } else if matches!(self.pagination.style, Style::Range { .. }) {
            self.advance_range(head, page)
        } else {
            self.advance_counted(head, page, came, more)
        }
    }

    /// Numbers and keys: nothing in the page leads on, so what ends it must be proven.
    fn advance_counted(&mut self, head: &Head, page: &Page, came: Came, more: Option<bool>) -> Result<(), Wrong> {
        if more == Some(false) {
            return self.finish(Proof::Flag);
        }
        // An empty page that says "more" goes on by its number; a key or offset could not advance.
        if came.new == 0 && !(more == Some(true) && matches!(self.pagination.style, Style::Page { .. })) {
            return match more {
                Some(true) => Err(self.more_without_next()),
                _ => self.finish(Proof::EmptyPage),
            };
        }
        let asked = self.pagination.page_size.as_ref().and_then(PageSize::asked);
        if self.pagination.end == End::ShortPage && asked.is_some_and(|size| page.records() < size) {
            return self.finish(Proof::ShortPage);
        }
        let Some(next) = self.addresses().computed(head, page)? else {
            return self.finish_single(head);
        };
        match self.agreeing(more)? {
            // Two signals agree: the count, and a page shorter than those before it.
            Some(proof) if came.short => self.finish(proof),
            Some(proof) => self.ask(next, Aim::Confirm(proof)),
            None => self.ask(next, Aim::Records),
        }
    }

    /// The count that agrees with what the upstream says of itself, if one does.
    fn agreeing(&self, more: Option<bool>) -> Result<Option<Proof>, Wrong> {
        let Tally { pages, records, .. } = self.tally;
        if more == Some(true) || self.position.start == Start::Midway {
            return Ok(None);
        }
        match (self.tally.total, self.tally.total_pages) {
            (Some(total), _) if records > total && self.pagination.style.is_numbered() => {
                Err(Wrong::TotalDisagrees { records, total })
            }
            (Some(total), _) if records == total => Ok(Some(Proof::Total(total))),
            (None, Some(total_pages)) if pages >= total_pages => Ok(Some(Proof::TotalPages(total_pages))),
            _ => Ok(None),
        }
    }

    fn advance_range(&mut self, head: &Head, page: &Page) -> Result<(), Wrong> {
        if head.status == StatusCode::OK {
            return match self.tally.pages {
                // RFC 9110 §14.2: a server that ignores the range sends the whole.
                1 => self.finish(Proof::SinglePage),
                _ => Err(Wrong::BadRange("200 where earlier answers were 206".to_owned())),
            };
        }
        let bad = |what: String| Wrong::BadRange(what);
        let range = content_range(&head.headers)?.ok_or_else(|| bad("206 without Content-Range".to_owned()))?;
        let (first, last) = range.span.ok_or_else(|| bad("206 without a range in Content-Range".to_owned()))?;
        if first != self.position.number || last - first + 1 != page.records() {
            return Err(bad(format!(
                "{} records from {} where Content-Range says {first}-{last}",
                page.records(),
                self.position.number
            )));
        }
        self.tally.total = range.total.or(self.tally.total);
        match range.total {
            Some(total) if last + 1 >= total => self.finish(Proof::Total(total)),
            _ => match self.addresses().computed(head, page)? {
                Some(next) => self.ask(next, Aim::Records),
                None => self.finish(Proof::SinglePage),
            },
        }
    }

    fn finish_single(&mut self, head: &Head) -> Result<(), Wrong> {
        let links = crate::pagination::link::links(&head.headers)?;
        if links.iter().any(|link| link.has_rel("next")) {
            return Err(Wrong::MoreThanOnePage("its answer has a Link header with rel=next".to_owned()));
        }
        self.finish(Proof::SinglePage)
    }

    /// ⇒ Done, unless what came contradicts the upstream's own numbers.
    pub(super) fn finish(&mut self, proof: Proof) -> Result<(), Wrong> {
        let Tally { pages, records, total, total_pages, .. } = self.tally;
        if self.position.start == Start::Beginning {
            if let Some(total) = total {
                // Records that were deleted after they were read make a cursor's count larger than the last total.
                let too_many = records > total && self.pagination.style.is_numbered();
                if records < total || too_many {
                    return Err(Wrong::TotalDisagrees { records, total });
                }
            }
            if let Some(total_pages) = total_pages.filter(|total_pages| total.is_none() && pages < *total_pages) {
                return Err(Wrong::PagesDisagree { pages, total_pages });
            }
        }
        self.state = State::Done(proof);
        Ok(())
    }

    /// The upstream's flag, where it has one and the page holds it.
    fn more(&self, page: &Page) -> Option<bool> {
        let more = self.pagination.more.as_ref()?;
        page.field(&more.path).filter(|value| !value.is_null()).map(|value| *value == more.while_)
    }

    fn more_without_next(&self) -> Wrong {
        let path = self.pagination.more.as_ref().map(|more| more.path.clone()).unwrap_or_default();
        Wrong::MoreWithoutNext { path }
    }

    /// A first page without the configured pointer ends the collection, unless it plainly has another one.
    fn check_pointer_elsewhere(&self, head: &Head, page: &Page) -> Result<(), Wrong> {
        let by_attribute = matches!(self.pagination.style, Style::LinkHeader { attribute: Some(_), .. });
        let sources = self.pagination.pointers();
        let present = |source: &&Source| match source {
            Source::Body(path) | Source::Links { path, .. } => page.field(path).is_some(),
            Source::Header(name) => head.headers.contains_key(name),
        };
        if self.tally.pages > 1 || by_attribute || sources.iter().any(present) {
            return Ok(());
        }
        let configured = match &self.pagination.style {
            Style::LinkHeader { rel, .. } => format!("a Link header with rel={rel}"),
            _ => sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let raw = serde_json::from_slice(&page.raw).unwrap_or_default();
        match detect::live_pointer(&head.headers, &raw) {
            Some(live) => Err(Wrong::PointerElsewhere { configured, live }),
            None => Ok(()),
        }
    }
}
