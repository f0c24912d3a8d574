//! One page as a stream of events: all attempts at it, and each of its records once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};
use http::StatusCode;

use super::attempts::{Attempted, Attempts, PageFailure};
use super::failure_report::AttemptError;
use super::prefix_check::{PageChanged, PrefixCheck};
use crate::batch::Batch;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::retry::PagePlace;
use crate::pagination::splitter::{PageShape, Splitter};
use crate::upstream::DecodedBody;

/// Number of bytes of a page that are read before its records are handed out, if the body doesn't pause before.
const CHUNK: usize = 64 * 1024;

/// An event of a page, in the order in which it was read.
#[derive(Debug)]
pub(super) enum PageEvent {
    /// The head of an attempt that brings a page.
    Head(Arc<Head>),
    /// The next records, each once however many attempts the page takes.
    Records(Batch),
    /// Number of bytes that were read, where no record that may leave ended in them.
    Progress(usize),
    /// An attempt failed at a page that is not at the head. The next one is made when it is.
    Deferred,
    /// The last event: the rest of the page, or the reason why there is none.
    End(Result<Page, PageFailure>),
}

/// The stream of one page. It moves when it is polled, and stops when it is dropped.
///
/// ```text
///   Asking ── a page's head ──▶ Reading ── the whole page ──▶ Over
///     ▲  │                         │                           ▲
///     │  ├──────── an error ───────┴─▶ Deferred                │
///     │  │                                 │                   │
///     └──│──── the page is at the head ─────┘                   │
///        └── no further attempt ───────────────────────────────┘
/// ```
///
/// A state machine by hand: only Asking needs a boxed future, so that a batch costs no allocation and no lock.
pub(super) struct PageStream {
    state: StreamState,
    shape: Arc<PageShape>,
    prefix: PrefixCheck,
    /// The values that the last attempt had read when it failed.
    fields: PageFields,
    /// A failed attempt had brought a part of a record.
    earlier_attempt_had_bytes: bool,
    /// The page is the next one of its part.
    is_at_head: bool,
}

enum StreamState {
    /// Waits for permits, connections, heads and back-offs.
    Asking(Pin<Box<dyn Future<Output = (Box<Attempts>, Attempted)> + Send>>),
    Reading(Box<Attempts>, Box<PageReader>),
    Deferred(Box<Attempts>, AttemptError),
    Over,
}

/// A body on its way through the splitter.
struct PageReader {
    body: DecodedBody,
    splitter: Splitter,
    /// Number of bytes since the last event.
    read: usize,
    /// The status says that there is no body (204).
    is_bodiless: bool,
}

impl PageStream {
    /// The page of these attempts, the first of which is made when the stream is polled for the first time.
    pub(super) fn new(attempts: Attempts, shape: Arc<PageShape>) -> Self {
        Self {
            state: StreamState::Asking(Box::pin(Box::new(attempts).first())),
            shape,
            prefix: PrefixCheck::default(),
            fields: PageFields::default(),
            earlier_attempt_had_bytes: false,
            is_at_head: false,
        }
    }

    /// Allows further attempts: the page is the next one of its part.
    pub(super) fn set_at_head(&mut self) {
        self.is_at_head = true;
    }

    pub(super) fn is_at_head(&self) -> bool {
        self.is_at_head
    }

