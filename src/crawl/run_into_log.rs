//! The emission of an opened crawl to its log: records, a checkpoint after each page, and the seal.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::drive::{Checkpoints, CrawlProgress, Driver, ReadLimit};
use super::failure_report;
use super::metrics::{CountedCrawl, CrawlEnd};
use super::reorder::Released;
use crate::error::{Failure, Fault};
use crate::pagination::verdict::{Consistency, ProvenEnd, Verdict};
use crate::pagination::{LonePage, PageError};
use crate::snapshot::{Seal, WriteRefused, Writer};

pub(super) struct CrawlRun {
    driver: Box<Driver>,
    counted: CountedCrawl,
    writer: Writer,
}

impl CrawlRun {
    pub(super) fn new(mut driver: Box<Driver>, counted: CountedCrawl, writer: Writer) -> Self {
        if !writer.keeps_checkpoints() {
            driver.checkpoints = Checkpoints::Unused;
        }
        Self { driver, counted, writer }
    }

    /// Writes the records, up to the seal.
    pub(super) async fn run(mut self) {
        let started = tokio::time::Instant::now();
        let abandoned = self.writer.abandoned();
        let ended = tokio::select! {
            ended = poll_fn(|context| self.poll_end(context)) => ended,
            () = abandoned => Err(AbnormalEnd::Abandoned),
        };
        let ended = ended.and_then(|end| self.judge(end));
        // The end is counted before any reader can learn of it.
        self.counted.end(match &ended {
            Ok(_) => CrawlEnd::Complete,
            Err(AbnormalEnd::Abandoned) => CrawlEnd::Abandoned,
            Err(AbnormalEnd::Broken(_)) => CrawlEnd::Broken,
        });
        let elapsed = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let elapsed = humantime::format_duration(Duration::from_millis(elapsed));
        let (url, records) = (self.driver.url(), self.driver.records);
        match ended {
            Ok(verdict) => {
                if matches!(verdict.consistency, Consistency::Moved { .. }) {
                    tracing::warn!("{url}: complete: {verdict} ({elapsed})");
                } else {
                    tracing::info!("{url}: complete: {verdict} ({elapsed})");
                }
                self.writer.seal(Seal::Complete(verdict));
            }
            Err(AbnormalEnd::Abandoned) => {
                let resumable = match self.driver.plan.checkpoint() {
                    Some(_) => "; a snapshot that is kept can be resumed",
                    None => "",
                };
                tracing::info!("{url}: stopped after {records} records: its last reader left{resumable} ({elapsed})");
            }
            Err(AbnormalEnd::Broken(failure)) => {
                tracing::error!(
                    "{url}: broken after {records} records: {failure}; fault: {}; {}",
                    failure.fault.name(),
                    failure.hint
                );
                self.writer.seal(Seal::Failed(Arc::new(failure)));
            }
        }
    }

    /// Makes the verdict, or the failure of a list that moved where that breaks the stream.
    fn judge(&self, end: ProvenEnd) -> Result<Verdict, AbnormalEnd> {
        if end.is_lone_page() && self.driver.pagination.single_page != LonePage::Accept {
            return Err(AbnormalEnd::Broken(self.driver.crawl_failure(&PageError::LonePage)));
        }
        let verdict = self.driver.verdict(end);
        self.counted.judge(&verdict.consistency);
        let held = verdict.held_to(self.driver.pagination.on_missed);
        held.map_err(|why| AbnormalEnd::Broken(self.driver.advised(failure_report::moved(self.driver.url(), &why))))
    }

    /// Drives the crawl to its proven end, and writes records while the log has room.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<ProvenEnd, AbnormalEnd>> {
        loop {
            let written = self.poll_written(context)?;
            match ready!(self.driver.poll_progress(ReadLimit::OutputBuffer, context)).map_err(AbnormalEnd::Broken)? {
                CrawlProgress::Underway | CrawlProgress::Page => {}
                // The end has been read, and records before it haven't left yet.
                CrawlProgress::Done(_) if written.is_pending() => return Poll::Pending,
                CrawlProgress::Done(_) if !self.driver.buffer.is_drained() => {}
                CrawlProgress::Done(end) => return Poll::Ready(Ok(end)),
            }
        }
    }

    /// Writes until the buffer is empty or the log is full.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AbnormalEnd>> {
        while !self.driver.buffer.is_drained() {
            if self.driver.buffer.needs_room() {
                ready!(self.writer.poll_room(context))?;
            }
            match ready!(self.driver.buffer.poll_next(context)) {
                Ok(Some(Released::Checkpoint(checkpoint))) => self.writer.note(&checkpoint),
                Ok(Some(Released::Records(batch))) => {
                    self.counted.records(batch.records());
                    self.writer.append(batch);
                }
                Ok(None) => break,
                Err(error) => return Poll::Ready(Err(failure_report::unreadable_spill(&error).into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The end of a crawl without a proof of completeness.
enum AbnormalEnd {
    Abandoned,
    Broken(Failure),
}

impl From<WriteRefused> for AbnormalEnd {
    fn from(refused: WriteRefused) -> Self {
        match refused {
            WriteRefused::NoReader => Self::Abandoned,
            WriteRefused::Unwritten => {
                let hint = "see to where snapshots are kept, and ask again";
                Self::Broken(Failure::new(Fault::Stopped, refused.to_string(), hint))
            }
            WriteRefused::Changed => {
                let hint = "ask again, for a snapshot of its own";
                Self::Broken(Failure::new(Fault::Changed, refused.to_string(), hint))
            }
        }
    }
}

impl From<Failure> for AbnormalEnd {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}
