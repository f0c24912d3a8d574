//! Checkpoint of a walk after a whole page: folded in their order, checkpoints restore the walk.

use serde::{Deserialize, Serialize};

use super::page_size::Resized;
use super::pinned_state::StatePins;
use super::progress::WalkProgress;
use super::request_delta::RequestDelta;
use super::walk_state::Aim;
use crate::pagination::page_account::PageAccount;
use crate::pagination::proof::Proof;

/// State of a walk after a whole page. The sets that a walk must not forget grow by what this page adds; all else is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub(super) leads: WalkLead,
    #[serde(rename = "tally")]
    pub(super) progress: WalkProgress,
    /// Number that the next page is asked with.
    pub(super) number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stride: Option<u64>,
    /// The page leads to the next one by a number in its address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) numbered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resized: Option<Resized>,
    /// Account of the first page, behind it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<PageAccount>,
    /// State of the collection, behind the first page alone, which names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pins: Option<StatePins>,
}

/// Continuation of a walk behind a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum WalkLead {
    On { request: RequestDelta, aim: Aim },
    Over(Proof),
}

impl Checkpoint {
    /// Number of records that had come.
    pub fn records(&self) -> u64 {
        self.progress.records()
    }
}
