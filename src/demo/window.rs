//! The part of a selection on one page, and the beginning of the next page.

use serde_json::Value;

use super::orders::Order;
use super::quirks::Quirks;
use super::select::Selection;
use super::token;

/// Orders behind the first `skip` up to `end`, of `total` in the selection; `skip` ≤ `end` ≤ `total`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) skip: u64,
    pub(super) end: u64,
    pub(super) total: u64,
    /// Requested number; ≥ `end` − `skip`.
    size: u64,
    selection: Selection,
    quirks: Quirks,
}

impl Window {
    /// At most `size` orders of a selection, behind the first `skip`.
    pub(super) fn new(selection: Selection, quirks: Quirks, skip: u64, size: u64) -> Self {
        let total = selection.count;
        let skip = skip.min(total);
        Self { skip, end: skip.saturating_add(size).min(total), total, size, selection, quirks }
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = Order> + use<> {
        let Self { skip, end, selection, quirks, .. } = *self;
        let from = if quirks.empty == Some(self.index()) { end } else { skip.saturating_sub(quirks.overlap) };
        (from..end).map(move |place| selection.order(place))
    }

    /// Token of the next page; none on the last page.
    pub(super) fn next(&self) -> Option<String> {
        let turned = self.quirks.circle.filter(|tokens| *tokens == self.index()).map(|_| self.size.min(self.total));
        (self.end < self.total).then(|| self.token(turned.unwrap_or(self.end)))
    }

    /// Token of the place behind these orders; none if there are no orders.
    pub(super) fn token_of_end(&self) -> Option<String> {
        (self.end > self.skip).then(|| self.token(self.end))
    }

    fn token(&self, end: u64) -> String {
        token::write(self.selection.order(end - 1).0)
    }

    /// Index of the page, from 0, if all pages are of its size.
    fn index(&self) -> u64 {
        self.skip / self.size.max(1)
    }

    /// Reported number of orders.
    pub(super) fn reported_total(&self) -> Value {
        let total = self.quirks.total;
        total.reported(total.records(self.total), self.skip)
    }

    /// Reported number of pages; an empty collection has one.
    pub(super) fn reported_pages(&self) -> Value {
        let total = self.quirks.total;
        total.reported(total.records(self.total).div_ceil(self.size).max(1), self.skip)
    }
}
