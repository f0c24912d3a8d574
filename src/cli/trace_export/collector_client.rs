//! HTTP client for the collector: that of upstreams, on the runtime of `serve`, since the exporter's thread has none.

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
use super::variables::ExportSettings;
use crate::config::{Proxy, Upstream};
use crate::upstream::{Client, ConnectorError, Governors, RequestEffect};

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct CollectorClient {
    client: Client,
    url: Url,
    limit: Duration,
    runtime: Handle,
    queue: Arc<QueueState>,
}

impl CollectorClient {
    /// Makes a client for this URL; reads the certificates.
    ///
    /// # Errors
    /// Fails with a message for the operator that names the variable to correct.
    pub(super) fn new(url: Url, settings: &ExportSettings, queue: Arc<QueueState>) -> Result<Self, String> {
        let (ca_name, ca) = settings.ca.clone().unzip();
        let (cert_name, client_cert) = settings.client_cert.clone().unzip();
        let ca = ca.map(Into::into);
        let upstream = Upstream { proxy: Proxy::Environment, ca, client_cert, ..Upstream::at(url.clone()) };
        let client = Client::new(Arc::new(upstream), &Governors::default()).map_err(|error| {
            let name = match &error {
                ConnectorError::File { .. } => ca_name,
                ConnectorError::Certificate { .. } => cert_name,
                ConnectorError::Proxy(_) | ConnectorError::Tls(_) | ConnectorError::Key(_) => None,
            };
            format!("{error}; correct {}", name.as_deref().unwrap_or("the environment"))
        })?;
        Ok(Self { client, url, limit: settings.timeout, runtime: Handle::current(), queue })
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
