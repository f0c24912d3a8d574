//! Addresses of a walk: the first request, the number of the current page, and the requests that follow from them.

use std::sync::Arc;

use http::HeaderName;

use super::adaptive_page_size::PageSizing;
use super::diff_to_first_request::RequestDelta;
use super::expected_overlap::ExpectedOverlap;
use super::numbers_in_links::counts_on;
use super::page_grid::PageGrid;
use crate::pagination::detect::{self, PathNumber};
use crate::pagination::error::PageError;
use crate::pagination::first_value::is_first_value;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::request::{PageRequest, Param, copy_query, query_value};
use crate::pagination::settings::Pagination;
use crate::pagination::styles::{Address, AddressContext, PageAnswer, Start};

#[derive(Debug)]
pub(super) struct Addresses {
    pagination: Arc<Pagination>,
    guard: LinkGuard,
    /// Header fields that the pagination sets.
    own_headers: Vec<HeaderName>,
    /// First request in the size of the beginning, by the difference to which every other one is known.
    origin: PageRequest,
    /// The same in the current size, with what the first page said of the collection's state.
    first: Arc<PageRequest>,
    /// Page or record number that the next page is asked with.
    number: u64,
    /// Difference of the last two numbers.
    stride: Option<u64>,
    /// Number of the walk's first page.
    floor: u64,
    /// Pages are addressed by a number, by the pagination itself or by an address that led to one of them.
    numbered: bool,
    /// Query parameters of the first request that an address lacked.
    lost: Vec<String>,
    start: Start,
    /// Grid of pages that share records by their sizes: numbers are then those of records.
    grid: Option<PageGrid>,
}

impl Addresses {
    /// Addresses of a walk whose first request asks for `size` records.
    pub(super) fn new(pagination: Arc<Pagination>, guard: LinkGuard, first: PageRequest, size: Option<u64>) -> Self {
        Self {
            grid: PageGrid::of(&pagination, size),
            own_headers: pagination.own_headers(),
            numbered: pagination.style.is_numbered(),
            pagination,
            guard,
            origin: first.clone(),
            first: Arc::new(first),
            number: 0,
            stride: None,
            floor: 0,
            lost: Vec::new(),
            start: Start::Beginning,
        }
    }

    /// Returns the address of the walk's first page, and notes the place in the collection that it names.
    pub(super) fn open(&mut self, size: Option<u64>) -> Result<Address, PageError> {
        let style = &self.pagination.style;
        let given = |param: &Param| self.first.value_at(param).is_some_and(|text| !is_first_value(style, param, &text));
        let (mut first, start) = style.rules().first(self.context(size))?;
        if let Some(grid) = &self.grid {
            first.number = grid.offset_of(first.number, style.rules().start());
        }
        // A link's parameters are unknown, and those with the number of a page are known by their names.
        let names_a_page = !style.is_numbered() && style.page_params().into_iter().any(given)
            || style.takes_links() && detect::names_a_number(&self.first);
        self.start = if names_a_page { Start::Midway } else { start };
        Ok(first)
    }

    /// Notes that the walk has, by intent, only what follows a record.
    pub(super) fn begin_midway(&mut self) {
        self.start = Start::Midway;
    }

    /// Returns true if the walk begins behind the collection's beginning, so that totals prove nothing.
    pub(super) fn is_midway(&self) -> bool {
        self.start == Start::Midway
    }

    pub(super) fn origin(&self) -> &PageRequest {
        &self.origin
    }

    pub(super) fn first(&self) -> &Arc<PageRequest> {
        &self.first
    }

