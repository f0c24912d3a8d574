//! Experiment: can the last page be reached, and does the upstream's total hold there?

use super::{ExperimentOutcome, Experiments, SeenPage};
use crate::crawl::Crawl;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::link_header_parser::links;
use crate::pagination::{PageRequest, Param, Style};

const TOTAL: &str = "total";
const LAST: &str = "last page";

pub(super) async fn experiment(experiments: &mut Experiments<'_>, page: &SeenPage, total: Option<u64>) {
    let count = page.records.len() as u64;
    let Some(total) = total.filter(|total| *total > 0 && count > 0) else {
        experiments.note(
            TOTAL,
            ExperimentOutcome::Open,
            "the upstream names none: the end is proven by the pages alone",
        );
        return last_link(experiments, page).await;
    };
    // The last number, the number behind it, and the records that the last one has.
    let (param, last, behind, rest) = match &experiments.pagination.style {
        Style::Page(style) => {
            let pages = total.div_ceil(count);
            let last = style.start + pages - 1;
            (style.param.clone(), last, last + 1, total - count * (pages - 1))
        }
        Style::Offset(style) => (style.param.clone(), style.start + total - 1, style.start + total, 1),
        _ => {
            experiments.note(
                TOTAL,
                ExperimentOutcome::Open,
                format!("{total}, which each crawl compares with the records that came"),
            );
            return last_link(experiments, page).await;
        }
    };
    let (at_last, past) = (experiments.ask(&param, last).await, experiments.ask(&param, behind).await);
    let is_reached = at_last.as_ref().is_some_and(|page| page.records.len() as u64 == rest);
    note_last(experiments, &param, last, at_last.map(|page| page.records.len() as u64));
    // A refusal behind the last page is an end, too, and the page there again is none.
    let is_past = past.is_none_or(|past| past.records.is_empty());
    match (is_reached, is_past) {
        (true, true) => {
            experiments.note(
                TOTAL,
                ExperimentOutcome::Shown,
                format!("{total}: the last {rest} stand at {param} = {last}, and none behind"),
            );
        }
        (true, false) => {
            experiments.note(
                TOTAL,
                ExperimentOutcome::Open,
                format!("{total}, and {param} = {behind} has records nevertheless"),
            );
        }
        (false, _) => {
            experiments.note(
                TOTAL,
                ExperimentOutcome::Refuted,
                format!("{total}, and {param} = {last} has not the last {rest} of them"),
            );
        }
    }
}

fn note_last(experiments: &mut Experiments<'_>, param: &Param, last: u64, came: Option<u64>) {
    match came {
        Some(came) if came > 0 => {
            experiments.note(LAST, ExperimentOutcome::Shown, format!("{param} = {last} gave {came} records"));
        }
        Some(_) => experiments.note(LAST, ExperimentOutcome::Refuted, format!("{param} = {last} has no records")),
        None => {
            let text = format!("{param} = {last} is refused: the API may stop before its end (limits)");
            experiments.note(LAST, ExperimentOutcome::Refuted, text);
        }
    }
}

/// Follows the `Link` to the last page.
async fn last_link(experiments: &mut Experiments<'_>, page: &SeenPage) {
    let Crawl { client, first, .. } = &experiments.crawl;
    let guard = LinkGuard::new(&client.upstream().url, &client.upstream().aliases);
    let target = links(&page.head.headers).ok().and_then(|links| {
        let last = links.iter().find(|link| link.has_rel("last"))?;
        guard.resolve(&first.url, &last.target).ok()
    });
    let Some(url) = target else {
        return experiments.note(
            LAST,
            ExperimentOutcome::Open,
            "no address of it is known before the crawl reaches it",
        );
    };
    let last = experiments.fetch(PageRequest { url, ..experiments.crawl.first.clone() }).await;
    match last.map(|page| page.records.len()) {
        Some(came) if came > 0 => {
            experiments.note(LAST, ExperimentOutcome::Shown, format!("its Link leads to {came} records"));
        }
        _ => experiments.note(LAST, ExperimentOutcome::Refuted, "its Link leads to no page with records"),
    }
}
