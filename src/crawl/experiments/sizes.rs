//! Experiment: is the page size free, and by which parameter?

use http::Method;

use super::{ExperimentOutcome, Experiments, SeenPage};
use crate::pagination::detect::{PageParam, page_param};
use crate::pagination::{PageSize, Param};

const SUBJECT: &str = "page size";

/// Parameters that are tried where none is known.
const GUESSES: [&str; 3] = ["limit", "per_page", "page_size"];

/// Number of records that many APIs give at most, and is tried where page 1 has fewer.
const USUAL_MAX: u64 = 100;

pub(super) async fn experiment(experiments: &mut Experiments<'_>, page: &SeenPage, total: Option<u64>) {
    let count = page.records.len() as u64;
    if count < 2 {
        return experiments.note(SUBJECT, ExperimentOutcome::Open, "page 1 has too few records to tell");
    }
    let Some((param, asked)) = known(experiments) else { return guess(experiments, page, total).await };
    let size = asked.unwrap_or(count);
    let larger = 2 * size.max(count);
    let came = experiments.ask(&param, larger).await.map(|page| page.records.len() as u64);
    let heeded = |max| Some(PageSize { param: Some(param.clone()), value: Some(size), max });
    match came {
        Some(came) if came == larger => {
            experiments.findings.page_size = heeded(None);
            experiments.note(
                SUBJECT,
                ExperimentOutcome::Shown,
                format!("{param} = {larger} gave {came} records: larger pages need fewer requests"),
            );
        }
        Some(came) if came > count && Some(came) == total => {
            experiments.findings.page_size = heeded(None);
            experiments.note(SUBJECT, ExperimentOutcome::Shown, format!("{param} = {larger} gave all {came} records"));
        }
        Some(came) if came > count || asked == Some(came) => {
            experiments.findings.page_size = heeded(Some(came));
            experiments.note(
                SUBJECT,
                ExperimentOutcome::Shown,
                format!("{param} = {larger} gave {came} records: this may be the largest size"),
            );
        }
        Some(came) => experiments.note(
            SUBJECT,
            ExperimentOutcome::Open,
            format!("{param} = {larger} gave {came} records, as many as page 1"),
        ),
        None => experiments.note(SUBJECT, ExperimentOutcome::Refuted, format!("{param} = {larger} is refused")),
    }
}

/// Returns the parameter that the configuration or the request has, and its value.
fn known(experiments: &Experiments<'_>) -> Option<(Param, Option<u64>)> {
    let first = &experiments.crawl.first;
    let own = experiments.pagination.page_size.as_ref().and_then(|size| size.param.clone());
    let param = own.or_else(|| {
        let mut names = first.url.query_pairs().map(|(name, _)| name);
        names.find(|name| page_param(name) == Some(PageParam::Size)).map(|name| Param::Query(name.into_owned()))
    })?;
    let value = first.value_at(&param).and_then(|value| value.parse().ok());
    Some((param, value))
}

/// Asks for half of page 1 by usual names.
async fn guess(experiments: &mut Experiments<'_>, page: &SeenPage, total: Option<u64>) {
    let half = page.records.len() / 2;
    let guesses = if experiments.crawl.first.method == Method::GET { &GUESSES[..] } else { &[] };
    for name in guesses {
        let param = Param::Query((*name).to_owned());
        let smaller = experiments.ask(&param, half).await;
        if smaller.is_some_and(|smaller| smaller.records == page.records[..half]) {
            return enlarge(experiments, page, param, total).await;
        }
    }
    let tried =
        if guesses.is_empty() { "none was tried".to_owned() } else { format!("{} are ignored", guesses.join(", ")) };
    experiments.note(SUBJECT, ExperimentOutcome::Open, format!("no parameter is known, and {tried}"));
}

/// Asks for more than page 1 has by a parameter that the upstream heeds. A link may lack the parameter, so that page 2 would be one of other
/// pages: there the size is left to the user.
async fn enlarge(experiments: &mut Experiments<'_>, page: &SeenPage, param: Param, total: Option<u64>) {
    let count = page.records.len() as u64;
    let larger = USUAL_MAX.max(2 * count);
    let came = experiments.ask(&param, larger).await.filter(|came| came.records.starts_with(&page.records));
    let came = came.map_or(count, |came| came.records.len() as u64);
    let text = if came > count {
        format!("{param} = {larger} gave {came} records, and without it page 1 has {count}")
    } else {
        format!("{param} is heeded, and {larger} gave no more than the {count} of page 1")
    };
    if came > count && !experiments.pagination.style.takes_links() {
        // Fewer than all of a short list are as many as the upstream gives.
        let value = Some(if Some(came) == total { larger } else { came });
        experiments.findings.page_size = Some(PageSize { param: Some(param), value, max: None });
    }
    experiments.note(SUBJECT, ExperimentOutcome::Shown, text);
}
