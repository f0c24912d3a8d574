//! The legacy API as a pure function from a request to its response.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use mediatype::names::{_STAR, APPLICATION, JSON, Q};
use mediatype::{MediaTypeList, Name, ReadParams};

use super::answer::{Answer, Refusal};
use super::ask::Ask;
use super::calendar::Calendar;
use super::collections::{COLLECTIONS, INDEX};
use super::quirks::Quirks;
use super::select::Listing;

/// The legacy API: one collection of made-up orders under every pagination type.
#[derive(Clone, Debug)]
pub struct Legacy {
    /// Number of orders.
    pub records: u64,
    /// Page size without a parameter of the client; 0 counts as 1.
    pub default_page: u64,
    /// Largest page size, which also cuts the client's; 0 counts as 1.
    pub max_page: u64,
    pub calendar: Calendar,
    pub listing: Listing,
    pub quirks: Quirks,
}

impl Legacy {
    /// Default of [`Self::max_page`].
    pub const MAX_PAGE: u64 = 1_000;

    /// An API of this many orders, in pages of 100 by default and of 1,000 at most.
    pub fn of(records: u64) -> Self {
        Self {
            records,
            default_page: 100,
            max_page: Self::MAX_PAGE,
            calendar: Calendar::default(),
            listing: Listing::default(),
            quirks: Quirks::default(),
        }
    }

    /// An API of [`Calendar::skewed`]'s orders: 100, 1,000 and 1,000,000 in three years.
    pub fn skewed() -> Self {
        let calendar = Calendar::skewed();
        Self { calendar: calendar.clone(), ..Self::of(calendar.orders().unwrap_or_default()) }
    }

    /// Page size for the client's parameter: cut to the largest one without an error.
    pub(super) fn page_size(&self, asked: Option<u64>) -> u64 {
        asked.unwrap_or(self.default_page).min(self.max_page).max(1)
    }

    /// The response to a request; equal requests always have equal responses.
    pub fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response<Bytes> {
        self.routed(method, uri, headers, body).unwrap_or_else(Answer::from).into_response(&self.calendar)
    }

    fn routed(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Refusal> {
        let collection = COLLECTIONS.iter().chain([&INDEX]).find(|collection| collection.path == uri.path());
        let Some(collection) = collection else {
            let message = format!("no such path; GET / lists those there are: {}", uri.path());
            return Err(Refusal::new(StatusCode::NOT_FOUND, message));
        };
        if *method != collection.method {
            let message = format!("only {} is allowed here: {method}", collection.method);
            let answer = Answer::from(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message));
            return Ok(answer.header(header::ALLOW, collection.method.as_str()));
        }
        if !admits_json(headers) {
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "`Accept` must admit application/json"));
        }
        (collection.answer)(&Ask::read(self, method, uri, headers, body)?)
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
