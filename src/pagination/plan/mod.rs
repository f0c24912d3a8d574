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
//! Whatever is neither a next address nor a proven end is a [`PageError`](super::PageError), and the crawl breaks.

mod ahead;
mod arrive;
mod checkpoint;
mod difference;
mod early;
mod end;
mod follow;
mod gist;
mod halve;
mod part;
mod partition;
mod pins;
mod split;
mod steps;
mod tally;

pub use super::proof::Proof;
pub use checkpoint::Checkpoint;
pub use early::SoFar;
pub use follow::{Follow, Walk};
pub use part::{PageId, PartId};
pub use steps::{Came, Plan, Room, Standing, Step};
