//! What a question is answered with, and its way into bytes: an envelope with the orders written into their place.

use std::fmt::{self, Write};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::calendar::Calendar;
use super::orders::Dated;
use super::quirks;
use super::token;
use super::window::Window;

/// Stands in an envelope where the orders go; no other text in an envelope is the same.
pub(super) const ORDERS: &str = "<orders>";

/// A response before its orders are written.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    envelope: Value,
    window: Window,
    shape: Shape,
}

/// What holds the orders of a page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// An array of them.
    Elements,
    /// An object of them, keyed by id.
    Values,
    /// An array of GraphQL edges, with the order as the node.
    Edges,
}

/// Number of orders in a response, as an extension of it.
#[derive(Clone, Copy, Debug)]
pub struct OrderCount(pub u64);

/// Why a question is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Answer {
    /// The orders of a window, in an envelope that has [`ORDERS`] in it.
    pub(super) fn page(window: Window, envelope: Value) -> Self {
        Self { window, ..Self::without_orders(envelope) }
    }

    /// An envelope that is the whole answer.
    pub(super) fn without_orders(envelope: Value) -> Self {
        let (window, shape) = (Window::default(), Shape::Elements);
        Self { status: StatusCode::OK, headers: HeaderMap::new(), envelope, window, shape }
    }

    /// The same with its orders held otherwise.
    pub(super) fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// The same with another status.
    pub(super) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a header field more.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value);
        self.headers.insert(name, value.expect("made of numbers, an authority and percent-encoded text"));
        self
    }

    /// The bytes, with the times of this calendar; how many orders they hold is an extension of the response.
    pub(super) fn into_response(mut self, calendar: &Calendar) -> Response<Bytes> {
        quirks::without_absent(&mut self.envelope);
        let envelope = self.envelope.to_string();
        let body = match envelope.split_once(&format!("\"{ORDERS}\"")) {
            Some((before, after)) => self.filled(before, after, calendar).expect("a `String` takes every text"),
            None => envelope,
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.extensions_mut().insert(OrderCount(self.window.orders().count() as u64));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn filled(&self, before: &str, after: &str, calendar: &Calendar) -> Result<String, fmt::Error> {
        let (open, close) = match self.shape {
            Shape::Elements | Shape::Edges => ('[', ']'),
            Shape::Values => ('{', '}'),
        };
        let mut body = String::from(before);
        body.push(open);
        for (nth, order) in self.window.orders().enumerate() {
            if nth > 0 {
                body.push(',');
            }
            let dated = Dated(order, calendar);
            match self.shape {
                Shape::Elements => write!(body, "{dated}")?,
                Shape::Values => write!(body, r#""{}":{dated}"#, order.id())?,
                Shape::Edges => write!(body, r#"{{"cursor":"{}","node":{dated}}}"#, token::write(order.0))?,
            }
        }
        body.push(close);
        body.push_str(after);
        Ok(body)
    }
}

impl Refusal {
    /// A refusal; the message says whose fault it is and what to do.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// A refusal of what the client sent.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What was wrong, in words.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::without_orders(json!({ "error": refusal.message })).status(refusal.status)
    }
}
