//! One page on its way: its records are handed out as they arrive, each once however many attempts that takes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::attempts::{Attempts, GivenUp, Settled};
use super::exchange::{Answer, Trouble, ask};
use super::prefix_check::{Changed, Sent};
use crate::batch::Batch;
use crate::pagination::page::{Head, Page, PageFields};
use crate::pagination::retry::{Halvable, Overload, RetryBudget};
use crate::pagination::split::{PageShape, Splitter};
use crate::pagination::{PageError, PageRequest};
use crate::upstream::{Client, DecodedBody, Release, UpstreamError};

/// How many bytes of a page are read before its records are handed out, where they don't pause before.
const CHUNK: usize = 64 * 1024;

/// What comes of asking for a page, in this order; the last three are an end.
#[derive(Debug)]
pub(super) enum Event {
    /// The head of a page, once for each attempt.
    Begun(Arc<Head>),
    /// Every value that has been read so far.
    Fields(PageFields),
    /// Its next records, each once however many attempts it takes.
    Records(Batch),
    /// An attempt brought nothing, before the page has its turn; the next one is made then.
    Stumbled,
    /// So many bytes were read, and no record ended in them that may leave yet.
    Kept(usize),
    /// The page is whole.
    Page(Page),
    /// A status that brings no page, the start of what came with it, and whether a smaller page is worth a try.
    Refused(Box<Head>, Bytes, Overload),
    /// It was given up.
    Failed(GivenUp),
}

/// A page on its way: it moves when it is polled, and stops when it is dropped.
pub(super) struct Fetch {
    reading: Pin<Box<dyn Future<Output = Event> + Send>>,
    slot: Slot,
    early: Early,
    turn: CancellationToken,
}

/// Where the page's future leaves what gives its permit back.
#[derive(Clone, Debug, Default)]
struct Early(Arc<Mutex<Option<Release>>>);

/// Where the page's future leaves an event. Whoever polls takes it out before polling again, so one is enough.
#[derive(Clone, Debug, Default)]
struct Slot(Arc<Mutex<Option<Event>>>);

impl Fetch {
    /// Asks for a page, when it is polled for the first time.
    pub(super) fn new(
        client: Client,
        request: PageRequest,
        shape: Arc<PageShape>,
        budget: RetryBudget,
        halvable: Halvable,
    ) -> Self {
        let (slot, early, turn) = (Slot::default(), Early::default(), CancellationToken::new());
        let page = Reading {
            client,
            request,
            shape,
            budget,
            halvable,
            slot: slot.clone(),
            early: early.clone(),
            turn: turn.clone(),
            sent: Sent::default(),
            has_begun: false,
        };
        Self { reading: Box::pin(page.read()), slot, early, turn }
    }

    /// The page has its turn: it may be asked for again, if that helps.
    pub(super) fn has_turn(&self) {
        self.turn.cancel();
    }

    /// Nobody reads on for now: another page may be asked for instead.
    pub(super) fn release(&self) {
        if let Some(early) = self.early.take() {
            early.release();
        }
    }

