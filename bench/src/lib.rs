//! Speed of unpage, as ratios to contenders in the same run.
//!
//! - [`corpora`]: the pages
//! - [`approaches`]: every way from a page to lines
//! - [`splitter`]: unpage's own, the one place that knows its interface
//! - [`check`]: every approach comes to the expected lines
//! - [`keys`]: memory and time of the comparison of keys
//! - [`micro`]: all of them against each other
//! - [`e2e`]: the whole way, between two sockets
//! - [`figure`]: what issue 3 asks for, and what was seen
//! - [`spread`]: a median and how far it can be trusted

pub mod approaches;
pub mod check;
pub mod corpora;
pub mod e2e;
pub mod figure;
pub mod keys;
pub mod micro;
pub mod splitter;
pub mod spread;
