//! Every plan over thousands of generated upstreams and interleavings: each record once, in order, at most `width` pages in
//! flight, the end proven, and nothing after it.
//!
//! Pages arrive piece by piece in a random order; the reorder buffer is full at random times, attempts break off and begin again, and
//! the width changes. None of that may change the records.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "clippy.toml allows it in tests, and means their helpers too"
)]

// The crawl without its sockets.
#[path = "plans/crawl.rs"]
mod crawl;
// The list that is crawled, and who serves it.
#[path = "plans/server.rs"]
mod server;

// One walk, with its pages asked for ahead of their turn.
#[path = "plans/fan_out.rs"]
mod fan_out;
// Several walks side by side.
#[path = "plans/parts.rs"]
mod parts;
// Upstreams that lie, and configurations that don't fit: the clear error or the proven end.
#[path = "plans/lies.rs"]
mod lies;
// Records that come twice.
#[path = "plans/doubles.rs"]
mod doubles;
// Offsets that are no place in a list, where pages should share records.
#[path = "plans/repair.rs"]
mod repair;
// The consistency that a plan's pages can show.
#[path = "plans/verdicts.rs"]
mod verdicts;

#[path = "plans/verified.rs"]
mod verified;
// Upstreams that fail at large pages, and what they may make of small ones.
#[path = "plans/smaller.rs"]
mod smaller;
