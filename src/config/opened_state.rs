//! `from` of `valid_at` as a table: the requests that open and close a state of the collection.

use http::Method;
use serde_json::{Map, Value};

use super::keywords::Words;
use super::pagination_values::{PARAM, PATH, body};
use super::table_schema::{Form, Schema, rule, table};
use super::toml_node::TomlNode;
use super::toml_text::{self, text};
use crate::pagination::{ClosingRequest, OpenedState};

const PATH_NEEDED: &str = "write the path and query of the request: path = \"/logs/_pit?keep_alive=5m\"";

table! {
    pub(super) OPENED "valid_at.from": OpenedState = OpenedState {
        "method" => method: OPENING_METHODS, usual;
        "path" => path: TARGET, required(PATH_NEEDED);
        "body" => body: BODY, some;
        "value" => value: PATH, required("say where its answer names the state: value = \"id\"");
        "renewed" => renewed: PATH, some;
        "page_path" => page_path: PAGE_PATH, some;
        "merge" => merge: JSON_OBJECT, usual;
        "close" => close: CLOSING, some;
    }
}

table! {
    pub(super) CLOSE "valid_at.from.close": ClosingRequest = ClosingRequest {
        "method" => method: CLOSING_METHODS, usual;
        "path" => path: TARGET, required(PATH_NEEDED);
        "body" => body: BODY, some;
        "param" => param: PARAM, required("say where the name of the state goes: param = \"body:id\"");
    }
}

static OPENING_METHODS: Words<Method> = Words(&[("POST", Method::POST), ("PUT", Method::PUT), ("GET", Method::GET)]);

static CLOSING_METHODS: Words<Method> = Words(&[("DELETE", Method::DELETE), ("POST", Method::POST)]);

const CLOSING: Form<ClosingRequest> = Form { read: |node| CLOSE.read(node), write: |close| CLOSE.write(close) };

const BODY: Form<Value> = Form { read: body, write: toml_text::json };

/// Path and query.
const TARGET: Form<String> = Form { read: |node| target(node, &['#', '\\']), write: |path| text(path) };

/// Path alone: the query is the client's.
const PAGE_PATH: Form<String> = Form { read: |node| target(node, &['#', '\\', '?']), write: |path| text(path) };

/// A JSON object.
struct JsonObject;

static JSON_OBJECT: JsonObject = JsonObject;

impl JsonObject {
    fn read(&self, node: &TomlNode<'_>) -> Option<Map<String, Value>> {
        match body(node)? {
            Value::Object(members) => Some(members),
            _ => node.refuse("no object", "write merge = { NAME = … }: members of a JSON body"),
        }
    }

    fn write(&self, members: &Map<String, Value>) -> String {
        toml_text::json(&Value::Object(members.clone()))
    }

    fn usual(&self) -> Map<String, Value> {
        Map::new()
    }
}

fn target(node: &TomlNode<'_>, without: &[char]) -> Option<String> {
    let path = node.text()?;
    if path.is_empty() || path.starts_with("//") || path.contains("://") || path.contains(without) {
        let hint = "write a path behind the upstream's URL, \"/_search\", or relative to the client's request, \"_pit?keep_alive=5m\"";
        return node.refuse(format!("no path of a request to the upstream: {path:?}"), hint);
    }
    Some(path.to_owned())
}
