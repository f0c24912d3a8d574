//! Errors of a list whose late records can't be looked for (`settle`).

use super::path::Path;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    #[error("the records at the end that may still settle have more keys than are kept")]
    TailTooLong,
    #[error("the times at `{0}` fall, so that late records appear at the beginning of the list")]
    Backwards(Path),
    #[error(
        "`{path}`, by which the list is to settle, should be a time with its offset (RFC 3339) or a number of seconds since 1970: {found}"
    )]
    NoTime { path: Path, found: String },
}

impl Unsettled {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::TailTooLong => {
                "the last pages that are younger than `settle` are read again: lower settle, or take it out; where the upstream's answers have no Date, all pages count as young"
            }
            Self::Backwards(_) => {
                "settle reads the end of a list again: ask the upstream to sort by that time in ascending order, or take settle out"
            }
            Self::NoTime { .. } => {
                "name the time by which the upstream sorts as the first of `pagination.key`, or take settle out"
            }
        }
    }
}
