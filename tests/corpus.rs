//! The share of the world's pagination that the configuration can express: each line of the corpus, mapped to a `[[collection]]` and loaded.
//!
//! The mapper is not kinder than unpage: what has no key counts as not expressible, and a configuration that contradicts
//! itself is loaded in its sane reading, or under `allow`, and counted apart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows them in tests, and means their helpers too")]
#![allow(clippy::print_stdout, reason = "the shares are what this test is read for")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use unpage::config::{Config, Machine};

const SAAS: [&str; 6] = ["airbyte", "nango", "nango-templates", "elastic", "singer", "dlt"];

/// Outcome of one line.
enum Outcome {
    /// It loads; the notes say what had to be read differently from what the source says.
    Loaded(Vec<String>),
    /// There is no key for it.
    NotExpressible(&'static str),
}

/// Streams per reason.
#[derive(Default)]
struct Share {
    loaded: u64,
    all: u64,
    odd: BTreeMap<String, u64>,
    missing: BTreeMap<&'static str, u64>,
}

#[test]
fn the_configuration_says_how_real_apis_paginate() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus/pagination.ndjson");
    let text = fs::read_to_string(file).unwrap();
    let (mut saas, mut whole, mut single) = (Share::default(), Share::default(), Share::default());
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let needs = strings(&record["needs"]);
        if record.get("needs").is_some_and(Value::is_null) || needs.contains(&"X:async_job") {
            continue;
        }
        let streams = record["streams"].as_u64().unwrap_or(1);
        let outcome = outcome(&record, &needs);
        if record["next"]["kind"] == "none" {
            single.count(&outcome, streams);
            continue;
        }
        whole.count(&outcome, streams);
        if SAAS.contains(&record["source"].as_str().unwrap()) {
            saas.count(&outcome, streams);
        }
    }
    saas.print("SaaS streams");
    whole.print("all paginated operations");
    single.print("single-page operations");
    assert!(saas.all > 3000 && whole.all > 15_000 && single.all > 1000);
    assert!(saas.percent() >= 99.3, "{:.2} % of the SaaS streams", saas.percent());
    assert!(whole.percent() >= 98.5, "{:.2} % of all operations", whole.percent());
}

impl Share {
    fn count(&mut self, outcome: &Outcome, streams: u64) {
        self.all += streams;
        match outcome {
            Outcome::Loaded(notes) => {
                self.loaded += streams;
                for note in notes {
                    *self.odd.entry(note.clone()).or_default() += streams;
                }
            }
            Outcome::NotExpressible(why) => *self.missing.entry(why).or_default() += streams,
        }
    }

    fn percent(&self) -> f64 {
        self.loaded as f64 * 100.0 / self.all as f64
    }

    fn print(&self, what: &str) {
        println!("{what}: {} of {}, {:.2} %", self.loaded, self.all, self.percent());
        for (why, streams) in &self.missing {
            println!("    {streams:5} not expressible: {why}");
        }
        for (note, streams) in &self.odd {
            println!("    {streams:5} read differently: {note}");
        }
    }
}

fn outcome(record: &Value, needs: &[&str]) -> Outcome {
    if let Some(why) = not_expressible(record, needs) {
        return Outcome::NotExpressible(why);
    }
    let mut collection = Collection::default();
    if let Err(why) = collection.map(record) {
        return Outcome::NotExpressible(why);
    }
    let written = collection.written("");
    let Err(told) = load(&written) else { return Outcome::Loaded(collection.notes) };
    // Where the only objection is a rule that can be lifted, the API is taken at its word.
    let rules: Vec<_> = ["offset-in-page", "page-in-offset", "body-under-get", "size-unsent"]
        .into_iter()
        .filter(|rule| told.contains(&format!("({rule})")))
        .collect();
    let again = collection.written(&format!("allow = {rules:?}\n"));
    if let Err(told) = load(&again) {
        panic!("{record}\n{again}{told}");
    }
    collection.notes.extend(rules.iter().map(|rule| format!("allow = [\"{rule}\"]")));
    Outcome::Loaded(collection.notes)
}

