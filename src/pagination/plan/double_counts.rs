//! Numbers of records that came more than once.

use serde::{Deserialize, Serialize};

use crate::pagination::verdict::Consistency;

/// Numbers of doubles, and of records that can't be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubles {
    /// Records that were left out.
    pub dropped: u64,
    /// Those of them that show that records moved or changed.
    pub moved: u64,
    /// Those whose page had the same bytes before: an upstream may count them.
    #[serde(default)]
    pub within: u64,
    /// Those that a numbered page began with: as many records were inserted before it, which a total counts.
    #[serde(default)]
    pub inserted: u64,
    /// Records without a key.
    #[serde(default)]
    pub keyless: u64,
}

impl Doubles {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if a page repeated records of the ones before it.
    pub(super) fn cross_pages(self) -> bool {
        self.dropped > self.within
    }

    /// Consistency of a crawl in which records moved or changed.
    pub(super) fn refuted(self) -> Option<Consistency> {
        let records = if self.moved == 1 { "record" } else { "records" };
        let why = || format!("{} {records} came again where none should, and the first ones were kept", self.moved);
        (self.moved > 0).then(|| Consistency::Moved { why: why() })
    }

    pub(super) fn add(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.moved += other.moved;
        self.within += other.within;
        self.inserted += other.inserted;
        self.keyless += other.keyless;
    }

    /// Numbers of records that the upstream may count beside those that left, where its total grew by `grown`.
    pub(super) fn counted(self, grown: u64) -> [u64; 4] {
        let inserted = if grown >= self.inserted { self.inserted } else { 0 };
        [0, self.within, inserted, self.within + inserted]
    }
}
