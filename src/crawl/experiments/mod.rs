//! Experiments with a collection whose pagination is known: a few requests that show what its API can do, for `unpage init`.

mod filters;
mod sizes;
mod totals;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::Value;

use super::whole_page::whole;
use super::{Crawl, lone_page, recognise_pagination};
use crate::config::RetryPolicy;
use crate::error::Failure;
use crate::pagination::page::Head;
use crate::pagination::{Encode, PageRequest, PageSize, Pagination, Param, Records, Style};

/// Most requests of all experiments with one collection.
pub(crate) const MAX_REQUESTS: usize = 16;

/// Usual names of a record's key.
const KEYS: [&str; 10] = ["id", "_id", "uuid", "uid", "guid", "sid", "gid", "key", "number", "name"];

/// Results of the experiments.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Number of requests.
    pub requests: usize,
    pub list: Vec<Finding>,
    /// Member that differs in each record that came.
    pub key: Option<&'static str>,
    /// Parameter of the page size that the upstream heeds.
    pub page_size: Option<PageSize>,
}

/// Result of one experiment.
#[derive(Debug)]
pub(crate) struct Finding {
    pub subject: &'static str,
    pub outcome: ExperimentOutcome,
    /// Request and answer, as a phrase.
    pub text: String,
}

/// Weight of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExperimentOutcome {
    Shown,
    Refuted,
    /// No answer showed it, and none refuted it.
    Open,
}

/// A page of the collection.
struct SeenPage {
    head: Arc<Head>,
    bytes: Bytes,
    records: Vec<Value>,
}

/// Experiments under way.
struct Experiments<'a> {
    crawl: Crawl,
    pagination: &'a Pagination,
    findings: Findings,
}

impl Crawl {
    /// Asks the upstream what it can do, about a collection of this pagination. `seen` are its first records as a crawl has given them,
    /// and `total` is the upstream's number of all.
    pub(crate) async fn experiment(&self, pagination: &Pagination, seen: &[Value], total: Option<u64>) -> Findings {
        run(self, pagination, seen, total).await
    }

    /// Fetches the answer to the first request as JSON.
    pub(crate) async fn first_answer(&self) -> Result<Bytes, Failure> {
        recognise_pagination::first_page(self).await.map(|page| page.json)
    }
}

async fn run(crawl: &Crawl, pagination: &Pagination, seen: &[Value], total: Option<u64>) -> Findings {
    // An experiment that fails is no reason to insist.
    let client = crawl.client.with_retries(RetryPolicy { attempts: 1, ..crawl.client.upstream().retry.clone() });
    let first = pagination.sized(crawl.first.clone()).unwrap_or_else(|_| crawl.first.clone());
    let crawl = Crawl {
        client: client.for_crawl(&first, pagination),
        first,
        pagination: Arc::new(pagination.clone()),
        ..crawl.clone()
    };
    let mut experiments = Experiments { crawl, pagination, findings: Findings::default() };
    experiments.findings.key = KEYS.into_iter().find(|name| is_unique(name, seen));
    let Some(page) = experiments.first_again(seen).await else { return experiments.findings };
    experiments.second_page(&page, seen);
    sizes::experiment(&mut experiments, &page, total).await;
    experiments.addresses(&page).await;
    totals::experiment(&mut experiments, &page, total).await;
    experiments.condition(&page.head.headers).await;
    filters::sort(&mut experiments, &page).await;
    filters::range(&mut experiments, &page).await;
    experiments.findings
}

