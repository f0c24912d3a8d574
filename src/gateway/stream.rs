//! A stream: the crawl is opened, its head waits for the first page, and then the records flow.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

use super::headers::for_a_crawl;
use super::problem;
use super::route::Route;
use crate::crawl::Crawl;
use crate::pagination::PageRequest;
use crate::pagination::request::RequestBody;
use crate::request::MediaType;
use crate::response::{self, Body, BoxError, StreamBody};

/// The largest request body that is repeated with every page.
const MAX_REQUEST_BODY: usize = 1 << 20;

/// Opens the crawl and answers with its records.
pub(super) async fn answer<B>(
    route: &Route,
    head: Parts,
    body: B,
    media_type: MediaType,
    format_param: &str,
    tasks: &TaskTracker,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let collection = route.collection();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BODY).collect().await else {
        return problem::request_body(MAX_REQUEST_BODY);
    };
    let body = match RequestBody::read(
        head.headers.get(header::CONTENT_TYPE),
        body.to_bytes(),
        collection.pagination.body_kind(),
    ) {
        Ok(body) => body.or_else(|| collection.body.clone().map(RequestBody::Json)),
        Err(error) => return problem::not_json(&error),
    };
    let first = PageRequest {
        method: collection.method.clone(),
        url: route.upstream_url(&head.uri, format_param),
        headers: for_a_crawl(&head.headers),
        body,
    };
    let crawl = Crawl {
        client: route.client().clone(),
        pagination: Arc::clone(&collection.pagination),
        caps: collection.caps.clone(),
        first,
    };
    match crawl.open().await {
        Ok(opened) if head.method == Method::HEAD => {
            drop(opened);
            success(media_type, response::empty())
        }
        Ok(opened) => {
            let (reader, rest) = opened.start();
            tasks.spawn(rest);
            success(media_type, Body::new(StreamBody::new(reader)))
        }
        Err(failure) => problem::failed(&failure),
    }
}

fn success(media_type: MediaType, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type.header());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VIA, HeaderValue::from_static("1.1 unpage"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
