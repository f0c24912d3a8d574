//! Metrics of streams as their clients see them: the time to the first byte, the life, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

/// Upper bounds of the buckets for the time to the first byte, in seconds.
const FIRST_RECORD: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Upper bounds of the buckets for the life of a stream, in seconds; a stream may last hours.
const LIFE: [f64; 7] = [1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0];

/// End of a stream as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ObservedEnd {
    /// All of it was handed to the connection.
    Complete,
    /// The server broke it off.
    Broken,
    /// The client left, or the connection broke, before the end.
    Gone,
}

/// Histograms and counts of all streams of a server.
#[derive(Debug)]
pub(super) struct StreamMetrics {
    pub(super) first_record: Histogram,
    pub(super) seconds: Histogram,
    ended: [AtomicU64; ObservedEnd::LABELS.len()],
}

/// A stream from the head of its request on, counted with its end when it is dropped.
#[derive(Debug)]
pub(super) struct ObservedStream {
    metrics: Arc<StreamMetrics>,
    begun: Instant,
    has_begun: bool,
    end: ObservedEnd,
}

impl ObservedEnd {
    /// Labels in the order of the variants.
    const LABELS: [&'static str; 3] = ["complete", "broken", "gone"];
}

impl Default for StreamMetrics {
    fn default() -> Self {
        Self { first_record: Histogram::new(FIRST_RECORD), seconds: Histogram::new(LIFE), ended: Default::default() }
    }
}

impl StreamMetrics {
    /// Returns the label of each end and its number of streams.
    pub(super) fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ObservedEnd::LABELS.into_iter().zip(self.ended.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

impl ObservedStream {
    pub(super) fn new(metrics: &Arc<StreamMetrics>, begun: Instant) -> Self {
        Self { metrics: Arc::clone(metrics), begun, has_begun: false, end: ObservedEnd::Gone }
    }

    /// Notes a piece of the body; the first one ends the wait for a record.
    pub(super) fn pass(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.metrics.first_record.observe(self.begun.elapsed().as_secs_f64());
        }
    }

    pub(super) fn complete(&mut self) {
        self.end = ObservedEnd::Complete;
    }

    pub(super) fn break_off(&mut self) {
        self.end = ObservedEnd::Broken;
    }
}

impl Drop for ObservedStream {
    fn drop(&mut self) {
        self.metrics.seconds.observe(self.begun.elapsed().as_secs_f64());
        self.metrics.ended[self.end as usize].fetch_add(1, Ordering::Relaxed);
    }
}
