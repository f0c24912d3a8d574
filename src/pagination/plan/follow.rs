//! The plan that walks one page at a time: each answer is proven against the ones before it, and leads to the next or to
//! the end.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::address::{Addresses, Computed, range};
use super::tally::{Shrunk, Tally, excerpt};
use super::{Emit, Proof, Step};
use crate::config::Caps;
use crate::pagination::page::{Head, Page};
use crate::pagination::{
    Encode, End, Overlap, PageRequest, PageSize, Pagination, Param, SameToken, Source, Style, Wrong, detect,
};
use crate::upstream::guard::Guard;

/// One page at a time.
#[derive(Debug)]
pub struct Follow {
    pagination: Arc<Pagination>,
    caps: Caps,
    guard: Guard,
    first: PageRequest,
    state: State,
    tally: Tally,
    position: Position,
    last_key: Option<Vec<Option<Value>>>,
}

#[derive(Debug)]
enum State {
    Ask(Box<PageRequest>, Aim),
    Asked(Box<PageRequest>, Aim),
    Done(Proof),
}

/// What a page is asked for.
#[derive(Clone, Copy, Debug)]
enum Aim {
    /// Its records.
    Records,
    /// To see that nothing follows a count that agrees already: a total alone may be the size of one page.
    Confirm(Proof),
}

/// Where a numbered walk stands.
#[derive(Clone, Copy, Debug)]
struct Position {
    number: u64,
    start: Start,
}

/// Whether the walk starts where the collection does; otherwise its totals prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Beginning,
    Midway,
}

impl Follow {
    /// A walk that starts with `first`, to which the page size and the first number are added.
    pub fn new(pagination: Arc<Pagination>, caps: Caps, guard: Guard, first: PageRequest) -> Result<Self, Wrong> {
        let mut first = first;
        if let Some(PageSize { param: Some(param), .. }) = &pagination.page_size
            && let Some(size) = pagination.page_size.as_ref().and_then(PageSize::asked)
            && first.value_at(param).is_none()
        {
            first.set(param, &json!(size), Encode::Plain)?;
        }
        let mut plan = Self {
            pagination,
            caps,
            guard,
            state: State::Ask(Box::new(first.clone()), Aim::Records),
            first,
            tally: Tally::default(),
            position: Position { number: 0, start: Start::Beginning },
            last_key: None,
        };
        let opening = plan.opening()?;
        plan.ask(opening, Aim::Records)?;
        Ok(plan)
    }

    /// What to do now.
    pub fn step(&mut self) -> Step {
        match &self.state {
            // Ask ⇒ Asked, and Asked ⇒ Asked: an answer that was never reported is asked for once more
            State::Ask(request, aim) | State::Asked(request, aim) => {
                let (request, aim) = (request.clone(), *aim);
                self.state = State::Asked(request.clone(), aim);
                Step::Fetch(request)
            }
            State::Done(proof) => Step::Done(*proof),
        }
    }

    /// Pages that came.
    pub fn pages(&self) -> u64 {
        self.tally.pages
    }

    /// The upstream's own total, as far as it is known.
    pub fn total(&self) -> Option<u64> {
        self.tally.total
    }

