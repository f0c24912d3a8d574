//! The end of a crawl without a proof of completeness.

use crate::error::{Failure, Fault};
use crate::snapshot::WriteRefused;

/// The end of a crawl without a proof of completeness.
pub(super) enum AbnormalEnd {
    Abandoned,
    Broken(Failure),
}

impl From<WriteRefused> for AbnormalEnd {
    fn from(refused: WriteRefused) -> Self {
        match refused {
            WriteRefused::NoReader => Self::Abandoned,
            WriteRefused::Unwritten => {
                let hint = "see to where snapshots are kept, and ask again";
                Self::Broken(Failure::new(Fault::Stopped, refused.to_string(), hint))
            }
            WriteRefused::Changed => {
                let hint = "ask again, for a snapshot of its own";
                Self::Broken(Failure::new(Fault::Changed, refused.to_string(), hint))
            }
        }
    }
}

impl From<Failure> for AbnormalEnd {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}
