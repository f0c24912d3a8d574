//! Writes that hide in a request for a page: a parameter that names another method, and mutations of GraphQL. Configured credentials go with
//! none: the write would be done as the operator, for any client.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::aws_operation::OperationPlaces;
use super::client_body::MAX_REQUEST_BODY;
use super::graphql_mutation::has_mutation;
use super::kept_document::{Operation, pairs};
use crate::response::BoxError;
use crate::upstream::OutgoingBody;

/// Parameters and members by which frameworks take another method than the request's: Rails, Symfony and Laravel, Salesforce, Google.
const METHOD_PARAMS: [&str; 5] =
    ["_method", "_HttpMethod", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];

/// Methods that write, for `method` in a query (Facebook), which often means something else.
const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// Labels of charsets whose words are those of UTF-8.
const UTF8: [&str; 4] = ["=utf-8", "=\"utf-8", "=utf8", "=us-ascii"];

/// Write in a request for a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HiddenWrite {
    #[error("the parameter {0} names another method than those of requests for pages")]
    Method(String),
    #[error("the request names the operation {0}, which may write")]
    Operation(String),
    #[error("the request has a GraphQL mutation")]
    Mutation,
    #[error("the request names a GraphQL document that the upstream keeps, which may be a mutation")]
    PersistedDocument,
    #[error(
        "the request's body is too large, coded, in several parts, of several types or no valid JSON, so that a write in it can't be excluded"
    )]
    UnreadableBody,
}

/// Reader of requests for pages.
pub(super) struct WriteFinder<F> {
    /// Returns true for a method by which pages are requested.
    pub(super) is_for_pages: F,
    /// Places of operations, where requests are signed for AWS.
    pub(super) operations: Option<OperationPlaces>,
}

impl<F: Fn(&str) -> bool> WriteFinder<F> {
    /// Finds a write in the query of a request and in its body.
    pub(super) fn find(&self, head: &Parts, body: &[u8]) -> Option<HiddenWrite> {
        self.in_head(head).or_else(|| self.in_body(head, body))
    }

