//! A stream: the crawl is opened, its head waits for the first page or its first records, and then they flow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};

use super::Shared;
use super::forward;
use super::headers::for_a_crawl;
use super::problem;
use super::route::Route;
use crate::crawl::Crawl;
use crate::pagination::request::RequestBody;
use crate::pagination::{Order, PageRequest, Pagination, Style};
use crate::request::MediaType;
use crate::response::{self, Body, BoxError, StreamBody};
use crate::snapshot;

/// The largest request body that is repeated with every page.
const MAX_REQUEST_BODY: usize = 1 << 20;

/// How many bytes of records may wait for their reader.
const WINDOW: u64 = 1 << 20;

/// How long a request body that is repeated may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// Opens the crawl and answers with its records.
pub(super) async fn answer<B>(
    route: &Route,
    head: Parts,
    body: B,
    media_type: MediaType,
    order: Option<Order>,
    shared: &Shared,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Shared { format_param, tasks, crawls, .. } = shared;
    let collection = route.collection();
    let body = match tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_REQUEST_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return problem::request_body(MAX_REQUEST_BODY),
        Err(_) => return problem::slow_request_body(BODY_LIMIT),
    };
    let kind = collection.pagination.body_kind();
    let mut first = PageRequest {
        method: collection.method.clone(),
        url: route.upstream_url(&head.uri, format_param),
        headers: for_a_crawl(&head.headers),
        body: match RequestBody::read(head.headers.get(header::CONTENT_TYPE), body.clone(), kind) {
            Ok(read) => read,
            Err(error) => return problem::not_json(&error, kind),
        },
    };
    if names_a_page(&first, &collection.pagination.style) {
        return forward::answer(route, head, Full::new(body), format_param).await;
    }
    first.body = first.body.or_else(|| collection.body.clone().map(RequestBody::Json));
    let (pagination, applied) = ordered(&collection.pagination, order);
    let crawl = Crawl {
        client: route.client().clone(),
        pagination,
        caps: collection.caps.clone(),
        first,
        since: None,
        valid_at: None,
        // Who only wants a head needs no page but the first.
        width: if head.method == Method::HEAD { 1 } else { collection.upstream.pace.widest() },
        crawls: crawls.clone(),
    };
    match crawl.open().await {
        Ok(opened) if head.method == Method::HEAD => {
            drop(opened);
            success(media_type, applied, response::empty())
        }
        // What names a page is only known now, with `auto`: who asks for page 7 wants page 7.
        Ok(opened) if opened.starts_midway() => {
            drop(opened);
            forward::answer(route, head, Full::new(body), format_param).await
        }
        Ok(opened) => {
            let (writer, log) = snapshot::unkept(WINDOW);
            let reader = log.reader(0, None).expect("a log keeps what its first reader has not read");
            tasks.spawn(opened.run(writer));
            success(media_type, applied, Body::new(StreamBody::new(reader)))
        }
        Err(failure) => problem::failed(&failure),
    }
}

/// As [`Ask::read`](crate::request::Ask::read) says of the query: who passes the collection's own page parameter in another
/// place wants that page, too.
fn names_a_page(first: &PageRequest, style: &Style) -> bool {
    let value = |param| first.value_at(param).filter(|value| !value.is_empty() && value != "null");
    style.page_params().into_iter().any(|param| value(param).is_some())
}

/// The pagination with the order that the client prefers, and what the answer says of that (RFC 7240 §3). What has no parts has
/// no order to choose.
fn ordered(pagination: &Arc<Pagination>, order: Option<Order>) -> (Arc<Pagination>, Option<HeaderValue>) {
    let Some(order) = order.filter(|_| pagination.partition.is_some()) else { return (Arc::clone(pagination), None) };
    let applied = HeaderValue::from_static(match order {
        Order::Any => "order=any",
        Order::Listed => "order=listed",
    });
    (Arc::new(Pagination { order, ..Pagination::clone(pagination) }), Some(applied))
}

fn success(media_type: MediaType, applied: Option<HeaderValue>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type.header());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VIA, HeaderValue::from_static("1.1 unpage"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if let Some(applied) = applied {
        headers.insert("preference-applied", applied);
    }
    response
}
