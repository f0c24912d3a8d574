//! What a crawl has seen so far: the counts that an end is proven against, and what must not come twice.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::gist::Gist;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::{PageError, Source};

/// The running counts of one crawl.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Pages that came.
    pub(super) pages: u64,
    /// Pages that came with records.
    pub(super) filled: u64,
    /// Records that came, each once.
    pub(super) records: u64,
    /// Whether a page held the upstream's "more" flag.
    pub(super) flagged: bool,
    /// Pages without a record that came in a row.
    pub(super) empty_pages: u64,
    /// The most records on one page before the current one.
    pub(super) longest: u64,
    /// The upstream's total, as last said by a page with records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
    /// The largest total that the upstream ever said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) most: Option<u64>,
    /// The upstream's number of pages, as last said by a page with records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total_pages: Option<u64>,
    /// What the first page with records starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) opening: Option<u64>,
    /// What the last page that was counted, and the request that it led to, have put into the sets.
    added: Added,
    /// Each page's digest and each request's identity → the page's number.
    #[serde(skip)]
    digests: HashMap<u64, u64>,
    /// What each page started with → the page's number, the first of those that start alike.
    #[serde(skip)]
    starts: HashMap<u64, u64>,
    #[serde(skip)]
    requests: HashMap<u64, u64>,
}

/// What a page adds to what must not come twice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Added {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    /// Of the request behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
}

impl Tally {
    /// Notes a request; `Err` is the page that the same request has asked for before.
    pub(super) fn asked(&mut self, identity: u64) -> Result<(), u64> {
        let page = self.pages + 1;
        self.added.request = Some(identity);
        match self.requests.insert(identity, page) {
            Some(earlier) => Err(earlier),
            None => Ok(()),
        }
    }

    /// Whether a request like this was asked.
    pub(super) fn knows(&self, identity: u64) -> bool {
        self.requests.contains_key(&identity)
    }

    /// The earlier page that held the same records.
    pub(super) fn repeated(&self, page: &Gist) -> Option<u64> {
        self.digests.get(&page.digest()).copied().filter(|_| page.records > 0)
    }

    /// The earlier page that started so.
    pub(super) fn started(&self, start: u64) -> Option<u64> {
        self.starts.get(&start).copied()
    }

    /// Counts a page.
    pub(super) fn count(&mut self, page: &Gist) {
        let new = page.new_records();
        self.pages += 1;
        self.records += new;
        self.empty_pages = if new == 0 { self.empty_pages + 1 } else { 0 };
        self.added = Added::default();
        if page.records > 0 {
            self.filled += 1;
            self.opening.get_or_insert(page.start);
            (self.added.digest, self.added.start) = (Some(page.digest()), Some(page.start));
            self.add();
        }
    }

    /// All but the sets, and of those what was added last.
    pub(super) fn counts(&self) -> Self {
        Self { digests: HashMap::new(), starts: HashMap::new(), requests: HashMap::new(), ..*self }
    }

    /// Goes on to what [`Tally::counts`] said one page later.
    pub(super) fn fold(&mut self, counts: &Self) -> Result<(), PageError> {
        // A last page that came twice is not counted twice.
        if !(self.pages..=self.pages + 1).contains(&counts.pages) || counts.records < self.records {
            return Err(PageError::BadCheckpoint("a page is missing".to_owned()));
        }
        let Self { digests, starts, requests, .. } = std::mem::take(self);
        *self = Self { digests, starts, requests, ..*counts };
        self.add();
        Ok(())
    }

    fn add(&mut self) {
        let Added { digest, start, request } = self.added;
        self.digests.extend(digest.map(|digest| (digest, self.pages)));
        if let Some(start) = start {
            self.starts.entry(start).or_insert(self.pages);
        }
        self.requests.extend(request.map(|request| (request, self.pages + 1)));
    }

    /// Reads the upstream's totals; past the end, where some upstreams make them up, they are not read.
    pub(super) fn read_totals(
        &mut self,
        total: Option<&Source>,
        total_pages: Option<&Source>,
        head: &Head,
        fields: &PageFields,
        records: u64,
    ) -> Result<Shrunk, PageError> {
        let mut shrunk = Shrunk::No;
        if records > 0 || self.pages == 0 {
            if let Some(new) = total.map(|source| source.number(head, fields)).transpose()?.flatten() {
                if let Some(before) = self.total.filter(|before| new < *before) {
                    shrunk = Shrunk::From(before);
                }
                self.total = Some(new);
                self.most = self.most.max(Some(new));
            }
            if let Some(new) = total_pages.map(|source| source.number(head, fields)).transpose()?.flatten() {
                self.total_pages = Some(new);
            }
        }
        Ok(shrunk)
    }
}

/// Whether the total is smaller than on an earlier page.
pub(super) enum Shrunk {
    No,
    From(u64),
}
