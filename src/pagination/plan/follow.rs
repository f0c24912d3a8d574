//! The plan that walks one page after the other: each answer is proven against the ones before it, and leads to the next or
//! to the end.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::gist::{Gist, Mark};
use super::halve::Resized;
use super::pins::Pins;
use super::tally::Tally;
use crate::caps::Caps;
use crate::pagination::detect;
use crate::pagination::error::excerpt;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::proof::Proof;
use crate::pagination::styles::{Address, AddressContext, Answer, Start};
use crate::pagination::{End, PageError, PageRequest, Pagination, Param, SameToken};

/// What a walk wants done.
#[derive(Clone, Debug)]
pub enum Walk {
    /// Ask for this page and report what came.
    Fetch(Box<PageRequest>),
    /// Nothing more: it is complete.
    Done(Proof),
}

/// One page at a time.
#[derive(Debug)]
pub struct Follow {
    pub(super) pagination: Arc<Pagination>,
    pub(super) caps: Caps,
    guard: LinkGuard,
    /// The first request in the size that it was asked for at first: what every other is known by its difference to.
    pub(super) origin: PageRequest,
    /// The same in the size that pages are asked for now.
    pub(super) first: PageRequest,
    pub(super) state: State,
    pub(super) pins: Pins,
    pub(super) tally: Tally,
    pub(super) position: Position,
    /// How many records a page is asked for: the client's own number, else the configured one.
    pub(super) size: Option<u64>,
    /// How that has changed, if it has.
    pub(super) resized: Option<Resized>,
    pub(super) mark: Mark,
    /// The page that is arriving.
    pub(super) page: Gist,
    /// The last record before it.
    pub(super) last: Option<Vec<u8>>,
    /// How far the number advanced from the page before to this one.
    pub(super) stride: Option<u64>,
}

#[derive(Debug)]
pub(super) enum State {
    Ask(Box<PageRequest>, Aim),
    Asked(Box<PageRequest>, Aim),
    Done(Proof),
}

/// What a page is asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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

impl Follow {
    /// A walk that starts with `first`, to which the page size and the first number are added.
    pub fn new(
        pagination: Arc<Pagination>,
        caps: Caps,
        guard: LinkGuard,
        first: PageRequest,
    ) -> Result<Self, PageError> {
        let first = pagination.sized(first)?;
        let mark = Mark::of(pagination.key.as_ref());
        let owner = Arc::clone(&pagination);
        let valid_at = owner.valid_at.as_ref();
        let mut plan = Self {
            pagination,
            caps,
            guard,
            state: State::Ask(Box::new(first.clone()), Aim::Records),
            pins: Pins::of(valid_at, &first),
            origin: first.clone(),
            first,
            tally: Tally::default(),
            position: Position { number: 0, start: Start::Beginning },
            size: None,
            resized: None,
            mark,
            page: Gist::default(),
            last: None,
            stride: None,
        };
        plan.size = plan.asked_size()?;
        let opening = plan.opening()?;
        plan.ask(opening, Aim::Records)?;
        Ok(plan)
    }

    /// What to do now.
    pub fn step(&mut self) -> Walk {
        match &self.state {
            // Ask ⇒ Asked, and Asked ⇒ Asked: an answer that was never reported is asked for once more
            State::Ask(request, aim) | State::Asked(request, aim) => {
                let (request, aim) = (request.clone(), *aim);
                self.page = Gist::default();
                self.state = State::Asked(request.clone(), aim);
                Walk::Fetch(request)
            }
            State::Done(proof) => Walk::Done(*proof),
        }
    }

    /// The page that [`Follow::step`] would ask for next.
    pub(super) fn next(&self) -> Option<&PageRequest> {
        match &self.state {
            State::Ask(request, _) => Some(request),
            State::Asked(..) | State::Done(_) => None,
        }
    }

