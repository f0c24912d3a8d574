//! The emission of an opened crawl to its log: records, a checkpoint after each page, and the seal.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::abnormal_end::AbnormalEnd;
use super::crawl_span::CrawlSpan;
use super::crawl_work::CrawlWork;
use super::drive::{Checkpoints, CrawlProgress, Driver, ReadLimit};
use super::failure_report;
use super::metrics::{CountedCrawl, CrawlEnd};
use super::reorder::Released;
use crate::pagination::verdict::{Consistency, ProvenEnd, Verdict};
use crate::snapshot::{Seal, Writer};

pub(super) struct CrawlRun {
    work: CrawlWork,
    counted: CountedCrawl,
    span: CrawlSpan,
    writer: Writer,
}

impl CrawlRun {
    pub(super) fn new(mut work: CrawlWork, counted: CountedCrawl, span: CrawlSpan, writer: Writer) -> Self {
        if let CrawlWork::List(driver) = &mut work
            && !writer.keeps_checkpoints()
        {
            driver.checkpoints = Checkpoints::Unused;
        }
        Self { work, counted, span, writer }
    }

    /// Writes the records, up to the seal.
    pub(super) async fn run(mut self) {
        let started = tokio::time::Instant::now();
        let abandoned = self.writer.abandoned();
        let ended = tokio::select! {
            ended = poll_fn(|context| self.poll_end(context)) => ended,
            () = abandoned => Err(AbnormalEnd::Abandoned),
        };
        if let (CrawlWork::List(driver), Err(AbnormalEnd::Broken(_))) = (&mut self.work, &ended) {
            poll_fn(|context| driver.poll_closed(context)).await;
        }
        self.span.end(&self.work, &ended);
        // The end is counted before any reader can learn of it.
        self.counted.end(match &ended {
            Ok(_) => CrawlEnd::Complete,
            Err(AbnormalEnd::Abandoned) => CrawlEnd::Abandoned,
            Err(AbnormalEnd::Broken(_)) => CrawlEnd::Broken,
        });
        let elapsed = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let elapsed = humantime::format_duration(Duration::from_millis(elapsed));
        let (url, records) = (self.work.url(), self.work.records());
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
                let resumable = if self.work.is_resumable() { "; a snapshot that is kept can be resumed" } else { "" };
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

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<Verdict, AbnormalEnd>> {
        let Self { work, counted, writer, .. } = self;
        match work {
            CrawlWork::List(driver) => {
                let end = ready!(poll_list(driver, counted, writer, context))?;
                let verdict = driver.judge(end)?;
                counted.judge(&verdict.consistency);
                Poll::Ready(driver.hold(verdict).map_err(AbnormalEnd::Broken))
            }
            CrawlWork::Children(children) => children.poll_end(writer, counted, context),
        }
    }
}

/// Drives a list to its proven end, and writes records while the log has room.
fn poll_list(
    driver: &mut Driver,
    counted: &CountedCrawl,
    writer: &mut Writer,
    context: &mut Context<'_>,
) -> Poll<Result<ProvenEnd, AbnormalEnd>> {
    loop {
        let written = poll_written(driver, counted, writer, context)?;
        let progress = driver.poll_progress(ReadLimit::OutputBuffer, context);
        match ready!(writer.poll_beside(progress, driver.buffer.memory(), context))?.map_err(AbnormalEnd::Broken)? {
            CrawlProgress::Underway | CrawlProgress::Page => {}
            // The end has been read, and records before it haven't left yet.
            CrawlProgress::Done(_) if written.is_pending() => return Poll::Pending,
            CrawlProgress::Done(_) if !driver.buffer.is_drained() => {}
            CrawlProgress::Done(end) => {
                ready!(driver.poll_closed(context));
                return Poll::Ready(Ok(end));
            }
        }
    }
}

/// Writes until the buffer is empty or the log is full.
fn poll_written(
    driver: &mut Driver,
    counted: &CountedCrawl,
    writer: &mut Writer,
    context: &mut Context<'_>,
) -> Poll<Result<(), AbnormalEnd>> {
    while !driver.buffer.is_drained() {
        if driver.buffer.needs_room() {
            ready!(writer.poll_room(context))?;
        }
        match ready!(driver.buffer.poll_next(context)) {
            Ok(Some(Released::Checkpoint(checkpoint))) => writer.note(&checkpoint),
            Ok(Some(Released::Records(batch))) => {
                counted.records(batch.records());
                writer.append(batch);
            }
            Ok(None) => break,
            Err(error) => return Poll::Ready(Err(failure_report::unreadable_spill(&error).into())),
        }
    }
    Poll::Ready(Ok(()))
}
