//! `auto` against recorded answers: how often the first candidate is right, wrong, or not there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows them in tests, and means their helpers too")]
#![allow(clippy::print_stdout, reason = "the shares are what this test is read for")]

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::{Value, json};
use unpage::pagination::detect::{Detection, detect, records_path};
use unpage::pagination::request::RequestBody;
use unpage::pagination::{NextUrl, Offset, PageNumber, PageRequest, Pagination, Param, Path, Source, Style};
use url::Url;

#[derive(Deserialize)]
struct Sample {
    of: String,
    method: String,
    params: serde_json::Map<String, Value>,
    truth: Truth,
    next: String,
    #[serde(default)]
    link: Vec<String>,
    #[serde(default)]
    hdrs: Vec<String>,
    body: Value,
}

#[derive(Deserialize)]
struct Truth {
    kind: String,
    path: Option<String>,
    param: Option<String>,
    records: Option<String>,
    lint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    Silent,
}

#[derive(Default)]
struct Score {
    of: usize,
    right: usize,
    wrong: usize,
    silent: usize,
}

fn samples() -> Vec<Sample> {
    let text = include_str!("data/samples/answers.ndjson");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_first_candidate_is_right_where_the_answer_shows_a_signal() {
    let (mut all, mut signal, mut param) = (Score::default(), Score::default(), Score::default());
    let mut judged = Score::default();
    for sample in samples() {
        let detection = sample.detection();
        let verdict = sample.verdict(&detection);
        all.count(verdict);
        if sample.shows_signal() {
            signal.count(verdict);
            if sample.is_judged() {
                judged.count(verdict);
            }
            if verdict != Verdict::Right {
                let first = detection.candidates.first().map(|candidate| candidate.why.as_str());
                println!("{verdict:?} {}: {first:?}, {:?}", sample.of, detection.seen);
            }
        }
        if verdict == Verdict::Right && sample.next == "present" && sample.truth.param.is_some() {
            let candidates = &detection.candidates;
            let found = candidates.iter().any(|candidate| sample.same_param(&candidate.pagination));
            param.count(if found { Verdict::Right } else { Verdict::Silent });
        }
    }
    println!(
        "all answers: {all}\nwith a signal: {signal}\nof the judged half: {judged}\nlive tokens whose parameter is among the guesses: {param}"
    );
    assert_eq!(all.of, 565);
    assert!(signal.of > 400, "{signal}");
    assert!(signal.share(signal.right) >= 99.0, "{signal}");
    assert!(signal.share(signal.wrong) <= 0.5, "{signal}");
    assert!(judged.of > 100 && judged.share(judged.right) >= 98.0, "{judged}");
    assert!(judged.share(judged.wrong) <= 0.5, "{judged}");
}

#[test]
fn the_record_array_is_found() {
    let mut score = Score::default();
    for sample in samples() {
        let Some(records) = sample.truth.records.clone() else { continue };
        let expected: Path = records.parse().unwrap();
        let found = records_path(&sample.request(), &sample.page());
        let verdict = match &found {
            Some(path) if path.split_at_each().0 == expected => Verdict::Right,
            Some(_) => Verdict::Wrong,
            None => Verdict::Silent,
        };
        if verdict != Verdict::Right {
            println!("{verdict:?} {}: {expected}, {:?}", sample.of, found.map(|path| path.to_string()));
        }
        score.count(verdict);
    }
    println!("record arrays: {score}");
    assert!(score.of > 500, "{score}");
    assert!(score.share(score.right) >= 99.0, "{score}");
}

impl Sample {
    /// Returns true for an answer of the half that judges: names and shapes of `auto` are taken from answers of the other half alone. An API
    /// is in one half with all of its answers, by the parity of the sum of its name's bytes.
    fn is_judged(&self) -> bool {
        let api = self.of.split('/').next().unwrap_or_default();
        api.bytes().map(u32::from).sum::<u32>() % 2 == 1
    }

    /// Returns true if the answer or its request shows how it is paginated: a pointer, live or null, or a page or offset parameter.
    fn shows_signal(&self) -> bool {
        matches!(self.next.as_str(), "present" | "null") || matches!(self.truth.kind.as_str(), "page" | "offset")
    }

    fn detection(&self) -> Detection {
        detect(&self.request(), &self.headers(), &self.page())
    }

    fn verdict(&self, detection: &Detection) -> Verdict {
        let Some(first) = detection.candidates.first() else { return Verdict::Silent };
        let (style, truth) = (&first.pagination.style, &self.truth);
        // A configuration that contradicts itself is judged by where it puts its number.
        let linted = truth.lint.is_some();
        let right = match (truth.kind.as_str(), style) {
            ("page", Style::Page(_)) | ("offset", Style::Offset(_)) => self.same_param(&first.pagination),
            ("page" | "offset", Style::Page(_) | Style::Offset(_)) if linted => self.same_param(&first.pagination),
            ("link_header", Style::LinkHeader(_)) => true,
            ("body_url", Style::NextUrl(NextUrl { next, .. })) if self.is_true_path(next) => true,
            ("body_token", Style::Cursor(cursor)) if self.is_true_path(&cursor.tokens[0].next) => true,
            // The last page of a kind that its name leaves open.
            ("body_token" | "body_url", Style::NextUrl(NextUrl { next, .. }))
                if self.next == "null" && self.is_true_path(next) =>
            {
                true
            }
            _ => self.is_alternative(style),
        };
        if right { Verdict::Right } else { Verdict::Wrong }
    }

    fn is_true_path(&self, next: &[Source]) -> bool {
        let truth = self.truth.path.as_deref().map(truth_path);
        matches!((next, truth), ([Source::Body(path)], Some(truth)) if *path == truth)
    }

    /// Another pointer that the answer really has: a link to other pages, a next URL, or a next key that is null where the
    /// answer is a last page.
    fn is_alternative(&self, style: &Style) -> bool {
        let source = match style {
            Style::LinkHeader(_) => {
                return self.link.iter().any(|rel| matches!(rel.as_str(), "next" | "first" | "last"));
            }
            Style::NextUrl(NextUrl { next, .. }) => &next[0],
            Style::Cursor(cursor) => &cursor.tokens[0].next[0],
            _ => return false,
        };
        let Source::Body(path) = source else { return false };
        let text = path.to_string().to_lowercase();
        let says_next = text.contains("next");
        let skeleton = path.segments().iter().try_fold(&self.body, |value, segment| match segment {
            unpage::pagination::path::Segment::Name(name) => value.get(name),
            _ => None,
        });
        match skeleton.and_then(Value::as_str) {
            Some(url) if url.starts_with("url:") => says_next,
            Some("null" | "str:empty") => says_next && self.next != "present",
            _ => false,
        }
    }

    fn same_param(&self, pagination: &Pagination) -> bool {
        let param = match &pagination.style {
            Style::Page(PageNumber { param, .. }) | Style::Offset(Offset { param, .. }) => param,
            Style::Cursor(cursor) => &cursor.tokens[0].param,
            // A URL needs no parameter.
            _ => return true,
        };
        let Some((_, truth)) = self.truth.param.as_deref().and_then(|param| param.split_once(':')) else {
            return false;
        };
        match param {
            Param::Query(name) => name == truth,
            // The request's own body was not recorded, so that only the last name can be known.
            Param::Body(path) => path.segments().last() == truth_path(truth).segments().last(),
            _ => false,
        }
    }

    fn request(&self) -> PageRequest {
        let (_, operation) = self.of.split_once('/').unwrap();
        let mut url = Url::parse("https://api.example.com/v1/").unwrap();
        url.path_segments_mut().unwrap().pop_if_empty().push(operation);
        for (name, value) in &self.params {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            url.query_pairs_mut().append_pair(name, &value);
        }
        let mut request = PageRequest::get(url);
        if self.method == "POST" {
            request.method = Method::POST;
            request.body = Some(RequestBody::Json(json!({})));
        }
        request
    }

    fn page(&self) -> Value {
        filled(&self.body, "", &mut 0)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let links = self.link.iter().map(|rel| match rel.as_str() {
            "https" => "<https://api.example.com/>; rel=\"https://api.w.org/\"".to_owned(),
            rel => format!("<https://api.example.com/other?{rel}>; rel=\"{rel}\""),
        });
        let links = links.collect::<Vec<_>>().join(", ");
        if !links.is_empty() {
            headers.insert(header::LINK, HeaderValue::from_str(&links).unwrap());
        }
        let records =
            self.truth.records.as_deref().map(truth_path).and_then(|path| path.of_value(&self.page()).cloned());
        let count = records.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
        let pages = if self.next == "present" { 3 } else { 1 };
        for name in &self.hdrs {
            let value = match name.as_str() {
                "x-total" | "x-total-count" | "x-wp-total" => (count * pages).to_string(),
                "x-total-pages" | "x-wp-totalpages" => pages.to_string(),
                "x-page" => "1".to_owned(),
                "x-next-page" if self.next == "present" => "2".to_owned(),
                "content-range" => format!("0-{count}/{count}"),
                _ => String::new(),
            };
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(&value).unwrap());
        }
        headers
    }
}

