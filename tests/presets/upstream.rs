//! A skeleton of an API, scripted by a fixture.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Number of records, unless the fixture asks for more.
const RECORDS: usize = 7;

/// Largest page, unless the fixture has another one.
const LARGEST: usize = 3;

/// Upstream of a preset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    /// Path and query of the first request.
    pub(crate) target: String,
    style: Style,
    /// Body of a page as JSON: `$records`, `$next`, `$more`, `$done`, `$total` and `$pages` are values; with `?` a member that is absent
    /// where there is none; `$entries?`: entries of FHIR; with `:empty` empty text, with `:same` the last token again.
    page: String,
    /// Parameter of the next page: `NAME`, or `body:PATH`.
    param: String,
    /// Parameter of the page size.
    size: Option<String>,
    /// A record, in which `$n` is its number.
    #[serde(default = "plain_record")]
    record: String,
    /// Number of the first page or record.
    first: Option<usize>,
    /// Text in front of a number inside of the parameter.
    inside: Option<String>,
    /// Text that each request's query must have.
    asks: Option<String>,
    /// State that is opened before the first page, and closed behind the last.
    state: Option<StateOfPages>,
    /// XML in place of JSON: `page` is its text, with `$records`, `$more` and `$next`.
    xml: Option<XmlParts>,
    /// Header fields with the page's values.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Attributes of the `Link`.
    #[serde(default = "next_relation")]
    link: String,
    /// Status of a page behind the end; 200: the last page again.
    past: Option<u16>,
    /// Bodies of failures under status 200.
    #[serde(default)]
    pub(crate) fails: Vec<String>,
    /// Bodies of last pages that tell of something beside their records, and are no failures.
    #[serde(default)]
    pub(crate) warns: Vec<String>,
    /// Traps that the walk must meet.
    pub(crate) traps: Vec<String>,
    /// Further lines of the collection.
    #[serde(default)]
    pub(crate) lines: String,
}

/// Parts of a page in XML.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct XmlParts {
    /// Element of a record, in which `$n` is its number.
    record: String,
    /// Element with the address or token of the next page, `$value`; absent on the last one.
    next: String,
}

/// State named `s1`: traps `opened` and `closed`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateOfPages {
    /// Path and query of the request that opens it.
    open: String,
    /// Answer to that request.
    answer: String,
    /// Parameter of its name in the pages' requests.
    param: String,
    /// Path of the pages' requests.
    page: String,
    /// Path of the request that closes it.
    close: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Style {
    /// A `Link` header with a token in its URL.
    Link,
    /// A URL in the page.
    Url,
    /// A token in the page.
    Token,
    /// A page number.
    Page,
    /// A record number.
    Offset,
    /// The key of the last record.
    Keyset,
}

/// Behaviour of the second page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Sound,
    /// Failure of this rank of the fixture, under status 200.
    Failing(usize),
    /// Last page of this rank of the fixture's `warns`.
    Warning(usize),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) targets: Vec<String>,
    pub(crate) met: BTreeSet<String>,
    /// Requests that the API does not allow.
    pub(crate) broken_rules: Vec<String>,
}

/// The running upstream.
pub(crate) struct Skeleton {
    pub(crate) url: String,
    log: Arc<Mutex<Log>>,
    serving: JoinHandle<()>,
}

/// One request, as far as a page depends on it.
struct Asked<'a> {
    fixture: &'a Fixture,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: Value,
}

/// Records of a page, and its place.
struct Page {
    start: usize,
    end: usize,
    size: usize,
    /// Token of the next page.
    next: Option<String>,
}

fn plain_record() -> String {
    r#"{"id":"$n"}"#.to_owned()
}

fn next_relation() -> String {
    r#"; rel="next""#.to_owned()
}

impl Fixture {
    /// Returns the records in the order of the stream.
    pub(crate) fn records(&self) -> Vec<String> {
        let wrap = |record: Value| record.to_string();
        (1..=self.count()).map(|number| wrap(self.record(number))).collect()
    }

    fn count(&self) -> usize {
        self.refusal().map_or(RECORDS, |largest| 2 * largest + 1)
    }

