//! How a snapshot ended: complete with its verdict, or failed with its cause.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// How a snapshot ended.
#[derive(Clone, Debug)]
pub enum Seal {
    /// Every record is there.
    Complete(Verdict),
    /// The crawl broke; what is there is a prefix.
    Failed(Arc<Failure>),
}

/// What is known about a complete snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How many records it has.
    pub records: u64,
    /// How many pages they came from.
    pub pages: u64,
    /// What proves the end, as a phrase.
    pub proof: String,
}

/// Why a crawl broke, or could not start.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What happened, on one line.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Header fields of the upstream's that a client needs to act on its status.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The upstream answered with this status.
    Refused(StatusCode),
    /// No connection to the upstream.
    Unreachable,
    /// The upstream did not answer in time.
    Timeout,
    /// What the upstream sent is no page.
    Upstream,
    /// The collection is configured wrongly.
    Configuration,
    /// What came does not prove that the collection is complete.
    Unproven,
    /// unpage itself stopped.
    Stopped,
}

impl Failure {
    /// A failure without header fields.
    pub fn new(fault: Fault, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: hint.into(), headers: Vec::new() }
    }
}

impl Fault {
    /// The name by which a problem report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused(_) | Self::Unreachable | Self::Timeout | Self::Upstream => "upstream",
            Self::Configuration => "configuration",
            Self::Unproven => "unproven",
            Self::Stopped => "unpage",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let Self { records, pages, proof } = self;
        write!(f, "{records} record{} in {pages} page{}; end proven by {proof}", plural(*records), plural(*pages))
    }
}
