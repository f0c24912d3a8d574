//! The answer to a request: an envelope, into which the orders are written at their place.

use std::fmt::{self, Write};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::calendar::Calendar;
use super::faults;
use super::orders::Dated;
use super::page_window::OrderWindow;
use super::refusal::DemoRefusal;
use super::token_codec;

/// Placeholder of the orders in an envelope; no other string in an envelope is equal to it.
pub(super) const ORDERS: &str = "<orders>";

/// A response before its orders are written.
#[derive(Debug)]
pub(super) struct DemoAnswer {
    status: StatusCode,
    headers: HeaderMap,
    envelope: Value,
    window: OrderWindow,
    shape: OrdersShape,
}

/// Container of the orders of a page.
#[derive(Clone, Copy, Debug)]
pub(super) enum OrdersShape {
    Elements,
    /// An object keyed by id.
    Values,
    /// An array of GraphQL edges, with the order as the node.
    Edges,
}

/// Number of orders in a response, as an extension of it.
#[derive(Clone, Copy, Debug)]
pub struct OrderCount(pub u64);

impl DemoAnswer {
    /// The orders of a window, in an envelope with [`ORDERS`].
    pub(super) fn page(window: OrderWindow, envelope: Value) -> Self {
        Self { window, ..Self::without_orders(envelope) }
    }

    pub(super) fn without_orders(envelope: Value) -> Self {
        let (window, shape) = (OrderWindow::default(), OrdersShape::Elements);
        Self { status: StatusCode::OK, headers: HeaderMap::new(), envelope, window, shape }
    }

    pub(super) fn with_shape(self, shape: OrdersShape) -> Self {
        Self { shape, ..self }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value);
        self.headers.insert(name, value.expect("made of numbers, an authority and percent-encoded text"));
        self
    }

    /// The response, with the times of this calendar, and with [`OrderCount`] as an extension.
    pub(super) fn into_response(mut self, calendar: &Calendar) -> Response<Bytes> {
        faults::without_absent(&mut self.envelope);
        let envelope = self.envelope.to_string();
        let body = match envelope.split_once(&format!("\"{ORDERS}\"")) {
            Some((before, after)) => self.filled(before, after, calendar).expect("writing to a `String` never fails"),
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
            OrdersShape::Elements | OrdersShape::Edges => ('[', ']'),
            OrdersShape::Values => ('{', '}'),
        };
        let mut body = String::from(before);
        body.push(open);
        for (nth, order) in self.window.orders().enumerate() {
            if nth > 0 {
                body.push(',');
            }
            let dated = Dated(order, calendar);
            match self.shape {
                OrdersShape::Elements => write!(body, "{dated}")?,
                OrdersShape::Values => write!(body, r#""{}":{dated}"#, order.id())?,
                OrdersShape::Edges => write!(body, r#"{{"cursor":"{}","node":{dated}}}"#, token_codec::write(order.0))?,
            }
        }
        body.push(close);
        body.push_str(after);
        Ok(body)
    }
}

impl From<DemoRefusal> for DemoAnswer {
    fn from(refusal: DemoRefusal) -> Self {
        Self::without_orders(json!({ "error": refusal.message })).with_status(refusal.status)
    }
}
