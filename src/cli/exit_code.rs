//! Exit codes, which scripts can act on.

use std::process::ExitCode;

use crate::error::{Failure, Fault};

/// Exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; with `fetch`, the collection is complete.
    Complete,
    /// 1: the output can't be written, unpage can't run, or `health` found a server that is not ready.
    Output,
    /// 2: the arguments or the configuration are wrong.
    Usage,
    /// 3: nothing came: the upstream refused the first page, can't be reached, or sent no page.
    Refused,
    /// 4: the stream broke after its first page; what was written is incomplete.
    Broken,
    /// 5: what came does not prove that the collection is complete, or the pagination was not recognised.
    Unproven,
    /// 6: `--max-records` was reached, and there is more.
    Capped,
    /// 7: records moved while they were read, and some may be missing.
    Moved,
}

impl Exit {
    /// Returns the code for a crawl that could not start.
    pub(super) fn not_opened(failure: &Failure) -> Self {
        match failure.fault {
            Fault::Configuration => Self::Usage,
            Fault::Unproven => Self::Unproven,
            Fault::Moved => Self::Moved,
            _ => Self::Refused,
        }
    }

    /// Returns the code for a crawl that broke.
    pub(super) fn broken(failure: &Failure) -> Self {
        match failure.fault {
            Fault::Unproven => Self::Unproven,
            Fault::Moved => Self::Moved,
            _ => Self::Broken,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Complete => 0,
            Exit::Output => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Broken => 4,
            Exit::Unproven => 5,
            Exit::Capped => 6,
            Exit::Moved => 7,
        })
    }
}
