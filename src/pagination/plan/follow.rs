//! The plan that walks one page after the other: each answer is proven against the ones before it, and leads to the next or
//! to the end.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::address::{Addresses, Computed};
use super::end::Came;
use super::gist::{Gist, Leave, Mark, first_line, holds, values_of};
use super::range;
use super::tally::{Shrunk, Tally, excerpt, number};
use super::{Proof, Step};
use crate::batch::Batch;
use crate::pagination::detect;
use crate::pagination::guard::Guard;
use crate::pagination::page::{Fields, Head, Page};
use crate::pagination::{Caps, End, Overlap, PageRequest, Pagination, Param, SameToken, Style, Wrong};

/// One page at a time.
#[derive(Debug)]
pub struct Follow {
    pub(super) pagination: Arc<Pagination>,
    pub(super) caps: Caps,
    guard: Guard,
    first: PageRequest,
    pub(super) state: State,
    pub(super) tally: Tally,
    pub(super) position: Position,
    /// How many records a page is asked for: the client's own number, else the configured one.
    pub(super) size: Option<u64>,
    mark: Mark,
    /// The page that is arriving.
    pub(super) page: Gist,
    /// The last record before it.
    last: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) enum State {
    Ask(Box<PageRequest>, Aim),
    Asked(Box<PageRequest>, Aim),
    Done(Proof),
}

/// What a page is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    /// Its records.
    Records,
    /// To see that nothing follows a count that agrees already: a total alone may be the size of one page.
    Confirm(Proof),
}

/// Where a numbered walk stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) number: u64,
    pub(super) start: Start,
}

/// Whether the walk starts where the collection does; otherwise its totals prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    Midway,
}

impl Follow {
    /// A walk that starts with `first`, to which the page size and the first number are added.
    pub fn new(pagination: Arc<Pagination>, caps: Caps, guard: Guard, first: PageRequest) -> Result<Self, Wrong> {
        let first = pagination.sized(first)?;
        let mark = Mark::of(pagination.key.as_ref());
        let mut plan = Self {
            pagination,
            caps,
            guard,
            state: State::Ask(Box::new(first.clone()), Aim::Records),
            first,
            tally: Tally::default(),
            position: Position { number: 0, start: Start::Beginning },
            size: None,
            mark,
            page: Gist::default(),
            last: None,
        };
        plan.size = plan.asked_size()?;
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
                self.page = Gist::default();
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

    /// Whether the first request names a page behind the collection's beginning.
    pub fn starts_midway(&self) -> bool {
        self.position.start == Start::Midway
    }

    /// The upstream's own total, as far as it is known.
    pub fn total(&self) -> Option<u64> {
        self.tally.total
    }

    /// The total that a page tells that is still arriving.
    pub fn total_in(&self, head: &Head, fields: &Fields) -> Option<u64> {
        number(self.pagination.total.as_ref()?, head, fields).ok()?
    }

    /// A head came that brings a page, or why none of its records may leave. Said of each attempt.
    pub fn begun(&self, head: &Head) -> Result<(), Wrong> {
        if matches!(self.pagination.style, Style::Range { .. }) {
            return self.check_range(head);
        }
        match head.status {
            StatusCode::PARTIAL_CONTENT => Err(Wrong::Status { status: head.status, excerpt: String::new() }),
            _ => Ok(()),
        }
    }

    /// The next records of the page: which of them may leave now, or why no more of them can be trusted. Each is shown once.
    pub fn records(&mut self, head: &Head, fields: &Fields, mut batch: Batch) -> Result<Batch, Wrong> {
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
    pub fn arrived(&mut self, head: &Head, mut page: Page) -> Result<Batch, Wrong> {
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
                    self.finish(proof).map(|()| Batch::default())
                }
                _ => Err(Wrong::Repeat(earlier)),
            };
        }
        if let Aim::Confirm(proof) = aim
            && new > 0
        {
            return Err(match proof {
                Proof::TotalPages(total_pages) => Wrong::PagesDisagree { pages: self.tally.pages + 1, total_pages },
                _ => Wrong::TotalLied(self.tally.records),
            });
        }
        self.read_totals(head, &page.fields)?;
        let short = records < self.tally.longest;
        self.tally.count(&self.page);
        self.advance(Came { head, page: &page, records, new, short }, aim)?;
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

