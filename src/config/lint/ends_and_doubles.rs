//! Ends that the pagination type can't have, and doubles that can't be found.

use http::StatusCode;

use super::{Contradiction, Exception, LintFacts, Rule};
use crate::pagination::{ConsistencyLevel, End, OnDouble};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "no-next-of-numbers",
        exception: Exception::Never,
        about: &["pagination.end"],
        check: |facts| {
            let style = &facts.pagination.style;
            (style.is_computed() && facts.pagination.end == End::NoNext).then(|| Contradiction {
                at: "pagination.end",
                what: format!("type {} always has a next address, so its absence can't be the end", style.name()),
                hint: "leave end out (an empty page past the last one), or say what flag or total ends it",
            })
        },
    },
    Rule {
        name: "guess-beside-next",
        exception: Exception::Never,
        about: &["pagination.end"],
        check: |facts| {
            let style = &facts.pagination.style;
            let pointed = style.is_pointed();
            let (guess, hint) = match &facts.pagination.end {
                End::ShortPage => {
                    ("a short page", "leave end out: a filtered page may be short, and its next page isn't")
                }
                End::Status(statuses) if statuses.0.iter().any(|status| *status != StatusCode::NO_CONTENT) => {
                    ("an error status", "leave end out: a next address that fails is a failure")
                }
                End::Style | End::NoNext | End::EmptyPage | End::Status(_) => return None,
            };
            pointed.then(|| Contradiction {
                at: "pagination.end",
                what: format!(
                    "type {} gets its next page from the upstream, and {guess} does not say that there is none",
                    style.name()
                ),
                hint,
            })
        },
    },
    Rule {
        name: "handle-in-parts",
        exception: Exception::Never,
        about: &["pagination", "partition", "consistency"],
        check: |facts| {
            let is_verified = facts.pagination.consistency == Some(ConsistencyLevel::Verify);
            (facts.pagination.is_sent_once() && (facts.pagination.partition.is_some() || is_verified)).then(|| {
                Contradiction {
                    at: "pagination.same_token",
                    what: "the upstream keeps one place, and parts or a second read would move it for each other"
                        .to_owned(),
                    hint: "leave partition and consistency = \"verify\" out, or use another type",
                }
            })
        },
    },
    Rule {
        name: "doubles-without-key",
        exception: Exception::Never,
        about: &["key", "on_double", "consistency"],
        check: |facts| {
            let contradiction = |what: &str, hint| Contradiction { at: "on_double", what: what.to_owned(), hint };
            let pagination = facts.pagination;
            if pagination.on_double != OnDouble::Drop {
                None
            } else if pagination.key.is_none() {
                let hint = "write key with the path of the value that identifies a record";
                Some(contradiction("doubles are found by their keys, and none is named", hint))
            } else if pagination.consistency == Some(ConsistencyLevel::None) {
                let hint = "leave out consistency, so that keys are compared, or leave out on_double";
                Some(contradiction("doubles are found by their keys, and consistency none compares none", hint))
            } else {
                None
            }
        },
    },
    Rule {
        name: "end-is-retried",
        exception: Exception::Never,
        about: &["pagination.end", "retry.statuses"],
        check: end_is_retried,
    },
];

fn end_is_retried(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let End::Status(statuses) = &facts.pagination.end else { return None };
    let is_retried = |status: &&StatusCode| {
        let by_default = matches!(status.as_u16(), 408 | 429) || status.is_server_error();
        by_default || facts.retried.contains(&status.as_u16())
    };
    statuses.0.iter().find(is_retried).map(|status| Contradiction {
        at: "pagination.end",
        what: format!("status {} is retried, so it can't be the end as well", status.as_u16()),
        hint: "take it out of retry.statuses; 408, 429 and 5xx are always failures",
    })
}
