//! The part of a selection that a page holds, and where the next one begins.

use serde_json::Value;

use super::orders::Order;
use super::quirks::Quirks;
use super::select::Selection;
use super::token;

/// The orders after the first `skip`, up to and with the one at `end`, of `total` in the selection; `skip` ≤ `end` ≤ `total`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) skip: u64,
    pub(super) end: u64,
    pub(super) total: u64,
    /// How many were asked for; ≥ `end` − `skip`.
    size: u64,
    selection: Selection,
    quirks: Quirks,
}

impl Window {
    /// `size` orders of a selection, or as many as there are, after the first `skip`.
    pub(super) fn new(selection: Selection, quirks: Quirks, skip: u64, size: u64) -> Self {
        let total = selection.count;
        let skip = skip.min(total);
        Self { skip, end: skip.saturating_add(size).min(total), total, size, selection, quirks }
    }

    /// The orders in it.
    pub(super) fn orders(&self) -> impl Iterator<Item = Order> + use<> {
        let Self { skip, end, selection, quirks, .. } = *self;
        let from = if quirks.empty == Some(self.index()) { end } else { skip.saturating_sub(quirks.overlap) };
        (from..end).map(move |place| selection.order(place))
    }

    /// The token of the next page, unless this is the last.
    pub(super) fn next(&self) -> Option<String> {
        let turned = self.quirks.circle.filter(|tokens| *tokens == self.index()).map(|_| self.size.min(self.total));
        (self.end < self.total).then(|| self.token(turned.unwrap_or(self.end)))
    }

    /// The token of the place behind these orders, of which there are some.
    pub(super) fn token_of_end(&self) -> Option<String> {
        (self.end > self.skip).then(|| self.token(self.end))
    }

    fn token(&self, end: u64) -> String {
        token::write(self.selection.order(end - 1).0)
    }

    /// Which page it is, counted from 0, if all are of its size.
    fn index(&self) -> u64 {
        self.skip / self.size.max(1)
    }

    /// What the API says of how many orders there are.
    pub(super) fn told(&self) -> Value {
        let total = self.quirks.total;
        total.told(total.records(self.total), self.skip)
    }

    /// What it says of how many pages there are; an empty collection has one.
    pub(super) fn told_pages(&self) -> Value {
        let total = self.quirks.total;
        total.told(total.records(self.total).div_ceil(self.size).max(1), self.skip)
    }
}
