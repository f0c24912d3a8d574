//! Spans by the interface of OpenTelemetry, for the provider that the process has set.

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

use super::{Sampling, SpanRole, TraceContext};

/// Span that is recorded, and ends when it is dropped.
#[derive(Debug)]
pub struct Span(BoxedSpan);

impl Span {
    /// Starts a span in the trace of its parent, else one of a new trace. Returns the span if it is recorded,
    /// and its context if there is a provider.
    pub fn start(
        role: SpanRole,
        name: String,
        parent: Option<TraceContext>,
        link: Option<TraceContext>,
    ) -> (Option<Self>, Option<TraceContext>) {
        let tracer = global::tracer("unpage");
        let kind = match role {
            SpanRole::Response => SpanKind::Server,
            SpanRole::Crawl => SpanKind::Internal,
            SpanRole::Request => SpanKind::Client,
        };
        let remote = |context: TraceContext| span_context(context, true);
        let links = link.into_iter().map(|link| Link::with_context(remote(link))).collect();
        let builder = tracer.span_builder(name).with_kind(kind).with_links(links);
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(span_context(parent, role == SpanRole::Response)),
            None => Context::new(),
        };
        let span = builder.start_with_context(&tracer, &parent);
        let context = span.span_context().is_valid().then(|| own_context(span.span_context()));
        (span.is_recording().then_some(Self(span)), context)
    }

    pub fn context(&self) -> TraceContext {
        own_context(self.0.span_context())
    }

    pub fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    pub fn set_text(&mut self, key: &'static str, value: &(impl ToString + ?Sized)) {
        self.0.set_attribute(KeyValue::new(key, value.to_string()));
    }

    /// Sets an attribute to a number, or to the largest one that spans can have.
    pub fn set_number(&mut self, key: &'static str, value: u64) {
        self.0.set_attribute(KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX)));
    }

    pub fn link(&mut self, context: TraceContext) {
        self.0.add_link(span_context(context, true), Vec::new());
    }

    /// Marks the span as one that failed, with a word for the kind of the error.
    pub fn fail(&mut self, kind: &(impl ToString + ?Sized), description: &(impl ToString + ?Sized)) {
        self.set_text("error.type", kind);
        self.0.set_status(Status::error(description.to_string()));
    }
}

fn span_context(context: TraceContext, is_remote: bool) -> SpanContext {
    let TraceContext { trace, span, sampling } = context;
    let flags = TraceFlags::default().with_sampled(sampling == Sampling::Sampled);
    SpanContext::new(TraceId::from(trace), SpanId::from(span), flags, is_remote, TraceState::NONE)
}

fn own_context(context: &SpanContext) -> TraceContext {
    TraceContext {
        trace: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: u64::from_be_bytes(context.span_id().to_bytes()),
        sampling: if context.is_sampled() { Sampling::Sampled } else { Sampling::Unsampled },
    }
}
