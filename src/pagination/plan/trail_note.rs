//! State of a walk by keys beside the keys themselves, for a checkpoint.

use serde::{Deserialize, Serialize};

use crate::pagination::proof::Proof;

/// State of a trail for a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrailNote {
    /// Number of keys that came.
    pub(super) end: u64,
    /// Place of the record behind which the next page is asked for; none for the list's beginning.
    pub(super) behind: Option<u64>,
    pub(super) held: Option<HeldEnd>,
    /// Number of records that were found to be gone when the list was read on behind them.
    pub(super) shifts: u64,
    /// Number of steps back.
    pub(super) back: u64,
    /// Number of new records in front of known ones.
    pub(super) late: u64,
}

/// End that is held until a page shows the record behind which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldEnd {
    /// Place of that record.
    pub(super) anchor: u64,
    pub(super) steps: u32,
    /// Proof that holds if the record is there; none where no end has come yet.
    pub(super) proof: Option<Proof>,
}

impl TrailNote {
    /// State of a walk that has only gone forward: behind the last of so many keys.
    pub(super) const FORWARD: Self = Self { end: 1, behind: Some(0), held: None, shifts: 0, back: 0, late: 0 };

    /// The state where so many keys are known to have come.
    pub(super) fn counted_to(self, end: u64) -> Self {
        let moved = |place: u64| (place + end).saturating_sub(self.end);
        let held = self.held.map(|held| HeldEnd { anchor: moved(held.anchor), ..held });
        // Without keys nothing could be asked for behind an earlier one.
        Self { end, behind: self.behind.filter(|_| end > 0).map(moved), held, ..self }
    }
}
