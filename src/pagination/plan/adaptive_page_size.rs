//! Page size of a walk: smaller where the upstream keeps failing, and larger again behind good pages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::addresses::Addresses;
use super::progress::WalkProgress;
use super::walk_state::{Aim, WalkState};
use crate::pagination::end_settings::End;
use crate::pagination::error::PageError;
use crate::pagination::page_size_settings::PageSize;
use crate::pagination::request::{Encode, PageRequest, Param};
use crate::pagination::settings::Pagination;

/// Number of good pages after which larger ones are tried.
const PATIENCE: u64 = 8;

/// Number of records that pages are asked for, and its changes.
#[derive(Debug)]
pub(super) struct PageSizing {
    /// Parameter of the size, where pages of one walk may differ in it.
    param: Option<Param>,
    size: Option<u64>,
    resized: Option<Resized>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Resized {
    /// Size of the walk's beginning.
    whole: u64,
    last: SizeChange,
    /// Number of pages that have come since.
    good: u64,
    /// Number of them after which larger ones are tried.
    patience: u64,
}

/// View of a walk for pages of another size.
pub(super) struct Resizing<'a> {
    pub(super) page_size: &'a mut PageSizing,
    pub(super) state: &'a mut WalkState,
    pub(super) addresses: &'a mut Addresses,
    pub(super) progress: &'a mut WalkProgress,
    /// The current page has begun: a later attempt must not make another page of it.
    pub(super) has_begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SizeChange {
    Halved,
    Doubled,
    /// A smaller page had no records: its place is asked for again in the size of the beginning.
    Restored,
}

impl Resizing<'_> {
    /// Asks for the current page with half as many records, and for those behind it: Asked ⇒ Ask. Returns false if it can't.
    pub(super) fn halve(mut self) -> bool {
        let half = self.page_size.half().filter(|_| !self.has_begun);
        let is_smaller = half.is_some_and(|half| self.resize(half, SizeChange::Halved));
        if is_smaller {
            self.progress.forget_page_size();
        }
        is_smaller
    }

    /// Asks for the next page with twice as many records, where enough smaller ones have come; it must not be in flight.
    pub(super) fn grow(mut self) {
        if matches!(self.state, WalkState::Ask(_, Aim::Records))
            && let Some(size) = self.page_size.double()
        {
            self.resize(size, SizeChange::Doubled);
        }
    }

    /// Asks for a place where a smaller page had no records in the beginning's size: Asked ⇒ Ask. Returns false if the page had it.
    ///
    /// An upstream that rounds a size down to 0, or filters a page after cutting it, may have records for a large page alone.
    pub(super) fn restore(mut self) -> bool {
        let whole = self.page_size.whole().filter(|_| matches!(self.state, WalkState::Asked(_, Aim::Records)));
        whole.is_some_and(|whole| self.resize(whole, SizeChange::Restored))
    }

    fn resize(&mut self, size: u64, change: SizeChange) -> bool {
        self.page_size.resize(self.state, self.addresses, size, change)
    }
}

