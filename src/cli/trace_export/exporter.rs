//! The exporter of a process: its sampler, its queue and its resource, by the variables of OpenTelemetry.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Config, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use tokio::task::spawn_blocking;
use url::Url;

use super::collector_client::CollectorClient;
use super::span_queue::{self, QueueState};
use super::variables::ExportSettings;
use crate::pagination::request::RedactedUrl;

/// Longest time that the end of the process waits for the collector.
const LAST_SPANS: Duration = Duration::from_secs(2);

pub(super) struct Exporter {
    provider: SdkTracerProvider,
    queue: Arc<QueueState>,
}

impl Exporter {
    /// Begins the export to the collector that a variable names.
    pub(super) fn to((name, value): &(&'static str, String)) -> Result<Self, String> {
        let url = url(name, value).map_err(|error| format!("{error}; correct {name}"))?;
        let (settings, messages) = ExportSettings::read(|name| std::env::var(name).ok());
        let queue = Arc::new(QueueState::new(RedactedUrl(&url).to_string()));
        let client = CollectorClient::new(url, &settings, Arc::clone(&queue))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let exporter = exporter.map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder()
            .with_sampler(LinkedSampler(Config::default().sampler))
            .with_resource(resource())
            .with_span_processor(span_queue::before(exporter, &settings, &queue))
            .build();
        global::set_tracer_provider(provider.clone());
        messages.iter().for_each(|message| tracing::warn!("{message}"));
        tracing::info!("spans are exported to {}", queue.collector());
        Ok(Self { provider, queue })
    }

    /// Exports the spans that wait, within a time that a collector cannot prolong.
    pub(super) async fn end(self) {
        let Self { provider, queue } = self;
        // It blocks its thread, and the client needs this one.
        let stopped = spawn_blocking(move || provider.shutdown_with_timeout(LAST_SPANS)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::debug!("the export of spans did not end by itself");
        }
        match queue.not_exported() {
            0 => {}
            spans => tracing::warn!("{spans} spans were not exported to {}", queue.collector()),
        }
    }
}

/// Returns the address of the collector's traces.
fn url(name: &str, value: &str) -> Result<Url, String> {
    let text =
        if name.contains("TRACES") { value.to_owned() } else { format!("{}/v1/traces", value.trim_end_matches('/')) };
    let url = Url::parse(&text).map_err(|error| format!("its address is no URL: {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("its address is neither http nor https".to_owned())
    }
}

/// Describes the process, as far as the environment doesn't.
fn resource() -> Resource {
    let is_set = |name, part| std::env::var(name).is_ok_and(|value| value.contains(part));
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if is_set("OTEL_SERVICE_NAME", "") || is_set("OTEL_RESOURCE_ATTRIBUTES", "service.name=") {
        builder.build()
    } else {
        builder.with_service_name("unpage").build()
    }
}

/// Sampler of a crawl as the request that began it, and of all other spans as configured.
#[derive(Clone, Debug)]
struct LinkedSampler(Box<dyn ShouldSample>);

impl ShouldSample for LinkedSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let decision = match links.first() {
            Some(link) if link.span_context.is_sampled() => SamplingDecision::RecordAndSample,
            Some(_) => SamplingDecision::Drop,
            None => return self.0.should_sample(parent, trace, name, kind, attributes, links),
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}
