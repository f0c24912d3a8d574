//! Origin of a pagination.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaginationAuthor {
    /// The configuration, a preset that it names, or [`detect`](super::detect).
    Operator,
    /// The preset of the upstream's host: it holds where page 1 fits it.
    HostPreset,
    /// Lists of the same API that are paged by `Link`: this one is one page without it.
    LinkedLists,
}