    /// Finds a write in a request whose body has not been read. Returns the body, too, with what was read of it.
    ///
    /// # Errors
    /// Fails where the body breaks.
    pub(super) async fn inspect<B>(
        &self,
        head: &Parts,
        mut body: B,
    ) -> Result<(OutgoingBody, Option<HiddenWrite>), BoxError>
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
    {
        let write = self.in_head(head);
        if write.is_some() || body.is_end_stream() {
            return Ok((body.boxed_unsync(), write.or_else(|| self.in_body(head, &[]))));
        }
        let is_large = |length: u64| length > MAX_REQUEST_BODY as u64;
        if body.size_hint().exact().is_some_and(is_large) {
            return Ok((body.boxed_unsync(), Some(HiddenWrite::UnreadableBody)));
        }
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            // Trailers of a request end here (RFC 9110 §6.5.1).
            let Ok(data) = frame?.into_data() else { continue };
            read.extend_from_slice(&data);
            if is_large(read.len() as u64) {
                let read = stream::iter([Ok(Frame::data(read.freeze()))]);
                let whole = StreamBody::new(read.chain(BodyStream::new(body)));
                return Ok((whole.boxed_unsync(), Some(HiddenWrite::UnreadableBody)));
            }
        }
        let write = self.in_body(head, &read);
        Ok((Full::new(read.freeze()).map_err(|never| match never {}).boxed_unsync(), write))
    }

    fn in_head(&self, head: &Parts) -> Option<HiddenWrite> {
        let operation = self.operations.as_ref().and_then(|places| places.write_in_head(&head.headers));
        if let Some(operation) = operation {
            return Some(HiddenWrite::Operation(operation));
        }
        let query = head.uri.query().unwrap_or_default();
        let is_write = |name: &str, value: &str| {
            name.eq_ignore_ascii_case("method") && WRITES.iter().any(|write| write.eq_ignore_ascii_case(value))
        };
        pairs(query.as_bytes()).find_map(|(name, value)| {
            let by_method = is_write(&name, &value) && !(self.is_for_pages)(&value);
            by_method.then(|| HiddenWrite::Method(name.to_string())).or_else(|| self.in_param(&name, &value))
        })
    }

    /// Finds a write in the body, or one that the body and the query name together.
    fn in_body(&self, head: &Parts, body: &[u8]) -> Option<HiddenWrite> {
        let label = field(&head.headers, header::CONTENT_TYPE);
        let kind = media_type(&label);
        let operation = Operation::new(head.uri.path(), kind.starts_with("application/graphql"));
        self.in_text(&head.headers, &label, body).or_else(|| {
            let operation = operation.with_pairs(pairs(head.uri.query().unwrap_or_default().as_bytes()));
            operation.may_be_kept(body, kind.contains("json")).then_some(HiddenWrite::PersistedDocument)
        })
    }

    fn in_text(&self, headers: &HeaderMap, label: &str, body: &[u8]) -> Option<HiddenWrite> {
        if body.is_empty() {
            return None;
        }
        let is_coded = !matches!(&*field(headers, header::CONTENT_ENCODING), "" | "identity");
        // The upstream may take any of several types.
        if is_coded || label.contains("multipart/") || label.contains(',') {
            return Some(HiddenWrite::UnreadableBody);
        }
        // Another charset would hide every word (UTF-16, UTF-7).
        let is_utf8 = std::str::from_utf8(body).is_ok() && !body.contains(&0);
        let is_own = |rest: &str| UTF8.iter().any(|charset| rest.starts_with(charset));
        if !is_utf8 || !label.split("charset").skip(1).all(is_own) {
            return Some(HiddenWrite::UnreadableBody);
        }
        let (json, kind) = (self.in_json(body), media_type(label));
        if json.is_err() && kind.contains("json") {
            return Some(HiddenWrite::UnreadableBody);
        }
        // Under any label: a JSON text may be a form as well, `"&_method=DELETE&"`, and the upstream decides what it reads.
        let in_form = || pairs(body).find_map(|(name, value)| self.in_param(&name, &value));
        let write = json.as_ref().ok().and_then(Clone::clone).or_else(in_form);
        if write.is_some() || json.is_ok() || kind == "application/x-www-form-urlencoded" {
            return write;
        }
        let text = String::from_utf8_lossy(body);
        if kind.starts_with("application/graphql") {
            return self.in_pair("", &text);
        }
        // The upstream may read it as something else than it is labelled.
        let may_be = text.contains("mutation") || text.contains("\\u");
        may_be.then_some(HiddenWrite::UnreadableBody)
    }

    /// Finds a write in the strings of a sequence of JSON texts, however deep, and behind a member's name that comes twice.
    fn in_json(&self, body: &[u8]) -> Result<Option<HiddenWrite>, serde_json::Error> {
        let (mut write, mut texts) = (None, serde_json::Deserializer::from_slice(body));
        let mut each = |name: &str, value: &str| write = write.take().or_else(|| self.in_pair(name, value));
        while texts.end().is_err() {
            JsonStrings { name: "", each: &mut each }.deserialize(&mut texts)?;
        }
        Ok(write)
    }

    /// Finds a write in a parameter of a query or a form.
    fn in_param(&self, name: &str, value: &str) -> Option<HiddenWrite> {
        let is_operation = self.operations.as_ref().is_some_and(|places| places.is_write(name, value));
        is_operation.then(|| HiddenWrite::Operation(value.to_owned())).or_else(|| self.in_pair(name, value))
    }

    fn in_pair(&self, name: &str, value: &str) -> Option<HiddenWrite> {
        let is_method = METHOD_PARAMS.iter().any(|param| param.eq_ignore_ascii_case(name));
        if is_method && !value.is_empty() && !(self.is_for_pages)(value.trim()) {
            return Some(HiddenWrite::Method(name.to_owned()));
        }
        if name.eq_ignore_ascii_case("persistedQuery") {
            return Some(HiddenWrite::PersistedDocument);
        }
        has_mutation(value).then_some(HiddenWrite::Mutation)
    }
}

/// Returns all values of a field, in lower case.
fn field(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    String::from_utf8_lossy(&values.join(&b", "[..])).to_lowercase()
}

/// Returns the media type of a label alone: its parameters may have any words.
fn media_type(label: &str) -> &str {
    label.split(';').next().unwrap_or_default().trim()
}

/// Reader of a JSON value: hands out each member's name alone, and each string with the name of the member that has it.
struct JsonStrings<'a, F> {
    name: &'a str,
    each: &'a mut F,
}

