//! GraphQL documents that the upstream keeps: a request names one, and nothing in it shows whether that is a mutation.

use std::borrow::Cow;

use serde_json::{Deserializer, Map, Value};
use url::form_urlencoded;

/// Names of such a document (Apollo, Relay, Facebook, X, Gatsby), in lower case and without underscores.
const NAMES: [&str; 7] =
    ["persistedquery", "persistedqueryid", "documentid", "docid", "queryid", "queryhash", "operationhash"];

/// Sign of a GraphQL request, or of its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// The path has the word.
    Path,
    /// Variables or an operation's name, which stand beside a document alone.
    Variables,
    /// One of [`NAMES`].
    Name,
    /// `id`, by which some upstreams name a document, and most others something else.
    Id,
    /// The document itself.
    Document,
}

/// A request, as far as its parameters or members show GraphQL.
#[derive(Clone, Debug)]
pub(super) struct Operation(Vec<Sign>);

impl Operation {
    /// A request to this path; `is_document` where its body is the document.
    pub(super) fn new(path: &str, is_document: bool) -> Self {
        let by_path = path.to_ascii_lowercase().contains("graphql").then_some(Sign::Path);
        Self(by_path.into_iter().chain(is_document.then_some(Sign::Document)).collect())
    }

    /// The same with the parameters of a query or form.
    pub(super) fn with_pairs<'a>(mut self, pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Self {
        self.0.extend(pairs.filter_map(|(name, value)| sign(&name, Some(&value), false)));
        self
    }

    /// Returns true if the request, or one of those in its body, may name a document that is not in it. A body is a form where it is no JSON, and
    /// where it is JSON without a label that says so.
    pub(super) fn may_be_kept(self, body: &[u8], has_json_label: bool) -> bool {
        let texts: Result<Vec<Value>, _> = Deserializer::from_slice(body).into_iter().collect();
        let form = self.clone().with_pairs(pairs(body));
        let Ok(texts) = texts else { return form.is_kept() };
        if !has_json_label && form.0.len() > self.0.len() && form.is_kept() {
            return true;
        }
        let batches = texts.iter().filter_map(Value::as_array).flatten();
        let mut each = texts.iter().chain(batches).filter_map(Value::as_object).peekable();
        match each.peek() {
            Some(_) => each.any(|members| self.clone().with_members(members).is_kept()),
            None => self.is_kept(),
        }
    }

    fn with_members(mut self, members: &Map<String, Value>) -> Self {
        let signs = members.iter().filter_map(|(name, value)| sign(name, value.as_str(), value.is_object()));
        self.0.extend(signs);
        self
    }

    fn is_kept(&self) -> bool {
        let has = |sign| self.0.contains(&sign);
        let is_named = has(Sign::Name) && (has(Sign::Path) || has(Sign::Variables));
        let lacks_document = has(Sign::Variables) || has(Sign::Path) && has(Sign::Id);
        is_named || lacks_document && !has(Sign::Document)
    }
}

/// Returns the sign that a parameter or member is.
fn sign(name: &str, text: Option<&str>, is_object: bool) -> Option<Sign> {
    let may_be = |is_it: bool, sign| is_it.then_some(sign);
    match name.to_ascii_lowercase().replace('_', "").as_str() {
        "variables" => {
            may_be(is_object || text.is_some_and(|text| text.trim_start().starts_with('{')), Sign::Variables)
        }
        "operationname" => Some(Sign::Variables),
        "query" => may_be(text.is_some_and(|text| text.contains('{')), Sign::Document),
        "id" => Some(Sign::Id),
        name => may_be(NAMES.contains(&name), Sign::Name),
    }
}

/// Names and values of a query or form, also as older frameworks read them, which separate by `;`, too.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let behind = text.split(|byte| *byte == b';').skip(1).flat_map(form_urlencoded::parse);
    form_urlencoded::parse(text).chain(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_be_kept(target: &str, body: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = form_urlencoded::parse(query.as_bytes());
        Operation::new(path, false).with_pairs(pairs).may_be_kept(body.as_bytes(), false)
    }

    #[test]
    fn a_document_that_is_not_in_the_request_is_found_by_its_name_or_by_what_stands_beside_it() {
        for (target, body) in [
            ("/graphql", "{\"documentId\": \"a\"}"),
            ("/graphql", "{\"query\": \"{a}\", \"doc_id\": \"a\"}"),
            ("/graphql", "[{\"query\": \"{a}\"}, {\"id\": \"a\"}]"),
            ("/graphql?queryId=a", ""),
            ("/api/graphql?id=a", ""),
            ("/api", "{\"doc_id\": \"a\", \"variables\": {}}"),
            ("/api", "{\"operationName\": \"A\", \"sha\": \"a\"}"),
            ("/api?variables=%7B%7D&documentId=5", ""),
            ("/api", "doc_id=5&variables=%7B%7D"),
            ("/graphql", "{\"query\": \"\", \"id\": \"a\"}"),
        ] {
            assert!(may_be_kept(target, body), "{target} {body}");
        }
    }

    #[test]
    fn a_request_with_its_document_and_one_of_another_kind_name_none() {
        for (target, body) in [
            (
                "/graphql",
                "{\"query\": \"query A($id: ID) {a(id: $id)}\", \"variables\": {\"id\": 1, \"documentId\": 2}}",
            ),
            ("/graphql", "{\"query\": \"{a}\", \"operationName\": null, \"id\": 7}"),
            ("/graphql?query=%7Ba%7D&variables=%7B%7D", ""),
            ("/graphql?page=2", ""),
            ("/comments?documentId=5&id=7", ""),
            ("/weather?variables=rain,wind", ""),
            ("/_search", "{\"query\": {\"match\": {\"id\": 1}}, \"id\": 5}"),
            ("/forms", "queryId=5&id=7"),
        ] {
            assert!(!may_be_kept(target, body), "{target} {body}");
        }
        assert!(!Operation::new("/graphql?variables=%7B%7D", true).may_be_kept(b"query { a }", false));
    }
}