    pub(super) fn set_first(&mut self, first: Arc<PageRequest>) {
        self.first = first;
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn stride(&self) -> Option<u64> {
        self.stride
    }

    /// Returns true if pages are addressed by a number, and move when records before them are added or removed.
    pub(super) fn is_numbered(&self) -> bool {
        self.numbered
    }

    pub(super) fn lost(&self) -> &[String] {
        &self.lost
    }

    /// Notes the relation between a page with its number of records and the one that it leads to. One odd address among numbered ones makes
    /// the others no less so.
    pub(super) fn note_lead(&mut self, request: &PageRequest, next: &PageRequest, records: u64) {
        if self.pagination.style.is_pointed() {
            self.numbered = self.numbered || counts_on(request, next, records);
        }
        self.note_lost(next);
    }

    /// Notes the parameters that an address lacks.
    pub(super) fn note_lost(&mut self, next: &PageRequest) {
        if self.lost.is_empty() && self.pagination.style.takes_links() {
            let is_by_path = || PathNumber::of(&next.url).is_some();
            self.lost = detect::lost_on_the_way(&self.origin.url, next.url.query_pairs(), is_by_path);
        }
    }

    /// Moves to the first page.
    pub(super) fn start_at(&mut self, number: u64) {
        (self.number, self.floor) = (number, number);
    }

    /// Number of records between the walk's first one and the current page.
    pub(super) fn before(&self) -> u64 {
        self.number.saturating_sub(self.floor)
    }

    /// Number of records between the list's first one and the end of the page of `records` with this number.
    pub(super) fn reach(&self, number: u64, records: u64) -> u64 {
        let first = if self.grid.is_some() { 0 } else { self.pagination.style.rules().start() };
        number.saturating_sub(first).saturating_add(records)
    }

    /// Number of records that a page asks for, where its place depends on it.
    pub(super) fn asked(&self, request: &PageRequest) -> Option<u64> {
        self.grid.as_ref()?.asked(request)
    }

    /// Number of records that the next page is to share with the current one, of `records`; none where the pages are too short.
    pub(super) fn shared(&self, records: u64, longest: u64) -> u64 {
        match &self.grid {
            Some(grid) => grid.shared(self.number + records, records, longest.max(records)),
            None => ExpectedOverlap::shared_with(records, longest),
        }
    }

    /// Number of a page that begins `step` records before the current one, or a few more.
    pub(super) fn back_by(&self, step: u64, longest: u64) -> u64 {
        let number = self.number - step;
        self.grid.as_ref().map_or(number, |grid| grid.back_to(number, longest))
    }

    /// Returns true if numbers are those of records, and pages are of several sizes.
    pub(super) fn has_grid(&self) -> bool {
        self.grid.is_some()
    }

    /// Number that most likely comes after this one; none where the page at this one reaches a total of records.
    pub(super) fn after(&self, number: u64, longest: u64, total: Option<u64>) -> Option<u64> {
        let Some(grid) = &self.grid else { return number.checked_add(self.stride?) };
        let end = grid.end_of(number, longest);
        let shared = grid.shared(end, longest, longest);
        (shared > 0 && total.is_none_or(|total| end < total)).then(|| end - shared)
    }

    /// Moves to the page behind the current one.
    pub(super) fn advance_to(&mut self, number: u64) {
        self.stride = number.checked_sub(self.number).filter(|stride| *stride > 0);
        self.number = number;
    }

    /// Forgets the stride: pages of another size have another one.
    pub(super) fn forget_stride(&mut self) {
        self.stride = None;
    }

    pub(super) fn resume(&mut self, number: u64, stride: Option<u64>, numbered: bool) {
        (self.number, self.stride) = (number, stride);
        if self.pagination.style.is_pointed() {
            self.numbered |= numbered;
        }
    }

    pub(super) fn context(&self, size: Option<u64>) -> AddressContext<'_> {
        AddressContext { guard: &self.guard, first: &self.first, number: self.number, size }
    }

    /// Address behind the page that `answer` is; `longest` is the longest one before it.
    pub(super) fn next(
        &self,
        size: Option<u64>,
        longest: u64,
        answer: PageAnswer<'_>,
    ) -> Result<Option<Address>, PageError> {
        if let Some(grid) = &self.grid {
            let longest = longest.max(answer.records);
            return Ok(self.at(size, grid.end_of(self.number, longest), longest));
        }
        let next = self.pagination.style.rules().next(self.context(size), answer)?;
        Ok(next.map(|Address { request, number }| Address { request: self.with_kept(request), number }))
    }

    /// The request with the parameters that it must not lose.
    fn with_kept(&self, mut request: Arc<PageRequest>) -> Arc<PageRequest> {
        for name in &self.pagination.keep {
            if query_value(&request.url, name).is_none() {
                copy_query(&self.first.url, &mut Arc::make_mut(&mut request).url, name);
            }
        }
        request
    }

    /// The same before the page is whole, where its rest can't change it.
    pub(super) fn early(&self, size: Option<u64>, answer: PageAnswer<'_>) -> Option<Arc<PageRequest>> {
        let rules = self.pagination.style.rules();
        let next = rules.is_certain(answer).then(|| rules.next(self.context(size), answer).ok()?).flatten();
        next.map(|next| self.with_kept(next.request))
    }

    /// Request of the page behind a key, or of the first page.
    pub(super) fn behind(&self, size: Option<u64>, key: Option<&[u8]>) -> Result<Arc<PageRequest>, PageError> {
        let Some(key) = key else { return Ok(Arc::clone(&self.first)) };
        let behind = self.pagination.style.rules().behind(self.context(size), key)?;
        Ok(behind.map_or_else(|| Arc::clone(&self.first), |address| address.request))
    }

    /// Address of the page with this number; `longest` is the longest one before it.
    pub(super) fn at(&self, size: Option<u64>, number: u64, longest: u64) -> Option<Address> {
        match &self.grid {
            Some(grid) => grid.address(&self.pagination, self.context(size), number, longest),
            None => self.pagination.style.rules().predict(self.context(size), number),
        }
    }

    /// Identity of a request; one for the same place in another size has the same.
    pub(super) fn identity(&self, page_size: &PageSizing, request: &PageRequest) -> u64 {
        self.delta(page_size.with_size(request, 0).as_ref().unwrap_or(request)).identity()
    }

    /// Difference between a request and the first one.
    pub(super) fn delta(&self, request: &PageRequest) -> RequestDelta {
        RequestDelta::between(&self.origin, request, &self.own_headers)
    }
}