impl<'de, F: FnMut(&str, &str)> DeserializeSeed<'de> for JsonStrings<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for JsonStrings<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        (self.each)(self.name, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(JsonStrings { name: self.name, each: &mut *self.each })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            (self.each)(&name, "");
            members.next_value_seed(JsonStrings { name: &name, each: &mut *self.each })?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn found(target: &str, label: &str, body: &str) -> Option<HiddenWrite> {
        let request = Request::post(target).header("content-type", label).body(()).unwrap();
        FINDER.find(&request.into_parts().0, body.as_bytes())
    }

    const FINDER: WriteFinder<fn(&str) -> bool> =
        WriteFinder { is_for_pages: |method| matches!(method, "GET" | "POST"), operations: None };

    #[test]
    fn a_write_is_found_wherever_an_upstream_would_read_it() {
        use HiddenWrite::{Mutation, PersistedDocument, UnreadableBody};
        let method = |name: &str| HiddenWrite::Method(name.to_owned());
        let json = "application/json";
        let form = "application/x-www-form-urlencoded";
        for (target, label, body, write) in [
            ("/?a=1&_method=DELETE", json, "", method("_method")),
            ("/?%5Fmethod=put", json, "", method("_method")),
            ("/?_httpmethod=PATCH", json, "", method("_httpmethod")),
            ("/?method=delete", json, "", method("method")),
            ("/?query=mutation%7Ba%7D", json, "", Mutation),
            ("/", form, "a=1&_method=DELETE", method("_method")),
            ("/", form, "query=mutation+A+%7Ba%7D", Mutation),
            ("/", form, "{\"a&_method=DELETE&b\":1}", method("_method")),
            ("/", "", "_method=DELETE", method("_method")),
            ("/", form, "a=1;_method=DELETE", method("_method")),
            ("/?a=1;_method=DELETE", "", "", method("_method")),
            ("/", "application/graphql; charset = utf-7", "{a}", UnreadableBody),
            ("/", json, "{\"_method\": \"DELETE\"}", method("_method")),
            ("/", json, "{\"query\": \"mutation {a}\", \"query\": \"{a}\"}", Mutation),
            ("/", json, "{\"QUERY\": \"m\\u0075tation {a}\"}", Mutation),
            ("/", json, "[{\"query\": \"{a}\"}, {\"query\": \"mutation {a}\"}]", Mutation),
            ("/", json, "{} {\"query\": \"mutation {a}\"}", Mutation),
            ("/", "text/plain", "{\"query\": \"mutation {a}\"}", Mutation),
            ("/", json, "{\"extensions\": {\"persistedQuery\": {\"version\": 1}}}", PersistedDocument),
            ("/", json, "{\"query\": 'mutation {a}'}", UnreadableBody),
            ("/", "", "{query: 'm\\u0075tation {a}'}", UnreadableBody),
            ("/", "", "{query: 'mutation {a}'}", UnreadableBody),
            ("/", "application/graphql", "query {a} mutation {b}", Mutation),
            ("/", "multipart/form-data; boundary=a", "--a", UnreadableBody),
            ("/", "application/graphql", "m\0u\0t\0a\0t\0i\0o\0n\0{\0a\0}\0", UnreadableBody),
            ("/", "application/graphql; charset=UTF-7", "+AG0-utation {a}", UnreadableBody),
            ("/", "application/x-www-form-urlencoded; charset=utf-16le", "_\0", UnreadableBody),
            ("/", "application/graphql; charset=utf-8; charset=utf-7", "{a}", UnreadableBody),
            ("/", "application/json; charset=\"UTF-8\"", "{\"query\": \"mutation {a}\"}", Mutation),
            ("/", "application/x-www-form-urlencoded; a=json", "\"&_method=DELETE&\"", method("_method")),
            ("/", json, "[\"&_method=DELETE&\"]", method("_method")),
            ("/", "application/x-www-form-urlencoded, application/json", "[]", UnreadableBody),
            ("/", "application/graphql; a=x-www-form-urlencoded", "mutation {a}", Mutation),
            ("/", "text/plain; a=application/graphql", "{query: 'mutation {a}'}", UnreadableBody),
            ("/graphql", form, "\"&doc_id=5&\"", PersistedDocument),
        ] {
            assert_eq!(found(target, label, body), Some(write), "{target} {label} {body}");
        }
        let coded = Request::post("/").header("content-encoding", "gzip").body(()).unwrap().into_parts().0;
        assert_eq!(FINDER.find(&coded, b"\x1f\x8b"), Some(UnreadableBody));
        let plain = Request::post("/").body(()).unwrap().into_parts().0;
        assert_eq!(FINDER.find(&plain, b"\xfe\xff\0{"), Some(UnreadableBody));
    }

    #[test]
    fn requests_for_pages_hide_none() {
        for (target, label, body) in [
            ("/?method=flickr.photos.search&_method=GET&_method=&q=mutation+of+genes", "", ""),
            (
                "/",
                "application/json",
                "{\"query\": \"query($after: String) { mutation { id } }\", \"n\": [1, 1.5, true, null]}",
            ),
            ("/", "application/x-ndjson", "{\"index\": \"a\"}\n{\"query\": {\"match\": {\"mutation\": \"x\"}}}\n"),
            ("/", "application/x-www-form-urlencoded", "q=mutation&_method=POST"),
            ("/", "application/graphql; charset=utf-8", "{ mutation(id: 1) { a } }"),
            ("/", "text/xml", "<search/>"),
        ] {
            assert_eq!(found(target, label, body), None, "{target} {label} {body}");
        }
    }
}
