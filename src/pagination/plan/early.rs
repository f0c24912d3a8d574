//! The next request before its page is whole: where what has been read of the page can't be overruled by what has not.

use super::follow::Follow;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::styles::Answer;
use crate::pagination::{End, PageRequest};

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
        let answer = Answer { records: page.records, ..self.answer(page.head, page.fields) };
        let rules = self.pagination.style.rules();
        let next = rules.is_certain(answer).then(|| rules.next(self.addresses(), answer).ok()?).flatten()?;
        let mut next = next.request;
        self.pin_to(&mut next).ok()?;
        (!self.tally.knows(self.place(&next))).then_some(next)
    }
}
