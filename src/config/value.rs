//! What single values mean: paths, places, URLs, times, sizes, names.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Number, Value};
use toml::de::DeValue;
use url::Url;

use super::keys;
use super::node::Node;
use crate::pagination::{Param, Path, Source};

const PATH_HINT: &str =
    "a path looks like data.items, [\"@odata.nextLink\"], items[0] or items[-1]; $ is the page itself";

const POINTER_HINT: &str = "a JSON Pointer looks like /variables/after, a path like variables.after";

/// The page number in the `Link` to the last page.
pub(super) const LAST_LINK: &str = "link:last";

/// One of several words, each of which means something.
pub(super) fn choice<T: Clone>(node: &Node<'_>, choices: &[(&str, T)]) -> Option<T> {
    known(node, node.at.rsplit('.').next().unwrap_or_default(), choices)
}

/// One of several words for a thing that is not called as its key.
pub(super) fn known<T: Clone>(node: &Node<'_>, thing: &str, choices: &[(&str, T)]) -> Option<T> {
    let word = node.text()?;
    match choices.iter().find(|(name, _)| *name == word) {
        Some((_, meaning)) => Some(meaning.clone()),
        None => node.refuse(format!("unknown {thing} {word:?}"), one_of(word, choices.iter().map(|(name, _)| *name))),
    }
}

/// The hint that goes with an unknown word.
pub(super) fn one_of<'a>(word: &str, choices: impl Iterator<Item = &'a str> + Clone) -> String {
    let all = choices.clone().collect::<Vec<_>>().join(", ");
    match keys::nearest(word, choices) {
        Some(near) => format!("one of {all}; did you mean {near:?}?"),
        None => format!("one of {all}"),
    }
}

/// A path to at most one value.
pub(super) fn path(node: &Node<'_>) -> Option<Path> {
    Path::singular(node.text()?).map_err(|bad| node.refuse::<()>(bad.to_string(), PATH_HINT)).ok()
}

/// A path that may go through each element of an array.
pub(super) fn records_path(node: &Node<'_>) -> Option<Path> {
    node.text()?
        .parse()
        .map_err(|bad: crate::pagination::path_parser::BadPath| node.refuse::<()>(bad.to_string(), PATH_HINT))
        .ok()
}

/// `path` or `header:NAME`.
pub(super) fn source(node: &Node<'_>) -> Option<Source> {
    let text = node.text()?;
    if text == LAST_LINK {
        return node.refuse("this link only counts pages", "write total_pages = \"link:last\"");
    }
    match text.strip_prefix("header:") {
        Some(name) => header_name_in(node, name).map(Source::Header),
        None => path(node).map(Source::Body),
    }
}

/// `NAME`, `body:PATH`, `body:/POINTER`, `form:NAME`, `header:NAME` or `path:NAME`.
pub(super) fn param(node: &Node<'_>) -> Option<Param> {
    let text = node.text()?;
    let (kind, rest) = text.split_once(':').unwrap_or(("", text));
    let known = matches!(kind, "body" | "form" | "header" | "path");
    if known && rest.is_empty() {
        return node.refuse(format!("{text:?} names nothing"), format!("write {kind}:NAME"));
    }
    match kind {
        "body" => {
            let (path, hint) = if rest.starts_with('/') {
                (Path::pointer(rest), POINTER_HINT)
            } else {
                (Path::singular(rest), PATH_HINT)
            };
            let path = path.map_err(|bad| node.refuse::<()>(bad.to_string(), hint)).ok()?;
            if path.is_root() {
                return node.refuse("body:$ would replace the whole body", "name a place in it: body:PATH");
            }
            Some(Param::Body(path))
        }
        "form" => Some(Param::Form(rest.to_owned())),
        "header" => header_name_in(node, rest).map(Param::Header),
        "path" => Some(Param::Path(rest.to_owned())),
        _ => Some(Param::Query(text.to_owned())),
    }
}

pub(super) fn header_name(node: &Node<'_>) -> Option<HeaderName> {
    header_name_in(node, node.text()?)
}

fn header_name_in(node: &Node<'_>, name: &str) -> Option<HeaderName> {
    match name.parse() {
        Ok(name) => Some(name),
        Err(_) => node.refuse(format!("not a header name: {name:?}"), "letters, digits and -, as in X-Total-Count"),
    }
}

pub(super) fn header_value(node: &Node<'_>) -> Option<HeaderValue> {
    match HeaderValue::from_str(node.any_text()?) {
        Ok(value) => Some(value),
        Err(_) => node.refuse("a header field can't carry this value", "leave out line breaks and control characters"),
    }
}

/// Longer than this nobody waits on purpose, and sums of times stay far from their end.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Longer than this nothing is kept on purpose, and no sum with the time of day comes to the end of what a clock can say.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// More than this no machine has: 1 EiB.
const LARGEST: u64 = 1 << 60;

/// As [`duration`], and no longer than a day.
pub(super) fn wait(node: &Node<'_>) -> Option<Duration> {
    let wait = time(node)?;
    if wait > LONGEST {
        let what = format!("longer than a day: {:?}", node.text()?);
        return node.refuse(what, "write a time up to \"1d\"");
    }
    Some(wait)
}

