//! A state of the collection that a request of its own opens before the first page (Elasticsearch's point in time), and another one closes.

use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};
use url::Url;

use super::link_guard::LinkGuard;
use super::page::PageFields;
use super::path::Path;
use super::request::{BadPlace, Encode, PageRequest, Param, RequestBody};

/// Requests that open a state for a crawl, and close it when the crawl is over.
///
/// A path has a query where it needs one. With a slash in front it stands behind the path of the upstream's URL; else it is resolved against
/// the client's request (RFC 3986 §5.2).
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedState {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    /// Place of the state's name in the answer.
    pub value: Path,
    /// Place of a newer name in a page.
    pub renewed: Option<Path>,
    /// Path of the pages' requests, in place of the client's.
    pub page_path: Option<String>,
    /// Members of the body of the pages' requests, in place of the client's.
    pub merge: Map<String, Value>,
    pub close: Option<ClosingRequest>,
}

/// Request that closes a state.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosingRequest {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    /// Parameter of the state's name.
    pub param: Param,
}

impl OpenedState {
    /// Returns true for a value that can be a name: text or a number.
    pub(crate) fn is_name(value: &Value) -> bool {
        value.is_number() || value.as_str().is_some_and(|text| !text.is_empty())
    }

    /// Name of the state in the answer to the opening request.
    pub(crate) fn name_in(&self, answer: &Value) -> Option<Value> {
        self.value.of_value(answer).filter(|name| Self::is_name(name)).cloned()
    }

    /// Newer name of the state, where a page has one.
    pub(crate) fn newer_name<'a>(&self, fields: &'a PageFields) -> Option<&'a Value> {
        fields.get(self.renewed.as_ref()?).filter(|name| Self::is_name(name))
    }

    pub(crate) fn opening(&self, guard: &LinkGuard, client: &PageRequest) -> PageRequest {
        request(self.method.clone(), &self.path, self.body.clone(), guard, client)
    }

    /// The client's request, in the state of this name.
    pub(crate) fn first_page(
        &self,
        param: &Param,
        name: &Value,
        guard: &LinkGuard,
        client: &PageRequest,
    ) -> Result<PageRequest, BadPlace> {
        let mut first = client.clone();
        if let Some(path) = &self.page_path {
            first.url = target(path, guard, &client.url);
            first.url.set_query(client.url.query());
        }
        if !self.merge.is_empty() {
            match first.body.get_or_insert_with(|| RequestBody::Json(Value::Object(Map::new()))) {
                RequestBody::Json(Value::Object(body)) => body.extend(self.merge.clone()),
                _ => return Err(BadPlace::OtherBody(param.clone(), "a JSON object")),
            }
        }
        first.set(param, name, Encode::Plain)?;
        Ok(first)
    }

    /// The request that closes the state of this name; none where the upstream closes it by itself.
    pub(crate) fn closing(
        &self,
        name: &Value,
        guard: &LinkGuard,
        client: &PageRequest,
    ) -> Result<Option<PageRequest>, BadPlace> {
        let Some(ClosingRequest { method, path, body, param }) = &self.close else { return Ok(None) };
        let mut closing = request(method.clone(), path, body.clone(), guard, client);
        closing.set(param, name, Encode::Plain)?;
        Ok(Some(closing))
    }
}

/// A request with the client's header fields.
fn request(method: Method, path: &str, body: Option<Value>, guard: &LinkGuard, client: &PageRequest) -> PageRequest {
    let mut headers = client.headers.clone();
    headers.remove(CONTENT_TYPE);
    PageRequest { method, url: target(path, guard, &client.url), headers, body: body.map(RequestBody::Json) }
}

fn target(path: &str, guard: &LinkGuard, client: &Url) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = if path.starts_with('/') {
        guard.at_upstream(path)
    } else {
        let folder = client.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut url = client.clone();
        url.set_path(&format!("{folder}/{path}"));
        url
    };
    url.set_query(query);
    url
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    fn opened(path: &str, page_path: Option<&str>) -> OpenedState {
        OpenedState {
            method: Method::POST,
            path: path.to_owned(),
            body: None,
            value: "id".parse().unwrap(),
            renewed: None,
            page_path: page_path.map(ToOwned::to_owned),
            merge: json!({"pit": {"keep_alive": "5m"}}).as_object().unwrap().clone(),
            close: Some(ClosingRequest {
                method: Method::DELETE,
                path: "../_pit".to_owned(),
                body: Some(json!({"ids": [null]})),
                param: Param::Body("ids[0]".parse().unwrap()),
            }),
        }
    }

    #[test]
    fn the_requests_of_a_state_go_to_the_upstream_with_the_clients_fields() {
        let guard = LinkGuard::new(&Url::parse("http://a/base").unwrap(), &[]);
        let mut client = PageRequest::get(Url::parse("http://a/base/logs/_search?routing=1").unwrap());
        client.headers = HeaderMap::from_iter([
            (AUTHORIZATION, HeaderValue::from_static("Bearer t")),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        client.body = Some(RequestBody::Json(json!({"sort": ["id"], "pit": {}})));
        let state = opened("_pit?keep_alive=5m", Some("/_search"));
        let opening = state.opening(&guard, &client);
        assert_eq!(opening.url.as_str(), "http://a/base/logs/_pit?keep_alive=5m");
        assert!(opening.headers.contains_key(AUTHORIZATION) && opening.headers.len() == 1 && opening.body.is_none());
        let param = Param::Body("pit.id".parse().unwrap());
        let first = state.first_page(&param, &json!("n1"), &guard, &client).unwrap();
        assert_eq!(first.url.as_str(), "http://a/base/_search?routing=1");
        let body = json!({"sort": ["id"], "pit": {"keep_alive": "5m", "id": "n1"}});
        assert_eq!(first.body, Some(RequestBody::Json(body)));
        let closing = state.closing(&json!("n1"), &guard, &client).unwrap().unwrap();
        assert_eq!(closing.url.as_str(), "http://a/base/_pit");
        assert_eq!(closing.body, Some(RequestBody::Json(json!({"ids": ["n1"]}))));
        // A relative path names no other server.
        for path in ["//evil.example/x", "\\\\evil.example/x", "http://evil.example/x", "../../x"] {
            let opening = opened(path, None).opening(&guard, &client);
            assert_eq!(opening.url.host_str(), Some("a"), "{path}");
        }
    }
}