    fn largest(&self) -> usize {
        self.refusal().unwrap_or(LARGEST)
    }

    /// Largest page size that is not refused.
    fn refusal(&self) -> Option<usize> {
        self.traps.iter().find_map(|trap| trap.strip_prefix("refuses_above:")?.parse().ok())
    }

    fn has(&self, trap: &str) -> bool {
        self.traps.iter().any(|own| own == trap)
    }

    fn record(&self, number: usize) -> Value {
        let template: Value = serde_json::from_str(&self.record).unwrap();
        filled_record(&template, number)
    }
}

fn filled_record(template: &Value, number: usize) -> Value {
    match template {
        Value::String(text) if text == "$n" => json!(number),
        Value::String(text) => json!(text.replace("$n", &number.to_string())),
        Value::Array(elements) => elements.iter().map(|element| filled_record(element, number)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled_record(value, number))).collect()
        }
        other => other.clone(),
    }
}

impl Skeleton {
    pub(crate) async fn start(fixture: &Fixture, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log: Arc<Mutex<Log>> = Arc::default();
        let (fixture, noted) = (Arc::new(fixture.clone()), Arc::clone(&log));
        let answer = move |request: Request<Body>| {
            let (fixture, log) = (Arc::clone(&fixture), Arc::clone(&noted));
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let asked = Asked { fixture: &fixture, uri: &head.uri, headers: &head.headers, body };
                asked.answer(script, &mut log.lock())
            }
        };
        let service = axum::Router::new().fallback(answer);
        let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { url, log, serving }
    }

    pub(crate) fn log(&self) -> Log {
        self.log.lock().clone()
    }
}

impl Drop for Skeleton {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Asked<'_> {
    fn answer(&self, script: Script, log: &mut Log) -> Response<Body> {
        log.targets.push(self.uri.to_string());
        let fixture = self.fixture;
        if let Some(text) = &fixture.asks
            && !self.value("query").unwrap_or_default().contains(text.as_str())
        {
            log.broken_rules.push(format!("{} does not ask for {text}", self.uri));
        }
        if let Some(trap) = fixture.traps.iter().find(|trap| trap.starts_with("demands:")) {
            if !self.headers.contains_key(trap.trim_start_matches("demands:")) {
                return status(400);
            }
            log.met.insert(trap.clone());
        }
        if let Some(answer) = fixture.state.as_ref().and_then(|state| self.of_state(state, log)) {
            return answer;
        }
        let size = self.size(log);
        let Some(size) = size else { return status(400) };
        let start = self.start(size);
        // On the second page, so that the first one leaves.
        if start > 0
            && let Some(trap) = fixture.traps.iter().find(|trap| trap.starts_with("limited:"))
            && log.met.insert(trap.clone())
        {
            let mut refused = status(trap.trim_start_matches("limited:").parse().unwrap());
            refused.headers_mut().insert("retry-after", "0".parse().unwrap());
            return refused;
        }
        let second = match script {
            Script::Sound => None,
            Script::Failing(rank) => fixture.fails.get(rank),
            Script::Warning(rank) => fixture.warns.get(rank),
        };
        if start > 0
            && let Some(body) = second
        {
            return json_response(body.clone());
        }
        match self.page(start, size, log) {
            Ok(page) => self.response(&page, log),
            Err(code) => status(code),
        }
    }

