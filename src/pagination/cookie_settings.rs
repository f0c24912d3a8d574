//! Use of the cookies that an upstream sets, as configured.

/// Use of the cookies that the first page sets (RFC 6265).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookies {
    Dropped,
    /// Each later request has them. They are secrets, and not written to files: such a crawl is not resumed.
    Kept,
}
