//! Mistakes in the range of a request that is read by windows.

use super::Param;

/// Range of a client's request that cannot be cut into windows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBound {
    #[error("the value of {0} in the request is not {1}, so that no windows can be made of its range")]
    Kind(Param, &'static str),
    #[error("{0} is in the request twice")]
    Twice(Param),
    #[error("{0} in the request is later than {1}")]
    Swapped(Param, Param),
    #[error("{0} in the request is earlier than {1}, which is the first time of the windows")]
    BeforeAll(Param, String),
    #[error("the first time of the windows, {0}, is later than the present")]
    InFuture(String),
}

impl BadBound {
    /// Returns true where the configuration or the clock is wrong, and no request would be right.
    pub fn is_configured(&self) -> bool {
        matches!(self, Self::InFuture(_))
    }
}
