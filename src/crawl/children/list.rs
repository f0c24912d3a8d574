//! One list under way: it is read ahead until its records may leave.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::batch::Batch;
use crate::config::OnGone;
use crate::crawl::drive::{Checkpoints, CrawlProgress, Driver, ReadLimit};
use crate::crawl::reorder::Released;
use crate::crawl::{Crawl, failure_report, open};
use crate::error::{Failure, Fault};
use crate::pagination::children::{Lineage, ListEnd};
use crate::pagination::page::Head;
use crate::pagination::path_change::PathChange;
use crate::pagination::request::RedactedUrl;
use crate::pagination::verdict::ProvenEnd;
use crate::snapshot::cache_control::StorageDemand;

/// A list, and the parents that it belongs to.
#[derive(Debug)]
pub(super) struct ListCrawl {
    pub(super) lineage: Lineage,
    state: ListState,
    /// Path of the first request until its answer has come, and the segments of it that the keys of parents fill.
    asked: Option<(String, Vec<String>)>,
}

/// News of lists, in their order.
#[derive(Debug)]
pub(super) enum ListNews {
    Begun(Lineage),
    /// Records of the list that has begun; at least one.
    Records(Batch),
    /// The end of that list.
    Ended(ListEnd),
    /// All lists have ended, those of the parents included.
    Done,
}

enum ListState {
    /// Waits until the pagination is recognised, or the list has been read twice; else for nothing.
    Opening(Pin<Box<dyn Future<Output = Result<Box<Driver>, Failure>> + Send>>),
    Reading(Box<Driver>, Option<ProvenEnd>),
    /// The failure, with the records before it.
    Failed(Option<Box<Driver>>, Failure),
}

impl ListCrawl {
    /// The list of this crawl, which asks for nothing until it is polled.
    pub(super) fn new(lineage: Lineage, crawl: Crawl, filled: Vec<String>) -> Self {
        let asked = Some((crawl.first.url.path().to_owned(), filled));
        Self { lineage, state: ListState::Opening(Box::pin(open::start(crawl))), asked }
    }

    /// A list that failed before its first request.
    pub(super) fn failed(lineage: Lineage, failure: Failure) -> Self {
        Self { lineage, state: ListState::Failed(None, failure), asked: None }
    }