/// Returns true if each record has a value of this name, and each another one.
fn is_unique(name: &str, records: &[Value]) -> bool {
    let values = records.iter().filter_map(|record| record.get(name));
    let mut texts: Vec<_> =
        values.filter(|value| value.is_string() || value.is_number()).map(Value::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.len() > 1 && texts.len() == records.len()
}

impl Experiments<'_> {
    fn note(&mut self, subject: &'static str, outcome: ExperimentOutcome, text: impl Into<String>) {
        self.findings.list.push(Finding { subject, outcome, text: text.into() });
    }

    /// Asks for page 1 with this value of a parameter. `None` is a refusal, or the end of all requests.
    async fn ask(&mut self, param: &Param, value: impl Into<Value>) -> Option<SeenPage> {
        let mut request = self.crawl.first.clone();
        request.set(param, &value.into(), Encode::Plain).ok()?;
        self.fetch(request).await
    }

    async fn fetch(&mut self, first: PageRequest) -> Option<SeenPage> {
        if self.findings.requests >= MAX_REQUESTS {
            return None;
        }
        self.findings.requests += 1;
        let page = whole(&Crawl { first, ..self.crawl.clone() }).await.ok()?;
        let records = records(&self.pagination.records, &page.json)?;
        Some(SeenPage { head: page.head, bytes: page.json, records })
    }

    /// Asks for page 1 once more.
    async fn first_again(&mut self, seen: &[Value]) -> Option<SeenPage> {
        let Some(page) = self.fetch(self.crawl.first.clone()).await else {
            self.note(
                "order",
                ExperimentOutcome::Open,
                "page 1 can't be read a second time as one array of plain JSON",
            );
            return None;
        };
        let count = page.records.len();
        if seen.starts_with(&page.records) {
            self.note(
                "order",
                ExperimentOutcome::Shown,
                format!("page 1 had the same {count} records in the same order twice"),
            );
        } else {
            let text = "page 1 had other records, or another order, when it was asked for again: consistency = \"verify\" needs two equal reads";
            self.note("order", ExperimentOutcome::Refuted, text);
        }
        Some(page)
    }

    fn second_page(&mut self, page: &SeenPage, seen: &[Value]) {
        let behind = seen.get(page.records.len()..).unwrap_or_default();
        let doubled = behind.iter().filter(|record| page.records.contains(record)).count();
        let (outcome, text) = match (behind.len(), doubled) {
            (0, _) => (ExperimentOutcome::Open, "no record came behind page 1".to_owned()),
            (count, 0) => (ExperimentOutcome::Shown, format!("none of {count} records behind page 1 is on page 1")),
            (count, doubled) => {
                (ExperimentOutcome::Refuted, format!("{doubled} of {count} records behind page 1 are on page 1, too"))
            }
        };
        self.note("page 2", outcome, text);
    }

    /// Shows if a page can be asked for without the one before it.
    async fn addresses(&mut self, page: &SeenPage) {
        const SUBJECT: &str = "addresses";
        let count = page.records.len() as u64;
        match &self.pagination.style {
            Style::Page(_) => self.note(
                SUBJECT,
                ExperimentOutcome::Shown,
                "page 2 was asked for by its number: pages are read side by side",
            ),
            Style::Offset(offset) if count > 1 => {
                let (param, at) = (offset.param.clone(), offset.start + count - 1);
                let moved = self.ask(&param, at).await;
                let is_last = moved.is_some_and(|moved| moved.records.first() == page.records.last());
                let text = format!("{param} = {at} begins with the last record of page 1");
                match is_last {
                    true => {
                        self.note(SUBJECT, ExperimentOutcome::Shown, format!("{text}: pages are read side by side"));
                    }
                    false => self.note(SUBJECT, ExperimentOutcome::Refuted, format!("not true: {text}")),
                }
            }
            _ if self.crawl.first.method != Method::GET || self.findings.requests + 3 > MAX_REQUESTS => {
                self.note(SUBJECT, ExperimentOutcome::Open, "pages come one after the other; numbers were not tried");
            }
            _ => {
                // Page 2, page 1 and an offset.
                self.findings.requests += 3;
                let numbered = lone_page::numbered(&self.crawl, self.pagination, &page.bytes).await;
                let text = match numbered.first().map(|found| &found.style) {
                    Some(Style::Page(_)) => {
                        "`page` numbers work, too: pagination = { type = \"page\", param = \"page\" } reads pages side by side"
                    }
                    Some(_) => {
                        "`offset` works, too: pagination = { type = \"offset\", param = \"offset\" } reads pages side by side"
                    }
                    None => "neither `page` nor `offset` is understood: pages come one after the other",
                };
                self.note(
                    SUBJECT,
                    if numbered.is_empty() { ExperimentOutcome::Open } else { ExperimentOutcome::Shown },
                    text,
                );
            }
        }
    }

    /// Asks under the condition that the collection has changed.
    async fn condition(&mut self, headers: &HeaderMap) {
        const SUBJECT: &str = "conditional requests";
        let field = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (etag, modified) = (field(header::ETAG), field(header::LAST_MODIFIED));
        if etag.is_none() && modified.is_none() {
            return self.note(SUBJECT, ExperimentOutcome::Refuted, "page 1 has no ETag and no Last-Modified");
        }
        if self.findings.requests >= MAX_REQUESTS {
            return self.note(SUBJECT, ExperimentOutcome::Open, "not tried");
        }
        self.findings.requests += 1;
        match self.crawl.unchanged(etag, modified).await {
            Ok(true) => self.note(
                SUBJECT,
                ExperimentOutcome::Shown,
                "an unchanged page 1 is answered 304: a kept snapshot is checked in one request",
            ),
            _ => self.note(
                SUBJECT,
                ExperimentOutcome::Refuted,
                "page 1 has a validator, and an unchanged one is sent again",
            ),
        }
    }
}

/// Returns the records of a page that is plain JSON.
fn records(records: &Records, page: &[u8]) -> Option<Vec<Value>> {
    let page: Value = serde_json::from_slice(page).ok()?;
    let (values, inner) = records.paths.iter().find_map(|path| {
        let (holder, inner) = path.split_at_each();
        let values = match holder.of_value(&page)? {
            Value::Array(values) => values.clone(),
            Value::Object(members) => members.values().cloned().collect(),
            _ => return None,
        };
        Some((values, inner))
    })?;
    let Some(inner) = inner else { return Some(values) };
    Some(values.iter().filter_map(|value| inner.of_value(value).cloned()).collect())
}