    /// The page that was asked for came: which of its records to emit, or why none of them can be trusted.
    pub fn arrived(&mut self, head: &Head, page: &Page) -> Result<Emit, Wrong> {
        self.check_error(page)?;
        let aim = match self.state {
            State::Asked(_, aim) => aim,
            State::Ask(..) | State::Done(_) => Aim::Records,
        };
        let skip = self.overlapping(page);
        let new = page.records() - skip;
        if let Some(earlier) = self.tally.repeated(page).filter(|_| new > 0) {
            return match aim {
                // Asked ⇒ Done: an upstream that clamps page numbers gives the last page once more.
                Aim::Confirm(proof) if earlier == self.tally.pages => self.finish(proof).map(|()| Emit::Nothing),
                _ => Err(Wrong::Repeat(earlier)),
            };
        }
        if let Aim::Confirm(proof) = aim
            && page.records() > 0
        {
            return Err(match proof {
                Proof::TotalPages(total_pages) => Wrong::PagesDisagree { pages: self.tally.pages + 1, total_pages },
                _ => Wrong::TotalLied(self.tally.records),
            });
        }
        let totals = (self.pagination.total.as_ref(), self.pagination.total_pages.as_ref());
        let shrunk = self.tally.read_totals(totals.0, totals.1, head, page)?;
        if let Shrunk::From(before) = shrunk
            && self.pagination.style.is_numbered()
        {
            return Err(Wrong::TotalShrank { before, after: self.tally.total.unwrap_or_default() });
        }
        let short = page.records() < self.tally.longest;
        self.tally.count(page, new);
        self.advance(head, page, new, aim, short)?;
        self.tally.longest = self.tally.longest.max(page.records());
        self.last_key = page.edges.as_ref().map(|edges| edges.last.clone()).or(self.last_key.take());
        Ok(Emit::From { skip })
    }

