//! Operator's address: metrics, the list of snapshots, and a health check.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::Service;

use super::metrics::{MEDIA_TYPE, Metrics, exposition};
use super::snapshot_list::list;
use crate::crawl::Crawls;
use crate::snapshot::Registry;
use crate::upstream::Governors;

/// Service that answers `/metrics`, `/snapshots` and `/healthz` without asking for credentials.
#[derive(Clone, Debug)]
pub struct Admin(Metrics);

impl Admin {
    pub fn new(crawls: Crawls, governors: Governors, registry: Registry) -> Self {
        Self(Metrics { crawls, governors, registry })
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (media_type, text) = match path {
            "/metrics" => (MEDIA_TYPE, exposition(self.0.clone())),
            "/snapshots" => ("application/json", list(&self.0.registry.list())),
            "/healthz" => ("text/plain; charset=utf-8", "ok\n".to_owned()),
            _ => return refused(StatusCode::NOT_FOUND),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let text = if method == Method::HEAD { Bytes::new() } else { Bytes::from(text) };
        let mut response = Response::new(Full::new(text));
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
        ready(Ok(self.answer(request.method(), request.uri().path())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::config::{SlowReader, SnapshotSettings};
    use crate::snapshot::Store;

    async fn ask(method: Method, path: &str) -> (StatusCode, http::HeaderMap, String) {
        let (slow_reader, linger) = (SlowReader::Wait, Duration::ZERO);
        let settings = SnapshotSettings { dir: None, memory: 1, disk: 0, slow_reader, linger, ahead: u64::MAX };
        let store = Store::open(settings).unwrap();
        let registry = Registry::new(store, Duration::from_secs(60));
        let mut admin = Admin::new(Crawls::default(), Governors::default(), registry);
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
        let (status, headers, body) = ask(Method::GET, "/snapshots").await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &HeaderValue::from_static("application/json")));
        assert_eq!(body, "[]\n");
        for path in ["/metrics", "/healthz", "/snapshots"] {
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