    /// How the end is known, once it is.
    pub(super) fn proof(&self) -> Option<Proof> {
        match &self.state {
            State::Done(proof) => Some(*proof),
            State::Ask(..) | State::Asked(..) => None,
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

    /// The walk holds what follows a record, by intent: nothing has been asked for yet.
    pub(super) fn begin_midway(&mut self) {
        self.position.start = Start::Midway;
    }

    /// The upstream's own total, as far as it is known.
    pub fn total(&self) -> Option<u64> {
        self.tally.total
    }

    /// The total that a page tells that is still arriving.
    pub fn total_in(&self, head: &Head, fields: &PageFields) -> Option<u64> {
        self.pagination.total.as_ref()?.number(head, fields).ok()?
    }

    /// The page that was asked for was refused; `Ok` where that is how the collection ends.
    pub fn refused(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), PageError> {
        if status == StatusCode::PRECONDITION_FAILED && self.pins.has_condition() {
            return Err(PageError::CollectionChanged);
        }
        match self.proven_by(status, headers)? {
            None => Err(refusal(status, headers, body)),
            // A page that was there a moment ago is not past the last.
            Some(_) if self.page.began => Err(PageError::Gone(status)),
            Some(_) if self.restore() => Ok(()),
            // Asked ⇒ Done
            Some(proof) => {
                if let Proof::Total(total) = proof {
                    self.tally.total = Some(total);
                }
                self.finish(proof)
            }
        }
    }

    /// The end that a refusal proves, if no attempt at the page has brought one.
    fn proven_by(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Proof>, PageError> {
        // 400 and 422 also mean that a parameter is unknown or that a window is too deep.
        let past_the_last = matches!(status.as_u16(), 404 | 410 | 416);
        match (self.pagination.end, &self.state) {
            (_, State::Asked(_, Aim::Confirm(proof))) if past_the_last => Ok(Some(*proof)),
            (End::Status(end), _) if end == status && self.tally.pages > 0 => Ok(Some(Proof::Status(status))),
            _ => self.pagination.style.rules().end_by_refusal(status, headers),
        }
    }

    /// ⇒ Ask, unless a cap or a circle is in the way.
    pub(super) fn ask(&mut self, mut next: Address, aim: Aim) -> Result<(), PageError> {
        self.pin_to(&mut next.request)?;
        let Tally { pages, records, empty_pages, .. } = self.tally;
        let limits = &self.pagination.limits;
        let caps = [
            ("max_pages", limits.max_pages, pages),
            ("max_results", limits.max_results, records),
            ("caps.pages", Some(self.caps.pages), pages),
        ];
        for (name, limit, reached) in caps {
            if let Some(value) = limit.filter(|limit| reached >= *limit) {
                return Err(PageError::Limit { name, value });
            }
        }
        let is_offset = self.pagination.style.counts_records();
        if let Some(value) = limits.max_offset.filter(|limit| is_offset && next.number > *limit) {
            return Err(PageError::Limit { name: "max_offset", value });
        }
        if empty_pages > self.caps.empty_pages {
            return Err(PageError::EmptyPages(empty_pages));
        }
        let identity = self.place(&next.request);
        if let State::Asked(asked, _) = &self.state
            && self.place(asked) == identity
        {
            return match self.pagination.same_token {
                SameToken::End => self.finish(Proof::SameToken),
                SameToken::Error => Err(self.pagination.style.rules().repetition()),
            };
        }
        self.tally.asked(identity).map_err(PageError::AddressRepeats)?;
        if matches!(self.state, State::Asked(..)) {
            self.stride = next.number.checked_sub(self.position.number).filter(|stride| *stride > 0);
        }
        self.position.number = next.number;
        self.state = State::Ask(Box::new(next.request), aim);
        self.went_well();
        Ok(())
    }

    /// The first request, with the number that the style starts from.
    fn opening(&mut self) -> Result<Address, PageError> {
        let style = &self.pagination.style;
        let given = |param: &Param| self.first.value_at(param).is_some_and(|text| !is_blank(param, &text));
        let (first, start) = style.rules().first(self.addresses())?;
        let names_a_page = !style.is_numbered() && style.page_params().into_iter().any(given);
        self.position.start = if names_a_page { Start::Midway } else { start };
        Ok(first)
    }

    pub(super) fn addresses(&self) -> AddressContext<'_> {
        AddressContext { guard: &self.guard, first: &self.first, number: self.position.number, size: self.size }
    }

    /// The page that came, for the style.
    pub(super) fn answer<'a>(&'a self, head: &'a Head, fields: &'a PageFields) -> Answer<'a> {
        Answer { head, fields, records: self.page.records, last_record: &self.page.last }
    }

    /// Whether the upstream's total and its number of pages both say that this is all.
    pub(super) fn counts_agree(&self) -> bool {
        self.tally.total == Some(self.tally.records) && self.tally.total_pages == Some(self.tally.filled)
    }

    fn asked_size(&self) -> Result<Option<u64>, PageError> {
        let Some(size) = &self.pagination.page_size else { return Ok(None) };
        match size.param.as_ref().and_then(|param| Some((param, self.first.value_at(param)?))) {
            Some((param, text)) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(PageError::BadStart(param.clone())),
            },
            None => Ok(size.asked()),
        }
    }
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PageError {
    let location = headers.get(header::LOCATION).filter(|_| status.is_redirection());
    let said = location.map_or(body, HeaderValue::as_bytes);
    PageError::Status { status, excerpt: excerpt(&String::from_utf8_lossy(said)) }
}

/// What stands in a request where a token will go, before there is one; a token that is a page's number begins at 0 or 1.
fn is_blank(param: &Param, text: &str) -> bool {
    let counts_pages = matches!(param, Param::Query(name) if detect::is_page_number(name));
    matches!(text, "" | "null") || counts_pages && matches!(text, "0" | "1")
}