impl PageSizing {
    /// Reads the size from the first request: the client's own number, else the configured one.
    pub(super) fn new(pagination: &Pagination, first: &PageRequest) -> Result<Self, PageError> {
        let configured = pagination.page_size.as_ref();
        let param = configured.and_then(|size| size.param.as_ref());
        let size = match param.and_then(|param| Some((param, first.value_at(param)?))) {
            Some((param, text)) => Some(text.trim().parse().map_err(|_| PageError::BadStart(param.clone()))?),
            None => configured.and_then(PageSize::asked),
        };
        let is_resizable = pagination.style.rules().is_resizable() && pagination.end != End::ShortPage;
        Ok(Self { param: param.filter(|_| is_resizable).cloned(), size, resized: None })
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns true if more records are asked for than these.
    pub(super) fn is_above(&self, records: u64) -> bool {
        self.size.is_some_and(|size| records < size)
    }

    pub(super) fn resized(&self) -> Option<Resized> {
        self.resized
    }

    pub(super) fn resume(&mut self, size: Option<u64>, resized: Option<Resized>) {
        (self.size, self.resized) = (size, resized);
    }

    /// Returns the request with another size; `None` where the next address follows from the size that was asked for.
    pub(super) fn with_size(&self, request: &PageRequest, size: u64) -> Option<PageRequest> {
        let param = self.param.as_ref()?;
        let mut request = request.clone();
        request.set(param, &Value::from(size), Encode::Plain).ok()?;
        Some(request)
    }

    /// Size of smaller pages; `None` where the last change has yet to prove itself.
    pub(super) fn half(&self) -> Option<u64> {
        let is_proving = self.resized.is_some_and(|resized| resized.last == SizeChange::Restored && resized.good == 0);
        self.size.map(|size| size / 2).filter(|half| *half > 0 && !is_proving && self.param.is_some())
    }

    /// Size of larger pages, where enough smaller ones have come.
    pub(super) fn double(&self) -> Option<u64> {
        let resized = self.resized.filter(|resized| resized.good >= resized.patience)?;
        self.size.filter(|size| *size < resized.whole).map(|size| size.saturating_mul(2).min(resized.whole))
    }

    /// Size of the beginning, where the current one is smaller.
    pub(super) fn whole(&self) -> Option<u64> {
        let whole = self.resized?.whole;
        self.size.filter(|size| *size < whole).map(|_| whole)
    }

    /// Puts another size into a walk's request and into the first one, from which others are made. Returns false where pages have one
    /// size.
    fn resize(&mut self, state: &mut WalkState, addresses: &mut Addresses, size: u64, change: SizeChange) -> bool {
        let (WalkState::Asked(request, aim) | WalkState::Ask(request, aim)) = &*state else { return false };
        let resized = (self.with_size(request, size), self.with_size(addresses.first(), size));
        let (Some(request), Some(first)) = resized else { return false };
        *state = WalkState::Ask(Arc::new(request), *aim);
        addresses.set_first(Arc::new(first));
        addresses.forget_stride();
        self.change_to(size, change);
        true
    }

    fn change_to(&mut self, size: u64, change: SizeChange) {
        let (whole, patience) = match (self.resized, change) {
            (None, _) => (self.size.unwrap_or(size), PATIENCE),
            (Some(Resized { whole, last: SizeChange::Doubled, good, patience }), SizeChange::Halved) => {
                (whole, if good < patience { patience.saturating_mul(2) } else { PATIENCE })
            }
            (Some(Resized { whole, patience, .. }), _) => (whole, patience),
        };
        self.resized = Some(Resized { whole, last: change, good: 0, patience });
        self.size = Some(size);
    }

    pub(super) fn went_well(&mut self) {
        if let Some(resized) = &mut self.resized {
            resized.good = resized.good.saturating_add(1);
        }
    }

    pub(super) fn is_resized(&self) -> bool {
        self.resized.is_some()
    }

    /// Returns true if the page is of another size than those before it, or begins where none of them would have: only its end
    /// shows whether it repeats some of their records.
    pub(super) fn is_uneven(&self) -> bool {
        self.resized.is_some_and(|Resized { whole, good, .. }| good == 0 || self.size.is_some_and(|size| size < whole))
    }

    /// Returns true if a page that starts like an earlier one repeats it. The first page of another size can't be known by all of
    /// its records. Records without a key may be alike, and a larger page after good ones is no reason to doubt them.
    pub(super) fn suspects_repetition(&self, has_key: bool) -> bool {
        let is_first = self.resized.filter(|resized| resized.good == 0);
        is_first.is_some_and(|resized| has_key || resized.last != SizeChange::Doubled)
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::pagination::path::Path;
    use crate::pagination::record_settings::Records;
    use crate::pagination::styles::{Advance, Offset};

    fn sizing(size: u64) -> PageSizing {
        let param = Param::Query("offset".to_owned());
        let style = Offset { param, start: 0, step: Advance::Returned, template: None };
        let mut pagination = Pagination::of(style.into(), Records::at(Path::root()));
        let param = Some(Param::Query("limit".to_owned()));
        pagination.page_size = Some(PageSize { param, value: Some(size), max: None });
        let first = PageRequest::get(Url::parse("http://a/").unwrap());
        PageSizing::new(&pagination, &first).unwrap()
    }

    #[test]
    fn a_size_grows_back_after_good_pages_and_waits_longer_after_a_failure() {
        let mut size = sizing(100);
        assert_eq!((size.half(), size.double(), size.whole()), (Some(50), None, None));
        size.change_to(50, SizeChange::Halved);
        assert_eq!(size.whole(), Some(100));
        (0..PATIENCE).for_each(|_| size.went_well());
        assert_eq!(size.double(), Some(100));
        size.change_to(100, SizeChange::Doubled);
        size.change_to(50, SizeChange::Halved);
        (0..PATIENCE).for_each(|_| size.went_well());
        assert_eq!(size.double(), None);
        (0..PATIENCE).for_each(|_| size.went_well());
        assert_eq!(size.double(), Some(100));
    }

    #[test]
    fn a_restored_size_is_not_halved_before_a_page_has_come() {
        let mut size = sizing(8);
        size.change_to(4, SizeChange::Halved);
        size.change_to(8, SizeChange::Restored);
        assert!(size.half().is_none() && size.is_uneven());
        size.went_well();
        assert_eq!(size.half(), Some(4));
    }
}
