//! The end of a crawl's span: its counts, its verdict, or its failure.

use super::abnormal_end::AbnormalEnd;
use super::crawl_work::CrawlWork;
use crate::error::Failure;
use crate::pagination::Verdict;
use crate::trace::{CrawlTrace, Span};

/// Guard of the span of one crawl, which is abandoned if this is dropped before its end.
#[derive(Debug)]
pub(super) struct CrawlSpan(CrawlTrace);

impl CrawlSpan {
    pub(super) fn of(trace: &CrawlTrace) -> Self {
        Self(trace.clone())
    }

    /// Notes the failure of a crawl that has no records.
    pub(super) fn fail_to_open(&self, failure: &Failure) {
        self.0.end(|span| fail(span, "unopened", failure));
    }

    /// Notes the end of a crawl that has run.
    pub(super) fn end(&self, work: &CrawlWork, ended: &Result<Verdict, AbnormalEnd>) {
        self.0.end(|span| {
            let counts = work.usage().counts();
            span.set_number("unpage.records", work.records());
            span.set_number("unpage.pages", counts.pages);
            span.set_number("unpage.requests", counts.requests);
            span.set_number("unpage.retries", counts.retries);
            match ended {
                Ok(verdict) => {
                    span.set_text("unpage.end", "complete");
                    span.set_text("unpage.verdict", verdict.consistency.word());
                    span.set_text("unpage.proof", &verdict.proof);
                }
                Err(AbnormalEnd::Abandoned) => abandon(span),
                Err(AbnormalEnd::Broken(failure)) => fail(span, "broken", failure),
            }
        });
    }
}

impl Drop for CrawlSpan {
    fn drop(&mut self) {
        self.0.end(|span| if std::thread::panicking() { span.fail("panic", "") } else { abandon(span) });
    }
}

fn abandon(span: &mut Span) {
    span.set_text("unpage.end", "abandoned");
}

fn fail(span: &mut Span, end: &str, failure: &Failure) {
    span.set_text("unpage.end", end);
    let status = failure.fault.refusal();
    let kind = status.as_ref().map_or(failure.fault.name(), |status| status.as_str());
    span.fail(kind, failure);
}
