//! Operator's address: metrics, the list of snapshots, and checks of health and readiness.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use ring::digest::{self, Digest};
use tower::Service;

use super::metrics::{MEDIA_TYPE, Metrics, exposition};
use super::reloads::Reloads;
use super::snapshot_list::list;
use crate::crawl::Crawls;
use crate::response::CodedStreams;
use crate::server::ServerMonitor;
use crate::snapshot::Registry;
use crate::upstream::Governors;

const TEXT: &str = "text/plain; charset=utf-8";

/// Service that answers `/metrics`, `/snapshots`, `/healthz` and `/readyz`, the first two only with the token where there is one.
#[derive(Clone, Debug)]
pub struct Admin {
    metrics: Metrics,
    token: Option<AdminToken>,
}

/// SHA-256 of the bearer token: two digests are compared, so that the time tells nothing of the token.
#[derive(Clone, Debug)]
struct AdminToken(Digest);

impl Admin {
    pub fn new(
        crawls: Crawls,
        governors: Governors,
        registry: Registry,
        server: ServerMonitor,
        coded_streams: CodedStreams,
    ) -> Self {
        Self { metrics: Metrics { crawls, governors, registry, server, coded_streams, reloads: None }, token: None }
    }

    /// Shows the reloads of the configuration, too.
    #[must_use]
    pub fn with_reloads(mut self, reloads: Option<Reloads>) -> Self {
        self.metrics.reloads = reloads;
        self
    }

    /// Asks for this bearer token at `/metrics` and `/snapshots`; probes of health and readiness have none.
    #[must_use]
    pub fn with_token(self, token: Option<&str>) -> Self {
        Self { token: token.map(|token| AdminToken(digest::digest(&digest::SHA256, token.as_bytes()))), ..self }
    }

    /// Returns true where the request has the token, if one is asked for.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(AdminToken(expected)) = &self.token else { return true };
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' '));
        token.is_some_and(|(scheme, token)| {
            let shown = digest::digest(&digest::SHA256, token.trim().as_bytes());
            scheme.eq_ignore_ascii_case("bearer") && shown.as_ref() == expected.as_ref()
        })
    }

    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if matches!(path, "/metrics" | "/snapshots") && !self.admits(headers) {
            let mut response = refused(StatusCode::UNAUTHORIZED);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        let (media_type, text) = match path {
            "/metrics" => (MEDIA_TYPE, exposition(self.metrics.clone())),
            "/snapshots" => ("application/json", list(&self.metrics.registry.list())),
            "/healthz" => (TEXT, "ok\n".to_owned()),
            "/readyz" if self.metrics.server.is_ready() => (TEXT, "ready\n".to_owned()),
            "/readyz" => (TEXT, "stopping\n".to_owned()),
            _ => return refused(StatusCode::NOT_FOUND),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let text = if method == Method::HEAD { Bytes::new() } else { Bytes::from(text) };
        let mut response = Response::new(Full::new(text));
        if path == "/readyz" && !self.metrics.server.is_ready() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri().path(), request.headers())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::config::Codings;
    use crate::config::SnapshotSettings;
    use crate::server::{Server, ServerSettings};
    use crate::snapshot::Store;

    async fn ask(method: Method, path: &str) -> (StatusCode, HeaderMap, String) {
        let store = Store::open(SnapshotSettings::in_test()).unwrap();
        let registry = Registry::new(store, Duration::from_secs(60));
        let monitor = Server::new(ServerSettings::default()).monitor();
        let mut admin = Admin::new(
            Crawls::default(),
            Governors::default(),
            registry,
            monitor,
            CodedStreams::new(&Codings::default()),
        );
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