fn load(text: &str) -> Result<Config, String> {
    Config::read(text, "corpus", &Machine).map_err(|mistakes| mistakes.to_string())
}

/// Features that the configuration has no key for.
fn not_expressible(record: &Value, needs: &[&str]) -> Option<&'static str> {
    let reasons = [
        ("inject:body_xml", "an XML body"),
        ("stop:max_pages", "an end after a number of pages"),
        ("inject:end_offset", "two parameters that move together"),
    ];
    // The record behind the last one by its number, which is the first record of the page by `overlap`.
    let is_next_key = record["next"]["kind"] == "last_record_field" && record["next"]["add"] == 1;
    if needs.iter().any(|need| need.starts_with("X:") && !(is_next_key && *need == "X:arithmetic")) {
        return Some("code");
    }
    if record["body"] == "cbor" {
        return Some("CBOR bodies");
    }
    if needs.contains(&"decode:xml") && record["records"].as_array().is_some_and(|paths| paths.len() > 1) {
        return Some("several arrays in an XML page");
    }
    reasons.iter().find(|(need, _)| needs.contains(need)).map(|(_, why)| *why)
}

/// A `[[collection]]` in the making.
#[derive(Default)]
struct Collection {
    keys: Vec<String>,
    pagination: Vec<String>,
    notes: Vec<String>,
}

impl Collection {
    fn written(&self, more: &str) -> String {
        format!(
            "[[collection]]\npath = \"/{{*rest}}\"\nupstream = \"https://api.example.com\"\n{}\npagination = {{ {} }}\n{more}",
            self.keys.join("\n"),
            self.pagination.join(", ")
        )
    }

    fn key(&mut self, key: &str, value: impl std::fmt::Display) {
        self.keys.push(format!("{key} = {value}"));
    }

    fn style(&mut self, key: &str, value: impl std::fmt::Display) {
        self.pagination.push(format!("{key} = {value}"));
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    fn map(&mut self, record: &Value) -> Result<(), &'static str> {
        let named;
        let record = if strings(&record["needs"]).contains(&"decode:xml") {
            self.key("encoding", "\"xml\"");
            self.note("the source does not name the elements around the records of an XML page");
            named = with_elements(record);
            &named
        } else {
            record
        };
        if record["method"] == "POST" {
            self.key("method", "\"POST\"");
        }
        match &record["records"] {
            Value::String(path) => self.key("records", quoted(&records_path(path))),
            Value::Array(paths) => {
                let paths: Vec<_> = paths.iter().map(|at| quoted(&path(at.as_str().unwrap()))).collect();
                let one_or_all = |as_all| if as_all { ", as = \"all\"" } else { "" };
                self.key("records", format!("{{ path = [{}]{} }}", paths.join(", "), one_or_all(paths.len() > 1)));
            }
            _ => {
                self.key("records", "\"$\"");
                self.note("the source doesn't say where the records are");
            }
        }
        let pointed = self.next(record)?;
        let asked = self.size(record);
        self.stop(record, pointed, asked);
        self.totals(record);
        Ok(())
    }

