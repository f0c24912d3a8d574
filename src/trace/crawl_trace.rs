//! The trace of one crawl: its context, its span, and which of its requests have spans.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Method};
use parking_lot::Mutex;

use super::{Span, SpanRole, TraceContext};

/// Number of requests, from the first on, that have a span each: the trace of a long crawl stays one that can be looked at.
const FIRST_REQUESTS: u64 = 100;

/// Number of later requests of which one has a span, so that those of a crawl of hours are seen all along.
const LATER_REQUESTS: u64 = 100;

/// Trace of one crawl, begun by its first request; clones share it.
#[derive(Clone, Debug, Default)]
pub struct CrawlTrace {
    shared: Arc<SharedTrace>,
}

#[derive(Debug, Default)]
struct SharedTrace {
    /// Path of the collection in the configuration; empty where there is none.
    collection: String,
    /// Context of the request that the crawl is for.
    reader: Option<TraceContext>,
    begun: OnceLock<BegunTrace>,
}

#[derive(Debug)]
struct BegunTrace {
    context: TraceContext,
    /// `traceparent` of requests without a span.
    field: HeaderValue,
    requests: AtomicU64,
    /// None where it isn't recorded, or has ended.
    span: Mutex<Option<Span>>,
}

impl CrawlTrace {
    /// Makes the trace of a crawl of this collection for a request with this context.
    pub fn new(collection: &str, reader: Option<TraceContext>) -> Self {
        let shared = SharedTrace { collection: collection.to_owned(), reader, begun: OnceLock::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the context of the crawl; none before its first request.
    pub fn context(&self) -> Option<TraceContext> {
        self.shared.begun.get().map(|begun| begun.context)
    }

    /// Begins a request: returns the value of its `traceparent`, and its span where it is recorded.
    pub fn request(&self, method: &Method) -> (HeaderValue, Option<Span>) {
        let begun = self.shared.begun.get_or_init(|| self.begin());
        let number = begun.requests.fetch_add(1, Ordering::Relaxed);
        let has_span = number < FIRST_REQUESTS || number.is_multiple_of(LATER_REQUESTS);
        let span = if has_span && begun.span.lock().is_some() {
            Span::start(SpanRole::Request, method.as_str().to_owned(), Some(begun.context), None).0
        } else {
            None
        };
        let field = span.as_ref().map_or_else(|| begun.field.clone(), |span| span.context().field());
        (field, span)
    }

    /// Ends the span of the crawl after this has described its end. Later calls have no effect.
    pub fn end(&self, describe: impl FnOnce(&mut Span)) {
        let span = self.shared.begun.get().and_then(|begun| begun.span.lock().take());
        if let Some(mut span) = span {
            describe(&mut span);
        }
    }

    fn begin(&self) -> BegunTrace {
        let SharedTrace { collection, reader, .. } = &*self.shared;
        let name = format!("crawl {collection}");
        let (mut span, context) = Span::start(SpanRole::Crawl, name.trim_end().to_owned(), None, *reader);
        if let Some(span) = span.as_mut().filter(|_| !collection.is_empty()) {
            span.set_text("url.template", collection);
        }
        let sampling = reader.map(|reader| reader.sampling).unwrap_or_default();
        let context = context.unwrap_or_else(|| TraceContext::random(sampling));
        // The span of the crawl's log lines is older than its trace.
        tracing::Span::current().record("trace_id", context.trace_id());
        BegunTrace { context, field: context.field(), requests: AtomicU64::new(0), span: Mutex::new(span) }
    }
}
