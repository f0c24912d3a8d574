//! What can be wrong with a page, its address or its end: whose fault it is, and what to do.

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Upstream,
    Configuration,
    Client,
    Unpage,
}
#[derive(Clone, Debug, thiserror::Error)]
pub enum Wrong {
    #[error("x")]
    X,
}
