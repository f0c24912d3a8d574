//! HTTP client for the collector: that of upstreams, on the runtime of `serve`, since the exporter's thread has none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::time::timeout;
use url::Url;

use super::span_queue::QueueState;
use crate::config::{Proxy, Upstream};
use crate::upstream::{Client, Governors, RequestEffect};

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// Longest time of a request by default, as OpenTelemetry has it.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct CollectorClient {
    client: Client,
    url: Url,
    limit: Duration,
    runtime: Handle,
    queue: Arc<QueueState>,
}

impl CollectorClient {
    /// Makes a client for this URL; reads the certificate authorities.
    pub(super) fn new(url: Url, queue: Arc<QueueState>) -> Result<Self, String> {
        let set = |name: &str| {
            let values = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"]
                .map(|start| std::env::var(format!("{start}{name}")));
            values.into_iter().flatten().find(|value| !value.is_empty())
        };
        let ca = set("CERTIFICATE").map(PathBuf::from);
        let limit = set("TIMEOUT").and_then(|text| text.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
        let upstream = Upstream { proxy: Proxy::Environment, ca, ..Upstream::at(url.clone()) };
        let client = Client::new(Arc::new(upstream), &Governors::default()).map_err(|error| error.to_string())?;
        Ok(Self { client, url, limit, runtime: Handle::current(), queue })
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, url, limit) = (self.client.clone(), self.url.clone(), self.limit);
        let exchange = async move {
            let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
            let (head, body) = client.forward(&url, request, RequestEffect::MayWrite).await?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        let answered = self.runtime.spawn(async move { timeout(limit, exchange).await }).await?;
        let answered =
            answered.unwrap_or_else(|_| Err(format!("no answer within {}", humantime::format_duration(limit)).into()));
        answered.inspect_err(|error: &HttpError| self.queue.note_cause(error.to_string()))
    }
}