    /// The type with its own keys; true where the upstream says what comes next.
    fn next(&mut self, record: &Value) -> Result<bool, &'static str> {
        let next = &record["next"];
        let kind = next["kind"].as_str().unwrap();
        match kind {
            "none" => self.style("type", "\"none\""),
            "link_header" => self.style("type", "\"link_header\""),
            "body_url" => {
                self.style("type", "\"next_url\"");
                self.style("next", sources(next)?);
            }
            "body_token" | "body_url_param" => {
                self.style("type", "\"cursor\"");
                self.style("next", sources(next)?);
                self.param(record);
                if let Some(from) = next["param"].as_str() {
                    self.style("from_url_param", quoted(from));
                }
            }
            "header_token" => {
                self.style("type", "\"cursor\"");
                self.style("next", quoted(&format!("header:{}", next["path"].as_str().unwrap())));
                self.param(record);
            }
            "last_record_field" => {
                self.style("type", "\"keyset\"");
                self.style("key", quoted(&path(next["path"].as_str().unwrap())));
                self.param(record);
                if next["add"] == 1 {
                    self.style("overlap", 1);
                    self.note("the source asks from the last key plus one on, and unpage from the last key on");
                }
            }
            "page" | "offset" => self.number(record, kind),
            // The next number is counted from one in the answer: a page's own number, or an offset and the page's length.
            "computed" => {
                let pages = next["path"].as_str().is_some_and(|path| path.contains("current"));
                self.style("type", if pages { "\"page\"" } else { "\"offset\"" });
                self.param(record);
                if let Some(step) = next["addpath"].as_str() {
                    self.style("step", quoted(&path(step)));
                }
            }
            _ => return Err("code"),
        }
        Ok(matches!(kind, "link_header" | "body_url" | "body_token" | "body_url_param" | "header_token"))
    }

    fn number(&mut self, record: &Value, kind: &str) {
        let mended = match (record["lint"].is_string(), kind) {
            (true, "page") => "offset",
            (true, _) => "page",
            (false, kind) => kind,
        };
        if mended != kind {
            self.note("the parameter advances as its name says, not as the source has it");
        }
        self.style("type", quoted(mended));
        self.param(record);
        if let (Some(start), true) = (record["next"]["start"].as_u64(), mended == kind) {
            self.style("start", start);
        }
        if let Some(template) = record["inject"]["template"].as_str() {
            self.style("template", quoted(template));
        }
    }

    fn param(&mut self, record: &Value) {
        if record["inject"]["into"] == "url" {
            self.key("upstream_path", "\"/{*rest}/{n}\"");
        }
        self.style("param", quoted(&place(&record["inject"])));
    }

    /// The page size; `Some` if there is a number.
    fn size(&mut self, record: &Value) -> Option<u64> {
        let (size, stop) = (&record["size"], &record["stop"]);
        let asked = size["value"].as_u64().or(size["max"].as_u64()).or(stop["size"].as_u64());
        let templated = record["inject"]["template"].is_string();
        let mut table = Vec::new();
        if size["name"].is_string() {
            let same = place(size) == place(&record["inject"]);
            match (same, templated) {
                (false, _) => table.push(format!("param = {}", quoted(&place(size)))),
                (true, true) => {}
                (true, false) => self.note("the size would overwrite the number: left out"),
            }
        }
        let number = size["value"].as_u64().or(stop["size"].as_u64());
        let short = stop["rule"] == "short_page";
        if !table.is_empty() || templated || short {
            table.extend(number.map(|number| format!("value = {number}")));
            table.extend(size["max"].as_u64().map(|max| format!("max = {max}")));
        }
        // A parameter whose size the source doesn't say is left to the upstream.
        if table.iter().any(|entry| !entry.starts_with("param")) {
            self.key("page_size", format!("{{ {} }}", table.join(", ")));
        }
        asked
    }

    fn stop(&mut self, record: &Value, pointed: bool, asked: Option<u64>) {
        let stop = &record["stop"];
        let more = |flag: &str, ends: Option<bool>| {
            // Where only a schema is known, the flag's name says which way it points.
            let ends = ends.unwrap_or_else(|| ["last", "done"].iter().any(|word| flag.to_lowercase().ends_with(word)));
            format!("{{ path = {}, while = {} }}", quoted(&path(flag)), !ends)
        };
        if stop["also"] == "next_equals_self" {
            self.style("same_token", "\"end\"");
        }
        match stop["rule"].as_str().unwrap_or_default() {
            "flag" => self.style("more", more(stop["path"].as_str().unwrap(), stop["stop"].as_bool())),
            "short_page" if pointed => self.note("a short page beside a token: the token ends it"),
            "short_page" if asked.is_some() => self.style("end", "\"short_page\""),
            "short_page" => self.note("a short page of no size: an empty page ends it"),
            "empty_page" | "count_field_zero" => self.style("end", "\"empty_page\""),
            "total_reached" | "offset_reaches_total" => {
                if let (Some(total), false) = (stop["path"].as_str(), record["total"].is_string()) {
                    self.key("total", quoted(&path(total)));
                }
                if let Some(flag) = stop["alt_flag"].as_str() {
                    self.style("more", more(flag, None));
                }
            }
            "page_reaches_total" => {
                if let (Some(total), false) = (stop["path"].as_str(), record["total_pages"].is_string()) {
                    self.key("total_pages", quoted(&path(total)));
                }
            }
            "compare_paths" => self.note("two counts that are compared: an empty page ends it"),
            _ => {}
        }
    }

    fn totals(&mut self, record: &Value) {
        for key in ["total", "total_pages"] {
            if let Some(text) = record[key].as_str() {
                let header = text.strip_prefix("header:").is_some();
                self.key(key, quoted(&if header { text.to_owned() } else { path(text) }));
            }
        }
    }
}

