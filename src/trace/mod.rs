//! Traces: the context that requests carry (W3C Trace Context), and spans of OpenTelemetry.
//!
//! A crawl is a trace of its own, since it has any number of readers; a response is in the trace of its client. Links join them. Spans go to
//! the provider that the process has set; without the feature `otlp` there are contexts alone.

mod context;
mod crawl_trace;
#[cfg(feature = "otlp")]
mod recorded_span;
#[cfg(not(feature = "otlp"))]
mod unrecorded_span;

pub use context::{Sampling, TRACEPARENT, TraceContext};
pub use crawl_trace::CrawlTrace;
#[cfg(feature = "otlp")]
pub use recorded_span::Span;
#[cfg(not(feature = "otlp"))]
pub use unrecorded_span::NoSpan as Span;

/// Role of a span in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanRole {
    /// A response, whose parent is in another process.
    Response,
    Crawl,
    /// A request to an upstream.
    Request,
}
