//! Header fields of a further page's request, as its configuration or a link object names them.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::pagination::request::PageRequest;

/// Beginnings of the names of fields that unpage writes itself, that belong to a connection or a condition, prove or name who asks, or make
/// another request of this one.
const NEVER_SET: &str = "accept auth connection content-length content-type cookie expect forwarded host if- keep-alive l5d- proxy- range te \
    trailer transfer-encoding upgrade via x-auth x-envoy- x-forwarded x-http- x-method x-original- x-override x-real- x-remote x-rewrite x-waws-";

/// Reads an object of names and texts; the error is a phrase about the first that can be no field.
pub(super) fn fields(object: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for (name, value) in object {
        let field: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header field"))?;
        let text = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        if is_never_set(&field) {
            return Err(format!("`{field}` is not set so"));
        }
        fields.insert(field, text.ok_or_else(|| format!("`{name}` has no text that a header field can carry"))?);
    }
    Ok(fields)
}

/// Adds the fields of a link object that the request lacks, but for those that unpage writes itself: the caller's own ones stay.
pub(super) fn add_fields(request: &mut PageRequest, link: &Map<String, Value>) -> Result<(), String> {
    let mut object = link.clone();
    object.retain(|name, _| !name.parse().is_ok_and(|name: HeaderName| is_never_set(&name)));
    // STAC's links may have a list of values.
    object.values_mut().for_each(|value| {
        if let Value::Array(values) = value {
            *value = Value::from(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
        }
    });
    for (name, value) in &fields(&object)? {
        request.headers.entry(name).or_insert_with(|| value.clone());
    }
    Ok(())
}

fn is_never_set(name: &HeaderName) -> bool {
    let name = name.as_str();
    NEVER_SET.split_ascii_whitespace().any(|never| match never {
        "te" | "via" | "range" | "host" => name == never,
        _ => name.starts_with(never),
    })
}
