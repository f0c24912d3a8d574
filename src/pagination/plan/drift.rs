//! Changes of a list while it is read, and the consistency that they leave.

use serde::{Deserialize, Serialize};

use super::expected_overlap::ExpectedOverlap;
use super::observed_overlap::{ObservedOverlap, PageStart};
use super::progress::WalkProgress;
use super::totals::{TotalAgreement, WalkCount};
use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;
use crate::pagination::verdict::{Consistency, Doubt};

/// Number of requests that repair may take in any walk; a longer one may take [`REPAIR_SHARE`].
const LEAST_REPAIRS: u64 = 20;

const REPAIR_SHARE: u64 = 4;

/// Changes of the list, as far as the overlap of pages shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drift {
    /// Number of pages that did not begin with the records that they should share.
    pub(super) shifts: u64,
    /// Number of pages that brought nothing new.
    pub(super) again: u64,
    /// Number of steps back to a known record.
    pub(super) back: u64,
    /// Number of new records in front of a known one. They leave too: one that moved there would be lost otherwise.
    pub(super) late: u64,
    /// Number of known records that came again with other bytes: the ones that left are of an earlier moment.
    pub(super) changed: u64,
    /// A page has begun with a known record.
    pub(super) has_met: bool,
    /// A known record came out of its order.
    pub(super) is_disordered: bool,
    #[serde(default)]
    pub(super) filling: Filling,
    /// Reason for which pages share no records any more.
    pub(super) looseness: Option<Looseness>,
    /// Number of records of the list up to the end of the farthest page that came ahead and was not used.
    #[serde(default)]
    pub(super) unused: u64,
}

/// Evidence against pages that are full up to the end of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Filling {
    /// None.
    #[default]
    Full,
    /// Known and new records came behind a page that seemed to be the last: it was short for another reason.
    Uneven,
    /// A page had fewer records than its own place and total say.
    Lacking,
    /// Fewer records came than the upstream's last total says, and no move that the walk has seen explains it.
    Fewer,
}

/// Reason for which pages share no records, although they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Looseness {
    /// An older unpage has begun the walk without.
    Older,
    /// Pages have one record each.
    Single,
    /// The upstream refuses or rounds numbers between those of its pages.
    Unaligned,
    /// A page in the middle of the list is short, so that its records say nothing of the next number.
    Gaps,
    /// A record has no key.
    Keyless,
}

impl Drift {
    pub(super) fn loosen(&mut self, looseness: Looseness) {
        self.looseness.get_or_insert(looseness);
    }

    /// Notes a page that came ahead and was not used, by the number of records up to its end.
    pub(super) fn note_unused(&mut self, reach: u64) {
        self.unused = self.unused.max(reach);
    }

    /// Notes a page that meets those before it, which have `end` known keys. Returns true if no record has moved between them.
    pub(super) fn note_page(
        &mut self,
        start: PageStart,
        page: &ObservedOverlap,
        expected: ExpectedOverlap,
        end: u64,
    ) -> Result<bool, PageError> {
        let ExpectedOverlap { shared, steps, behind, .. } = expected;
        // A record that its page has twice is known at its last place.
        let is_met = page.known == shared && page.late == 0 && page.first.is_none_or(|first| first + shared >= end);
        self.shifts += u64::from(!is_met);
        self.late += page.late;
        self.changed += page.changed;
        self.has_met |= start == PageStart::Shared && page.known > 0;
        self.is_disordered |= page.is_disordered;
        if steps == 0 && behind > 0 && page.known > shared && page.new > page.late {
            self.filling = self.filling.max(Filling::Uneven);
        }
        // The page is as short as it was, although others follow: its end is not the list's.
        if is_met && steps == 1 && shared == behind && page.new == 0 {
            // A page behind the record that is missing had some, and the place of that record has none: it is in no page.
            if let Some(records) = expected.beyond {
                return Err(PageError::RecordsBehindTheEnd { records });
            }
            self.loosen(Looseness::Gaps);
        }
        if expected.is_probe && page.known == 0 {
            self.loosen(Looseness::Unaligned);
        }
        if page.has_keyless {
            self.loosen(Looseness::Keyless);
        }
        Ok(is_met)
    }

    /// Checks the number of requests that the changes have taken, for a walk of `pages`.
    pub(super) fn check_repairs(&self, pages: u64) -> Result<(), PageError> {
        let repairs = self.again + self.back;
        if repairs > LEAST_REPAIRS.max(pages / REPAIR_SHARE) { Err(PageError::Drifted(repairs)) } else { Ok(()) }
    }

    /// The same, held to the upstream's totals at the end: where pages share records, by the place of the last one's end.
    pub(super) fn held_to(mut self, progress: &WalkProgress, reach: Option<u64>) -> Self {
        let agreement = progress.totals().agreement(reach.map_or_else(|| progress.counted(false), WalkCount::Place));
        // What a keyset has seen to move was deleted, which leaves no fewer records than there are.
        let is_explained = reach.is_some() && self.shifts > 0;
        if agreement == Some(TotalAgreement::Fewer) && !is_explained {
            self.filling = Filling::Fewer;
        }
        self
    }

    /// Consistency of the records behind this proof; `reach` is the number of records in the list.
    pub(super) fn consistency(self, proof: Proof, reach: Option<u64>) -> Consistency {
        // An end without a count takes it on faith that pages are filled up.
        let is_uneven = self.filling == Filling::Uneven || reach.is_some_and(|reach| self.unused > reach);
        let lacks_records = proof.is_by_lack() && is_uneven;
        match self {
            Self { is_disordered: true, .. } => {
                Consistency::Moved { why: "a record that had come came again out of the order that it had".to_owned() }
            }
            Self { looseness: Some(Looseness::Older | Looseness::Single), .. } => Doubt::Numbered.into(),
            Self { looseness: Some(Looseness::Unaligned), .. } => Doubt::Unaligned.into(),
            Self { looseness: Some(Looseness::Keyless), .. } => Doubt::Keyless.into(),
            Self { looseness: Some(Looseness::Gaps), .. } => Doubt::ShortPage.into(),
            Self { filling: Filling::Fewer, .. } => Doubt::Fewer.into(),
            _ if lacks_records || self.filling == Filling::Lacking || proof == Proof::ShortPage => {
                Doubt::ShortPage.into()
            }
            Self { shifts: 0, .. } => Consistency::Steady,
            Self { shifts, again, back, .. } => Consistency::Mended { shifts, again, back },
        }
    }
}
