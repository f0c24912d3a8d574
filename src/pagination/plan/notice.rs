//! Notices of a plan: what an operator should know of a crawl that goes on.

use std::fmt;

use super::pinned_state::PinnedState;
use crate::pagination::settings::Pagination;
use crate::pagination::since_valid_at::Precondition;

/// Notice; each is given once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanNotice {
    /// Later pages can't be asked for under a condition, though `match` is set.
    NoCondition,
    /// An address lacked these parameters of the first request.
    LostParams(Vec<String>),
}

impl PlanNotice {
    /// Notice of a walk that has read so many pages.
    pub(super) fn of(pagination: &Pagination, pinned: &PinnedState, lost: &[String], pages: u64) -> Option<Self> {
        let is_unconditional = pagination.precondition == Precondition::Match && !pinned.has_condition();
        match lost {
            [] => (pages == 1 && is_unconditional).then_some(Self::NoCondition),
            lost => Some(Self::LostParams(lost.to_vec())),
        }
    }
}

impl fmt::Display for PlanNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCondition => f.write_str("match = true, but page 1 has neither a strong ETag nor Last-Modified"),
            Self::LostParams(names) => {
                let names = names.join("`, `");
                write!(
                    f,
                    "the next address lacks `{names}`, which the request has, so that later pages may be of another size or list"
                )?;
                f.write_str("; keep, with these names, puts them back")
            }
        }
    }
}
