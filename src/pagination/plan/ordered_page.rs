//! Page that was ordered for a part, in flight or waiting for those before it.

use std::sync::Arc;

use super::events::PageId;
use crate::pagination::PageRequest;
use crate::pagination::page::Head;

#[derive(Debug)]
pub(super) struct OrderedPage {
    pub(super) id: PageId,
    pub(super) request: Arc<PageRequest>,
    pub(super) position: u64,
    pub(super) arrival: Arrival,
    /// Once it is known.
    pub(super) lead: Option<Lead>,
}

/// Request that a page itself leads to, whatever follows this head.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) head: Arc<Head>,
    pub(super) next: Arc<PageRequest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    OnItsWay,
    /// The page is whole; number of its records.
    Whole(u64),
    /// No guess holds behind the page: it is empty, refused or lost, or so short that the next number is another one. Number of its
    /// records.
    Last(u64),
}

impl OrderedPage {
    pub(super) fn new(id: PageId, request: Arc<PageRequest>, position: u64) -> Self {
        Self { id, request, position, arrival: Arrival::OnItsWay, lead: None }
    }

    /// Number of its records, where it is whole.
    pub(super) fn records(&self) -> u64 {
        match self.arrival {
            Arrival::Whole(records) | Arrival::Last(records) => records,
            Arrival::OnItsWay => 0,
        }
    }
}
