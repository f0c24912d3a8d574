//! Header fields of a further page's request, as its configuration or a link object names them.

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::pagination::request::PageRequest;

/// Fields that unpage writes itself, or that prove who asks.
const NEVER_SET: [HeaderName; 7] = [ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST];

/// Reads an object of names and texts; the error is a phrase about the first that can be no field.
pub(super) fn fields(object: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for (name, value) in object {
        let field: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header field"))?;
        let text = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        if NEVER_SET.contains(&field) {
            return Err(format!("`{field}` is not set so"));
        }
        fields.insert(field, text.ok_or_else(|| format!("`{name}` has no text that a header field can carry"))?);
    }
    Ok(fields)
}

/// Adds the fields of a link object that the request lacks, but for those that unpage writes itself: the caller's own ones stay.
pub(super) fn add_fields(request: &mut PageRequest, link: &Map<String, Value>) -> Result<(), String> {
    let mut object = link.clone();
    object.retain(|name, _| !name.parse().is_ok_and(|name| NEVER_SET.contains(&name)));
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
