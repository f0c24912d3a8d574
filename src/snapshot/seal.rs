//! Seal of a log: complete with its verdict, or failed with its cause.

use std::sync::Arc;

use crate::error::Failure;
use crate::pagination::verdict::Verdict;

/// End of a log.
#[derive(Clone, Debug)]
pub enum Seal {
    /// The log has every record, which is proven.
    Complete(Verdict),
    /// The crawl broke; the log is a prefix.
    Failed(Arc<Failure>),
}
