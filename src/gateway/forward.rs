//! Forward: requests that ask for no stream get the upstream's own answer, unchanged.

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, header};
use http_body_util::BodyExt;

use super::headers::{join_cookies, strip_hop_by_hop, via};
use super::problem;
use super::route::Route;
use crate::request::ParamNames;
use crate::response::{self, Body, BoxError};

/// Passes a request on and its answer back.
pub(super) async fn answer<B>(route: &Route, head: Parts, body: B, names: &ParamNames) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let url = route.upstream_url(&head.uri, names);
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.method_mut() = head.method;
    *request.headers_mut() = head.headers;
    strip_hop_by_hop(request.headers_mut());
    join_cookies(request.headers_mut());
    request.headers_mut().append(header::VIA, via(head.version));
    match route.client().forward(&url, request).await {
        Ok(answer) => {
            let (mut head, body) = answer.into_parts();
            strip_hop_by_hop(&mut head.headers);
            head.headers.append(header::VIA, via(head.version));
            head.version = http::Version::HTTP_11;
            Response::from_parts(head, response::passed(body))
        }
        Err(error) => problem::unreachable(&error),
    }
}
