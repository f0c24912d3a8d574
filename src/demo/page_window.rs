//! The part of a selection on one page, and the beginning of the next page.

use serde_json::Value;

use super::faults::Quirks;
use super::orders::Order;
use super::refusal::DemoRefusal;
use super::request::DemoRequest;
use super::selection::Selection;
use super::token_codec;

/// Orders behind the first `skip` up to `end`, of `total` in the selection; `skip` ≤ `end` ≤ `total`.
#[derive(Clone, Debug, Default)]
pub(super) struct OrderWindow {
    pub(super) skip: u64,
    pub(super) end: u64,
    pub(super) total: u64,
    /// Requested number; ≥ `end` − `skip`.
    size: u64,
    selection: Selection,
    quirks: Quirks,
}

impl OrderWindow {
    /// At most `size` orders of a selection, behind the first `skip`.
    pub(super) fn new(selection: Selection, quirks: Quirks, skip: u64, size: u64) -> Self {
        let total = selection.count;
        let skip = skip.min(total);
        Self { skip, end: skip.saturating_add(size).min(total), total, size, selection, quirks }
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = Order> + use<> {
        let Self { skip, end, quirks, .. } = *self;
        let selection = self.selection.clone();
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
        token_codec::write(self.selection.order(end - 1).0)
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

#[derive(Debug)]
pub(super) struct NumberedPage {
    pub(super) window: OrderWindow,
    pub(super) page: u64,
    pub(super) size: u64,
    /// Number of pages; an empty collection has one.
    pub(super) pages: u64,
}

/// The windows that the parameters of a request select.
impl DemoRequest<'_> {
    /// At most `size` orders behind the first `skip`.
    pub(super) fn window(&self, skip: u64, size: u64) -> Result<OrderWindow, DemoRefusal> {
        Ok(OrderWindow::new(Selection::new(self)?, self.legacy.quirks, skip, size))
    }

    /// As [`Self::window`], for a number that the client has computed: some APIs refuse it past the end.
    pub(super) fn counted(&self, skip: u64, size: u64) -> Result<OrderWindow, DemoRefusal> {
        let window = self.window(skip, size)?;
        match self.legacy.quirks.past_end {
            Some(status) if skip > 0 && skip >= window.total => {
                Err(DemoRefusal::new(status, format!("there are only {} orders: {skip}", window.total)))
            }
            _ => Ok(window),
        }
    }

    /// The window of a page number and a page size; pages count from 1.
    pub(super) fn numbered(&self, page: &str, size: &str) -> Result<NumberedPage, DemoRefusal> {
        let (number, size) = (self.number(page)?.unwrap_or(1), self.size(size)?);
        let before = number.checked_sub(1).ok_or_else(|| DemoRefusal::bad(format!("`{page}` counts from 1")))?;
        let window = self.counted(before.saturating_mul(size), size)?;
        Ok(NumberedPage { page: number, size, pages: window.total.div_ceil(size).max(1), window })
    }

    pub(super) fn after(&self, name: &str, size: &str) -> Result<OrderWindow, DemoRefusal> {
        let number = match self.text(name)? {
            Some(text) => token_codec::read(text)
                .filter(|number| *number <= self.legacy.records)
                .ok_or_else(|| DemoRefusal::bad(format!("`{name}` is not a token of this collection's: {text}")))?,
            None => return self.window(0, self.size(size)?),
        };
        self.behind(Order(number), self.size(size)?)
    }

    /// At most `size` orders that are listed behind this one.
    pub(super) fn behind(&self, order: Order, size: u64) -> Result<OrderWindow, DemoRefusal> {
        let selection = Selection::new(self)?;
        let skip = selection.up_to(order.0);
        Ok(OrderWindow::new(selection, self.legacy.quirks, skip, size))
    }
}
