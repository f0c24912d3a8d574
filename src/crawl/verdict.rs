//! The verdict on a crawl: the end that its plan has proven, where it began, and how its reads compare.

use super::drive::{CrawlStart, Driver};
use crate::pagination::verdict::{Consistency, ProvenEnd, Verdict};

impl Driver {
    pub(super) fn verdict(&self, end: ProvenEnd) -> Verdict {
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
        Verdict { records, pages, requests, proof, consistency, order, doubles, late }
    }
}
