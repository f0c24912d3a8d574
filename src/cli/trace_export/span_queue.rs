//! The queue of spans that wait for the collector: bounded, so that a collector that is down or slow costs neither memory nor time of a
//! stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use parking_lot::Mutex;

use super::variables::ExportSettings;

/// Most spans that wait, those of a batch that is being sent included.
const LONGEST_QUEUE: usize = 2048;

/// Counts of the spans of a process, and the state of their export.
#[derive(Debug)]
pub(super) struct QueueState {
    collector: String,
    waiting: AtomicUsize,
    lost: AtomicU64,
    is_failing: AtomicBool,
    /// Cause of the last error, as the client knows it.
    cause: Mutex<Option<String>>,
}

/// Returns the processor that queues spans for this exporter, in a thread of its own.
pub(super) fn before<E: SpanExporter + 'static>(
    exporter: E,
    settings: &ExportSettings,
    state: &Arc<QueueState>,
) -> impl SpanProcessor + use<E> {
    let exporter = CountedExporter { exporter, state: Arc::clone(state) };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(LONGEST_QUEUE)
        .with_max_export_batch_size(settings.batch)
        .with_scheduled_delay(settings.delay)
        .build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    SpanQueue { batches, state: Arc::clone(state) }
}

impl QueueState {
    /// Makes the state of an empty queue; the name is the collector's in messages.
    pub(super) fn new(collector: String) -> Self {
        Self {
            collector,
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            cause: Mutex::new(None),
        }
    }

    pub(super) fn collector(&self) -> &str {
        &self.collector
    }

    pub(super) fn note_cause(&self, cause: String) {
        *self.cause.lock() = Some(cause);
    }

    /// Number of spans that were dropped, refused, or still wait.
    pub(super) fn not_exported(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed) as u64
    }

    fn lose(&self, spans: u64, cause: &str) {
        self.lost.fetch_add(spans, Ordering::Relaxed);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "spans can't be exported to {}, and are dropped until they can; streams are not affected: {cause}",
                self.collector
            );
        }
    }

    fn recover(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            let lost = self.lost.load(Ordering::Relaxed);
            tracing::info!("spans are exported to {} again; dropped so far: {lost}", self.collector);
        }
    }
}

/// Processor that drops, and counts, spans that find the queue full.
#[derive(Debug)]
struct SpanQueue {
    batches: BatchSpanProcessor,
    state: Arc<QueueState>,
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.state.waiting.fetch_add(1, Ordering::Relaxed) < LONGEST_QUEUE {
            self.batches.on_end(span);
        } else {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            self.state.lose(1, &format!("{LONGEST_QUEUE} spans wait for it"));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Exporter that counts the spans of each batch, and logs the first error and the end of errors.
#[derive(Debug)]
struct CountedExporter<E> {
    exporter: E,
    state: Arc<QueueState>,
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        self.state.waiting.fetch_sub(spans, Ordering::Relaxed);
        match &exported {
            Ok(()) => self.state.recover(),
            Err(error) => {
                let cause = self.state.cause.lock().take();
                self.state.lose(spans as u64, &cause.unwrap_or_else(|| error.to_string()));
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::SystemTime;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    /// Exporter whose batches wait for the next result.
    #[derive(Debug)]
    struct Held(Mutex<Receiver<OTelSdkResult>>);

    impl SpanExporter for Held {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().recv().unwrap_or(Ok(()))
        }
    }

    fn span() -> SpanData {
        let (trace, id) = (TraceId::from(1), SpanId::from(1));
        SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "crawl".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn spans_that_find_the_queue_full_or_are_refused_are_counted() {
        let (results, held) = channel();
        let state = Arc::new(QueueState::new("a collector".to_owned()));
        let (settings, _) = ExportSettings::read(|_| None);
        let queue = before(Held(Mutex::new(held)), &settings, &state);
        for _ in 0..LONGEST_QUEUE + 10 {
            queue.on_end(span());
        }
        assert_eq!((state.waiting.load(Ordering::Relaxed), state.lost.load(Ordering::Relaxed)), (LONGEST_QUEUE, 10));
        results.send(Err(OTelSdkError::InternalFailure("no".to_owned()))).unwrap();
        // The other batches are taken.
        drop(results);
        queue.shutdown_with_timeout(Duration::from_secs(60)).unwrap();
        let refused = state.not_exported() - 10;
        assert!((1..=512).contains(&refused), "{refused} of one batch");
        assert!(!state.is_failing.load(Ordering::Relaxed));
    }
}
