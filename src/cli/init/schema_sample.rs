//! Samples of an answer, made by the schemas of an OpenAPI document.

use serde_json::{Map, Value, json};

use crate::pagination::detect::{PageParam, page_param};

/// Depth down to which a schema is followed: deeper members hold no list's records.
pub(super) const DEPTH: usize = 6;

/// Number of records in a sample, and size of its page.
pub(super) const SAMPLE: u64 = 3;

/// Sample of a number that counts more than the page.
pub(super) const MORE: u64 = 9;

/// Most values of one sample: schemas that refer to each other have no end.
const VALUES: usize = 10_000;

/// Maker of samples of a document's schemas.
pub(super) struct Sampler<'a> {
    document: &'a Value,
    /// References that are being followed: a schema that refers to itself ends there.
    open: Vec<&'a str>,
    /// Number of values that may still be made.
    left: usize,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        Self { document, open: Vec::new(), left: VALUES }
    }

    /// Makes a value of a schema; `name` is that of the member.
    pub(super) fn sample(&mut self, schema: &'a Value, name: &str, depth: usize) -> Value {
        if depth == 0 || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            return self.value(schema, name, depth);
        };
        let target = reference.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer));
        let Some(target) = target.filter(|_| !self.open.contains(&reference)) else { return Value::Null };
        self.open.push(reference);
        let value = self.sample(target, name, depth);
        self.open.pop();
        value
    }

    fn value(&mut self, schema: &'a Value, name: &str, depth: usize) -> Value {
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            let mut members = self.members(schema, name, depth);
            for part in all {
                if let Value::Object(part) = self.sample(part, name, depth - 1) {
                    members.extend(part);
                }
            }
            return members.into();
        }
        if let Some(one) = ["oneOf", "anyOf"].iter().find_map(|kind| schema.get(kind)?.as_array()) {
            let mut values = one.iter().map(|schema| self.sample(schema, name, depth - 1));
            return values.find(|value| !value.is_null()).unwrap_or_default();
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            kind => kind.and_then(Value::as_str),
        };
        match kind {
            Some("array") => {
                let Some(items) = schema.get("items") else { return Value::Array(Vec::new()) };
                // Deeper arrays are in the records, of which one element tells as much.
                let count = if depth + 3 > DEPTH { SAMPLE } else { 1 };
                (0..count).map(|_| self.sample(items, "", depth - 1)).collect()
            }
            Some("integer" | "number") => match page_param(name) {
                Some(PageParam::Page) => 1.into(),
                Some(PageParam::Offset) => 0.into(),
                Some(PageParam::Size) => SAMPLE.into(),
                None => MORE.into(),
            },
            Some("boolean") => true.into(),
            Some("string") => text_of(name, schema),
            Some("object") | None => self.members(schema, name, depth).into(),
            Some(_) => Value::Null,
        }
    }

    /// Makes the members of an object; `owner` is its own name.
    fn members(&mut self, schema: &'a Value, owner: &str, depth: usize) -> Map<String, Value> {
        let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        // Texts in `links` are URLs.
        let known = |name: &str| if owner.contains("link") { format!("link_{name}") } else { name.to_owned() };
        members.map(|(name, schema)| (name.clone(), self.sample(schema, &known(name), depth - 1))).collect()
    }
}

/// Makes a text: a URL where the schema or its usual name says so.
fn text_of(name: &str, schema: &Value) -> Value {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let plain = name.to_lowercase();
    let is_link = ["url", "uri", "link", "href"].iter().any(|word| plain.contains(word));
    let is_url = matches!(format, "uri" | "uri-reference" | "url") || is_link;
    if is_url && (plain.contains("next") || plain.ends_with("href")) {
        json!("http://api.example/next?cursor=c2FtcGxl")
    } else {
        json!("c2FtcGxl")
    }
}
