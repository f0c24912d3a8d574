//! Result of the comparison of whole reads (`consistency = "verify"`), which no plan knows.

use std::time::SystemTime;

use crate::pagination::verdict::{Consistency, Doubt};

/// Result of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    /// The list was as it was read at this moment, by the upstream's clock.
    At(Option<SystemTime>),
    /// As far as a cache shows.
    Cached,
    /// None was confirmed, for this reason.
    Moved(String),
}

impl Verification {
    /// Consistency of a read with this result, of which its own pages show this one.
    pub(super) fn applied(self, shown: Consistency) -> Consistency {
        match (self, shown) {
            (Self::Moved(why), _) => Consistency::Moved { why },
            (Self::Cached, Consistency::Snapshot { .. } | Consistency::Steady) => Doubt::Cached.into(),
            (Self::At(at), Consistency::Snapshot { .. }) => Consistency::Snapshot { at },
            (Self::At(_) | Self::Cached, shown) => shown,
        }
    }
}
