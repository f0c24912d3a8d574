//! An opened crawl is written to its log: what may leave, and behind each page what is needed to go on from there, to the seal.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::drive::{Appetite, Turn};
use super::failure;
use super::metrics::End;
use super::reorder::Released;
use super::{Opened, Start};
use crate::error::{Failure, Fault};
use crate::pagination::plan::Proof;
use crate::snapshot::{Refused, Seal, Verdict, Writer};

impl Opened {
    /// Writes the records to a log, to its seal.
    pub async fn run(mut self, mut writer: Writer) {
        let started = tokio::time::Instant::now();
        let abandoned = writer.abandoned();
        let ended = tokio::select! {
            ended = self.write(&mut writer) => ended,
            () = abandoned => Err(Ended::Abandoned),
        };
        self.count(match &ended {
            Ok(_) => End::Complete,
            Err(Ended::Abandoned) => End::Abandoned,
            Err(Ended::Broken(_)) => End::Broken,
        });
        let elapsed = humantime::format_duration(Duration::from_millis(
            started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        ));
        let url = crate::pagination::request::RedactedUrl(&self.url);
        match ended {
            Ok(proof) => {
                let mut proof = proof.to_string();
                match self.start {
                    Start::Since => proof.push_str("; it starts behind the record that `since` names"),
                    Start::AsAsked if self.plan.starts_midway() => {
                        proof.push_str("; it starts at the page that the request names");
                    }
                    Start::AsAsked => {}
                }
                let verdict = Verdict { records: self.records, pages: self.plan.pages(), proof };
                tracing::info!("{url}: complete: {verdict} ({elapsed})");
                writer.seal(Seal::Complete(verdict));
            }
            Err(Ended::Abandoned) => {
                tracing::info!(
                    "{url}: stopped after {} records: nobody reads any more{} ({elapsed})",
                    self.records,
                    self.later()
                );
            }
            Err(Ended::Broken(failure)) => {
                tracing::error!("{url}: broken after {} records: {failure}; {}", self.records, failure.hint);
                writer.seal(Seal::Failed(Arc::new(failure)));
            }
        }
    }

    /// What a snapshot that was stopped is still good for.
    fn later(&self) -> &'static str {
        if self.plan.checkpoint().is_some() { "; a snapshot that is kept can be gone on with" } else { "" }
    }

    /// Counts the end, before anybody can learn of it in another way.
    fn count(&mut self, end: End) {
        if let Some(counted) = &mut self.counted {
            counted.end(end);
        }
    }

    async fn write(&mut self, writer: &mut Writer) -> Result<Proof, Ended> {
        loop {
            match poll_fn(|context| self.poll_written(writer, context)).await? {
                Turn::Done(proof) => return Ok(proof),
                Turn::Going | Turn::Page => {}
            }
        }
    }

    /// What may leave is written as far as the reader has room for it; meanwhile, the pages go on.
    fn poll_written(&mut self, writer: &mut Writer, context: &mut Context<'_>) -> Poll<Result<Turn, Ended>> {
        loop {
            let left = self.poll_left(writer, context)?;
            match self.poll_turn(Appetite::AsItLeaves, context).map_err(Ended::Broken)? {
                // The end has been read, and what may leave before it hasn't left yet.
                Poll::Ready(Turn::Done(_)) if left.is_pending() => return Poll::Pending,
                Poll::Ready(Turn::Done(_)) if !self.buffer.is_drained() => {}
                turn => return turn.map(Ok),
            }
        }
    }

    /// Writes until nothing may leave any more, or the reader or the disk has to be waited for.
    fn poll_left(&mut self, writer: &mut Writer, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        while !self.buffer.is_drained() {
            if self.buffer.needs_room() {
                ready!(writer.poll_room(context))?;
            }
            match ready!(self.buffer.poll_next(context)) {
                Ok(Some(Released::Checkpoint(note))) => writer.note(&note),
                Ok(Some(Released::Records(batch))) => {
                    if let Some(counted) = &self.counted {
                        counted.records(batch.records());
                    }
                    writer.append(batch);
                }
                Ok(None) => break,
                Err(error) => return Poll::Ready(Err(failure::unreadable_spill(&error).into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Why the loop ended without a proof.
enum Ended {
    Abandoned,
    Broken(Failure),
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoReader => Self::Abandoned,
            Refused::Unwritten => {
                let hint = "see to where snapshots are kept, and ask again";
                Self::Broken(Failure::new(Fault::Stopped, refused.to_string(), hint))
            }
            Refused::Changed => {
                let hint = "ask again, for a snapshot of its own";
                Self::Broken(Failure::new(Fault::Changed, refused.to_string(), hint))
            }
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}
