//! Configuration for the lists of an OpenAPI document (3.x and 2.0, in JSON): operations, parameters, and paths of the records.
//!
//! A sample of each answer is made by its schema, and read as `auto` reads a first page.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use url::Url;

use super::schema_sample::{DEPTH, MORE, SAMPLE, Sampler};
use super::written_file::CommentedLines;
use crate::config::{Options, Preset, mistakes_in, toml_quoted, written};
use crate::pagination::detect::{self, PageParam, page_param};
use crate::pagination::{PageRequest, Pagination, Param, Path, Records, Style};

/// Returns the configuration; `place` is the document's own URL, which its servers may be relative to. Keys that a preset sets are left to
/// it, but for the path of the records, which the document knows for each list.
pub(super) fn text(
    document: &[u8],
    place: Option<&Url>,
    options: &[(String, String)],
    preset: Option<&str>,
) -> Result<String, String> {
    let document: Value = serde_json::from_slice(document)
        .map_err(|error| format!("the document is not JSON: {error}; convert a YAML document first"))?;
    let version = ["openapi", "swagger"].iter().find_map(|name| document.get(name)?.as_str());
    let version = version.ok_or("not an OpenAPI document: it has neither `openapi` nor `swagger`")?;
    let given = options.iter().find(|(key, _)| key == "url").map(|(_, url)| url.trim_matches('"'));
    let server = match given {
        Some(url) => absolute(url, place)?,
        None => server(&document, place)?,
    };
    let (mut of_upstream, mut of_lists) = (Vec::new(), Vec::new());
    for (key, value) in options.iter().filter(|(key, _)| !matches!(key.as_str(), "upstream" | "url")).cloned() {
        match Options::upstream_key(&key) {
            Some(key) => of_upstream.push((key.to_owned(), value)),
            None => of_lists.push((key, value)),
        }
    }
    let mut lines = CommentedLines::default();
    lines.put(
        &format!("# Written by `unpage init --openapi` from an OpenAPI {version} document, whose word each line is: no list was asked for."),
        "",
    );
    lines.put("# `unpage init URL` tries one of them.", "");
    lines.put("[upstream.api]", "");
    let is_elsewhere = given.is_none() && place.is_some_and(|place| place.origin() != server.origin());
    let known = match given {
        Some(_) => "as given",
        None if is_elsewhere => "the document's server, of another origin than the document",
        None => "the document's server",
    };
    lines.put(&format!("url = {}", toml_quoted(server.as_str().trim_end_matches('/'))), known);
    if is_elsewhere {
        // They were given for the document's own origin.
        of_upstream.retain(|(key, _)| key != "credentials");
        lines.put("# credentials: left out, for the document's server is of another origin", "");
    }
    if let Some(name) = preset {
        lines.put(&format!("preset = {}", toml_quoted(name)), "as given");
    }
    lines.put_given(&of_upstream);
    let preset = preset.and_then(Preset::named);
    let mut text = lines.into_text();
    let mut names = BTreeMap::new();
    let mut count = 0;
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        let Some(list) = List::read(&document, path, item) else { continue };
        let Some(path) = segments_alike(path, &mut names) else { continue };
        count += 1;
        text.push('\n');
        text.push_str(&list.text(&path, &of_lists, preset));
    }
    if count == 0 {
        return Err("the document has no GET whose answer is a list".to_owned());
    }
    Ok(text)
}

/// An operation that answers with a list.
struct List<'a> {
    title: &'a str,
    params: Vec<&'a str>,
    records: Path,
    /// Pagination with its evidence.
    pagination: Option<(Pagination, String)>,
}

