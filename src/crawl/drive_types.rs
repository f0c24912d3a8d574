//! Vocabulary of the loop of a crawl.

use std::time::SystemTime;

use crate::pagination::verdict::{Consistency, Doubt, ProvenEnd};

/// The record that a crawl starts with.
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
    /// The end is proven.
    Done(ProvenEnd),
}

/// Result of the comparison of whole reads, which no plan knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    /// The list was as it was read at this moment, by the upstream's clock.
    At(Option<SystemTime>),
    /// As far as a cache shows.
    Cached,
    /// None was confirmed, for this reason.
    Moved(String),
}

impl Verification {
    /// Consistency of a read with this result, of which its own pages show this one.
    pub(super) fn applied(self, shown: Consistency) -> Consistency {
        match (self, shown) {
            (Self::Moved(why), _) => Consistency::Moved { why },
            (Self::Cached, Consistency::Snapshot { .. } | Consistency::Steady) => Doubt::Cached.into(),
            (Self::At(at), Consistency::Snapshot { .. }) => Consistency::Snapshot { at },
            (Self::At(_) | Self::Cached, shown) => shown,
        }
    }
}
