//! Operator's address: metrics, the dashboard, the list of snapshots, and checks of health and readiness.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tokio::sync::Semaphore;
use tower::Service;

use super::admin_token::{AdminToken, CHALLENGES, ShownToken};
use super::dashboard::{Dashboard, problem};
use super::metrics::{MEDIA_TYPE, Metrics, exposition};
use super::reloads::Reloads;
use super::snapshot_list::list;
use crate::config::Secret;
use crate::gateway::Gateway;
use crate::response::{Body, empty, full};
use crate::server::ServerMonitor;

/// Scrapes of metrics, one at a time: they read files, and those of a disk that doesn't answer hold one thread.
static SCRAPES: Semaphore = Semaphore::const_new(1);

const TEXT: &str = "text/plain; charset=utf-8";

/// Service of the operator's address: `/healthz` and `/readyz` for every client; `/metrics`, `/snapshots` and the dashboard with the token, if
/// one is configured. Without a token off loopback, `/snapshots` and the dashboard are refused.
#[derive(Clone, Debug)]
pub struct Admin {
    metrics: Metrics,
    token: Option<AdminToken>,
    dashboard: Option<Dashboard>,
    readers: AdminReaders,
}

/// Clients that reach the operator's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AdminReaders {
    /// Clients on this machine, or with the token.
    Operator,
    /// Clients on other machines, without a token: they must not read requests of others or messages of upstreams.
    Anyone,
}

impl Admin {
    pub fn new(gateway: Gateway, server: ServerMonitor) -> Self {
        let metrics = Metrics { gateway, server, reloads: None };
        Self { metrics, token: None, dashboard: None, readers: AdminReaders::Operator }
    }

    /// Shows the reloads of the configuration, too.
    #[must_use]
    pub fn with_reloads(mut self, reloads: Option<Reloads>) -> Self {
        self.metrics.reloads = reloads;
        self
    }

    /// Shows the dashboard at `/`, too.
    #[must_use]
    pub fn with_dashboard(self, dashboard: Dashboard) -> Self {
        Self { dashboard: Some(dashboard), ..self }
    }

    /// Answers `/metrics`, `/healthz` and `/readyz` alone: clients of other machines reach this address without a token.
    #[must_use]
    pub fn for_anyone(self) -> Self {
        Self { dashboard: None, readers: AdminReaders::Anyone, ..self }
    }

    /// Asks for this token at all paths but `/healthz` and `/readyz`, whose probes have none.
    #[must_use]
    pub fn with_token(self, token: Option<&Secret>) -> Self {
        Self { token: token.map(AdminToken::new), ..self }
    }

    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let path = uri.path();
        let shown = self.token.as_ref().and_then(|token| token.shown_in(headers));
        if self.token.is_some() && shown.is_none() && !matches!(path, "/healthz" | "/readyz") {
            let mut response = refused(StatusCode::UNAUTHORIZED);
            for challenge in CHALLENGES {
                response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
            return response;
        }
        let is_hidden = self.readers == AdminReaders::Anyone && !matches!(path, "/metrics" | "/healthz" | "/readyz");
        let mut response = match *method {
            _ if is_hidden => hidden(),
            Method::GET | Method::HEAD => self.get(path, headers),
            _ => self.other_method(method, uri, headers, shown),
        };
        if method == Method::HEAD {
            *response.body_mut() = empty();
        }
        response
    }

    fn get(&self, path: &str, headers: &HeaderMap) -> Response<Body> {
        let is_ready = self.metrics.server.is_ready();
        let (media_type, text) = match path {
            "/metrics" => (MEDIA_TYPE, exposition(self.metrics.clone())),
            "/snapshots" => ("application/json", list(&self.metrics.gateway.registry().list())),
            "/healthz" => (TEXT, "ok\n".to_owned()),
            "/readyz" if is_ready => (TEXT, "ready\n".to_owned()),
            "/readyz" => (TEXT, "stopping\n".to_owned()),
            _ => {
                let page = self.dashboard.as_ref().and_then(|dashboard| dashboard.get(path, headers));
                return page.unwrap_or_else(|| refused(StatusCode::NOT_FOUND));
            }
        };
        let mut response = Response::new(full(text));
        if path == "/readyz" && !is_ready {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Answers a request by another method: an action of the dashboard, or a refusal.
    fn other_method(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        token: Option<ShownToken>,
    ) -> Response<Body> {
        let dashboard = self.dashboard.as_ref().filter(|_| method == Method::POST);
        let done = dashboard.and_then(|dashboard| dashboard.post(uri, headers, token));
        done.unwrap_or_else(|| match self.get(uri.path(), headers).status() {
            StatusCode::NOT_FOUND => refused(StatusCode::NOT_FOUND),
            _ => {
                let mut response = refused(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        })
    }
}

/// Refuses a path that is the operator's alone.
fn hidden() -> Response<Body> {
    problem(
        StatusCode::FORBIDDEN,
        "this address is open to clients without a token (admin_open), and answers /metrics, /healthz and /readyz alone",
        "write admin_token = { file = \"PATH\" } at the top of the configuration, or bind admin to loopback, and restart",
    )
}

fn refused(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path() != "/metrics" {
            let answer = self.answer(request.method(), request.uri(), request.headers());
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let (admin, (head, _)) = (self.clone(), request.into_parts());
        Box::pin(async move {
            let permit = SCRAPES.acquire().await;
            let scrape = move || {
                let _permit = permit;
                admin.answer(&head.method, &head.uri, &head.headers)
            };
            let scraped = tokio::task::spawn_blocking(scrape).await;
            Ok(scraped.unwrap_or_else(|_| refused(StatusCode::INTERNAL_SERVER_ERROR)))
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::config::Config;
    use crate::server::{Server, ServerSettings};

    async fn ask(method: Method, path: &str) -> (StatusCode, HeaderMap, String) {
        let config = Config::of_upstream("http://127.0.0.1:1", None).unwrap();
        let monitor = Server::new(ServerSettings::default()).monitor();
        let mut admin = Admin::new(Gateway::builder(config).build().unwrap(), monitor);
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let (head, body) = admin.call(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn two_paths_are_answered_and_only_to_readers() {
        let (status, headers, body) = ask(Method::GET, "/metrics?any").await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &HeaderValue::from_static(MEDIA_TYPE)));
        assert!(body.contains("\nunpage_crawls_started_total 0\n"), "{body}");
        let (status, _, body) = ask(Method::GET, "/healthz").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n"));
        let (status, _, body) = ask(Method::GET, "/readyz").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ready\n"));
        let (status, headers, body) = ask(Method::GET, "/snapshots").await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &HeaderValue::from_static("application/json")));
        assert_eq!(body, "[]\n");
        for path in ["/metrics", "/healthz", "/readyz", "/snapshots"] {
            let (status, _, body) = ask(Method::HEAD, path).await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, ""), "{path}");
            let (status, headers, _) = ask(Method::POST, path).await;
            assert_eq!(
                (status, headers["allow"].to_str().unwrap()),
                (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"),
                "{path}"
            );
        }
        for path in ["/", "/metrics/", "/healthz/x", "/orders"] {
            assert_eq!(ask(Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
