//! The client of one crawl: its place in the queue for permits, and the member of a pool whose credentials its requests have.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use url::Url;

use super::Client;
use crate::config::MemberChoice;
use crate::pace::BudgetScope;
use crate::pagination::redirects::CrawlRedirects;
use crate::pagination::{Cookies, PageRequest, Pagination};
use crate::trace::CrawlTrace;
use crate::upstream::auth;
use crate::upstream::pacing::{CrawlLine, Permit};
use crate::upstream_usage::UpstreamUsage;

impl Client {
    /// Returns the client of one crawl of this pagination. Its requests have the credentials of the first page, wait in one queue with those of
    /// other crawls, and are counted from now on. Called on the client of a crawl of children, it returns the client of one of its lists,
    /// whose requests wait in the crawl's place and count as the crawl's.
    pub fn for_crawl(&self, first: &PageRequest, pagination: &Pagination) -> Self {
        let crawl = Arc::new((first.url.path().to_owned(), CrawlRedirects::default()));
        let mut line = match &self.line {
            Some(line) => line.of_list(),
            None => self.line_of(&first.method, &first.url, &first.headers),
        };
        if self.upstream.credentials.are_pooled() && self.has_one_member(pagination) {
            // The client's fields may be others when the crawl is resumed.
            line = line.kept_to(PageRequest { headers: HeaderMap::new(), ..first.clone() }.identity());
        }
        let trace = self.trace.clone().unwrap_or_default();
        line.usage().set_trace(&trace);
        Self { line: Some(line), crawl, trace: Some(trace), ..self.clone() }
    }

    /// Returns true where all requests of a crawl have the credentials of one member of the pool.
    fn has_one_member(&self, pagination: &Pagination) -> bool {
        match self.upstream.credentials.choice {
            MemberChoice::Crawl => true,
            MemberChoice::Page => false,
            MemberChoice::ByStyle => {
                let is_stateful = pagination.cookies == Cookies::Kept || pagination.valid_at.is_some();
                !pagination.style.is_computed() || is_stateful
            }
        }
    }

    /// The same client for the requests of a crawl with this trace.
    pub fn in_trace(self, trace: CrawlTrace) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// The same client for other requests of the crawl that has this client.
    pub fn in_trace_of(self, other: &Self) -> Self {
        Self { trace: other.trace.clone(), ..self }
    }

    /// Returns the trace of the crawl, which is a new one where none was given.
    pub fn trace(&mut self) -> &CrawlTrace {
        self.trace.get_or_insert_default()
    }

    /// Counts an attempt at a page whose next one will say so.
    pub fn count_resend(&mut self) {
        self.resends += 1;
    }

    pub fn redirects(&self) -> &CrawlRedirects {
        &self.crawl.1
    }

    /// Returns true for a page that the crawl tells from its first one by the query, and not by the path.
    pub fn is_at_first_path(&self, page: &Url) -> bool {
        page.path() == self.crawl.0
    }

    /// Counts of the crawl's requests; zero where the client is not a crawl's.
    pub fn usage(&self) -> UpstreamUsage {
        self.line.as_ref().map(|line| line.usage().clone()).unwrap_or_default()
    }

    /// Waits until a page may be requested with the credentials of a member of the pool, or of this one. Returns also the member.
    pub(super) async fn permit(&self, page: &PageRequest, member: Option<usize>) -> (usize, Permit) {
        let own;
        let line = match &self.line {
            Some(line) => line,
            None => {
                own = self.line_of(&page.method, &page.url, &page.headers);
                &own
            }
        };
        let member = member.unwrap_or_else(|| line.member());
        (member, line.permit_of(member).await)
    }

    /// Returns true where another member of the pool may send at once, so that a wait that one is told holds no crawl.
    pub fn has_other_member(&self) -> bool {
        self.line.as_ref().is_some_and(CrawlLine::has_other_member)
    }

    /// Keeps the member of the pool that an interrupted crawl had, as [`Client::unusual_member`] has told it.
    pub fn bind(&self, member: Option<usize>) {
        if let Some(line) = &self.line {
            line.bind(member);
        }
    }

    /// Returns the member of the pool that the crawl keeps, where it does not follow from the crawl's address.
    pub fn unusual_member(&self) -> Option<usize> {
        self.line.as_ref()?.unusual_member()
    }

    /// Returns the members of the pool with which the crawl's last refused page (401, 403) was requested.
    pub fn refused_members(&self) -> Vec<usize> {
        self.line.as_ref().map(CrawlLine::refused_members).unwrap_or_default()
    }

    /// Holds all requests of the upstream and credential, since a whole page demands it.
    pub fn pause(&self, wait: Duration) {
        if let Some(line) = &self.line {
            line.pause(wait);
        }
    }

    /// Waits before a page is requested again; the wait is counted from this call on.
    pub fn back_off(&self, wait: Duration) -> impl Future<Output = ()> + use<> {
        let counted = self.line.as_ref().map(CrawlLine::back_off);
        async move {
            tokio::time::sleep(wait).await;
            drop(counted);
        }
    }

    pub(super) fn line_of(&self, method: &Method, url: &Url, headers: &HeaderMap) -> CrawlLine {
        let scope = match self.upstream.pace.budget.scope {
            BudgetScope::Upstream => String::new(),
            BudgetScope::Method => method.to_string(),
            BudgetScope::Route => format!("{method} {}", url.path()),
        };
        let members = 0..self.upstream.credentials.members.len().max(1);
        let identity = |member| auth::identity(&self.upstream, member, url, headers);
        self.governors.line(&self.upstream, &members.map(identity).collect::<Vec<_>>(), &scope)
    }
}
