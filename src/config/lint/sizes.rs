//! Page sizes, steps, totals and limits that don't go together.

use super::{Contradiction, Exception, LintFacts, Rule};
use crate::pagination::{End, PageSize};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "size-over-max",
        exception: Exception::Never,
        about: &["page_size"],
        check: |facts| match facts.pagination.page_size {
            Some(PageSize { value: Some(value), max: Some(max), .. }) if value > max => Some(Contradiction {
                at: "page_size.value",
                what: format!("{value} is more than the upstream gives, {max}"),
                hint: "lower value, or raise max",
            }),
            _ => None,
        },
    },
    Rule {
        name: "size-unsent",
        exception: Exception::Possible,
        about: &["page_size", "pagination"],
        check: size_unsent,
    },
    Rule {
        name: "short-page-unsized",
        exception: Exception::Never,
        about: &["page_size", "pagination.end"],
        check: |facts| {
            (facts.pagination.end == End::ShortPage && asked(facts).is_none()).then(|| Contradiction {
                at: "pagination.end",
                what: "without a page size no page can be called short".to_owned(),
                hint: "write page_size = { param = \"limit\", value = 100 }, or leave end out",
            })
        },
    },
    Rule {
        name: "step-unsized",
        exception: Exception::Never,
        about: &["page_size", "pagination.step"],
        check: |facts| {
            (steps_by_size(facts) && asked(facts).is_none()).then(|| Contradiction {
                at: "pagination.step",
                what: "without a page size there is nothing to advance by".to_owned(),
                hint: "write page_size = { param = \"limit\", value = 100 }, or leave step out",
            })
        },
    },
    Rule {
        name: "step-unproven",
        exception: Exception::Possible,
        about: &["page_size", "pagination.step", "total"],
        check: |facts| {
            (steps_by_size(facts) && facts.pagination.total.is_none()).then(|| Contradiction {
                at: "pagination.step",
                what: "if the upstream gives fewer records than requested, the rest is skipped, and without a total that stays \
                       unnoticed"
                    .to_owned(),
                hint: "leave step out (the offset then advances by what came), or write total = \"…\"",
            })
        },
    },
    Rule {
        name: "size-beside-range",
        exception: Exception::Never,
        about: &["page_size", "pagination"],
        check: |facts| {
            (facts.pagination.style.own_size().is_some() && facts.pagination.page_size.is_some()).then(|| {
                Contradiction {
                    at: "page_size",
                    what: "type range asks for its size in the Range header field".to_owned(),
                    hint: "write size inside pagination",
                }
            })
        },
    },
    Rule {
        name: "max-offset-elsewhere",
        exception: Exception::Never,
        about: &["limits", "pagination"],
        check: |facts| {
            let numbered = facts.pagination.style.counts_records() || facts.pagination.style.is_auto();
            (facts.pagination.limits.max_offset.is_some() && !numbered).then(|| Contradiction {
                at: "limits.max_offset",
                what: format!("type {} has no offset", facts.pagination.style.name()),
                hint: "write max_pages or max_results",
            })
        },
    },
    Rule {
        name: "two-totals-in-one",
        exception: Exception::Never,
        about: &["total", "total_pages"],
        check: |facts| {
            let (total, pages) = (&facts.pagination.total, &facts.pagination.total_pages);
            (total.is_some() && total == pages).then(|| Contradiction {
                at: "total_pages",
                what: "one number can't count both the records and the pages".to_owned(),
                hint: "leave one of total and total_pages out",
            })
        },
    },
];

/// A size that was configured and that no request says.
fn size_unsent(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let size = facts.pagination.page_size.as_ref()?;
    if facts.pagination.style.own_size().is_some() {
        return None;
    }
    let in_template = facts
        .pagination
        .template()
        .is_some_and(|template| ["{limit}", "{end_offset}"].iter().any(|placeholder| template.0.contains(placeholder)));
    (size.asked().is_some() && size.param.is_none() && !in_template).then(|| Contradiction {
        at: "page_size",
        what: "this size is asked for nowhere, so it only holds while it happens to be the upstream's own".to_owned(),
        hint: "write page_size.param, the parameter that asks for it",
    })
}

fn asked(facts: &LintFacts<'_>) -> Option<u64> {
    let size = || facts.pagination.page_size.as_ref().and_then(PageSize::asked);
    facts.pagination.style.own_size().or_else(size)
}

fn steps_by_size(facts: &LintFacts<'_>) -> bool {
    facts.pagination.style.rules().advances_by_page_size()
}
