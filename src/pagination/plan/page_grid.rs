//! Windows of a list that is asked for by page numbers: a page of any size begins at a multiple of it, so that pages of different sizes may
//! share records.

use serde_json::Value;

use crate::pagination::request::{Encode, PageRequest, Param};
use crate::pagination::settings::Pagination;
use crate::pagination::styles::{Address, AddressContext};

/// Most records that two pages share, to find a size near the largest: over 100,000 records at 100 a page, a walk takes 1.14 times as many
/// requests.
const MAX_SHARED: u64 = 25;

/// Pages of a numbered style whose size is free.
#[derive(Debug)]
pub(super) struct PageGrid {
    size: Param,
    /// Largest size.
    most: u64,
}

impl PageGrid {
    /// The grid of a pagination whose pages share records by their sizes.
    pub(super) fn of(pagination: &Pagination, size: Option<u64>) -> Option<Self> {
        let param = pagination.page_size.as_ref()?.param.clone()?;
        let is_needed = pagination.shares_records() && pagination.style.counts_pages();
        is_needed.then_some(Self { size: param, most: size.filter(|size| *size > 0)? })
    }

    /// Offset of a page in the largest size.
    pub(super) fn offset_of(&self, page: u64, first_page: u64) -> u64 {
        page.saturating_sub(first_page).saturating_mul(self.most)
    }

    /// Number of records before an end that the page behind it shares: it reaches as far as possible. None where it would bring nothing new.
    pub(super) fn shared(&self, end: u64, records: u64, longest: u64) -> u64 {
        let most = MAX_SHARED.min(records.saturating_sub(1)).min(end);
        let reach = |shared: &u64| self.end_of(end - shared, longest);
        (1..=most).rev().max_by_key(reach).filter(|shared| reach(shared) > end).unwrap_or(0)
    }

    /// Offset at most so large, and a few records smaller, at which a page reaches as far as possible.
    pub(super) fn back_to(&self, offset: u64, longest: u64) -> u64 {
        (offset.saturating_sub(MAX_SHARED)..=offset)
            .max_by_key(|offset| self.end_of(*offset, longest))
            .unwrap_or(offset)
    }

    /// End of the page at this offset. The page that begins there is no smaller, since its size may be the same.
    pub(super) fn end_of(&self, offset: u64, longest: u64) -> u64 {
        offset.saturating_add(self.size_at(offset, longest))
    }

    pub(super) fn address(
        &self,
        pagination: &Pagination,
        context: AddressContext<'_>,
        offset: u64,
        longest: u64,
    ) -> Option<Address> {
        let (rules, size) = (pagination.style.rules(), self.size_at(offset, longest));
        let page = rules.predict(context, rules.start() + offset / size)?;
        let mut request = (*page.request).clone();
        request.set(&self.size, &Value::from(size), Encode::Plain).ok()?;
        Some(Address::new(request, offset))
    }

    pub(super) fn asked(&self, request: &PageRequest) -> Option<u64> {
        request.value_at(&self.size)?.parse().ok()
    }

    /// Largest page size, of those that came, with which a page begins at this offset.
    fn size_at(&self, offset: u64, longest: u64) -> u64 {
        // The upstream may give fewer records than are asked for.
        let most = if longest == 0 { self.most } else { self.most.min(longest) };
        (1..=most).rev().find(|size| offset.is_multiple_of(*size)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_share_records_and_are_nearly_as_large_as_without() {
        for (most, percent) in [(100, 115), (200, 111), (500, 107), (1_000, 107)] {
            let grid = PageGrid { size: Param::Query("limit".to_owned()), most };
            let (mut end, mut pages) = (most, 1_u64);
            while end < 100_000 {
                let shared = grid.shared(end, most, most);
                let next = grid.end_of(end - shared, most);
                assert!(shared > 0 && next > end, "{shared} shared in front of {end}");
                (end, pages) = (next, pages + 1);
            }
            assert!(pages <= 100_000 / most * percent / 100, "{pages} pages of {most}");
        }
    }

    #[test]
    fn pages_that_are_too_short_share_nothing() {
        let grid = PageGrid { size: Param::Query("limit".to_owned()), most: 2 };
        assert_eq!((grid.shared(2, 2, 2), grid.end_of(2, 2), grid.end_of(1, 2), grid.end_of(2, 1)), (0, 4, 2, 3));
    }
}
