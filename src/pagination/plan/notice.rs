//! Notices of a plan: what an operator should know of a crawl that goes on.

use std::fmt;

use super::pinned_state::PinnedState;
use super::progress::WalkProgress;
use crate::pagination::settings::Pagination;
use crate::pagination::since_valid_at::Precondition;

/// Notice; each is given once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanNotice {
    /// Later pages can't be asked for under a condition, though `match` is set.
    NoCondition,
    /// An address lacked these parameters of the first request.
    LostParams(Vec<String>),
    /// Pages have nothing at these places of the upstream's counts, which then prove nothing.
    NoCount(Vec<String>),
}

impl PlanNotice {
    /// Notice of a walk that has come so far.
    pub(super) fn of(
        pagination: &Pagination,
        pinned: &PinnedState,
        lost: &[String],
        progress: &WalkProgress,
    ) -> Option<Self> {
        let is_unconditional = pagination.precondition == Precondition::Match && !pinned.has_condition();
        match (lost, progress.pages()) {
            ([], 1) if is_unconditional => Some(Self::NoCondition),
            // Some upstreams count nothing where the collection is large, so that it is no error.
            ([], 2) => {
                let total = pagination.total.as_ref().filter(|_| progress.total().is_none());
                let total_pages = pagination.total_pages.as_ref().filter(|_| progress.total_pages().is_none());
                let absent: Vec<_> = total.into_iter().chain(total_pages).map(ToString::to_string).collect();
                (!absent.is_empty()).then_some(Self::NoCount(absent))
            }
            ([], _) => None,
            (lost, _) => Some(Self::LostParams(lost.to_vec())),
        }
    }
}

impl fmt::Display for PlanNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCondition => f.write_str("match = true, but page 1 has neither a strong ETag nor Last-Modified"),
            Self::NoCount(places) => {
                write!(f, "no page had anything at {}, so that the end is proven without: ", places.join(" and "))?;
                f.write_str("correct `total` or `total_pages`, or take it out")
            }
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
