//! Text of a configuration for one URL, with a comment on each line that says how it is known.

use std::fmt::Write as _;

use url::Url;

use crate::config::{ChosenBy, Collection, toml_quoted, written};
use crate::crawl::{ExperimentOutcome, Findings, MAX_REQUESTS};
use crate::pagination::{LonePage, Pagination, PaginationAuthor};

/// Options of the command.
#[derive(Debug)]
pub(super) struct Given {
    /// Keys of a collection with their values.
    pub(super) options: Vec<(String, String)>,
    /// Names of the header fields.
    pub(super) fields: Vec<String>,
    pub(super) body: GivenBody,
}

/// Body that clients send themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenBody {
    None,
    /// One that is no JSON, which a configuration can't have.
    Other,
}

/// Findings of the first pages and of the experiments.
pub(super) struct Evidence {
    pub(super) pagination: Pagination,
    pub(super) total: Option<u64>,
    /// Number of records that came.
    pub(super) records: usize,
    pub(super) findings: Findings,
}

impl Evidence {
    /// Returns true if one page came, without a sign of a pagination.
    pub(super) fn is_lone(&self) -> bool {
        self.pagination.single_page == LonePage::Accept
            && !self.pagination.style.is_pointed()
            && !self.pagination.style.is_computed()
    }

    /// Says how the value of a key is known.
    fn known(&self, name: &str) -> String {
        let Self { pagination, total, records, .. } = self;
        match name {
            "pagination" if !pagination.style.is_computed() && !pagination.style.is_pointed() => {
                "page 1 says that it is all, or says nothing".to_owned()
            }
            "pagination" => "recognised on page 1; page 2 has other records".to_owned(),
            "total" => total.map_or("named on page 1".to_owned(), |total| format!("{total} on page 1")),
            "single_page" => {
                format!("unproven: one page of {records} records; remove both # if one page is always all there is")
            }
            _ => "found on page 1".to_owned(),
        }
    }
}

/// Lines, each with its comment.
#[derive(Default)]
pub(super) struct CommentedLines {
    text: String,
    /// Keys that have a line.
    keys: Vec<String>,
}

impl CommentedLines {
    pub(super) fn put(&mut self, line: &str, known: &str) {
        let comment = if known.is_empty() { String::new() } else { format!("    # {known}") };
        // A comment of TOML has no control characters.
        let line_of_text = format!("{line}{comment}").replace(char::is_control, " ");
        writeln!(self.text, "{line_of_text}").expect("writing to a String never fails");
        self.keys.extend(line.split_once(" = ").map(|(key, _)| key.to_owned()));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|own| own == key)
    }

    /// Puts the options of the command whose keys have no line yet.
    pub(super) fn put_given(&mut self, options: &[(String, String)]) {
        for (key, value) in options {
            if !self.has(key) {
                self.put(&format!("{key} = {value}"), "as given");
            }
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

pub(super) fn text(url: &Url, given: &Given, collection: &Collection, evidence: &Evidence) -> String {
    let mut lines = CommentedLines::default();
    let Evidence { pagination, total, records, findings } = evidence;
    lines.put("# Written by `unpage init`; each line says how it is known. `unpage check` reads it, `unpage serve` serves it.", "");
    lines.put("[[collection]]", "");
    lines.put(
        &format!("path = {}", toml_quoted(url.path())),
        "the URL's; {name} stands for a segment that clients choose",
    );
    lines.put(&format!("upstream = {:?}", url.origin().ascii_serialization()), "the URL's");
    let has_credentials = given.options.iter().any(|(key, _)| key == "credentials");
    match collection.upstream.credentials.are_passed() {
        _ if has_credentials => {}
        true => {
            lines.put("# credentials = { bearer = { env = \"NAME\" } }", "else each client sends its own");
        }
        false => lines.put("# credentials: as in the configuration that this one was made by", ""),
    }
    put_pagination(&mut lines, given, collection, evidence);
    if let (None, Some(key)) = (&pagination.key, findings.key)
        && !lines.has("key")
    {
        lines.put(&format!("key = {key:?}"), &format!("unproven: differs in each of the first {records} records"));
    }
    lines.put_given(&given.options);
    lines.put("", "");
    match total {
        Some(total) => lines.put(&format!("# The upstream says that there are {total} records."), ""),
        None => lines.put("# The upstream names no total.", ""),
    }
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        let names: Vec<_> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
        lines.put(&format!("# Clients send these parameters themselves: {}.", names.join(", ")), "");
    }
    if !given.fields.is_empty() {
        lines.put(&format!("# Clients send these header fields themselves: {}.", given.fields.join(", ")), "");
    }
    if given.body == GivenBody::Other {
        lines.put("# Clients send the body themselves: it is no JSON.", "");
    }
    if evidence.is_lone() {
        lines.put(
            "# Verdict: none. Without the two lines that are commented out, each crawl recognises the pagination, and breaks where it can't.",
            "",
        );
    } else {
        lines.put(&format!("# Verdict: {}.", pagination.best_verdict()), "");
    }
    lines.put(&format!("# Experiments, in {} requests of {MAX_REQUESTS} at most:", findings.requests), "");
    for finding in &findings.list {
        let outcome = match finding.outcome {
            ExperimentOutcome::Shown => "shown",
            ExperimentOutcome::Refuted => "refuted",
            ExperimentOutcome::Open => "unproven",
        };
        lines.put(&format!("#   {:<21} {outcome:<9} {}", format!("{}:", finding.subject), finding.text), "");
    }
    lines.into_text()
}

/// Puts the preset, or the keys of the pagination.
fn put_pagination(lines: &mut CommentedLines, given: &Given, collection: &Collection, evidence: &Evidence) {
    let Evidence { pagination, findings, .. } = evidence;
    match &collection.preset {
        Some(choice) if choice.by == ChosenBy::Key || pagination.author == PaginationAuthor::HostPreset => {
            let by = if choice.by == ChosenBy::Host { "by the URL's host" } else { "as given" };
            let known = format!("{by}; {}: {}; page 1 agrees", choice.preset.verified.name(), choice.preset.source);
            return lines.put(&format!("preset = {:?}", choice.preset.name), &known);
        }
        Some(choice) => {
            lines.put("preset = \"none\"", &format!("page 1 does not fit the preset {}", choice.preset.name));
        }
        None => {}
    }
    for written in written(pagination).lines() {
        let name = written.split(" = ").next().unwrap_or_default();
        if name == "single_page" && !evidence.is_lone() {
            continue;
        }
        // Only the operator may say that one page is all: the list may have more of them tomorrow.
        let off = if evidence.is_lone() && matches!(name, "pagination" | "single_page") { "# " } else { "" };
        let is_given = given.options.iter().any(|(key, _)| key == name);
        let known = if is_given { "as given".to_owned() } else { evidence.known(name) };
        lines.put(&format!("{off}{written}"), &known);
    }
    if let Some(size) = &findings.page_size
        && !lines.has("page_size")
    {
        let sized = Pagination { page_size: Some(size.clone()), ..pagination.clone() };
        let all = written(&sized);
        let own = all.lines().find(|line| line.starts_with("page_size = "));
        own.into_iter().for_each(|line| lines.put(line, "shown: the upstream heeds it, see below"));
    }
}
