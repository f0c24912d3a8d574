//! Decisions of a crawl: pure state machines that are fed answers and order pages until the end is proven.
//!
//! A [`Plan`] covers a collection in one part or in several side by side. Each part has a [`Walk`], which takes its pages one
//! by one and in order, and proves each of them against those before it:
//!
//! ```text
//!        step() ⇒ Fetch      begun(), records() …      arrived()
//!   Ask ─────────────────▶ Asked ──────────────────────────────▶ Ask     (a next address)
//!                            │  └──────────────────────────────▶ Done    (the end is proven)
//!                            └───── refused() ─────────────────▶ Done    (a status that is the end)
//! ```
//! A page's records pass through [`Walk::records`] while it arrives, and those that may leave come out at once. A record that the
//! page's end could still prove to be doubled waits for it.
//!
//! Around its walks the plan orders pages ahead. Those are guesses, and prove nothing: when the pages before it have been taken, such a
//! page is used if it is exactly the one that the walk asks for, and dropped otherwise.
//! Anything that is neither a next address nor a proven end is a [`PageError`](super::PageError), and the crawl breaks.

mod adaptive_page_size;
mod addresses;
mod checkpoint;
mod confirmation;
mod consistency;
mod cookie_jar;
mod diff_to_first_request;
mod digest_map;
mod double_counts;
mod double_filter;
mod drift;
mod end;
mod envelope_check;
mod events;
mod expected_overlap;
mod fingerprint;
mod forecast;
mod key_order;
mod key_texts;
mod key_trail;
mod keyset_reader;
mod known_pages;
mod missing_records;
mod newest_records;
mod notice;
mod numbers_in_links;
mod observed_overlap;
mod ordered_page;
mod overlap_keys;
mod page_edge;
mod page_grid;
mod page_overlap;
mod part;
mod partition;
mod parts;
mod pinned_state;
#[expect(clippy::module_inception, reason = "the plan itself is named as the folder of its parts")]
mod plan;
mod progress;
mod range_splitter;
mod release;
mod settling_tail;
mod shared_key_set;
mod totals;
mod trail_keys;
mod trail_note;
mod trail_page;
mod walk;
mod walk_state;

pub use super::proof::Proof;
pub use checkpoint::Checkpoint;
pub use double_counts::Doubles;
pub use events::{
    CurrentPageEvent, PageId, PageName, PageNews, PageSoFar, PageStanding, PartId, ReleasedRecords, Room, Step,
};
pub use notice::PlanNotice;
pub use plan::Plan;
pub use shared_key_set::CrawlKeys;
pub use walk::Walk;
pub use walk_state::WalkStep;
