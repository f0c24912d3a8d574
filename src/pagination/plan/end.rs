//! Where a page leads: to the next one, or to an end that is proven.

use http::StatusCode;
use serde_json::Value;

use super::Proof;
use super::address::Computed;
use super::follow::{Aim, Follow, Start, State};
use super::range::content_range;
use super::tally::Tally;
use crate::pagination::page::{Head, Page};
use crate::pagination::{End, Source, Style, Wrong, detect};

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
        let more = self.more(page)?;
        self.tally.flagged |= more.is_some();
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
        // Shorter than a page before it, not than what was asked for: that may be more than the upstream ever gives.
        if self.pagination.end == End::ShortPage && came.short {
            return self.finish(Proof::ShortPage);
        }
        let Some(next) = self.addresses().computed(head, page)? else {
            return self.finish_single(head, page, more);
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
        let Tally { filled, records, .. } = self.tally;
        if more == Some(true) || self.position.start == Start::Midway {
            return Ok(None);
        }
        match (self.tally.total, self.tally.total_pages) {
            (Some(total), _) if records > total && self.pagination.style.is_numbered() => {
                Err(Wrong::TotalDisagrees { records, total })
            }
            (Some(total), _) if records == total => Ok(Some(Proof::Total(total))),
            (None, Some(total_pages)) if filled >= total_pages => Ok(Some(Proof::TotalPages(total_pages))),
            _ => Ok(None),
        }
    }

    fn advance_range(&mut self, head: &Head, page: &Page) -> Result<(), Wrong> {
        let bad = |what: String| Wrong::BadRange(what);
        let range = content_range(&head.headers)?;
        let Some(range) = range else {
            // RFC 9110 §14.2: a server that ignores the range sends the whole, with 200 and without Content-Range.
            return match (head.status, self.tally.pages) {
                (StatusCode::OK, 1) => self.finish_single(head, page, None),
                (StatusCode::OK, _) => Err(bad("200 for the whole where earlier answers were ranges".to_owned())),
                _ => Err(bad("206 without Content-Range".to_owned())),
            };
        };
        if range.span.is_none() && page.records() == 0 {
            return self.finish(Proof::EmptyPage);
        }
        let (first, last) = range.span.ok_or_else(|| bad("records without a range in Content-Range".to_owned()))?;
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

    /// One page is all, unless its answer plainly says that there is more.
    fn finish_single(&mut self, head: &Head, page: &Page, more: Option<bool>) -> Result<(), Wrong> {
        let live = match more {
            Some(true) => self.pagination.more.as_ref().map(|more| format!("`{}` says that there is more", more.path)),
            _ => detect::live_pointer(&head.headers, &detect::outline(&page.raw)),
        };
        match live {
            Some(live) => Err(Wrong::MoreThanOnePage(live)),
            None => self.finish(Proof::SinglePage),
        }
    }

    /// ⇒ Done, unless what came contradicts the upstream's own numbers.
    pub(super) fn finish(&mut self, proof: Proof) -> Result<(), Wrong> {
        let Tally { filled, records, total, most, total_pages, .. } = self.tally;
        if self.position.start == Start::Beginning {
            if let (Some(total), Some(most)) = (total, most) {
                // Records that were deleted after they were read make a cursor's count larger than the last total, but
                // not larger than every total.
                let too_many = records > if self.pagination.style.is_numbered() { total } else { most };
                if records < total || too_many {
                    return Err(Wrong::TotalDisagrees { records, total });
                }
            }
            let empty = records == 0 && total_pages == Some(1);
            if let Some(total_pages) = total_pages.filter(|total_pages| filled < *total_pages && !empty) {
                return Err(Wrong::PagesDisagree { pages: filled, total_pages });
            }
        }
        // One page may leave the flag out where it is false; of several, those before the last have it.
        if let Some(more) = self.pagination.more.as_ref().filter(|_| filled > 1 && !self.tally.flagged) {
            return Err(Wrong::NeverSeen(more.path.clone()));
        }
        self.state = State::Done(proof);
        Ok(())
    }

    /// The upstream's flag, where it has one and the page holds it.
    fn more(&self, page: &Page) -> Result<Option<bool>, Wrong> {
        let Some(more) = &self.pagination.more else { return Ok(None) };
        match (page.field(&more.path), &more.while_) {
            (None | Some(Value::Null), _) => Ok(None),
            (Some(Value::Bool(found)), Value::Bool(wanted)) => Ok(Some(found == wanted)),
            (Some(Value::Number(found)), Value::Number(wanted)) => Ok(Some(found.as_f64() == wanted.as_f64())),
            // "true" or 1 where true was expected may mean either.
            (Some(_), Value::Bool(_) | Value::Number(_)) => Err(Wrong::BadFlag(more.path.clone())),
            (Some(found), wanted) => Ok(Some(found == wanted)),
        }
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
        match detect::live_pointer(&head.headers, &detect::outline(&page.raw)) {
            Some(live) => Err(Wrong::PointerElsewhere { configured, live }),
            None => Ok(()),
        }
    }
}
