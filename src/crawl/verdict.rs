//! The verdict on a crawl (the end that its plan has proven, where it began, and how its reads compare), or its failure with advice that is
//! not followed yet.

use super::drive::{CrawlStart, Driver};
use super::failure_report::{self, RequestAuthor, on_page, wrong_page};
use crate::error::Failure;
use crate::pagination::followed_advice::open_advice;
use crate::pagination::page::Head;
use crate::pagination::plan::PageName;
use crate::pagination::verdict::{Consistency, ProvenEnd, Verdict};
use crate::pagination::{LonePage, PageError};

impl Driver {
    /// Makes the verdict; fails where one page is all that was seen, and no policy accepts it.
    pub(super) fn judge(&self, end: ProvenEnd) -> Result<Verdict, Failure> {
        if end.is_lone_page() && self.pagination.single_page != LonePage::Accept {
            return Err(self.crawl_failure(&PageError::LonePage));
        }
        Ok(self.verdict(end))
    }

    /// Returns the verdict, or the failure of a list that moved where that breaks the stream.
    pub(super) fn hold(&self, verdict: Verdict) -> Result<Verdict, Failure> {
        let held = verdict.held_to(self.pagination.on_missed);
        held.map_err(|why| self.advised(failure_report::moved(self.url(), &why)))
    }

    fn verdict(&self, end: ProvenEnd) -> Verdict {
        let start = match self.start {
            CrawlStart::Since => "; it starts behind the record that `since` names",
            CrawlStart::Request if self.starts_midway() => "; it starts at the page that the request names",
            CrawlStart::Request => "",
        };
        let doubt = end.doubt();
        let proof = format!("{}{start}", end.proof_text());
        let ProvenEnd { consistency, doubles, late, .. } = end;
        let consistency = match self.verification.clone() {
            Some(verification) => verification.applied(consistency),
            None => consistency,
        };
        let consistency = doubt.map_or(consistency, |why| Consistency::Unverified { why: why.to_owned() });
        let relies_on_order = matches!(consistency, Consistency::Steady | Consistency::Mended { .. });
        let order = relies_on_order.then_some(self.pagination.record_order);
        let (records, pages) = (self.records, self.plan.pages());
        let requests = self.usage().counts().all_requests();
        Verdict { records, pages, requests, proof, consistency, order, doubles, late, lists: None }
    }

    pub(super) fn crawl_failure(&self, error: &PageError) -> Failure {
        self.advised(wrong_page(&self.client, error, &self.asked))
    }

    /// The failure without advice that the configuration follows already.
    pub(super) fn advised(&self, failure: Failure) -> Failure {
        Failure { hint: open_advice(&self.pagination, &failure.hint), ..failure }
    }

    pub(super) fn page_failure(&self, wrong: &PageError, head: &Head, name: PageName) -> Failure {
        let author = RequestAuthor::of(name, &head.url, &self.asked);
        on_page(name, self.advised(author.wrong_page(&self.client, wrong, &head.url)))
    }
}