    /// Returns the answer to a request that opens or closes the state; none for a page's, which has to name it.
    fn of_state(&self, state: &StateOfPages, log: &mut Log) -> Option<Response<Body>> {
        if self.uri.to_string() == state.open {
            log.met.insert("opened".to_owned());
            return Some(json_response(state.answer.clone()));
        }
        if self.uri.path() == state.close && self.body.to_string().contains("\"s1\"") {
            log.met.insert("closed".to_owned());
            return Some(json_response(r#"{"succeeded":true}"#.to_owned()));
        }
        if self.uri.path() != state.page || self.value(&state.param).as_deref() != Some("s1") {
            log.broken_rules.push(format!("{} with {} names no state", self.uri, self.body));
        }
        None
    }

    /// Returns the page size, or none where it is refused.
    fn size(&self, log: &mut Log) -> Option<usize> {
        let fixture = self.fixture;
        let asked = fixture.size.as_ref().and_then(|size| self.value(size)).and_then(|size| size.parse::<usize>().ok());
        let largest = fixture.largest();
        if let Some(limit) = fixture.refusal() {
            log.met.insert(format!("refuses_above:{limit}"));
            if asked.is_some_and(|asked| asked > limit) {
                log.broken_rules.push(format!("{} asks for more than {limit}", self.uri));
                return None;
            }
        }
        if asked.is_none_or(|asked| asked > largest) {
            log.met.insert("clamped".to_owned());
        }
        Some(asked.unwrap_or(largest).min(largest))
    }

    /// Returns the place of the first record.
    fn start(&self, size: usize) -> usize {
        let fixture = self.fixture;
        let Some(value) = self.value(&fixture.param) else { return 0 };
        let number = |text: &str| -> usize {
            text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or_default()
        };
        match fixture.style {
            Style::Link | Style::Url | Style::Token => number(value.trim_start_matches('t')),
            Style::Page => number(&value).saturating_sub(fixture.first.unwrap_or(1)) * size,
            Style::Offset => {
                let value = match &fixture.inside {
                    Some(text) => value.split(text.as_str()).nth(1).map_or(1, number),
                    None => number(&value),
                };
                value.saturating_sub(fixture.first.unwrap_or(0))
            }
            Style::Keyset => {
                let is_key = |number: &usize| {
                    let record = fixture.record(*number);
                    let texts = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                    record.as_object().unwrap().values().any(|own| texts(own) == value)
                };
                (1..=fixture.count()).find(is_key).unwrap_or_else(|| panic!("no record {value}"))
            }
        }
    }

    fn page(&self, start: usize, size: usize, log: &mut Log) -> Result<Page, u16> {
        let fixture = self.fixture;
        let count = fixture.count();
        let (mut start, mut end) = (start.min(count), (start + size).min(count));
        if start == count && fixture.style == Style::Page {
            match fixture.past {
                Some(200) => start = count - 1,
                Some(code) => return Err(code),
                None => {}
            }
        }
        if fixture.has("doubled") && start == size {
            // A record that moved down while the list was read.
            start -= 1;
            log.met.insert("doubled".to_owned());
        }
        let empty = "t3e".to_owned();
        let is_marked = self.value(&fixture.param).is_some_and(|value| value == empty);
        let mut next = (end < count).then(|| format!("t{end}"));
        if fixture.has("empty_page") && start > 0 && !is_marked && end <= 2 * size {
            end = start;
            next = Some(empty);
            log.met.insert("empty_page".to_owned());
        }
        if fixture.has("last_page_empty") && next.is_none() && start < count {
            next = Some(format!("t{count}"));
            log.met.insert("last_page_empty".to_owned());
        }
        if fixture.has("always_next") {
            next = Some(format!("t{end}"));
            if end == count {
                log.met.insert("always_next".to_owned());
            }
        }
        Ok(Page { start, end, size, next })
    }

    fn response(&self, page: &Page, log: &mut Log) -> Response<Body> {
        let fixture = self.fixture;
        let values = Values { asked: self, page, has_url: fixture.style == Style::Url };
        let mut response = match &fixture.xml {
            Some(parts) => xml_response(values.xml(parts)),
            None => {
                let template: Value = serde_json::from_str(&fixture.page).unwrap();
                json_response(values.fill(&template).unwrap_or_default().to_string())
            }
        };
        for (name, value) in &fixture.headers {
            let value = values.fill(&json!(value)).unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.to_string().trim_matches('"').parse().unwrap());
        }
        let linked = fixture.has("always_linked");
        if linked && page.next.is_none() {
            log.met.insert("always_linked".to_owned());
        }
        if fixture.style == Style::Link && (linked || page.next.is_some()) {
            let attributes = fixture.link.replace("$more", &page.next.is_some().to_string());
            let token = page.next.clone().unwrap_or_else(|| format!("t{}", page.end));
            let link = format!("<{}>{attributes}", self.url(&token));
            response.headers_mut().insert("link", link.parse().unwrap());
        }
        if fixture.has("relative") && page.next.is_some() {
            log.met.insert("relative".to_owned());
        }
        if fixture.has("same_token") && page.next.is_none() {
            log.met.insert("same_token".to_owned());
        }
        response
    }

    /// Returns the address of the page with a token.
    fn url(&self, token: &str) -> String {
        let fixture = self.fixture;
        let own = url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(own.filter(|(name, _)| *name != fixture.param)).append_pair(&fixture.param, token);
        let path = format!("{}?{}", self.uri.path(), query.finish());
        let host = self.headers["host"].to_str().unwrap();
        if fixture.has("relative") { path } else { format!("http://{host}{path}") }
    }

    /// Returns the value of a parameter: `NAME` of the query, or `body:PATH`.
    fn value(&self, param: &str) -> Option<String> {
        let Some(path) = param.strip_prefix("body:") else {
            let query = self.uri.query().unwrap_or_default().as_bytes();
            return url::form_urlencoded::parse(query).find(|(name, _)| *name == param).map(|(_, value)| value.into());
        };
        let value = path.split('.').try_fold(&self.body, |value, name| value.get(name))?;
        (!value.is_null()).then(|| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
    }
}

/// Values of a page's template.
struct Values<'a> {
    asked: &'a Asked<'a>,
    page: &'a Page,
    /// True where `$next` is a URL and no token.
    has_url: bool,
}

impl Values<'_> {
    /// Returns the page in XML.
    fn xml(&self, parts: &XmlParts) -> String {
        let Page { start, end, next, .. } = self.page;
        let records: String =
            (start + 1..=*end).map(|number| parts.record.replace("$n", &number.to_string())).collect();
        let pointer = next.as_ref().map(|token| if self.has_url { self.asked.url(token) } else { token.clone() });
        let pointer = pointer.map(|value| parts.next.replace("$value", &value.replace('&', "&amp;")));
        let page = self.asked.fixture.page.replace("$more", &next.is_some().to_string());
        page.replace("$next", &pointer.unwrap_or_default()).replace("$records", &records)
    }