    /// The next event; none is to be asked for after an end.
    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        match self.reading.as_mut().poll(context) {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => self.slot.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl Early {
    fn leave(&self, release: Option<Release>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = release;
    }

    fn take(&self) -> Option<Release> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Slot {
    /// Leaves an event, and resolves when the page is polled again.
    async fn leave(&self, event: Event) {
        let mut left = Some(event);
        std::future::poll_fn(|_| match left.take() {
            Some(event) => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
        .await;
    }

    fn take(&self) -> Option<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// All attempts at one page.
struct Reading {
    client: Client,
    request: PageRequest,
    shape: Arc<PageShape>,
    budget: RetryBudget,
    halvable: Halvable,
    slot: Slot,
    early: Early,
    /// Cancelled when the page has its turn.
    turn: CancellationToken,
    sent: Sent,
    /// Whether an attempt broke off that had brought a part of a record.
    has_begun: bool,
}

impl Reading {
    async fn read(mut self) -> Event {
        let mut attempts = Attempts::new(self.budget.clone());
        loop {
            let tried = self.attempt(&attempts.door(&self.client)).await;
            if may_not_be_there(&tried) && !self.turn.is_cancelled() {
                // Only the page whose turn it is is worth another attempt.
                self.slot.leave(Event::Stumbled).await;
                self.turn.cancelled().await;
            }
            let Some(Settled { came, overload }) =
                attempts.settle(&self.client, &self.request, tried, self.halvable).await
            else {
                continue;
            };
            return match came {
                Ok(Answer::Page(page)) => Event::Page(page),
                Ok(Answer::Refused(head, body)) => Event::Refused(head, body, overload),
                Err(failure) => Event::Failed(GivenUp { failure, overload }),
            };
        }
    }

    async fn attempt(&mut self, door: &Client) -> Result<Answer<Page>, Trouble> {
        let (head, mut body) = match ask(door, &self.request).await? {
            Answer::Page(answer) => answer,
            Answer::Refused(head, body) => return Ok(Answer::Refused(head, body)),
        };
        // What has begun has to be gone on with.
        self.halvable = Halvable::No;
        self.early.leave(body.early());
        let is_bodiless = head.status == StatusCode::NO_CONTENT;
        self.slot.leave(Event::Begun(Arc::new(head))).await;
        self.sent.again();
        let mut splitter = Splitter::new(Arc::clone(&self.shape));
        if is_bodiless {
            splitter.feed(b"{}")?;
        }
        let arrived = self.arrive(&mut splitter, &mut body).await;
        let has_begun = splitter.has_begun();
        let finished = arrived.and_then(|()| Ok(splitter.finish()?));
        let had_begun = self.has_begun;
        self.has_begun |= has_begun;
        let mut page = finished?;
        page.batch = self.sent.pass_last(page.batch)?;
        // What had a part of a record a moment ago is no empty page.
        if had_begun && !has_begun { Err(Changed(0).into()) } else { Ok(Answer::Page(page)) }
    }

    /// Reads a body to its end, and hands out what ends in it.
    async fn arrive(&mut self, splitter: &mut Splitter, body: &mut DecodedBody) -> Result<(), Trouble> {
        let (mut read, mut told) = (0, 0);
        loop {
            let piece = match std::future::poll_fn(|context| Poll::Ready(body.poll_next_unpin(context))).await {
                Poll::Ready(piece) => piece.transpose(),
                Poll::Pending => {
                    // Nothing is there: what has ended leaves now, and not with what comes next.
                    self.hand_out(splitter, &mut told, std::mem::take(&mut read)).await?;
                    body.try_next().await
                }
            };
            let Some(piece) = piece? else { return Ok(()) };
            splitter.feed(&piece)?;
            read += piece.len();
            if read >= CHUNK {
                self.hand_out(splitter, &mut told, std::mem::take(&mut read)).await?;
            }
        }
    }

    async fn hand_out(&mut self, splitter: &mut Splitter, told: &mut usize, read: usize) -> Result<(), Trouble> {
        if splitter.fields().len() > *told {
            *told = splitter.fields().len();
            self.slot.leave(Event::Fields(splitter.fields().clone())).await;
        }
        let batch = self.sent.pass(splitter.take())?;
        if !batch.is_empty() {
            self.slot.leave(Event::Records(batch)).await;
        } else if read > 0 {
            self.slot.leave(Event::Kept(read)).await;
        }
        Ok(())
    }
}

/// Whether a page that was asked for ahead may lie past the end. One that the upstream has no time for now is there as others are.
fn may_not_be_there(tried: &Result<Answer<Page>, Trouble>) -> bool {
    match tried {
        Ok(Answer::Page(_)) | Err(Trouble::Transport(UpstreamError::Stale(..))) => false,
        Ok(Answer::Refused(head, _)) => {
            !matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        }
        Err(_) => true,
    }
}

impl From<Changed> for Trouble {
    fn from(Changed(records): Changed) -> Self {
        Self::Page(PageError::Changed(records))
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}
