//! Options and result of a step of a crawl's loop.

use crate::pagination::verdict::ProvenEnd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrawlStart {
    /// The first one of the request's page.
    Request,
    /// The one after a record, by intent.
    Since,
}

/// Use of the checkpoints after pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoints {
    Kept,
    /// None is made: the log has no file that would keep it.
    Unused,
}

/// Bound of the records that are read at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadLimit {
    /// None, while nothing leaves yet.
    None,
    /// The room in the output buffer.
    OutputBuffer,
}

/// The result of one step of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CrawlProgress {
    /// A page moved on, or one was refused as the plan had expected.
    Underway,
    /// A page is whole, and good.
    Page,
    Done(ProvenEnd),
}
