//! Vocabulary of the loop of a crawl.

use crate::pagination::verdict::ProvenEnd;

/// The record that a crawl starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrawlStart {
    /// The first one of the request's page.
    Request,
    /// The one behind a record, by intent.
    Since,
}

/// Use of the checkpoints behind pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoints {
    Kept,
    /// None is made: the log has no file that would keep it.
    Unused,
}

/// Amount that is taken of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// All that comes, while nothing leaves yet.
    Everything,
    /// As much as can leave soon.
    AsItLeaves,
}

/// The result of one step of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CrawlProgress {
    /// A page moved on, or one was refused as the plan had expected.
    Underway,
    /// A page is whole, and good.
    Page,
    /// The end is proven.
    Done(ProvenEnd),
}
