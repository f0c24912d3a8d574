//! Changes of a list while it is read, and the consistency that they leave.

use serde::{Deserialize, Serialize};

use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;
use crate::pagination::verdict::{Consistency, Doubt};

/// Number of requests that repair may take in any walk; a longer one may take [`REPAIR_SHARE`].
const LEAST_REPAIRS: u64 = 20;

/// One repair in so many pages.
const REPAIR_SHARE: u64 = 4;

/// Changes of the list, as far as the junctions show them.
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

    /// Checks the number of requests that the changes have taken in so many pages.
    pub(super) fn check_repairs(&self, pages: u64) -> Result<(), PageError> {
        let repairs = self.again + self.back;
        if repairs > LEAST_REPAIRS.max(pages / REPAIR_SHARE) { Err(PageError::Drifted(repairs)) } else { Ok(()) }
    }

    /// Consistency of the records behind this proof.
    pub(super) fn consistency(self, proof: Proof) -> Consistency {
        // An end without a count takes it on faith that pages are filled up.
        let lacks_records = matches!(proof, Proof::EmptyPage | Proof::Status(_)) && self.filling == Filling::Uneven;
        match self {
            Self { is_disordered: true, .. } => {
                Consistency::Moved { why: "a record that had come came again out of the order that it had".to_owned() }
            }
            Self { looseness: Some(Looseness::Older | Looseness::Single), .. } => Doubt::Numbered.into(),
            Self { looseness: Some(Looseness::Unaligned), .. } => Doubt::Unaligned.into(),
            Self { looseness: Some(Looseness::Keyless), .. } => Doubt::Keyless.into(),
            Self { looseness: Some(Looseness::Gaps), .. } => Doubt::ShortPage.into(),
            _ if lacks_records || self.filling == Filling::Lacking || proof == Proof::ShortPage => {
                Doubt::ShortPage.into()
            }
            Self { shifts: 0, .. } => Consistency::Steady,
            Self { shifts, again, back, .. } => Consistency::Mended { shifts, again, back },
        }
    }
}