    /// Number of bytes in memory of what was read and not handed out.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.state {
            StreamState::Reading(_, reader) => reader.splitter.held_bytes(),
            StreamState::Asking(_) | StreamState::Deferred(..) | StreamState::Over => 0,
        }
    }

    /// Releases the permit of a page that is not read on for now: another one may be asked for instead.
    pub(super) fn release_permit(&mut self) {
        if let StreamState::Reading(_, reader) = &mut self.state {
            reader.body.release();
        }
    }

    /// The values at the configured paths that the current attempt has read, or else the last one.
    pub(super) fn fields(&self) -> &PageFields {
        match &self.state {
            StreamState::Reading(_, reader) => reader.splitter.fields(),
            StreamState::Asking(_) | StreamState::Deferred(..) | StreamState::Over => &self.fields,
        }
    }

    /// The values that were read, of a stream that is over.
    pub(super) fn into_fields(self) -> PageFields {
        self.fields
    }

    /// Asking ⇒ Reading.
    fn begin(&mut self, mut attempts: Box<Attempts>, head: Arc<Head>, body: DecodedBody) -> PageEvent {
        attempts.begin_page();
        self.prefix.start_over();
        let splitter = Splitter::of_answer(Arc::clone(&self.shape), Arc::clone(attempts.request()));
        let is_bodiless = head.status == StatusCode::NO_CONTENT;
        self.state = StreamState::Reading(attempts, Box::new(PageReader { body, splitter, read: 0, is_bodiless }));
        PageEvent::Head(head)
    }

    /// Reading ⇒ Over, if the page is whole and begins with all records that have been handed out.
    fn finish(&mut self, arrived: Result<(), AttemptError>) -> Option<PageEvent> {
        let StreamState::Reading(attempts, reader) = std::mem::replace(&mut self.state, StreamState::Over) else {
            return None;
        };
        let (splitter, is_bodiless) = (reader.splitter, reader.is_bodiless);
        let (has_bytes, hash) = (splitter.has_begun(), splitter.hash());
        let lost_bytes = self.earlier_attempt_had_bytes && !has_bytes;
        self.earlier_attempt_had_bytes |= has_bytes;
        self.fields.clone_from(splitter.fields());
        let page = arrived.and_then(|()| {
            let mut page = match attempts.place() {
                _ if is_bodiless => splitter.finish_without_content(),
                // The plan would refuse it as well, without another attempt.
                PagePlace::First => splitter.finish(),
                PagePlace::Later => splitter.finish_any(),
            }?;
            page.batch = self.prefix.pass_last(page.batch)?;
            // A page that had a part of a record a moment ago is not empty.
            if lost_bytes { Err(PageChanged { records: 0 }.into()) } else { Ok(page) }
        });
        match page {
            Ok(page) => {
                attempts.succeed(&page.fields);
                Some(PageEvent::End(Ok(page)))
            }
            Err(error) => {
                self.prefix.fail(hash);
                self.fail(attempts, error)
            }
        }
    }

    /// Asking or Reading ⇒ Deferred, for a page that may not exist: it is worth another attempt only at the head of its part. Else
    /// ⇒ Asking.
    fn fail(&mut self, attempts: Box<Attempts>, error: AttemptError) -> Option<PageEvent> {
        if !self.is_at_head && error.may_lie_behind_the_end() {
            self.state = StreamState::Deferred(attempts, error);
            return Some(PageEvent::Deferred);
        }
        self.state = StreamState::Asking(Box::pin(attempts.again(error)));
        None
    }
}

impl Stream for PageStream {
    type Item = PageEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PageEvent>> {
        let page = &mut *self;
        loop {
            let event = match &mut page.state {
                StreamState::Asking(asking) => match ready!(asking.as_mut().poll(context)) {
                    (attempts, Attempted::Page(head, body)) => Some(page.begin(attempts, head, *body)),
                    (attempts, Attempted::Failed(error)) => page.fail(attempts, error),
                    (_, Attempted::GivenUp(failure)) => {
                        page.state = StreamState::Over;
                        Some(PageEvent::End(Err(failure)))
                    }
                },
                StreamState::Reading(_, reader) => {
                    match ready!(reader.poll_event(&mut page.prefix, context)).transpose() {
                        Some(Ok(event)) => Some(event),
                        Some(Err(error)) => page.finish(Err(error)),
                        None => page.finish(Ok(())),
                    }
                }
                StreamState::Deferred(..) if !page.is_at_head => return Poll::Pending,
                StreamState::Deferred(..) => {
                    if let StreamState::Deferred(attempts, error) =
                        std::mem::replace(&mut page.state, StreamState::Over)
                    {
                        page.state = StreamState::Asking(Box::pin(attempts.again(error)));
                    }
                    None
                }
                StreamState::Over => return Poll::Ready(None),
            };
            if event.is_some() {
                return Poll::Ready(event);
            }
        }
    }
}

impl PageReader {
    /// The next event; none at the body's end.
    fn poll_event(
        &mut self,
        prefix: &mut PrefixCheck,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<PageEvent>, AttemptError>> {
        loop {
            match self.body.poll_next_unpin(context)? {
                // Nothing is there: the records that have ended leave now, and not with those that come next.
                Poll::Pending if self.read > 0 => return Poll::Ready(self.hand_out(prefix).map(Some)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(piece)) => {
                    self.splitter.feed(&piece)?;
                    self.read += piece.len();
                    if self.read >= CHUNK {
                        return Poll::Ready(self.hand_out(prefix).map(Some));
                    }
                }
            }
        }
    }

    fn hand_out(&mut self, prefix: &mut PrefixCheck) -> Result<PageEvent, AttemptError> {
        let read = std::mem::take(&mut self.read);
        let batch = prefix.pass(self.splitter.take())?;
        Ok(if batch.is_empty() { PageEvent::Progress(read) } else { PageEvent::Records(batch) })
    }
}

impl std::fmt::Debug for PageStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageStream").field("is_at_head", &self.is_at_head).finish_non_exhaustive()
    }
}
