//! What a crawl does next: pure state machines that are fed answers and ask for pages until the end is proven.
//!
//! A [`Plan`] walks a collection in one part or in several side by side. Each part is a [`Follow`], which takes its pages one
//! by one and in order, and proves each of them against those before it:
//!
//! ```text
//!        step() ⇒ Fetch      begun(), records() …      arrived()
//!   Ask ─────────────────▶ Asked ──────────────────────────────▶ Ask     (a next address)
//!                            │  └──────────────────────────────▶ Done    (the end is proven)
//!                            └───── refused() ─────────────────▶ Done    (a status that is the end)
//! ```
//! A page's records pass through [`Follow::records`] while it arrives, and what may leave of them comes out at once; what the
//! page's end could still prove to be doubled waits for it.
//!
//! Around its walks the plan asks for pages ahead of their turn. Those are guesses, and prove nothing: a page whose turn comes is
//! used if it is exactly the one that the walk asks for, and dropped otherwise.
//! Whatever is neither a next address nor a proven end is a [`Wrong`](super::Wrong), and the crawl breaks.

mod address;
mod ahead;
mod arrive;
mod early;
mod end;
mod follow;
mod gist;
mod halve;
mod part;
mod partition;
mod range;
mod split;
mod steps;
mod tally;

use std::fmt;

use http::StatusCode;

pub use early::SoFar;
pub use follow::{Follow, Walk};
pub use part::{PageId, PartId};
pub use steps::{Came, Plan, Room, Standing, Step};
/// How the end of a collection is known (RFC 9110 has no word for it; each upstream has its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The upstream gave no next link, URL or token.
    NoNext,
    /// The upstream's flag says that nothing follows.
    Flag,
    /// As many records came as the upstream says there are.
    Total(u64),
    /// As many pages came as the upstream says there are.
    TotalPages(u64),
    /// The page past the last was empty.
    EmptyPage,
    /// The last page was short, which this collection says is the end.
    ShortPage,
    /// The upstream answered the page past the last with the status that means so.
    Status(StatusCode),
    /// The upstream repeated the token, which this collection says is the end.
    SameToken,
    /// The collection is one page.
    SinglePage,
    /// Each of so many parts has its own proof.
    Parts(u64),
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNext => f.write_str("no next address"),
            Self::Flag => f.write_str("the upstream's flag"),
            Self::Total(total) => write!(f, "the upstream's total of {total}"),
            Self::TotalPages(pages) => write!(f, "the upstream's number of pages, {pages}"),
            Self::EmptyPage => f.write_str("an empty page past the last"),
            Self::ShortPage => f.write_str("a short page, as configured"),
            Self::Status(status) => write!(f, "status {} past the last page, as configured", status.as_u16()),
            Self::SameToken => f.write_str("an unchanged token, as configured"),
            Self::SinglePage => f.write_str("one page, as configured"),
            Self::Parts(1) => f.write_str("a record behind the configured range"),
            Self::Parts(parts) => write!(f, "the end of each of its {parts} parts"),
        }
    }
}