/// As [`wait`], or `"0"` for none, with a unit or without.
pub(super) fn wait_or_none(node: &Node<'_>) -> Option<Duration> {
    let is_none = |text| text == "0" || humantime::parse_duration(text).is_ok_and(|time| time.is_zero());
    if node.value.as_str().is_some_and(is_none) { Some(Duration::ZERO) } else { wait(node) }
}

/// `"30s"`, `"200ms"`; never zero, and no longer than a year.
pub(super) fn duration(node: &Node<'_>) -> Option<Duration> {
    let duration = time(node)?;
    if duration > A_YEAR {
        return node.refuse(format!("longer than 365 days: {:?}", node.text()?), "write a time up to \"365d\"");
    }
    Some(duration)
}

fn time(node: &Node<'_>) -> Option<Duration> {
    let hint = "write a number and its unit: \"200ms\", \"30s\", \"5m\"";
    if let Some(number) = node.value.as_integer() {
        return node.refuse(format!("a duration without a unit: {number}"), hint);
    }
    let text = node.text()?;
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => node.refuse("zero is no time to wait", hint),
        Ok(duration) => Some(duration),
        Err(_) => node.refuse(format!("not a duration: {text:?}"), hint),
    }
}

/// As [`size`], or `"0"` for none.
pub(super) fn size_or_none(node: &Node<'_>) -> Option<u64> {
    if node.value.as_str() == Some("0") { Some(0) } else { size(node) }
}

/// `"64MiB"`; never zero, and no more than 1 EiB.
pub(super) fn size(node: &Node<'_>) -> Option<u64> {
    let hint = "write a number and its unit: \"64MiB\", \"500kB\"";
    if let Some(number) = node.value.as_integer() {
        return node.refuse(format!("a size without a unit: {number}"), hint);
    }
    let text = node.text()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return node.refuse(format!("a size without a unit: {text:?}"), hint);
    }
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() > LARGEST => {
            node.refuse(format!("more than any machine has: {text:?}"), "write a size up to \"1EiB\"")
        }
        Ok(size) if size.as_u64() > 0 => Some(size.as_u64()),
        Ok(_) => node.refuse("no bytes at all", hint),
        Err(_) => node.refuse(format!("not a size: {text:?}"), hint),
    }
}

/// An http or https URL that may have a path, whose trailing slash goes.
pub(super) fn url(node: &Node<'_>) -> Option<Url> {
    let text = node.text()?;
    let mut url = base_url(text).map_err(|(what, hint)| node.refuse::<()>(what, hint)).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// What an upstream's URL may be.
pub(super) fn base_url(text: &str) -> Result<Url, (String, &'static str)> {
    let hint =
        "write scheme, host and, where the API does not stand at the root, a path: \"https://api.example.com/v2\"";
    let url = Url::parse(text).map_err(|error| (format!("not a URL ({error}): {text:?}"), hint))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((format!("unpage speaks http and https, not {}", url.scheme()), hint));
    }
    // The text may hold a password, so it isn't shown.
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "a user or password in a URL".to_owned(),
            "write credentials = { basic = { user = \"…\", password = { env = \"NAME\" } } }",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err((
            "an upstream has neither a query nor a fragment".to_owned(),
            "the client's query is passed on; fixed values belong in credentials = { query = … } or in the client's URL",
        ));
    }
    Ok(url)
}

/// An origin: a URL with nothing behind its port.
pub(super) fn origin(node: &Node<'_>) -> Option<Url> {
    let url = url(node)?;
    match url.path() {
        "/" | "" => Some(url),
        path => node.refuse(format!("an alias is an origin, and this has the path {path}"), "leave out the path"),
    }
}

/// A TOML value as JSON.
pub(super) fn json(node: &Node<'_>) -> Option<Value> {
    match node.value {
        DeValue::String(text) => Some(Value::from(&**text)),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Some(Value::from(number)),
            Err(_) => node.refuse(format!("out of range: {integer}"), "whole numbers have 64 bits and a sign"),
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Some(Value::Number(number)),
            None => node.refuse(format!("JSON has no {float}"), "write a finite number"),
        },
        DeValue::Datetime(time) => node.refuse("JSON has no times", format!("write it in quotes: \"{time}\"")),
        DeValue::Array(array) if array.is_empty() => Some(Value::Array(Vec::new())),
        DeValue::Array(_) => node.each(json).map(Value::Array),
        DeValue::Table(_) => {
            let members: Vec<_> =
                node.named()?.into_iter().map(|(name, value)| Some((name.to_owned(), json(&value)?))).collect();
            Some(Value::Object(members.into_iter().collect::<Option<_>>()?))
        }
    }
}

/// A request's body: a table, or JSON in a string (which alone can say `null`).
pub(super) fn body(node: &Node<'_>) -> Option<Value> {
    let Some(text) = node.value.as_str() else {
        return if node.value.is_table() {
            json(node)
        } else {
            node.refuse(
                "a body is a table or a string of JSON",
                "write body = { size = 100 } or body = '{\"size\": 100}'",
            )
        };
    };
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => node.refuse(format!("not JSON: {error}"), "write body = '{\"size\": 100}', or a table"),
    }
}
