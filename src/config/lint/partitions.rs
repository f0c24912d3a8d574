//! Partitions that the rest of the collection is in the way of.

use super::{Contradiction, Exception, LintFacts, Rule};
use crate::pagination::{PartOrder, Partition, Style};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "partition-overwritten",
        exception: Exception::Never,
        about: &["partition", "pagination", "page_size"],
        check: overwritten,
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

/// A parameter of the partition's that something else is written into.
fn overwritten(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let parts = facts.pagination.partition.as_ref().map(Partition::params)?;
    let size = facts.pagination.page_size.as_ref().and_then(|size| size.param.as_ref());
    let others: Vec<_> = facts.pagination.style.params().into_iter().chain(size).collect();
    let twice = parts.iter().enumerate().find(|(at, param)| others.contains(param) || parts[..*at].contains(param));
    twice.map(|(_, param)| Contradiction {
        at: "partition",
        what: format!("{param} carries two things, and one of them would overwrite the other"),
        hint: "each of the partition's, the pagination's and the page size's values needs a parameter of its own",
    })
}
