//! The next request before its page is whole: where what has been read of the page can't be overruled by what has not.

use serde_json::Value;

use super::follow::Follow;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::{End, PageRequest, Source, Style};

/// What has come of a page that is still arriving.
#[derive(Clone, Copy, Debug)]
pub struct SoFar<'a> {
    pub head: &'a Head,
    pub fields: &'a PageFields,
    /// How many of its records.
    pub records: u64,
}

impl Follow {
    /// The request that the page will most likely lead to, where pages point to each other. A hint: [`Follow::step`] decides, and
    /// what it asks for is this or something else.
    pub fn early(&self, page: SoFar<'_>) -> Option<PageRequest> {
        let goes_on = match &self.pagination.more {
            Some(more) => page.fields.get(&more.path).is_some() && self.more(page.fields).ok()? == Some(true),
            None => true,
        };
        let may_be_last = self.pagination.end == End::EmptyPage && page.records == 0;
        if self.awaits_pins() || !goes_on || may_be_last || self.check_error(page.fields).is_err() {
            return None;
        }
        let certain = match &self.pagination.style {
            Style::LinkHeader { .. } => true,
            Style::NextUrl { next, .. } => is_certain(next, &[], page),
            Style::Cursor(cursor) => {
                let merged = cursor.merge.as_ref().is_none_or(|path| page.fields.get(path).is_some());
                merged && cursor.tokens.iter().all(|token| is_certain(&token.next, &cursor.end_values, page))
            }
            _ => false,
        };
        let mut next = certain.then(|| self.addresses().pointed(page.head, page.fields).ok()?).flatten()?;
        self.pin_to(&mut next).ok()?;
        (!self.tally.knows(self.place(&next))).then_some(next)
    }
}

/// Whether the first source that points somewhere is known: one before it that has not been read yet may do so, too.
fn is_certain(sources: &[Source], ends: &[Value], page: SoFar<'_>) -> bool {
    for source in sources {
        let is_read = match source {
            Source::Header(_) | Source::LastLink { .. } => true,
            Source::Body(path) | Source::Links { path, .. } => page.fields.get(path).is_some(),
        };
        if !is_read {
            return false;
        }
        if super::address::first_live(std::slice::from_ref(source), page.head, page.fields, ends).is_some() {
            return true;
        }
    }
    false
}
