//! The request of a page, as it is sent: fields of the upstream and of the crawl's trace around what the pagination asks for.

use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};

use super::request_span;
use crate::config;
use crate::pagination::PageRequest;
use crate::pagination::request::RequestBody;
use crate::trace::{CrawlTrace, Span, TRACEPARENT};
use crate::upstream::coding::ACCEPTED;
use crate::upstream::transport::OutgoingBody;

/// Makes the request of a page, with its span where it is recorded. `resends`: number of attempts at the page before this one.
pub(super) fn new(
    page: &PageRequest,
    upstream: &config::Upstream,
    trace: Option<&CrawlTrace>,
    resends: u32,
) -> (Request<OutgoingBody>, Option<Span>) {
    let body = page.body.as_ref().map(RequestBody::to_bytes).unwrap_or_default();
    let mut request = Request::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = page.method.clone();
    let headers = request.headers_mut();
    headers.clone_from(&page.headers);
    headers.insert(header::ACCEPT, upstream.accept.clone());
    headers.entry(header::ACCEPT_ENCODING).or_insert(ACCEPTED);
    let mut span = None;
    if let Some(trace) = trace {
        let field;
        (field, span) = trace.request(&page.method);
        // A field that is there is the operator's: those of clients are left out of a crawl's requests.
        headers.entry(TRACEPARENT).or_insert(field);
    }
    if let Some(span) = &mut span {
        request_span::begin(span, page, resends);
    }
    if let Some(media_type) = page.body.as_ref().and_then(RequestBody::media_type) {
        // A label of the same kind (a `+json` type, a charset) is kept.
        let kind = if media_type.ends_with("json") { "json" } else { media_type };
        let fits = |label: &HeaderValue| label.to_str().is_ok_and(|label| label.contains(kind));
        if !headers.get(header::CONTENT_TYPE).is_some_and(fits) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
    }
    (request, span)
}
