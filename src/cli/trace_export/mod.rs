//! Export of spans by OTLP, where the environment names a collector.

#[cfg(feature = "otlp")]
mod collector_client;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod span_queue;
#[cfg(feature = "otlp")]
mod variables;

/// Variables of the collector's address, of which the first one that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Export of a process's spans.
pub(super) struct TraceExport {
    #[cfg(feature = "otlp")]
    exporter: Option<exporter::Exporter>,
}

impl TraceExport {
    /// Begins the export, unless the environment names no collector or turns it off.
    #[cfg(feature = "otlp")]
    pub(super) fn begin() -> Self {
        let exporter = endpoint().and_then(|endpoint| match exporter::Exporter::to(&endpoint) {
            Ok(exporter) => Some(exporter),
            Err(error) => {
                tracing::warn!("spans are not exported: {error}");
                None
            }
        });
        Self { exporter }
    }

    /// Warns where the environment names a collector, which this binary has no exporter for.
    #[cfg(not(feature = "otlp"))]
    pub(super) fn begin() -> Self {
        if let Some((name, _)) = endpoint() {
            tracing::warn!(
                "spans are not exported: {name} is set, and this binary was built without the feature otlp: build one with it, or unset the variable"
            );
        }
        Self {}
    }

    /// Exports the spans that wait, within two seconds.
    pub(super) async fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = self.exporter {
            exporter.end().await;
        }
    }
}

/// Returns the name and the value of the variable with the collector's address; none where the environment turns the export off.
fn endpoint() -> Option<(&'static str, String)> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    ENDPOINTS.into_iter().find_map(|name| Some((name, set(name)?))).filter(|_| !is_off)
}