/// The corpus writes paths with plain dots; a key that holds one is OData's.
fn truth_path(text: &str) -> Path {
    let quoted = format!("[\"{text}\"]");
    if text.starts_with('@') { quoted.parse().unwrap() } else { text.parse().or_else(|_| quoted.parse()).unwrap() }
}

/// A page with values of the skeleton's types. Texts differ from each other; numbers as text are those of a first page.
fn filled(skeleton: &Value, name: &str, texts: &mut u32) -> Value {
    match skeleton {
        Value::Object(members) => match (members.get("@len").and_then(Value::as_u64), members.get("@item")) {
            (Some(length), Some(item)) => (0..length).map(|_| filled(item, "", texts)).collect(),
            _ => members.iter().map(|(name, value)| (name.clone(), filled(value, name, texts))).collect(),
        },
        Value::String(kind) => {
            *texts += 1;
            match kind.split_once([':', '?']).map_or((kind.as_str(), ""), |(kind, rest)| (kind, rest)) {
                ("str", "") => json!(format!("text-{texts}")),
                ("str", _) => json!(""),
                ("digits", _) if name.contains("otal") => json!("100000"),
                ("digits", _) => json!("0"),
                ("date", _) => json!("2024-05-06T07:08:09Z"),
                ("int", "") => json!(1_234_567),
                ("int", number) => json!(number.parse::<i64>().unwrap()),
                ("num", _) => json!(1.5),
                ("bool", truth) => json!(truth == "true"),
                ("url", rest) => {
                    let (origin, names) = rest.split_once('?').unwrap();
                    let origin = if origin == "abs" { "https://api.example.com" } else { "" };
                    let query = names.split('&').map(|name| format!("{name}={texts}")).collect::<Vec<_>>().join("&");
                    json!(format!("{origin}/other/{texts}?{query}"))
                }
                ("object", _) => json!({"a": 1}),
                ("array", _) => json!(["a"]),
                ("null", _) => Value::Null,
                other => panic!("{other:?} is in no table"),
            }
        }
        Value::Null => Value::Null,
        other => panic!("{other} is in no table"),
    }
}

impl Score {
    fn count(&mut self, verdict: Verdict) {
        self.of += 1;
        match verdict {
            Verdict::Right => self.right += 1,
            Verdict::Wrong => self.wrong += 1,
            Verdict::Silent => self.silent += 1,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    fn share(&self, part: usize) -> f64 {
        100.0 * part as f64 / self.of as f64
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { of, right, wrong, silent } = self;
        let shares = [*right, *wrong, *silent].map(|part| self.share(part));
        write!(
            f,
            "{right} right ({:.1} %), {wrong} wrong ({:.1} %), {silent} silent ({:.1} %) of {of}",
            shares[0], shares[1], shares[2]
        )
    }
}