impl<'a> List<'a> {
    fn read(document: &'a Value, path: &str, item: &'a Value) -> Option<Self> {
        let operation = item.get("get")?;
        let all = [item, operation].into_iter().filter_map(|holder| holder.get("parameters")?.as_array()).flatten();
        let query = all.filter_map(|param| resolved(document, param)).filter(|param| param["in"] == "query");
        let params: Vec<&str> = query.filter_map(|param| param.get("name")?.as_str()).collect();
        let responses = operation.get("responses")?;
        let response =
            resolved(document, ["200", "2XX", "206", "default"].iter().find_map(|code| responses.get(code))?)?;
        let json = |content: &'a Value| {
            let mut kinds = content.as_object()?.iter();
            kinds.find(|(kind, _)| kind.contains("json"))?.1.get("schema")
        };
        let schema = response.get("content").and_then(json).or(response.get("schema"))?;
        let page = Sampler::new(document).sample(schema, "", DEPTH);
        // The answer of a single resource may have arrays, too.
        if page.get("id").is_some() {
            return None;
        }
        let mut url = Url::parse("http://api.example").ok()?;
        url.set_path(&path.replace(['{', '}'], ""));
        for name in &params {
            let value = match page_param(name) {
                Some(PageParam::Page) => "1".to_owned(),
                Some(PageParam::Offset) => "0".to_owned(),
                Some(PageParam::Size) => SAMPLE.to_string(),
                None => String::new(),
            };
            url.query_pairs_mut().append_pair(name, &value);
        }
        let request = PageRequest::get(url);
        let detection = detect::detect(&request, &headers(response), &page);
        let first = detection.candidates.into_iter().next();
        let records = match &first {
            Some(first) => first.pagination.records.paths.first().cloned()?,
            None => detect::records_path(&request, &page)?,
        };
        let pagination = first.map(|first| (first.pagination, first.why));
        let is_listed = |param: &Param| matches!(param, Param::Query(name) if params.contains(&name.as_str()));
        let is_usable = |pagination: &Pagination| {
            pagination.style.params().into_iter().all(is_listed) && mistakes_in(&written(pagination)).is_empty()
        };
        let pagination = pagination.filter(|(pagination, _)| is_usable(pagination));
        let title = operation.get("summary").and_then(Value::as_str).unwrap_or_default();
        Some(Self { title: title.lines().next().unwrap_or_default(), params, records, pagination })
    }

    /// Returns the `[[collection]]`; `given` are keys that the user has set for each.
    fn text(&self, path: &str, given: &[(String, String)], preset: Option<&Preset>) -> String {
        let is_preset = |key: &str| key != "records" && preset.is_some_and(|preset| preset.sets(key));
        let mut lines = CommentedLines::default();
        lines.put("[[collection]]", self.title);
        lines.put(&format!("path = {}", toml_quoted(path)), "GET");
        lines.put("upstream = \"api\"", "");
        lines.put_given(given);
        match &self.pagination {
            Some((pagination, why)) => {
                let written = written(pagination);
                let found: Vec<_> =
                    written.lines().filter(|line| !lines.has(key_of(line)) && !is_preset(key_of(line))).collect();
                for line in found {
                    let known = if line.starts_with("records") { "by the answer's schema" } else { why.as_str() };
                    lines.put(line, &format!("unproven: {known}"));
                }
            }
            None => {
                let found = written(&Pagination::of(Style::AUTO, Records::at(self.records.clone())));
                let records = found.lines().find(|line| line.starts_with("records = ")).unwrap_or_default();
                if !lines.has("records") {
                    lines.put(records, "unproven: by the answer's schema");
                }
                if !lines.has("pagination") && !is_preset("pagination") {
                    lines.put("pagination = \"auto\"", "the document does not tell: it is recognised by each crawl");
                }
            }
        }
        if !self.params.is_empty() {
            lines.put(&format!("# Parameters: {}.", self.params.join(", ")), "");
        }
        lines.into_text()
    }
}

/// Returns the key of a line.
fn key_of(line: &str) -> &str {
    line.split(" = ").next().unwrap_or_default()
}

/// Returns the URL of the first server, with the defaults of its variables.
fn server(document: &Value, place: Option<&Url>) -> Result<Url, String> {
    let first = document.get("servers").and_then(|servers| servers.get(0));
    let mut url = match first.and_then(|server| server.get("url")?.as_str()) {
        Some(url) => url.to_owned(),
        // OpenAPI 2.0.
        None => {
            let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
            let scheme = document.pointer("/schemes/0").and_then(Value::as_str).unwrap_or("https");
            let base = text("basePath");
            if text("host").is_empty() { base.to_owned() } else { format!("{scheme}://{}{base}", text("host")) }
        }
    };
    let variables = first.and_then(|server| server.get("variables")?.as_object());
    for (name, variable) in variables.into_iter().flatten() {
        url = url.replace(&format!("{{{name}}}"), variable.get("default").and_then(Value::as_str).unwrap_or_default());
    }
    absolute(&url, place)
}

/// Returns the URL, relative to that of the document.
#[expect(
    clippy::disallowed_methods,
    reason = "no request follows it: the operator reads the file, which says whose word it is"
)]
fn absolute(url: &str, place: Option<&Url>) -> Result<Url, String> {
    let absolute = match place {
        Some(place) => place.join(if url.is_empty() { "/" } else { url }),
        None => Url::parse(url),
    };
    absolute.map_err(|error| {
        format!("the document's server is no URL: {url:?}: {error}; name the document by its own URL, which its server is relative to")
    })
}

/// Names each segment as the first path that has one there; `None` where a segment is only partly a name.
fn segments_alike(path: &str, names: &mut BTreeMap<String, String>) -> Option<String> {
    let mut alike = String::new();
    for segment in path.split('/').skip(1) {
        let name = match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(_) => names.entry(alike.clone()).or_insert_with(|| segment.to_owned()).clone(),
            None if segment.contains(['{', '}', '?', '#']) || segment.contains(char::is_whitespace) => return None,
            None => segment.to_owned(),
        };
        alike = format!("{alike}/{name}");
    }
    Some(alike)
}

/// Follows a reference inside of the document.
fn resolved<'a>(document: &'a Value, mut value: &'a Value) -> Option<&'a Value> {
    for _ in 0..DEPTH {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some(value) };
        value = document.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

/// Makes the header fields of a response that tell of other pages.
fn headers(response: &Value) -> HeaderMap {
    let names = response.get("headers").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let mut headers = HeaderMap::new();
    for name in names {
        let value = match name.to_lowercase().as_str() {
            "link" => "<http://api.example/next?cursor=c2FtcGxl>; rel=\"next\"".to_owned(),
            lower if lower.contains("total") || lower.contains("count") => MORE.to_string(),
            _ => continue,
        };
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    headers
}
