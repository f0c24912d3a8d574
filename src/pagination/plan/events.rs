//! Vocabulary between a plan and its crawl: orders, the standing of pages, and news of them.

use std::fmt;
use std::sync::Arc;

use crate::batch::Batch;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::request::PageRequest;
use crate::pagination::retry::Overload;
use crate::pagination::verdict::ProvenEnd;

/// A page that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub(super) u64);

/// A part of the collection; parts with greater numbers were begun later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(pub(super) u64);

/// Name of a page in a message.
#[derive(Clone, Copy, Debug)]
pub struct PageName {
    /// Position in its part, from 1; none for a page that is not wanted any more.
    pub(super) number: Option<u64>,
    /// Part of the page; none in a plan of one part.
    pub(super) part: Option<PartId>,
}

/// Order of a plan.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ask for this page, and report what comes.
    Fetch(PageId, Arc<PageRequest>),
    /// The records of this part may leave, present and future ones.
    Emit(PartId),
    /// Nothing before an event comes.
    Wait,
    /// Nothing more: the collection is complete.
    Done(ProvenEnd),
}

/// Room for records that wait for the pages before theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Open,
    /// There is none, and only pages whose records may leave at once are ordered.
    Full,
}

/// Standing of a page that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStanding {
    /// The page that the walk waits for: its events are accepted by the plan, and its records leave with this part.
    Current(PartId),
    /// The page's records wait for the pages before it.
    Ahead,
    /// The page was dropped.
    Unwanted,
}

/// Event of a current page; each is told once.
#[derive(Debug)]
pub enum CurrentPageEvent<'a> {
    /// Head of an attempt that brings the page.
    Begun(&'a Head),
    /// The next records, with the values that have been read.
    Records(&'a Head, &'a PageFields, Batch),
    /// The rest of the page.
    Whole(&'a Arc<Head>, Page),
    /// An answer that is no page, and the start of its body.
    Refused(&'a Head, &'a [u8], Overload),
}

/// Records that may leave now, in this order.
#[derive(Debug, Default)]
pub struct ReleasedRecords {
    first: Option<Batch>,
    rest: Vec<Batch>,
}

/// News of a page as it is read, from which the plan guesses the pages behind it.
#[derive(Clone, Copy, Debug)]
pub enum PageNews<'a> {
    SoFar(PageSoFar<'a>),
    Whole {
        records: u64,
    },
    /// The page was refused or lost.
    Failed,
}

/// Part of a page that is still arriving.
#[derive(Clone, Copy, Debug)]
pub struct PageSoFar<'a> {
    pub head: &'a Arc<Head>,
    pub fields: &'a PageFields,
    pub records: u64,
}

impl PageName {
    pub const FIRST: Self = Self { number: Some(1), part: None };
    pub const SECOND: Self = Self { number: Some(2), part: None };

    /// Returns true for the first page of its part.
    pub fn is_first(self) -> bool {
        self.number == Some(1)
    }
}

impl fmt::Display for PageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.part) {
            (None, _) => f.write_str("a page"),
            (Some(number), None) => write!(f, "page {number}"),
            (Some(number), Some(part)) => write!(f, "page {number} of part {}", part.0 + 1),
        }
    }
}

impl From<Batch> for ReleasedRecords {
    fn from(batch: Batch) -> Self {
        Self { first: Some(batch), rest: Vec::new() }
    }
}

impl From<Vec<Batch>> for ReleasedRecords {
    fn from(rest: Vec<Batch>) -> Self {
        Self { first: None, rest }
    }
}

impl IntoIterator for ReleasedRecords {
    type Item = Batch;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Batch>, std::vec::IntoIter<Batch>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

#[cfg(test)]
impl PartId {
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}