    /// The page that was asked for was refused; `Ok` where that is how the collection ends.
    pub fn refused(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Wrong> {
        // 400 and 422 also mean that a parameter is unknown or that a window is too deep.
        let past_the_last = matches!(status.as_u16(), 404 | 410 | 416);
        match (&self.pagination.style, self.pagination.end, &self.state) {
            // Asked ⇒ Done
            (_, _, State::Asked(_, Aim::Confirm(proof))) if past_the_last => self.finish(*proof),
            (_, End::Status(end), _) if end == status && self.tally.pages > 0 => self.finish(Proof::Status(status)),
            (Style::Range { .. }, _, _) if status == StatusCode::RANGE_NOT_SATISFIABLE => {
                let total = range::content_range(headers)?.and_then(|range| range.total);
                let total = total.ok_or_else(|| Wrong::BadRange("416 without the collection's length".to_owned()))?;
                self.tally.total = Some(total);
                self.finish(Proof::Total(total))
            }
            _ => {
                let location = headers.get(header::LOCATION).filter(|_| status.is_redirection());
                let said = location.map_or(body, HeaderValue::as_bytes);
                Err(Wrong::Status { status, excerpt: excerpt(&String::from_utf8_lossy(said)) })
            }
        }
    }

    /// ⇒ Ask, unless a cap or a circle is in the way.
    pub(super) fn ask(&mut self, next: Computed, aim: Aim) -> Result<(), Wrong> {
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
                request.headers.insert(header::RANGE, range::wanted(unit, 0, *size)?);
                Ok(Computed { request, position: 0 })
            }
            style => {
                let given = |param: &Param| self.first.value_at(param).is_some_and(|text| !is_blank(param, &text));
                if style.page_params().into_iter().any(given) {
                    self.position.start = Start::Midway;
                }
                Ok(Computed { request: self.first.clone(), position: 0 })
            }
        }
    }

    pub(super) fn addresses(&self) -> Addresses<'_> {
        Addresses {
            pagination: &self.pagination,
            guard: &self.guard,
            first: &self.first,
            position: self.position.number,
            size: self.size,
            page: &self.page,
        }
    }

    pub(super) fn check_error(&self, fields: &Fields) -> Result<(), Wrong> {
        let Some(path) = &self.pagination.error else { return Ok(()) };
        match fields.get(path) {
            Some(value) if !super::address::says_none(value) => {
                Err(Wrong::ErrorInPage { path: path.clone(), value: excerpt(&value.to_string()) })
            }
            _ => Ok(()),
        }
    }

    /// How many records at the page's start are the one that its key named.
    fn overlapping(&self, batch: &Batch) -> Result<u64, Wrong> {
        let (Style::Keyset { key, overlap: Overlap::First, .. }, Some(last)) = (&self.pagination.style, &self.last)
        else {
            return Ok(0);
        };
        let first = first_line(batch.lines());
        if values_of(first, key)? != values_of(last, key)? {
            return Ok(0);
        }
        if first.trim_ascii() == last.trim_ascii() { Ok(1) } else { Err(Wrong::KeyIsShared) }
    }

    /// When the page's records may leave, as its first one says.
    fn leave(&self) -> Leave {
        match self.state {
            State::Asked(_, Aim::Confirm(_)) => Leave::Never,
            _ if self.tally.started(self.page.start) => Leave::AtTheEnd,
            _ => Leave::Now,
        }
    }

    /// Whether the total, where it is known before the records, has shrunk.
    fn check_total(&self, head: &Head, fields: &Fields) -> Result<(), Wrong> {
        let (Some(source), Some(before)) = (&self.pagination.total, self.tally.total) else { return Ok(()) };
        match number(source, head, fields)?.filter(|_| self.pagination.style.is_numbered()) {
            Some(after) if after < before => Err(Wrong::TotalShrank { before, after }),
            _ => Ok(()),
        }
    }

    /// Records that were inserted before the current page push the last ones of the page before into it.
    fn look_for_moved(&mut self, batch: &Batch) -> Result<(), Wrong> {
        // Without keys, equal records may be different ones: only a total that grew tells.
        let may_tell = self.pagination.key.is_some() || self.pagination.total.is_some();
        let Some(last) = self.last.as_ref().filter(|_| may_tell && self.pagination.style.is_numbered()) else {
            return Ok(());
        };
        if self.page.moved || !holds(batch.lines(), last) {
            return Ok(());
        }
        if self.pagination.key.is_some() && self.page.leave == Leave::Now {
            return Err(Wrong::Moved(self.tally.pages));
        }
        self.page.moved = true;
        if self.page.leave == Leave::Now {
            self.page.leave = Leave::AtTheEnd;
        }
        Ok(())
    }

    fn read_totals(&mut self, head: &Head, fields: &Fields) -> Result<(), Wrong> {
        let before = self.tally.total;
        let (total, total_pages) = (self.pagination.total.as_ref(), self.pagination.total_pages.as_ref());
        let shrunk = self.tally.read_totals(total, total_pages, head, fields, self.page.records)?;
        if let Shrunk::From(before) = shrunk
            && self.pagination.style.is_numbered()
        {
            return Err(Wrong::TotalShrank { before, after: self.tally.total.unwrap_or_default() });
        }
        let grew = before.is_some() && self.tally.total > before;
        if self.page.moved && (grew || self.pagination.key.is_some()) {
            return Err(Wrong::Moved(self.tally.pages));
        }
        Ok(())
    }

    /// Whether the upstream's total and its number of pages both say that this is all.
    fn counts_agree(&self) -> bool {
        self.tally.total == Some(self.tally.records) && self.tally.total_pages == Some(self.tally.filled)
    }

    fn asked_size(&self) -> Result<Option<u64>, Wrong> {
        let Some(size) = &self.pagination.page_size else { return Ok(None) };
        match size.param.as_ref().and_then(|param| Some((param, self.first.value_at(param)?))) {
            Some((param, text)) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Wrong::BadStart(param.clone())),
            },
            None => Ok(size.asked()),
        }
    }
}

/// What stands in a request where a token will go, before there is one; a token that is a page's number begins at 0 or 1.
fn is_blank(param: &Param, text: &str) -> bool {
    let counts_pages = matches!(param, Param::Query(name) if detect::is_page_number(name));
    matches!(text, "" | "null") || counts_pages && matches!(text, "0" | "1")
}
