//! The specification of one crawl.

use std::sync::Arc;
use std::time::SystemTime;

use super::metrics::Crawls;
use crate::config::Caps;
use crate::pagination::{PageRequest, Pagination};
use crate::snapshot::MemoryBudget;
use crate::upstream::Client;

/// A collection to be crawled.
#[derive(Clone, Debug)]
pub struct Crawl {
    /// The upstream's client.
    pub client: Client,
    /// The pagination of the collection.
    pub pagination: Arc<Pagination>,
    /// unpage's own caps.
    pub caps: Caps,
    /// The first page's request, before page size and number are added.
    pub first: PageRequest,
    /// The value of the record behind which the crawl begins, if the collection has a `since`.
    pub since: Option<String>,
    /// The moment that the upstream is asked for, if it can be; none means now.
    pub valid_at: Option<SystemTime>,
    /// Most pages in flight at a time; at least 1.
    pub width: usize,
    /// Budget that this crawl shares with others and with their snapshots.
    pub memory: MemoryBudget,
    /// The counts that this crawl is part of.
    pub crawls: Crawls,
}
