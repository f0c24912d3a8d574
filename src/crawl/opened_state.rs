//! The state of a collection that is opened for a crawl, and closed when the crawl is over: at its end, or where it breaks.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;

use super::Crawl;
use super::attempts::PageFailure;
use super::failure_report::{self, RequestAuthor};
use super::whole_page::whole;
use crate::error::{Failure, Fault};
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::PageFields;
use crate::pagination::request::RedactedUrl;
use crate::pagination::{OpenedState, PageError, PageRequest};
use crate::upstream::Client;

/// Longest wait of a crawl's end for the answer to the closing request. Without an answer the upstream closes the state by itself later.
const CLOSING: Duration = Duration::from_secs(5);

/// An open state. Dropping it sends the closing request, too, unless the process ends.
pub(super) struct OpenState {
    client: Client,
    opened: OpenedState,
    /// The client's request, before the state was named in it.
    asked: PageRequest,
    pub(super) name: Value,
    standing: StateStanding,
}

enum StateStanding {
    Open,
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl OpenState {
    pub(super) async fn open(crawl: &Crawl, opened: &OpenedState) -> Result<Self, Failure> {
        let Crawl { client, first, .. } = crawl;
        let first = opened.opening(&guard(client), first);
        let url = first.url.clone();
        let answer = whole(&Crawl { first, ..crawl.clone() }).await.map_err(|failure| match failure {
            PageFailure::Refused(head, body, _) => {
                let refused = PageError::of_refusal(head.status, &head.headers, &body);
                let headers = failure_report::kept_headers(&head);
                Failure { headers, ..RequestAuthor::Extended.wrong_page(client, &refused, &head.url) }
            }
            PageFailure::Lost(failure, _) => failure,
        })?;
        let answer: Value = serde_json::from_slice(&answer.json).unwrap_or_default();
        let Some(name) = opened.name_in(&answer) else {
            let place = &opened.value;
            let what = format!("{}: the answer names no state of the collection at `{place}`", RedactedUrl(&url));
            return Err(Failure::new(Fault::Configuration, what, "correct `value` in `from` of `valid_at`"));
        };
        tracing::debug!("{}: opened a state of the collection", RedactedUrl(&url));
        let (client, asked) = (client.clone(), crawl.first.clone());
        Ok(Self { client, opened: opened.clone(), asked, name, standing: StateStanding::Open })
    }

    pub(super) fn guard(&self) -> LinkGuard {
        guard(&self.client)
    }

    /// Takes a newer name, where the page has one.
    pub(super) fn rename(&mut self, fields: &PageFields) {
        if let Some(name) = self.opened.newer_name(fields) {
            self.name = name.clone();
        }
    }

    /// Sends the closing request, and waits for its answer, for [`CLOSING`] at most.
    pub(super) fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.standing {
                StateStanding::Closed => return Poll::Ready(()),
                StateStanding::Open => self.standing = StateStanding::Closing(Box::pin(self.closing())),
                StateStanding::Closing(closing) => {
                    ready!(closing.as_mut().poll(context));
                    self.standing = StateStanding::Closed;
                }
            }
        }
    }

    fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let request = self.opened.closing(&self.name, &self.guard(), &self.asked);
        let client = self.client.clone();
        async move {
            let request = match request {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(bad) => return tracing::warn!("the state of the collection is not closed: {bad}"),
            };
            let closed = tokio::time::timeout(CLOSING, close(&client, &request)).await;
            if let Err(why) = closed.unwrap_or_else(|_| Err("no answer came in time".to_owned())) {
                tracing::warn!("{}: the state of the collection is not closed: {why}", RedactedUrl(&request.url));
            }
        }
    }
}

impl Drop for OpenState {
    fn drop(&mut self) {
        let closing = match std::mem::replace(&mut self.standing, StateStanding::Closed) {
            StateStanding::Open => Box::pin(self.closing()),
            StateStanding::Closing(closing) => closing,
            StateStanding::Closed => return,
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(closing);
        }
    }
}

impl fmt::Debug for OpenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenState").field("opened", &self.opened).finish_non_exhaustive()
    }
}

fn guard(client: &Client) -> LinkGuard {
    LinkGuard::new(&client.upstream().url, &client.upstream().aliases)
}

async fn close(client: &Client, request: &PageRequest) -> Result<(), String> {
    let sent = client.send_page(request).await;
    let (_permit, answer) = sent.map_err(|error| client.redact(&request.url, &request.headers, &error.to_string()))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("the upstream answered {}", answer.status())) }
}
