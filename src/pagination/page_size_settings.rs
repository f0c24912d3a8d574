//! Page size as configured.

use super::request::Param;

/// Number of records that a page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Parameter of the size, unless a template holds it.
    pub param: Option<Param>,
    /// Records per page; at most `max`.
    pub value: Option<u64>,
    /// Largest size that the upstream gives.
    pub max: Option<u64>,
}

impl PageSize {
    /// Returns the configured size, else the largest that the upstream gives.
    pub fn asked(&self) -> Option<u64> {
        self.value.or(self.max)
    }

    /// Returns true if requests name the size in a parameter of its own.
    pub fn is_sent(&self) -> bool {
        self.param.is_some() && self.asked().is_some()
    }
}
