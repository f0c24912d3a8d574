//! An API whose time to the head and time for the body are known, and that counts who is asking.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use super::page::Collection;
use super::wire::{Coding, Wire};

/// In how many pieces a body comes that takes its time.
const PIECES: usize = 17;

/// Duration of an answer, and its framing.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// From the request to the head and the first piece of the body.
    pub head: Duration,
    /// From the first piece to the last.
    pub body: Duration,
    pub length: Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Told,
    Chunked,
}

/// Place of the next address in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Link,
    Before,
    After,
    Offset,
}

/// A running upstream; it ends with this value.
#[derive(Debug)]
pub struct Upstream {
    pub address: SocketAddr,
    pub collection: Arc<Collection>,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// Observations of the upstream since the last question.
#[derive(Debug, Default)]
struct Seen {
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    /// The sum over all requests of how many were in flight when they came.
    together: AtomicUsize,
    most: AtomicUsize,
    first_byte: Mutex<Option<Instant>>,
}

/// Observations.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub requests: usize,
    /// Mean number of requests in flight at an arrival, the new one included.
    pub together: f64,
    pub most: usize,
    /// Time at which the first byte of a body left.
    pub first_byte: Option<Instant>,
}

impl Manner {
    /// As fast as it goes.
    pub const AT_ONCE: Self = Self { head: Duration::ZERO, body: Duration::ZERO, length: Length::Told };

    pub fn slow(head: u64, body: u64) -> Self {
        Self { head: Duration::from_millis(head), body: Duration::from_millis(body), length: Length::Told }
    }

    pub fn chunked(self) -> Self {
        Self { length: Length::Chunked, ..self }
    }
}

impl Dialect {
    pub const ALL: [Self; 4] = [Self::Link, Self::Before, Self::After, Self::Offset];

    pub fn name(self) -> &'static str {
        match self {
            Self::Link => "Link header",
            Self::Before => "next before data",
            Self::After => "next after data",
            Self::Offset => "offset",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::Link => "/link/records",
            Self::Before => "/before/records",
            Self::After => "/after/records",
            Self::Offset => "/offset/records",
        }
    }
}

/// Path at which the upstream returns all records as one NDJSON body.
pub const STREAM: &str = "/stream";

/// Bodies of an upstream.
#[derive(Debug)]
struct Bodies {
    collection: Arc<Collection>,
    manner: Manner,
    /// The pages of [`Dialect::Link`] in a content coding.
    coded: Option<(&'static str, Vec<Bytes>)>,
}

impl Upstream {
    pub async fn start(collection: Collection, manner: Manner) -> std::io::Result<Self> {
        Self::start_over(&Wire::Http1, None, collection, manner).await
    }

    /// As [`Upstream::start`], over this wire and in this content coding.
    pub async fn start_over(
        wire: &Wire,
        coding: Option<Coding>,
        collection: Collection,
        manner: Manner,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (collection, seen) = (Arc::new(collection), Arc::new(Seen::default()));
        let mut coded = None;
        if let Some(coding) = coding {
            let page = |page| coding.encode(&link_page(&collection, page));
            coded = Some((coding.name(), (0..collection.pages()).map(page).collect::<Result<_, _>>()?));
        }
        let bodies = Arc::new(Bodies { collection: Arc::clone(&collection), manner, coded });
        let task = tokio::spawn(serve(listener, wire.clone(), bodies, Arc::clone(&seen)));
        Ok(Self { address, collection, seen, task })
    }