    /// Returns a template with its values; none for a member or element that is absent.
    fn fill(&self, template: &Value) -> Option<Value> {
        Some(match template {
            Value::String(text) => return self.value(text),
            Value::Array(elements) => elements.iter().filter_map(|element| self.fill(element)).collect(),
            Value::Object(members) => {
                let mut filled = Map::new();
                for (name, value) in members {
                    if let Some(value) = self.fill(value) {
                        filled.insert(name.clone(), value);
                    } else if value == "next?" {
                        return None;
                    }
                }
                filled.into()
            }
            other => other.clone(),
        })
    }

    fn value(&self, text: &str) -> Option<Value> {
        let Page { start, end, size, next } = self.page;
        let fixture = self.asked.fixture;
        let records = || (start + 1..=*end).map(|number| fixture.record(number));
        let pointer = || next.as_ref().map(|token| if self.has_url { self.asked.url(token) } else { token.clone() });
        match text {
            "next?" => next.as_ref().map(|_| json!("next")),
            "$records" => Some(records().collect()),
            "$records?" => (start < end).then(|| records().collect()),
            "$entries?" => {
                let entry = |record: Value| json!({ "resource": record, "search": { "mode": "match" } });
                (start < end).then(|| records().map(entry).collect())
            }
            "$next" => Some(json!(pointer())),
            "$next?" => pointer().map(Value::from),
            "$next:empty" => Some(pointer().unwrap_or_default().into()),
            "$next:same" => Some(pointer().or_else(|| self.asked.value(&fixture.param)).into()),
            "$more" => Some(next.is_some().into()),
            "$done" => Some(next.is_none().into()),
            "$total" => Some(fixture.count().into()),
            "$pages" => Some(fixture.count().div_ceil(*size).into()),
            text => Some(text.into()),
        }
    }
}

fn status(code: u16) -> Response<Body> {
    let mut response = json_response("{\"message\":\"refused\"}".to_owned());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn xml_response(body: String) -> Response<Body> {
    Response::builder().header("content-type", "application/xml").body(Body::from(body)).unwrap()
}

fn json_response(body: String) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(body)).unwrap()
}
