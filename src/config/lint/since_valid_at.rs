//! `since`, `valid_at`, `match` and `consistency` where the rest of the collection is in their way.

use super::{Contradiction, Exception, LintFacts, Rule};
use crate::pagination::path::{Path, Segment};
use crate::pagination::styles::Style;
use crate::pagination::{ConsistencyLevel, Precondition, RecordOrder, VersionSource};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "since-of-numbered-pages",
        exception: Exception::Never,
        about: &["since", "pagination"],
        check: |facts| {
            (facts.pagination.since.is_some() && facts.pagination.style.is_numbered()).then(|| Contradiction {
                at: "since",
                what: format!(
                    "type {} counts pages or records, and none follows a record",
                    facts.pagination.style.name()
                ),
                hint: "leave since out, or use type keyset or cursor if the upstream has one",
            })
        },
    },
    Rule {
        name: "since-of-auto",
        exception: Exception::Never,
        about: &["since", "pagination"],
        check: |facts| {
            (facts.pagination.since.is_some() && facts.pagination.style.is_auto()).then(|| Contradiction {
                at: "since",
                what:
                    "a walk begins at a record only where its pagination is known, and type auto has yet to find it out"
                        .to_owned(),
                hint: "run `unpage probe URL` and write down the records and pagination that it finds",
            })
        },
    },
    Rule {
        name: "since-of-parts",
        exception: Exception::Never,
        about: &["since", "partition"],
        check: |facts| {
            (facts.pagination.since.is_some() && facts.pagination.partition.is_some()).then(|| Contradiction {
                at: "since",
                what: "the collection is cut into parts, and the record would lie in one of them".to_owned(),
                hint: "leave since or partition out",
            })
        },
    },
    Rule {
        name: "version-of-parts",
        exception: Exception::Never,
        about: &["valid_at", "match", "partition"],
        check: of_parts,
    },
    Rule {
        name: "opened-state",
        exception: Exception::Never,
        about: &["valid_at", "pagination", "consistency"],
        check: of_opened_state,
    },
    Rule {
        name: "nothing-to-repair-by",
        exception: Exception::Never,
        about: &["consistency", "key", "pagination", "partition"],
        check: |facts| {
            let pagination = facts.pagination;
            let repairs = pagination.consistency == Some(ConsistencyLevel::Repair) && !pagination.style.is_auto();
            (repairs && !pagination.can_repair()).then(|| Contradiction {
                at: "consistency",
                what: format!("type {} without what repair needs", pagination.style.name()),
                hint: "repair needs a `key`, no partition, and type offset whose step is the number of records that came, type page with page_size.param and its value, or type keyset by that key",
            })
        },
    },
    Rule {
        name: "nothing-to-verify-by",
        exception: Exception::Never,
        about: &["consistency", "key", "partition"],
        check: |facts| {
            let pagination = facts.pagination;
            let can_verify = pagination.key.is_some() && pagination.partition.is_none();
            (pagination.consistency == Some(ConsistencyLevel::Verify) && !can_verify).then(|| Contradiction {
                at: "consistency",
                what: "verify without a key, or of a collection that is cut into parts".to_owned(),
                hint: "two equal reads show one state where a `key` tells records apart, and all pages are one list: set key, and leave partition out",
            })
        },
    },
    Rule {
        name: "no-state-of-the-upstream",
        exception: Exception::Never,
        about: &["consistency", "valid_at", "match"],
        check: |facts| {
            let pagination = facts.pagination;
            let names_one = pagination.valid_at.is_some() || pagination.precondition == Precondition::Match;
            (pagination.consistency == Some(ConsistencyLevel::Upstream) && !names_one).then(|| Contradiction {
                at: "consistency",
                what: "upstream, and nothing names a state of the collection".to_owned(),
                hint: "add valid_at = { param = …, from = … }, or match = true; without either, consistency = \"verify\" reads the collection until two reads are equal",
            })
        },
    },
    Rule {
        name: "order-without-use",
        exception: Exception::Never,
        about: &["stable_order", "consistency"],
        check: |facts| {
            let pagination = facts.pagination;
            let relies = matches!(pagination.consistency, Some(ConsistencyLevel::Repair | ConsistencyLevel::Verify));
            (pagination.record_order == RecordOrder::Configured && !relies).then(|| Contradiction {
                at: "stable_order",
                what: "no verdict of this consistency relies on the order of records".to_owned(),
                hint: "set consistency = \"repair\" or \"verify\", or leave stable_order out",
            })
        },
    },
    Rule {
        name: "nothing-to-settle",
        exception: Exception::Never,
        about: &["settle", "pagination", "consistency", "partition", "valid_at", "match"],
        check: settles_in_vain,
    },
    Rule {
        name: "valid-at-overwritten",
        exception: Exception::Never,
        about: &["valid_at", "pagination", "page_size", "partition", "since"],
        check: overwritten,
    },
];

