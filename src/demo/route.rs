//! The response of the legacy API as a pure function of the request.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use mediatype::names::{_STAR, APPLICATION, JSON, Q};
use mediatype::{MediaTypeList, Name, ReadParams};

use super::answer::DemoAnswer;
use super::endpoints::{COLLECTIONS, INDEX};
use super::legacy_api::Legacy;
use super::refusal::DemoRefusal;
use super::request::DemoRequest;

impl Legacy {
    /// The response to a request; equal requests always have equal responses.
    pub fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response<Bytes> {
        self.routed(method, uri, headers, body).unwrap_or_else(DemoAnswer::from).into_response(&self.calendar)
    }

    fn routed(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<DemoAnswer, DemoRefusal> {
        let collection = COLLECTIONS.iter().chain([&INDEX]).find(|collection| collection.path == uri.path());
        let Some(collection) = collection else {
            let message = format!("no such path; GET / lists those there are: {}", uri.path());
            return Err(DemoRefusal::new(StatusCode::NOT_FOUND, message));
        };
        if *method != collection.method {
            let message = format!("only {} is allowed here: {method}", collection.method);
            let answer = DemoAnswer::from(DemoRefusal::new(StatusCode::METHOD_NOT_ALLOWED, message));
            return Ok(answer.with_header(header::ALLOW, collection.method.as_str()));
        }
        if !admits_json(headers) {
            return Err(DemoRefusal::new(StatusCode::NOT_ACCEPTABLE, "`Accept` must admit application/json"));
        }
        (collection.answer)(&DemoRequest::read(self, method, uri, headers, body)?)
    }
}

/// Media ranges that match JSON, the most specific last.
const ADMITTING: [(Name<'static>, Name<'static>); 3] = [(_STAR, _STAR), (APPLICATION, _STAR), (APPLICATION, JSON)];

/// Returns whether `Accept` admits JSON, by its most specific matching range (RFC 9110 §12.5.1).
fn admits_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(MediaTypeList::new).flatten();
    let most_specific = ranges.filter_map(|range| {
        let specificity = ADMITTING.iter().position(|known| *known == (range.ty, range.subty))?;
        let weight = range.get_param(Q);
        Some((specificity, weight.is_none_or(|weight| weight.as_str().parse().is_ok_and(|weight: f32| weight > 0.0))))
    });
    most_specific.max().map_or(!headers.contains_key(header::ACCEPT), |(_, admitted)| admitted)
}
