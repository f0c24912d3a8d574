//! Events to viewers of the dashboard (server-sent events): the sections that have changed, once a second.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::actions::problem;
use super::page;
use super::sections::Sections;
use crate::response::{Body, passed};

/// Most viewers at a time.
const VIEWERS: usize = 16;

/// Longest time without an event: a comment then shows that the connection is alive.
const PING: Duration = Duration::from_secs(15);

/// Viewers, and the sections that they saw last.
#[derive(Debug)]
pub(super) struct EventHub {
    places: Arc<Semaphore>,
    newest: watch::Sender<Arc<Sections>>,
}

/// Stream of one viewer.
struct Viewer {
    newest: watch::Receiver<Arc<Sections>>,
    seen: Arc<Sections>,
    _place: OwnedSemaphorePermit,
}

impl Default for EventHub {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(VIEWERS)), newest: watch::Sender::default() }
    }
}

impl EventHub {
    pub(super) fn has_viewers(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Publishes new sections to all viewers; a viewer gets those that differ from its own.
    pub(super) fn publish(&self, sections: Sections) {
        self.newest.send_replace(Arc::new(sections));
    }

    /// Returns the events for one more viewer, or 503 where there are 16.
    pub(super) fn respond(&self) -> Response<Body> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let mut response = problem(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("{VIEWERS} viewers have the dashboard open"),
                "close one of them, or read the tables as JSON, such as /crawls.json",
            );
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            return response;
        };
        // A new receiver has seen the present sections, which may be old: it waits for the next ones.
        let newest = self.newest.subscribe();
        let viewer = Viewer { newest, seen: Arc::default(), _place: place };
        // Sent at once, so that the browser knows that the stream is open.
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"retry: 5000\n\n")))]);
        let events = stream::unfold(viewer, async |mut viewer| {
            let event = viewer.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(event)), viewer))
        });
        let events = futures_util::StreamExt::chain(first, Box::pin(events));
        let mut response = page::answer(StatusCode::OK, "text/event-stream", String::new());
        *response.body_mut() = passed(StreamBody::new(events));
        response
    }
}

impl Viewer {
    /// Waits for the next event; none at the end of the dashboard.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match tokio::time::timeout(PING, self.newest.changed()).await {
                Err(_) => return Some(Bytes::from_static(b": ping\n\n")),
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {}
            }
            let newest = Arc::clone(&self.newest.borrow_and_update());
            let before = std::mem::replace(&mut self.seen, Arc::clone(&newest));
            let changed = newest.changed_since(&before);
            if !changed.is_empty() {
                let text = serde_json::to_string(&changed).expect("sections are texts");
                return Some(Bytes::from(format!("event: sections\ndata: {text}\n\n")));
            }
        }
    }
}
