//! Place at which a page meets those before it.

use serde::{Deserialize, Serialize};

/// Number of pages in a row that may be the one before: with two, the upstream clamps numbers, or a list grew by as many records each time.
const MOST_ECHOES: u32 = 1;

/// Number of steps back from one page, after which the upstream rounds numbers, or a list lost as many records each time.
const MOST_SAME: u32 = 2;

/// Place at which the page under way should meet those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joint {
    /// Number of known records that the page begins with, if none has moved.
    pub(super) shared: u64,
    /// Number of steps back since the last page that met those before it.
    pub(super) steps: u32,
    /// Digest of the page that was stepped back from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    apart: Option<u64>,
    /// Number of steps back in a row from that page.
    #[serde(default)]
    apart_times: u32,
    /// Number of records to step back by where the page was to confirm the end and is not empty.
    pub(super) behind: u64,
    /// The page begins behind the last one, since the upstream may have rounded the number of one that should share records.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_probe: bool,
    /// A page that was to confirm the end shared the last records, and had nothing behind them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_ended: bool,
    /// Number of pages in a row that were the one before.
    #[serde(default)]
    echoes: u32,
    /// Number of records of the list up to the end of the last page with records.
    pub(super) reach: u64,
}

impl Joint {
    /// Steps back from a page with this digest; none where it is empty.
    pub(super) fn step_back(&mut self, page: Option<u64>) {
        self.apart_times = if self.apart == page { self.apart_times + 1 } else { 1 };
        self.apart = page;
        self.steps += 1;
    }

    /// Returns true if a page came for several numbers.
    pub(super) fn comes_again(&self, page: u64) -> bool {
        self.apart_times >= MOST_SAME && self.apart == Some(page)
    }

    /// Moves behind the records that should be shared, and returns their number.
    pub(super) fn probe(&mut self) -> u64 {
        self.is_probe = true;
        std::mem::take(&mut self.shared)
    }

    /// Counts a page that is the same as the one before; returns true for one too many.
    pub(super) fn count_echo(&mut self, is_echo: bool) -> bool {
        self.echoes = if is_echo { self.echoes + 1 } else { 0 };
        self.echoes > MOST_ECHOES
    }

    /// The joint behind a page that has met those before it, and brought nothing new or something.
    pub(super) fn met(self, is_idle: bool) -> Self {
        let has_ended = is_idle && self.shared > 0 && self.behind > 0;
        Self { echoes: self.echoes, reach: self.reach, has_ended, ..Self::default() }
    }
}
