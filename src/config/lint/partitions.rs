//! Partitions and windows that the rest of the collection is in the way of.

use super::{Contradiction, Exception, LintFacts, Rule};
use crate::pagination::{Param, PartOrder, Precondition, Style};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "partition-overwritten",
        exception: Exception::Never,
        about: &["partition", "windows", "pagination", "page_size"],
        check: overwritten,
    },
    Rule {
        name: "windows-beside",
        exception: Exception::Never,
        about: &["windows", "partition", "since", "valid_at", "match", "settle", "pagination"],
        check: beside_windows,
    },
    Rule {
        name: "partition-of-auto",
        exception: Exception::Never,
        about: &["partition", "pagination"],
        check: |facts| {
            (facts.pagination.partition.is_some() && facts.pagination.style.is_auto()).then(|| Contradiction {
                at: "partition",
                what: "parts are walked by what is known, and type auto has yet to find it out".to_owned(),
                hint: "run `unpage probe URL` and write down the records and pagination that it finds",
            })
        },
    },
    Rule {
        name: "partition-of-one-page",
        exception: Exception::Possible,
        about: &["partition", "pagination"],
        check: |facts| {
            (facts.pagination.partition.is_some() && facts.pagination.style == Style::SINGLE).then(|| Contradiction {
                at: "partition",
                what: "one page is the whole collection, because type none says so, and it has no parts".to_owned(),
                hint: "write the type by which a part is paginated, or leave partition out",
            })
        },
    },
    Rule {
        name: "order-of-one-part",
        exception: Exception::Never,
        about: &["partition", "order"],
        check: |facts| {
            (facts.pagination.partition.is_none() && facts.pagination.order == PartOrder::Any).then(|| Contradiction {
                at: "order",
                what: "without a partition there is one part, and its records leave as they are listed".to_owned(),
                hint: "write partition = { … }, or leave order out",
            })
        },
    },
];

/// Each window is a list of its own.
fn beside_windows(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let pagination = facts.pagination;
    let windows = pagination.windows.as_ref()?;
    let is_segment = |param: &&Param| matches!(param, Param::Path(_) | Param::Header(_));
    let (at, what, hint) = if pagination.partition.is_some() {
        ("windows", "windows are read side by side already", "leave partition or windows out")
    } else if pagination.since.is_some() {
        (
            "since",
            "the record would lie in one of the windows",
            "leave since out: a request may have the range's first time",
        )
    } else if pagination.valid_at.is_some() || pagination.precondition == Precondition::Match {
        ("windows", "no state is common to the lists of all windows", "leave valid_at and match, or windows out")
    } else if pagination.settle.is_some() {
        (
            "settle",
            "each window has an end of its own",
            "leave settle out, and let the next range begin a little before the end of this one",
        )
    } else if pagination.style.is_auto() {
        (
            "pagination",
            "the lists of windows are not recognised one by one",
            "run `unpage probe URL` for one window, and write down the records and pagination that it finds",
        )
    } else if windows.params().iter().any(is_segment) {
        ("windows", "the bounds of a window stand in the query or the body", "write from = \"NAME\", or \"body:PATH\"")
    } else {
        return None;
    };
    Some(Contradiction { at, what: what.to_owned(), hint })
}

/// A parameter of the partition's or the windows' that something else is written into.
fn overwritten(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let parts = facts.pagination.ranges();
    let size = facts.pagination.page_size.as_ref().and_then(|size| size.param.as_ref());
    let others: Vec<_> = facts.pagination.style.params().into_iter().chain(size).collect();
    let twice = parts.iter().enumerate().find(|(at, param)| others.contains(param) || parts[..*at].contains(param));
    twice.map(|(_, param)| Contradiction {
        at: if facts.pagination.partition.is_some() { "partition" } else { "windows" },
        what: format!("{param} carries two things, and one of them would overwrite the other"),
        hint: "each of the partition's or the windows', the pagination's and the page size's values needs a parameter of its own",
    })
}