/// The record with the elements that AWS' query protocol puts around what the source names: `XResponse`, `XResult` and `member`.
fn with_elements(record: &Value) -> Value {
    let mut record = record.clone();
    let places =
        [("/records", ".member"), ("/next/path", ""), ("/next/alt", ""), ("/stop/path", ""), ("/stop/alt_flag", "")];
    for (place, within) in places {
        if let Some(Value::String(path)) = record.pointer_mut(place) {
            *path = format!("XResponse.XResult.{path}{within}");
        }
    }
    record
}

/// Place of a token, number or size in a request.
fn place(inject: &Value) -> String {
    let name = inject["name"].as_str().unwrap_or_default();
    match inject["into"].as_str().unwrap_or_default() {
        "body_json" => format!("body:{}", path(name)),
        "body_form" => format!("form:{name}"),
        "header" => format!("header:{name}"),
        "url" => "path:n".to_owned(),
        _ => name.to_owned(),
    }
}

/// The `next` of a pointer: one place, or the first that is present.
fn sources(next: &Value) -> Result<String, &'static str> {
    let Some(text) = next["path"].as_str() else { return Err("a next path that the source doesn't say") };
    if let Some((links, _)) = text.split_once("[rel=next]") {
        return Ok(format!("{{ links = {}, rel = \"next\" }}", quoted(&path(links))));
    }
    let alternative = next["alt"].as_str().map(|alternative| quoted(&path(alternative)));
    Ok(match alternative {
        Some(alternative) => format!("[{}, {alternative}]", quoted(&path(text))),
        None => quoted(&path(text)),
    })
}

/// The corpus ends a path with `*` where unpage names the array itself, but for arrays in arrays.
fn records_path(text: &str) -> String {
    let is_nested = text.split('.').filter(|part| *part == "*").count() > 1;
    path(text.strip_suffix('*').filter(|_| !is_nested).map_or(text, |array| array.trim_end_matches('.')))
}

/// A dotted path of the corpus as one of unpage's.
fn path(text: &str) -> String {
    if matches!(text, "" | "$") {
        return "$".to_owned();
    }
    let mut spelled = "$".to_owned();
    let text = text.replace("@odata.", "@odata\u{0}");
    for part in text.split('.') {
        let (name, index) = part.split_at(part.find('[').unwrap_or(part.len()));
        match name {
            "*" => spelled.push_str("[*]"),
            "" => {}
            name => spelled.push_str(&format!("[{}]", Value::from(name.replace('\u{0}', ".")))),
        }
        spelled.push_str(index);
    }
    spelled
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
