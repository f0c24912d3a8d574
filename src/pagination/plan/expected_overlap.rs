//! Records that a page should share with those before it, and its steps back to them.

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::observed_overlap::PageStart;

/// Number of records of a page for each one that the next page shares: more shared ones would only make steps back rarer.
const RECORDS_A_SHARED_ONE: u64 = 50;

/// Number of pages in a row that may be the one before: with two, the upstream clamps numbers, or a list grew by as many records each time.
const MAX_ECHOES: u32 = 1;

/// Number of steps back from one page, after which the upstream rounds numbers, or a list lost as many records each time.
const MAX_STEPS_BACK: u32 = 2;

/// Overlap that the page under way should have with those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExpectedOverlap {
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
    /// Number of records that were found one record behind the end of the list, where the walk has looked for some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) beyond: Option<u64>,
    /// The last page shared the last records, and had nothing behind them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_ended: bool,
    /// Number of pages in a row that were the one before.
    #[serde(default)]
    echoes: u32,
    /// Number of records of the list up to the end of the last page with records.
    pub(super) reach: u64,
}

impl ExpectedOverlap {
    /// Number of records that the next page is to share with a page of `records`; none where the pages are too short for it.
    pub(super) fn shared_with(records: u64, longest: u64) -> u64 {
        (longest.max(records) / RECORDS_A_SHARED_ONE).max(1).min(records.saturating_sub(1))
    }

    /// Steps back from a page that does not meet those before it, and returns the number of records to step back by. Two steps leave no
    /// record between them.
    pub(super) fn step_back(&mut self, start: PageStart, page: &Fingerprint, longest: u64) -> u64 {
        let least = (longest / RECORDS_A_SHARED_ONE).max(1);
        let doubled = least.saturating_mul(1 << self.steps.min(62));
        let step = match (start, &mut self.beyond) {
            (PageStart::Behind, Some(found)) => {
                *found = page.records();
                self.behind + 1
            }
            (PageStart::Behind, None) => self.behind,
            (PageStart::List | PageStart::Shared, _) => doubled.min(longest.saturating_sub(least).max(1)),
        };
        let digest = Some(page.digest()).filter(|_| page.records() > 0);
        self.apart_times = if self.apart == digest { self.apart_times + 1 } else { 1 };
        self.apart = digest;
        self.steps += 1;
        step
    }

    /// Notes that the page is asked for again, `records` earlier.
    pub(super) fn begin_earlier(&mut self, records: u64) {
        self.shared += records - u64::from(self.beyond.is_some() && self.steps == 1);
    }

    /// Returns true if a page came for several numbers.
    pub(super) fn comes_again(&self, page: u64) -> bool {
        self.apart_times >= MAX_STEPS_BACK && self.apart == Some(page)
    }

    /// Moves behind the records that should be shared, and returns their number.
    pub(super) fn probe(&mut self) -> u64 {
        self.is_probe = true;
        std::mem::take(&mut self.shared)
    }

    /// Moves one record behind the end of the list. If others stand there, the last record is the one to step back to.
    pub(super) fn look_beyond(&mut self) {
        *self = Self { echoes: self.echoes, reach: self.reach, behind: 1, beyond: Some(0), ..Self::default() };
    }

    /// Counts a page that is the same as the one before; returns true for one too many.
    pub(super) fn count_echo(&mut self, is_echo: bool) -> bool {
        self.echoes = if is_echo { self.echoes + 1 } else { 0 };
        self.echoes > MAX_ECHOES
    }

    /// Overlap expected of the next page, behind one of `records` that has met those before it; an idle one brought nothing new.
    pub(super) fn met(self, records: u64, is_idle: bool) -> Self {
        let (has_ended, beyond) = (is_idle && self.shared > 0, self.beyond.filter(|_| records == 0));
        Self { echoes: self.echoes, reach: self.reach, has_ended, beyond, ..Self::default() }
    }
}
