//! Summary of the lists of a stream of children, as its verdict shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most lists that a summary names.
pub(super) const NAMED: usize = 16;

/// Lists of a stream of children, as its verdict shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListsSummary {
    /// Number of parents, those that were gone included.
    pub parents: u64,
    /// Number of parents whose list was refused with 404 or 410.
    pub gone: u64,
    /// Number of lists by the word of their consistency.
    pub consistency: BTreeMap<String, u64>,
    /// The first 16 lists of parents that were gone, or whose records moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weakest: Vec<WeakList>,
}

/// List that weakens the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeakList {
    /// The parent: "number 5".
    pub parent: String,
    /// Finding, as a phrase.
    pub finding: String,
}
