//! Difference between a page's request and the first one, as data that may be written to a file.
//!
//! The first request may hold credentials, in its header fields, its query and its body. So nothing of it is written: a text is the
//! replacement of one stretch of the first request's text, and only the header fields that the pagination itself sets are compared.

use http::header::COOKIE;
use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;
use url::Url;

use crate::pagination::request::{RequestBody, read_form};
use crate::pagination::{PageError, PageRequest};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestDelta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Splice>,
    /// The pagination's own header fields that have another value, or none any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Option<String>)>,
    #[serde(default, skip_serializing_if = "BodyDelta::is_none")]
    body: BodyDelta,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum BodyDelta {
    #[default]
    Same,
    Gone,
    Json(Splice),
    Form(Splice),
}

/// Replacement of the middle of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Splice {
    /// Number of bytes that are kept at the start.
    head: usize,
    put: String,
    /// Number of bytes that are kept at the end.
    tail: usize,
}

impl RequestDelta {
    /// Returns the difference between `first` and `request`; `names` are the header fields that the pagination sets.
    pub(super) fn between(first: &PageRequest, request: &PageRequest, names: &[HeaderName]) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let changed = names.iter().filter(|name| request.headers.get(*name) != first.headers.get(*name));
        // Fields of a link object, which the first request lacks. A cookie is in no file.
        let has_more = request.headers.keys_len() > first.headers.keys_len();
        let added = request
            .headers
            .keys()
            .filter(|name| has_more && !first.headers.contains_key(*name) && !names.contains(name) && *name != COOKIE);
        let changed = changed.chain(added);
        Self {
            method: (request.method != first.method).then(|| request.method.to_string()),
            url: (request.url != first.url).then(|| Splice::between(first.url.as_str(), request.url.as_str())),
            headers: changed.map(|name| (name.to_string(), request.headers.get(name).map(text))).collect(),
            body: BodyDelta::between(first.body.as_ref(), request.body.as_ref()),
        }
    }

    /// Applies the difference to `first`.
    pub(super) fn applied(&self, first: &PageRequest) -> Result<PageRequest, PageError> {
        let mut request = first.clone();
        if let Some(method) = &self.method {
            request.method = Method::from_bytes(method.as_bytes()).map_err(|_| unfit())?;
        }
        if let Some(url) = &self.url {
            let url = Url::parse(&url.applied(first.url.as_str())?).map_err(|_| unfit())?;
            // A file must not lead to another server.
            request.url = if url.origin() == first.url.origin() { url } else { return Err(unfit()) };
        }
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| unfit())?;
            match value {
                Some(value) => {
                    let value = HeaderValue::from_str(value).map_err(|_| unfit())?;
                    drop(request.headers.insert(name, value));
                }
                None => drop(request.headers.remove(name)),
            }
        }
        self.body.apply(&mut request)?;
        Ok(request)
    }

    /// Returns a hash that tells requests of one walk apart, and that a cycle would repeat.
    pub(super) fn identity(&self) -> u64 {
        XxHash3_64::oneshot(&serde_json::to_vec(self).expect("a difference is texts and numbers"))
    }
}

impl BodyDelta {
    fn between(first: Option<&RequestBody>, body: Option<&RequestBody>) -> Self {
        match body {
            body if body == first => Self::Same,
            None => Self::Gone,
            Some(RequestBody::Json(value)) => Self::Json(Splice::between(&text_of(first), &value.to_string())),
            Some(body) => Self::Form(Splice::between(&text_of(first), &text_of(Some(body)))),
        }
    }

    fn apply(&self, request: &mut PageRequest) -> Result<(), PageError> {
        let first = || text_of(request.body.as_ref());
        request.body = match self {
            Self::Same => return Ok(()),
            Self::Gone => None,
            Self::Json(splice) => {
                let value = serde_json::from_str(&splice.applied(&first())?).map_err(|_| unfit())?;
                Some(RequestBody::Json(value))
            }
            Self::Form(splice) => Some(read_form(splice.applied(&first())?.as_bytes())),
        };
        Ok(())
    }

    fn is_none(&self) -> bool {
        *self == Self::Same
    }
}

