//! Work of an opened crawl: one list, or the lists of all parents.

use super::children::ChildrenCrawl;
use super::drive::{Checkpoints, Driver};
use super::sharing::StreamSharing;
use crate::pagination::Pagination;
use crate::pagination::page::Head;
use crate::pagination::request::RedactedUrl;
use crate::snapshot::cache_control::SharingLimit;
use crate::upstream_usage::UpstreamUsage;

#[derive(Debug)]
pub(super) enum CrawlWork {
    List(Box<Driver>),
    Children(Box<ChildrenCrawl>),
}

impl CrawlWork {
    pub(super) fn pagination(&self) -> &Pagination {
        match self {
            Self::List(driver) => &driver.pagination,
            Self::Children(children) => &children.pagination,
        }
    }

    /// Returns true if the crawl writes notes from which it can be resumed.
    pub(super) fn has_checkpoints(&self) -> bool {
        match self {
            Self::List(driver) => driver.pagination.partition.is_none() && driver.checkpoints == Checkpoints::Kept,
            Self::Children(_) => true,
        }
    }

    /// Returns true if what was written so far can be resumed.
    pub(super) fn is_resumable(&self) -> bool {
        match self {
            Self::List(driver) => driver.plan.checkpoint().is_some(),
            Self::Children(_) => true,
        }
    }

    pub(super) fn starts_midway(&self) -> bool {
        matches!(self, Self::List(driver) if driver.starts_midway())
    }

    pub(super) fn usage(&self) -> UpstreamUsage {
        match self {
            Self::List(driver) => driver.usage(),
            Self::Children(children) => children.usage(),
        }
    }

    pub(super) fn total(&self) -> Option<u64> {
        match self {
            Self::List(driver) => driver.total(),
            Self::Children(_) => None,
        }
    }

    pub(super) fn records(&self) -> u64 {
        match self {
            Self::List(driver) => driver.records,
            Self::Children(children) => children.records,
        }
    }

    pub(super) fn url(&self) -> RedactedUrl<'_> {
        match self {
            Self::List(driver) => driver.url(),
            Self::Children(children) => children.url(),
        }
    }

    /// Heads of first pages, as far as they are known.
    pub(super) fn heads(&self) -> Vec<&Head> {
        match self {
            Self::List(driver) => driver.head.as_deref().into_iter().collect(),
            Self::Children(children) => children.heads(),
        }
    }

    pub(super) fn sharing(&self) -> &StreamSharing {
        match self {
            Self::List(driver) => &driver.sharing,
            Self::Children(children) => &children.sharing,
        }
    }

    pub(super) fn limit_sharing(&mut self, limit: SharingLimit) {
        match self {
            Self::List(driver) => driver.sharing.limit = Some(limit),
            Self::Children(children) => children.sharing.limit = Some(limit),
        }
    }

    pub(super) fn widen(&mut self, width: usize) {
        match self {
            Self::List(driver) => driver.plan.widen(width),
            Self::Children(children) => children.widen(width),
        }
    }
}
