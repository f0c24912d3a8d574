//! Keys of all records of a crawl, compared exactly: a key is known if the same text came before, and never because of a hash.
//!
//! ```text
//!   a record ── KeyReader ──▶ text ── KeySet ──┬─ prefix and number ──▶ NumberRanges: 1 to 1,000,000 is one range
//!                                              └─ any other text ─────▶ LooseKeys: memory, then sorted runs in a KeySpill
//! ```
//!
//! The splitter finds the keys of a batch as its lines end (`column.rs`). Keys that count up are expected, so that a run of them costs one
//! comparison each and one entry in all.
//!
//! Numbers that are dense leave no more than their ranges behind, whatever their order. All other keys are kept as they are, in memory up
//! to a bound and behind it as sorted runs in a file, beside which a filter answers most questions for new keys.

mod bloom_filter;
mod column;
mod loose;
mod next_key;
mod numbered_key;
mod numbers;
mod reader;
mod run;
mod series;
mod set;

pub(in crate::pagination) use self::column::KeyColumn;
pub use self::loose::{KeySpill, NoSpill, RunNumber, SpillLost};
pub(in crate::pagination) use self::reader::KeyReader;
pub use self::set::{KeySet, Novelty};