fn settles_in_vain(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let pagination = facts.pagination;
    pagination.settle?;
    let is_id = |path: &Path| matches!(path.segments().last(), Some(Segment::Name(name)) if matches!(name.as_str(), "id" | "_id" | "uuid" | "guid" | "ulid"));
    let is_by_time = matches!(&pagination.style, Style::Keyset(keyset) if !keyset.key.first().is_some_and(is_id));
    let names_one = pagination.valid_at.is_some() || pagination.precondition == Precondition::Match;
    let is_read_twice = pagination.is_verified() || pagination.consistency == Some(ConsistencyLevel::Upstream);
    let (what, hint) = match (is_by_time, names_one || is_read_twice || pagination.partition.is_some()) {
        (true, false) => return None,
        (false, _) => (
            "pages do not begin behind a time, and late records are looked for behind one",
            "name the time by which the upstream sorts as the first key of type keyset: key = [\"created_at\", \"id\"]; or leave settle out",
        ),
        (true, true) => (
            "all pages are of one state, are all read again, or have several ends",
            "leave settle out, or valid_at, match, consistency and partition",
        ),
    };
    Some(Contradiction { at: "settle", what: what.to_owned(), hint })
}

/// Each part would have the version of its own first page.
fn of_parts(facts: &LintFacts<'_>) -> Option<Contradiction> {
    facts.pagination.partition.as_ref()?;
    let by_page = facts.pagination.valid_at.as_ref().is_some_and(|it| matches!(it.from, VersionSource::Page(_)));
    let at = match facts.pagination.precondition {
        _ if by_page => "valid_at",
        Precondition::Match => "match",
        Precondition::None => return None,
    };
    Some(Contradiction {
        at,
        what: "the collection is cut into parts, and each has a first page of its own".to_owned(),
        hint: "leave partition out, or pin all parts by the clock: valid_at = { param = …, from = \"clock\" }",
    })
}

/// All pages are of the state that was opened, and a refusal may say that it is gone.
fn of_opened_state(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let pagination = facts.pagination;
    pagination.opened_state()?;
    let (what, hint) = match pagination.consistency {
        Some(ConsistencyLevel::Repair | ConsistencyLevel::Verify) => (
            "all pages are of the state that is opened for the crawl, so that nothing is repaired or read twice",
            "leave consistency out",
        ),
        _ if pagination.style.is_auto() => {
            ("pages of a state are read only where their pagination is known", "write down records and pagination")
        }
        _ if pagination.end.is_by_refusal() => (
            "the status that ends the collection may also say that the state is gone, with pages missing",
            "leave end out: the type's own end, a total or a flag (more) proves it",
        ),
        _ => return None,
    };
    Some(Contradiction { at: "valid_at", what: what.to_owned(), hint })
}

fn overwritten(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let pagination = facts.pagination;
    let param = &pagination.valid_at.as_ref()?.param;
    let size = pagination.page_size.as_ref().and_then(|size| size.param.as_ref());
    let since = pagination.since.as_ref().map(|since| &since.param);
    let mut others = pagination.style.params().into_iter().chain(size).chain(since).chain(pagination.ranges());
    others.any(|other| other == param).then(|| Contradiction {
        at: "valid_at",
        what: format!("{param} carries two things, and one of them would overwrite the other"),
        hint: "the time or version needs a parameter of its own",
    })
}
