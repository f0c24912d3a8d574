//! Seal of a log: complete with its verdict, or failed with its cause.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// End of a log.
#[derive(Clone, Debug)]
pub enum Seal {
    /// The log has every record, which is proven.
    Complete(Verdict),
    /// The crawl broke; the log is a prefix.
    Failed(Arc<Failure>),
}

/// Proof that a collection is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Number of records.
    pub records: u64,
    /// Number of pages that they came from.
    pub pages: u64,
    /// Proof of the end, as a phrase: "no next address".
    pub proof: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let Self { records, pages, proof } = self;
        write!(f, "{records} record{} in {pages} page{}; end proven by {proof}", plural(*records), plural(*pages))
    }
}
