//! Observers of a response, from the head of its request to its end: the access log, the span, and the metrics of streams.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use tokio::time::Instant;

use super::access_log::AccessEntry;
use super::deadlines::ResponseKind;
use super::stream_metrics::{ObservedStream, StreamMetrics};

#[derive(Debug)]
pub(super) struct ResponseObservers {
    begun: Instant,
    has_body: bool,
    entry: Option<Box<AccessEntry>>,
    stream: Option<ObservedStream>,
}

impl ResponseObservers {
    pub(super) fn new(method: &Method, entry: Option<Box<AccessEntry>>) -> Self {
        Self { begun: Instant::now(), has_body: method != Method::HEAD, entry, stream: None }
    }

    /// Notes the head of the response, and adds the request's identifier to it where it is logged.
    pub(super) fn respond<B: http_body::Body>(
        &mut self,
        response: &mut Response<B>,
        kind: ResponseKind,
        metrics: &Arc<StreamMetrics>,
    ) {
        if kind == ResponseKind::Stream && self.has_body {
            let mut stream = ObservedStream::new(metrics, self.begun);
            if response.body().is_end_stream() {
                stream.complete();
            }
            self.stream = Some(stream);
        }
        if let Some(entry) = &mut self.entry {
            entry.respond(response);
        }
    }

    /// Notes a piece of the body, behind which it may have ended.
    pub(super) fn pass(&mut self, piece: &Bytes, is_last: bool) {
        if let Some(entry) = &mut self.entry {
            entry.pass(piece);
        }
        if let Some(stream) = &mut self.stream {
            stream.pass();
        }
        if is_last {
            self.complete();
        }
    }

    pub(super) fn complete(&mut self) {
        if let Some(entry) = &mut self.entry {
            entry.complete();
        }
        if let Some(stream) = &mut self.stream {
            stream.complete();
        }
    }

    pub(super) fn break_off(&mut self, reason: &impl Display) {
        if let Some(entry) = &mut self.entry {
            entry.break_off(reason);
        }
        if let Some(stream) = &mut self.stream {
            stream.break_off();
        }
    }
}
