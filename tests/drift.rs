//! Lists that change while they are read, as small worlds without a socket: before each request the list may change, and the crawl may be
//! killed and resumed behind each page. The list and all courses of it are known, so that the verdict can be held to the truth:
//! whenever a record that stayed is missing or doubled, it is neither `Steady` nor `Mended`.

#![allow(clippy::print_stdout, reason = "the counts of courses are printed for --nocapture")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows it in tests, and means their helpers too")]

// Crawl of a list under a course of changes.
#[path = "drift/world.rs"]
mod world;

// All courses of small worlds.
#[path = "drift/exhaustive.rs"]
mod exhaustive;
// Records that appear late in a list that is sorted by time.
#[path = "drift/late.rs"]
mod late;
// Walks by keys.
#[path = "drift/keys.rs"]
mod keys;
// Random courses of larger ones.
#[path = "drift/random.rs"]
mod random;
