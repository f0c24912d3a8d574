//! A page of the demo as text: its orders byte for byte, and what stands around them.

use base64::Engine;
use bytes::Bytes;
use http::{Response, header};
use serde_json::{Value, json};
use unpage::demo::Order;

/// Placeholder of the orders; no other string of a page is equal to it.
const ORDERS: &str = "\"<orders>\"";

pub(super) struct PageText {
    path: &'static str,
    envelope: Value,
    pub(super) orders: Vec<String>,
    is_last: bool,
}

impl PageText {
    /// True if an order stands in this page.
    pub(super) fn holds(answer: &Response<Bytes>, number: u64) -> bool {
        let id = format!("{{\"id\":\"{}\"", Order(number).id());
        memchr::memmem::find(answer.body(), id.as_bytes()).is_some()
    }

    /// A page with orders, of a collection with this many.
    pub(super) fn of(answer: &Response<Bytes>, path: &'static str, records: u64) -> Self {
        let orders: Vec<_> =
            (1..=records).filter(|number| Self::holds(answer, *number)).map(|number| wrapped(path, number)).collect();
        let body = std::str::from_utf8(answer.body()).unwrap();
        let (before, after) = body.split_once(&orders.join(",")).unwrap();
        let (before, after) = (&before[..before.len() - 1], &after[1..]);
        let envelope = serde_json::from_str(&format!("{before}{ORDERS}{after}")).unwrap();
        Self { path, envelope, orders, is_last: false }
    }

    /// The orders of the first page.
    pub(super) fn first(path: &str, size: u64) -> Vec<String> {
        (1..=size).map(|number| wrapped(path, number)).collect()
    }

    /// Index of an order in the page.
    pub(super) fn place(&self, number: u64) -> usize {
        let id = format!("\"id\":\"{}\"", Order(number).id());
        self.orders.iter().position(|order| order.contains(&id)).unwrap()
    }

    /// Takes away all that leads to a next page.
    pub(super) fn end(&mut self) {
        self.is_last = true;
        let envelope = &mut self.envelope;
        match self.path {
            "/next_url/orders" => envelope["next"] = Value::Null,
            "/relative/orders" => envelope["links"]["next"] = Value::Null,
            "/cursor/orders" => envelope["meta"]["next_cursor"] = Value::Null,
            "/values/orders" => envelope["next_cursor"] = json!(""),
            "/odata/orders" => drop(envelope.as_object_mut().unwrap().remove("@odata.nextLink")),
            "/search/orders" => drop(envelope.as_object_mut().unwrap().remove("paging")),
            "/graphql" => envelope["data"]["orders"]["pageInfo"]["hasNextPage"] = json!(false),
            "/keyset/orders" => envelope["has_more"] = json!(false),
            // Numbers say nothing of the kind, and a field is no part of the body.
            _ => {}
        }
    }

    /// Makes it a page of an API that failed and answers 200.
    pub(super) fn fail(&mut self, status: &str, field: &str, text: &str) {
        self.orders.clear();
        self.end();
        match &mut self.envelope {
            Value::Object(members) => {
                members.insert("status".into(), json!(status));
                members.insert(field.into(), json!(text));
            }
            // An array has no room for words.
            array => *array = json!({ "status": status, field: text }),
        }
    }

    /// The same response with this text.
    pub(super) fn into_answer(self, answer: Response<Bytes>) -> Response<Bytes> {
        let (mut head, _) = answer.into_parts();
        if self.is_last {
            head.headers.remove(header::LINK);
            head.headers.remove("next-page");
        }
        let (open, close) = if self.path == "/values/orders" { ('{', '}') } else { ('[', ']') };
        let orders = format!("{open}{}{close}", self.orders.join(","));
        Response::from_parts(head, self.envelope.to_string().replace(ORDERS, &orders).into())
    }
}

/// An order as it stands among the records of a page.
fn wrapped(path: &str, number: u64) -> String {
    let order = Order(number);
    match path {
        "/values/orders" => format!("\"{}\":{order}", order.id()),
        "/graphql" => {
            let token = base64::prelude::BASE64_STANDARD.encode(format!("id>{number}"));
            format!("{{\"cursor\":\"{token}\",\"node\":{order}}}")
        }
        _ => order.to_string(),
    }
}
