//! The legacy API as a service: it takes its time for a page, and refuses requests beyond its rate.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::Service;

use super::answer::DemoAnswer;
use super::changing_stock::ChangingStock;
use super::legacy_api::Legacy;
use super::refusal::DemoRefusal;

/// Most bytes of a request's body.
const MAX_BODY: usize = 1 << 20;

/// A [`Legacy`] API with a clock; clones share their state.
#[derive(Clone, Debug)]
pub struct DemoApi(Arc<ApiState>);

#[derive(Debug)]
struct ApiState {
    legacy: Legacy,
    latency: Duration,
    /// Requests that each second of the clock allows.
    rate: Option<NonZeroU32>,
    requests: AtomicUsize,
    second: Mutex<Second>,
    changes: Option<OrderChanges>,
}

/// Changes of the orders as time passes.
#[derive(Debug)]
struct OrderChanges {
    stock: Mutex<ChangingStock>,
    begun: Instant,
    /// Time from one change to the next; not zero.
    every: Duration,
}

/// Requests that were admitted in one second of the clock.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    admitted: u32,
}

impl DemoApi {
    /// An API that takes `latency` for each answer, and answers 429 beyond `rate` requests a second.
    pub fn new(legacy: Legacy, latency: Duration, rate: Option<NonZeroU32>) -> Self {
        Self::with_changes(legacy, latency, rate, None)
    }

    /// As [`DemoApi::new`], with as many orders, of which one comes or goes each time that `every` has passed.
    ///
    /// # Panics
    ///
    /// If `every` is zero.
    pub fn changing(legacy: Legacy, latency: Duration, rate: Option<NonZeroU32>, every: Duration) -> Self {
        assert!(!every.is_zero(), "time between two changes");
        let stock = ChangingStock::of(legacy.records);
        let legacy = Legacy { records: stock.highest(), ..legacy };
        let changes = OrderChanges { stock: Mutex::new(stock), begun: Instant::now(), every };
        Self::with_changes(legacy, latency, rate, Some(changes))
    }

    fn with_changes(
        legacy: Legacy,
        latency: Duration,
        rate: Option<NonZeroU32>,
        changes: Option<OrderChanges>,
    ) -> Self {
        let (requests, second) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(ApiState { legacy, latency, rate, requests, second, changes }))
    }

    /// Number of requests so far, refused ones included.
    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self(api) = self;
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let message = format!("send a whole body of at most {MAX_BODY} bytes: {error}");
                return api.refusal(StatusCode::PAYLOAD_TOO_LARGE, message);
            }
        };
        api.requests.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let Some(rate) = api.rate else {
            return api.page(&head, &body, begun).await;
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let remaining = api.second.lock().admit(since_epoch.as_secs(), rate.get());
        let mut response = match remaining {
            Some(_) => api.page(&head, &body, begun).await,
            None => {
                let message = "too many requests: ask less often";
                let mut response = api.refusal(StatusCode::TOO_MANY_REQUESTS, message);
                response.headers_mut().insert(header::RETRY_AFTER, 1.into());
                response
            }
        };
        let fields = [("limit", rate.get()), ("remaining", remaining.unwrap_or(0)), ("reset", 1)];
        for (name, value) in fields {
            let name = HeaderName::try_from(format!("x-ratelimit-{name}")).expect("ASCII letters and dashes");
            response.headers_mut().insert(name, value.into());
        }
        response
    }
}

impl ApiState {
    async fn page(&self, head: &http::request::Parts, body: &[u8], begun: Instant) -> Response<Full<Bytes>> {
        let legacy = match &self.changes {
            Some(changes) => &Legacy { stock: Some(changes.orders_at(begun)), ..self.legacy.clone() },
            None => &self.legacy,
        };
        let response = legacy.answer(&head.method, &head.uri, &head.headers, body);
        // Making the page is a part of its latency.
        tokio::time::sleep_until(begun + self.latency).await;
        response.map(Full::new)
    }

    fn refusal(&self, status: StatusCode, message: impl Into<String>) -> Response<Full<Bytes>> {
        DemoAnswer::from(DemoRefusal::new(status, message)).into_response(&self.legacy.calendar).map(Full::new)
    }
}

impl OrderChanges {
    fn orders_at(&self, now: Instant) -> Arc<Vec<u64>> {
        let changes = (now - self.begun).as_nanos() / self.every.as_nanos();
        self.stock.lock().after(u64::try_from(changes).unwrap_or(u64::MAX))
    }
}

impl Second {
    /// Counts a request in this second; returns the number of requests that are left in it, or `None` for one too many.
    fn admit(&mut self, number: u64, rate: u32) -> Option<u32> {
        if self.number != number {
            *self = Self { number, admitted: 0 };
        }
        let remaining = rate.checked_sub(self.admitted + 1)?;
        self.admitted += 1;
        Some(remaining)
    }
}

impl<B> Service<Request<B>> for DemoApi
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(api: &DemoApi, body: &'static [u8]) -> Response<Full<Bytes>> {
        let request = Request::get("/cursor/orders").body(Full::new(Bytes::from_static(body))).unwrap();
        api.clone().call(request).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_takes_its_time_and_is_counted() {
        let api = DemoApi::new(Legacy::of(3), Duration::from_millis(30), None);
        let begun = Instant::now();
        assert_eq!(ask(&api, b"").await.status(), StatusCode::OK);
        assert_eq!((begun.elapsed(), api.requests()), (Duration::from_millis(30), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn orders_come_and_go_as_time_passes() {
        let every = Duration::from_millis(100);
        let api = DemoApi::changing(Legacy::of(30), Duration::from_millis(250), None, every);
        let mut pages = Vec::new();
        for _ in 0..3 {
            pages.push(ask(&api, b"").await.into_body().collect().await.unwrap().to_bytes());
        }
        // Each answer is of the moment of its request: 0, 2 and 5 changes after the start.
        let counts = pages.iter().map(|page| page.windows(8).filter(|text| *text == b"\"created").count());
        assert_eq!(counts.collect::<Vec<_>>(), [30, 30, 31]);
        assert!(pages[0] != pages[1] && pages[1] != pages[2]);
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_refused() {
        let api = DemoApi::new(Legacy::of(3), Duration::ZERO, None);
        let body = vec![b' '; MAX_BODY + 1].leak();
        assert_eq!(ask(&api, body).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_request_beyond_the_rate_is_told_when_to_come_again() {
        let api = DemoApi::new(Legacy::of(3), Duration::ZERO, NonZeroU32::new(1));
        let refused = loop {
            // The first two may lie in different seconds of the clock.
            let response = ask(&api, b"").await;
            assert_eq!(response.headers()["x-ratelimit-remaining"], "0");
            if response.status() != StatusCode::OK {
                break response;
            }
        };
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        assert_eq!(refused.headers()["x-ratelimit-limit"], "1");
    }

    #[test]
    fn each_second_allows_its_own_requests() {
        let mut second = Second::default();
        let admitted = [1, 1, 1, 2, 2, 2].map(|number| second.admit(number, 2));
        assert_eq!(admitted, [Some(1), Some(0), None, Some(1), Some(0), None]);
    }
}