    /// The page that was asked for was refused; `Ok` where that is how the collection ends.
    pub fn refused(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Wrong> {
        let past_the_last = matches!(status.as_u16(), 400 | 404 | 410 | 416 | 422);
        match (&self.pagination.style, self.pagination.end, &self.state) {
            // Asked ⇒ Done
            (_, _, State::Asked(_, Aim::Confirm(proof))) if past_the_last => self.finish(*proof),
            (_, End::Status(end), _) if end == status && self.tally.pages > 0 => self.finish(Proof::Status(status)),
            (Style::Range { .. }, _, _) if status == StatusCode::RANGE_NOT_SATISFIABLE => {
                let total = content_range(headers)?.and_then(|range| range.total);
                let total = total.ok_or_else(|| Wrong::BadRange("416 without the collection's length".to_owned()))?;
                self.tally.total = Some(total);
                self.finish(Proof::Total(total))
            }
            _ => Err(Wrong::Status { status, excerpt: excerpt(&String::from_utf8_lossy(body)) }),
        }
    }

    /// Where the page leads: Asked ⇒ Ask, or Asked ⇒ Done.
    fn advance(&mut self, head: &Head, page: &Page, new: u64, aim: Aim, short: bool) -> Result<(), Wrong> {
        if let Aim::Confirm(proof) = aim {
            return self.finish(proof);
        }
        let more = self.more(page);
        if self.pagination.style.is_pointed() {
            match (self.addresses().pointed(head, page)?, more) {
                (Some(_), Some(false)) => self.finish(Proof::Flag),
                (Some(_), _) if self.pagination.end == End::EmptyPage && new == 0 => self.finish(Proof::EmptyPage),
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
            self.advance_counted(head, page, new, more, short)
        }
    }

    /// Numbers and keys: nothing in the page leads on, so what ends it must be proven.
    fn advance_counted(
        &mut self,
        head: &Head,
        page: &Page,
        new: u64,
        more: Option<bool>,
        short: bool,
    ) -> Result<(), Wrong> {
        if more == Some(false) {
            return self.finish(Proof::Flag);
        }
        // An empty page that says "more" goes on by its number; a key or offset could not advance.
        if new == 0 && !(more == Some(true) && matches!(self.pagination.style, Style::Page { .. })) {
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
            Some(proof) if short => self.finish(proof),
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
        if first != self.position.number || (last + 1).saturating_sub(first) != page.records() {
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

    /// ⇒ Ask, unless a cap or a circle is in the way.
    fn ask(&mut self, next: Computed, aim: Aim) -> Result<(), Wrong> {
        let Tally { pages, records, empty_pages, .. } = self.tally;
        let limits = &self.pagination.limits;
        let caps = [
            ("max_pages", limits.max_pages, pages),
            ("max_results", limits.max_results, records),
            ("caps.pages", Some(self.caps.pages), pages),
        ];
        for (name, limit, reached) in caps {
            if let Some(value) = limit.filter(|limit| reached >= *limit) {
                return Err(Wrong::Limit { name, value });
            }
        }
        let is_offset = matches!(self.pagination.style, Style::Offset { .. } | Style::Range { .. });
        if let Some(value) = limits.max_offset.filter(|limit| is_offset && next.position > *limit) {
            return Err(Wrong::Limit { name: "max_offset", value });
        }
        if empty_pages > self.caps.empty_pages {
            return Err(Wrong::EmptyPages(empty_pages));
        }
        let identity = next.request.identity();
        if let State::Asked(asked, _) = &self.state
            && asked.identity() == identity
        {
            return match (self.pagination.same_token, &self.pagination.style) {
                (SameToken::End, _) => self.finish(Proof::SameToken),
                (SameToken::Error, Style::Keyset { .. }) => Err(Wrong::KeyRepeats),
                (SameToken::Error, _) => Err(Wrong::TokenRepeats),
            };
        }
        self.tally.asked(identity).map_err(Wrong::AddressRepeats)?;
        self.position.number = next.position;
        self.state = State::Ask(Box::new(next.request), aim);
        Ok(())
    }

    /// ⇒ Done, unless what came contradicts the upstream's own numbers.
    fn finish(&mut self, proof: Proof) -> Result<(), Wrong> {
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

    /// The first request, with the number that the style starts from.
    fn opening(&mut self) -> Result<Computed, Wrong> {
        let pagination = Arc::clone(&self.pagination);
        match &pagination.style {
            Style::Page { param, start, template } | Style::Offset { param, start, template, .. } => {
                let own = if template.is_some() { None } else { self.first.value_at(param) };
                let number = match own {
                    Some(text) => text.trim().parse().map_err(|_| Wrong::BadStart(param.clone()))?,
                    None => *start,
                };
                if number != *start {
                    self.position.start = Start::Midway;
                }
                let name = if matches!(pagination.style, Style::Page { .. }) { "page" } else { "offset" };
                self.addresses().numbered(param, template.as_ref(), number, name)
            }
            Style::Range { unit, size } => {
                let mut request = self.first.clone();
                request.headers.insert(header::RANGE, range(unit, 0, *size)?);
                Ok(Computed { request, position: 0 })
            }
            style => {
                let given = |param: &Param| self.first.value_at(param).is_some_and(|text| !is_blank(&text));
                if style.page_params().into_iter().any(given) {
                    self.position.start = Start::Midway;
                }
                Ok(Computed { request: self.first.clone(), position: 0 })
            }
        }
    }

    fn addresses(&self) -> Addresses<'_> {
        Addresses {
            pagination: &self.pagination,
            guard: &self.guard,
            first: &self.first,
            position: self.position.number,
        }
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

    fn check_error(&self, page: &Page) -> Result<(), Wrong> {
        let Some(path) = &self.pagination.error else { return Ok(()) };
        match page.field(path) {
            Some(value) if !super::address::says_none(value) => {
                Err(Wrong::ErrorInPage { path: path.clone(), value: excerpt(&value.to_string()) })
            }
            _ => Ok(()),
        }
    }

    /// How many records at the page's start are the one that its key named.
    fn overlapping(&self, page: &Page) -> u64 {
        let overlaps = matches!(self.pagination.style, Style::Keyset { overlap: Overlap::First, .. });
        match (&self.last_key, &page.edges) {
            (Some(last), Some(edges)) if overlaps && edges.first == *last => 1,
            _ => 0,
        }
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

/// What stands in a request where a token will go, before there is one.
fn is_blank(text: &str) -> bool {
    text.is_empty() || text == "null"
}

/// A `Content-Range` (RFC 9110 §14.4) of any unit.
struct ContentRange {
    span: Option<(u64, u64)>,
    total: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Result<Option<ContentRange>, Wrong> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let read = || {
        let (_, range) = text.trim().split_once(' ')?;
        let (span, total) = range.split_once('/')?;
        let span = match span {
            "*" => None,
            span => {
                let (first, last) = span.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            }
        };
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        Some(ContentRange { span, total })
    };
    read().map(Some).ok_or_else(|| Wrong::BadRange(format!("Content-Range is `{}`", excerpt(&text))))
}
