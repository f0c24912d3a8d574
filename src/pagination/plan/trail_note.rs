//! State of a walk by keys beside the keys that it has passed, for a checkpoint.

use serde::{Deserialize, Serialize};

use crate::pagination::proof::Proof;

/// State of a trail for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrailNote {
    /// Keys ahead, the nearest one last: the log has them in the order in which their records left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ahead: Vec<String>,
    pub(super) held: Option<NotedEnd>,
    /// Number of records that were found to be gone when the list was read on behind them.
    pub(super) shifts: u64,
    pub(super) back: u64,
    /// Number of new records in front of known ones.
    pub(super) late: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotedEnd {
    /// Place among the keys ahead of the record behind which it came.
    pub(super) anchor: u64,
    pub(super) steps: u32,
    /// Proof that holds if the record is there; none where no end has come yet.
    pub(super) proof: Option<Proof>,
}
