//! `auto`: what the first page of an unknown collection says about its pagination, as candidates in the order of trust.

use http::HeaderMap;
use serde_json::Value;

use super::{PageRequest, Pagination};

/// What the first page says.
#[derive(Clone, Debug)]
pub struct Detection {
    /// What it may be, the most trusted first; each must still be verified on the second page.
    pub candidates: Vec<Candidate>,
    /// What was looked at, for the one who must configure it by hand.
    pub seen: Vec<String>,
}

/// One guess.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The pagination that it would be.
    pub pagination: Pagination,
    /// What speaks for it, in one phrase.
    pub why: String,
}

/// Reads the first page.
pub fn detect(_request: &PageRequest, _headers: &HeaderMap, _page: &Value) -> Detection {
    Detection { candidates: Vec::new(), seen: Vec::new() }
}

/// All arrays of a page.
pub fn arrays(_page: &Value) -> Vec<(super::Path, usize)> {
    Vec::new()
}

/// A live pointer.
pub fn live_pointer(_headers: &HeaderMap, _page: &Value) -> Option<String> {
    None
}
