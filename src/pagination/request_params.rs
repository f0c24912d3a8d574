//! Parameters of a request by name and value, wherever they stand: in its query, its form or its JSON body.

use serde_json::Value;

use super::path::{Path, Segment};
use super::request::{PageRequest, Param, RequestBody};

/// Depth down to which the members of a JSON body are parameters of their own.
const BODY_DEPTH: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestParam {
    pub(super) param: Param,
    /// Last name of the path, for a parameter in a body.
    pub(super) name: String,
    /// Value as text; empty for `null`, JSON for an array or object.
    pub(super) value: String,
}

impl PageRequest {
    /// Parameters in the order of the query, then of the body.
    pub(super) fn params(&self) -> Vec<RequestParam> {
        let query = self.url.query_pairs().map(|(name, value)| RequestParam {
            param: Param::Query(name.clone().into_owned()),
            name: name.into_owned(),
            value: value.into_owned(),
        });
        query.chain(self.body_params()).collect()
    }

    /// Those of the body alone.
    pub(super) fn body_params(&self) -> Vec<RequestParam> {
        let mut params = Vec::new();
        match &self.body {
            Some(RequestBody::Form(fields)) => params.extend(fields.iter().map(|(name, value)| RequestParam {
                param: Param::Form(name.clone()),
                name: name.clone(),
                value: value.clone(),
            })),
            Some(RequestBody::Json(body)) => read_body(body, &mut Vec::new(), &mut params),
            Some(RequestBody::Other(_)) | None => {}
        }
        params
    }
}

fn read_body(value: &Value, path: &mut Vec<Segment>, params: &mut Vec<RequestParam>) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        path.push(Segment::Name(name.clone()));
        let text = match value {
            Value::Object(_) if path.len() < BODY_DEPTH => None,
            Value::String(text) => Some(text.clone()),
            Value::Null => Some(String::new()),
            other => Some(other.to_string()),
        };
        match text {
            Some(value) => {
                params.push(RequestParam { param: Param::Body(Path::new(path.clone())), name: name.clone(), value });
            }
            None => read_body(value, path, params),
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::*;

    #[test]
    fn parameters_stand_in_query_form_and_body() {
        let read = |body: Option<RequestBody>| {
            let url = Url::parse("http://a/x?page%5Bsize%5D=5&q=a+b").unwrap();
            let params = PageRequest { body, ..PageRequest::get(url) }.params();
            params.iter().map(|it| format!("{} {} {}", it.param, it.name, it.value)).collect::<Vec<_>>()
        };
        let query = ["`page[size]` page[size] 5", "`q` q a b"];
        assert_eq!(read(None), query);
        let form = read(Some(RequestBody::Form(vec![("page".to_owned(), "2".to_owned())])));
        assert_eq!(form[2..], ["`form:page` page 2"]);
        let body = json!({"variables": {"page": 2, "after": null}, "ids": [1, 2], "a": {"b": {"c": {"d": {"e": 1}}}}});
        let body = read(Some(RequestBody::Json(body)));
        let expected = [
            "`body:a.b.c.d` d {\"e\":1}",
            "`body:ids` ids [1,2]",
            "`body:variables.after` after ",
            "`body:variables.page` page 2",
        ];
        let mut sorted = body[2..].to_vec();
        sorted.sort();
        assert_eq!(sorted, expected);
    }
}