/// Returns the text of a body; empty for bytes that the pagination puts nothing into.
fn text_of(body: Option<&RequestBody>) -> String {
    match body {
        None | Some(RequestBody::Other(_)) => String::new(),
        Some(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    }
}

impl Splice {
    fn between(first: &str, text: &str) -> Self {
        let mut head = first.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count();
        while !first.is_char_boundary(head) {
            head -= 1;
        }
        let (rest, put) = (&first[head..], &text[head..]);
        let mut tail = rest.bytes().rev().zip(put.bytes().rev()).take_while(|(one, other)| one == other).count();
        while !rest.is_char_boundary(rest.len() - tail) {
            tail -= 1;
        }
        Self { head, put: put[..put.len() - tail].to_owned(), tail }
    }

    fn applied(&self, first: &str) -> Result<String, PageError> {
        let tail = first.len().checked_sub(self.tail).filter(|tail| self.head <= *tail).ok_or_else(unfit)?;
        let (head, tail) = (first.get(..self.head).ok_or_else(unfit)?, first.get(tail..).ok_or_else(unfit)?);
        Ok(format!("{head}{}{tail}", self.put))
    }
}

fn unfit() -> PageError {
    PageError::BadCheckpoint("the next request can't be made from the first one".to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn body() -> impl Strategy<Value = Option<RequestBody>> {
        let texts = || prop::collection::vec(("[aé&= ]{0,3}", "[ab\"é]{0,4}"), 0..3);
        let json = texts().prop_map(|members| {
            RequestBody::Json(members.into_iter().map(|(name, text)| (name, Value::from(text))).collect())
        });
        prop::option::of(prop_oneof![
            json,
            // A form without a field has no text, and no body.
            texts().prop_filter("empty", |fields| !fields.is_empty()).prop_map(RequestBody::Form),
            Just(RequestBody::Other(Bytes::from_static(b"\xff\x00"))),
        ])
    }

    prop_compose! {
        fn request()(
            query in "[ab&=%é]{0,8}",
            path in "[ab/]{0,4}",
            method in prop::sample::select(vec![Method::GET, Method::POST]),
            range in prop::option::of("[a-c=0-9]{0,3}"),
            body in body(),
        ) -> PageRequest {
            let mut url = Url::parse("http://a/").unwrap();
            url.set_path(&path);
            url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
            let mut request = PageRequest { method, url, headers: http::HeaderMap::new(), body };
            if let Some(range) = range {
                request.headers.insert(http::header::RANGE, HeaderValue::from_str(&range).unwrap());
            }
            request
        }
    }

    proptest! {
        #[test]
        fn a_request_is_made_again_from_its_difference(first in request(), request in request()) {
            // What the pagination makes of a body is never other bytes.
            prop_assume!(!matches!(request.body, Some(RequestBody::Other(_))) || request.body == first.body);
            let difference = RequestDelta::between(&first, &request, &[http::header::RANGE]);
            let read: RequestDelta = serde_json::from_str(&serde_json::to_string(&difference).unwrap()).unwrap();
            prop_assert_eq!(read.applied(&first).unwrap(), request.clone());
            let same = difference.identity() == RequestDelta::between(&first, &first, &[http::header::RANGE]).identity();
            prop_assert_eq!(same, first == request);
        }

        #[test]
        fn what_does_not_fit_is_an_error_and_no_panic(head in 0..9_usize, tail in 0..9_usize, put in "[é/]{0,3}") {
            let splice = Splice { head, put, tail };
            let made = splice.applied("aéb");
            prop_assert!(made.is_err() || head + tail <= 4);
        }
    }

    #[test]
    fn nothing_of_the_first_request_is_written() {
        let secret = "hunter2";
        let mut first = PageRequest::get(Url::parse("http://a/x?api_key=hunter2&limit=5").unwrap());
        first.headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Basic hunter2"));
        first.body = Some(RequestBody::Json(json!({"token": secret, "size": 5})));
        let mut next = first.clone();
        next.url.query_pairs_mut().append_pair("cursor", "abc");
        next.body = Some(RequestBody::Json(json!({"token": secret, "size": 5, "after": 7})));
        let difference = RequestDelta::between(&first, &next, &[http::header::RANGE]);
        let written = serde_json::to_string(&difference).unwrap();
        assert_eq!(
            written,
            r#"{"url":{"head":34,"put":"&cursor=abc","tail":0},"body":{"Json":{"head":27,"put":",\"after\":7","tail":1}}}"#
        );
        let elsewhere = RequestDelta {
            url: Some(Splice { head: 7, put: "b/".to_owned(), tail: 0 }),
            ..RequestDelta::between(&first, &first, &[])
        };
        assert!(matches!(elsewhere.applied(&first), Err(PageError::BadCheckpoint(_))));
    }
}
