//! A crawl on the client's side: the records of a collection as a stream of Rust values.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;
use tower::Service;

use crate::config::Config;
use crate::error::{Failure, Fault};
use crate::gateway;
use crate::pagination::verdict::Verdict;
use crate::response::{Body, BoxError};
use crate::snapshot::{self, Reader, ReaderEvent};
use crate::upstream::Transport;

/// Bytes of records that may wait for their reader; the crawl stands still while there are more.
const WINDOW: u64 = 1 << 20;

/// The records of a collection, requested page by page while the stream is read.
///
/// `None` comes only after the end of the collection is proven; [`verdict`](Self::verdict) then returns the proof. Any other
/// end of the crawl is an error. After an error each further item is that error again, so a loop must leave at the first
/// one. Dropping the stream stops the crawl.
///
/// ```
/// use futures_util::StreamExt;
/// use http::{Request, Response};
/// use unpage::{Body, BoxError, Config, RecordStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // An API in this process; without `transport` the pages come over the network.
/// let api = tower::service_fn(async |request: Request<Body>| {
///     let page = match request.uri().query() {
///         Some("page=2") => r#"{"orders": [{"id": 3}]}"#,
///         _ => r#"{"orders": [{"id": 1}, {"id": 2}], "next": "/orders?page=2"}"#,
///     };
///     Ok::<_, BoxError>(Response::new(http_body_util::Full::<bytes::Bytes>::from(page)))
/// });
/// let config = Config::for_upstream("http://api.example.com")?;
/// let mut orders = RecordStream::builder(&config, "/orders").transport(api).open().await?;
/// let mut ids = Vec::new();
/// while let Some(order) = orders.next().await {
///     ids.push(order?.deserialize::<serde_json::Value>()?["id"].clone());
/// }
/// assert_eq!(ids, [1, 2, 3]);
/// let verdict = orders.verdict().expect("the stream has ended");
/// assert!(verdict.to_string().starts_with("3 records in 2 pages; end proven by no next address; unverified: "));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RecordStream {
    reader: Reader,
    /// Whole lines, and the start of one, that were read and not handed out.
    bytes: Bytes,
    /// The start of the next record, whose rest is not read yet.
    start: BytesMut,
    total: Option<u64>,
    verdict: Option<Verdict>,
    _crawl: AbortOnDropHandle<()>,
}

/// Settings of a [`RecordStream`].
#[derive(Clone, Debug)]
pub struct RecordStreamBuilder {
    config: Config,
    target: String,
    headers: HeaderMap,
    since: Option<String>,
    transport: Option<Transport>,
}

/// One record: a JSON text with the upstream's own bytes, without line breaks.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Bytes);

impl RecordStream {
    /// Returns a builder of a crawl of the configured collection that `target` leads to: a path with its query, as
    /// `/orders?status=open`.
    pub fn builder(config: &Config, target: impl Into<String>) -> RecordStreamBuilder {
        RecordStreamBuilder {
            config: config.clone(),
            target: target.into(),
            headers: HeaderMap::new(),
            since: None,
            transport: None,
        }
    }

    /// Returns how the end was proven, once the stream has returned `None`.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Returns the number of records that the upstream announced with the first page, if it did.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes the next whole record from what was read.
    fn take(&mut self) -> Option<Record> {
        let Some(newline) = memchr::memchr(b'\n', &self.bytes) else {
            self.start.extend_from_slice(&self.bytes);
            self.bytes.clear();
            return None;
        };
        let mut line = self.bytes.split_to(newline + 1);
        if !self.start.is_empty() {
            self.start.extend_from_slice(&line);
            line = self.start.split().freeze();
        }
        line.truncate(line.len() - 1);
        Some(Record(line))
    }
}

impl Stream for RecordStream {
    type Item = Result<Record, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(record) = self.take() {
                return Poll::Ready(Some(Ok(record)));
            }
            if self.verdict.is_some() {
                return Poll::Ready(None);
            }
            match ready!(self.reader.poll_next(context)) {
                Ok(ReaderEvent::Bytes(bytes)) => self.bytes = bytes,
                Ok(ReaderEvent::Complete(verdict)) => self.verdict = Some(verdict),
                Ok(ReaderEvent::Stop) => {
                    let failure = Failure::new(Fault::Stopped, "the crawl was stopped", "start it again");
                    return Poll::Ready(Some(Err(failure)));
                }
                Err(failure) => return Poll::Ready(Some(Err((*failure).clone()))),
            }
        }
    }
}

impl RecordStreamBuilder {
    /// Adds a header field to the request of each page: credentials, cookies, the API's own fields.
    ///
    /// Left out are fields that a crawl does not pass on: those of a connection, of a response (`Accept`, `Range`) and of a
    /// program (`User-Agent`). The configuration has `accept` and `headers` for these.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Starts after the record with this value, where the collection is configured with `since`.
    #[must_use]
    pub fn since(self, value: impl Into<String>) -> Self {
        Self { since: Some(value.into()), ..self }
    }

    /// Sends the pages' requests to this service instead of over the network, as
    /// [`GatewayBuilder::transport`](crate::GatewayBuilder::transport) does.
    #[must_use]
    pub fn transport<S, B>(self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self { transport: Some(Transport::new(service)), ..self }
    }

    /// Requests the first page, and returns the stream once that page or the start of it has come and is good.
    ///
    /// # Errors
    /// Fails where no collection has the path, where the upstream refuses the first page or can't be reached, and where the
    /// page is not what the configuration says.
    pub async fn open(self) -> Result<RecordStream, Failure> {
        let uri: Uri = self.target.parse().map_err(|error| unusable(format!("{:?}: {error}", self.target)))?;
        let crawl = gateway::crawl_of(&self.config, &uri, &self.headers, self.since, self.transport.as_ref())?;
        let opened = crawl.open().await?;
        let total = opened.total();
        let (writer, log) = snapshot::transient_log(WINDOW);
        let reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
        let crawl = AbortOnDropHandle::new(tokio::spawn(opened.run(writer)));
        Ok(RecordStream { reader, bytes: Bytes::new(), start: BytesMut::new(), total, verdict: None, _crawl: crawl })
    }
}

fn unusable(message: String) -> Failure {
    Failure::new(Fault::Configuration, message, "write a path with its query, as /orders?status=open")
}

impl Record {
    /// Returns the JSON text, as the upstream wrote it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the JSON text without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Deserialises the record.
    ///
    /// # Errors
    /// Fails where the record is not what the type expects.
    pub fn deserialize<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.0)
    }
}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