    /// Observations since the last call.
    pub fn sight(&self) -> Sight {
        let requests = self.seen.requests.swap(0, Ordering::Relaxed);
        let together = self.seen.together.swap(0, Ordering::Relaxed) as f64 / requests.max(1) as f64;
        let most = self.seen.most.swap(0, Ordering::Relaxed);
        let first_byte = self.seen.first_byte.lock().unwrap_or_else(PoisonError::into_inner).take();
        Sight { requests, together, most, first_byte }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, wire: Wire, bodies: Arc<Bodies>, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (wire, bodies, seen) = (wire.clone(), Arc::clone(&bodies), Arc::clone(&seen));
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&bodies), Arc::clone(&seen)));
            wire.serve(stream, service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    bodies: Arc<Bodies>,
    seen: Arc<Seen>,
) -> Result<Response<Paced>, Infallible> {
    let Bodies { collection, manner, coded } = &*bodies;
    let in_flight = InFlight::new(seen);
    if !manner.head.is_zero() {
        tokio::time::sleep(manner.head).await;
    }
    let mut response = Response::new(Paced::new(VecDeque::new(), *manner, in_flight));
    match told(collection, request.uri()) {
        Some(Told { page, mut pieces, link, json }) => {
            let media_type = if json { "application/json" } else { "application/x-ndjson" };
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
                response.headers_mut().insert(header::LINK, link);
            }
            if let (Some((coding, pages)), true) = (coded, json) {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
                pieces = VecDeque::from([pages[page].clone()]);
            }
            response.body_mut().fill(pieces, if json { *manner } else { manner.chunked() });
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

/// Body of a page of [`Dialect::Link`].
fn link_page(collection: &Collection, page: usize) -> Vec<u8> {
    [Bytes::from_static(LINK_AROUND.0), collection.elements(page).concat().into(), Bytes::from_static(LINK_AROUND.1)]
        .concat()
}

/// The bytes before and behind the records of a page of [`Dialect::Link`].
const LINK_AROUND: (&[u8], &[u8]) = (b"{\"data\":[", b"]}");

/// An answer before it is paced.
struct Told {
    page: usize,
    pieces: VecDeque<Bytes>,
    link: Option<String>,
    json: bool,
}

fn told(collection: &Collection, uri: &Uri) -> Option<Told> {
    if uri.path() == STREAM {
        let pieces = (0..collection.pages()).flat_map(|page| collection.lines(page)).collect();
        return Some(Told { page: 0, pieces, link: None, json: false });
    }
    let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.path() == uri.path())?;
    let number = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.split_once('=')?.1.parse().ok());
    let page = match (dialect, number) {
        (_, None) => 0,
        (Dialect::Offset, Some(offset)) => collection.page_at(offset)?,
        (_, Some(page)) => page,
    };
    let next = (page + 1 < collection.pages()).then(|| format!("{}?page={}", dialect.path(), page + 1));
    let address = next.as_ref().map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (before, after) = match dialect {
        Dialect::Link => (text(LINK_AROUND.0), text(LINK_AROUND.1)),
        Dialect::Before => (format!(r#"{{"next":{address},"data":["#), "]}".to_owned()),
        Dialect::After => (r#"{"data":["#.to_owned(), format!(r#"],"next":{address}}}"#)),
        Dialect::Offset => (format!(r#"{{"total":{},"data":["#, collection.records()), "]}".to_owned()),
    };
    let mut pieces = VecDeque::from([Bytes::from(before)]);
    if page < collection.pages() {
        pieces.extend(collection.elements(page));
    }
    pieces.push_back(after.into());
    let link = next.filter(|_| dialect == Dialect::Link).map(|next| format!("<{next}>; rel=\"next\""));
    Some(Told { page, pieces, link, json: true })
}

/// A request that is being answered.
#[derive(Debug)]
struct InFlight(Arc<Seen>);

impl InFlight {
    fn new(seen: Arc<Seen>) -> Self {
        let now = seen.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        seen.requests.fetch_add(1, Ordering::Relaxed);
        seen.together.fetch_add(now, Ordering::Relaxed);
        seen.most.fetch_max(now, Ordering::Relaxed);
        Self(seen)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body whose pieces come at their times.
#[derive(Debug)]
struct Paced {
    pieces: VecDeque<Bytes>,
    left: u64,
    length: Length,
    /// Time between two pieces.
    pace: Duration,
    due: Option<Pin<Box<Sleep>>>,
    in_flight: InFlight,
}

impl Paced {
    fn new(pieces: VecDeque<Bytes>, manner: Manner, in_flight: InFlight) -> Self {
        let mut paced = Self {
            pieces: VecDeque::new(),
            left: 0,
            length: manner.length,
            pace: Duration::ZERO,
            due: None,
            in_flight,
        };
        paced.fill(pieces, manner);
        paced
    }

    fn fill(&mut self, pieces: VecDeque<Bytes>, manner: Manner) {
        self.left = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.length = manner.length;
        self.pieces = pieces;
        if !manner.body.is_zero() && !self.pieces.is_empty() {
            let whole = Bytes::from(self.pieces.make_contiguous().concat());
            let size = whole.len().div_ceil(PIECES);
            self.pieces =
                (0..whole.len()).step_by(size).map(|at| whole.slice(at..whole.len().min(at + size))).collect();
            self.pace = manner.body / (PIECES as u32 - 1);
            self.due = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
        }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.pieces.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(due) = &mut this.due {
            ready!(due.as_mut().poll(context));
            let next = due.deadline() + this.pace;
            due.as_mut().reset(next);
        }
        let first_byte = &this.in_flight.0.first_byte;
        first_byte.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        let piece = this.pieces.pop_front();
        this.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Length::Told => SizeHint::with_exact(self.left),
            Length::Chunked => SizeHint::default(),
        }
    }
}