    /// Reads on, as far as the list has room for records that can't leave yet. A failure waits until those have left.
    pub(super) fn read_ahead(&mut self, context: &mut Context<'_>) {
        loop {
            match &mut self.state {
                ListState::Opening(opening) => match opening.as_mut().poll(context) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(driver)) if driver.starts_midway() => {
                        let message = format!("{}: the request names a page, and a list has all pages", driver.url());
                        let hint = "leave the page out of `parent.query`, and of the request";
                        self.state = ListState::Failed(None, Failure::new(Fault::Configuration, message, hint));
                    }
                    Poll::Ready(Ok(mut driver)) => {
                        // The log notes lists, and no pages of theirs.
                        driver.checkpoints = Checkpoints::Unused;
                        self.state = ListState::Reading(driver, None);
                        self.check_answered_path();
                    }
                    Poll::Ready(Err(failure)) => self.state = ListState::Failed(None, failure),
                },
                ListState::Reading(_, Some(_)) | ListState::Failed(..) => return,
                ListState::Reading(driver, end) => match driver.poll_progress(ReadLimit::OutputBuffer, context) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(progress)) => {
                        if let CrawlProgress::Done(proven) = progress {
                            *end = Some(proven);
                        }
                        self.check_answered_path();
                    }
                    Poll::Ready(Err(failure)) => self.fail(failure),
                },
            }
        }
    }

    /// Fails where the first page was redirected to a path without the keys of the parents: it is the list of another parent. None of its
    /// records leaves.
    fn check_answered_path(&mut self) {
        let ListState::Reading(driver, _) = &self.state else { return };
        let Some(answered) = driver.head.as_ref().map(|head| head.url.clone()) else { return };
        let Some((path, filled)) = self.asked.take() else { return };
        let change = PathChange::between(&path, answered.path());
        if filled.iter().any(|segment| change.removes(segment)) {
            let (url, to) = (driver.url(), RedactedUrl(&answered));
            let message = format!("{url}: redirected to {to}, which may be the list of another parent");
            let hint = "its records would be in the stream twice, or as those of another parent; leave the parent out by `parent.query`";
            self.state = ListState::Failed(None, Failure::new(Fault::Upstream, message, hint));
        }
    }

    fn fail(&mut self, failure: Failure) {
        let none = Failure::new(Fault::Stopped, "", "");
        if let ListState::Reading(driver, _) = std::mem::replace(&mut self.state, ListState::Failed(None, none)) {
            self.state = ListState::Failed(Some(driver), failure);
        }
    }

    /// Returns the next records, or the end after the last one.
    pub(super) fn poll_next(&mut self, on_gone: OnGone, context: &mut Context<'_>) -> Poll<Result<ListNews, Failure>> {
        self.read_ahead(context);
        let driver = match &mut self.state {
            ListState::Opening(_) => return Poll::Pending,
            ListState::Reading(driver, _) | ListState::Failed(Some(driver), _) => driver,
            ListState::Failed(None, failure) => return Poll::Ready(ended(failure, on_gone, true)),
        };
        loop {
            match ready!(driver.buffer.poll_next(context)) {
                Ok(Some(Released::Records(batch))) => return Poll::Ready(Ok(ListNews::Records(batch))),
                Ok(Some(Released::Checkpoint(_))) => {}
                Ok(None) => break,
                Err(error) => return Poll::Ready(Err(failure_report::unreadable_spill(&error))),
            }
        }
        match &mut self.state {
            ListState::Reading(driver, Some(end)) => {
                ready!(driver.poll_closed(context));
                let verdict = driver.judge(end.clone()).and_then(|verdict| driver.hold(verdict));
                Poll::Ready(verdict.map(|verdict| ListNews::Ended(ListEnd::Whole(verdict))))
            }
            ListState::Failed(driver, failure) => {
                let is_untouched = driver.as_ref().is_none_or(|driver| driver.plan.pages() == 0 && driver.records == 0);
                Poll::Ready(ended(failure, on_gone, is_untouched))
            }
            ListState::Opening(_) | ListState::Reading(_, None) => Poll::Pending,
        }
    }

    /// Sets the number of pages that may be in flight.
    pub(super) fn widen(&mut self, width: usize) {
        if let ListState::Reading(driver, _) = &mut self.state {
            driver.plan.widen(width);
        }
    }

    /// Strictest demand of its answers so far on their storage.
    pub(super) fn demand(&self) -> StorageDemand {
        match &self.state {
            ListState::Reading(driver, _) | ListState::Failed(Some(driver), _) => driver.sharing.demand,
            ListState::Opening(_) | ListState::Failed(None, _) => StorageDemand::NONE,
        }
    }

    /// Head of the first page, once it has come.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.state {
            ListState::Reading(driver, _) => driver.head.as_deref(),
            ListState::Opening(_) | ListState::Failed(..) => None,
        }
    }
}

/// Returns the end of a list that failed; `is_untouched` where no page of it has come.
fn ended(failure: &Failure, on_gone: OnGone, is_untouched: bool) -> Result<ListNews, Failure> {
    let status = failure.fault.refusal().map(|status| status.as_u16());
    match (status.filter(|status| is_untouched && matches!(status, 404 | 410)), on_gone) {
        (Some(status), OnGone::Report) => Ok(ListNews::Ended(ListEnd::Gone(status))),
        _ => Err(failure.clone()),
    }
}

impl fmt::Debug for ListState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening(_) => "Opening",
            Self::Reading(..) => "Reading",
            Self::Failed(..) => "Failed",
        })
    }
}
